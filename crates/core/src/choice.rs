//! The three choices an operator makes about values: the mode, the format that is written, and what
//! a plain value looks like. Each parses from the words of the configuration; this module does not
//! know where those words come from.

use std::fmt;
use std::str::FromStr;

/// Whether new values are sealed, and whether plain ones are still accepted.
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
    /// Whether new values are sealed.
    #[must_use]
    pub fn seals(self) -> bool {
        self != Self::Off
    }
}

/// The format of the envelopes that are written. Both are always read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Format 1: Base64 of IV, tag and AES-256-GCM ciphertext. Neither key id nor binding.
    Classic,
    /// Format 2: header with key id, XAES-256-GCM, bound to the record name and field.
    Sealed,
}

/// What a plain value of a pattern looks like, which decides what becomes of Base64 that could be a
/// damaged classic value. What could be a damaged envelope of the sealed format is never plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainValues {
    /// Plain values are JSON. Where classic values are written, Base64 that does not open is refused.
    Json,
    /// Plain values can be any text, so Base64 that does not open is plain.
    Any,
}

/// The longest word of the configuration has eight letters; a misspelt one is not much longer.
const LONGEST_SHOWN: usize = 10;

/// A word of the configuration that is none of those expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is one of {expected}, not {found}")]
pub struct UnknownWord {
    what: &'static str,
    expected: &'static str,
    found: String,
}

impl UnknownWord {
    fn new(what: &'static str, expected: &'static str, found: &str) -> Self {
        // A secret pasted into the wrong variable must not be echoed, nor part of it.
        let short = found.len() <= LONGEST_SHOWN && found.chars().all(|c| c.is_ascii_alphabetic());
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
    type Err = UnknownWord;

    /// Reads `off`, `on`, `required` and the usual words for true and false.
    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word.trim().to_ascii_lowercase().as_str() {
            "on" | "true" | "1" | "yes" => Ok(Self::On),
            "off" | "false" | "0" | "no" => Ok(Self::Off),
            "required" => Ok(Self::Required),
            _ => Err(UnknownWord::new(
                "the mode",
                "off (false), on (true), required",
                word,
            )),
        }
    }
}

impl FromStr for Format {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "classic" => Ok(Self::Classic),
            "sealed" => Ok(Self::Sealed),
            _ => Err(UnknownWord::new("the format", "classic, sealed", word)),
        }
    }
}

impl FromStr for PlainValues {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "json" => Ok(Self::Json),
            "any" => Ok(Self::Any),
            _ => Err(UnknownWord::new("plain_values", "json, any", word)),
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
    fn a_misspelt_word_is_shown_and_a_secret_in_its_place_is_not() {
        let told = |word: &str| word.parse::<Mode>().unwrap_err().to_string();
        assert!(told("requird").ends_with("not \"requird\""));
        let secret = "6c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";
        assert!(told(secret).ends_with("not a text of 64 characters"));
        assert!(told("hunter2").ends_with("not a text of 7 characters"));
    }
}
