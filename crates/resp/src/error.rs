//! What is wrong with bytes that are not RESP. The texts for requests are those that a Redis server
//! answers, so that a client's author finds them where they would look; none of them repeats more
//! than one byte of what was sent.

/// A request that is not RESP. The connection cannot be used any more: nobody knows where the next
/// request begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The number of arguments cannot be read or is over the limit.
    #[error("Protocol error: invalid multibulk length")]
    Count,
    /// A line that announces a number does not end.
    #[error("Protocol error: too big mbulk count string")]
    CountLine,
    /// This byte stands where an argument begins.
    #[error("Protocol error: expected '$', got '{}'", Shown(*.0))]
    Dollar(u8),
    /// The length of an argument cannot be read or is over the limit.
    #[error("Protocol error: invalid bulk length")]
    Length,
    /// An argument is not followed by CR LF.
    #[error("Protocol error: an argument does not end where its length says")]
    ArgumentEnd,
    /// A line that announces the length of an argument does not end.
    #[error("Protocol error: too big bulk count string")]
    LengthLine,
    /// An inline request is longer than the limit.
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
    /// No type of RESP starts with this byte.
    #[error("the server's reply starts with an unknown type")]
    Type,
    /// A length or count cannot be read or is over the limit.
    #[error("the server's reply has an invalid length")]
    Length,
    /// A line does not end in CR LF, or a line that announces a number does not end at all.
    #[error("the server's reply has a line that does not end in CR LF")]
    LineEnd,
    /// Nested deeper than the limit.
    #[error("the server's reply is nested too deeply")]
    Depth,
    /// A bulk string is not followed by CR LF.
    #[error("the server's reply has a bulk string that does not end where its length says")]
    BulkEnd,
}

/// A byte as servers show it, unless it could not be seen.
struct Shown(u8);

impl std::fmt::Display for Shown {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            visible @ b' '..=b'~' => write!(out, "{}", char::from(visible)),
            other => write!(out, "{}", other.escape_ascii()),
        }
    }
}
