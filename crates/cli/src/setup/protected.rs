//! Which records are protected and how: from flags and the configuration, checked.

use waxseal_core::{Format, NameMask, PlainValues};
use waxseal_sessions::GuardedRecords;
use waxseal_stores::RecordPattern;

use crate::config::{Config, Protect};
use crate::error::Failure;

pub(crate) const DEFAULT_RECORDS: &str = "wa:*";
/// The format that is written without a word in the configuration: the one that the Node.js bot of the guide reads.
pub(crate) const DEFAULT_FORMAT: Format = Format::Classic;
const DEFAULT_NAME: &str = "WhatsApp state";

/// Records that are protected together.
#[derive(Clone)]
pub(crate) struct Protected {
    /// What they are called in reports.
    pub(crate) name: String,
    pub(crate) pattern: RecordPattern,
    pub(crate) format: Format,
    pub(crate) plain: PlainValues,
    /// Whether the values of each user are under a key of their own.
    pub(crate) per_user: bool,
}

impl Protected {
    /// The pattern as a file of ours may hold it: one that is the whole name of a record without that
    /// name, and still another than all others.
    pub(crate) fn told_apart(&self, mask: &NameMask) -> String {
        let text = self.pattern.as_str();
        match self.pattern.shown() == text {
            true => text.to_owned(),
            false => mask.show("", text.as_bytes()),
        }
    }
}

/// The protected records: those that flags name, else those of the configuration.
pub(super) fn protected(
    flags: &[String],
    config: &Config,
    has_ring: bool,
) -> Result<Vec<Protected>, Failure> {
    let configured: Vec<Protected> = config
        .protect
        .iter()
        .map(|protect| from_config(protect, has_ring))
        .collect::<Result<_, _>>()?;
    if flags.is_empty() {
        return if configured.is_empty() {
            Ok(vec![from_pattern(DEFAULT_RECORDS)?])
        } else {
            Ok(configured)
        };
    }
    flags
        .iter()
        .map(|flag| from_flag(flag, &configured))
        .collect()
}

/// The records that the guard of the key looks at: those that a command names, and then all others of the
/// configuration, or without one the usual ones. A key is right or wrong for a store, whatever records a
/// command is about.
pub(super) fn guarded(
    named: &[Protected],
    config: &Config,
    has_ring: bool,
) -> Result<Vec<GuardedRecords>, Failure> {
    let mut guarded: Vec<GuardedRecords> = Vec::new();
    for it in named.iter().chain(&protected(&[], config, has_ring)?) {
        if guarded.iter().all(|known| known.pattern != it.pattern) {
            guarded.push(GuardedRecords {
                pattern: it.pattern.clone(),
                plain: it.plain,
            });
        }
    }
    Ok(guarded)
}

/// What a flag says. Records that the configuration names in other words (`wa:*` for `wa:{user}`) are
/// protected as it says all the same: a flag must not take users' keys or the format from them.
fn from_flag(flag: &str, configured: &[Protected]) -> Result<Protected, Failure> {
    let bare = from_pattern(flag)?;
    let in_words = configured.iter().find(|it| it.pattern == bare.pattern);
    let glob = bare.pattern.glob();
    let named = in_words.or_else(|| configured.iter().find(|it| it.pattern.glob() == glob));
    Ok(match named {
        Some(named) if named.per_user => named.clone(),
        Some(named) => Protected {
            pattern: bare.pattern,
            ..named.clone()
        },
        None => bare,
    })
}

/// A pattern with nothing more said about it.
fn from_pattern(text: &str) -> Result<Protected, Failure> {
    let pattern = RecordPattern::parse(text)?;
    let states = pattern.glob() == DEFAULT_RECORDS;
    Ok(Protected {
        name: if states {
            DEFAULT_NAME.to_owned()
        } else {
            pattern.shown().to_owned()
        },
        plain: if states {
            PlainValues::Json
        } else {
            PlainValues::Any
        },
        format: DEFAULT_FORMAT,
        per_user: false,
        pattern,
    })
}

fn from_config(protect: &Protect, has_ring: bool) -> Result<Protected, Failure> {
    let mut protected = from_pattern(&protect.records)?;
    if let Some(name) = &protect.name {
        protected.name.clone_from(name);
    }
    if let Some(format) = &protect.format {
        protected.format = format.parse()?;
    }
    if protect.per_user_keys {
        per_user(&mut protected, protect, has_ring)?;
    }
    if let Some(plain) = &protect.plain_values {
        protected.plain = plain.parse()?;
    }
    // What a library does with a refused value; checked here so that a misspelling shows.
    if let Some(word) = &protect.refused
        && !["error", "absent", "quarantine"].contains(&word.as_str())
    {
        return Err(Failure::usage(
            "refused is one of error, absent, quarantine",
        ));
    }
    Ok(protected)
}

/// Users' own keys need to know the user, a keyring that seals them, and a format that names its key.
fn per_user(protected: &mut Protected, said: &Protect, has_ring: bool) -> Result<(), Failure> {
    let shown = protected.pattern.shown().to_owned();
    let refused = |why: &str, hint: &str| {
        let records = &shown;
        Err(Failure::usage(format!("per_user_keys of \"{records}\": {why}")).hint(hint))
    };
    if !said.records.contains("{user}") {
        let hint = "write {user} for the part of the record name that is the user: \"wa:{user}\"";
        return refused("the pattern does not say who the user is", hint);
    }
    if !has_ring {
        let hint = "waxseal keyring init makes one; keyring in waxseal.toml says where it lies";
        return refused("it needs a keyring", hint);
    }
    if said.format.is_some() && protected.format == Format::Classic {
        let hint = "format = \"sealed\", or none: per_user_keys implies it";
        return refused("the classic format names no key", hint);
    }
    protected.format = Format::Sealed;
    protected.per_user = true;
    Ok(())
}
