//! The entry of the audit log for each command that changes keys or records: an action and its target.
//! Users, values and whole record names are left out. Commands that only read, and dry runs, have no entry.

use waxseal_core::{EnvelopeVersion, KeyId};
use waxseal_keys::{CustodianScheme, Split, is_variable};

use crate::audit_log::Operation;
use crate::configuration::protected::shown_pattern;
use crate::resources::Resources;

/// A change of a keyring, or a use of a backup.
#[derive(Clone, Copy)]
pub enum KeyringOperation<'a> {
    /// A keyring is created, wrapped by the named custodians, or else by those that are configured.
    Init {
        /// True if the store is not read.
        fresh: bool,
        /// The named custodians.
        custodians: &'a [String],
    },
    /// A key is added.
    Add,
    /// A key is made the sealing key.
    Promote {
        /// The key.
        id: KeyId,
        /// True if the propagation delay is not awaited.
        now: bool,
    },
    /// A key is archived.
    Archive(KeyId),
    /// A key is destroyed.
    Destroy {
        /// The key.
        id: KeyId,
        /// True if values under it are not looked for.
        force: bool,
    },
    /// A key is marked as compromised.
    Compromise(KeyId),
    /// A copy of the document is put back.
    Restore {
        /// True if it is not the copy of this machine.
        from_elsewhere: bool,
    },
    /// A backup is written: in shares, or to recipients.
    Export(Option<Split>),
    /// The keyring of a backup is created.
    Import {
        /// The number of shares that open the backup; 0 if an identity does.
        shares: usize,
        /// The named custodians.
        custodians: &'a [String],
    },
    /// A backup is opened, and nothing is written. 0 shares if an identity opens it.
    Rehearse {
        /// The number of shares that open the backup; 0 if an identity does.
        shares: usize,
    },
    /// The keys are wrapped by other custodians.
    Rewrap {
        /// The only ones from now on.
        to: &'a [String],
        /// Those that are added.
        add: &'a [String],
        /// Those that are removed.
        remove: &'a [String],
    },
    /// The times of the rotation are changed.
    Configure {
        /// True if lowered times apply at once.
        at_once: bool,
        /// The new format of the document.
        document_format: Option<u32>,
        /// The new version that is written.
        write_version: Option<EnvelopeVersion>,
        /// The new version that is accepted.
        accept_version: Option<EnvelopeVersion>,
        /// True if format and versions are changed without waiting and without an audit.
        force: bool,
    },
    /// The settings of the records with this pattern are recorded.
    Protect(&'a str),
    /// The index key is replaced.
    RotateIndex {
        /// True if the propagation delay is not awaited.
        now: bool,
    },
    /// Wrong times are corrected.
    RepairTimes,
    /// The store of users' keys is accepted.
    AdoptUsers,
    /// Records with this pattern are released.
    Release(&'a str),
}

/// Returns the entry of a change of the configured keyring; `None` if none is configured.
#[must_use]
pub fn keyring(resources: &Resources, operation: KeyringOperation<'_>) -> Option<Operation> {
    let ring = || Some(resources.configuration.keyring().ok()?.url.location());
    let of_ring = |action| Some(Operation::new(action, &ring()?));
    let of_key = |action, id: KeyId| {
        let operation = Operation::new(action, &id.to_string());
        Some(operation.with("ring", ring()?))
    };
    match operation {
        KeyringOperation::Init { fresh, custodians } => {
            let operation = of_ring("keyring_init")?.with("fresh", fresh);
            Some(operation.with("custodians", wrapping(resources, custodians)?))
        }
        KeyringOperation::Add => of_ring("keyring_add"),
        KeyringOperation::Promote { id, now } => {
            Some(of_key("keyring_promote", id)?.with("now", now))
        }
        KeyringOperation::Archive(id) => of_key("keyring_archive", id),
        KeyringOperation::Destroy { id, force } => {
            Some(of_key("keyring_destroy", id)?.with("force", force))
        }
        KeyringOperation::Compromise(id) => of_key("keyring_compromise", id),
        KeyringOperation::Restore { from_elsewhere } => {
            Some(of_ring("keyring_restore")?.with("from_elsewhere", from_elsewhere))
        }
        KeyringOperation::Export(shares) => {
            let to = match shares {
                Some(split) => format!("{}-of-{} shares", split.needed(), split.of()),
                None => "recipients".to_owned(),
            };
            Some(of_ring("keyring_export")?.with("to", to))
        }
        KeyringOperation::Import { shares, custodians } => {
            let operation = of_ring("keyring_import")?.with("opened_with", opened_with(shares));
            Some(operation.with("custodians", wrapping(resources, custodians)?))
        }
        KeyringOperation::Rehearse { shares } => {
            let backup = Operation::new("keyring_rehearse", "a backup");
            Some(backup.with("opened_with", opened_with(shares)))
        }
        KeyringOperation::Rewrap { to, add, remove } => {
            let operation = of_ring("keyring_rewrap")?.with("to", custodians(to));
            let operation = operation.with("add", custodians(add));
            Some(operation.with("remove", custodians(remove)))
        }
        KeyringOperation::Configure {
            at_once,
            document_format,
            write_version,
            accept_version,
            force,
        } => {
            let operation = of_ring("keyring_configure")?.with("at_once", at_once);
            let versions = (write_version, accept_version);
            Some(configure(operation, document_format, versions, force))
        }
        KeyringOperation::Protect(records) => {
            let operation = Operation::new("keyring_protect", &shown_pattern(records));
            Some(operation.with("ring", ring()?))
        }
        KeyringOperation::RotateIndex { now } => {
            Some(of_ring("keyring_rotate_index")?.with("now", now))
        }
        KeyringOperation::RepairTimes => of_ring("keyring_repair_times"),
        KeyringOperation::AdoptUsers => of_ring("keyring_adopt_users"),
        KeyringOperation::Release(records) => {
            let operation = Operation::new("keyring_release", &shown_pattern(records));
            Some(operation.with("ring", ring()?))
        }
    }
}

/// Adds what is changed of the document's format and of the versions.
fn configure(
    mut operation: Operation,
    document_format: Option<u32>,
    (write, accept): (Option<EnvelopeVersion>, Option<EnvelopeVersion>),
    force: bool,
) -> Operation {
    let version = |version: Option<EnvelopeVersion>| Some(u32::from(version?.as_u8()));
    let given = [
        ("document_format", document_format),
        ("write_version", version(write)),
        ("accept_version", version(accept)),
    ];
    for (name, number) in given {
        if let Some(number) = number {
            operation = operation.with(name, number).with("force", force);
        }
    }
    operation
}

/// Returns the entry of a migration of values, or of names.
#[must_use]
pub fn migrate(resources: &Resources, of_names: bool) -> Operation {
    with_names(sweep("migrate", resources), of_names)
}

fn with_names(operation: Operation, of_names: bool) -> Operation {
    match of_names {
        true => operation.with("names", true),
        false => operation,
    }
}

/// Returns the entry of a rotation over all records.
#[must_use]
pub fn rotate(resources: &Resources, opens_compromised: bool) -> Operation {
    sweep("rotate", resources).with("open_compromised", opens_compromised)
}

/// Returns the entry of a decryption of all values, or of those that are excepted, or of names.
#[must_use]
pub fn decrypt(resources: &Resources, only_excepted: bool, of_names: bool) -> Operation {
    match only_excepted {
        true => sweep("decrypt", resources).with("excepted", true),
        false => with_names(sweep("decrypt", resources), of_names),
    }
}

/// Returns the entry of a search for the logical name of a stored one.
#[must_use]
pub fn find(resources: &Resources) -> Operation {
    sweep("find", resources)
}

/// Returns the entry of an audit whose report is written: it only reads, but the report is given to others.
#[must_use]
pub fn audit_report(resources: &Resources, is_deep: bool) -> Operation {
    sweep("audit_report", resources).with("deep", is_deep)
}

/// Returns the entry of decoys that are planted. They are not named, not even masked: only their number is recorded.
#[must_use]
pub fn decoy_plant(resources: &Resources) -> Operation {
    let target = match resources.configuration.decoys.len() {
        1 => "1 decoy".to_owned(),
        decoys => format!("{decoys} decoys"),
    };
    Operation::new("decoy_plant", &target).with("store", resources.configuration.store.location())
}

/// Returns the entry of the erasure of a user. The user is not named: the receipt and the entry of the end hold the
/// same keyed hash.
#[must_use]
pub fn forget(resources: &Resources) -> Operation {
    Operation::new("forget", "a user").with("store", resources.configuration.store.location())
}

fn sweep(action: &'static str, resources: &Resources) -> Operation {
    let protected = resources.configuration.protected.iter();
    let all: Vec<_> = protected
        .map(|it| shown_pattern(it.pattern.as_str()))
        .collect();
    Operation::new(action, &all.join(", ")).with("store", resources.configuration.store.location())
}

fn opened_with(shares: usize) -> String {
    match shares {
        0 => "an identity".to_owned(),
        shares => format!("{shares} shares"),
    }
}

/// The custodians that wrap the keys: those that were named, else those that are configured.
fn wrapping(resources: &Resources, named: &[String]) -> Option<String> {
    let keyring = resources.configuration.keyring().ok()?;
    Some(custodians(keyring.with_custodians(named).urls()))
}

/// Custodians without what may follow their names, such as a PIN, or precede a host.
fn custodians(urls: &[String]) -> String {
    let shown = |url: &String| {
        let url = url.split(['?', '#']).next().unwrap_or_default();
        let has_pin = url.to_ascii_lowercase().contains("pin");
        // Anything else may be a secret in the wrong place.
        let Some((scheme, tail)) = CustodianScheme::split(url) else {
            return "…".to_owned();
        };
        let is_public = match scheme {
            CustodianScheme::Env => tail.is_empty() || is_variable(tail),
            CustodianScheme::AwsKms => tail.starts_with("arn:"),
            CustodianScheme::File | CustodianScheme::Pkcs11 | CustodianScheme::Vault => {
                !url.contains('@') && !has_pin
            }
        };
        match is_public {
            true => url.to_owned(),
            false => scheme.url('…'),
        }
    };
    urls.iter().map(shown).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_pins_nor_whole_names_are_recorded() {
        let urls = [
            "pkcs11:token=a?pin-value=1234",
            "pkcs11:pin-value=1234",
            "vault:u:p@h",
            "env:K",
            "env:0a5be2d94738",
            "0a5be2d94738",
            "0a5be2d94738:x",
            "awskms:0a5be2d94738",
        ];
        let shown = custodians(&urls.map(str::to_owned));
        assert_eq!(
            shown,
            "pkcs11:token=a, pkcs11:…, vault:…, env:K, env:…, …, …, awskms:…"
        );
        assert_eq!(shown_pattern("wa:*"), "wa:*");
        assert_eq!(shown_pattern("wa:5215512345678"), "one record");
        assert_eq!(shown_pattern("\\{wa\\}:5215512345678"), "one record");
    }
}
