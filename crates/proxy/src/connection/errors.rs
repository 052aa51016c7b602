//! Errors of the server: the code that one begins with, for metrics and for failovers. The text after the code can
//! quote a request, and is not read.

/// A longer code is none of those that are distinguished.
const MAX_CODE: usize = 16;
/// A line with a length is shorter than this.
const MAX_LENGTH_LINE: usize = 32;

/// Codes of errors by which a server says that it is not a primary with its data loaded: after a failover, the address
/// that it was reached at may lead to the new primary.
const ROLE_ERRORS: [&str; 3] = ["READONLY", "LOADING", "MASTERDOWN"];

/// The role error with this code, if it is one.
pub(super) fn role_error(code: &[u8]) -> Option<&'static str> {
    let has_code = |known: &&str| known.as_bytes() == code;
    ROLE_ERRORS.into_iter().find(has_code)
}

/// The code of an error, up to its longest length of interest. `None` if more of the error is needed.
pub(super) fn error_code(error: &[u8]) -> Option<&[u8]> {
    let mut text = error.get(1..).unwrap_or_default();
    if error.first() == Some(&b'!') {
        // A line with its length comes first.
        let line = text
            .iter()
            .take(MAX_LENGTH_LINE)
            .position(|byte| *byte == b'\n');
        text = match line {
            Some(end) => text.get(end.saturating_add(1)..).unwrap_or_default(),
            None if text.len() < MAX_LENGTH_LINE => return None,
            None => return Some(b""),
        };
    }
    let is_end = |byte: &u8| matches!(byte, b' ' | b'\r' | b'\n');
    let code = text.get(..MAX_CODE.min(text.len())).unwrap_or_default();
    match code.iter().position(is_end) {
        Some(end) => code.get(..end),
        None if code.len() < MAX_CODE => None,
        None => Some(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_an_error_is_found_as_soon_as_it_is_complete() {
        for (error, code, needs) in [
            ("-OOM command not allowed\r\n", "OOM", 5),
            ("-MASTERDOWN Link is down\r\n", "MASTERDOWN", 12),
            ("-ERR\r\n", "ERR", 5),
            ("-\r\n", "", 2),
            ("!21\r\nWRONGTYPE of a kind xx\r\n", "WRONGTYPE", 15),
            ("-ABCDEFGHIJKLMNOPQRSTUVWXYZ x\r\n", "ABCDEFGHIJKLMNOP", 17),
        ] {
            for len in 1..error.len() {
                let found = error_code(&error.as_bytes()[..len]);
                let expected = (len >= needs).then_some(code.as_bytes());
                assert_eq!(found, expected, "{error:?} {len}");
            }
        }
        let endless = format!("!{}", "9".repeat(100));
        assert_eq!(error_code(endless.as_bytes()), Some(&b""[..]));
    }
}
