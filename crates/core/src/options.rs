//! The three options of an operator about values: the mode, the format that is written, and the form of plain
//! values. Each is parsed from its value in the configuration.

use std::fmt;
use std::str::FromStr;

/// The mode: new values are sealed or not, and plain ones accepted or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// New values are written plain; sealed ones are still opened.
    Off,
    /// New values are sealed; plain ones are still read.
    On,
    /// New values are sealed; plain ones are refused.
    Required,
}

impl Mode {
    /// True if new values are sealed.
    #[must_use]
    pub fn seals(self) -> bool {
        self != Self::Off
    }
}

/// The format of the envelopes that are written. Both are always read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Format 1: Base64 of IV, tag and AES-256-GCM ciphertext, without key id and binding.
    Classic,
    /// Versions 2 and 3: header with key id, XAES-256-GCM, bound to the place of the value.
    Sealed,
}

/// The form of plain values of a pattern, which decides whether Base64 may be a damaged classic value. A value that
/// may be a damaged envelope of the sealed format is never plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainValues {
    /// Plain values are JSON. If classic values are written, Base64 that does not open is refused.
    Json,
    /// Plain values may be any text, so Base64 that does not open is plain.
    Any,
}

/// The maximum length of an invalid value that is shown. Valid ones have up to eight letters, and a misspelt one is
/// not much longer.
const MAX_SHOWN: usize = 10;

/// A value in the configuration that is none of those expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is one of {expected}, not {found}")]
pub struct InvalidOption {
    what: &'static str,
    expected: &'static str,
    found: String,
}

impl InvalidOption {
    pub(crate) fn new(what: &'static str, expected: &'static str, found: &str) -> Self {
        // A secret pasted into the wrong variable must not be echoed, nor part of it.
        let short = found.len() <= MAX_SHOWN && found.chars().all(|c| c.is_ascii_alphabetic());
        let found = if short {
            format!("\"{found}\"")
        } else {
            format!("a text of {} characters", found.chars().count())
        };
        Self {
            what,
            expected,
            found,
        }
    }
}

impl FromStr for Mode {
    type Err = InvalidOption;

    /// Parses `off`, `on`, `required` and the usual values for true and false.
    fn from_str(text: &str) -> Result<Self, InvalidOption> {
        match text.trim().to_ascii_lowercase().as_str() {
            "on" | "true" | "1" | "yes" => Ok(Self::On),
            "off" | "false" | "0" | "no" => Ok(Self::Off),
            "required" => Ok(Self::Required),
            _ => Err(InvalidOption::new(
                "the mode",
                "off (false), on (true), required",
                text,
            )),
        }
    }
}

impl FromStr for Format {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<Self, InvalidOption> {
        match text {
            "classic" => Ok(Self::Classic),
            "sealed" => Ok(Self::Sealed),
            _ => Err(InvalidOption::new("the format", "classic, sealed", text)),
        }
    }
}

impl FromStr for PlainValues {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<Self, InvalidOption> {
        match text {
            "json" => Ok(Self::Json),
            "any" => Ok(Self::Any),
            _ => Err(InvalidOption::new("plain_values", "json, any", text)),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Required => "required",
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classic => "classic",
            Self::Sealed => "sealed",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_value_is_shown_and_a_secret_in_its_place_is_not() {
        let error = |text: &str| text.parse::<Mode>().unwrap_err().to_string();
        assert!(error("requird").ends_with("not \"requird\""));
        let secret = "6c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";
        assert!(error(secret).ends_with("not a text of 64 characters"));
        assert!(error("hunter2").ends_with("not a text of 7 characters"));
    }
}
