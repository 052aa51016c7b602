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

/// The bytes that a range touches, and the bits of the first and of the last one that belong to it.
struct Touched<'a> {
    start: usize,
    bytes: &'a [u8],
    first_mask: u8,
    last_mask: u8,
}

impl<'a> Touched<'a> {
    fn of(value: &'a [u8], (first, last): (u64, u64)) -> Self {
        let (start, first_bit) = place(first);
        let (end, last_bit) = place(last);
        Self {
            start,
            bytes: value.get(start..=end).unwrap_or_default(),
            // A bit and all after it; a bit and all before it.
            first_mask: first_bit | first_bit.wrapping_sub(1),
            last_mask: !last_bit.wrapping_sub(1),
        }
    }

    /// The bits of one byte that belong to the range.
    fn mask(&self, number: usize) -> u8 {
        let is_last = number.checked_add(1) == Some(self.bytes.len());
        let first = if number == 0 {
            self.first_mask
        } else {
            u8::MAX
        };
        let last = if is_last { self.last_mask } else { u8::MAX };
        first & last
    }
}

fn count_ones(span: Span, value: &[u8]) -> i64 {
    if span.is_reversed() {
        return 0;
    }
    let Some(bits) = span.bits(value) else {
        return 0;
    };
    let touched = Touched::of(value, bits);
    let (words, rest) = touched.bytes.as_chunks::<8>();
    let in_words = words
        .iter()
        .map(|word| u64::from_ne_bytes(*word).count_ones());
    let in_rest = rest.iter().map(|byte| byte.count_ones());
    let all = in_words.chain(in_rest).map(u64::from).sum::<u64>();
    // Of the first and of the last byte, or on both sides of the only one.
    let outside = |byte: Option<&u8>, mask: u8| byte.map_or(0, |byte| (byte & !mask).count_ones());
    let before = outside(touched.bytes.first(), touched.first_mask);
    let after = outside(touched.bytes.last(), touched.last_mask);
    let within = all
        .saturating_sub(before.into())
        .saturating_sub(after.into());
    i64::try_from(within).unwrap_or(i64::MAX)
}

fn find_bit(span: Span, value: &[u8], bit: bool) -> Option<u64> {
    let touched = Touched::of(value, span.bits(value)?);
    let found = |number: usize| {
        let byte = touched.bytes.get(number)?;
        let wanted = touched.mask(number) & if bit { *byte } else { !*byte };
        let before = u64::try_from(touched.start.checked_add(number)?).ok()?;
        let before = before.checked_mul(BYTE)?;
        (wanted != 0).then(|| before.saturating_add(wanted.leading_zeros().into()))
    };
    // A byte in the middle that is found holds the bit; the last one may hold it behind the range.
    let skipped = if bit { 0 } else { u8::MAX };
    let later = || {
        let rest = touched.bytes.get(1..)?;
        let (words, _) = rest.as_chunks::<8>();
        let whole = words.iter().position(|word| *word != [skipped; 8]);
        let start = whole.unwrap_or(words.len()).saturating_mul(8);
        let rest = rest.get(start..)?;
        let other = rest.iter().position(|byte| *byte != skipped)?;
        found(start.checked_add(other)?.checked_add(1)?)
    };
    // Without an end, zeros follow the value.
    let follows = !bit && span.end.is_none();
    found(0)
        .or_else(later)
        .or_else(|| follows.then(|| length(value).saturating_mul(BYTE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bit by bit, for comparison.
    fn bits_of(value: &[u8], first: u64, last: u64) -> Vec<(u64, bool)> {
        (first..=last)
            .map(|bit| (bit, bit_at(value, bit)))
            .collect()
    }

    #[test]
    fn ranges_are_counted_and_searched_to_the_bit() {
        let values: [&[u8]; 4] = [&[0xff; 30], &[0; 30], &[0x10; 30], &[0xef; 30]];
        for value in values {
            for first in (0..240).step_by(7) {
                for last in first..240 {
                    let span = Span {
                        start: first,
                        end: Some(last),
                        unit: Unit::Bit,
                    };
                    let bits = bits_of(value, first.cast_unsigned(), last.cast_unsigned());
                    let ones = bits.iter().filter(|(_, bit)| *bit).count();
                    assert_eq!(count_ones(span, value), i64::try_from(ones).unwrap());
                    for wanted in [false, true] {
                        let place = bits.iter().find(|(_, bit)| *bit == wanted);
                        let place = place.map(|(place, _)| *place);
                        assert_eq!(find_bit(span, value, wanted), place, "{first} {last}");
                    }
                }
            }
        }
    }
}
