//! The table of commands: which server has each, how many arguments it takes, where its names are, and what reads its
//! other arguments; and the computations, each of which a module of its own carries out.

use crate::arguments::Request;
use crate::bitfield::Bitfield;
use crate::bits::Bits;
use crate::conditions::{Conditional, Expiry};
use crate::dialect::Dialect;
use crate::error::{ApplyError, Rejected, ServerError};
use crate::increments::Increment;
use crate::lcs::Lcs;
use crate::operation::{Context, Outcome};
use crate::ranges::Range;

/// One command.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// The number of arguments with the name; negative is a minimum.
    arity: i8,
    /// Its first arguments are this many names of records.
    pub(crate) records: usize,
    /// Its second argument is a field of a hash.
    pub(crate) has_field: bool,
    pub(crate) is_known: fn(Dialect) -> bool,
    pub(crate) parse: fn(&Request<'_>) -> Result<Computation, Rejected>,
}

impl Command {
    /// Whether a request may have this many arguments.
    pub(crate) fn accepts(&self, arguments: usize) -> bool {
        let bound = usize::from(self.arity.unsigned_abs());
        match self.arity {
            0.. => arguments == bound,
            _ => arguments >= bound,
        }
    }
}

/// A computation on values, its arguments read.
#[derive(Clone)]
pub(crate) enum Computation {
    Increment(Increment),
    Range(Range),
    Bits(Bits),
    Bitfield(Bitfield),
    Lcs(Lcs),
    Conditional(Conditional),
}

impl Computation {
    pub(crate) fn apply(
        &self,
        value: Option<&[u8]>,
        second: Option<&[u8]>,
        context: &Context,
    ) -> Result<Outcome, ApplyError> {
        match self {
            Self::Increment(increment) => increment.apply(value, context),
            Self::Range(range) => range.apply(value, context),
            Self::Bits(bits) => bits.apply(value, context),
            Self::Bitfield(bitfield) => bitfield.apply(value, context),
            Self::Lcs(lcs) => lcs.apply(value, second, context),
            Self::Conditional(conditional) => conditional.apply(value, context),
        }
    }

    pub(crate) fn can_write(&self) -> bool {
        match self {
            Self::Increment(_) => true,
            Self::Range(range) => range.can_write(),
            Self::Bits(bits) => bits.can_write(),
            Self::Bitfield(bitfield) => bitfield.can_write(),
            Self::Lcs(_) => false,
            Self::Conditional(conditional) => conditional.can_write(),
        }
    }

    pub(crate) fn expiry(&self) -> Expiry {
        match self {
            Self::Conditional(conditional) => conditional.expiry(),
            _ => Expiry::Keep,
        }
    }

    pub(crate) fn wrong_type(&self) -> ServerError {
        match self {
            Self::Lcs(_) => ServerError::LcsNotStrings,
            Self::Conditional(conditional) => conditional.wrong_type(),
            _ => ServerError::WrongType,
        }
    }
}

/// A command on a string that every server has.
const fn string(
    name: &'static str,
    arity: i8,
    parse: fn(&Request<'_>) -> Result<Computation, Rejected>,
) -> Command {
    Command {
        name,
        arity,
        records: 1,
        has_field: false,
        is_known: Dialect::has_always,
        parse,
    }
}

/// A command on a string that not every server has.
const fn newer(
    name: &'static str,
    arity: i8,
    is_known: fn(Dialect) -> bool,
    parse: fn(&Request<'_>) -> Result<Computation, Rejected>,
) -> Command {
    Command {
        is_known,
        ..string(name, arity, parse)
    }
}

/// A command on a field of a hash.
const fn field(
    name: &'static str,
    arity: i8,
    parse: fn(&Request<'_>) -> Result<Computation, Rejected>,
) -> Command {
    Command {
        has_field: true,
        ..string(name, arity, parse)
    }
}

/// Every command of this crate.
pub(crate) const COMMANDS: &[Command] = &[
    string("incr", 2, Increment::one),
    string("decr", 2, Increment::minus_one),
    string("incrby", 3, Increment::by),
    string("decrby", 3, Increment::minus),
    string("incrbyfloat", 3, Increment::by_float),
    field("hincrby", 4, Increment::of_field),
    field("hincrbyfloat", 4, Increment::of_field_by_float),
    string("append", 3, Range::append),
    string("strlen", 2, Range::length),
    field("hstrlen", 3, Range::length),
    string("getrange", 4, Range::get),
    string("substr", 4, Range::get),
    string("setrange", 4, Range::set),
    string("getbit", 3, Bits::get),
    string("setbit", 4, Bits::set),
    string("bitcount", -2, Bits::count),
    string("bitpos", -3, Bits::find),
    string("bitfield", -2, Bitfield::parse),
    string("bitfield_ro", -2, Bitfield::parse_read_only),
    Command {
        records: 2,
        ..newer("lcs", -3, Dialect::has_lcs, Lcs::parse)
    },
    newer("set", -3, Dialect::has_set_if_equal, Conditional::parse_set),
    newer(
        "delifeq",
        3,
        Dialect::has_delete_if_equal,
        Conditional::parse_delete_if_equal,
    ),
    newer("delex", -2, Dialect::has_digests, Conditional::parse_delete),
    newer("digest", 2, Dialect::has_digests, Conditional::parse_digest),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_in_lower_case() {
        let mut names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
        assert!(names.iter().all(|name| *name == name.to_lowercase()));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COMMANDS.len());
    }
}
