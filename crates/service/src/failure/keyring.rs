//! Failures of keyrings, with hints that can be followed at three in the morning.

use std::io::ErrorKind;

use waxseal_core::sanitize_for_terminal;
use waxseal_keys::rotation::AuditGap;
use waxseal_keys::secret_file::SecretFileError;
use waxseal_keys::{
    ChangeError, CustodianError, DocumentError, DocumentStoreError, RingError, UserKeyError,
};
use waxseal_upkeep::UpkeepError;

use super::{Failure, secret_file};

impl From<RingError> for Failure {
    fn from(error: RingError) -> Self {
        let hint = match &error {
            RingError::Custodian(cause) => return of_custodian(&error, cause),
            RingError::DocumentStore(cause) => return cause.clone().into(),
            RingError::Change(cause) => return cause.clone().into(),
            RingError::Missing { .. } => {
                "waxseal keyring init creates one; where one existed, waxseal keyring restore puts back the last good copy"
            }
            RingError::Exists { .. } => {
                "waxseal keyring status shows what it holds; with --if-missing this is not a failure"
            }
            RingError::Document {
                error: DocumentError::Format(_),
                ..
            } => "a newer waxseal wrote it: nothing was changed; install that version here",
            RingError::Document { .. } => {
                "nothing was changed; waxseal keyring restore puts back the last good copy of a \
                 machine that has one"
            }
            RingError::Environment { .. } => {
                "nothing was changed; set environment in waxseal.toml, or give the URL of the \
                 keyring of this environment"
            }
            RingError::OtherRing { .. } => {
                "nothing was changed; either the URL is wrong, or a new keyring was created: then older values need the copy that this machine keeps (waxseal doctor shows where)"
            }
            RingError::Rollback { .. } => {
                "waxseal keyring restore puts back the last good copy; find out who put an old one \
                 there"
            }
            RingError::Outdated { .. } => {
                "nothing was changed; another machine may have a newer copy: waxseal keyring restore \
                 puts back the best that there is"
            }
            RingError::Contended(_) => "nothing was changed; run the same command again",
            RingError::Lapsed { .. } => {
                "make the keyring's store available again, and sealing resumes"
            }
            _ => return Self::failed(&error),
        };
        Self::failed(&error).hint(hint)
    }
}

fn of_custodian(error: &RingError, cause: &CustodianError) -> Failure {
    match cause {
        CustodianError::Refused { .. } => Failure::failed(error).hint(
            "nothing was changed; the custodian's secret is not the one that this keyring was made \
             with (by default REDIS_ENCRYPTION_KEY), or the keyring is of another environment",
        ),
        CustodianError::NotConfigured { .. } => Failure::failed(error).hint(ELSEWHERE),
        CustodianError::Unavailable { .. } => Failure::failed(error).transient().hint(AWAY),
        CustodianError::Several(_) if cause.is_about_pin() => Failure::usage(error).hint(PIN),
        CustodianError::Several(_) => {
            let failure = Failure::failed(error).hint(AWAY);
            match cause.is_transient() {
                true => failure.transient(),
                false => failure,
            }
        }
        other => other.clone().into(),
    }
}

/// The hint where a custodian of the ring is not configured on this machine.
const ELSEWHERE: &str = "nothing was changed; configure it on this machine (custodian in waxseal.toml, and \
    what it needs of the environment), or run this where it is";
/// The hint where a token does not accept its PIN.
const PIN: &str = "the PIN was not tried again, so that the token is not locked: log in once by hand \
    (pkcs11-tool --login --list-objects) with the right one, and set that";
/// The hint where no custodian answers.
const AWAY: &str = "nothing was changed, and processes that run go on; bring one of them back, or start \
    with --allow-offline where offline_key is configured";

impl From<CustodianError> for Failure {
    fn from(error: CustodianError) -> Self {
        let hint = match &error {
            CustodianError::Scheme => "for example custodian = \"env:REDIS_ENCRYPTION_KEY\"",
            CustodianError::NotBuilt { scheme } => {
                let hint = format!("build it with cargo build --release --features {scheme}");
                return Self::usage(&error).hint(hint);
            }
            CustodianError::Url { .. } => {
                "docs/keys/custodians describes the URL of each kind of custodian"
            }
            CustodianError::Variable { .. } => {
                "docs/keys/custodians describes what it takes, docs/keys/secrets.md where secrets may come from"
            }
            CustodianError::NotSet { variable } if is_of_service(variable) => {
                "docs/keys/custodians describes the variables that this kind of custodian needs"
            }
            CustodianError::NotSet { .. } => {
                "set it to the secret that the keyring was made with; for a new keyring waxseal key generate creates one"
            }
            CustodianError::Secret { .. } => {
                "it holds 64 hexadecimal characters, those that the keyring was made with; for a new keyring \
                 waxseal key generate creates them"
            }
            CustodianError::File {
                error: SecretFileError::Unreadable(ErrorKind::NotFound),
                ..
            } => {
                "waxseal.toml or a URL names the file: bring back the one that the keyring was made with; for \
                 a new keyring waxseal key generate --file creates one"
            }
            CustodianError::File { path, error: cause } => {
                let hint = secret_file::hint(*cause, &sanitize_for_terminal(path));
                return Self::usage(&error).hint(hint);
            }
            CustodianError::NoKey { .. } => {
                "nothing was changed; create the key (in a token: --create-key), or name the module and the key that exist: docs/keys/custodians describes how"
            }
            CustodianError::KeyExists { .. } => "it was not changed; to use it, omit --create-key",
            CustodianError::Pin { .. } => PIN,
            CustodianError::Denied { .. } => {
                return Self::failed(&error).hint(
                    "nothing was changed; give this process the rights that docs/keys/custodians lists, or \
                     credentials that have not expired",
                );
            }
            CustodianError::Unavailable { .. } => {
                return Self::failed(&error).transient().hint(
                    "nothing was changed; bring it back, or run this where it can be reached",
                );
            }
            CustodianError::NotConfigured { .. } => {
                return Self::failed(&error).hint(ELSEWHERE);
            }
            _ => return Self::failed(&error),
        };
        Self::usage(&error).hint(hint)
    }
}

/// True if a variable is about a token or a service, and holds no key.
fn is_of_service(variable: &str) -> bool {
    ["PKCS11_", "VAULT_", "BAO_"]
        .iter()
        .any(|start| variable.starts_with(start))
}

impl From<DocumentStoreError> for Failure {
    fn from(error: DocumentStoreError) -> Self {
        match &error {
            DocumentStoreError::Unavailable { .. } => Self::failed(&error)
                .hint("check the keyring's URL, and that its store can be reached")
                .transient(),
            _ => Self::failed(&error).hint(
                "check the URL, and that this user may read and write there (for a file, in its \
                 directory as well, and the files beside it: anyone who gets access to the keyring needs its .lock, \
                 .leader and .reports too)",
            ),
        }
    }
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        let hint = match &error {
            ChangeError::NoKey(_) => "waxseal keyring status lists the keys",
            ChangeError::Transition { .. } => {
                "a key is pending, sealing, opening, archived, destroyed, in this order; from any \
                 but sealing and destroyed it can become compromised, and from there destroyed"
            }
            ChangeError::Pending(_) => "waxseal keyring promote lets it seal",
            ChangeError::Early { .. } => {
                "wait, or add --now if every process was started after the key was added"
            }
            ChangeError::Sealing(_) => {
                "waxseal keyring add, then waxseal keyring promote with the id of the new key, then \
                 the same command again"
            }
            ChangeError::LastCustodian(_) => {
                "nothing was changed; waxseal keyring rewrap --to moves the keyring to another one"
            }
            ChangeError::NoCustodian(_) => "waxseal keyring status lists those that it has",
            ChangeError::Clock { .. } => {
                "nothing was changed; set both clocks by NTP. Machines with the right time go on meanwhile; \
                 waxseal keyring repair-times sets right what was written by a wrong clock"
            }
            ChangeError::Fenced => "let it finish; waxseal keyring status shows its progress",
            ChangeError::Settings(_) => {
                return Self::usage(&error).hint("nothing was changed; give other times");
            }
            other => return of_versions(other),
        };
        Self::failed(&error).hint(hint)
    }
}

/// The failure of a change of the document's format, of the versions of the sealed format, of index keys or of recorded
/// settings.
fn of_versions(error: &ChangeError) -> Failure {
    let hint = match error {
        ChangeError::NoIndexKey(_) => "waxseal keyring status lists the keys",
        ChangeError::IndexKey(_) => {
            "waxseal keyring rotate-index publishes another one, and later lets it write; waxseal rotate brings values \
             under it, and waxseal keyring destroy then destroys this one"
        }
        ChangeError::IndexTransition { .. } => {
            "an index key is pending, writing, reading, destroyed, in this order"
        }
        ChangeError::PendingIndexKey(_) => "waxseal keyring rotate-index lets it write",
        ChangeError::EarlyIndexKey { .. } => {
            "wait, or add --now if every process was started after the key was added"
        }
        ChangeError::Writing(_) => {
            "waxseal keyring rotate-index lets another one write; then the same command again"
        }
        ChangeError::SealedNames { .. } => {
            "nothing was changed; this version of Waxseal does not replace the index key while names are sealed. To do it, \
             give the names back, replace the key, and seal the names again: docs/operate/names.md, Another key or length"
        }
        ChangeError::NeedsFormat2 { .. } => {
            "waxseal keyring configure --document-format 2, once every process reads it"
        }
        ChangeError::FormerProcesses { .. } => {
            "nothing was changed; update these processes, or stop them and wait until their reports are dropped. With \
             --force it is changed all the same: a former version then serves with its last good copy, and follows \
             the keyring no more"
        }
        ChangeError::NotWritten => {
            "waxseal keyring configure --write-version 3, then waxseal rotate"
        }
        ChangeError::NotAccepted => {
            "waxseal keyring configure --accept-version 2, and this some time later"
        }
        ChangeError::WritesVersion3 => {
            "waxseal keyring configure --accept-version 2, then --write-version 2, then waxseal rotate, then this"
        }
        ChangeError::IndexKeysInUse { .. } => {
            "nothing was changed; format 2 can stay. If no process has sealed members, or none of them is needed: stop all \
             processes, run waxseal audit, then this with --force, which audits nothing itself"
        }
        ChangeError::ScopeSettings { .. } => {
            "nothing was changed; to use them: waxseal keyring configure --document-format 2, then --write-version 3; to \
             give them up without losing values: docs/operate/version-3.md, Groups"
        }
        ChangeError::Unsettled { .. } => {
            "nothing was changed; wait, or add --force if no such process runs any more: what it writes would not open"
        }
        ChangeError::Unproven { gap, .. } => return of_audit(error, gap),
        ChangeError::Protected { difference, .. } if is_of_names(difference.what) => {
            "nothing was changed; if the names are to be switched: stop all processes that use these records, run waxseal \
             migrate --names --offline (or decrypt --names --offline, to have them in clear again), then waxseal keyring \
             protect --records PATTERN --names sealed --now (or plain), and start the processes with the same waxseal.toml"
        }
        ChangeError::Protected { .. } => {
            "nothing was changed; use the same waxseal.toml everywhere. If it is to be changed: waxseal keyring protect \
             --records PATTERN, with the changed file, records what it says; then give it to all processes, restart \
             them, and run waxseal rotate"
        }
        _ => return Failure::failed(error),
    };
    Failure::failed(error).hint(hint)
}

/// True for a setting that decides under which names records are stored.
fn is_of_names(setting: &str) -> bool {
    ["names", "pad_names"].contains(&setting)
}

/// The failure of a change that an audit does not show to be safe.
fn of_audit(error: &ChangeError, gap: &AuditGap) -> Failure {
    let hint = match gap {
        AuditGap::Version { .. } | AuditGap::Classic(_) | AuditGap::InUse { .. } => {
            "nothing was changed; waxseal rotate reseals what opens; waxseal audit --deep names what does not"
        }
        AuditGap::Names { .. } => {
            "nothing was changed; waxseal migrate --names --offline gives these records the names that are written"
        }
        AuditGap::NoNames(_) => {
            "nothing was changed; run this where waxseal.toml says names = \"sealed\" for these records"
        }
        AuditGap::ClassicWritten => {
            "nothing was changed; set format = \"sealed\" under each [[protect]], for all processes, and restart them"
        }
        AuditGap::Quarantined { .. } => {
            "nothing was changed; waxseal quarantine list shows them: restore or drop them"
        }
        AuditGap::Uncovered(_) => {
            "nothing was changed; run this where these records are configured as well, or, if they are protected no \
             more, waxseal keyring release"
        }
        AuditGap::Unseen(_) => {
            "nothing was changed; the warnings above name the records and the cause"
        }
        _ => "nothing was changed; run the same command again",
    };
    Failure::failed(error).hint(hint)
}

/// The hint where users' keys are lost, or in another store.
pub(super) const USERS_LOST: &str = "nothing was changed; check user_keys in waxseal.toml, or restore the store of \
    users' keys from a backup; waxseal keyring adopt-users accepts it as it is: values under keys that are gone \
    then stay unreadable, and their users get new keys";

impl From<UserKeyError> for Failure {
    fn from(error: UserKeyError) -> Self {
        let hint = match &error {
            UserKeyError::Ring(cause) => return cause.clone().into(),
            UserKeyError::Store { .. } => {
                "check user_keys in waxseal.toml, and that the server runs there"
            }
            UserKeyError::Record { .. } | UserKeyError::Form { .. } => {
                "nothing was changed; this user's values do not open without it: restore its record \
                 from a backup of the store of users' keys"
            }
            UserKeyError::Lost { .. } => USERS_LOST,
            UserKeyError::Contended => "run the same command again",
            _ => return Self::failed(&error),
        };
        let failure = Self::failed(&error).hint(hint);
        if error.is_transient() {
            failure.transient()
        } else {
            failure
        }
    }
}

impl From<UpkeepError> for Failure {
    fn from(error: UpkeepError) -> Self {
        match error {
            UpkeepError::Ring(error) => error.into(),
            UpkeepError::Sweep(error) => error.into(),
            UpkeepError::Users(error) => error.into(),
            UpkeepError::Store(error) => error.into(),
            UpkeepError::Pattern(error) => error.into(),
            UpkeepError::Configured(error) => error.into(),
            UpkeepError::Led(_) => Self::failed(&error)
                .hint("let it finish; waxseal keyring status shows its progress"),
            UpkeepError::Stopped => Self::failed("stopped by a signal before the end")
                .hint("what was done stays; run the same command again"),
            other => Self::failed(&other),
        }
    }
}
