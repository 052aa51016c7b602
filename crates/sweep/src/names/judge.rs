//! The verdict on one stored name: what it is a name of, and the one that the record should have.

use waxseal_core::{KeyId, SealError};
use waxseal_kinds::LeftOut;
use waxseal_named::{NameTable, Opened};
use waxseal_policy::PatternId;
use waxseal_stores::{PatternError, RecordPattern};

use super::NamesGoal;
use crate::tally::NameCounts;

/// The records in quarantine: `waxseal:quarantine:{NAME}:ID`, where NAME is the name that the record was stored under.
const QUARANTINE: &str = "waxseal:quarantine:";

/// The names that a pass is about.
#[derive(Clone, Debug)]
pub enum NamesScope {
    /// Those of the records of a pattern whose names are sealed.
    Pattern(RecordPattern),
    /// Those in the names of records in quarantine.
    Quarantine,
}

/// Judges stored names.
pub(super) struct Judge {
    names: NameTable,
    scope: NamesScope,
    goal: NamesGoal,
    /// The pattern of the scope in the table, if it is the first with its prefix: names that do not open are counted once.
    owner: Option<PatternId>,
}

/// What a stored name was found to be.
pub(super) struct Judged {
    form: NameForm,
    logical: Option<Vec<u8>>,
    verdict: Verdict,
}

/// How a record is named.
enum NameForm {
    /// In a way that is no business of this pass.
    Other,
    Plain,
    /// Sealed under this key; true if it is the form that is written.
    Sealed(KeyId, bool),
    LeftOut(LeftOut, Option<KeyId>),
}

/// What is to be done about a name.
pub(super) enum Verdict {
    /// It is no business of this pass.
    Other,
    Keep,
    /// The record should have this name.
    Rename(Vec<u8>),
    /// Something is wrong with it.
    Fault(&'static str),
}

impl NamesScope {
    /// The pattern that stored names are found by.
    pub(super) fn scanned(&self) -> Result<RecordPattern, PatternError> {
        match self {
            Self::Pattern(pattern) => RecordPattern::behind(pattern.name_prefix()),
            Self::Quarantine => RecordPattern::parse_own(&format!("{QUARANTINE}*")),
        }
    }

    /// The part of names that findings show.
    pub(super) fn shown_prefix(&self) -> &str {
        match self {
            Self::Pattern(pattern) => pattern.prefix(),
            Self::Quarantine => QUARANTINE,
        }
    }
}

impl Judge {
    pub(super) fn new(names: NameTable, scope: NamesScope, goal: NamesGoal) -> Self {
        let owner = match &scope {
            NamesScope::Quarantine => None,
            NamesScope::Pattern(pattern) => {
                let patterns = names.protected();
                let mut same = patterns
                    .iter()
                    .filter(|(id, it)| patterns.is_managed(*id) && it.prefix() == pattern.prefix());
                let first = same.next().filter(|(_, first)| *first == pattern);
                first.map(|(id, _)| id)
            }
        };
        Self {
            names,
            scope,
            goal,
            owner,
        }
    }

    pub(super) fn goal(&self) -> NamesGoal {
        self.goal
    }

    pub(super) fn scope(&self) -> &NamesScope {
        &self.scope
    }

    /// Judges the name of a stored record.
    pub(super) fn judge(&self, stored: &[u8]) -> Result<Judged, SealError> {
        if let NamesScope::Pattern(_) = self.scope {
            return self.judge_name(stored);
        }
        let Some((before, origin, behind)) = origin(stored) else {
            return Ok(Judged::OTHER);
        };
        let mut judged = self.judge_name(origin)?;
        match &mut judged.verdict {
            Verdict::Rename(to) => *to = [before, &**to, behind].concat(),
            // What is wrong with the name of a record is reported where that is stored.
            Verdict::Fault(_) => return Ok(Judged::OTHER),
            Verdict::Keep | Verdict::Other => {}
        }
        Ok(judged)
    }

    fn judge_name(&self, stored: &[u8]) -> Result<Judged, SealError> {
        let view = self.names.view();
        let mut logical = Vec::new();
        match view.open(stored, &mut logical) {
            Opened::Same => Ok(Judged::OTHER),
            Opened::Name { pattern, key } if self.is_concerned(pattern) => {
                let written = view.stored(&logical)?;
                let is_written = written.as_deref() == Some(stored);
                let verdict = match self.goal {
                    NamesGoal::Open => Verdict::Rename(logical.clone()),
                    NamesGoal::Count | NamesGoal::Seal if is_written => Verdict::Keep,
                    NamesGoal::Count | NamesGoal::Seal => Verdict::rename(written),
                };
                Ok(Judged {
                    form: NameForm::Sealed(key, is_written),
                    logical: Some(logical),
                    verdict,
                })
            }
            Opened::LeftOut {
                reason: LeftOut::Stray,
                ..
            } => self.judge_plain(stored),
            Opened::Name { .. } => Ok(Judged::OTHER),
            Opened::LeftOut { reason, key } => Ok(self.judge_left_out(stored, reason, key)),
        }
    }

    /// Judges a plain name of a pattern whose names are sealed.
    fn judge_plain(&self, stored: &[u8]) -> Result<Judged, SealError> {
        let pattern = self.names.protected().find(stored);
        if !pattern.is_some_and(|pattern| self.is_concerned(pattern)) {
            return Ok(Judged::OTHER);
        }
        let verdict = match self.goal {
            NamesGoal::Open => Verdict::Keep,
            NamesGoal::Count | NamesGoal::Seal => match self.names.view().stored(stored) {
                Ok(written) => Verdict::rename(written),
                Err(SealError::TooLong) => Verdict::Fault("its name is too long to seal"),
                Err(error) => return Err(error),
            },
        };
        Ok(Judged {
            form: NameForm::Plain,
            logical: None,
            verdict,
        })
    }

    /// Judges a name that applications cannot use.
    fn judge_left_out(&self, stored: &[u8], reason: LeftOut, key: Option<KeyId>) -> Judged {
        let is_mine = self
            .owner
            .is_some_and(|owner| self.names.view().may_be_sealed(owner, stored));
        let is_quarantine = matches!(self.scope, NamesScope::Quarantine);
        if !is_mine && !is_quarantine {
            return Judged::OTHER;
        }
        let mut logical = Vec::new();
        let opened = self.names.view().open_any(stored, &mut logical);
        let is_excepted = || {
            let pattern = self.names.protected().find(&logical);
            pattern.is_some_and(PatternId::is_excepted)
        };
        let verdict = match (self.goal, opened) {
            (NamesGoal::Open, Some(_)) => Verdict::Rename(logical.clone()),
            // The except was added after the name had been sealed: names that are excepted are plain.
            (NamesGoal::Seal, Some(_)) if is_excepted() => Verdict::Rename(logical.clone()),
            _ => Verdict::Fault(match reason {
                LeftOut::Junk | LeftOut::Stray => {
                    "its name has the form of a sealed one and does not open"
                }
                LeftOut::Foreign => {
                    "its name opens and is that of no pattern whose names are sealed"
                }
                LeftOut::UnknownKey => "its name is sealed under a key that is not known",
            }),
        };
        Judged {
            form: NameForm::LeftOut(reason, key.or(opened)),
            logical: opened.map(|_| logical),
            verdict,
        }
    }

    /// True if names of this pattern are in the scope.
    fn is_concerned(&self, id: PatternId) -> bool {
        let patterns = self.names.protected();
        match &self.scope {
            NamesScope::Pattern(pattern) => patterns.pattern(id) == pattern,
            NamesScope::Quarantine => patterns.is_managed(id),
        }
    }
}

impl Judged {
    const OTHER: Self = Self {
        form: NameForm::Other,
        logical: None,
        verdict: Verdict::Other,
    };

    pub(super) fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The name that findings show masked.
    pub(super) fn shown<'n>(&'n self, stored: &'n [u8]) -> &'n [u8] {
        self.logical.as_deref().unwrap_or(stored)
    }

    /// Counts the name.
    pub(super) fn count(&self, counts: &mut NameCounts) {
        match self.form {
            NameForm::Other => {}
            NameForm::Plain => counts.plain += 1,
            NameForm::Sealed(key, is_written) => {
                *counts.sealed.entry(key).or_default() += 1;
                counts.former += u64::from(!is_written);
            }
            NameForm::LeftOut(reason, key) => {
                match reason {
                    LeftOut::Junk | LeftOut::Stray => counts.junk += 1,
                    LeftOut::Foreign => counts.foreign += 1,
                    LeftOut::UnknownKey => counts.unknown_key += 1,
                }
                if let Some(key) = key {
                    *counts.unusable.entry(key).or_default() += 1;
                }
            }
        }
    }
}

impl Verdict {
    fn rename(to: Option<Vec<u8>>) -> Self {
        to.map_or(Self::Keep, Self::Rename)
    }
}

/// The name of the record that was put into quarantine under this name, and what is before and behind it.
fn origin(stored: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let origin_and_id = stored
        .strip_prefix(QUARANTINE.as_bytes())?
        .strip_prefix(b"{")?;
    let len = origin_and_id.windows(2).rposition(|pair| pair == b"}:")?;
    let (origin, behind) = origin_and_id.split_at_checked(len)?;
    let before = stored.get(..stored.len().checked_sub(origin_and_id.len())?)?;
    Some((before, origin, behind))
}
