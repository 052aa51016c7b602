//! Patterns over record names: Redis' globs with at most one `{user}`, names that are excepted from them, and
//! the order among several that match one name. What a pattern stands for (how its records are sealed, what
//! they are called) is not known here.

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

/// Names that begin so are Waxseal's own: the canary, quarantine, keys of users. An ordinary pattern
/// never means them.
pub const OWN_PREFIX: &[u8] = b"waxseal:";

/// Which records are meant: `wa:{user}`, `whatsapp:temp_password:*`, `rq:job:*:[0-9]?`, or one literal name.
///
/// `*` stands for any bytes, `?` for one byte, `[a-z]` for one of a set and `[^a-z]` for one outside it; `\`
/// takes the meaning from what follows it, so that `\{1\}` is a brace, `1` and a brace. `{user}`
/// is a `*` that says who the record is about. Every `*` and `{user}` takes the shortest text that lets
/// the rest match, from left to right; the last one takes the rest.
#[derive(Clone, Debug)]
pub struct RecordPattern {
    text: String,
    glob: Glob,
    /// Whether it means Waxseal's own names, and only such.
    own: bool,
    names_user: bool,
    /// Names of these forms are the pattern's, and are left plain.
    excepts: Arc<[Except]>,
    /// Patterns that names of this form belong to instead, if they match them too.
    yields_to: Arc<[RecordPattern]>,
    /// The wider pattern that says which part of a name is the user.
    part_of: Option<Arc<RecordPattern>>,
}

impl PartialEq for RecordPattern {
    /// The same words, whatever other patterns are beside them.
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.own) == (&other.text, other.own)
    }
}

impl Eq for RecordPattern {}

impl RecordPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// When it is empty, too long, no glob, or does not tell who the user is; when it begins or ends with
    /// a blank; when it can match no name but those of Waxseal's own records.
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

    /// Reads a pattern over Waxseal's own names: `waxseal:user:*`. For those who look after them.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), but when its literal part does not start with `waxseal:`.
    pub fn of_own(text: &str) -> Result<Self, PatternError> {
        let pattern = Self::read(text)?;
        if !pattern.prefix().as_bytes().starts_with(OWN_PREFIX) {
            return Err(PatternError::NotOwn(text.to_owned()));
        }
        Ok(Self {
            own: true,
            ..pattern
        })
    }

    /// The pattern of all names that begin with this text, whatever it is made of; the rest of a name is the user
    /// or anything.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and where the text has `*` or `?`, which are no wildcards here.
    pub fn of_prefix(prefix: &str, names_user: bool) -> Result<Self, PatternError> {
        if let Some(odd) = prefix.chars().find(|c| matches!(c, '*' | '?')) {
            return Err(PatternError::Prefix(prefix.to_owned(), odd));
        }
        let wildcard = if names_user { parse::USER } else { "*" };
        Self::parse(&format!("{}{wildcard}", Self::escape(prefix)))
    }

    /// A text that stands for itself in a pattern: what has a meaning there is escaped.
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

    /// The pattern for a report or a log: one that is the whole name of a record, or nearly so, is not shown.
    #[must_use]
    pub fn shown(&self) -> &str {
        match self.glob.has_star() {
            true => &self.text,
            false => "one record",
        }
    }

    /// Returns true if a text that may be a pattern is the whole name of a record, or nearly so: it has neither `*`
    /// nor `{user}`.
    #[must_use]
    pub fn is_one_name(text: &str) -> bool {
        !error::has_star(text)
    }

    /// The literal part before the first wildcard, without escapes: what may be shown of a name.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.glob.prefix()
    }

    /// Whether a name is meant. Names under Waxseal's own prefix never are, unless the pattern was
    /// read as one [over them](Self::of_own); nor are names that belong to another pattern of the same
    /// [set](Self::resolve). Names that are [excepted](Self::is_excepted) are meant.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        (self.own || !name.starts_with(OWN_PREFIX)) && self.names(name) && !self.leaves(name)
    }

    /// Decides which of these patterns each name belongs to that several of them match: the most specific
    /// one, and of equally specific ones the first. From then on the others do not
    /// [match](Self::matches) it.
    ///
    /// More specific is what has no wildcard; then what has the longer literal text before its first one;
    /// then what has the longer literal text behind its last one; then what has more literal text; then
    /// `{user}`, which says more than `*`.
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

    /// The patterns that some names of this form belong to instead.
    pub fn yields_to(&self) -> impl Iterator<Item = &Self> {
        self.yields_to.iter()
    }

    /// Whether some name can have the form of both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        relation::overlap(self.glob.tokens(), other.glob.tokens())
    }

    /// Returns whether every name of the other's form has this form, too. For globs whose wildcards stand in other
    /// places it may be false though it holds.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match other.glob.is_literal() {
            true => self.names(other.prefix().as_bytes()),
            false => relation::cover(self.glob.tokens(), other.glob.tokens()),
        }
    }

    /// What orders patterns that match one name: the greater is the more specific.
    pub(crate) fn specificity(&self) -> impl Ord + use<> {
        let glob = &self.glob;
        let (prefix, suffix) = (glob.prefix().len(), glob.suffix().len());
        let literal = glob.literal_len();
        (glob.is_literal(), prefix, suffix, literal, glob.has_user())
    }

    /// The [filter](byte_filter) of bytes that all names of the pattern hold, where it takes a search to see that a
    /// name is none of it.
    pub(crate) fn searched_bytes(&self) -> u64 {
        self.glob.searched_bytes()
    }

    fn ranks_before(&self, index: usize, other: &Self, other_index: usize) -> bool {
        let (mine, theirs) = (self.specificity(), other.specificity());
        mine > theirs || (mine == theirs && index < other_index)
    }

    /// Whether a name of this form belongs to another pattern.
    fn leaves(&self, name: &[u8]) -> bool {
        self.yields_to.iter().any(|other| other.names(name))
    }

    /// Whether a name has the pattern's form, whoever it belongs to: what a store scans by.
    #[inline]
    #[must_use]
    pub fn names(&self, name: &[u8]) -> bool {
        self.glob.matches(name)
    }

    /// The same pattern, for a part of the records of a wider one, which says who their users are and which
    /// of them are excepted.
    #[must_use]
    pub fn part_of(self, wider: &Self) -> Self {
        Self {
            names_user: wider.names_user,
            part_of: Some(Arc::new(wider.clone())),
            ..self.with_excepts_of(wider)
        }
    }

    /// Whether names say who their user is.
    #[must_use]
    pub fn names_user(&self) -> bool {
        self.names_user
    }

    /// The user in a name, where the pattern has `{user}` and the name matches. A name with nothing in
    /// that place matches and has no user.
    #[must_use]
    pub fn user<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        if let Some(wider) = &self.part_of {
            return wider.user(name).filter(|_| self.names(name));
        }
        self.names_user
            .then(|| self.glob.captured(name))
            .flatten()
            .filter(|user| !user.is_empty())
    }

    /// The one record name of a user, where the pattern has `{user}` and no other wildcard, and the name
    /// belongs to it.
    #[must_use]
    pub fn name_of(&self, user: &[u8]) -> Option<Vec<u8>> {
        let of = self.part_of.as_deref().unwrap_or(self);
        let name = of.glob.name_of(user)?;
        (self.user(&name) == Some(user) && !self.leaves(&name)).then_some(name)
    }

    /// The pattern of one user's records, where the user can be written in a pattern. It may match records of
    /// others as well: [`user`](Self::user) tells whose each is.
    #[must_use]
    pub fn of_user(&self, user: &[u8]) -> Option<Self> {
        if !self.glob.has_user() {
            return None;
        }
        let user = std::str::from_utf8(user).ok()?;
        let text = self.text.replacen(parse::USER, &Self::escape(user), 1);
        Self::read(&text).ok()
    }

    /// Returns whether a user can have several records of this pattern: it has wildcards beside `{user}`.
    #[must_use]
    pub fn has_many_of_user(&self) -> bool {
        let of = self.part_of.as_deref().unwrap_or(self);
        self.names_user && of.glob.name_of(b"").is_none()
    }

    /// The pattern as a glob of Redis' `SCAN … MATCH`.
    #[must_use]
    pub fn glob(&self) -> String {
        self.glob.for_redis()
    }
}
