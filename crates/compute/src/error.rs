//! Errors: the server's, word for word, and the one that is ours.

use thiserror::Error;

/// An error that the server would give. Its text is what the client receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ServerError {
    /// Too few or too many arguments for this command.
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(&'static str),
    /// An unknown option, or options that exclude each other.
    #[error("ERR syntax error")]
    Syntax,
    /// The record holds another type.
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    /// A value or an argument is not an integer.
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    /// A value or an argument is not a number.
    #[error("ERR value is not a valid float")]
    NotAFloat,
    /// The value of a hash field is not an integer.
    #[error("ERR hash value is not an integer")]
    HashNotAnInteger,
    /// The value of a hash field is not a number.
    #[error("ERR hash value is not a float")]
    HashNotAFloat,
    /// The sum is not a 64-bit integer.
    #[error("ERR increment or decrement would overflow")]
    IncrementOverflow,
    /// The negated decrement is not a 64-bit integer.
    #[error("ERR decrement would overflow")]
    DecrementOverflow,
    /// The sum is not finite.
    #[error("ERR increment would produce NaN or Infinity")]
    SumNotFinite,
    /// The increment of a hash field is not finite.
    #[error("ERR value is NaN or Infinity")]
    IncrementNotFinite,
    /// A negative offset.
    #[error("ERR offset is out of range")]
    Offset,
    /// The result would exceed the server's own limit.
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    StringTooLong,
    /// The offset of a bit is not one.
    #[error("ERR bit offset is not an integer or out of range")]
    BitOffset,
    /// A bit to be set is neither 0 nor 1.
    #[error("ERR bit is not an integer or out of range")]
    BitValue,
    /// A bit to be found is neither 0 nor 1.
    #[error("ERR The bit argument must be 1 or 0.")]
    BitArgument,
    /// An unknown type of a bitfield.
    #[error(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
    )]
    BitfieldType,
    /// An unknown way to overflow.
    #[error("ERR Invalid OVERFLOW type specified")]
    BitfieldOverflow,
    /// `BITFIELD_RO` with a subcommand that writes.
    #[error("ERR BITFIELD_RO only supports the GET subcommand")]
    BitfieldReadOnly,
    /// A record of `LCS` holds another type.
    #[error("ERR The specified keys must contain string values")]
    LcsNotStrings,
    /// `LCS` with both `LEN` and `IDX`.
    #[error("ERR If you want both the length and indexes, please just use IDX.")]
    LcsLengthAndIndexes,
    /// The table of `LCS` would exceed the server's own limit.
    #[error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")]
    LcsMemory,
    /// A time to live that is not positive, or too long.
    #[error("ERR invalid expire time in 'set' command")]
    ExpireTime,
    /// A record of `DELEX` with a condition holds another type.
    #[error("ERR Key should be of string type if conditions are specified")]
    ConditionOnOtherType,
    /// An unknown condition of `DELEX`.
    #[error("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE")]
    UnknownCondition,
    /// A digest of another length.
    #[error("ERR must be exactly 16 hexadecimal characters")]
    DigestLength,
    /// `SORT` by what is not a number.
    #[error("ERR One or more scores can't be converted into double")]
    SortNotANumber,
}

/// The reason for which a request is not an [`Operation`](crate::Operation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Rejected {
    /// Not a command of this crate, not one of this server, or a form that compares and computes nothing: the caller
    /// decides.
    #[error("not a command that computes on a value")]
    NotComputed,
    /// The number of arguments is wrong. Servers find this before a command runs, so inside `MULTI` it is not queued and
    /// spoils the transaction.
    #[error(transparent)]
    Arity(ServerError),
    /// An argument is wrong. Servers find this when the command runs, before they look up the record.
    #[error(transparent)]
    Arguments(ServerError),
}

/// The reason for which an [`Operation`](crate::Operation) did not change a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// The server would give this error.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The server would carry it out, but the result, or the memory to compute it, exceeds the caller's limit.
    #[error("the result takes {bytes} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The length of the result.
        bytes: u64,
        /// The limit that it exceeds.
        limit: u64,
    },
}
