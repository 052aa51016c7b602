//! `audit-log show`: the entries in a form that people read. Lines that do not verify are reported and left
//! out; completeness and order are for `verify`.

use std::path::PathBuf;

use serde_json::Value;
use waxseal_audit_log::{ChainKey, for_each_entry};

use crate::output;
use waxseal_service::{Ended, Failure};

/// The entries that are shown.
pub(super) struct Filter<'a> {
    /// From this time on, in the format of entries, or a prefix of it.
    pub(super) since: Option<&'a str>,
    pub(super) action: Option<&'a str>,
}

pub(super) fn run(
    files: &[PathBuf],
    key: &ChainKey,
    filter: &Filter<'_>,
    as_json: bool,
) -> Result<Ended, Failure> {
    filter.check()?;
    let (mut shown, mut unverified) = (Vec::new(), 0u64);
    for path in files {
        let file = path.display().to_string();
        let visited = for_each_entry(path, key, |number, entry| {
            match entry {
                Some(entry) if !filter.matches(&entry) => {}
                Some(entry) if as_json => shown.push(entry),
                Some(entry) => output::line(line(&entry))?,
                None => {
                    unverified += 1;
                    let text = format!("{file}, line {number} does not verify under this key");
                    output::warn(&text);
                }
            }
            Ok::<_, Failure>(())
        });
        visited.map_err(|failure| failure.named(&file).hint(super::NAME_FILES))?;
    }
    if as_json {
        output::json(&shown)?;
    }
    if unverified == 0 {
        return Ok(Ended::Done);
    }
    output::hint("waxseal audit-log verify shows what is wrong");
    Ok(Ended::Findings)
}

impl Filter<'_> {
    fn check(&self) -> Result<(), Failure> {
        let is_time = |text: &str| {
            let allowed = |c: char| c.is_ascii_digit() || "-:.TZ".contains(c);
            text.len() >= 4 && text.chars().all(allowed)
        };
        match self.since {
            Some(since) if !is_time(since) => Err(Failure::usage("--since takes a time in UTC")
                .hint("for example 2026-11-28, or 2026-11-28T05:15:00Z")),
            _ => Ok(()),
        }
    }

    fn matches(&self, entry: &Value) -> bool {
        let field = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        // All times have the same format, in which the order of texts is the order of times.
        let since = self.since.map(|it| it.strip_suffix('Z').unwrap_or(it));
        since.is_none_or(|since| field("at") >= since)
            && self.action.is_none_or(|action| field("action") == action)
    }
}

fn line(entry: &Value) -> String {
    let field = |value: &Value, name: &str| match value.get(name) {
        Some(Value::String(text)) => output::sanitize_for_terminal(text),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let text = |name| field(entry, name);
    let user = entry.get("user").unwrap_or(&Value::Null);
    let name = match field(user, "name") {
        name if name.is_empty() => format!("uid {}", field(user, "uid")),
        name => name,
    };
    let who = match field(user, "sudo_user") {
        sudo if sudo.is_empty() => name,
        sudo => format!("{name} (sudo: {sudo})"),
    };
    let details = match text("details").as_str() {
        "" | "{}" => String::new(),
        details => format!("  {details}"),
    };
    format!(
        "{:>6}  {}  {}  {who}  {} {}  {}{details}",
        text("seq"),
        text("at"),
        text("host"),
        text("action"),
        text("outcome"),
        text("target"),
    )
}
