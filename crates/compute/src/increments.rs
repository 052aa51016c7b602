//! Counters: `INCR`, `DECR`, `INCRBY`, `DECRBY`, `INCRBYFLOAT`, `HINCRBY`, `HINCRBYFLOAT`.

use crate::arguments::{Request, integer};
use crate::commands::Computation;
use crate::error::{ApplyError, Rejected, ServerError};
use crate::long_double::LongDouble;
use crate::operation::{Context, Outcome};
use crate::reply::Reply;

/// An addition to a value, which is 0 where there is none.
#[derive(Clone, Copy)]
pub(crate) enum Increment {
    Integer(i64),
    /// Servers read the increment after the value, with the same error.
    Float(Option<LongDouble>),
    FieldInteger(i64),
    FieldFloat(LongDouble),
}

impl Increment {
    pub(crate) fn one(_: &Request<'_>) -> Result<Computation, Rejected> {
        Ok(Computation::Increment(Self::Integer(1)))
    }

    pub(crate) fn minus_one(_: &Request<'_>) -> Result<Computation, Rejected> {
        Ok(Computation::Increment(Self::Integer(-1)))
    }

    pub(crate) fn by(request: &Request<'_>) -> Result<Computation, Rejected> {
        let by = request.integer(2).map_err(Rejected::Arguments)?;
        Ok(Computation::Increment(Self::Integer(by)))
    }

    pub(crate) fn minus(request: &Request<'_>) -> Result<Computation, Rejected> {
        let by = request.integer(2).map_err(Rejected::Arguments)?;
        if by == i64::MIN && request.dialect.refuses_most_negative_decrement() {
            return Err(Rejected::Arguments(ServerError::DecrementOverflow));
        }
        Ok(Computation::Increment(Self::Integer(by.wrapping_neg())))
    }

    pub(crate) fn by_float(request: &Request<'_>) -> Result<Computation, Rejected> {
        let by = LongDouble::parse(request.at(2));
        Ok(Computation::Increment(Self::Float(by)))
    }

    pub(crate) fn of_field(request: &Request<'_>) -> Result<Computation, Rejected> {
        let by = request.integer(3).map_err(Rejected::Arguments)?;
        Ok(Computation::Increment(Self::FieldInteger(by)))
    }

    pub(crate) fn of_field_by_float(request: &Request<'_>) -> Result<Computation, Rejected> {
        let refuse = Rejected::Arguments;
        let by = LongDouble::parse(request.at(3)).ok_or(refuse(ServerError::NotAFloat))?;
        if !by.is_finite() {
            return Err(refuse(ServerError::IncrementNotFinite));
        }
        Ok(Computation::Increment(Self::FieldFloat(by)))
    }

    pub(crate) fn apply(
        &self,
        value: Option<&[u8]>,
        context: &Context,
    ) -> Result<Outcome, ApplyError> {
        match *self {
            Self::Integer(by) => add(value, by, ServerError::NotAnInteger, context),
            Self::FieldInteger(by) => add(value, by, ServerError::HashNotAnInteger, context),
            Self::Float(by) => {
                let value = read_float(value, ServerError::NotAFloat)?;
                add_float(value, by.ok_or(ServerError::NotAFloat)?, context)
            }
            Self::FieldFloat(by) => {
                let value = read_float(value, ServerError::HashNotAFloat)?;
                add_float(value, by, context)
            }
        }
    }
}

fn add(
    value: Option<&[u8]>,
    by: i64,
    not_an_integer: ServerError,
    context: &Context,
) -> Result<Outcome, ApplyError> {
    let value = value.map_or(Some(0), integer).ok_or(not_an_integer)?;
    let sum = value
        .checked_add(by)
        .ok_or(ServerError::IncrementOverflow)?;
    context.put(Reply::Integer(sum), sum.to_string().into_bytes())
}

fn read_float(value: Option<&[u8]>, not_a_float: ServerError) -> Result<LongDouble, ServerError> {
    value
        .map_or(Some(LongDouble::ZERO), LongDouble::parse)
        .ok_or(not_a_float)
}

fn add_float(value: LongDouble, by: LongDouble, context: &Context) -> Result<Outcome, ApplyError> {
    let sum = value.plus(by);
    if !sum.is_finite() {
        return Err(ServerError::SumNotFinite.into());
    }
    let text = sum.to_text().into_bytes();
    context.put(Reply::Bulk(text.clone()), text)
}
