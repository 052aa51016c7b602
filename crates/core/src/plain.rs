//! What a plain value can look like: the line between "never sealed" and "was sealed, and is
//! damaged". A damaged envelope that is handed on as plain would be worse than an error.

use crate::armor;
use crate::choice::PlainValues;

/// The shortest text that is held against the Base64 alphabet: 32 bytes, unpadded.
const SHORTEST: usize = 43;
/// Characters outside the Base64 alphabets that one damaged envelope can show: the colon of the
/// armored form, and the one that was hit.
const STRAY: usize = 2;

/// Whether bytes that are neither a sealed nor a classic envelope can be a plain value.
///
/// Where plain values are JSON, this refuses what is not text at all, and long text that is Base64
/// but for a stray character: an envelope of either format with any one bit flipped, or cut short.
pub(crate) fn acceptable(stored: &[u8], plain: PlainValues) -> bool {
    match plain {
        PlainValues::Any => true,
        PlainValues::Json => {
            std::str::from_utf8(stored).is_ok()
                && !armor::looks_damaged(stored)
                && !nearly_base64(stored)
        }
    }
}

fn nearly_base64(text: &[u8]) -> bool {
    text.len() >= SHORTEST
        && text
            .iter()
            .filter(|byte| {
                !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'='))
            })
            .take(STRAY.saturating_add(1))
            .count()
            <= STRAY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_short_words_are_acceptable_plain_values() {
        for value in [
            &br#"{"status":"collecting_data","data":{"email":"maria@example.com"}}"#[..],
            b"[]",
            b"hello",
            b"3",
            "\"¿Cuál es su nombre completo? Escríbalo por favor\"".as_bytes(),
        ] {
            assert!(acceptable(value, PlainValues::Json));
        }
    }

    #[test]
    fn what_could_be_a_damaged_envelope_is_acceptable_only_where_anything_is() {
        let base64 = "A".repeat(43);
        let one_stray = format!("{}!{}", "A".repeat(30), "B".repeat(20));
        for value in [
            base64.as_bytes(),
            one_stray.as_bytes(),
            b"\xf4\x57\x02\x00",
            b"xs2:9VcC",
        ] {
            assert!(!acceptable(value, PlainValues::Json));
            assert!(acceptable(value, PlainValues::Any));
        }
    }
}
