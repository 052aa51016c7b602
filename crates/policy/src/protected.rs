//! The protected names: all patterns of one policy, and which of them a name belongs to. What is done
//! with a record that one of them means is not known here.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::pattern::{OWN_PREFIX, RecordPattern, SortForm, byte_filter};

/// Which of the patterns means a name: its place in the order they were given in; and whether the name
/// is excepted from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PatternId(u32);

/// The bit of an id that says that the name is excepted.
const EXCEPTED: u32 = 1 << 31;

impl PatternId {
    /// The place in the order that the patterns were given in, from 0.
    #[must_use]
    pub fn index(self) -> usize {
        (self.0 & !EXCEPTED) as usize
    }

    /// Returns whether the name is excepted from the pattern: values under it are left plain.
    #[inline]
    #[must_use]
    pub fn is_excepted(self) -> bool {
        self.0 & EXCEPTED != 0
    }

    fn with_excepted(self, is_excepted: bool) -> Self {
        Self(self.0 | if is_excepted { EXCEPTED } else { 0 })
    }
}

/// The patterns over record names that are protected. Of several that match a name the most specific
/// decides, else the first ([`RecordPattern::resolve`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProtectedNames {
    patterns: Vec<RecordPattern>,
    /// The most specific first.
    order: Vec<Candidate>,
    /// Requests may write records of Waxseal's own.
    own_writable: bool,
    /// For each pattern, whether unknown scripts may name its records.
    forwards_scripts: Vec<bool>,
}

/// A pattern, as it is ruled out for most names: by their first bytes, and by bytes that they lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Candidate {
    id: PatternId,
    /// The first bytes of all names of the pattern.
    start: u64,
    /// The mask of the bytes that `start` has.
    mask: u64,
    /// The filter of bytes that a name must hold before it is worth a search.
    searched: u64,
}

impl Candidate {
    fn new(id: PatternId, pattern: &RecordPattern) -> Self {
        let prefix = pattern.prefix().as_bytes();
        let known = prefix.iter().map(|_| u8::MAX).take(8);
        Self {
            id,
            start: start(prefix),
            mask: start(&known.collect::<Vec<_>>()),
            searched: pattern.searched_bytes(),
        }
    }
}

/// The first eight bytes of a name, with zero bytes behind one that is shorter.
#[inline]
fn start(name: &[u8]) -> u64 {
    if let Some(start) = name.first_chunk() {
        return u64::from_le_bytes(*start);
    }
    let shift = |start: u64, byte: &u8| start << 8 | u64::from(*byte);
    name.iter().rev().fold(0, shift)
}

impl ProtectedNames {
    /// The patterns, in the order in which they were given.
    #[must_use]
    pub fn new(patterns: Vec<RecordPattern>) -> Self {
        let patterns = RecordPattern::resolve(patterns);
        let mut order: Vec<_> = ids().zip(&patterns).collect();
        order.sort_by_key(|(_, pattern)| Reverse(pattern.specificity()));
        Self {
            order: order
                .into_iter()
                .map(|(id, pattern)| Candidate::new(id, pattern))
                .collect(),
            patterns,
            own_writable: false,
            forwards_scripts: Vec::new(),
        }
    }

    /// The same patterns, with unknown scripts and functions forwarded for the records of those patterns for whose
    /// place in the order, from 0, `forwards` says so. They see sealed values, and what they write is plain.
    #[must_use]
    pub fn forward_scripts(mut self, forwards: impl Fn(usize) -> bool) -> Self {
        self.forwards_scripts = (0..self.patterns.len()).map(forwards).collect();
        self
    }

    /// Returns whether unknown scripts may name records of this pattern.
    #[must_use]
    pub fn forwards_scripts(&self, id: PatternId) -> bool {
        let forwards = self.forwards_scripts.get(id.index());
        forwards.copied().unwrap_or_default()
    }

    /// The same patterns, with requests allowed to write records of Waxseal's own, under `waxseal:`.
    #[must_use]
    pub fn allow_own_writes(mut self, allow: bool) -> Self {
        self.own_writable = allow;
        self
    }

    /// Whether this is the name of a record of Waxseal's own that requests may not write.
    #[must_use]
    pub fn is_read_only(&self, name: &[u8]) -> bool {
        !self.own_writable && name.starts_with(OWN_PREFIX)
    }

    /// The pattern that this name belongs to, if it is protected at all, and whether the name is excepted
    /// from it. Names of Waxseal's own belong to none.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<PatternId> {
        if name.starts_with(OWN_PREFIX) {
            return None;
        }
        let start = start(name);
        // Shared by all patterns, and not needed by most.
        let mut held = None;
        self.order.iter().find_map(|candidate| {
            if start & candidate.mask != candidate.start {
                return None;
            }
            if candidate.searched != 0 {
                let held = *held.get_or_insert_with(|| byte_filter(name));
                if candidate.searched & !held != 0 {
                    return None;
                }
            }
            let pattern = self.patterns.get(candidate.id.index())?;
            let is_named = pattern.names(name);
            is_named.then(|| candidate.id.with_excepted(pattern.is_excepted(name)))
        })
    }

    /// The pattern that the values of this record are sealed for: none where the name is excepted.
    #[must_use]
    pub fn find_sealed(&self, name: &[u8]) -> Option<PatternId> {
        self.find(name).filter(|id| !id.is_excepted())
    }

    /// The pattern behind an id.
    ///
    /// # Panics
    ///
    /// When the id was handed out by a policy with more patterns than this one.
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        reason = "only `find` and `iter` of these patterns make ids"
    )]
    pub fn pattern(&self, id: PatternId) -> &RecordPattern {
        &self.patterns[id.index()]
    }

    /// The same patterns, with these names excepted as well; none where one of these globs cannot be an
    /// `except` of its pattern.
    #[must_use]
    pub fn with_excepts(&self, excepts: &BTreeMap<PatternId, Vec<String>>) -> Option<Self> {
        let mut names = self.clone();
        for (id, globs) in excepts {
            let pattern = names.patterns.get_mut(id.index())?;
            *pattern = pattern.clone().except(globs).ok()?;
        }
        Some(names)
    }

    /// Returns whether a glob could mean a protected name, as SORT's `BY` and `GET` put elements for the first
    /// `*`. It may say yes too often, never no too often: patterns are compared by their literal prefixes.
    /// It says no where every name of the glob is excepted.
    #[must_use]
    pub fn may_mean(&self, glob: &[u8]) -> bool {
        let is_special = |letter: &u8| matches!(letter, b'*' | b'?' | b'[' | b'\\');
        let Some(end) = glob.iter().position(is_special) else {
            return self.find_sealed(glob).is_some();
        };
        let prefix = glob.get(..end).unwrap_or_default();
        if prefix.starts_with(OWN_PREFIX) {
            return false;
        }
        let form = SortForm::of(glob);
        for candidate in &self.order {
            let Some(pattern) = self.patterns.get(candidate.id.index()) else {
                continue;
            };
            let literal = pattern.prefix().as_bytes();
            if !literal.starts_with(prefix) && !prefix.starts_with(literal) {
                continue;
            }
            match &form {
                Some(form) if form.is_excepted_from(pattern) => {
                    if form.is_covered_by(pattern) {
                        // No name is left for patterns that are less specific.
                        return false;
                    }
                }
                _ => return true,
            }
        }
        false
    }

    /// All patterns with their ids, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = (PatternId, &RecordPattern)> {
        ids().zip(&self.patterns)
    }
}

fn ids() -> impl Iterator<Item = PatternId> {
    (0..EXCEPTED).map(PatternId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_pattern_decides_whatever_the_order() {
        let parse = |text| RecordPattern::parse(text).unwrap();
        let texts = ["wa:*", "wa:temp:*", "wa:{user}", "one", "*"];
        for shift in 0..texts.len() {
            let mut turned = texts;
            turned.rotate_left(shift);
            let names = ProtectedNames::new(turned.map(parse).to_vec());
            let found = |name: &[u8]| names.find(name).map(|id| names.pattern(id).as_str());
            assert_eq!(found(b"wa:temp:1"), Some("wa:temp:*"));
            assert_eq!((found(b"one"), found(b"ones")), (Some("one"), Some("*")));
            assert_eq!(found(b"waxseal:canary"), None);
            assert_eq!(found(b"wa:1"), Some("wa:{user}"));
        }
    }

    #[test]
    fn a_glob_means_no_protected_name_where_all_of_its_names_are_excepted() {
        let parse = |text| RecordPattern::parse(text).unwrap();
        let except = |text, globs: &[&str]| parse(text).except(globs).unwrap();
        let app = || except("app:*", &["app:*:weight", "app:[0-9]*:hash"]);
        for (patterns, glob, may_mean) in [
            (vec![app()], "app:*:weight", false),
            (vec![app()], "app:x*:weight", false),
            (vec![app()], "app:*:weight->field", false),
            // No field: the arrow belongs to the name.
            (vec![app()], "app:*:weight->", true),
            (vec![app()], "app:*:other", true),
            (vec![app()], "*:weight", true),
            (vec![app()], "app:7*:hash", false),
            (vec![app()], "app:*:hash", true),
            // Only the first star stands for an element.
            (vec![app()], "app:*:x*:weight", false),
            (vec![app()], "app:\0*:weight", true),
            (vec![app(), parse("*")], "app:*:weight", false),
            (vec![app(), parse("app:*:x:*")], "app:*:weight", true),
            (vec![app(), parse("app:a*")], "app:*:weight", true),
        ] {
            let names = ProtectedNames::new(patterns);
            assert_eq!(names.may_mean(glob.as_bytes()), may_mean, "{glob}");
        }
        let long = format!("app:{}*:weight", "x".repeat(2000));
        assert!(ProtectedNames::new(vec![app()]).may_mean(long.as_bytes()));
    }
}
