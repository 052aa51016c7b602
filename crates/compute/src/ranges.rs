//! Parts of a value as bytes: `APPEND`, `STRLEN`, `HSTRLEN`, `GETRANGE`, `SUBSTR`, `SETRANGE`.

use crate::arguments::Request;
use crate::commands::Computation;
use crate::error::{ApplyError, Rejected, ServerError};
use crate::operation::{Context, Outcome, length};
use crate::reply::Reply;

/// A computation on part of a value; one that does not exist is empty.
#[derive(Clone)]
pub(crate) enum Range {
    Append(Vec<u8>),
    Length,
    Get { start: i64, end: i64 },
    Set { offset: u64, bytes: Vec<u8> },
}

impl Range {
    pub(crate) fn append(request: &Request<'_>) -> Result<Computation, Rejected> {
        Ok(Computation::Range(Self::Append(request.at(2).to_vec())))
    }

    pub(crate) fn length(_: &Request<'_>) -> Result<Computation, Rejected> {
        Ok(Computation::Range(Self::Length))
    }

    pub(crate) fn get(request: &Request<'_>) -> Result<Computation, Rejected> {
        let start = request.integer(2).map_err(Rejected::Arguments)?;
        let end = request.integer(3).map_err(Rejected::Arguments)?;
        Ok(Computation::Range(Self::Get { start, end }))
    }

    pub(crate) fn set(request: &Request<'_>) -> Result<Computation, Rejected> {
        let offset = request.integer(2).map_err(Rejected::Arguments)?;
        let negative = |_| Rejected::Arguments(ServerError::Offset);
        Ok(Computation::Range(Self::Set {
            offset: u64::try_from(offset).map_err(negative)?,
            bytes: request.at(3).to_vec(),
        }))
    }

    pub(crate) fn can_write(&self) -> bool {
        matches!(self, Self::Append(_) | Self::Set { .. })
    }

    pub(crate) fn apply(
        &self,
        value: Option<&[u8]>,
        context: &Context,
    ) -> Result<Outcome, ApplyError> {
        let old = value.unwrap_or_default();
        match self {
            Self::Append(bytes) => {
                let whole = length(old).checked_add(length(bytes));
                // Servers do not check the first argument that they store, only what is added.
                if value.is_some() {
                    context.server_accepts(whole)?;
                }
                let whole = context.fits(whole.unwrap_or(u64::MAX))?;
                let mut new = Vec::with_capacity(whole);
                new.extend_from_slice(old);
                new.extend_from_slice(bytes);
                Ok(Outcome::put(Reply::length(whole), new))
            }
            Self::Length => Ok(Outcome::keep(Reply::length(old.len()))),
            Self::Get { start, end } => {
                let part = part(old, *start, *end).to_vec();
                Ok(Outcome::keep(Reply::Bulk(part)))
            }
            // Nothing to write: no record is created, however large the offset.
            Self::Set { bytes, .. } if bytes.is_empty() => {
                Ok(Outcome::keep(Reply::length(old.len())))
            }
            Self::Set { offset, bytes } => {
                let written = context.server_accepts(offset.checked_add(length(bytes)))?;
                let whole = context.fits(written.max(length(old)))?;
                let mut new = grown(old, whole);
                let place = usize::try_from(*offset).unwrap_or(usize::MAX);
                for (to, from) in new.iter_mut().skip(place).zip(bytes) {
                    *to = *from;
                }
                Ok(Outcome::put(Reply::length(whole), new))
            }
        }
    }
}

/// A copy of a value with zeros behind it up to a length, which is at least its own.
pub(crate) fn grown(old: &[u8], whole: usize) -> Vec<u8> {
    let mut new = Vec::with_capacity(whole);
    new.extend_from_slice(old);
    new.resize(whole, 0);
    new
}

/// The bytes from `start` to `end`, both included; negative ones are counted from the end of the value.
fn part(value: &[u8], start: i64, end: i64) -> &[u8] {
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    let Some((first, last)) = resolve(start, end, length(value)) else {
        return &[];
    };
    let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    value.get(place(first)..=place(last)).unwrap_or_default()
}

/// The range from `start` to `end`, both included, within `whole` units. Negative ends are counted from behind; what is
/// outside is left out. `None` is an empty range.
pub(crate) fn resolve(start: i64, end: i64, whole: u64) -> Option<(u64, u64)> {
    let absolute = |number: i64| match u64::try_from(number) {
        Ok(number) => number,
        Err(_) => whole.saturating_sub(number.unsigned_abs()),
    };
    let (first, last) = (absolute(start), absolute(end).min(whole.checked_sub(1)?));
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_value() {
        for (start, end, expected) in [
            (0, -1, "hello"),
            (1, 3, "ell"),
            (-3, -2, "ll"),
            (-100, 1, "he"),
            (3, 100, "lo"),
            (5, 9, ""),
            (3, 1, ""),
            (-1, -2, ""),
            (-10, -8, "h"),
            (1, -9, ""),
            (i64::MIN, i64::MAX, "hello"),
            (i64::MAX, i64::MIN, ""),
        ] {
            assert_eq!(
                part(b"hello", start, end),
                expected.as_bytes(),
                "{start} {end}"
            );
        }
        assert_eq!(part(b"", 0, -1), b"");
    }
}
