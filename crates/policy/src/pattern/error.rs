//! Why a pattern cannot be used, without the whole name of a record.

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is empty.
    #[error("a record pattern cannot be empty")]
    Empty,
    /// It is too long: its length, and the greatest one.
    #[error("a record pattern of {0} bytes is too long: at most {1}")]
    TooLong(usize, usize),
    /// It holds `{user}` more than once.
    #[error("the record pattern \"{0}\" names {{user}} more than once")]
    Users(String),
    /// It holds too many wildcards: how many, and the greatest number.
    #[error("the record pattern \"{0}\" has {1} of * and {{user}}: at most {2}")]
    Stars(String, usize, usize),
    /// It holds `{user}` beside a wildcard: where the user ends would not be known.
    #[error(
        "the record pattern \"{0}\" does not say where the user begins and ends: text must separate \
         {{user}} from *, ? and […]"
    )]
    BesideUser(String),
    /// It holds a brace that does not belong to `{user}`.
    #[error(
        "the record pattern {shown} holds {1} outside {{user}}: a brace of a record name is written \\{1}", shown = shown(.0)
    )]
    Brace(String, char),
    /// It ends with a backslash.
    #[error(
        "the record pattern {shown} ends with \\, which escapes nothing there: a backslash of a record name is written \\\\", shown = shown(.0)
    )]
    Escape(String),
    /// It holds a class without its end.
    #[error(
        "the record pattern {shown} holds a [ without its ]: a [ of a record name is written \\[", shown = shown(.0)
    )]
    OpenClass(String),
    /// It holds a class that accepts nothing.
    #[error("the record pattern {shown} holds [], which matches nothing", shown = shown(.0))]
    EmptyClass(String),
    /// It holds a class with a character of several bytes.
    #[error(
        "the record pattern {shown} holds {1} in […]: a class matches one byte, and this character has several", shown = shown(.0)
    )]
    WideClass(String, char),
    /// It begins or ends with a blank, which no record name of an application has.
    #[error("the record pattern {shown} begins or ends with a blank", shown = shown(.0))]
    Blank(String),
    /// It holds a control character: a line break, a tab, a zero byte.
    #[error("the record pattern {shown} holds a control character", shown = shown(.0))]
    Control(String),
    /// What names begin with holds a wildcard.
    #[error("the prefix \"{0}\" holds {1}: it is literal text")]
    Prefix(String, char),
    /// It can match only names of Waxseal's own, which are never protected.
    #[error(
        "the record pattern {shown} protects nothing: names that begin with waxseal: are Waxseal's own \
         records", shown = shown(.0)
    )]
    Own(String),
    /// It must match Waxseal's own names, and does not start as they do.
    #[error("the record pattern {shown} does not start with waxseal:", shown = shown(.0))]
    NotOwn(String),
    /// It is an except, and none that can be used.
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
    /// Its except, the second, leaves nothing of it.
    #[error(
        "the record pattern {shown} protects nothing: the except {except} matches all of its records",
        shown = shown(.0), except = shown(.1)
    )]
    ExceptAll(String, String),
}

/// A text that is no pattern, for an error. Without a wildcard it may be the whole name of a record.
fn shown(text: &str) -> String {
    match has_any(text, &['*', '{']) {
        true => format!("\"{text}\""),
        false => format!("of {} characters", text.chars().count()),
    }
}

/// Whether a text holds one of these characters without an escape.
pub(super) fn has_any(text: &str, wanted: &[char]) -> bool {
    let mut is_escaped = false;
    text.chars().any(|c| {
        let is_wanted = !is_escaped && wanted.contains(&c);
        is_escaped = !is_escaped && c == '\\';
        is_wanted
    })
}
