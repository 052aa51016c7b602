//! Remedies of refused requests: the line of the configuration, as the log, the status page and the client's error show
//! it. Records are named by globs that reveal no identifier.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use waxseal_policy::{
    Action, PatternId, ProtectedNames, Reason, Refusal, UnknownDigest, decide, except_glob,
};

use crate::pending::names_of;

/// Maximum number of globs in one remedy, and of protected names that are read for them: a request may name very many
/// records.
const MAX_GLOBS: usize = 8;
const MAX_NAMES: usize = 16;
/// Maximum number of arguments of a request for which a remedy is computed: more would delay other clients.
const MAX_ARGUMENTS: usize = 1024;
/// Maximum length of the setting, and of the advice.
const MAX_TEXT: usize = 512;

/// Forwards the scripts and functions of a pattern.
const SCRIPTS: &str = "scripts = \"forward\"";
const SCRIPTS_FLAG: &str = "--scripts forward";
const IF_OPAQUE: &str = "if the script treats values as opaque bytes";
const PLAINTEXT: &str = ", which leaves such records in plaintext";
const NO_GLOB: &str = "these records need names that an except can match; `waxseal proxy --trial --show-names` in a \
                       test environment lists them";

/// The remedy for one refused request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remedy {
    /// The `except` globs by pattern with which the request is accepted; empty if none are known.
    pub(crate) excepts: BTreeMap<PatternId, Vec<String>>,
    /// The patterns for whose records forwarding scripts is a remedy as well.
    pub(crate) scripts: BTreeSet<PatternId>,
    /// A remedy that is not a configuration of patterns.
    other: Option<&'static str>,
}

impl Remedy {
    /// The remedy of a refusal by the policy.
    pub(crate) fn of(refusal: &Refusal, names: &ProtectedNames, arguments: &[&[u8]]) -> Self {
        // What finds elements is a setting of its own, which leaves nothing in plaintext.
        let is_set_otherwise = refusal.reason == Reason::ComparesElement;
        if is_set_otherwise || refusal.reason.is_always_refused() {
            return Self::other(refusal.reason.remedy());
        }
        let scripts = match refusal.reason {
            Reason::RunsCode if arguments.len() <= MAX_ARGUMENTS => {
                let patterns = names_of(arguments).filter_map(|name| names.find_sealed(name));
                patterns.filter(|id| !names.forwards_scripts(*id)).collect()
            }
            _ => BTreeSet::new(),
        };
        Self {
            scripts,
            ..Self::excepting(refusal.command, names, arguments)
        }
    }

    /// The remedy of excepting the records of a request.
    pub(crate) fn excepting(
        command: Option<&'static str>,
        names: &ProtectedNames,
        arguments: &[&[u8]],
    ) -> Self {
        let excepts = excepts(command, names, arguments).unwrap_or_default();
        let is_complete = !excepts.is_empty() && is_accepted(names, &excepts, arguments);
        let mut remedy = Self::default();
        if is_complete {
            remedy.excepts = excepts;
        }
        if remedy.setting(names).len() > MAX_TEXT {
            remedy.excepts.clear();
        }
        remedy
    }

    /// A remedy that is not a configuration of patterns.
    pub(crate) fn other(text: &'static str) -> Self {
        Self {
            other: Some(text),
            ..Self::default()
        }
    }

    /// The line to paste into the configuration: `except = ["app:*:lock"]`; with its pattern if there are several.
    /// Empty if no setting is a remedy.
    pub(crate) fn setting(&self, names: &ProtectedNames) -> String {
        if self.excepts.is_empty() {
            return match self.scripts.is_empty() {
                true => String::new(),
                false => SCRIPTS.to_owned(),
            };
        }
        let is_one = self.excepts.len() == 1;
        let lines = self.excepts.iter().map(|(id, globs)| match is_one {
            true => toml_line(globs),
            false => format!("{} for {}", toml_line(globs), names.pattern(*id).shown()),
        });
        lines.collect::<Vec<_>>().join("; ")
    }

    /// The remedy for an operator. `is_typed`: the patterns are flags of the command line.
    pub(crate) fn advice(&self, names: &ProtectedNames, is_typed: bool) -> String {
        if let Some(text) = self.other {
            return text.to_owned();
        }
        let scripts = self.scripts_advice(is_typed);
        let with = |excepts: &str| format!("{excepts}{scripts}");
        if self.excepts.is_empty() {
            return with(NO_GLOB);
        }
        let settings = with(&format!("{}{PLAINTEXT}", self.excepts_advice(names)));
        let flags = match is_typed {
            true => with(&format!(
                "{} or start the proxy with {}{PLAINTEXT}",
                self.excepts_advice(names),
                self.flags()
            )),
            false => String::new(),
        };
        // The longest that fits; patterns may be long.
        let mut fitting = [flags, settings].into_iter();
        let fits = |text: &String| !text.is_empty() && text.len() <= MAX_TEXT;
        fitting.find(fits).unwrap_or_else(|| {
            with("add the names of these records to except = [...] of their patterns")
        })
    }

    fn excepts_advice(&self, names: &ProtectedNames) -> String {
        let mut text = String::new();
        for (number, (pattern, globs)) in self.excepts.iter().enumerate() {
            let begin = if number == 0 { "set" } else { " and" };
            let (line, shown) = (toml_line(globs), names.pattern(*pattern).shown());
            // Writing to a string does not fail.
            let _ = write!(text, "{begin} {line} in the [[protect]] of {shown}");
        }
        text
    }

    fn flags(&self) -> String {
        let globs = self.excepts.values().flatten();
        globs.map(|glob| flag(glob)).collect::<Vec<_>>().join(" ")
    }

    fn scripts_advice(&self, is_typed: bool) -> String {
        match (self.scripts.is_empty(), is_typed) {
            (true, _) => String::new(),
            (false, true) => format!("; or set {SCRIPTS} ({SCRIPTS_FLAG}) {IF_OPAQUE}"),
            (false, false) => format!("; or set {SCRIPTS} {IF_OPAQUE}"),
        }
    }

    /// The remedy for the refused client: that of the reason, and the line of the configuration.
    pub(crate) fn for_client(&self, reason: Reason, names: &ProtectedNames) -> String {
        if self.excepts.is_empty() {
            return reason.remedy().to_owned();
        }
        let setting = self.setting(names);
        let except = format!("set {setting} in the proxy's configuration{PLAINTEXT}");
        match self.scripts.is_empty() {
            true => format!("{}; or {except}", reason.remedy()),
            false => format!("{except}, or {SCRIPTS} {IF_OPAQUE}"),
        }
    }
}

/// Returns the globs that except the protected names of a request, as far as they are read. Returns `None` if one of
/// these names has no glob, or there are too many.
fn excepts(
    command: Option<&'static str>,
    names: &ProtectedNames,
    arguments: &[&[u8]],
) -> Option<BTreeMap<PatternId, Vec<String>>> {
    if arguments.len() > MAX_ARGUMENTS {
        return None;
    }
    let all: Vec<&[u8]> = match command {
        Some(_) => names_of(arguments).collect(),
        // Any argument of an unknown command may be a name.
        None => arguments.iter().skip(1).copied().collect(),
    };
    let protected = all
        .into_iter()
        .filter_map(|name| Some((names.find_sealed(name)?, name)));
    let mut excepts: BTreeMap<PatternId, Vec<String>> = BTreeMap::new();
    let mut count = 0usize;
    for (pattern, name) in protected.take(MAX_NAMES) {
        let glob = except_glob(names.pattern(pattern), name)?;
        let globs = excepts.entry(pattern).or_default();
        if globs.contains(&glob) {
            continue;
        }
        if count >= MAX_GLOBS {
            return None;
        }
        count = count.saturating_add(1);
        globs.push(glob);
    }
    Some(excepts)
}

/// True if the request is accepted with these names excepted.
fn is_accepted(
    names: &ProtectedNames,
    excepts: &BTreeMap<PatternId, Vec<String>>,
    arguments: &[&[u8]],
) -> bool {
    let Some(names) = names.with_excepts(excepts) else {
        return false;
    };
    match decide(&names, arguments).action {
        Action::Refuse(_) | Action::ScriptDigest(UnknownDigest::Refuse(_)) => false,
        // Inside a transaction the script of a lock is forwarded only over an excepted name.
        Action::Script(call) => call.location.pattern.is_excepted(),
        // Refused only inside a transaction, where it is not forwarded.
        Action::Compute(_) | Action::Move(_) | Action::Sort(_) => false,
        Action::Forward | Action::Transform(_) | Action::Tracking(_) | Action::ScriptDigest(_) => {
            true
        }
    }
}

/// `except = ["a", 'b\{c\}']`.
pub(crate) fn toml_line(globs: &[String]) -> String {
    let quoted: Vec<_> = globs.iter().map(|glob| toml_string(glob)).collect();
    format!("except = [{}]", quoted.join(", "))
}

/// Writes a text as TOML, as a literal string if there is anything to escape.
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
