//! Single bits of a value, the highest of each byte first: `GETBIT`, `SETBIT`, `BITCOUNT`, `BITPOS`.

use crate::arguments::{Request, integer, is_keyword};
use crate::commands::Computation;
use crate::dialect::Dialect;
use crate::error::{ApplyError, Rejected, ServerError};
use crate::operation::{Context, Outcome, length};
use crate::ranges::{grown, resolve};
use crate::reply::Reply;

/// The bits of a byte.
const BYTE: u64 = 8;

/// A computation on bits.
#[derive(Clone)]
pub(crate) enum Bits {
    Get { offset: u64 },
    Set { offset: u64, bit: bool },
    Count(LateSpan),
    Find { bit: bool, span: LateSpan },
}

/// A range of bits, or the error in its arguments, where the server finds it only if the record exists.
pub(crate) type LateSpan = Result<Span, ServerError>;

/// A range as it is written in a request.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    start: i64,
    end: Option<i64>,
    unit: Unit,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Byte,
    Bit,
}

impl Span {
    const WHOLE: Self = Self {
        start: 0,
        end: None,
        unit: Unit::Byte,
    };

    /// The first and the last bit of the range in a value. `None` is an empty range.
    fn bits(&self, value: &[u8]) -> Option<(u64, u64)> {
        let bytes = length(value);
        let end = self.end.unwrap_or(-1);
        match self.unit {
            Unit::Bit => resolve(self.start, end, bytes.saturating_mul(BYTE)),
            Unit::Byte => {
                let (first, last) = resolve(self.start, end, bytes)?;
                let last = last
                    .saturating_mul(BYTE)
                    .saturating_add(BYTE.saturating_sub(1));
                Some((first.saturating_mul(BYTE), last))
            }
        }
    }

    /// Both ends are counted from behind, and the wrong way round.
    fn is_reversed(&self) -> bool {
        self.end
            .is_some_and(|end| self.start < 0 && end < 0 && self.start > end)
    }
}

impl Bits {
    pub(crate) fn get(request: &Request<'_>) -> Result<Computation, Rejected> {
        let offset = bit_offset(request.at(2), request.dialect).map_err(Rejected::Arguments)?;
        Ok(Computation::Bits(Self::Get { offset }))
    }

    pub(crate) fn set(request: &Request<'_>) -> Result<Computation, Rejected> {
        let offset = bit_offset(request.at(2), request.dialect).map_err(Rejected::Arguments)?;
        let bit = match integer(request.at(3)) {
            Some(0) => false,
            Some(1) => true,
            _ => return Err(Rejected::Arguments(ServerError::BitValue)),
        };
        Ok(Computation::Bits(Self::Set { offset, bit }))
    }

    pub(crate) fn count(request: &Request<'_>) -> Result<Computation, Rejected> {
        let span = timely(count_span(request), request.dialect)?;
        Ok(Computation::Bits(Self::Count(span)))
    }

    pub(crate) fn find(request: &Request<'_>) -> Result<Computation, Rejected> {
        let bit = match request.integer(2).map_err(Rejected::Arguments)? {
            0 => false,
            1 => true,
            _ => return Err(Rejected::Arguments(ServerError::BitArgument)),
        };
        let span = timely(find_span(request), request.dialect)?;
        Ok(Computation::Bits(Self::Find { bit, span }))
    }

    pub(crate) fn can_write(&self) -> bool {
        matches!(self, Self::Set { .. })
    }

    pub(crate) fn apply(
        &self,
        value: Option<&[u8]>,
        context: &Context,
    ) -> Result<Outcome, ApplyError> {
        match self {
            Self::Get { offset } => {
                let bit = bit_at(value.unwrap_or_default(), *offset);
                Ok(Outcome::keep(Reply::flag(bit)))
            }
            Self::Set { offset, bit } => set(value, *offset, *bit, context),
            Self::Count(span) => {
                let count = match value {
                    Some(value) => count_ones((*span)?, value),
                    None => 0,
                };
                Ok(Outcome::keep(Reply::Integer(count)))
            }
            Self::Find { bit, span } => {
                let place = match value {
                    Some(value) => find_bit((*span)?, value, *bit),
                    // A record that does not exist is zeros without end.
                    None => (!*bit).then_some(0),
                };
                let place = place.and_then(|place| i64::try_from(place).ok());
                Ok(Outcome::keep(Reply::Integer(place.unwrap_or(-1))))
            }
        }
    }
}

/// An error in a range, now or when the record turns out to exist.
fn timely(span: LateSpan, dialect: Dialect) -> Result<LateSpan, Rejected> {
    match span {
        Err(error) if dialect.reads_ranges_first() => Err(Rejected::Arguments(error)),
        span => Ok(span),
    }
}

/// The offset of a bit, within the longest string that the server accepts.
fn bit_offset(text: &[u8], dialect: Dialect) -> Result<u64, ServerError> {
    let offset = integer(text).ok_or(ServerError::BitOffset)?;
    accepted_offset(offset, dialect)
}

pub(crate) fn accepted_offset(offset: i64, dialect: Dialect) -> Result<u64, ServerError> {
    u64::try_from(offset)
        .ok()
        .filter(|offset| offset.div_euclid(BYTE) < dialect.max_bulk())
        .ok_or(ServerError::BitOffset)
}

fn unit(text: &[u8]) -> Result<Unit, ServerError> {
    if is_keyword(text, "bit") {
        Ok(Unit::Bit)
    } else if is_keyword(text, "byte") {
        Ok(Unit::Byte)
    } else {
        Err(ServerError::Syntax)
    }
}

/// `BITCOUNT name [start end [unit]]`. The order in which the arguments are read decides which error comes first.
fn count_span(request: &Request<'_>) -> LateSpan {
    let dialect = request.dialect;
    let without_end = dialect.counts_without_end();
    match request.len() {
        2 => return Ok(Span::WHOLE),
        3 if without_end => {}
        4 => {}
        5 if dialect.has_range_units() => {}
        _ => return Err(ServerError::Syntax),
    }
    let mut span = Span {
        start: request.integer(2)?,
        ..Span::WHOLE
    };
    if without_end && request.len() == 5 {
        span.unit = unit(request.at(4))?;
    }
    if request.len() >= 4 {
        span.end = Some(request.integer(3)?);
    }
    // Servers that look up the record first answer a reversed range before they read its unit.
    let is_answered = span.is_reversed() && !dialect.reads_ranges_first();
    if !without_end && request.len() == 5 && !is_answered {
        span.unit = unit(request.at(4))?;
    }
    Ok(span)
}

/// `BITPOS name bit [start [end [unit]]]`.
fn find_span(request: &Request<'_>) -> LateSpan {
    match request.len() {
        3 => return Ok(Span::WHOLE),
        4 | 5 => {}
        6 if request.dialect.has_range_units() => {}
        _ => return Err(ServerError::Syntax),
    }
    let mut span = Span {
        start: request.integer(3)?,
        ..Span::WHOLE
    };
    if request.len() == 6 {
        span.unit = unit(request.at(5))?;
    }
    if request.len() >= 5 {
        span.end = Some(request.integer(4)?);
    }
    Ok(span)
}

/// The byte that holds a bit, and the bit in it.
fn place(offset: u64) -> (usize, u8) {
    let byte = usize::try_from(offset.div_euclid(BYTE)).unwrap_or(usize::MAX);
    let shift = u32::try_from(offset.rem_euclid(BYTE)).unwrap_or_default();
    (byte, 0b1000_0000_u8.wrapping_shr(shift))
}

/// One bit; those behind the value are 0.
pub(crate) fn bit_at(value: &[u8], offset: u64) -> bool {
    let (byte, mask) = place(offset);
    value.get(byte).is_some_and(|byte| byte & mask != 0)
}

/// Sets one bit within the value.
pub(crate) fn set_bit_at(value: &mut [u8], offset: u64, bit: bool) {
    let (byte, mask) = place(offset);
    if let Some(byte) = value.get_mut(byte) {
        *byte = if bit { *byte | mask } else { *byte & !mask };
    }
}

/// The length that a value has at least when a bit of it is written.
pub(crate) fn length_with(value: Option<&[u8]>, offset: u64) -> u64 {
    let written = offset.div_euclid(BYTE).saturating_add(1);
    written.max(length(value.unwrap_or_default()))
}

fn set(
    value: Option<&[u8]>,
    offset: u64,
    bit: bool,
    context: &Context,
) -> Result<Outcome, ApplyError> {
    let old = value.unwrap_or_default();
    let old_bit = bit_at(old, offset);
    let whole = context.fits(length_with(value, offset))?;
    let reply = Reply::flag(old_bit);
    if old_bit == bit && whole == old.len() {
        return Ok(Outcome::keep(reply));
    }
    let mut new = grown(old, whole);
    set_bit_at(&mut new, offset, bit);
    Ok(Outcome::put(reply, new))
}

/// The bytes that a range touches, each with its number and a mask of its bits in the range.
fn masked(value: &[u8], first: u64, last: u64) -> impl Iterator<Item = (usize, u8, u8)> {
    let (first_byte, first_bit) = place(first);
    let (last_byte, last_bit) = place(last);
    let bytes = value.get(first_byte..=last_byte).unwrap_or_default();
    bytes.iter().enumerate().map(move |(number, byte)| {
        let number = number.saturating_add(first_byte);
        // A bit and all after it; a bit and all before it.
        let from = match number == first_byte {
            true => first_bit | first_bit.wrapping_sub(1),
            false => u8::MAX,
        };
        let to = match number == last_byte {
            true => !last_bit.wrapping_sub(1),
            false => u8::MAX,
        };
        (number, *byte, from & to)
    })
}

fn count_ones(span: Span, value: &[u8]) -> i64 {
    if span.is_reversed() {
        return 0;
    }
    let Some((first, last)) = span.bits(value) else {
        return 0;
    };
    let ones = masked(value, first, last).map(|(_, byte, mask)| (byte & mask).count_ones());
    ones.map(i64::from).fold(0, i64::saturating_add)
}

fn find_bit(span: Span, value: &[u8], bit: bool) -> Option<u64> {
    let (first, last) = span.bits(value)?;
    let found = masked(value, first, last).find_map(|(number, byte, mask)| {
        let wanted = mask & if bit { byte } else { !byte };
        let number = u64::try_from(number).ok()?.checked_mul(BYTE)?;
        (wanted != 0).then(|| number.saturating_add(wanted.leading_zeros().into()))
    });
    // Without an end, zeros follow the value.
    let follows = !bit && span.end.is_none();
    found.or_else(|| follows.then(|| length(value).saturating_mul(BYTE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_cover_exactly_the_range() {
        let value = [0xff; 4];
        for first in 0..32 {
            for last in first..32 {
                let ones = masked(&value, first, last)
                    .map(|(_, _, mask)| u64::from(mask.count_ones()))
                    .sum::<u64>();
                assert_eq!(ones, last - first + 1, "{first} {last}");
            }
        }
    }
}
