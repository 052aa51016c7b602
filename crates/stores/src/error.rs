//! What can go wrong with a store, by culprit: who runs it, who configured the access to it, the
//! caller, the file. What a server says is never passed on: its texts can hold arguments.

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be reached, went away, or does not answer in time.
    #[error("the store at {location} cannot be reached: {cause}")]
    Unavailable {
        /// Where it should be.
        location: String,
        /// What happened, in a few words.
        cause: String,
    },
    /// It is there and not ready: loading its data, or busy with a script.
    #[error("the store is not ready ({code}): try again shortly")]
    NotReady {
        /// The server's code word.
        code: String,
    },
    /// It wants other credentials, or these may not do this.
    #[error("the store refuses access ({code}): {needs}")]
    Denied {
        /// The server's code word.
        code: String,
        /// What is needed.
        needs: &'static str,
    },
    /// It takes no writes: a replica, or a server that cannot persist.
    #[error("the store takes no writes ({code}): {why}")]
    ReadOnly {
        /// The server's code word.
        code: String,
        /// What that means.
        why: &'static str,
    },
    /// No memory or no disk is left.
    #[error("the store is full: {what}")]
    Full {
        /// What ran out.
        what: &'static str,
    },
    /// The record is of another type than the slot asked for.
    #[error("the record is of another type than was asked for")]
    WrongType,
    /// The server is part of a cluster, which this store does not speak to.
    #[error(
        "the server is part of a Redis Cluster ({code}), which needs another kind of store URL"
    )]
    Cluster {
        /// The server's code word.
        code: String,
    },
    /// The file is open in another process.
    #[error("the store file {location} is open in another process")]
    InUse {
        /// The file.
        location: String,
    },
    /// The file is not a store, or damaged.
    #[error("the store file {location} cannot be used: {cause}")]
    Damaged {
        /// The file.
        location: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Anything else the store answered.
    #[error("the store answered with the error {code}")]
    Other {
        /// The server's code word.
        code: String,
    },
}

impl StoreError {
    /// Whether the same call may succeed by itself a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::NotReady { .. })
    }
}
