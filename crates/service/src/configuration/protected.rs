//! The records that are protected, and how: from flags and the configuration file, checked.

use std::path::Path;

use waxseal_core::{EnvelopeRules, Format, Group, Mode, NameMask, PlainValues};
use waxseal_sessions::GuardedRecords;
use waxseal_stores::{PatternError, RecordPattern};

use super::file::{ConfigurationFile, DEFAULT, Protect, misspelt};
use super::names::NamesSettings;
use super::{envelopes, names};
use crate::Failure;

/// The records that are protected where nothing names any.
pub const DEFAULT_RECORDS: &str = "wa:*";
/// The format that is written where the configuration names none: the one that the Node.js bot of the guide reads.
pub const DEFAULT_FORMAT: Format = Format::Classic;
const DEFAULT_NAME: &str = "WhatsApp state";

/// Records that are protected together.
#[derive(Clone)]
pub struct Protected {
    /// Their name in reports.
    pub name: String,
    /// The pattern of their names.
    pub pattern: RecordPattern,
    /// The format that is written.
    pub format: Format,
    /// The format that applications write: that of the configuration. A flag of a sweep changes what the
    /// sweep writes, and not how values of applications are judged.
    pub of_applications: Format,
    /// The versions of the sealed format that are written and accepted, without a keyring.
    pub rules: EnvelopeRules,
    /// The group that the records belong to.
    pub group: Option<Group>,
    /// True if equal elements of one list are sealed alike.
    pub deterministic_elements: bool,
    /// How their names are sealed; `None` if they are in clear.
    pub names: Option<NamesSettings>,
    /// The form of plain values.
    pub plain: PlainValues,
    /// True if the values of each user are under a key of their own.
    pub per_user: bool,
    /// True if the proxy forwards unknown scripts over these records.
    pub forwards_scripts: bool,
}

impl Protected {
    /// True if Base64 that no key opens is a damaged classic value, in this mode of the applications.
    #[must_use]
    pub fn expects_classic(&self, mode: Mode) -> bool {
        self.plain == PlainValues::Json && mode.seals() && self.of_applications == Format::Classic
    }

    /// The pattern as a file of Waxseal may hold it. A pattern that is the whole name of a record is masked, and
    /// still differs from all others.
    #[must_use]
    pub fn masked_pattern(&self, mask: &NameMask) -> String {
        let text = self.pattern.as_str();
        let mut masked = match self.pattern.shown() == text {
            true => text.to_owned(),
            false => mask.show("", text.as_bytes()),
        };
        for except in self.pattern.excepts() {
            masked.push_str(" except ");
            masked.push_str(&mask.show("", except.as_bytes()));
        }
        masked
    }
}

/// The protected records, each belonging to one of the patterns.
pub(crate) struct Selection {
    /// Those that flags name, else those of the file.
    pub(crate) protected: Vec<Protected>,
    /// The others of the file. Names that a flag matches may belong to these.
    pub(crate) others: Vec<Protected>,
}

/// The protected records: those that flags name, else those of the configuration. A name that several
/// patterns match belongs to the most specific of all of them, typed or not, as it does for every process
/// with this configuration.
pub(crate) fn select(
    flags: &[String],
    excepts: &[String],
    file: &ConfigurationFile,
    has_ring: bool,
) -> Result<Selection, Failure> {
    let configured: Vec<Protected> = file
        .protect
        .iter()
        .enumerate()
        .filter_map(|(index, protect)| {
            let records = protect
                .records
                .as_deref()
                .filter(|_| protect.channels.is_none())?;
            Some(from_file(records, protect, (file, index), has_ring))
        })
        .collect::<Result<_, _>>()?;
    if flags.is_empty() {
        if !excepts.is_empty() {
            return Err(Failure::usage("--except requires --protect").hint(
                "records of waxseal.toml are excepted by except = [\"…\"] under [[protect]]",
            ));
        }
        let protected = match file.protect.is_empty() {
            true => vec![from_pattern(DEFAULT_RECORDS)?],
            false => configured,
        };
        let protected = resolve(protected);
        check_excepts(&protected)?;
        return Ok(Selection {
            protected,
            others: Vec::new(),
        });
    }
    let typed = flags.iter().map(|flag| from_flag(flag, &configured));
    let mut all = typed.collect::<Result<Vec<_>, _>>()?;
    apply_excepts(excepts, &mut all)?;
    let globs: Vec<_> = all.iter().map(|it| it.pattern.glob()).collect();
    let is_other = |it: &Protected| !globs.contains(&it.pattern.glob());
    all.extend(configured.into_iter().filter(is_other));
    let is_typed = |it: &Protected| globs.contains(&it.pattern.glob());
    let all = resolve(all);
    check_excepts(&all)?;
    names::check_typed(&all, is_typed)?;
    let (protected, others) = all.into_iter().partition(is_typed);
    Ok(Selection { protected, others })
}

/// Excepts what flags name from all typed patterns that have such names. A pattern without such names is accepted
/// while another has some.
fn apply_excepts(excepts: &[String], typed: &mut [Protected]) -> Result<(), Failure> {
    for except in excepts {
        let (mut is_used, mut unused) = (false, None);
        for protected in &mut *typed {
            match protected.pattern.clone().except(&[except]) {
                Ok(pattern) => {
                    protected.pattern = pattern;
                    is_used = true;
                }
                Err(error @ PatternError::ExceptNothing(..)) => unused = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(error) = unused.filter(|_| !is_used) {
            return Err(error.into());
        }
    }
    Ok(())
}

/// Refuses excepts for names that all belong to a more specific pattern.
fn check_excepts(all: &[Protected]) -> Result<(), Failure> {
    let mut patterns = all.iter().map(|it| &it.pattern);
    Ok(patterns.try_for_each(RecordPattern::check_excepts)?)
}

/// The same records, each belonging to one pattern. The second of two equal patterns is left out: no record
/// would belong to it.
pub(crate) fn resolve(all: Vec<Protected>) -> Vec<Protected> {
    let patterns = all.iter().map(|it| it.pattern.clone()).collect();
    let resolved = all.into_iter().zip(RecordPattern::resolve(patterns));
    let resolved = resolved.map(|(it, pattern)| Protected { pattern, ..it });
    let is_used = |it: &Protected| {
        let mut stronger = it.pattern.yields_to();
        stronger.all(|other| !other.covers(&it.pattern))
    };
    resolved.filter(is_used).collect()
}

/// The records that the guard of the key reads: those that a command names, and then all others of the file,
/// or the usual ones where it names none. A key is right or wrong for a store, whatever records a command is
/// about.
pub(crate) fn guarded(
    named: &[Protected],
    file: &ConfigurationFile,
    has_ring: bool,
    mode: Mode,
) -> Result<Vec<GuardedRecords>, Failure> {
    let mut guarded: Vec<GuardedRecords> = Vec::new();
    for it in named
        .iter()
        .chain(&select(&[], &[], file, has_ring)?.protected)
    {
        if guarded.iter().all(|known| known.pattern != it.pattern) {
            guarded.push(GuardedRecords {
                pattern: it.pattern.clone(),
                plain: it.plain,
                group: it.group.clone(),
                expects_classic: it.expects_classic(mode),
            });
        }
    }
    Ok(guarded)
}

/// The records of a flag. Records that the file names in other words (`wa:*` for `wa:{user}`, or for `wa:52*`)
/// are protected as the file says: a flag must not change their format or take users' keys from them.
fn from_flag(flag: &str, configured: &[Protected]) -> Result<Protected, Failure> {
    let bare = from_pattern(flag)?;
    let glob = bare.pattern.glob();
    let covering = configured
        .iter()
        .filter(|it| it.pattern.covers(&bare.pattern));
    // The one that these names belong to: all others yield to it.
    let covering: Vec<_> = covering.collect();
    let patterns = covering.iter().map(|it| it.pattern.clone()).collect();
    let owner = covering.iter().zip(RecordPattern::resolve(patterns));
    let owner = owner
        .into_iter()
        .find(|(_, resolved)| resolved.yields_to().next().is_none())
        .map(|(it, _)| *it);
    let Some(owner) = owner else {
        return Ok(bare);
    };
    let is_same = owner.pattern.glob() == glob;
    Ok(match (owner.per_user, is_same) {
        (true, true) => owner.clone(),
        (false, true) => Protected {
            pattern: bare.pattern.with_excepts_of(&owner.pattern),
            ..owner.clone()
        },
        (_, false) => Protected {
            pattern: bare.pattern.part_of(&owner.pattern),
            name: bare.name,
            ..owner.clone()
        },
    })
}

/// A pattern without further settings.
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
        of_applications: DEFAULT_FORMAT,
        rules: EnvelopeRules::default(),
        group: None,
        deterministic_elements: false,
        names: None,
        per_user: false,
        forwards_scripts: false,
        pattern,
    })
}

fn from_file(
    records: &str,
    protect: &Protect,
    (file, index): (&ConfigurationFile, usize),
    has_ring: bool,
) -> Result<Protected, Failure> {
    let mut protected = from_pattern(records)?;
    for (number, except) in protect.except.iter().enumerate() {
        let excepted = protected.pattern.except(&[except]);
        protected.pattern = excepted.map_err(|error| {
            let path = file.path.as_deref().unwrap_or(Path::new(DEFAULT));
            let place = format!(
                "{}, [[protect]] number {}, except number {}",
                path.display(),
                index + 1,
                number + 1
            );
            match error {
                // Its text already says that it is an except.
                PatternError::Except(inner) => Failure::from(*inner),
                error => Failure::from(error),
            }
            .named(&place)
        })?;
    }
    if let Some(name) = &protect.name {
        protected.name.clone_from(name);
    }
    if let Some(format) = &protect.format {
        protected.format = format.parse()?;
        protected.of_applications = protected.format;
    }
    if protect.per_user_keys {
        per_user(&mut protected, protect, has_ring)?;
    }
    envelopes::apply(&mut protected, protect, has_ring)?;
    names::apply(&mut protected, protect, has_ring)?;
    if let Some(plain) = &protect.plain_values {
        protected.plain = plain.parse()?;
    }
    match protect.scripts.as_deref() {
        None | Some("refuse") => {}
        Some("forward") => protected.forwards_scripts = true,
        Some(word) => return Err(wrong_scripts(word, &protected.pattern, file)),
    }
    // Only the library uses it; it is checked here so that a misspelling is noticed.
    if let Some(word) = &protect.refused
        && !["error", "absent", "quarantine"].contains(&word.as_str())
    {
        return Err(Failure::usage(
            "refused is one of error, absent, quarantine",
        ));
    }
    Ok(protected)
}

fn wrong_scripts(word: &str, pattern: &RecordPattern, file: &ConfigurationFile) -> Failure {
    let file = file.path.as_deref().unwrap_or(Path::new(DEFAULT));
    let (file, records, word) = (file.display(), pattern.shown(), misspelt(word, "forward"));
    Failure::usage(format!(
        "{file}: [[protect]] records = \"{records}\": scripts is one of refuse, forward, not {word}"
    ))
}

/// Users' own keys need a pattern that names the user, a keyring that seals them, and a format that names its key.
fn per_user(protected: &mut Protected, settings: &Protect, has_ring: bool) -> Result<(), Failure> {
    let shown = protected.pattern.shown().to_owned();
    let refused = |why: &str, hint: &str| {
        let records = &shown;
        Err(Failure::usage(format!("per_user_keys of \"{records}\": {why}")).hint(hint))
    };
    if !protected.pattern.names_user() {
        let hint = "write {user} for the part of the record name that is the user: \"wa:{user}\"";
        return refused("the pattern does not say who the user is", hint);
    }
    if !has_ring {
        let hint = "waxseal keyring init creates one; keyring in waxseal.toml says where it is";
        return refused("it needs a keyring", hint);
    }
    if settings.format.is_some() && protected.format == Format::Classic {
        let hint = "format = \"sealed\", or none: per_user_keys implies it";
        return refused("the classic format names no key", hint);
    }
    protected.format = Format::Sealed;
    protected.of_applications = Format::Sealed;
    protected.per_user = true;
    Ok(())
}

/// Returns a pattern as it may be shown: not one that is the whole name of a record.
#[must_use]
pub fn shown_pattern(text: &str) -> String {
    match RecordPattern::is_one_name(text) {
        true => "one record".to_owned(),
        false => text.to_owned(),
    }
}
