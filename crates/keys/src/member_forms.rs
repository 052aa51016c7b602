//! In how many forms the members of protected records may be stored, as the document has it: what passes over these
//! records found, and what may have been written since.

use serde::{Deserialize, Deserializer, Serialize};
use waxseal_core::KeyId;

use crate::keyring_document::key_id;
use crate::protected_scope::ProtectedScope;

/// In how many forms members may be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "StoredForms", into = "StoredForms")]
pub enum MemberForms {
    /// A pass found every member in the form that is written, under this index key.
    One {
        /// The index key.
        key: KeyId,
        /// The time at which the pass began (milliseconds since the Unix epoch).
        since: u64,
        /// True if it counted elements of lists as well: where it ran, they are sealed deterministically.
        elements: bool,
    },
    /// At this time a member in another form was found, or could be written.
    Several {
        /// The time (milliseconds since the Unix epoch).
        since: u64,
    },
}

/// What a complete pass over protected records found of their members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberFinding {
    /// The records, as the process is configured that read them.
    pub scope: ProtectedScope,
    /// The index key that wrote when the pass began.
    pub key: KeyId,
    /// The time at which it began (milliseconds since the Unix epoch).
    pub began_ms: u64,
    /// True if it counted elements of lists.
    pub elements: bool,
    /// True if all were in the form that is written. False if one was not, or could be written in another form.
    pub in_one_form: bool,
}

impl MemberForms {
    /// The time from which it is so.
    #[must_use]
    pub fn since(&self) -> u64 {
        match *self {
            Self::One { since, .. } | Self::Several { since } => since,
        }
    }

    /// The same time, to be corrected.
    pub(crate) fn since_mut(&mut self) -> &mut u64 {
        match self {
            Self::One { since, .. } | Self::Several { since } => since,
        }
    }
}

/// The member of an entry. The key is there exactly if there is one form.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredForms {
    #[serde(default, deserialize_with = "some_key")]
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<StoredKey>,
    since: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    elements: bool,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
struct StoredKey(#[serde(with = "key_id")] KeyId);

/// A key that is there: `null` is none.
fn some_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<StoredKey>, D::Error> {
    StoredKey::deserialize(deserializer).map(Some)
}

impl From<MemberForms> for StoredForms {
    fn from(forms: MemberForms) -> Self {
        match forms {
            MemberForms::One {
                key,
                since,
                elements,
            } => Self {
                key: Some(StoredKey(key)),
                since,
                elements,
            },
            MemberForms::Several { since } => Self {
                key: None,
                since,
                elements: false,
            },
        }
    }
}

impl TryFrom<StoredForms> for MemberForms {
    type Error = &'static str;

    fn try_from(stored: StoredForms) -> Result<Self, &'static str> {
        let StoredForms {
            key,
            since,
            elements,
        } = stored;
        match key {
            Some(StoredKey(key)) => Ok(Self::One {
                key,
                since,
                elements,
            }),
            None if elements => Err("elements of lists in one form without a key"),
            None => Ok(Self::Several { since }),
        }
    }
}
