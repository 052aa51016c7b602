//! Remedies: the line of the configuration, in the words of the log, of the status page and
//! of the client's answer. It names records by globs that tell no identifier.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use waxseal_policy::{PatternId, ProtectedNames, Reason, Refusal, except_glob};

use crate::pending::names_of;

/// Globs that one remedy names at most: a request may name very many records.
const MAX_GLOBS: usize = 8;

/// Lets the scripts and functions of a pattern pass.
const SCRIPTS: &str = "scripts = \"forward\"";
const SCRIPTS_FLAG: &str = "--scripts forward";
const IF_OPAQUE: &str = "if the script treats values as opaque bytes";

/// The remedy for one refused request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remedy {
    /// The `except` globs by pattern, and whether with them the request would pass.
    pub(crate) excepts: BTreeMap<PatternId, Vec<String>>,
    is_complete: bool,
    /// Forwarding scripts is a remedy, too.
    pub(crate) scripts: bool,
    /// Words where no configuration of patterns is a remedy.
    other: Option<&'static str>,
}

impl Remedy {
    /// Of a refusal by the policy.
    pub(crate) fn of(refusal: &Refusal, names: &ProtectedNames, arguments: &[&[u8]]) -> Self {
        if refusal.reason.is_always_refused() {
            return Self::other(refusal.reason.remedy());
        }
        Self {
            scripts: refusal.reason == Reason::RunsCode,
            ..Self::excepting(refusal.command, names, arguments)
        }
    }

    /// Excepting the records of a request.
    pub(crate) fn excepting(
        command: Option<&'static str>,
        names: &ProtectedNames,
        arguments: &[&[u8]],
    ) -> Self {
        let mut remedy = Self {
            is_complete: true,
            ..Self::default()
        };
        for (pattern, name) in protected(command, names, arguments) {
            let Some(glob) = except_glob(names.pattern(pattern), name) else {
                remedy.is_complete = false;
                continue;
            };
            let globs = remedy.excepts.entry(pattern).or_default();
            if !globs.contains(&glob) && globs.len() < MAX_GLOBS {
                globs.push(glob);
            }
        }
        // Of a glob that could mean a protected name it is not known which.
        remedy.is_complete &= !remedy.excepts.is_empty();
        if !remedy.is_complete {
            remedy.excepts.clear();
        }
        remedy
    }

    /// These words.
    pub(crate) fn other(words: &'static str) -> Self {
        Self {
            other: Some(words),
            ..Self::default()
        }
    }

    /// The line to paste into the configuration: `except = ["app:*:lock"]`. Empty where nothing can.
    pub(crate) fn setting(&self) -> String {
        let lines = self.excepts.values().map(|globs| toml_line(globs));
        let scripts = self.scripts.then(|| SCRIPTS.to_owned());
        let lines: Vec<_> = match self.excepts.is_empty() {
            true => scripts.into_iter().collect(),
            false => lines.collect(),
        };
        lines.join("; ")
    }

    /// The remedy, for an operator. `is_typed`: the patterns are flags of the command line.
    pub(crate) fn advice(&self, names: &ProtectedNames, is_typed: bool) -> String {
        if let Some(words) = self.other {
            return words.to_owned();
        }
        let mut text = String::new();
        if self.excepts.is_empty() {
            text.push_str(
                "name the records that it works on in except = [...] of [[protect]], under names of their own \
                 where they have none (waxseal proxy --trial --show-names shows them in a test environment)",
            );
        }
        for (number, (pattern, globs)) in self.excepts.iter().enumerate() {
            let begin = if number == 0 { "set" } else { " and" };
            let shown = names.pattern(*pattern).shown();
            // Nothing that is written to a string fails.
            let _ = write!(
                text,
                "{begin} {} in the [[protect]] of {shown}",
                toml_line(globs)
            );
        }
        if is_typed && !self.excepts.is_empty() {
            let globs = self.excepts.values().flatten();
            let flags: Vec<_> = globs.map(|glob| flag(glob)).collect();
            let _ = write!(text, " or start the proxy with {}", flags.join(" "));
        }
        if !self.excepts.is_empty() {
            text.push_str(", which leaves such records in plaintext");
        }
        if self.scripts {
            let _ = write!(text, "; or set {SCRIPTS}");
            if is_typed {
                let _ = write!(text, " ({SCRIPTS_FLAG})");
            }
            let _ = write!(text, " {IF_OPAQUE}");
        }
        text
    }

    /// The remedy, for the client that is refused: the remedy of the reason, and the line of the configuration.
    pub(crate) fn for_client(&self, reason: Reason) -> String {
        if self.excepts.is_empty() {
            return reason.remedy().to_owned();
        }
        let except = format!(
            "set {} in the proxy's configuration, which leaves such records in plaintext",
            self.setting()
        );
        match self.scripts {
            true => format!("{except}, or {SCRIPTS} {IF_OPAQUE}"),
            false => format!("{}; or {except}", reason.remedy()),
        }
    }
}

/// The protected names of a refused request.
fn protected<'a>(
    command: Option<&'static str>,
    names: &ProtectedNames,
    arguments: &[&'a [u8]],
) -> Vec<(PatternId, &'a [u8])> {
    let all: Vec<&[u8]> = match command {
        Some(_) => names_of(arguments).collect(),
        // Of a command that is not known every argument may be a name.
        None => arguments.iter().skip(1).copied().collect(),
    };
    let found = all
        .into_iter()
        .filter_map(|name| Some((names.find_sealed(name)?, name)));
    found.collect()
}

/// `except = ["a", 'b\{c\}']`.
pub(crate) fn toml_line(globs: &[String]) -> String {
    let quoted: Vec<_> = globs.iter().map(|glob| toml_string(glob)).collect();
    format!("except = [{}]", quoted.join(", "))
}

/// A text as TOML has it; a literal string where there is something to escape.
fn toml_string(text: &str) -> String {
    let is_special = |letter: char| matches!(letter, '"' | '\\');
    if !text.contains(is_special) {
        return format!("\"{text}\"");
    }
    if !text.contains('\'') {
        return format!("'{text}'");
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// `--except 'GLOB'`, for a shell.
fn flag(glob: &str) -> String {
    format!("--except '{}'", glob.replace('\'', "'\\''"))
}
