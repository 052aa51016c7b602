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
    /// The mechanism, if the custodian has more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<String>,
    /// The wrapped key.
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

    /// The form that custodians accept.
    pub(crate) fn to_wrapped(&self) -> Wrapped {
        Wrapped {
            mechanism: self.mechanism.clone(),
            bytes: self.wrapped.0.clone(),
        }
    }
}
