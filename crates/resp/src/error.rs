//! Errors in bytes that are not RESP. The texts for requests are those of a Redis server, which the authors of clients
//! already know; none of them repeats more than one byte of the input.

/// A request that is not RESP. The connection cannot be used any more, because the start of the next request is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The number of arguments is not a number or exceeds the limit.
    #[error("Protocol error: invalid multibulk length")]
    Count,
    /// A line that announces a number does not end.
    #[error("Protocol error: too big mbulk count string")]
    CountLine,
    /// An argument begins with this byte.
    #[error("Protocol error: expected '$', got '{}'", Shown(*.0))]
    Dollar(u8),
    /// The length of an argument is not a number or exceeds the limit.
    #[error("Protocol error: invalid bulk length")]
    Length,
    /// An argument is not followed by CR LF.
    #[error("Protocol error: an argument does not end where its length says")]
    ArgumentEnd,
    /// A line that announces the length of an argument does not end.
    #[error("Protocol error: too big bulk count string")]
    LengthLine,
    /// An inline request exceeds the limit.
    #[error("Protocol error: too big inline request")]
    InlineLength,
    /// An inline request has an open quote.
    #[error("Protocol error: unbalanced quotes in request")]
    Quotes,
    /// An inline request holds a zero byte.
    #[error("Protocol error: a zero byte in an inline request")]
    Zero,
    /// An inline request holds a byte that servers read in different ways.
    #[error("Protocol error: a byte in an inline request that needs an escape")]
    Unclear,
}

/// A reply that is not RESP. The connection cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// No type of RESP begins with this byte.
    #[error("the server's reply starts with an unknown type")]
    Type,
    /// A length or count is not a number or exceeds the limit.
    #[error("the server's reply has an invalid length")]
    Length,
    /// A line does not end in CR LF, or a line that announces a number does not end at all.
    #[error("the server's reply has a line that does not end in CR LF")]
    LineEnd,
    /// The reply is nested deeper than the limit.
    #[error("the server's reply is nested too deeply")]
    Depth,
    /// A bulk string is not followed by CR LF.
    #[error("the server's reply has a bulk string that does not end where its length says")]
    BulkEnd,
}

/// A byte as servers show it, escaped if it is not printable.
struct Shown(u8);

impl std::fmt::Display for Shown {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            visible @ b' '..=b'~' => write!(out, "{}", char::from(visible)),
            other => write!(out, "{}", other.escape_ascii()),
        }
    }
}
