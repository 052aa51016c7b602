//! A key id as 8 hexadecimal characters.

use serde::{Deserialize, Deserializer, Serializer};
use waxseal_core::KeyId;

pub(crate) fn serialize<S: Serializer>(id: &KeyId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<KeyId, D::Error> {
    let text = String::deserialize(deserializer)?;
    let id = (text.len() == 8).then(|| text.parse().ok()).flatten();
    id.ok_or_else(|| serde::de::Error::custom("not a key id"))
}
