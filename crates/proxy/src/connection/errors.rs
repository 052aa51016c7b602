//! Errors of the server: which word one begins with, for whoever counts them. What it says behind that
//! word can quote a request, and is not looked at.

/// No first word of an error that is told apart is as long as this.
const WORD: usize = 16;
/// No line with a length is as long as this.
const LENGTH_LINE: usize = 32;

/// Words of errors by which a server says that it is no primary with its data at hand: after a failover, the
/// address that it was reached at may lead to the one that is.
const ROLE_ERRORS: [&str; 3] = ["READONLY", "LOADING", "MASTERDOWN"];

/// The word of these that an error begins with, if it does.
pub(super) fn role_error(word: &[u8]) -> Option<&'static str> {
    let is_word = |known: &&str| known.as_bytes() == word;
    ROLE_ERRORS.into_iter().find(is_word)
}

/// The first word of an error, as far as it can be one that is told apart. `None` when more of it must
/// be seen.
pub(super) fn error_word(error: &[u8]) -> Option<&[u8]> {
    let mut text = error.get(1..).unwrap_or_default();
    if error.first() == Some(&b'!') {
        // Its length comes first, in a line of its own.
        let line = text
            .iter()
            .take(LENGTH_LINE)
            .position(|byte| *byte == b'\n');
        text = match line {
            Some(end) => text.get(end.saturating_add(1)..).unwrap_or_default(),
            None if text.len() < LENGTH_LINE => return None,
            None => return Some(b""),
        };
    }
    let is_end = |byte: &u8| matches!(byte, b' ' | b'\r' | b'\n');
    let word = text.get(..WORD.min(text.len())).unwrap_or_default();
    match word.iter().position(is_end) {
        Some(end) => word.get(..end),
        None if word.len() < WORD => None,
        None => Some(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_of_an_error_is_found_as_soon_as_it_is_whole() {
        for (error, word, needs) in [
            ("-OOM command not allowed\r\n", "OOM", 5),
            ("-MASTERDOWN Link is down\r\n", "MASTERDOWN", 12),
            ("-ERR\r\n", "ERR", 5),
            ("-\r\n", "", 2),
            ("!21\r\nWRONGTYPE of a kind xx\r\n", "WRONGTYPE", 15),
            ("-ABCDEFGHIJKLMNOPQRSTUVWXYZ x\r\n", "ABCDEFGHIJKLMNOP", 17),
        ] {
            for len in 1..error.len() {
                let found = error_word(&error.as_bytes()[..len]);
                let expected = (len >= needs).then_some(word.as_bytes());
                assert_eq!(found, expected, "{error:?} {len}");
            }
        }
        let endless = format!("!{}", "9".repeat(100));
        assert_eq!(error_word(endless.as_bytes()), Some(&b""[..]));
    }
}
