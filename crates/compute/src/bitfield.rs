//! Integers of 1 to 64 bits at any bit of a value: `BITFIELD` and `BITFIELD_RO`.

use crate::arguments::{Request, c_string, integer, is_keyword};
use crate::bits::{accepted_offset, bit_at, length_with, set_bit_at};
use crate::commands::Computation;
use crate::dialect::Dialect;
use crate::error::{ApplyError, Rejected, ServerError};
use crate::operation::{Context, Outcome};
use crate::ranges::grown;
use crate::reply::Reply;

/// The widest integer.
const MAX_BITS: u32 = 64;

/// The count of all numbers of 64 bits: adding it changes no bit of a narrower number.
const SPAN: i128 = 1 << MAX_BITS;

/// Subcommands in their order, each with a reply of its own.
#[derive(Clone)]
pub(crate) struct Bitfield {
    steps: Vec<Step>,
}

#[derive(Clone, Copy)]
struct Step {
    kind: IntegerKind,
    /// The first of its bits.
    offset: u64,
    action: Action,
    overflow: Overflow,
}

/// The type of an integer: `i8`, `u63`.
#[derive(Clone, Copy)]
struct IntegerKind {
    is_signed: bool,
    bits: u32,
}

#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64),
    Add(i64),
}

/// What happens to a number that the type does not hold.
#[derive(Clone, Copy)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

impl Bitfield {
    pub(crate) fn parse(request: &Request<'_>) -> Result<Computation, Rejected> {
        let steps = steps(request).map_err(Rejected::Arguments)?;
        Ok(Computation::Bitfield(Self { steps }))
    }

    pub(crate) fn parse_read_only(request: &Request<'_>) -> Result<Computation, Rejected> {
        let steps = steps(request).map_err(Rejected::Arguments)?;
        let bitfield = Self { steps };
        if bitfield.can_write() {
            return Err(Rejected::Arguments(ServerError::BitfieldReadOnly));
        }
        Ok(Computation::Bitfield(bitfield))
    }

    pub(crate) fn can_write(&self) -> bool {
        self.last_written_bit().is_some()
    }

    /// The highest bit that a subcommand writes, whether or not it then fails.
    fn last_written_bit(&self) -> Option<u64> {
        let writing = |step: &&Step| !matches!(step.action, Action::Get);
        self.steps.iter().filter(writing).map(Step::last_bit).max()
    }

    pub(crate) fn apply(
        &self,
        value: Option<&[u8]>,
        context: &Context,
    ) -> Result<Outcome, ApplyError> {
        let old = value.unwrap_or_default();
        let Some(last) = self.last_written_bit() else {
            let replies = self
                .steps
                .iter()
                .map(|step| step.kind.read(old, step.offset));
            return Ok(Outcome::keep(Reply::Array(
                replies.map(Reply::Integer).collect(),
            )));
        };
        // The value is grown first, even if no subcommand succeeds.
        let whole = context.fits(length_with(value, last))?;
        let mut new = grown(old, whole);
        let replies = self.steps.iter().map(|step| step.carry_out(&mut new));
        let reply = Reply::Array(replies.collect());
        if value.is_some() && new == old {
            return Ok(Outcome::keep(reply));
        }
        Ok(Outcome::put(reply, new))
    }
}

impl Step {
    fn last_bit(&self) -> u64 {
        let further = self.kind.bits.saturating_sub(1);
        self.offset.saturating_add(further.into())
    }

    /// Carries out one subcommand on a value that reaches up to the last bit that is written.
    fn carry_out(&self, value: &mut [u8]) -> Reply {
        let old = self.kind.read(value, self.offset);
        let (new, is_old_replied) = match self.action {
            Action::Get => return Reply::Integer(old),
            Action::Set(number) => (self.kind.fit(self.kind.widen(number), self.overflow), true),
            Action::Add(by) => {
                let sum = i128::from(old).saturating_add(by.into());
                (self.kind.fit(sum, self.overflow), false)
            }
        };
        let Some(new) = new else {
            return Reply::Null;
        };
        self.kind.write(value, self.offset, new);
        Reply::Integer(if is_old_replied { old } else { new })
    }
}

impl IntegerKind {
    /// The smallest and the largest number.
    fn bounds(self) -> (i128, i128) {
        let magnitude = |bits: u32| 1_i128.checked_shl(bits).unwrap_or(i128::MAX);
        let (least, beyond) = if self.is_signed {
            let half = magnitude(self.bits.saturating_sub(1));
            (half.saturating_neg(), half)
        } else {
            (0, magnitude(self.bits))
        };
        (least, beyond.saturating_sub(1))
    }

    /// The number that an argument of `SET` means to servers: a negative one is far too large for an unsigned type, and so
    /// is the most negative for a signed one, whose distance to the largest number they compute with 64 bits.
    fn widen(self, number: i64) -> i128 {
        let wide = i128::from(number);
        let (_, largest) = self.bounds();
        let is_too_large = match self.is_signed {
            true => self.bits < MAX_BITS && largest.saturating_sub(wide) > i64::MAX.into(),
            false => wide < 0,
        };
        match is_too_large {
            true => wide.saturating_add(SPAN),
            false => wide,
        }
    }

    /// A number as this type holds it. `None` where it does not, and that is a failure.
    fn fit(self, number: i128, overflow: Overflow) -> Option<i64> {
        let (least, largest) = self.bounds();
        let fitted = match overflow {
            _ if (least..=largest).contains(&number) => number,
            Overflow::Fail => return None,
            Overflow::Saturate => number.clamp(least, largest),
            Overflow::Wrap => {
                let count = largest.saturating_sub(least).saturating_add(1);
                let above = number.saturating_sub(least);
                above.checked_rem_euclid(count)?.saturating_add(least)
            }
        };
        i64::try_from(fitted).ok()
    }

    fn read(self, value: &[u8], offset: u64) -> i64 {
        let mut number = 0_i64;
        for step in 0..self.bits {
            let bit = bit_at(value, offset.saturating_add(step.into()));
            // The highest bit of a signed number is repeated above it.
            number = match step == 0 && self.is_signed && bit {
                true => -1,
                false => number.wrapping_shl(1) | i64::from(bit),
            };
        }
        number
    }

    fn write(self, value: &mut [u8], offset: u64, number: i64) {
        for step in 0..self.bits {
            let shift = self.bits.saturating_sub(step).saturating_sub(1);
            let bit = number.wrapping_shr(shift) & 1 == 1;
            set_bit_at(value, offset.saturating_add(step.into()), bit);
        }
    }
}

/// Reads all subcommands.
fn steps(request: &Request<'_>) -> Result<Vec<Step>, ServerError> {
    let mut steps = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut rest = request.from(2);
    while let [subcommand, after @ ..] = rest {
        let is = |keyword| is_keyword(subcommand, keyword);
        rest = match after {
            [kind, offset, after @ ..] if is("get") => {
                let action = |_: &Step| Ok(Action::Get);
                steps.push(step(kind, offset, overflow, request.dialect, action)?);
                after
            }
            [kind, offset, number, after @ ..] if is("set") || is("incrby") => {
                let number = || integer(number).ok_or(ServerError::NotAnInteger);
                let is_set = is("set");
                let action = |_: &Step| match is_set {
                    true => number().map(Action::Set),
                    false => number().map(Action::Add),
                };
                steps.push(step(kind, offset, overflow, request.dialect, action)?);
                after
            }
            [name, after @ ..] if is("overflow") => {
                overflow = overflow_of(name)?;
                after
            }
            _ => return Err(ServerError::Syntax),
        };
    }
    Ok(steps)
}

/// One subcommand. Its number is read last.
fn step(
    kind: &[u8],
    offset: &[u8],
    overflow: Overflow,
    dialect: Dialect,
    action: impl FnOnce(&Step) -> Result<Action, ServerError>,
) -> Result<Step, ServerError> {
    let kind = match dialect.reads_bitfield_types_whole() {
        true => kind_of(kind),
        false => kind_of(c_string(kind)),
    };
    let kind = kind.ok_or(ServerError::BitfieldType)?;
    let mut step = Step {
        kind,
        offset: offset_of(offset, kind, dialect)?,
        action: Action::Get,
        overflow,
    };
    step.action = action(&step)?;
    Ok(step)
}

fn overflow_of(name: &[u8]) -> Result<Overflow, ServerError> {
    [
        ("wrap", Overflow::Wrap),
        ("sat", Overflow::Saturate),
        ("fail", Overflow::Fail),
    ]
    .into_iter()
    .find_map(|(keyword, overflow)| is_keyword(name, keyword).then_some(overflow))
    .ok_or(ServerError::BitfieldOverflow)
}

/// `i1` to `i64`, `u1` to `u63`.
fn kind_of(text: &[u8]) -> Option<IntegerKind> {
    let (is_signed, width) = match text {
        [b'i', width @ ..] => (true, width),
        [b'u', width @ ..] => (false, width),
        _ => return None,
    };
    let bits = u32::try_from(integer(width)?).ok()?;
    let most = MAX_BITS.saturating_sub(u32::from(!is_signed));
    (1..=most)
        .contains(&bits)
        .then_some(IntegerKind { is_signed, bits })
}

/// The offset of a bit, or with `#` of an integer of this type.
fn offset_of(text: &[u8], kind: IntegerKind, dialect: Dialect) -> Result<u64, ServerError> {
    let offset = match text {
        // Servers multiply without a check: a product that wraps to a small number is one.
        [b'#', number @ ..] => integer(number).map(|it| it.wrapping_mul(kind.bits.into())),
        number => integer(number),
    };
    accepted_offset(offset.ok_or(ServerError::BitOffset)?, dialect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_every_width_are_read_as_they_were_written() {
        for bits in 1..=64 {
            for is_signed in [false, true] {
                if bits == 64 && !is_signed {
                    continue;
                }
                let kind = IntegerKind { is_signed, bits };
                let (least, largest) = kind.bounds();
                for number in [least, largest, largest / 3] {
                    let number = i64::try_from(number).unwrap();
                    let mut value = [0xa5; 12];
                    kind.write(&mut value, 5, number);
                    assert_eq!(kind.read(&value, 5), number, "{is_signed} {bits}");
                }
            }
        }
    }

    #[test]
    fn numbers_overflow_as_they_are_told() {
        let i8 = kind_of(b"i8").unwrap();
        assert_eq!(i8.fit(128, Overflow::Wrap), Some(-128));
        assert_eq!(i8.fit(-129, Overflow::Saturate), Some(-128));
        assert_eq!(i8.fit(128, Overflow::Fail), None);
        let most_negative = i8.widen(i64::MIN);
        assert_eq!(i8.fit(most_negative, Overflow::Saturate), Some(127));
        assert_eq!(i8.fit(most_negative, Overflow::Wrap), Some(0));
        let i64 = kind_of(b"i64").unwrap();
        let beyond = i128::from(i64::MAX) + 1;
        assert_eq!(i64.fit(beyond, Overflow::Wrap), Some(i64::MIN));
        let u63 = kind_of(b"u63").unwrap();
        assert_eq!(u63.fit(-1, Overflow::Wrap), Some(i64::MAX));
        assert_eq!(u63.fit(-1, Overflow::Saturate), Some(0));
    }
}
