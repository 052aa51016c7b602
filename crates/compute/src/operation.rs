//! One request that computes on values: read from its arguments, then applied to the values of its records. Knows which
//! records it names, and neither where they are nor whether the result is stored.

use std::fmt;

use crate::arguments::Request;
use crate::commands::{COMMANDS, Command, Computation};
use crate::conditions::Expiry;
use crate::dialect::Dialect;
use crate::error::{ApplyError, Rejected, ServerError};
use crate::reply::Reply;

/// A request that reads one value (`LCS`: two), computes, and perhaps writes one back.
///
/// Its debug form shows the command only.
#[derive(Clone)]
pub struct Operation {
    command: &'static Command,
    names: Vec<Vec<u8>>,
    field: Option<Vec<u8>>,
    computation: Computation,
    dialect: Dialect,
}

/// The effect of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The reply to the client.
    pub reply: Reply,
    /// The change of the value.
    pub write: Write,
}

/// The change of a value. Its debug form shows no bytes of it.
#[derive(Clone, PartialEq, Eq)]
pub enum Write {
    /// Nothing is written: a record that was absent stays absent.
    Keep,
    /// The value is replaced, or created, with the time to live of [`Operation::expiry`].
    Put(Vec<u8>),
    /// The record is deleted.
    Delete,
}

impl Operation {
    /// Reads a request, its command's name first.
    ///
    /// Errors that the server finds only after it has looked up the record are not found here: [`Operation::apply`]
    /// returns them. So a record of another type comes first where it does at the server.
    ///
    /// # Errors
    ///
    /// If the request is none of this crate, or the server refuses it whatever its record holds.
    pub fn parse(arguments: &[&[u8]], dialect: Dialect) -> Result<Self, Rejected> {
        let request = Request::new(arguments, dialect);
        let name = request.at(0);
        let command = COMMANDS
            .iter()
            .find(|command| name.eq_ignore_ascii_case(command.name.as_bytes()))
            .filter(|command| (command.is_known)(dialect))
            .ok_or(Rejected::NotComputed)?;
        if !command.accepts(request.len()) {
            return Err(Rejected::Arity(ServerError::Arity(command.name)));
        }
        let computation = (command.parse)(&request)?;
        let names = (1..=command.records).map(|place| request.at(place).to_vec());
        Ok(Self {
            command,
            names: names.collect(),
            field: command.has_field.then(|| request.at(2).to_vec()),
            computation,
            dialect,
        })
    }

    /// The command's name in lower case.
    #[must_use]
    pub fn command(&self) -> &'static str {
        self.command.name
    }

    /// The names of the records whose values it reads: one, or the two of `LCS`. What it writes is the first.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.names.iter().map(Vec::as_slice)
    }

    /// The field of a hash, if the value is one; otherwise the value is the whole of a string.
    #[must_use]
    pub fn field(&self) -> Option<&[u8]> {
        self.field.as_deref()
    }

    /// Whether the command can write. One that cannot needs no permission to.
    #[must_use]
    pub fn can_write(&self) -> bool {
        self.computation.can_write()
    }

    /// The time to live of a value that is written.
    #[must_use]
    pub fn expiry(&self) -> Expiry {
        self.computation.expiry()
    }

    /// The server's error where a record is of another type than the command works on.
    #[must_use]
    pub fn wrong_type(&self) -> ServerError {
        self.computation.wrong_type()
    }

    /// Computes on the values of [`Operation::names`], in their order; `None` is a record or a field that does not exist.
    ///
    /// # Errors
    ///
    /// The server's error; or that the result would be longer than `limit` bytes, which is found before it is allocated.
    pub fn apply(&self, values: &[Option<&[u8]>], limit: usize) -> Result<Outcome, ApplyError> {
        let context = Context {
            dialect: self.dialect,
            limit,
        };
        let value = |place: usize| values.get(place).copied().flatten();
        self.computation.apply(value(0), value(1), &context)
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Operation({})", self.command.name)
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep => f.write_str("Keep"),
            Self::Put(value) => write!(f, "Put({} bytes)", value.len()),
            Self::Delete => f.write_str("Delete"),
        }
    }
}

impl Outcome {
    /// A reply without a change.
    pub(crate) fn keep(reply: Reply) -> Self {
        Self {
            reply,
            write: Write::Keep,
        }
    }

    /// A reply and a new value.
    pub(crate) fn put(reply: Reply, value: Vec<u8>) -> Self {
        Self {
            reply,
            write: Write::Put(value),
        }
    }
}

/// The limits that a computation respects.
pub(crate) struct Context {
    pub(crate) dialect: Dialect,
    limit: usize,
}

impl Context {
    /// Checks the length of a result before it is allocated.
    pub(crate) fn fits(&self, length: u64) -> Result<usize, ApplyError> {
        let limit = u64::try_from(self.limit).unwrap_or(u64::MAX);
        match usize::try_from(length) {
            Ok(allowed) if length <= limit => Ok(allowed),
            _ => Err(ApplyError::TooLarge {
                bytes: length,
                limit,
            }),
        }
    }

    /// A result that is so short that it was computed at once.
    pub(crate) fn put(&self, reply: Reply, value: Vec<u8>) -> Result<Outcome, ApplyError> {
        self.fits(length(&value))?;
        Ok(Outcome::put(reply, value))
    }

    /// Checks the length of a string against the server's own limit. `None` is a length that no integer can count.
    pub(crate) fn server_accepts(&self, length: Option<u64>) -> Result<u64, ServerError> {
        length
            .filter(|length| *length <= self.dialect.max_bulk())
            .ok_or(ServerError::StringTooLong)
    }
}

/// The length of a value.
pub(crate) fn length(value: &[u8]) -> u64 {
    u64::try_from(value.len()).unwrap_or(u64::MAX)
}
