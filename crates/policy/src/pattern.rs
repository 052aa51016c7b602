//! Patterns over record names: the globs of Redis with at most one `{user}`, names that are excepted from them,
//! and the order of several that match one name.

use std::sync::Arc;

use self::except::Except;
use self::glob::Glob;

mod bytes;
mod error;
mod except;
mod glob;
mod parse;
mod relation;
#[cfg(test)]
mod tests;

pub(crate) use bytes::byte_filter;
pub use error::PatternError;
pub(crate) use except::SortForm;

/// The prefix of Waxseal's own records: the canary, quarantine, keys of users. Ordinary patterns do not match
/// them.
pub const OWN_PREFIX: &[u8] = b"waxseal:";

/// A pattern over record names: `wa:{user}`, `whatsapp:temp_password:*`, `rq:job:*:[0-9]?`, or a literal name.
///
/// `*` matches any bytes, `?` one byte, `[a-z]` one of a set and `[^a-z]` one outside it; `\` escapes the next
/// character, so that `\{1\}` is a brace, `1` and a brace. `{user}` is a `*` that identifies the user of the
/// record. Every `*` and `{user}` matches the shortest text with which the remainder of the name matches, from
/// left to right; the last one matches all that remains.
#[derive(Clone, Debug)]
pub struct RecordPattern {
    text: String,
    glob: Glob,
    /// True if it matches Waxseal's own names, and only these.
    own: bool,
    names_user: bool,
    /// Names of these forms belong to the pattern, and their values are left in plaintext.
    excepts: Arc<[Except]>,
    /// More specific patterns: names that match them belong to them.
    yields_to: Arc<[RecordPattern]>,
    /// The wider pattern that determines the user of a name.
    part_of: Option<Arc<RecordPattern>>,
}

impl PartialEq for RecordPattern {
    /// Compares the texts, not the other patterns of the set.
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.own) == (&other.text, other.own)
    }
}

impl Eq for RecordPattern {}

impl RecordPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    ///
    /// If it is empty, too long, or not a glob; if the user is ambiguous; if it begins or ends with white space; if
    /// it can only match names of Waxseal's own records.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let pattern = Self::read(text)?;
        match pattern.prefix().as_bytes().starts_with(OWN_PREFIX) {
            true => Err(PatternError::Own(text.to_owned())),
            false => Ok(pattern),
        }
    }

    fn read(text: &str) -> Result<Self, PatternError> {
        let glob = Glob::parse(text)?;
        Ok(Self {
            text: text.to_owned(),
            names_user: glob.has_user(),
            glob,
            own: false,
            excepts: Arc::default(),
            yields_to: Arc::default(),
            part_of: None,
        })
    }

    /// Parses a pattern over Waxseal's own names, such as `waxseal:user:*`, for code that maintains them.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), but if its literal prefix does not start with `waxseal:`.
    pub fn parse_own(text: &str) -> Result<Self, PatternError> {
        let pattern = Self::read(text)?;
        if !pattern.prefix().as_bytes().starts_with(OWN_PREFIX) {
            return Err(PatternError::NotOwn(text.to_owned()));
        }
        Ok(Self {
            own: true,
            ..pattern
        })
    }

    /// The pattern of all names with this literal prefix; the remainder of a name is the user, or any text.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and if the prefix has `*` or `?`, which would not be wildcards.
    pub fn with_prefix(prefix: &str, names_user: bool) -> Result<Self, PatternError> {
        if let Some(odd) = prefix.chars().find(|c| matches!(c, '*' | '?')) {
            return Err(PatternError::Prefix(prefix.to_owned(), odd));
        }
        let wildcard = if names_user { parse::USER } else { "*" };
        Self::parse(&format!("{}{wildcard}", Self::escape(prefix)))
    }

    /// The pattern of all names that begin with a literal prefix of another pattern, whatever is in it.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn behind(prefix: &str) -> Result<Self, PatternError> {
        Self::parse(&format!("{}*", Self::escape(prefix)))
    }

    /// The text with all characters escaped that are special in a pattern.
    #[must_use]
    pub fn escape(text: &str) -> String {
        let mut escaped = String::with_capacity(text.len());
        for c in text.chars() {
            if matches!(c, '*' | '?' | '[' | '\\' | '{' | '}') {
                escaped.push('\\');
            }
            escaped.push(c);
        }
        escaped
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The pattern for a report or a log: one that is (nearly) the whole name of a record is not shown.
    #[must_use]
    pub fn shown(&self) -> &str {
        match self.glob.has_star() {
            true => &self.text,
            false => "one record",
        }
    }

    /// True if a text that may be a pattern is (nearly) the whole name of a record: it has neither `*` nor `{user}`.
    #[must_use]
    pub fn is_one_name(text: &str) -> bool {
        !error::has_star(text)
    }

    /// The literal text before the first wildcard, without escapes: the part of a name that may be shown.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.glob.prefix()
    }

    /// True if it is not one whole name, or is a [part](Self::part_of) of a pattern that is not.
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        !self.part_of.as_deref().unwrap_or(self).glob.is_literal()
    }

    /// The literal text behind which the names of its records are sealed, where they are: that of the wider pattern, if
    /// it is a [part](Self::part_of) of one. A record has one stored name, whatever part of the records is named.
    #[must_use]
    pub fn name_prefix(&self) -> &str {
        self.part_of.as_deref().unwrap_or(self).prefix()
    }

    /// True if a name belongs to the pattern. Waxseal's own names do not, unless the pattern is one [over
    /// them](Self::parse_own); nor do names that belong to another pattern of the same [set](Self::resolve).
    /// [Excepted](Self::is_excepted) names do.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        (self.own || !name.starts_with(OWN_PREFIX))
            && self.matches_form(name)
            && !self.is_yielded(name)
    }

    /// Makes these patterns a set, in which a name that several match belongs to the most specific one, and of
    /// equally specific ones to the first. The others no longer [match](Self::matches) it.
    ///
    /// More specific is a pattern without wildcards; then the one with the longer literal text before its first
    /// wildcard; then with the longer literal text after its last one; then with more literal text; then with
    /// `{user}` rather than `*`.
    #[must_use]
    pub fn resolve(patterns: Vec<Self>) -> Vec<Self> {
        let yields_to = |(index, pattern): (usize, &Self)| -> Arc<[Self]> {
            let others = patterns.iter().enumerate();
            let stronger = others.filter(|(other, it)| {
                it.ranks_before(*other, pattern, index) && it.overlaps(pattern)
            });
            let bare = |(_, it): (usize, &Self)| Self {
                yields_to: Arc::default(),
                ..it.clone()
            };
            stronger.map(bare).collect()
        };
        let yields: Vec<_> = patterns.iter().enumerate().map(yields_to).collect();
        let all = patterns.into_iter().zip(yields);
        all.map(|(pattern, yields_to)| Self {
            yields_to,
            ..pattern
        })
        .collect()
    }

    /// The more specific patterns of the set that some names of this form belong to.
    pub fn yields_to(&self) -> impl Iterator<Item = &Self> {
        self.yields_to.iter()
    }

    /// True if some name can have the form of both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        relation::overlap(self.glob.tokens(), other.glob.tokens())
    }

    /// True if every name of the other's form has this form. For globs with wildcards at different positions it may
    /// be false although it holds.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match other.glob.is_literal() {
            true => self.matches_form(other.prefix().as_bytes()),
            false => relation::cover(self.glob.tokens(), other.glob.tokens()),
        }
    }

    /// The order of patterns that match one name: the greater is the more specific.
    pub(crate) fn specificity(&self) -> impl Ord + use<> {
        let glob = &self.glob;
        let (prefix, suffix) = (glob.prefix().len(), glob.suffix().len());
        let literal = glob.literal_len();
        (glob.is_literal(), prefix, suffix, literal, glob.has_user())
    }

    /// The [filter](byte_filter) of bytes that all names of the pattern contain, if matching a name takes a search.
    pub(crate) fn searched_bytes(&self) -> u64 {
        self.glob.searched_bytes()
    }

    fn ranks_before(&self, index: usize, other: &Self, other_index: usize) -> bool {
        let (mine, theirs) = (self.specificity(), other.specificity());
        mine > theirs || (mine == theirs && index < other_index)
    }

    /// True if a name of this form belongs to a more specific pattern.
    fn is_yielded(&self, name: &[u8]) -> bool {
        self.yields_to.iter().any(|other| other.matches_form(name))
    }

    /// True if a name has the form of the pattern, even if it belongs to another: what a store scans for.
    #[inline]
    #[must_use]
    pub fn matches_form(&self, name: &[u8]) -> bool {
        self.glob.matches(name)
    }

    /// The same pattern, for a part of the records of a wider one, which determines their users and excepted names.
    #[must_use]
    pub fn part_of(self, wider: &Self) -> Self {
        Self {
            names_user: wider.names_user,
            part_of: Some(Arc::new(wider.clone())),
            ..self.with_excepts_of(wider)
        }
    }

    /// True if names identify a user.
    #[must_use]
    pub fn names_user(&self) -> bool {
        self.names_user
    }

    /// The user in a name, if the pattern has `{user}` and the name matches. A name with an empty text in its place
    /// matches and has no user.
    #[must_use]
    pub fn user<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        if let Some(wider) = &self.part_of {
            return wider.user(name).filter(|_| self.matches_form(name));
        }
        self.names_user
            .then(|| self.glob.captured(name))
            .flatten()
            .filter(|user| !user.is_empty())
    }

    /// The only record name of a user, if the pattern has `{user}` and no other wildcard, and the name belongs to
    /// it.
    #[must_use]
    pub fn name_of(&self, user: &[u8]) -> Option<Vec<u8>> {
        let of = self.part_of.as_deref().unwrap_or(self);
        let name = of.glob.name_of(user)?;
        (self.user(&name) == Some(user) && !self.is_yielded(&name)).then_some(name)
    }

    /// The pattern of the records of one user, if the user can be written in a pattern. It may match records of
    /// others as well: [`user`](Self::user) returns the user of each.
    #[must_use]
    pub fn of_user(&self, user: &[u8]) -> Option<Self> {
        if !self.glob.has_user() {
            return None;
        }
        let user = std::str::from_utf8(user).ok()?;
        let text = self.text.replacen(parse::USER, &Self::escape(user), 1);
        Self::read(&text).ok()
    }

    /// True if a user can have several records of this pattern: it has wildcards beside `{user}`.
    #[must_use]
    pub fn has_many_records_per_user(&self) -> bool {
        let of = self.part_of.as_deref().unwrap_or(self);
        self.names_user && of.glob.name_of(b"").is_none()
    }

    /// The pattern as a glob for `SCAN … MATCH`.
    #[must_use]
    pub fn glob(&self) -> String {
        self.glob.for_redis()
    }
}
