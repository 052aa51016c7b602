//! Names that are excepted from a pattern: they belong to it, and their values are left in plaintext.

use std::sync::Arc;

use super::error::PatternError;
use super::glob::Glob;
use super::parse::Token;
use super::{OWN_PREFIX, RecordPattern, relation};

/// Longer globs of SORT are not compared with excepts: the comparison takes time that grows with the product of
/// their lengths.
const MAX_SORT_GLOB: usize = 128;

/// The names that SORT looks up for a glob of `BY` or `GET`: those with any text for its first `*`.
pub(crate) struct SortForm(Vec<Token>);

impl SortForm {
    /// The names of a glob, without the hash field after `->`. `None` if it has no `*` or is too long.
    pub(crate) fn of(glob: &[u8]) -> Option<Self> {
        // Servers read some parts of it up to a zero byte, and others as a whole.
        if glob.len() > MAX_SORT_GLOB || glob.contains(&0) {
            return None;
        }
        let star = glob.iter().position(|byte| *byte == b'*')?;
        let (prefix, suffix) = (glob.get(..star)?, glob.get(star.checked_add(1)?..)?);
        let arrow = suffix.windows(2).position(|pair| pair == b"->");
        let has_field = |at: &usize| at.saturating_add(2) < suffix.len();
        let suffix = match arrow.filter(has_field) {
            Some(at) => suffix.get(..at)?,
            None => suffix,
        };
        let literal = |bytes: &[u8]| bytes.iter().copied().map(Token::Byte).collect::<Vec<_>>();
        Some(Self(
            [literal(prefix), vec![Token::Star], literal(suffix)].concat(),
        ))
    }

    /// True if all these names have the form of one `except` of the pattern.
    pub(crate) fn is_excepted_from(&self, pattern: &RecordPattern) -> bool {
        let mut excepts = pattern.excepts.iter();
        excepts.any(|except| relation::cover(except.glob.tokens(), &self.0))
    }

    /// True if all these names have the form of the pattern.
    pub(crate) fn is_covered_by(&self, pattern: &RecordPattern) -> bool {
        relation::cover(pattern.glob.tokens(), &self.0)
    }
}

/// A glob over whole names that are excepted.
#[derive(Clone, Debug)]
pub(super) struct Except {
    text: Arc<str>,
    glob: Glob,
}

impl Except {
    fn parse(text: &str) -> Result<Self, PatternError> {
        let invalid = |error| PatternError::Except(Box::new(error));
        let glob = Glob::parse(text).map_err(invalid)?;
        match glob.has_user() {
            true => Err(PatternError::ExceptUser(text.to_owned())),
            false => Ok(Self {
                text: text.into(),
                glob,
            }),
        }
    }

    fn shown(&self) -> &str {
        match self.glob.has_star() {
            true => &self.text,
            false => "one record",
        }
    }
}

impl RecordPattern {
    /// The same pattern with names excepted: those that one of these globs matches belong to the pattern, and their
    /// values are left in plaintext.
    ///
    /// # Errors
    ///
    /// If one of them is not a glob, has `{user}`, or matches no name or all names of the pattern's form.
    pub fn except<T: AsRef<str>>(self, globs: &[T]) -> Result<Self, PatternError> {
        let mut excepts = self.excepts.to_vec();
        for glob in globs {
            let except = Except::parse(glob.as_ref())?;
            let (of, globs) = (
                || self.text.clone(),
                (except.glob.tokens(), self.glob.tokens()),
            );
            let is_of_own = !self.own && except.glob.prefix().as_bytes().starts_with(OWN_PREFIX);
            if is_of_own || !relation::overlap(globs.0, globs.1) {
                return Err(PatternError::ExceptNothing(except.text.to_string(), of()));
            }
            if relation::cover(globs.0, globs.1) {
                return Err(PatternError::ExceptAll(of(), except.text.to_string()));
            }
            excepts.push(except);
        }
        Ok(Self {
            excepts: excepts.into(),
            ..self
        })
    }

    /// The same pattern, with the excepts of another one over the same names.
    #[must_use]
    pub fn with_excepts_of(self, other: &Self) -> Self {
        let is_of_both = |it: &&Except| relation::overlap(it.glob.tokens(), self.glob.tokens());
        let theirs = other.excepts.iter().filter(is_of_both);
        let excepts = self.excepts.iter().chain(theirs).cloned().collect();
        Self { excepts, ..self }
    }

    /// True if a name of this pattern is excepted: its values are left in plaintext.
    #[inline]
    #[must_use]
    pub fn is_excepted(&self, name: &[u8]) -> bool {
        self.excepts.iter().any(|except| except.glob.matches(name))
    }

    /// True if any name is excepted.
    #[inline]
    #[must_use]
    pub fn has_excepts(&self) -> bool {
        !self.excepts.is_empty()
    }

    /// The excepts as written. One without a wildcard is the whole name of a record.
    pub fn excepts(&self) -> impl Iterator<Item = &str> {
        self.excepts.iter().map(|except| &*except.text)
    }

    /// Checks that no except is for names that all belong to a more specific pattern of the same
    /// [set](Self::resolve), which does not except them.
    ///
    /// # Errors
    ///
    /// If there is such an except.
    pub fn check_excepts(&self) -> Result<(), PatternError> {
        let owned = self.overlapping_excepts();
        let mut owned = owned
            .filter(|(except, owner)| relation::cover(owner.glob.tokens(), except.glob.tokens()));
        match owned.next() {
            None => Ok(()),
            Some((except, owner)) => Err(PatternError::ExceptOwned(
                except.text.to_string(),
                self.text.clone(),
                owner.text.clone(),
            )),
        }
    }

    /// The excepts that match names of more specific patterns of the same [set](Self::resolve), which do not except
    /// them: each as a report shows it, with that pattern.
    pub fn excepts_without_effect(&self) -> impl Iterator<Item = (&str, &Self)> {
        self.overlapping_excepts()
            .map(|(except, owner)| (except.shown(), owner))
    }

    fn overlapping_excepts(&self) -> impl Iterator<Item = (&Except, &Self)> {
        self.excepts.iter().flat_map(|except| {
            let tokens = except.glob.tokens();
            let overlapping = self
                .yields_to()
                .filter(move |owner| relation::overlap(owner.glob.tokens(), tokens));
            overlapping
                .filter(move |owner| !owner.excepts_all_of(tokens))
                .map(move |owner| (except, owner))
        })
    }

    /// True if one of the excepts matches all names of this form.
    fn excepts_all_of(&self, tokens: &[Token]) -> bool {
        let mut excepts = self.excepts.iter();
        excepts.any(|it| relation::cover(it.glob.tokens(), tokens))
    }

    /// The excepts for a report or a log: one that is the whole name of a record is not shown.
    pub fn shown_excepts(&self) -> impl Iterator<Item = &str> {
        self.excepts.iter().map(Except::shown)
    }
}
