//! The distinction between "never sealed" and "sealed and damaged". A damaged envelope that is returned as plain would
//! be worse than an error, and so would a plain value that is taken for a damaged envelope. There is one rule for the
//! proxy, the library and every sweep; the known keys and the expected formats are its arguments.

use crate::classic;
use crate::envelope::{Defect, damaged_header, is_text_of_an_envelope};
use crate::error::OpenError;
use crate::key::KeyId;

/// The kinds of values that can be stored beside envelopes of the sealed format.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Plain values of any kind.
    Anything,
    /// Plain values that are not Base64, and classic ones.
    Classic,
    /// JSON and nothing else, and classic values.
    Json,
}

/// Classifies bytes that no key opened and that do not start like an envelope: `Ok` if they are a plain value.
///
/// Damaged are bytes with the header of a sealed envelope except for one byte, or with the id of a known key in the
/// position of a key id. If the classic format is expected, Base64 is damaged as well: that format has no header.
pub(crate) fn classify(
    stored: &[u8],
    expected: Expected,
    knows: impl Fn(KeyId) -> bool,
) -> Result<(), OpenError> {
    if is_text_of_an_envelope(stored) {
        return Err(OpenError::Malformed(Defect::Text));
    }
    if damaged_header(stored, knows) {
        return Err(OpenError::Malformed(Defect::Header));
    }
    let is_damaged = match expected {
        Expected::Anything => false,
        Expected::Classic => classic::may_be_damaged(stored),
        Expected::Json => classic::may_be_damaged(stored) || str::from_utf8(stored).is_err(),
    };
    match is_damaged {
        true => Err(OpenError::Refused),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE64: &str = "dGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZw==";

    #[test]
    fn values_of_applications_are_plain_even_if_classic_is_expected() {
        let hex = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        let jwt =
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P";
        for value in [
            &br#"{"status":"collecting_data","data":{"email":"maria@example.com"}}"#[..],
            b"[]",
            b"hello",
            b"3",
            "\"\u{bf}Cu\u{e1}l es su nombre completo? Escr\u{ed}balo por favor\"".as_bytes(),
            b"https://example.com/a/b/c/d?session=0123456789abcdef",
            b"123e4567-e89b-12d3-a456-426614174000:123e4567-e89b-12d3-a456-426614174000",
            hex.as_bytes(),
            hex.to_uppercase().as_bytes(),
            format!("\"{BASE64}\"").as_bytes(),
            jwt.as_bytes(),
            &[0x80, 4, 0x95, 0x20, 0, 0, 0, 0, 0, 0, 0, 0x7d, 0x94, 0x8c],
            &[0x1f; 100],
        ] {
            assert_eq!(
                classify(value, Expected::Classic, |_| false),
                Ok(()),
                "{value:x?}"
            );
        }
    }

    #[test]
    fn base64_is_damaged_only_where_classic_is_expected() {
        let one_stray = BASE64.replacen('x', "!", 1);
        for value in [BASE64, &BASE64[..43], &one_stray] {
            assert_eq!(
                classify(value.as_bytes(), Expected::Anything, |_| false),
                Ok(())
            );
            let refused = Err(OpenError::Refused);
            assert_eq!(
                classify(value.as_bytes(), Expected::Classic, |_| false),
                refused,
                "{value}"
            );
        }
        assert_eq!(
            classify(&BASE64.as_bytes()[..42], Expected::Classic, |_| false),
            Ok(())
        );
    }

    #[test]
    fn if_only_json_is_written_a_value_that_is_not_text_is_damaged() {
        for value in [&b"\x00\xff\xfe{}"[..], BASE64.as_bytes()] {
            let refused = Err(OpenError::Refused);
            assert_eq!(classify(value, Expected::Json, |_| false), refused);
        }
        assert_eq!(classify(b"{\"a\":1}", Expected::Json, |_| false), Ok(()));
    }

    #[test]
    fn the_id_of_a_known_key_in_its_position_marks_an_envelope() {
        let mut value = [b'x'; 48];
        value[4..8].copy_from_slice(&[1, 2, 3, 4]);
        let knows = |id: KeyId| id == KeyId::from_u32(0x0102_0304);
        let damaged = Err(OpenError::Malformed(Defect::Header));
        assert_eq!(classify(&value, Expected::Anything, knows), damaged);
        assert_eq!(classify(&value[..47], Expected::Anything, knows), Ok(()));
        assert_eq!(classify(&value, Expected::Anything, |_| false), Ok(()));
    }
}
