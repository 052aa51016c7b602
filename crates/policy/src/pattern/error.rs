//! The errors of patterns, which do not contain whole names of records.

use super::parse::{self, USER};

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is empty.
    #[error("a record pattern cannot be empty")]
    Empty,
    /// It is too long: its length, and the maximum.
    #[error("a record pattern of {0} bytes is too long: at most {1}")]
    TooLong(usize, usize),
    /// It has `{user}` more than once.
    #[error("the record pattern \"{0}\" names {{user}} more than once")]
    Users(String),
    /// It has too many wildcards: their number, and the maximum.
    #[error("the record pattern \"{0}\" has {1} of * and {{user}}: at most {2}")]
    Stars(String, usize, usize),
    /// It has `{user}` beside a wildcard: the end of the user would be ambiguous.
    #[error(
        "the record pattern \"{0}\" does not say where the user begins and ends: text must separate \
         {{user}} from *, ? and […]"
    )]
    BesideUser(String),
    /// It has a brace that does not belong to `{user}`.
    #[error(
        "the record pattern {shown} holds {1} outside {{user}}: a brace of a record name is written \\{1}", shown = shown(.0)
    )]
    Brace(String, char),
    /// It ends with a backslash.
    #[error(
        "the record pattern {shown} ends with \\, which escapes nothing there: a backslash of a record name is written \\\\", shown = shown(.0)
    )]
    Escape(String),
    /// It has a class without its end.
    #[error(
        "the record pattern {shown} holds a [ without its ]: a [ of a record name is written \\[", shown = shown(.0)
    )]
    OpenClass(String),
    /// It has a class that accepts nothing.
    #[error("the record pattern {shown} holds [], which matches nothing", shown = shown(.0))]
    EmptyClass(String),
    /// It has a class with a character of several bytes.
    #[error(
        "the record pattern {shown} holds {1} in […]: a class matches one byte, and this character has several", shown = shown(.0)
    )]
    WideClass(String, char),
    /// It begins or ends with white space, which no record name of an application does.
    #[error("the record pattern {shown} begins or ends with a blank", shown = shown(.0))]
    Blank(String),
    /// It has a control character: a line break, a tab, a zero byte.
    #[error("the record pattern {shown} holds a control character", shown = shown(.0))]
    Control(String),
    /// It is a literal prefix with a wildcard.
    #[error("the prefix \"{0}\" holds {1}: it is literal text")]
    Prefix(String, char),
    /// It can only match Waxseal's own names, which are never protected.
    #[error(
        "the record pattern {shown} protects nothing: names that begin with waxseal: are Waxseal's own \
         records", shown = shown(.0)
    )]
    Own(String),
    /// It must match Waxseal's own names, and lacks their prefix.
    #[error("the record pattern {shown} does not start with waxseal:", shown = shown(.0))]
    NotOwn(String),
    /// It is an invalid except.
    #[error("except: {0}")]
    Except(Box<PatternError>),
    /// It is an except with `{user}`.
    #[error("the except \"{0}\" has {{user}}: write * for it")]
    ExceptUser(String),
    /// It is an except that can match no record of its pattern, the second.
    #[error(
        "the except {except} matches no record of {of}", except = shown(.0), of = shown(.1)
    )]
    ExceptNothing(String, String),
    /// It is an except whose names belong to another pattern, the third, and not to its own, the second.
    #[error(
        "the except {except} of {of} has no effect: these names belong to {owner}; put the except there",
        except = shown(.0), of = shown(.1), owner = shown(.2)
    )]
    ExceptOwned(String, String, String),
    /// Its except, the second, leaves nothing of it.
    #[error(
        "the record pattern {shown} protects nothing: the except {except} matches all of its records",
        shown = shown(.0), except = shown(.1)
    )]
    ExceptAll(String, String),
}

impl PatternError {
    /// The pattern that was probably intended, if it can be derived. It is not the whole name of a record.
    #[must_use]
    pub fn suggestion(&self) -> Option<String> {
        let suggested = match self {
            Self::Except(inner) => return inner.suggestion(),
            Self::Brace(text, _) => escape_braces(text),
            Self::BesideUser(text) => {
                let apart = ["*", "?", "["].iter().fold(text.clone(), |text, wildcard| {
                    text.replace(&format!("{USER}{wildcard}"), &format!("{USER}:{wildcard}"))
                });
                apart.replace(&format!("*{USER}"), &format!("*:{USER}"))
            }
            _ => return None,
        };
        let is_valid = parse::parse(&suggested).is_ok_and(|it| it.iter().any(|it| it.is_star()));
        is_valid.then_some(suggested)
    }
}

/// The text with each brace escaped that is not part of `{user}` and not escaped already.
fn escape_braces(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut remaining = text;
    while let Some(c) = remaining.chars().next() {
        let taken = match c {
            '{' if remaining.starts_with(USER) => USER.len(),
            '\\' => remaining.chars().take(2).map(char::len_utf8).sum(),
            '{' | '}' => {
                escaped.push('\\');
                1
            }
            _ => c.len_utf8(),
        };
        let (part, after) = remaining.split_at(taken);
        escaped.push_str(part);
        remaining = after;
    }
    escaped
}

/// The text of an invalid pattern for an error. Without `*` and `{user}` it may be the whole name of a record.
fn shown(text: &str) -> String {
    match (has_star(text), text.chars().count()) {
        (true, _) => format!("\"{text}\""),
        (false, 1) => "of 1 character".to_owned(),
        (false, count) => format!("of {count} characters"),
    }
}

/// True if a text contains `*` or `{user}` that is not escaped.
pub(super) fn has_star(text: &str) -> bool {
    let mut is_escaped = false;
    text.char_indices().any(|(at, c)| {
        let is_user = text.get(at..).is_some_and(|tail| tail.starts_with(USER));
        let is_star = !is_escaped && (c == '*' || is_user);
        is_escaped = !is_escaped && c == '\\';
        is_star
    })
}
