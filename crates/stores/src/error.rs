//! Errors of stores, grouped by culprit: who runs the store, who configured the access to it, the
//! caller, the file. A server's own texts are never passed on: they can contain arguments.

use crate::redis::ConnectionFault;

/// Why a store operation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be reached, disconnected, or did not answer in time.
    #[error("the store at {location} cannot be reached: {cause}")]
    Unavailable {
        /// The configured address.
        location: String,
        /// The cause, in a few words.
        cause: String,
        /// True if there was a connection that ended or was silent during the request: it may have
        /// been carried out, and it may be too much for the server.
        interrupted: bool,
    },
    /// There is no connection, and the cause is known.
    #[error("the store at {location} cannot be reached: {fault}")]
    Connection {
        /// The configured address.
        location: String,
        /// The cause.
        fault: ConnectionFault,
    },
    /// It is reachable but not ready: loading its data, or busy with a script.
    #[error("the store is not ready ({code}): try again shortly")]
    NotReady {
        /// The server's code word.
        code: String,
    },
    /// It requires other credentials, or these do not permit the operation.
    #[error("the store refuses access ({code}): {needs}")]
    Denied {
        /// The server's code word.
        code: String,
        /// The requirement.
        needs: &'static str,
        /// The missing right, as the server's ACL writes it, where it is known.
        right: Option<String>,
    },
    /// It accepts no writes: a replica, or a server that cannot persist.
    #[error("the store accepts no writes ({code}): {why}")]
    ReadOnly {
        /// The server's code word.
        code: String,
        /// The meaning.
        why: &'static str,
    },
    /// No memory or no disk is left.
    #[error("the store is full: {what}")]
    Full {
        /// The exhausted resource.
        what: &'static str,
    },
    /// A request or value larger than the store accepts. Nothing was changed.
    #[error("the value is too large for the store{}", size(bytes.as_ref(), limit.as_ref()))]
    TooLarge {
        /// Its size, where that is known.
        bytes: Option<u64>,
        /// The setting that limits it, and the limit in bytes, where that is known.
        limit: Option<(&'static str, u64)>,
    },
    /// The server does not have a command that is needed.
    #[error("the store does not have the command {command}")]
    NoCommand {
        /// Its name.
        command: &'static str,
    },
    /// The store has no such operation.
    #[error("the store cannot {what}")]
    Unsupported {
        /// The operation.
        what: &'static str,
    },
    /// The record has no stored name: it cannot be sealed.
    #[error("the name of the record cannot be sealed: {why}")]
    Name {
        /// The reason, without the name.
        why: String,
    },
    /// The record is of another type than the slot asked for.
    #[error("the record is of another type than requested")]
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
    /// The file is not a store, or is damaged.
    #[error("the store file {location} cannot be used: {cause}")]
    Damaged {
        /// The file.
        location: String,
        /// The defect.
        cause: String,
    },
    /// Any other error the store returned.
    #[error("the store answered with the error {code}")]
    Other {
        /// The server's code word.
        code: String,
    },
}

impl StoreError {
    /// True if the same call may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. } | Self::Connection { .. } | Self::NotReady { .. }
        )
    }

    /// True if the connection ended, or was silent, during the request: the request may be the
    /// cause.
    #[must_use]
    pub fn is_interruption(&self) -> bool {
        matches!(
            self,
            Self::Unavailable {
                interrupted: true,
                ..
            }
        )
    }

    /// True if one of the requested records can be the cause.
    #[must_use]
    pub fn may_concern_one_record(&self) -> bool {
        self.is_interruption() || matches!(self, Self::TooLarge { .. })
    }

    /// True if a command is missing: the server does not have it, or this user may not send it.
    pub(crate) fn is_missing_command(&self) -> bool {
        match self {
            Self::NoCommand { .. } => true,
            Self::Denied { right, .. } => right.as_deref().is_some_and(|it| it.starts_with('+')),
            _ => false,
        }
    }

    /// The remedy, where it is known.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Unavailable { .. } => {
                "check REDIS_URL or --store, and that the server runs there"
            }
            Self::Connection { fault, .. } => fault.remedy(),
            Self::NotReady { code } => not_ready(code),
            Self::Denied { code, right, .. } => return Some(denied(code, right.as_deref())),
            Self::ReadOnly { code, .. } => read_only(code),
            Self::TooLarge { limit, .. } => match limit {
                Some(("proto-max-bulk-len", _)) => {
                    "raise proto-max-bulk-len of the server (512mb is its default), or keep the value in parts"
                }
                Some(("largest record", _)) => "keep the value in parts",
                Some(_) => "raise that setting of the server, or keep the value in parts",
                None => {
                    "raise proto-max-bulk-len and client-query-buffer-limit of the server, or keep the value in \
                     parts"
                }
            },
            Self::NoCommand { .. } => {
                "it is renamed or switched off there (rename-command), or the service does not offer it: \
                 waxseal doctor lists all that is missing"
            }
            Self::Full { .. } => "make room (or raise maxmemory), then run the same command again",
            Self::Unsupported { .. } => {
                "records of these types are kept in Redis: give the URL of a server"
            }
            Self::Name { .. } => {
                "names need a key that seals, version 3 of the sealed format, and with a keyring document format 2"
            }
            Self::InUse { .. } => "stop the other process, or wait for it",
            Self::Damaged { .. } => "restore the file from a backup, or give another path",
            Self::Other { code } => match code.as_str() {
                NO_DATABASE => {
                    "the number behind the last / of the URL (or db=) names the database: a server has 0 to \
                     15, unless its setting databases says otherwise"
                }
                PROTECTED => {
                    "the server takes connections from its own machine alone (protected-mode): give it a \
                     password, and that to the URL"
                }
                _ => return None,
            },
            Self::WrongType | Self::Cluster { .. } => return None,
        };
        Some(text.to_owned())
    }
}

/// The server has no database of this number.
pub(crate) const NO_DATABASE: &str = "no such database";
/// The server has reached its limit of clients.
pub(crate) const MAX_CLIENTS: &str = "max number of clients reached";
/// The server accepts no connections from other machines.
const PROTECTED: &str = "DENIED";

fn size(bytes: Option<&u64>, limit: Option<&(&'static str, u64)>) -> String {
    let bytes = bytes.map_or(String::new(), |bytes| format!(" ({bytes} bytes)"));
    match limit {
        Some((setting, limit)) => format!("{bytes}: its {setting} is {limit} bytes"),
        None => {
            format!("{bytes}: its proto-max-bulk-len or client-query-buffer-limit is smaller")
        }
    }
}

fn read_only(code: &str) -> &'static str {
    match code {
        "MISCONF" => {
            "nothing was lost; its log says why it cannot save: make room on its disk, then run the same \
             command again"
        }
        "NOREPLICAS" => {
            "nothing was lost; bring its replicas back, or lower min-replicas-to-write, then run the same \
             command again"
        }
        _ => "nothing was lost; give the URL of a server that writes",
    }
}

fn not_ready(code: &str) -> &'static str {
    match code {
        "BUSY" => "a script keeps the server busy: wait, or SCRIPT KILL",
        "MASTERDOWN" => "the server is a replica without its primary: give the URL of the primary",
        MAX_CLIENTS => "close connections to the server, or raise its maxclients",
        _ => "wait until the server has loaded its data",
    }
}

fn denied(code: &str, right: Option<&str>) -> String {
    let text = match (code, right) {
        ("NOAUTH", _) => {
            "put the password into the URL: redis://:PASSWORD@HOST:PORT, or redis://USER:PASSWORD@HOST:PORT; \
             in REDIS_URL, or in the file that REDIS_URL_FILE names"
        }
        ("WRONGPASS", _) => {
            "check user and password in the URL: redis://USER:PASSWORD@HOST:PORT, without a user \
             redis://:PASSWORD@HOST:PORT; characters such as @ / : # are written %40 %2F %3A %23"
        }
        ("NOPASS", _) => "take the password out of the URL, or set requirepass at the server",
        ("NOPERM", Some(right)) => {
            return format!(
                "give the user of the URL this right: ACL SETUSER USER {right}; docs/operate/operations.md lists all that \
                 it needs"
            );
        }
        ("NOPERM", None) => {
            "docs/operate/operations.md lists the rights that Waxseal's user needs; ACL LOG 1 at the server tells \
             which is missing"
        }
        _ => "give this user the right to read and write the file and its directory",
    };
    text.to_owned()
}
