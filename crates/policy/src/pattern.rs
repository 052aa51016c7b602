//! Patterns over record names: a literal prefix, `*`, and at most one `{user}`; and the order among
//! several that match one name. What a pattern stands for (how its records are sealed, what they are
//! called) is not known here.

use std::sync::Arc;

/// Names that begin so are Waxseal's own: the canary, quarantine, keys of users. An ordinary pattern
/// never means them.
pub const OWN_PREFIX: &[u8] = b"waxseal:";

/// Which records are meant: `wa:{user}`, `whatsapp:temp_password:*`, `sess:*`, or one literal name.
#[derive(Clone, Debug)]
pub struct RecordPattern {
    text: String,
    prefix: String,
    /// What is behind the wildcard.
    suffix: String,
    wildcard: Wildcard,
    /// Whether it means Waxseal's own names, and only such.
    own: bool,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wildcard {
    None,
    Any,
    User,
}

/// A pattern that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is empty.
    #[error("a record pattern cannot be empty")]
    Empty,
    /// It holds more than one wildcard.
    #[error("the record pattern \"{0}\" has more than one of * and {{user}}")]
    Wildcards(String),
    /// It holds a character that only looks like a wildcard.
    #[error(
        "the record pattern {shown} holds {1}: only * and {{user}} have a meaning in a pattern", shown = shown(.0)
    )]
    Character(String, char),
    /// It begins or ends with a blank, which no record name of an application has.
    #[error("the record pattern {shown} begins or ends with a blank", shown = shown(.0))]
    Blank(String),
    /// It holds a control character: a line break, a tab, a zero byte.
    #[error("the record pattern {shown} holds a control character", shown = shown(.0))]
    Control(String),
    /// It can match only names of Waxseal's own, which are never protected.
    #[error(
        "the record pattern {shown} protects nothing: names that begin with waxseal: are Waxseal's own \
         records", shown = shown(.0)
    )]
    Own(String),
    /// It shall mean Waxseal's own names, and does not start as they do.
    #[error("the record pattern {shown} does not start with waxseal:", shown = shown(.0))]
    NotOwn(String),
}

/// A character that is hard to see at the end of a line: white space, or one without width.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200d}' | '\u{2060}')
}

/// A text that is no pattern, for an error. Without a wildcard it may be the whole name of a record.
fn shown(text: &str) -> String {
    match text.contains(['*', '{']) {
        true => format!("\"{text}\""),
        false => format!("of {} characters", text.chars().count()),
    }
}

impl RecordPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// When it is empty, has more than one wildcard, or a character that only looks like one; when it
    /// begins or ends with a blank; when it can match no name but those of Waxseal's own records.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let pattern = Self::read(text)?;
        match pattern.prefix.as_bytes().starts_with(OWN_PREFIX) {
            true => Err(PatternError::Own(text.to_owned())),
            false => Ok(pattern),
        }
    }

    fn read(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.starts_with(is_blank) || text.ends_with(is_blank) {
            return Err(PatternError::Blank(text.to_owned()));
        }
        if text.chars().any(char::is_control) {
            return Err(PatternError::Control(text.to_owned()));
        }
        let marked = text.replace("{user}", "\u{0}");
        let mut parts = marked.split(['*', '\u{0}']);
        let prefix = parts.next().unwrap_or_default().to_owned();
        let suffix = parts.next().map(str::to_owned);
        if parts.next().is_some() {
            return Err(PatternError::Wildcards(text.to_owned()));
        }
        if let Some(odd) = marked
            .chars()
            .find(|c| matches!(c, '?' | '[' | ']' | '{' | '}' | '\\'))
        {
            return Err(PatternError::Character(text.to_owned(), odd));
        }
        let wildcard = match (&suffix, marked.contains('*')) {
            (None, _) => Wildcard::None,
            (Some(_), true) => Wildcard::Any,
            (Some(_), false) => Wildcard::User,
        };
        let suffix = suffix.unwrap_or_default();
        Ok(Self {
            text: text.to_owned(),
            prefix,
            suffix,
            wildcard,
            own: false,
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
        if !pattern.prefix.as_bytes().starts_with(OWN_PREFIX) {
            return Err(PatternError::NotOwn(text.to_owned()));
        }
        Ok(Self {
            own: true,
            ..pattern
        })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The pattern for a report or a log: one that is the whole name of a record is not told.
    #[must_use]
    pub fn shown(&self) -> &str {
        match self.wildcard {
            Wildcard::None => "one record",
            Wildcard::Any | Wildcard::User => &self.text,
        }
    }

    /// The literal part before the wildcard: what may be shown of a name.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether a name is meant. Names under Waxseal's own prefix never are, unless the pattern was
    /// read as one [over them](Self::of_own); nor are names that belong to another pattern of the same
    /// [set](Self::resolve).
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        (self.own || !name.starts_with(OWN_PREFIX)) && self.names(name) && !self.leaves(name)
    }

    /// Decides which of these patterns each name belongs to that several of them match: the most specific
    /// one, and of equally specific ones the first. From then on the others do not
    /// [match](Self::matches) it.
    ///
    /// More specific is what has no wildcard; then what has the longer literal text before it; then what
    /// has the longer literal text behind it; then `{user}`, which says more than `*`.
    #[must_use]
    pub fn resolve(patterns: Vec<Self>) -> Vec<Self> {
        let yields_to = |(index, pattern): (usize, &Self)| -> Arc<[Self]> {
            let others = patterns.iter().enumerate();
            let stronger = others.filter(|(other, it)| {
                it.overlaps(pattern) && it.ranks_before(*other, pattern, index)
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
        let is_either = |a: &str, b: &str, of: fn(&str, &str) -> bool| of(a, b) || of(b, a);
        match (self.wildcard, other.wildcard) {
            (Wildcard::None, _) => other.names(self.prefix.as_bytes()),
            (_, Wildcard::None) => self.names(other.prefix.as_bytes()),
            _ => {
                is_either(&self.prefix, &other.prefix, |a, b| a.starts_with(b))
                    && is_either(&self.suffix, &other.suffix, |a, b| a.ends_with(b))
            }
        }
    }

    /// Whether every name of the other's form has this form, too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self.wildcard, other.wildcard) {
            (_, Wildcard::None) => self.names(other.prefix.as_bytes()),
            (Wildcard::None, _) => false,
            _ => other.prefix.starts_with(&self.prefix) && other.suffix.ends_with(&self.suffix),
        }
    }

    /// What orders patterns that match one name: the greater is the more specific.
    pub(crate) fn specificity(&self) -> impl Ord + use<> {
        let is_literal = self.wildcard == Wildcard::None;
        let names_user = self.wildcard == Wildcard::User;
        (is_literal, self.prefix.len(), self.suffix.len(), names_user)
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
    #[must_use]
    pub fn names(&self, name: &[u8]) -> bool {
        self.captured(name).is_some()
    }

    /// The same pattern, for a part of the records of a wider one, which says who their users are.
    #[must_use]
    pub fn part_of(self, wider: &Self) -> Self {
        Self {
            part_of: Some(Arc::new(wider.clone())),
            ..self
        }
    }

    /// Whether names say who their user is.
    #[must_use]
    pub fn names_user(&self) -> bool {
        let wider = self.part_of.as_ref();
        wider.map_or(self.wildcard == Wildcard::User, |wider| wider.names_user())
    }

    /// The user in a name, where the pattern has `{user}` and the name matches. A name with nothing in
    /// that place matches and has no user.
    #[must_use]
    pub fn user<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        if let Some(wider) = &self.part_of {
            return wider.user(name).filter(|_| self.names(name));
        }
        (self.wildcard == Wildcard::User)
            .then(|| self.captured(name))
            .flatten()
            .filter(|user| !user.is_empty())
    }

    /// The one record name of a user, where the pattern has `{user}` and the name belongs to it.
    #[must_use]
    pub fn name_of(&self, user: &[u8]) -> Option<Vec<u8>> {
        let of = self.part_of.as_deref().unwrap_or(self);
        let name = [of.prefix.as_bytes(), user, of.suffix.as_bytes()].concat();
        (self.user(&name) == Some(user) && !self.leaves(&name)).then_some(name)
    }

    /// The pattern as a glob of Redis' `SCAN … MATCH`.
    #[must_use]
    pub fn glob(&self) -> String {
        match self.wildcard {
            Wildcard::None => self.prefix.clone(),
            Wildcard::Any | Wildcard::User => format!("{}*{}", self.prefix, self.suffix),
        }
    }

    fn captured<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        let rest = name.strip_prefix(self.prefix.as_bytes())?;
        // Comparing nothing is not free: an empty suffix is most of them.
        let inner = || match self.suffix.is_empty() {
            true => Some(rest),
            false => rest.strip_suffix(self.suffix.as_bytes()),
        };
        match self.wildcard {
            Wildcard::None => rest.is_empty().then_some(rest),
            Wildcard::Any | Wildcard::User => inner(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> RecordPattern {
        RecordPattern::parse(text).unwrap()
    }

    #[test]
    fn matches_by_prefix_wildcard_and_suffix() {
        assert!(pattern("wa:*").matches(b"wa:5215512345678"));
        assert!(pattern("wa:*").matches(b"wa:"));
        assert!(!pattern("wa:*").matches(b"lock:wa:1"));
        assert!(pattern("sess:*:v2").matches(b"sess:\xff:v2"));
        assert!(!pattern("sess:*:v2").matches(b"sess:v2"));
        assert!(pattern("one").matches(b"one"));
        assert!(!pattern("one").matches(b"one more"));
        assert!(pattern("wa:{user}").matches(b"wa:"));
        assert!(pattern("wa:{user}:state").matches(b"wa::state"));
        assert!(!pattern("wa:{user}:state").matches(b"wa:state"));
    }

    #[test]
    fn captures_the_user() {
        assert_eq!(
            pattern("wa:{user}").user(b"wa:5215512345678"),
            Some(&b"5215512345678"[..])
        );
        assert_eq!(
            pattern("wa:{user}:state").user(b"wa:1:state"),
            Some(&b"1"[..])
        );
        assert_eq!(pattern("wa:*").user(b"wa:1"), None);
        assert_eq!(pattern("wa:{user}").user(b"wa:"), None);
        assert_eq!(
            pattern("wa:{user}:state").name_of(b"1").as_deref(),
            Some(&b"wa:1:state"[..])
        );
        assert_eq!(pattern("wa:{user}").name_of(b""), None);
        assert_eq!(pattern("wa:*").name_of(b"1"), None);
        assert_eq!(pattern("wa:{user}").glob(), "wa:*");
    }

    #[test]
    fn never_means_names_of_our_own() {
        assert!(!pattern("*").matches(b"waxseal:canary"));
        assert!(pattern("*").matches(b"anything"));
        assert!(pattern("waxseal*").matches(b"waxsealant"));
        assert!(!pattern("waxseal*").matches(b"waxseal:canary"));
    }

    #[test]
    fn a_name_belongs_to_the_most_specific_pattern_and_else_to_the_first() {
        let texts = [
            "*",
            "wa:*",
            "wa:*:state",
            "wa:temp:*",
            "wa:{user}",
            "wa:temp:1",
            "other:*",
            "*:state",
        ];
        let resolved = RecordPattern::resolve(texts.map(pattern).to_vec());
        let reversed = texts.iter().rev().map(|text| pattern(text)).collect();
        let reversed = RecordPattern::resolve(reversed);
        for (name, owner) in [
            ("wa:1", "wa:{user}"),
            ("wa:1:state", "wa:*:state"),
            ("wa:temp:2", "wa:temp:*"),
            ("wa:temp:2:state", "wa:temp:*"),
            ("wa:temp:1", "wa:temp:1"),
            ("sess:1", "*"),
            ("sess:1:state", "*:state"),
            ("other:state", "other:*"),
        ] {
            let owners = |all: &[RecordPattern]| {
                let owners = all.iter().filter(|it| it.matches(name.as_bytes()));
                owners.map(|it| it.as_str().to_owned()).collect::<Vec<_>>()
            };
            assert_eq!(owners(&resolved), [owner], "{name}");
            assert_eq!(owners(&reversed), [owner], "{name}, the other way round");
        }
        assert_eq!(resolved, texts.map(pattern));
        // The same words twice: the first.
        let twice = RecordPattern::resolve(vec![pattern("wa:*"), pattern("wa:*")]);
        assert!(twice[0].matches(b"wa:1") && !twice[1].matches(b"wa:1"));
        // Resolved again beside others, nothing is left of the first set.
        let alone = RecordPattern::resolve(vec![resolved[1].clone()]);
        assert!(alone[0].matches(b"wa:temp:1") && alone[0].yields_to().count() == 0);
    }

    #[test]
    fn knows_which_patterns_overlap_and_which_cover_others() {
        for (a, b, overlaps, covers) in [
            ("wa:*", "wa:temp:*", true, true),
            ("wa:temp:*", "wa:*", true, false),
            ("wa:*", "wa:{user}", true, true),
            ("wa:*", "sess:*", false, false),
            ("wa:*:state", "wa:temp:*", true, false),
            ("*:state", "*:name", false, false),
            ("wa:*", "wa:1", true, true),
            ("wa:1", "wa:*", true, false),
            ("wa:1", "wa:1", true, true),
            ("wa:1", "wa:2", false, false),
            ("wa:*:x", "wa:1", false, false),
        ] {
            let (one, other) = (pattern(a), pattern(b));
            assert_eq!(one.overlaps(&other), overlaps, "{a} and {b}");
            assert_eq!(other.overlaps(&one), overlaps, "{b} and {a}");
            assert_eq!(one.covers(&other), covers, "{a} covers {b}");
        }
    }

    #[test]
    fn the_record_of_a_user_is_not_one_of_a_more_specific_pattern() {
        let texts = ["wa:{user}", "wa:temp:*"].map(pattern).to_vec();
        let resolved = RecordPattern::resolve(texts);
        assert_eq!(resolved[0].name_of(b"1").as_deref(), Some(&b"wa:1"[..]));
        assert_eq!(resolved[0].name_of(b"temp:1"), None);
        // A part of its records has the users that it has.
        let part = pattern("wa:52*").part_of(&resolved[0]);
        assert_eq!(part.user(b"wa:521"), Some(&b"521"[..]));
        assert_eq!(part.name_of(b"521").as_deref(), Some(&b"wa:521"[..]));
        assert_eq!((part.user(b"wa:1"), part.name_of(b"1")), (None, None));
        assert!(part.names_user() && !pattern("wa:52*").names_user());
    }

    #[test]
    fn refuses_what_protects_nothing() {
        for text in [
            " wa:*",
            "wa:* ",
            "wa:*\u{a0}",
            "\u{feff}wa:*",
            "wa:*\u{200b}",
            "\t*",
            " ",
        ] {
            let blank = PatternError::Blank(text.to_owned());
            assert_eq!(RecordPattern::parse(text), Err(blank), "{text:?}");
        }
        for text in ["wa:\0", "wa:\n*", "a\u{7f}b*"] {
            let control = PatternError::Control(text.to_owned());
            assert_eq!(RecordPattern::parse(text), Err(control), "{text:?}");
        }
        for text in ["waxseal:*", "waxseal:canary", "waxseal:{user}"] {
            let own = PatternError::Own(text.to_owned());
            assert_eq!(RecordPattern::parse(text), Err(own), "{text}");
        }
        // A blank in the middle is one of the name.
        assert!(pattern("my app:*").matches(b"my app:1"));
        // The name of a record is not in the text.
        let error = RecordPattern::parse("wa:secret ").unwrap_err().to_string();
        assert_eq!(
            error,
            "the record pattern of 10 characters begins or ends with a blank"
        );
    }

    #[test]
    fn names_of_our_own_have_a_form_all_the_same() {
        let quarantine = RecordPattern::of_own("waxseal:quarantine:*").unwrap();
        assert!(quarantine.names(b"waxseal:quarantine:1"));
        assert!(!quarantine.names(b"waxseal:canary"));
        assert!(pattern("*").names(b"waxseal:canary"));
    }

    #[test]
    fn a_pattern_over_names_of_our_own_means_them_and_nothing_else() {
        let users = RecordPattern::of_own("waxseal:user:*").unwrap();
        for name in ["waxseal:user:1", "waxseal:user:", "waxseal:canary", "wa:1"] {
            assert_eq!(users.matches(name.as_bytes()), users.names(name.as_bytes()));
        }
        assert!(users.matches(b"waxseal:user:1") && !users.matches(b"waxseal:canary"));
        let canary = RecordPattern::of_own("waxseal:canary").unwrap();
        assert!(canary.matches(b"waxseal:canary") && !canary.matches(b"waxseal:canary2"));
        for text in ["*", "waxseal*", "wa:*", "{user}waxseal:"] {
            let error = PatternError::NotOwn(text.to_owned());
            assert_eq!(RecordPattern::of_own(text), Err(error));
        }
        assert_eq!(RecordPattern::of_own(""), Err(PatternError::Empty));
    }

    #[test]
    fn refuses_what_it_would_not_understand() {
        assert_eq!(RecordPattern::parse(""), Err(PatternError::Empty));
        for text in ["wa:*:*", "wa:{user}:*", "{user}{user}"] {
            assert!(matches!(
                RecordPattern::parse(text),
                Err(PatternError::Wildcards(_))
            ));
        }
        for text in ["wa:[ab]", "wa:?", "wa:{id}", "wa:\\*x"] {
            assert!(
                matches!(RecordPattern::parse(text), Err(PatternError::Character(..))),
                "{text}"
            );
        }
    }
}
