//! The reasons for which the proxy itself refuses a request. The reasons of the policy are in its crate.

/// A reason for which the proxy itself refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnReason {
    Monitoring,
    SharedConnections,
    InTransaction,
    TransactionTooLarge,
    TooLarge,
    NotSealed,
    TooLargeForServer,
    KeysOutOfReach,
    ScriptChanged,
    SealedNames,
}

impl OwnReason {
    /// The reason as a label value.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Monitoring => "monitoring",
            Self::SharedConnections => "means_shared_connections",
            Self::InTransaction => "in_transaction",
            Self::TransactionTooLarge => "transaction_too_large",
            Self::TooLarge => "too_large",
            Self::NotSealed => "not_sealed",
            Self::TooLargeForServer => "too_large_for_server",
            Self::KeysOutOfReach => "keys_out_of_reach",
            Self::ScriptChanged => "script_changed",
            Self::SealedNames => "sealed_names",
        }
    }

    /// The cause, as the continuation of a command's name.
    pub(crate) fn cause(self) -> &'static str {
        match self {
            Self::Monitoring => "was sent while MONITOR is on",
            Self::SharedConnections => "targets connections shared between clients",
            Self::InTransaction => "was sent inside a transaction, where it cannot be followed",
            Self::TransactionTooLarge => "would make the transaction too large for the proxy",
            Self::TooLarge => {
                "is larger than --max-value allows, holds a value of a protected record that is, or names too many members"
            }
            Self::NotSealed => "holds a value that could not be sealed",
            Self::TooLargeForServer => {
                "holds a value that is too large for the server once it is sealed"
            }
            Self::KeysOutOfReach => "needs a key that could not be reached",
            Self::ScriptChanged => "works on a value that was replaced each time it was read",
            Self::SealedNames => {
                "follows one more prefix of names that are sealed behind a shorter one, which is followed already"
            }
        }
    }

    /// The remedy.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Self::Monitoring => "send RESET first, or use another connection",
            Self::SharedConnections => "name the clients, by ID, ADDR or NAME",
            Self::InTransaction => "send it before MULTI",
            Self::TransactionTooLarge => "send it in parts",
            Self::TooLarge => "raise --max-value, or send less at once",
            Self::NotSealed => "the client's error says why; waxseal doctor checks the keys",
            Self::TooLargeForServer => {
                "store smaller values, or raise proto-max-bulk-len of the server"
            }
            Self::KeysOutOfReach => "run waxseal doctor to see why",
            Self::ScriptChanged => "the client may try again",
            Self::SealedNames => "send CLIENT TRACKING OFF first",
        }
    }

    /// True if it concerns a protected record.
    pub(crate) fn is_about_record(self) -> bool {
        matches!(
            self,
            Self::TooLarge
                | Self::NotSealed
                | Self::TooLargeForServer
                | Self::KeysOutOfReach
                | Self::ScriptChanged
        )
    }
}
