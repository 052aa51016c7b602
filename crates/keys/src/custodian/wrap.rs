//! A wrapped key as keyring documents store it. Which key it is, and for which ring, is not known here.

use serde::{Deserialize, Serialize};

use super::Wrapped;
use crate::bytes::Bytes;

/// A key as one custodian wrapped it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wrap {
    /// The custodian's URL.
    pub custodian: String,
    /// How, where the custodian has more ways than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<String>,
    /// What it made of the key.
    pub wrapped: Bytes,
}

impl Wrap {
    pub(crate) fn new(custodian: &str, wrapped: Wrapped) -> Self {
        Self {
            custodian: custodian.to_owned(),
            mechanism: wrapped.mechanism,
            wrapped: Bytes(wrapped.bytes),
        }
    }

    /// As its custodian takes it.
    pub(crate) fn to_wrapped(&self) -> Wrapped {
        Wrapped {
            mechanism: self.mechanism.clone(),
            bytes: self.wrapped.0.clone(),
        }
    }
}
