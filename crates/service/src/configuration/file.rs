//! `waxseal.toml`: its keys and their types. An unknown key is an error that names the nearest known one,
//! so that a misspelt protection is never ignored.

use std::path::{Component, Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::{Table, Value};
use waxseal_files::read_implicit;
use waxseal_keys::CustodianScheme;

use crate::failure::{Failure, untrusted};

/// The file that is read from the working directory if it exists.
pub const DEFAULT: &str = "waxseal.toml";
/// The length of the longest keys.
const LONG: usize = 12;
const KEYS: [&str; 14] = [
    "environment",
    "domain",
    "mode",
    "store",
    "keyring",
    "custodian",
    "keyring_copy",
    "offline_key",
    "user_keys",
    "audit_log",
    "audit_log_key",
    "audit_log_required",
    "decoys",
    "protect",
];
const PROTECT_KEYS: [&str; 16] = [
    "name",
    "records",
    "channels",
    "except",
    "format",
    "write_version",
    "accept_version",
    "group",
    "bind",
    "members",
    "names",
    "pad_names",
    "per_user_keys",
    "refused",
    "plain_values",
    "scripts",
];

/// The content of the file.
#[derive(Debug, Default, Deserialize)]
pub struct ConfigurationFile {
    /// Names the environment that this is for: a keyring of another one is refused.
    pub environment: Option<String>,
    /// The domain that values of version 3 are bound to, without a keyring. With one it is the environment.
    pub domain: Option<String>,
    /// Whether new values are sealed.
    pub mode: Option<String>,
    /// The store of the records.
    pub store: Option<String>,
    /// The URL of the keyring.
    pub keyring: Option<String>,
    /// The custodians that unwrap its keys.
    #[serde(default, deserialize_with = "one_or_more")]
    pub custodian: Vec<String>,
    /// The path of this machine's last good copy.
    pub keyring_copy: Option<PathBuf>,
    /// The key of this machine under which it keeps the keyring's keys for a start without custodians.
    pub offline_key: Option<String>,
    /// The store of users' keys.
    pub user_keys: Option<String>,
    /// The audit log: `file:PATH` or `syslog:`.
    pub audit_log: Option<String>,
    /// The key that chains its entries: `env:NAME` or `file:PATH`.
    pub audit_log_key: Option<String>,
    /// Whether an operation that cannot be recorded is refused.
    pub audit_log_required: Option<bool>,
    /// Whole names of records that no application reads.
    #[serde(default)]
    pub decoys: Vec<String>,
    /// The protected records.
    #[serde(default)]
    pub protect: Vec<Protect>,
    /// The file that all this was read from.
    #[serde(skip)]
    pub path: Option<PathBuf>,
}

/// One `[[protect]]`.
#[derive(Debug, Deserialize)]
pub struct Protect {
    /// A name for reports.
    pub name: Option<String>,
    /// The pattern of the records' names.
    pub records: Option<String>,
    /// The pattern of channels, in a block without records.
    pub channels: Option<String>,
    /// Patterns of names whose values stay plain.
    #[serde(default)]
    pub except: Vec<String>,
    /// The format of new values.
    pub format: Option<String>,
    /// The version of the sealed format that is written, without a keyring.
    pub write_version: Option<u64>,
    /// The oldest version of the sealed format that is accepted, without a keyring.
    pub accept_version: Option<u64>,
    /// The id of the group that the records belong to.
    pub group: Option<String>,
    /// What new values are bound to: `record` or `group`.
    pub bind: Option<String>,
    /// How elements of lists are sealed: `random` or `deterministic`.
    pub members: Option<String>,
    /// How record names are stored: `plain` or `sealed`.
    pub names: Option<String>,
    /// The multiple to which sealed names are padded.
    pub pad_names: Option<u64>,
    /// True if the values of each user are under a key of their own.
    #[serde(default)]
    pub per_user_keys: bool,
    /// The library's answer for a value that does not open.
    pub refused: Option<String>,
    /// The form of plain values.
    pub plain_values: Option<String>,
    /// True if the proxy forwards unknown scripts.
    pub scripts: Option<String>,
}

impl ConfigurationFile {
    /// Reads the file that was named, or the one in the working directory if there is one. That one counts
    /// only if no one but this user and root can have written it.
    pub fn read(named: Option<&Path>) -> Result<Self, Failure> {
        let path = named.unwrap_or(Path::new(DEFAULT));
        let shown = path.display();
        let text = match named {
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| Failure::usage(format!("{shown} cannot be read: {error}")))?,
            None => match implicit(path)? {
                Some(text) => text,
                None => return Ok(Self::default()),
            },
        };
        let mut config =
            Self::parse(&text).map_err(|problem| Failure::usage(format!("{shown}: {problem}")))?;
        if named.is_none() {
            config.check_implicit()?;
        }
        config.path = Some(path.to_owned());
        Ok(config)
    }

    /// Refuses what runs code or writes elsewhere in a file that merely is in the working directory:
    /// directories come with archives and repositories of others.
    fn check_implicit(&self) -> Result<(), Failure> {
        let runs_code = |url: &String| {
            CustodianScheme::of(url) == Some(CustodianScheme::Pkcs11) && url.contains('?')
        };
        // A directory in it may be a link.
        let leads_away = |path: &PathBuf| {
            let parts = path.components().filter(|part| *part != Component::CurDir);
            !matches!(parts.collect::<Vec<_>>()[..], [Component::Normal(_)])
        };
        let word = if self.custodian.iter().any(runs_code) {
            "custodian with a module-path or a pin-source"
        } else if self.audit_log.as_ref().is_some_and(|it| it != "syslog:") {
            "audit_log"
        } else if self.keyring_copy.as_ref().is_some_and(leads_away) {
            "keyring_copy in another directory"
        } else {
            return Ok(());
        };
        Err(Failure::usage(format!(
            "{DEFAULT}: {word} only counts in a file that was named"
        ))
        .hint(format!("if the file is yours, name it: --config {DEFAULT}")))
    }

    /// Reads the text of a file. The error names the line, and quotes nothing of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let table: Table = toml::from_str(text).map_err(|error| place(text, &error))?;
        check(&table, &TOP, &PROTECT)?;
        let protected = match table.get("protect") {
            Some(Value::Array(protected)) => protected.as_slice(),
            Some(_) => return Err("protect is written [[protect]]".to_owned()),
            None => &[],
        };
        for protect in protected {
            let protect = protect.as_table().ok_or("protect is written [[protect]]")?;
            check(protect, &PROTECT, &TOP)?;
        }
        let is_nameless = |it: &Value| it.get("records").is_none() && it.get("channels").is_none();
        if let Some(index) = protected.iter().position(is_nameless) {
            let number = index + 1;
            return Err(format!(
                "[[protect]] number {number} names neither records nor channels"
            ));
        }
        toml::from_str(text).map_err(|error| place(text, &error))
    }
}

/// Returns every key that the file may have, as documents write it.
pub fn words() -> impl Iterator<Item = String> {
    let protect = PROTECT_KEYS.iter().map(|word| format!("protect.{word}"));
    let bare = KEYS.iter().filter(|word| **word != "protect");
    bare.map(|word| (*word).to_owned()).chain(protect)
}

/// The text of a file that was not named, if it exists.
fn implicit(path: &Path) -> Result<Option<String>, Failure> {
    let shown = path.display();
    let found = read_implicit(path).map_err(|refusal| {
        let hint = untrusted::hint(&refusal, "--config", &shown.to_string());
        Failure::usage(format!("{shown} {refusal}")).hint(hint)
    })?;
    let Some((bytes, _)) = found else {
        return Ok(None);
    };
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| Failure::usage(format!("{shown} cannot be read: it is not valid UTF-8")))
}

/// Reads a string or a list of strings.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(one) => Ok(vec![one]),
        Value::Array(several) => several
            .into_iter()
            .map(|one| match one {
                Value::String(one) => Ok(one),
                _ => Err(D::Error::custom("custodian is a word, or a list of words")),
            })
            .collect(),
        _ => Err(D::Error::custom("custodian is a word, or a list of words")),
    }
}

/// Returns an error with its line, but not the text of the line, which may hold a password.
fn place(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().map_or(1, |span| {
        text.get(..span.start)
            .map_or(1, |before| before.matches('\n').count() + 1)
    });
    let message = error.message();
    let is_escape = message.contains("escape") || message.contains("backslash");
    if is_escape
        && text
            .lines()
            .nth(line - 1)
            .is_some_and(|it| it.contains('\\'))
    {
        return format!(
            "line {line}: a backslash in double quotes begins an escape: put the text in single quotes, as \
             in records = '\\{{wa\\}}:*'"
        );
    }
    // These messages repeat the offending value, and no others do.
    let what = match message.strip_prefix("invalid ") {
        Some(_) => match message.rsplit_once(", expected ") {
            Some((_, expected)) => format!("wrong type of value, expected {expected}"),
            None => "wrong value".to_owned(),
        },
        None => message.replace('\n', " "),
    };
    format!("line {line}: {what}")
}

/// Returns a word that is a misspelling of `nearest`, else "…": anything else may be a secret, or a
/// user, in the wrong place.
pub fn misspelt<'w>(word: &'w str, nearest: &str) -> &'w str {
    let letters = word.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
    let is_near = word.len() <= 2 * nearest.len().max(LONG);
    if letters && is_near { word } else { "…" }
}

/// The keys of one level of the file.
struct Level {
    keys: &'static [&'static str],
    /// The text before a key in an error.
    prefix: &'static str,
    /// The description of the level.
    place: &'static str,
}

const TOP: Level = Level {
    keys: &KEYS,
    prefix: "",
    place: "at the top of the file, before the first [[protect]]",
};
const PROTECT: Level = Level {
    keys: &PROTECT_KEYS,
    prefix: "protect.",
    place: "under [[protect]]",
};

impl Level {
    /// The most similar key, and its distance.
    fn nearest(&self, key: &str) -> (usize, &'static str) {
        let distance = |word: &&'static str| (strsim::damerau_levenshtein(word, key), *word);
        let all = self.keys.iter().map(distance);
        all.min_by_key(|(distance, _)| *distance)
            .unwrap_or((usize::MAX, ""))
    }
}

/// Refuses an unknown key, and names the nearest one with the level that it belongs to.
fn check(table: &Table, here: &Level, elsewhere: &Level) -> Result<(), String> {
    for key in table.keys() {
        if here.keys.contains(&key.as_str()) {
            continue;
        }
        let (distance, nearest) = here.nearest(key);
        let (other_distance, other) = elsewhere.nearest(key);
        let (Level { prefix, .. }, place) = (here, elsewhere.place);
        return Err(if other_distance == 0 {
            format!("{other} belongs {place}")
        } else if other_distance < distance {
            let shown = misspelt(key, other);
            format!("unknown key {prefix}{shown}; did you mean {other}? It belongs {place}")
        } else {
            let shown = misspelt(key, nearest);
            format!("unknown key {prefix}{shown}; did you mean {prefix}{nearest}?")
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_documentation_shows() {
        let config = ConfigurationFile::parse(
            "environment = \"production\"\nmode = \"on\"\nstore = \"redis://127.0.0.1:6379\"\n\
             [[protect]]\nname = \"WhatsApp state\"\nrecords = \"wa:{user}\"\nformat = \"sealed\"\n\
             refused = \"quarantine\"\nplain_values = \"json\"\n",
        )
        .unwrap();
        assert_eq!(config.mode.as_deref(), Some("on"));
        assert_eq!(config.protect[0].records.as_deref(), Some("wa:{user}"));
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_nearest() {
        let error = ConfigurationFile::parse("mdoe = \"on\"").unwrap_err();
        assert_eq!(error, "unknown key mdoe; did you mean mode?");
        let error = ConfigurationFile::parse("[[protect]]\nrecrods = \"wa:*\"").unwrap_err();
        assert_eq!(
            error,
            "unknown key protect.recrods; did you mean protect.records?"
        );
    }

    #[test]
    fn a_key_in_the_wrong_place_is_told_where_it_belongs() {
        for (text, error) in [
            (
                "recrods = \"wa:*\"",
                "unknown key recrods; did you mean records? It belongs under [[protect]]",
            ),
            ("format = \"sealed\"", "format belongs under [[protect]]"),
            (
                "[[protect]]\nrecords = \"wa:*\"\nmode = \"on\"",
                "mode belongs at the top of the file, before the first [[protect]]",
            ),
            (
                "[[protect]]\nrecords = \"wa:*\"\ncustodain = \"env:KEK\"",
                "unknown key protect.custodain; did you mean custodian? It belongs at the top of the \
                 file, before the first [[protect]]",
            ),
            (
                "[[protect]]\nrecords = \"wa:*\"\n[[protect]]\ngroup = \"g\"",
                "[[protect]] number 2 names neither records nor channels",
            ),
            (
                "[protect]\nrecords = \"wa:*\"",
                "protect is written [[protect]]",
            ),
        ] {
            assert_eq!(ConfigurationFile::parse(text).unwrap_err(), error);
        }
    }

    #[test]
    fn a_custodian_is_one_or_several() {
        let one = ConfigurationFile::parse("custodian = \"env:KEK\"").unwrap();
        assert_eq!(one.custodian, ["env:KEK"]);
        let two = ConfigurationFile::parse("custodian = [\"env:KEK\", \"file:/k\"]").unwrap();
        assert_eq!(two.custodian, ["env:KEK", "file:/k"]);
        let error = ConfigurationFile::parse("\ncustodian = [1]").unwrap_err();
        assert!(error.contains("a list of words"), "{error}");
    }

    #[test]
    fn an_error_tells_the_line_and_not_its_text() {
        let error = ConfigurationFile::parse("mode = \"on\"\nstore = \"redis://u:secret@h\" x\n")
            .unwrap_err();
        assert!(error.starts_with("line 2:"), "{error}");
        assert!(!error.contains("secret"), "{error}");
        for text in [
            "audit_log_required = \"s3cret\"",
            "[[protect]]\nrecords = \"wa:*\"\nper_user_keys = \"s3cret, expected s3cret\"",
            "mode = [\"s3cret\"]",
            "s3cret = 1",
            "[[protect]]\ns3cret = 1",
            "mode = \"s3cret\" s3cret",
            "\"s3cret",
            "s3cret = 1\ns3cret = 1",
            "protect = [\"s3cret\"]",
            "custodian = { s3cret = \"s3cret\" }",
            "store = 0s3cret",
        ] {
            let error = ConfigurationFile::parse(text).unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
        for escape in ["app:\\{s3cret\\}", "s3cret\\*"] {
            let text = format!("[[protect]]\nrecords = \"{escape}\"\n");
            let error = ConfigurationFile::parse(&text).unwrap_err();
            assert!(
                error.starts_with("line 2: a backslash in double quotes"),
                "{error}"
            );
            assert!(!error.contains("s3cret"), "{error}");
        }
        let error =
            ConfigurationFile::parse("mode = \"on\"\naudit_log_required = \"yes\"").unwrap_err();
        assert_eq!(error, "line 2: wrong type of value, expected a boolean");
    }
}
