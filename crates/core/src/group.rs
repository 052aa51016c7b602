//! A group of records: values that are bound to it open in each of them.

use std::sync::Arc;

/// The group that records belong to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Group {
    id: Arc<[u8]>,
    seals: bool,
}

impl Group {
    /// The group with this id. If it `seals`, new values are bound to it, and not to their record.
    #[must_use]
    pub fn new(id: &[u8], seals: bool) -> Self {
        Self {
            id: Arc::from(id),
            seals,
        }
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        &self.id
    }

    /// True if new values are bound to the group.
    #[must_use]
    pub fn seals(&self) -> bool {
        self.seals
    }
}
