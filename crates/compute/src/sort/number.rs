//! The numbers that `SORT` sorts by, as servers read them.

use std::cmp::Ordering;

use rustc_apfloat::ieee::Double;
use rustc_apfloat::{Float, Round, Status};

use crate::arguments::c_string;
use crate::dialect::Dialect;
use crate::long_double::split;

/// What C takes for a space.
const SPACES: [u8; 6] = [b' ', b'\t', b'\n', 0x0b, 0x0c, b'\r'];

/// A number, finite or infinite.
#[derive(Clone, Copy, Default)]
pub(super) struct Score(f64);

impl Score {
    /// Reads a text up to its end or a NUL. An empty one is zero to most servers.
    pub(super) fn parse(text: &[u8], dialect: Dialect) -> Option<Self> {
        let text = c_string(text);
        if text.is_empty() {
            return (!dialect.sorts_strict_numbers()).then(Self::default);
        }
        let is_c = dialect.sorts_numbers_of_c();
        let spaces = text.iter().take_while(|byte| SPACES.contains(byte)).count();
        let text = text.get(if is_c { spaces } else { 0 }..)?;
        let (is_negative, unsigned) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let is_infinite = ["inf", "infinity"]
            .iter()
            .any(|word| unsigned.eq_ignore_ascii_case(word.as_bytes()));
        let magnitude = match unsigned {
            _ if is_infinite => f64::INFINITY,
            [b'0', b'x' | b'X', digits @ ..] if is_c => hexadecimal(digits)?,
            digits => decimal(digits, dialect)?,
        };
        Some(Self(if is_negative { -magnitude } else { magnitude }))
    }

    pub(super) fn compare(self, other: Self) -> Ordering {
        // Zero has two signs, which are equal.
        self.0.partial_cmp(&other.0).unwrap_or(Ordering::Equal)
    }
}

/// A decimal number without a sign. One that is too large or too small is none to C, and to some servers.
fn decimal(text: &[u8], dialect: Dialect) -> Option<f64> {
    let (significand, _) = split(text, b'e', u8::is_ascii_digit)?;
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let is_zero = !significand.iter().any(|digit| matches!(digit, b'1'..=b'9'));
    let is_in_range = if dialect.sorts_numbers_of_c() {
        number.is_normal()
    } else {
        !dialect.sorts_strict_numbers() || (number.is_finite() && number != 0.0)
    };
    (is_zero || is_in_range).then_some(number)
}

/// A hexadecimal number without its sign and `0x`.
fn hexadecimal(digits: &[u8]) -> Option<f64> {
    let (significand, exponent) = split(digits, b'p', u8::is_ascii_hexdigit)?;
    let significand = std::str::from_utf8(significand).ok()?;
    // The library wants the exponent that C leaves out.
    let exponent = std::str::from_utf8(exponent.unwrap_or(b"0")).ok()?;
    let spelled = format!("0x{significand}p{exponent}");
    let read = Double::from_str_r(&spelled, Round::NearestTiesToEven).ok()?;
    let is_out_of_range = read.status.intersects(Status::OVERFLOW | Status::UNDERFLOW);
    let bits = u64::try_from(read.value.to_bits()).ok()?;
    (!is_out_of_range).then(|| f64::from_bits(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], dialect: Dialect) -> Option<f64> {
        Score::parse(text, dialect).map(|score| score.0)
    }

    #[test]
    fn numbers_are_read_as_c_reads_them_or_as_the_newest_servers_do() {
        let (old, new) = (Dialect::redis(7, 0), Dialect::redis(8, 0));
        for (text, by_old, by_new) in [
            (&b""[..], Some(0.0), Some(0.0)),
            (b"1.5", Some(1.5), Some(1.5)),
            (b"-1e3", Some(-1000.0), Some(-1000.0)),
            (b".5", Some(0.5), Some(0.5)),
            (b"5.", Some(5.0), Some(5.0)),
            (b"5\0x", Some(5.0), Some(5.0)),
            (b"-inf", Some(f64::NEG_INFINITY), Some(f64::NEG_INFINITY)),
            (b"Infinity", Some(f64::INFINITY), Some(f64::INFINITY)),
            (b" \t1", Some(1.0), None),
            (b"+1", Some(1.0), Some(1.0)),
            (b"+-1", None, None),
            (b"0x10", Some(16.0), None),
            (b"-0X.8p1", Some(-1.0), None),
            (b"1e400", None, Some(f64::INFINITY)),
            (b"1e-400", None, Some(0.0)),
            (b"0e-400", Some(0.0), Some(0.0)),
            (b"0x1p2000", None, None),
            (b"0x1p-2000", None, None),
            (b" ", None, None),
            (b"1 ", None, None),
            (b"1x", None, None),
            (b"0x", None, None),
            (b"nan", None, None),
            (b"--1", None, None),
            (b"1_0", None, None),
            (b"\xff", None, None),
        ] {
            let shown = text.escape_ascii();
            assert_eq!(read(text, old), by_old, "{shown}");
            assert_eq!(read(text, new), by_new, "{shown}");
        }
        let strict = Dialect::valkey(9, 1);
        for (text, expected) in [
            (&b""[..], None),
            (b"+1", Some(1.0)),
            (b" 1", None),
            (b"0x1", None),
            (b"1e400", None),
            (b"1e-400", None),
            (b"1e-310", Some(1e-310)),
            (b"-0", Some(0.0)),
            (b"inf", Some(f64::INFINITY)),
        ] {
            assert_eq!(read(text, strict), expected, "{}", text.escape_ascii());
        }
        assert_eq!(read(b" 0x1", Dialect::valkey(9, 0)), Some(1.0));
    }
}
