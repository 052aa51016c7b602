//! Arguments of a request as servers read them: integers in their only spelling, keywords that end at the first NUL.

use crate::dialect::Dialect;
use crate::error::ServerError;

/// The digits of the longest 64-bit integer, with its sign.
const MAX_INTEGER_LEN: usize = 20;

/// A request whose number of arguments is right.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    arguments: &'a [&'a [u8]],
    pub(crate) dialect: Dialect,
}

impl<'a> Request<'a> {
    pub(crate) fn new(arguments: &'a [&'a [u8]], dialect: Dialect) -> Self {
        Self { arguments, dialect }
    }

    /// All arguments with the command's name.
    pub(crate) fn len(&self) -> usize {
        self.arguments.len()
    }

    /// One argument; empty where there is none.
    pub(crate) fn at(&self, place: usize) -> &'a [u8] {
        self.arguments.get(place).copied().unwrap_or_default()
    }

    /// The arguments from this one on.
    pub(crate) fn from(&self, place: usize) -> &'a [&'a [u8]] {
        self.arguments.get(place..).unwrap_or_default()
    }

    /// One argument as an integer.
    pub(crate) fn integer(&self, place: usize) -> Result<i64, ServerError> {
        integer(self.at(place)).ok_or(ServerError::NotAnInteger)
    }
}

/// A 64-bit integer in the spelling in which servers write it: no plus, no leading zeros, no spaces, no `-0`.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_spelled = match digits {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !is_spelled || text.len() > MAX_INTEGER_LEN {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The part of an argument that a server reads as text: it ends at the first NUL.
pub(crate) fn c_string(argument: &[u8]) -> &[u8] {
    argument.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Compares an argument with a keyword, as servers do.
pub(crate) fn is_keyword(argument: &[u8], keyword: &str) -> bool {
    c_string(argument).eq_ignore_ascii_case(keyword.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_one_spelling() {
        let read = |text: &str| integer(text.as_bytes());
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("-1"), Some(-1));
        assert_eq!(read("9223372036854775807"), Some(i64::MAX));
        assert_eq!(read("-9223372036854775808"), Some(i64::MIN));
        for wrong in [
            "",
            "-",
            "-0",
            "00",
            "01",
            "+1",
            " 1",
            "1 ",
            "1.0",
            "1e3",
            "0x1",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999999",
            "1\0",
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn keywords_end_at_the_first_nul() {
        assert!(is_keyword(b"GeT", "get") && is_keyword(b"get\0x", "get"));
        assert!(!is_keyword(b"getx", "get") && !is_keyword(b"", "get"));
    }
}
