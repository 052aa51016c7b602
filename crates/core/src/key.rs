//! Keys: the 32 secret bytes, and the id that identifies them.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::{digest, hmac};
use rand::Rng;
use zeroize::Zeroizing;

use crate::error::{KeyError, KeyFlaw};
use crate::hex;

/// The length of a key in bytes.
pub(crate) const KEY_LEN: usize = 32;
/// The length of a key in the notation of the guide.
const HEX_LEN: usize = 64;
const ID_LABEL: &[u8] = b"waxseal key id v1";

/// A 256-bit data key. It has no `Debug`, `Clone` or `Serialize`, and is wiped when dropped.
///
/// ```compile_fail
/// let key = waxseal_core::SecretKey::generate().unwrap();
/// println!("{key:?}"); // a key cannot be printed
/// ```
pub struct SecretKey(Zeroizing<[u8; KEY_LEN]>);

impl SecretKey {
    /// A new key from the operating system's random source.
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0u8; KEY_LEN]);
        SystemRandom::new()
            .fill(bytes.as_mut())
            .map_err(|_| KeyError::NoRandomness)?;
        Ok(Self(bytes))
    }

    /// Parses a key in the notation of the guide: 64 hexadecimal characters, white space around them ignored.
    ///
    /// Keys that cannot have come from a random source are refused: all zero, one byte repeated,
    /// the placeholder texts of guides and templates.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let got = text.chars().count();
        if is_placeholder(text) {
            return Err(KeyError::Placeholder { got });
        }
        if got != HEX_LEN {
            return Err(match flaw(text) {
                Some(flaw) => KeyError::Surrounded { got, flaw },
                None => KeyError::Length { got },
            });
        }
        let mut bytes = Zeroizing::new([0u8; KEY_LEN]);
        let mut digits = text.chars().enumerate();
        for byte in bytes.iter_mut() {
            for _ in 0..2 {
                let Some((index, character)) = digits.next() else {
                    break;
                };
                let position = index.saturating_add(1);
                let nibble = u8::try_from(character).ok().and_then(hex::nibble);
                *byte = *byte << 4 | nibble.ok_or(KeyError::NotHex { position })?;
            }
        }
        Self::from_bytes(&bytes)
    }

    /// A key from its raw bytes. All zero and one byte repeated are refused.
    pub fn from_bytes(bytes: &[u8; KEY_LEN]) -> Result<Self, KeyError> {
        let [first, others @ ..] = bytes;
        if others.iter().all(|byte| byte == first) {
            return Err(if *first == 0 {
                KeyError::Zero
            } else {
                KeyError::Repeated
            });
        }
        Ok(Self(Zeroizing::new(*bytes)))
    }

    /// The key as 64 hexadecimal characters, to be shown once to the operator who generates it.
    #[must_use]
    pub fn expose_hex(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(HEX_LEN));
        for byte in self.0.iter() {
            for digit in hex::digits(*byte) {
                text.push(char::from(digit));
            }
        }
        text
    }

    /// The id of a raw key: the first 4 bytes of SHA-256 over a label and the key.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(ID_LABEL);
        hash.update(self.expose_bytes());
        let hash = hash.finish();
        let start = hash.as_ref().first_chunk().copied().unwrap_or_default();
        KeyId(u32::from_be_bytes(start))
    }

    /// Another key that is derived from this one, for one purpose: HKDF-Expand of RFC 5869 (2.3) with SHA-256, the
    /// label as info. Keys of different labels are independent.
    #[must_use]
    pub fn derive(&self, label: &str) -> Self {
        let mut bytes = Zeroizing::new([0u8; KEY_LEN]);
        self.expand(label, bytes.as_mut());
        Self(bytes)
    }

    /// Two keys that are derived in the same way: the first and the second 32 bytes.
    pub(crate) fn derive_pair(&self, label: &str) -> Zeroizing<[u8; 2 * KEY_LEN]> {
        let mut bytes = Zeroizing::new([0u8; 2 * KEY_LEN]);
        self.expand(label, bytes.as_mut());
        bytes
    }

    /// HKDF-Expand: each block is the code over the block before it, the label and its number.
    fn expand(&self, label: &str, output: &mut [u8]) {
        let parent = hmac::Key::new(hmac::HMAC_SHA256, self.expose_bytes());
        let mut before = Zeroizing::new([0u8; KEY_LEN]);
        for (number, block) in (1u8..).zip(output.chunks_exact_mut(KEY_LEN)) {
            let mut code = hmac::Context::with_key(&parent);
            if number > 1 {
                code.update(before.as_ref());
            }
            code.update(label.as_bytes());
            code.update(&[number]);
            before.copy_from_slice(code.sign().as_ref());
            block.copy_from_slice(before.as_ref());
        }
    }

    /// A second instance, for a cipher that is prepared later.
    pub(crate) fn copy(&self) -> Self {
        Self(self.0.clone())
    }

    /// The raw bytes, for code that seals the key itself.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

/// The characters in a text of the wrong length that do not belong to a key.
fn flaw(text: &str) -> Option<KeyFlaw> {
    const QUOTES: [char; 6] = ['"', '\'', '`', '\u{201c}', '\u{201d}', '\u{2019}'];
    /// The length of Base64 of 32 bytes, with padding.
    const BASE64_LEN: usize = 44;
    let is_invisible =
        |c: char| c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
    if text.starts_with('\u{feff}') {
        Some(KeyFlaw::ByteOrderMark)
    } else if text.starts_with(QUOTES) || text.ends_with(QUOTES) {
        Some(KeyFlaw::Quotes)
    } else if text.contains(['\r', '\n']) {
        Some(KeyFlaw::LineBreak)
    } else if text.contains(char::is_whitespace) {
        Some(KeyFlaw::Space)
    } else if text.contains(is_invisible) {
        Some(KeyFlaw::Invisible)
    } else if text.starts_with("0x") || text.starts_with("0X") {
        Some(KeyFlaw::Prefix)
    } else if text.len() == BASE64_LEN && text.ends_with('=') {
        Some(KeyFlaw::Base64)
    } else {
        None
    }
}

/// True for placeholders of guides, templates and `.env.example` files.
fn is_placeholder(text: &str) -> bool {
    const MARKS: [&str; 10] = [
        "your",
        "<",
        "example",
        "changeme",
        "change_me",
        "change-me",
        "placeholder",
        "replace",
        "generate",
        "_key",
    ];
    const SAMPLES: [&str; 4] = [
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "1234567890abcdef1234567890abcdef1234567890abcdef1234567890abcdef",
        "deadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
    ];
    let lower = Zeroizing::new(text.to_ascii_lowercase());
    MARKS.iter().any(|mark| lower.contains(mark)) || SAMPLES.contains(&lower.as_str())
}

/// The id of a key: 32 bits, shown as 8 hexadecimal characters. Not secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(u32);

impl KeyId {
    /// The id with this number.
    #[must_use]
    pub fn from_u32(id: u32) -> Self {
        Self(id)
    }

    /// A random id, which reveals nothing about its key.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::rng().next_u32())
    }

    /// The id as a number.
    #[must_use]
    pub fn to_u32(self) -> u32 {
        self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = std::num::ParseIntError;

    fn from_str(hex: &str) -> Result<Self, Self::Err> {
        // The standard library accepts a sign, and ids have none.
        let hex = if hex.starts_with('+') { "" } else { hex };
        u32::from_str_radix(hex, 16).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "6c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";

    fn refusal(hex: &str) -> KeyError {
        SecretKey::from_hex(hex).err().expect("refused")
    }

    #[test]
    fn keys_are_parsed_and_written_in_the_notation_of_the_guide() {
        let key = SecretKey::from_hex(&format!(" {} \n", HEX.to_uppercase()))
            .ok()
            .unwrap();
        assert_eq!(*key.expose_hex(), HEX);
        assert_eq!(key.id(), SecretKey::from_hex(HEX).ok().unwrap().id());
    }

    #[test]
    fn an_error_contains_the_length_of_a_key_and_never_its_characters() {
        let error = refusal(&HEX[..62]);
        assert_eq!(error, KeyError::Length { got: 62 });
        let text = error.to_string();
        assert!(text.starts_with("Invalid encryption key length"));
        assert!(text.contains("got 62 characters"));
        assert!(!text.contains(&HEX[..8]));
        assert_eq!(refusal(""), KeyError::Length { got: 0 });
    }

    #[test]
    fn characters_around_a_key_are_reported() {
        for (text, flaw) in [
            (format!("\"{HEX}\""), KeyFlaw::Quotes),
            (format!("'{HEX}'"), KeyFlaw::Quotes),
            (format!("\u{201c}{HEX}\u{201d}"), KeyFlaw::Quotes),
            (format!("\u{feff}{HEX}"), KeyFlaw::ByteOrderMark),
            (
                format!("{}\r\n{}", &HEX[..32], &HEX[32..]),
                KeyFlaw::LineBreak,
            ),
            (format!("{} {}", &HEX[..32], &HEX[32..]), KeyFlaw::Space),
            (format!("{HEX}\u{200b}"), KeyFlaw::Invisible),
            (format!("0x{HEX}"), KeyFlaw::Prefix),
            (
                "bB8KW+LZRzihwF8+e50oRvDh0sO0pZaHeGlaSzwtHg8=".to_owned(),
                KeyFlaw::Base64,
            ),
        ] {
            let got = text.chars().count();
            let error = refusal(&text);
            assert_eq!(error, KeyError::Surrounded { got, flaw }, "{flaw:?}");
            let text = error.to_string();
            assert!(text.starts_with(&format!("Invalid encryption key length (got {got} ")));
            assert!(!text.contains(&HEX[..8]), "{text}");
        }
        // The line end of Windows after a key is white space around it.
        assert!(SecretKey::from_hex(&format!("{HEX}\r\n")).is_ok());
    }

    #[test]
    fn keys_that_are_not_random_are_refused() {
        assert_eq!(
            refusal(&HEX.replace("5b", "5g")),
            KeyError::NotHex { position: 8 }
        );
        assert_eq!(refusal(&"é".repeat(64)), KeyError::NotHex { position: 1 });
        assert_eq!(refusal(&"0".repeat(64)), KeyError::Zero);
        assert_eq!(refusal(&"ab".repeat(32)), KeyError::Repeated);
        for text in [
            "your_64_character_hex_key_here",
            "<generated-key>",
            "CHANGEME",
        ] {
            assert!(
                matches!(refusal(text), KeyError::Placeholder { .. }),
                "{text}"
            );
        }
        assert!(matches!(
            refusal(&"0123456789abcdef".repeat(4)),
            KeyError::Placeholder { .. }
        ));
    }

    #[test]
    fn keys_are_derived_according_to_rfc_5869() {
        // openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt mode:EXPAND_ONLY \
        //   -kdfopt hexkey:<HEX> -kdfopt info:"a label" HKDF
        let derived = SecretKey::from_hex(HEX).ok().unwrap().derive("a label");
        assert_eq!(
            *derived.expose_hex(),
            "f32e584ae5d478b1ee665bcb99634c4f7520371c37d79ecb50d07417d6ec8593"
        );
    }

    #[test]
    fn two_generated_keys_differ() {
        let (a, b) = (
            SecretKey::generate().ok().unwrap(),
            SecretKey::generate().ok().unwrap(),
        );
        assert_ne!(*a.expose_hex(), *b.expose_hex());
        assert_ne!(a.id(), b.id());
    }
}
