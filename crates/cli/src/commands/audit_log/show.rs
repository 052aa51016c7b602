//! `audit-log show`: the entries in a form that people read. Whether the log is whole is for `verify`
//! to say; a line that is not as it was written is not shown.

use std::path::PathBuf;

use serde_json::Value;

use crate::audit_log::{self, Codes};
use crate::error::{Ended, Failure};
use crate::output;

/// Which entries are shown.
pub(super) struct Wanted<'a> {
    /// From this time on, as entries write it, or its beginning.
    pub(super) since: Option<&'a str>,
    pub(super) action: Option<&'a str>,
}

pub(super) fn run(
    files: &[PathBuf],
    codes: &Codes,
    wanted: &Wanted<'_>,
    as_json: bool,
) -> Result<Ended, Failure> {
    wanted.check()?;
    let (mut shown, mut strange) = (Vec::new(), 0u64);
    for path in files {
        let place = path.display().to_string();
        let gone_through = audit_log::each(path, codes, |number, entry| {
            match entry {
                Some(entry) if !wanted.takes(&entry) => {}
                Some(entry) if as_json => shown.push(entry),
                Some(entry) => output::line(line(&entry))?,
                None => {
                    strange += 1;
                    let text = format!("{place}, line {number} is not as this key would have it");
                    output::complain("warning", &text);
                }
            }
            Ok::<_, Failure>(())
        });
        gone_through.map_err(|failure| {
            let hint = "name the files of the audit log, the oldest first";
            failure.named(&place).hint(hint)
        })?;
    }
    if as_json {
        output::json(&shown)?;
    }
    if strange == 0 {
        return Ok(Ended::Done);
    }
    output::advise("waxseal audit-log verify tells what is the matter");
    Ok(Ended::Findings)
}

impl Wanted<'_> {
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

    fn takes(&self, entry: &Value) -> bool {
        let field = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        // The form of all times is the same: as texts they are in order.
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
