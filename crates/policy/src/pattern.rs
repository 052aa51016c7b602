//! Patterns over record names: a literal prefix, `*`, and at most one `{user}`. What a pattern
//! stands for (how its records are sealed, what they are called) is not known here.

/// Names that begin so are Waxseal's own: the canary, quarantine, keys of users. An ordinary pattern
/// never means them.
pub const OWN_PREFIX: &[u8] = b"waxseal:";

/// Which records are meant: `wa:{user}`, `whatsapp:temp_password:*`, `sess:*`, or one literal name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordPattern {
    text: String,
    prefix: String,
    /// What is behind the wildcard.
    suffix: String,
    wildcard: Wildcard,
    /// Whether it means Waxseal's own names, and only such.
    own: bool,
}

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
    /// It shall mean Waxseal's own names, and does not start as they do.
    #[error("the record pattern {shown} does not start with waxseal:", shown = shown(.0))]
    NotOwn(String),
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
    /// When it is empty, has more than one wildcard, or a character that only looks like one.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
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
        })
    }

    /// Reads a pattern over Waxseal's own names: `waxseal:user:*`. For those who look after them.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and when its literal part does not start with `waxseal:`.
    pub fn of_own(text: &str) -> Result<Self, PatternError> {
        let pattern = Self::parse(text)?;
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
    /// read as one [over them](Self::of_own).
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        (self.own || !name.starts_with(OWN_PREFIX)) && self.names(name)
    }

    /// Whether a name has the pattern's form, whoever it belongs to: what a store scans by.
    #[must_use]
    pub fn names(&self, name: &[u8]) -> bool {
        self.captured(name).is_some()
    }

    /// The user in a name, where the pattern has `{user}` and the name matches. A name with nothing in
    /// that place matches and has no user.
    #[must_use]
    pub fn user<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        (self.wildcard == Wildcard::User)
            .then(|| self.captured(name))
            .flatten()
            .filter(|user| !user.is_empty())
    }

    /// The one record name of a user, where the pattern has `{user}`.
    #[must_use]
    pub fn name_of(&self, user: &[u8]) -> Option<Vec<u8>> {
        let name = [self.prefix.as_bytes(), user, self.suffix.as_bytes()].concat();
        (self.user(&name) == Some(user)).then_some(name)
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
        assert!(!pattern("waxseal:*").matches(b"waxseal:canary"));
    }

    #[test]
    fn names_of_our_own_have_a_form_all_the_same() {
        assert!(pattern("waxseal:quarantine:*").names(b"waxseal:quarantine:1"));
        assert!(!pattern("waxseal:quarantine:*").names(b"waxseal:canary"));
        assert!(pattern("*").names(b"waxseal:canary"));
    }

    #[test]
    fn a_pattern_over_names_of_our_own_means_them_and_nothing_else() {
        let users = RecordPattern::of_own("waxseal:user:*").unwrap();
        for name in ["waxseal:user:1", "waxseal:user:", "waxseal:canary", "wa:1"] {
            assert_eq!(users.matches(name.as_bytes()), users.names(name.as_bytes()));
        }
        assert!(users.matches(b"waxseal:user:1") && !users.matches(b"waxseal:canary"));
        assert_ne!(users, pattern("waxseal:user:*"));
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
