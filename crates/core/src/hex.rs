//! Lower-case hexadecimal, for what is not secret: hashes, identifiers, digests.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The bytes as lower-case hexadecimal characters.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        for digit in digits(*byte) {
            text.push(char::from(digit));
        }
    }
    text
}

/// The two lower-case hexadecimal characters of a byte.
#[must_use]
pub fn digits(byte: u8) -> [u8; 2] {
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    [digit(byte >> 4), digit(byte & 0xF)]
}

/// The `N` bytes of `2 * N` hexadecimal characters of either case; `None` for any other text.
#[must_use]
pub fn decode<const N: usize>(text: impl AsRef<[u8]>) -> Option<[u8; N]> {
    let (pairs, []) = text.as_ref().as_chunks::<2>() else {
        return None;
    };
    let pairs: &[[u8; 2]; N] = pairs.try_into().ok()?;
    let mut bytes = [0u8; N];
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        *byte = decode_pair(pair)?;
    }
    Some(bytes)
}

/// The bytes of an even number of hexadecimal characters of either case; `None` for any other text.
#[must_use]
pub fn decode_all(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_ref().as_chunks::<2>() else {
        return None;
    };
    pairs.iter().map(decode_pair).collect()
}

fn decode_pair([high, low]: &[u8; 2]) -> Option<u8> {
    Some(nibble(*high)? << 4 | nibble(*low)?)
}

/// The value of a hexadecimal character of either case.
#[must_use]
pub fn nibble(character: u8) -> Option<u8> {
    let digit = char::from(character).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_written_and_read() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        let text = encode(&all);
        assert!(text.starts_with("000102") && text.ends_with("fdfeff"));
        assert_eq!(
            decode::<256>(&text).as_ref().map(|it| &it[..]),
            Some(&all[..])
        );
        assert_eq!(decode::<256>(&text.to_uppercase()), decode::<256>(&text));
        assert_eq!(decode_all(&text), Some(all));
        assert_eq!((encode(&[]).as_str(), decode_all("")), ("", Some(vec![])));
        assert_eq!(digits(0x4f), *b"4f");
    }

    #[test]
    fn other_texts_are_not_hexadecimal() {
        for text in [
            "", "0", "000", "0000g0", "+f00ff", "é0000", " 00000", "0000000",
        ] {
            assert_eq!(decode::<3>(text), None, "{text}");
            assert!(
                text.is_empty() || text == "00ff" || decode_all(text).is_none(),
                "{text}"
            );
        }
        assert_eq!(decode::<3>("00ffA0"), Some([0, 255, 160]));
    }
}
