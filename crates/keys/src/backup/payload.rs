//! The plaintext of a backup: the keyring document and its plaintext keys, in JSON. Independent of
//! how it is sealed.

use std::collections::BTreeMap;
use std::fmt;

use base64_simd::URL_SAFE_NO_PAD;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use waxseal_core::SecretKey;
use zeroize::Zeroizing;

use super::BackupError;
use crate::document_format::DocumentFormat;
use crate::keyring_document::KeyringDocument;
use crate::ring::Secrets;

/// The size of a key's line: its id, 43 characters, quotes.
const KEY_BYTES: usize = 96;

#[derive(Serialize)]
struct Written<'a> {
    /// That of the document: a former version says that it does not know the backup's format.
    format: u32,
    document: &'a KeyringDocument,
    keys: Keys<'a>,
}

struct Keys<'a>(&'a Secrets);

impl Serialize for Keys<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.0.iter().map(|(name, key)| (name, Exposed(key))))
    }
}

struct Exposed<'a>(&'a SecretKey);

impl Serialize for Exposed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = URL_SAFE_NO_PAD.encode_to_string(self.0.expose_bytes());
        serializer.serialize_str(&Zeroizing::new(text))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    #[serde(rename = "format")]
    _format: u32,
    document: KeyringDocument,
    keys: ReadKeys,
}

struct ReadKeys(BTreeMap<String, SecretKey>);

impl<'de> Deserialize<'de> for ReadKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = ReadKeys;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("keys")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ReadKeys, A::Error> {
                let mut keys = BTreeMap::new();
                while let Some((name, key)) = map.next_entry::<String, ReadKey>()? {
                    if keys.insert(name, key.0).is_some() {
                        return Err(A::Error::custom("a key is repeated"));
                    }
                }
                Ok(ReadKeys(keys))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

struct ReadKey(SecretKey);

impl<'de> Deserialize<'de> for ReadKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = ReadKey;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ReadKey, E> {
                // No error contains any of the text.
                let no_key = || E::custom("no key");
                let bytes = URL_SAFE_NO_PAD.decode_to_vec(text.as_bytes());
                let bytes = Zeroizing::new(bytes.map_err(|_| no_key())?);
                let bytes = <&[u8; 32]>::try_from(&bytes[..]).map_err(|_| no_key())?;
                SecretKey::from_bytes(bytes)
                    .map(ReadKey)
                    .map_err(|_| no_key())
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// The document unchanged, with its keys.
pub(super) fn write(
    document: &KeyringDocument,
    keys: &Secrets,
) -> Result<Zeroizing<Vec<u8>>, BackupError> {
    let body = document.authenticated().len();
    let capacity = body.saturating_add(keys.0.len().saturating_mul(KEY_BYTES));
    // Never grown: that would leave an unwiped copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity.saturating_add(1024)));
    let written = Written {
        format: document.format.as_u32(),
        document,
        keys: Keys(keys),
    };
    serde_json::to_writer(&mut *bytes, &written).map_err(|_| BackupError::Sealing)?;
    Ok(bytes)
}

pub(super) fn read(bytes: &[u8]) -> Result<(KeyringDocument, Secrets), BackupError> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
    }
    let form = |error: serde_json::Error| BackupError::Payload {
        line: error.line(),
        column: error.column(),
    };
    // A newer format may differ in every other part.
    let head: Head = serde_json::from_slice(bytes).map_err(form)?;
    let unknown = || BackupError::Format(head.format);
    let format = DocumentFormat::try_from(head.format).map_err(|_| unknown())?;
    let read: Read = serde_json::from_slice(bytes).map_err(form)?;
    if read.document.format != format {
        return Err(unknown());
    }
    Ok((read.document, Secrets(read.keys.0)))
}
