//! Decimal numbers as RESP writes them: one spelling for each, as Redis requires. Two readers that disagree about a
//! length disagree about where a request ends.

/// Maximum length of a line with a number: 20 characters of an `i64`, with room to spare.
pub(crate) const MAX_NUMBER_LINE: usize = 32;

/// Reads a number: no sign but a minus, no leading zero, no minus zero, nothing else.
#[inline]
pub(crate) fn parse(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [] => return None,
        [b'0'] if !negative => return Some(0),
        [b'0', ..] => return None,
        _ => {}
    }
    let mut number: i64 = 0;
    for digit in digits {
        let digit = match digit {
            b'0'..=b'9' => i64::from(digit & 0x0F),
            _ => return None,
        };
        // Counted downwards: the range of negative numbers is larger by one.
        number = number.checked_mul(10)?.checked_sub(digit)?;
    }
    if negative {
        Some(number)
    } else {
        number.checked_neg()
    }
}

/// A line with a number, from the byte after its type on.
pub(crate) enum Line {
    /// The number and the length of the line with its CR LF.
    Number(i64, usize),
    /// The line is incomplete.
    Open,
    /// Not a number.
    Invalid,
    /// Longer than any number, or CR without LF.
    Endless,
}

/// Reads a line with a number.
#[inline]
pub(crate) fn line(bytes: &[u8]) -> Line {
    let window = bytes.get(..MAX_NUMBER_LINE).unwrap_or(bytes);
    let Some(end) = window.iter().position(|byte| *byte == b'\r') else {
        return if bytes.len() < MAX_NUMBER_LINE {
            Line::Open
        } else {
            Line::Endless
        };
    };
    match bytes.get(end.saturating_add(1)) {
        None => Line::Open,
        Some(b'\n') => match window.get(..end).and_then(parse) {
            Some(number) => Line::Number(number, end.saturating_add(2)),
            None => Line::Invalid,
        },
        Some(_) => Line::Endless,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_in_their_canonical_spelling_only() {
        for number in [0, 1, 10, 512, -1, i64::MAX, i64::MIN] {
            assert_eq!(parse(number.to_string().as_bytes()), Some(number));
        }
        for text in [
            "",
            "-",
            "+1",
            "01",
            "-0",
            "00",
            " 1",
            "1 ",
            "1a",
            "0x1",
            "9223372036854775808",
            "-9223372036854775809",
            "1e3",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_line_is_open_until_its_line_feed_and_bounded() {
        assert!(matches!(line(b"12"), Line::Open));
        assert!(matches!(line(b"12\r"), Line::Open));
        assert!(matches!(line(b"12\r\nx"), Line::Number(12, 4)));
        assert!(matches!(line(b"12\rx"), Line::Endless));
        assert!(matches!(line(&[b'1'; MAX_NUMBER_LINE]), Line::Endless));
        assert!(matches!(line(b"x\r\n"), Line::Invalid));
    }
}
