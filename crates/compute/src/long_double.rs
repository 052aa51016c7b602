//! The floating-point numbers that servers on x86-64 compute with: 80 bits, 64 of them significant. `0.1 + 0.2` is 0.3 in
//! them, as it is written with 17 decimals, and not in the 64 bits of `f64`.
//!
//! Reading and adding is `rustc_apfloat`'s. What is done here is integers only: which spellings a number has, and the
//! digits of a number that is given as its significant bits and its exponent. The library's own text rounds half up, and
//! takes ten milliseconds for the largest numbers.

use std::ops::Neg;

use rustc_apfloat::ieee::X87DoubleExtended;
use rustc_apfloat::{Float, Round};

/// The longest text that a server reads as a number.
const MAX_TEXT_LEN: usize = 5 * 1024 - 1;

/// The digits behind the point that a server writes at most.
const DECIMALS: usize = 17;

/// 10 to the power of [`DECIMALS`].
const SCALE: u128 = 100_000_000_000_000_000;

/// The bits of the significand; its highest one is stored.
const SIGNIFICAND_BITS: u32 = 64;

/// The exponent of the lowest bit of a significand is the stored one less this: the bias, and the 63 bits above it.
const EXPONENT_OFFSET: i32 = 16383 + 63;

/// Digits are computed in groups of nine.
const GROUP: u64 = 1_000_000_000;

/// How far all groups are shifted at once, so that each fits 64 bits with what it is handed.
const MAX_SHIFT: u32 = 29;

/// A number of 80 bits, finite or infinite.
#[derive(Clone, Copy)]
pub(crate) struct LongDouble(X87DoubleExtended);

impl LongDouble {
    pub(crate) const ZERO: Self = Self(X87DoubleExtended::ZERO);

    /// Reads what `strtold` reads up to the end of the text, except for a number that is not one and for one that is too
    /// large or rounds to zero. Spaces are refused.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        if text.is_empty() || text.len() > MAX_TEXT_LEN {
            return None;
        }
        let (is_negative, unsigned) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let magnitude = if is_infinity(unsigned) {
            X87DoubleExtended::INFINITY
        } else {
            magnitude(unsigned)?
        };
        Some(Self(match is_negative {
            true => magnitude.neg(),
            false => magnitude,
        }))
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self(self.0.add_r(other.0, Round::NearestTiesToEven).value)
    }

    pub(crate) fn is_finite(self) -> bool {
        self.0.is_finite()
    }

    /// The number with 17 decimals, half rounded to even, without the zeros at its end. Only for a finite one.
    pub(crate) fn to_text(self) -> String {
        let bits = self.0.to_bits();
        let significand = u64::try_from(bits & u128::from(u64::MAX)).unwrap_or_default();
        let top = u16::try_from(bits.wrapping_shr(SIGNIFICAND_BITS)).unwrap_or_default();
        // Numbers too small for a leading one have the exponent 0, which means 1.
        let stored = i32::from(top & 0x7fff).max(1);
        let exponent = stored.saturating_sub(EXPONENT_OFFSET);
        let text = match u32::try_from(exponent) {
            Ok(exponent) => integer_text(significand, exponent),
            Err(_) => decimal_text(significand.into(), exponent.unsigned_abs()),
        };
        // Nothing is written as -0.
        if self.0.is_negative() && text != "0" {
            format!("-{text}")
        } else {
            text
        }
    }
}

/// `significand` times 2 to the power of `places`.
fn integer_text(significand: u64, mut places: u32) -> String {
    // The lowest first.
    let mut groups = Vec::new();
    let mut carry = significand;
    while carry > 0 {
        groups.push(carry.rem_euclid(GROUP));
        carry = carry.div_euclid(GROUP);
    }
    while places > 0 {
        let shift = places.min(MAX_SHIFT);
        places = places.saturating_sub(shift);
        for group in &mut groups {
            let shifted = group.wrapping_shl(shift).saturating_add(carry);
            *group = shifted.rem_euclid(GROUP);
            carry = shifted.div_euclid(GROUP);
        }
        if carry > 0 {
            groups.push(carry);
            carry = 0;
        }
    }
    let Some(highest) = groups.pop() else {
        return "0".to_owned();
    };
    let mut text = highest.to_string();
    for group in groups.iter().rev() {
        text.push_str(&format!("{group:09}"));
    }
    text
}

/// `significand` divided by 2 to the power of `places`.
fn decimal_text(significand: u128, places: u32) -> String {
    // At most 121 bits: 64 of the significand, 57 of the scale.
    let scaled = significand.saturating_mul(SCALE);
    let whole = scaled.checked_shr(places).unwrap_or_default();
    let rest = scaled ^ whole.checked_shl(places).unwrap_or_default();
    let half = 1_u128.checked_shl(places.saturating_sub(1));
    // Where half a unit takes more bits than there are, the rest is less.
    let is_up = half.is_some_and(|half| rest > half || (rest == half && whole & 1 == 1));
    let rounded = whole.saturating_add(is_up.into());
    let (integer, decimals) = (rounded.div_euclid(SCALE), rounded.rem_euclid(SCALE));
    let text = format!("{integer}.{decimals:0DECIMALS$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn is_infinity(text: &[u8]) -> bool {
    text.eq_ignore_ascii_case(b"inf") || text.eq_ignore_ascii_case(b"infinity")
}

/// A number without a sign.
fn magnitude(text: &[u8]) -> Option<X87DoubleExtended> {
    let hexadecimal = text
        .strip_prefix(b"0x")
        .or_else(|| text.strip_prefix(b"0X"));
    let (digits, spelled): (&[u8], String) = match hexadecimal {
        Some(digits) => {
            let (significand, exponent) = split(digits, b'p', u8::is_ascii_hexdigit)?;
            let significand_text = std::str::from_utf8(significand).ok()?;
            // The library wants the exponent that C leaves out.
            let exponent = std::str::from_utf8(exponent.unwrap_or(b"0")).ok()?;
            (significand, format!("0x{significand_text}p{exponent}"))
        }
        None => {
            let (significand, _) = split(text, b'e', u8::is_ascii_digit)?;
            (significand, std::str::from_utf8(text).ok()?.to_owned())
        }
    };
    let read = X87DoubleExtended::from_str_r(&spelled, Round::NearestTiesToEven).ok()?;
    let is_zero = !digits.iter().any(|digit| !matches!(digit, b'0' | b'.'));
    let number = read.value;
    // Too large, or too small.
    (number.is_finite() && number.is_zero() == is_zero).then_some(number)
}

/// The significand, with at least one digit and at most one point, and the exponent if there is one, with its sign.
pub(crate) fn split(
    text: &[u8],
    mark: u8,
    is_digit: fn(&u8) -> bool,
) -> Option<(&[u8], Option<&[u8]>)> {
    let place = text
        .iter()
        .position(|byte| byte.eq_ignore_ascii_case(&mark));
    let (significand, exponent) = match place {
        Some(place) => {
            let (significand, rest) = text.split_at_checked(place)?;
            (significand, rest.get(1..))
        }
        None => (text, None),
    };
    let points = significand.iter().filter(|byte| **byte == b'.').count();
    let digits = significand.iter().filter(|byte| is_digit(byte)).count();
    let is_significand =
        digits > 0 && points <= 1 && digits.checked_add(points) == Some(significand.len());
    let is_exponent = |text: &[u8]| {
        let digits = match text {
            [b'+' | b'-', rest @ ..] => rest,
            rest => rest,
        };
        !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
    };
    (is_significand && exponent.is_none_or(is_exponent)).then_some((significand, exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(number: &str) -> String {
        LongDouble::parse(number.as_bytes()).unwrap().to_text()
    }

    #[test]
    fn numbers_are_written_with_their_decimals() {
        for (number, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0e5", "0"),
            ("10", "10"),
            ("10.50", "10.5"),
            ("-3.14", "-3.14"),
            (".5", "0.5"),
            ("5.", "5"),
            ("5e3", "5000"),
            ("+1e2", "100"),
            ("0x10", "16"),
            ("0X1.8p1", "3"),
            ("-0x.8", "-0.5"),
            ("1e-17", "0.00000000000000001"),
            ("1e-18", "0"),
            ("-1e-18", "0"),
            ("1e-4940", "0"),
            ("0.6e-17", "0.00000000000000001"),
            ("9223372036854775807", "9223372036854775807"),
            ("18446744073709551616", "18446744073709551616"),
            ("36893488147419103232", "36893488147419103232"),
            ("1e20", "100000000000000000000"),
            ("0x1p100", "1267650600228229401496703205376"),
            ("3.0", "3"),
        ] {
            assert_eq!(text(number), expected, "{number}");
        }
        assert_eq!(text("0x1p63"), "9223372036854775808");
        assert_eq!(text("1e27"), "1".to_owned() + &"0".repeat(27));
        let largest = text("1.18973149535723176502e4932");
        assert_eq!(largest.len(), 4933);
        assert!(largest.starts_with("118973149535723176502126385303"));
    }

    #[test]
    fn a_sum_of_decimals_is_a_decimal() {
        let parse = |text: &str| LongDouble::parse(text.as_bytes()).unwrap();
        assert_eq!(parse("0.1").plus(parse("0.2")).to_text(), "0.3");
        assert_eq!(parse("1e20").plus(parse("-1e20")).to_text(), "0");
        assert!(!parse("inf").plus(parse("-inf")).is_finite());
        assert!(!parse("1.1e4932").plus(parse("1.1e4932")).is_finite());
    }

    #[test]
    fn refuses_what_is_not_a_number_to_its_end() {
        for wrong in [
            "",
            " 1",
            "1 ",
            "1e",
            "1e+",
            "e1",
            ".",
            "+",
            "-",
            "--1",
            "+-1",
            "0x",
            "0x.",
            "0xg",
            "0x1p",
            "1p1",
            "1..2",
            "nan",
            "-NaN",
            "nan(1)",
            "infinit",
            "1e5000",
            "1e-5000",
            "0x1p20000",
            "1_0",
            "1,5",
            "0b1",
            "1f",
            "\u{664}",
        ] {
            assert!(LongDouble::parse(wrong.as_bytes()).is_none(), "{wrong:?}");
        }
        assert!(LongDouble::parse(b"1\0").is_none());
        assert!(LongDouble::parse(b"\xff").is_none());
        for infinite in ["inf", "-INF", "+Infinity"] {
            assert!(!LongDouble::parse(infinite.as_bytes()).unwrap().is_finite());
        }
        let long = |length| LongDouble::parse(&vec![b'0'; length]);
        assert!(long(MAX_TEXT_LEN).is_some() && long(MAX_TEXT_LEN + 1).is_none());
    }

    #[test]
    fn exponents_without_bound_do_no_harm() {
        let digits = "9".repeat(4_000);
        for sign in ["", "-", "+"] {
            for mark in ["1e", "0x1p", "0.0e", "0x0p"] {
                let _ = LongDouble::parse(format!("{mark}{sign}{digits}").as_bytes());
            }
        }
        let zeros = "0".repeat(4_900);
        assert_eq!(text(&format!("0.{zeros}1e4901")), "1");
        assert_eq!(text(&format!("1{zeros}e-4900")), "1");
    }
}
