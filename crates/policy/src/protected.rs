//! The protected names: all patterns of one policy, and the one that a name belongs to. Channels have patterns of their
//! own: a pattern of records matches no channel.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::pattern::{OWN_PREFIX, RecordPattern, SortForm, byte_filter};

/// The pattern that a name belongs to, by its index in the order of the configuration; and whether the name is
/// excepted from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PatternId(u32);

/// The bit of an id that is set if the name is excepted.
const EXCEPTED: u32 = 1 << 31;

impl PatternId {
    /// The index in the order of the configuration, from 0.
    #[must_use]
    pub fn index(self) -> usize {
        (self.0 & !EXCEPTED) as usize
    }

    /// True if the name is excepted from the pattern: its values are left in plaintext.
    #[inline]
    #[must_use]
    pub fn is_excepted(self) -> bool {
        self.0 & EXCEPTED != 0
    }

    fn with_excepted(self, is_excepted: bool) -> Self {
        Self(self.0 | if is_excepted { EXCEPTED } else { 0 })
    }
}

/// The patterns of protected record names. Of several that match a name the most specific decides, and of
/// equally specific ones the first ([`RecordPattern::resolve`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProtectedNames {
    patterns: Vec<RecordPattern>,
    /// The most specific first.
    order: Vec<Candidate>,
    /// Requests may write records of Waxseal's own.
    own_writable: bool,
    /// For each pattern, whether unknown scripts may name its records.
    forwards_scripts: Vec<bool>,
    /// For each pattern, whether the names of its records are sealed; empty if none has such names.
    managed: Vec<bool>,
    /// For each pattern, how its values are sealed, as far as the server depends on it.
    scopes: Vec<Scope>,
    /// The patterns of protected channels. Their ids follow those of the records.
    channels: Vec<RecordPattern>,
    /// Those of channels, the most specific first.
    channel_order: Vec<Candidate>,
}

/// What the values of a pattern have in common with those of other records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// The group that values are bound to in place of their record, as a number that only this group has.
    pub group: Option<u32>,
    /// Values are under the key of the user whom the record's name names.
    pub per_user: bool,
    /// Elements of lists are sealed deterministically: equal ones have equal bytes.
    pub deterministic_elements: bool,
}

/// The beginnings of channels on which servers publish messages of their own.
const SERVER_CHANNELS: [&[u8]; 5] = [
    b"__keyspace@",
    b"__keyevent@",
    b"__subkey",
    b"__redis__:",
    b"__sentinel__:",
];

/// Those among them that name a record in full, after the number of the database: the keyspace notifications.
pub(crate) const NOTIFICATION_CHANNELS: [&[u8]; 2] = [b"__keyspace@", b"__subkey"];

/// A pattern with what rules it out for most names: their first bytes, and bytes that they lack.
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

/// The first eight bytes of a name, padded with zero bytes.
#[inline]
fn start(name: &[u8]) -> u64 {
    if let Some(start) = name.first_chunk() {
        return u64::from_le_bytes(*start);
    }
    let shift = |start: u64, byte: &u8| start << 8 | u64::from(*byte);
    name.iter().rev().fold(0, shift)
}

impl ProtectedNames {
    /// Protected names by patterns, in the order of the configuration.
    #[must_use]
    pub fn new(patterns: Vec<RecordPattern>) -> Self {
        let patterns = RecordPattern::resolve(patterns);
        Self {
            order: by_specificity(ids().zip(&patterns)),
            patterns,
            own_writable: false,
            forwards_scripts: Vec::new(),
            managed: Vec::new(),
            channels: Vec::new(),
            channel_order: Vec::new(),
            scopes: Vec::new(),
        }
    }

    /// The same patterns of records, and these of channels, whose messages are protected. The id of the first follows that
    /// of the last pattern of records.
    #[must_use]
    pub fn channels(mut self, patterns: Vec<RecordPattern>) -> Self {
        let patterns = RecordPattern::resolve(patterns);
        let ids = ids().skip(self.patterns.len());
        self.channel_order = by_specificity(ids.zip(&patterns));
        self.channels = patterns;
        self
    }

    /// True if messages of some channels are protected.
    #[inline]
    #[must_use]
    pub fn has_channels(&self) -> bool {
        !self.channels.is_empty()
    }

    /// The pattern that this channel belongs to, if its messages are protected. Channels on which servers publish messages
    /// of their own, such as notifications about records, belong to none.
    #[must_use]
    pub fn find_channel(&self, channel: &[u8]) -> Option<PatternId> {
        let is_server = || {
            let mut beginnings = SERVER_CHANNELS.iter();
            beginnings.any(|start| channel.starts_with(start))
        };
        if self.channels.is_empty() || is_server() {
            return None;
        }
        self.find_among(&self.channel_order, channel)
    }

    /// The same patterns, each with the scope that this returns for its index.
    #[must_use]
    pub fn with_scopes(mut self, scope: impl Fn(usize) -> Scope) -> Self {
        self.scopes = (0..self.patterns.len()).map(scope).collect();
        self
    }

    fn scope(&self, id: PatternId) -> Scope {
        self.scopes.get(id.index()).copied().unwrap_or_default()
    }

    /// True if elements of lists of this pattern are sealed deterministically. Under excepted names they are plain.
    #[must_use]
    pub fn has_deterministic_elements(&self, id: PatternId) -> bool {
        id.is_excepted() || self.scope(id).deterministic_elements
    }

    /// True if a value of one of these records opens in the other one: both belong to one group that values are bound
    /// to, and are under the same key.
    #[must_use]
    pub fn share_values(&self, one: &[u8], other: &[u8]) -> bool {
        let of = |name| {
            let id = self.find_sealed(name)?;
            let scope = self.scope(id);
            let user = match scope.per_user {
                true => self.pattern(id).user(name),
                false => None,
            };
            Some((scope.group?, user))
        };
        matches!((of(one), of(other)), (Some(one), Some(other)) if one == other)
    }

    /// The same patterns, with unknown scripts and functions forwarded for records of the patterns for whose index
    /// `forwards` returns true. They see sealed values, and what they write is plaintext.
    #[must_use]
    pub fn forward_scripts(mut self, forwards: impl Fn(usize) -> bool) -> Self {
        self.forwards_scripts = (0..self.patterns.len()).map(forwards).collect();
        self
    }

    /// True if unknown scripts may name records of this pattern.
    #[must_use]
    pub fn forwards_scripts(&self, id: PatternId) -> bool {
        let forwards = self.forwards_scripts.get(id.index());
        forwards.copied().unwrap_or_default()
    }

    /// The same patterns; the names of the records of those for whose index `is_managed` returns true are stored sealed.
    #[must_use]
    pub fn with_managed_names(mut self, is_managed: impl Fn(usize) -> bool) -> Self {
        let managed: Vec<_> = (0..self.patterns.len()).map(is_managed).collect();
        self.managed = match managed.contains(&true) {
            true => managed,
            false => Vec::new(),
        };
        self
    }

    /// True if the names of some pattern are sealed.
    #[inline]
    #[must_use]
    pub fn has_managed(&self) -> bool {
        !self.managed.is_empty()
    }

    /// True if this name is stored sealed. Excepted names are not.
    #[inline]
    #[must_use]
    pub fn is_managed(&self, id: PatternId) -> bool {
        !id.is_excepted() && self.managed.get(id.index()).copied().unwrap_or_default()
    }

    /// True for a channel of notifications that may end with a name which is stored sealed.
    #[must_use]
    pub fn may_hold_sealed_name(&self, channel: &[u8]) -> bool {
        self.has_managed()
            && NOTIFICATION_CHANNELS
                .iter()
                .any(|it| channel.starts_with(it))
    }

    /// The literal prefixes of the patterns whose names are sealed, in the order of the configuration. Several may be equal.
    pub fn managed_prefixes(&self) -> impl Iterator<Item = &[u8]> {
        let patterns = self.patterns.iter().zip(&self.managed);
        let managed = patterns.filter(|(_, is_managed)| **is_managed);
        managed.map(|(pattern, _)| pattern.name_prefix().as_bytes())
    }

    /// The same patterns, with requests allowed to write records of Waxseal's own, under `waxseal:`.
    #[must_use]
    pub fn allow_own_writes(mut self, allow: bool) -> Self {
        self.own_writable = allow;
        self
    }

    /// True for the name of a record of Waxseal's own that requests may not write.
    #[must_use]
    pub fn is_read_only(&self, name: &[u8]) -> bool {
        !self.own_writable && name.starts_with(OWN_PREFIX)
    }

    /// The pattern that this name belongs to, if it is protected, and whether the name is excepted from it. Names
    /// of Waxseal's own belong to none.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<PatternId> {
        if name.starts_with(OWN_PREFIX) {
            return None;
        }
        self.find_among(&self.order, name)
    }

    #[inline]
    fn find_among(&self, order: &[Candidate], name: &[u8]) -> Option<PatternId> {
        let start = start(name);
        // Computed once for all patterns, and not needed by most.
        let mut name_filter = None;
        order.iter().find_map(|candidate| {
            if start & candidate.mask != candidate.start {
                return None;
            }
            if candidate.searched != 0 {
                let name_filter = *name_filter.get_or_insert_with(|| byte_filter(name));
                if candidate.searched & !name_filter != 0 {
                    return None;
                }
            }
            let pattern = self.get(candidate.id)?;
            let is_match = pattern.matches_form(name);
            is_match.then(|| candidate.id.with_excepted(pattern.is_excepted(name)))
        })
    }

    /// The pattern under which the values of this record are sealed: none if the name is excepted.
    #[must_use]
    pub fn find_sealed(&self, name: &[u8]) -> Option<PatternId> {
        self.find(name).filter(|id| !id.is_excepted())
    }

    /// The pattern with an id.
    ///
    /// # Panics
    ///
    /// If the id comes from a policy with more patterns than this one.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "only `find`, `find_channel` and `iter` of these patterns create ids"
    )]
    pub fn pattern(&self, id: PatternId) -> &RecordPattern {
        self.get(id).expect("an id of these patterns")
    }

    #[inline]
    fn get(&self, id: PatternId) -> Option<&RecordPattern> {
        let of_records = self.patterns.get(id.index());
        of_records.or_else(|| {
            let index = id.index().checked_sub(self.patterns.len())?;
            self.channels.get(index)
        })
    }

    /// The same patterns, with these names excepted as well; `None` if one of these globs cannot be an `except` of
    /// its pattern.
    #[must_use]
    pub fn with_excepts(&self, excepts: &BTreeMap<PatternId, Vec<String>>) -> Option<Self> {
        let mut names = self.clone();
        for (id, globs) in excepts {
            let pattern = names.patterns.get_mut(id.index())?;
            *pattern = pattern.clone().except(globs).ok()?;
        }
        Some(names)
    }

    /// True if a glob may match a protected name, as SORT's `BY` and `GET` replace its first `*` by elements. It may
    /// be true too often but never false too often: patterns are compared by their literal prefixes. It is false if
    /// every name of the glob is excepted.
    #[must_use]
    pub fn may_match(&self, glob: &[u8]) -> bool {
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
                        // No name remains for less specific patterns.
                        return false;
                    }
                }
                _ => return true,
            }
        }
        false
    }

    /// All patterns of records with their ids, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = (PatternId, &RecordPattern)> {
        ids().zip(&self.patterns)
    }
}

/// Patterns with their ids, the most specific first.
fn by_specificity<'p>(
    patterns: impl Iterator<Item = (PatternId, &'p RecordPattern)>,
) -> Vec<Candidate> {
    let mut order: Vec<_> = patterns.collect();
    order.sort_by_key(|(_, pattern)| Reverse(pattern.specificity()));
    let candidates = order.into_iter();
    let candidates = candidates.map(|(id, pattern)| Candidate::new(id, pattern));
    candidates.collect()
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
            let mut rotated = texts;
            rotated.rotate_left(shift);
            let names = ProtectedNames::new(rotated.map(parse).to_vec());
            let found = |name: &[u8]| names.find(name).map(|id| names.pattern(id).as_str());
            assert_eq!(found(b"wa:temp:1"), Some("wa:temp:*"));
            assert_eq!((found(b"one"), found(b"ones")), (Some("one"), Some("*")));
            assert_eq!(found(b"waxseal:canary"), None);
            assert_eq!(found(b"wa:1"), Some("wa:{user}"));
        }
    }

    #[test]
    fn channels_have_patterns_of_their_own() {
        let parse = |text| RecordPattern::parse(text).unwrap();
        let names = ProtectedNames::new(vec![parse("*")]);
        assert!(!names.has_channels() && names.find_channel(b"news:1").is_none());
        let names = ProtectedNames::new(vec![parse("wa:*"), parse("app:*")]).channels(vec![
            parse("news:*"),
            parse("news:local:*"),
            parse("*"),
        ]);
        let found = |channel: &[u8]| {
            let id = names.find_channel(channel)?;
            Some((id.index(), names.pattern(id).as_str()))
        };
        assert_eq!(found(b"news:1"), Some((2, "news:*")));
        assert_eq!(found(b"news:local:1"), Some((3, "news:local:*")));
        assert_eq!(found(b"wa:1"), Some((4, "*")));
        for server in [
            "__keyspace@0__:wa:1",
            "__keyevent@0__:set",
            "__redis__:invalidate",
            "__sentinel__:hello",
        ] {
            assert_eq!(found(server.as_bytes()), None, "{server}");
        }
        // A record of that name belongs to the patterns of records alone.
        assert_eq!(names.find(b"news:1"), None);
        assert_eq!(names.find(b"wa:1").map(PatternId::index), Some(0));
        assert_eq!(names.iter().count(), 2);
    }

    #[test]
    fn a_glob_whose_names_are_all_excepted_matches_no_protected_name() {
        let parse = |text| RecordPattern::parse(text).unwrap();
        let except = |text, globs: &[&str]| parse(text).except(globs).unwrap();
        let app = || except("app:*", &["app:*:weight", "app:[0-9]*:hash"]);
        for (patterns, glob, may_match) in [
            (vec![app()], "app:*:weight", false),
            (vec![app()], "app:x*:weight", false),
            (vec![app()], "app:*:weight->field", false),
            // Not a field: the arrow belongs to the name.
            (vec![app()], "app:*:weight->", true),
            (vec![app()], "app:*:other", true),
            (vec![app()], "*:weight", true),
            (vec![app()], "app:7*:hash", false),
            (vec![app()], "app:*:hash", true),
            // Only the first star is replaced by an element.
            (vec![app()], "app:*:x*:weight", false),
            (vec![app()], "app:\0*:weight", true),
            (vec![app(), parse("*")], "app:*:weight", false),
            (vec![app(), parse("app:*:x:*")], "app:*:weight", true),
            (vec![app(), parse("app:a*")], "app:*:weight", true),
        ] {
            let names = ProtectedNames::new(patterns);
            assert_eq!(names.may_match(glob.as_bytes()), may_match, "{glob}");
        }
        let long = format!("app:{}*:weight", "x".repeat(2000));
        assert!(ProtectedNames::new(vec![app()]).may_match(long.as_bytes()));
    }
}
