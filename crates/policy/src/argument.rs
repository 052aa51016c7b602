//! Single arguments, read as Redis reads them: keywords in any case and up to a zero byte, canonical decimal
//! numbers.

/// The part of the argument that a server compares with a keyword: servers compare C strings, which end at a
/// zero byte.
pub(crate) fn c_string(argument: &[u8]) -> &[u8] {
    let end = argument.iter().position(|byte| *byte == 0);
    end.and_then(|end| argument.get(..end)).unwrap_or(argument)
}

/// True if a server takes the argument at this position for this keyword: in any case, and up to a zero byte.
#[must_use]
pub fn is(arguments: &[&[u8]], at: usize, expected: &str) -> bool {
    arguments.get(at).is_some_and(|argument| {
        let expected = expected.as_bytes();
        // Most arguments differ in their first bytes: the search for a zero byte is left out.
        let starts = argument.get(..expected.len());
        starts.is_some_and(|start| start.eq_ignore_ascii_case(expected))
            && argument.get(expected.len()).is_none_or(|next| *next == 0)
    })
}

/// True if the argument at this position is one of these keywords, in any case.
pub(crate) fn is_any_keyword(arguments: &[&[u8]], at: usize, keywords: &[&str]) -> bool {
    keywords.iter().any(|keyword| is(arguments, at, keyword))
}

/// The argument at this position as an integer in canonical form, as Redis requires it: no plus sign, no
/// leading zero, no white space.
pub(crate) fn integer(arguments: &[&[u8]], at: usize) -> Option<i64> {
    let text = arguments.get(at)?;
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', tail @ ..] => tail.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The argument at this position as a count: a canonical integer that is not negative.
pub(crate) fn count(arguments: &[&[u8]], at: usize) -> Option<usize> {
    usize::try_from(integer(arguments, at)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_parsed_as_strictly_as_by_redis() {
        for (text, number) in [
            ("0", 0),
            ("7", 7),
            ("-1", -1),
            ("120", 120),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(integer(&[text.as_bytes()], 0), Some(number), "{text}");
        }
        for text in [
            "",
            "-",
            "-0",
            "01",
            "+1",
            " 1",
            "1 ",
            "1.0",
            "x",
            "9223372036854775808",
        ] {
            assert_eq!(integer(&[text.as_bytes()], 0), None, "{text}");
        }
        assert_eq!(count(&[b"-1"], 0), None);
        assert_eq!(count(&[], 0), None);
    }

    #[test]
    fn keywords_are_compared_in_any_case_and_up_to_a_zero_byte() {
        assert!(is(&[b"kEePtTl"], 0, "KEEPTTL"));
        assert!(is(&[b"keepttl\0"], 0, "KEEPTTL"));
        assert!(is(&[b"KEEPTTL\0 and more"], 0, "KEEPTTL"));
        assert!(!is(&[b"KEEP\0TTL"], 0, "KEEPTTL"));
        assert!(!is(&[b"KEEPTTL "], 0, "KEEPTTL"));
        assert!(!is(&[b"KEEP"], 0, "KEEPTTL"));
        assert!(!is(&[], 0, "KEEPTTL"));
        assert_eq!(c_string(b"on\0off"), b"on");
        assert_eq!(c_string(b"on"), b"on");
        assert_eq!(c_string(b"\0"), b"");
    }
}
