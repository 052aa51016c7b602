//! Inline requests: a line of arguments as a person types it. The quoting is that of Redis: between double quotes `\xHH`,
//! `\n`, `\r`, `\t`, `\b`, `\a` and any escaped character, between single quotes only `\'`.
//!
//! Servers do not agree about everything in such a line: Redis ends a quoted argument at a vertical tab and Valkey does
//! not, Valkey drops a byte 255 and Redis does not. Lines that they read differently are refused, because it is unknown
//! which record they name.

use crate::error::RequestError;

/// Splits a line, without its line end, into arguments.
pub(crate) fn arguments(line: &[u8]) -> Result<Vec<Vec<u8>>, RequestError> {
    if line.contains(&0) {
        return Err(RequestError::Zero);
    }
    if line.contains(&0xFF) {
        return Err(RequestError::Unclear);
    }
    let mut arguments = Vec::new();
    let mut remaining = line;
    loop {
        remaining = without_spaces(remaining);
        if remaining.is_empty() {
            return Ok(arguments);
        }
        let (argument, after) = argument(remaining)?;
        arguments.push(argument);
        remaining = after;
    }
}

fn argument(mut remaining: &[u8]) -> Result<(Vec<u8>, &[u8]), RequestError> {
    let mut argument = Vec::new();
    loop {
        match remaining {
            [] => return Ok((argument, remaining)),
            [byte, ..] if is_space(*byte) => return Ok((argument, remaining)),
            // A space before an argument, and a letter within one.
            [0x0B | 0x0C, ..] => return Err(RequestError::Unclear),
            [b'"', after @ ..] => return quoted(after, argument, double_quoted),
            [b'\'', after @ ..] => return quoted(after, argument, single_quoted),
            [byte, after @ ..] => {
                argument.push(*byte);
                remaining = after;
            }
        }
    }
}

/// Reads one byte between quotes. Returns it, or `None` at the closing quote, with the bytes that follow.
type Step = fn(&[u8]) -> Result<(Option<u8>, &[u8]), RequestError>;

/// Reads up to the closing quote, which must be followed by a space or nothing.
fn quoted(
    remaining: &[u8],
    argument: Vec<u8>,
    step: Step,
) -> Result<(Vec<u8>, &[u8]), RequestError> {
    let (mut remaining, mut argument) = (remaining, argument);
    loop {
        let (byte, after) = step(remaining)?;
        remaining = after;
        match byte {
            Some(byte) => argument.push(byte),
            None if remaining.first().is_none_or(|byte| is_space(*byte)) => {
                return Ok((argument, remaining));
            }
            None => return Err(RequestError::Quotes),
        }
    }
}

fn double_quoted(remaining: &[u8]) -> Result<(Option<u8>, &[u8]), RequestError> {
    match remaining {
        [] => Err(RequestError::Quotes),
        [b'"', after @ ..] => Ok((None, after)),
        [b'\\', b'x', high, low, after @ ..]
            if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
        {
            Ok((Some(nibble(*high) << 4 | nibble(*low)), after))
        }
        [b'\\', escaped, after @ ..] => {
            let byte = match escaped {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'b' => 0x08,
                b'a' => 0x07,
                other => *other,
            };
            Ok((Some(byte), after))
        }
        [byte, after @ ..] => Ok((Some(*byte), after)),
    }
}

fn single_quoted(remaining: &[u8]) -> Result<(Option<u8>, &[u8]), RequestError> {
    match remaining {
        [] => Err(RequestError::Quotes),
        [b'\\', b'\'', after @ ..] => Ok((Some(b'\''), after)),
        [b'\'', after @ ..] => Ok((None, after)),
        [byte, after @ ..] => Ok((Some(*byte), after)),
    }
}

fn nibble(digit: u8) -> u8 {
    let value = char::from(digit).to_digit(16).unwrap_or_default();
    u8::try_from(value).unwrap_or_default()
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn without_spaces(line: &[u8]) -> &[u8] {
    let spaces = line.iter().take_while(|byte| is_space(**byte)).count();
    line.get(spaces..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Vec<String> {
        let arguments = arguments(line.as_bytes()).unwrap();
        arguments
            .into_iter()
            .map(|argument| argument.iter().map(|byte| char::from(*byte)).collect())
            .collect()
    }

    #[test]
    fn splits_at_spaces_and_reads_quotes() {
        assert_eq!(read("SET a b"), ["SET", "a", "b"]);
        assert_eq!(read("  \tGET   a \r"), ["GET", "a"]);
        assert_eq!(read("GET 'a\x0b'\r\"b\x0c\""), ["GET", "a\x0b", "b\x0c"]);
        assert_eq!(read(r#"GET "\xff""#), ["GET", "\u{ff}"]);
        assert_eq!(read(r#"SET "a b" "\x41\n\"""#), ["SET", "a b", "A\n\""]);
        assert_eq!(read(r"SET 'it\'s' '\n'"), ["SET", "it's", "\\n"]);
        assert_eq!(read(r#"pre"fix ed""#), ["prefix ed"]);
        assert_eq!(read(r#""""#), [""]);
        assert_eq!(read(r#""\xZZ""#), ["xZZ"]);
        assert!(read("   ").is_empty());
    }

    #[test]
    fn refuses_open_quotes_and_zero_bytes() {
        for line in [r#"SET "a"#, "SET 'a", r#""a"b"#, "'a'b", r#""a\"#] {
            assert_eq!(
                arguments(line.as_bytes()),
                Err(RequestError::Quotes),
                "{line}"
            );
        }
        assert_eq!(arguments(b"GET \0"), Err(RequestError::Zero));
    }

    #[test]
    fn refuses_lines_that_servers_read_differently() {
        for line in [
            &b"GET a\x0b"[..],
            b"\x0cGET a",
            b"GET \xff",
            b"GET 'wa\xff:1'",
        ] {
            assert_eq!(arguments(line), Err(RequestError::Unclear));
        }
    }
}
