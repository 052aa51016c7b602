//! The entry of the audit log for each command that changes keys or records: an action and its target.
//! Users, values and whole record names are left out.

use waxseal_keys::CustodianScheme;
use waxseal_service::audit_log::Operation;
use waxseal_service::configuration::protected::shown_pattern;
use waxseal_service::resources::Resources;

use crate::args::{
    AuditArgs, DecryptArgs, ExportArgs, KeyringCommand, MigrateArgs, OpeningArgs, RewrapArgs,
    RotateArgs,
};

/// Changes of a keyring, and backups. Commands that only read are not recorded.
pub(crate) fn keyring(resources: &Resources, command: &KeyringCommand) -> Option<Operation> {
    let ring = resources
        .configuration
        .keyring()
        .ok()
        .map(|it| it.url.location());
    let ring = ring.as_deref();
    let of_ring = |action: &'static str| Some(Operation::new(action, ring?));
    let of_key = |action, id: &dyn ToString| {
        Some(Operation::new(action, &id.to_string()).with("ring", ring?))
    };
    match command {
        KeyringCommand::Status => None,
        KeyringCommand::Init(args) => {
            let operation = of_ring("keyring_init")?.with("fresh", args.fresh);
            Some(operation.with("custodians", wrapping(resources, &args.custodian)?))
        }
        KeyringCommand::Add => of_ring("keyring_add"),
        KeyringCommand::Promote { id, now } => {
            Some(of_key("keyring_promote", id)?.with("now", *now))
        }
        KeyringCommand::Archive { id } => of_key("keyring_archive", id),
        KeyringCommand::Destroy { id, force } => {
            Some(of_key("keyring_destroy", id)?.with("force", *force))
        }
        KeyringCommand::Compromise { id } => of_key("keyring_compromise", id),
        KeyringCommand::Restore { from } => {
            Some(of_ring("keyring_restore")?.with("from_elsewhere", from.is_some()))
        }
        KeyringCommand::Export(args) => Some(export(ring?, args)),
        KeyringCommand::Import(args) => {
            let operation =
                of_ring("keyring_import")?.with("opened_with", opened_with(&args.opening));
            Some(operation.with("custodians", wrapping(resources, &args.custodian)?))
        }
        KeyringCommand::Rehearse(args) => {
            let backup = Operation::new("keyring_rehearse", "a backup");
            Some(backup.with("opened_with", opened_with(&args.opening)))
        }
        KeyringCommand::Rewrap(args) => Some(rewrap(ring?, args)),
        KeyringCommand::Configure(args) => {
            Some(of_ring("keyring_configure")?.with("at_once", args.at_once))
        }
        KeyringCommand::RepairTimes { yes } => {
            yes.then(|| of_ring("keyring_repair_times")).flatten()
        }
        KeyringCommand::AdoptUsers { yes } => yes.then(|| of_ring("keyring_adopt_users")).flatten(),
        KeyringCommand::Release { records } => {
            Some(Operation::new("keyring_release", &shown_pattern(records)).with("ring", ring?))
        }
    }
}

pub(crate) fn migrate(resources: &Resources, args: &MigrateArgs) -> Option<Operation> {
    (!args.sweep.dry_run).then(|| sweep("migrate", resources))
}

pub(crate) fn rotate(resources: &Resources, args: &RotateArgs) -> Option<Operation> {
    let operation = || sweep("rotate", resources).with("open_compromised", args.open_compromised);
    (!args.sweep.dry_run).then(operation)
}

pub(crate) fn decrypt(resources: &Resources, args: &DecryptArgs) -> Option<Operation> {
    // Without the confirmation nothing begins.
    let operation = || match args.excepted {
        true => sweep("decrypt", resources).with("excepted", true),
        false => sweep("decrypt", resources),
    };
    (!args.sweep.dry_run && args.yes).then(operation)
}

/// An audit only reads; but its report is given to others.
pub(crate) fn audit(resources: &Resources, args: &AuditArgs) -> Option<Operation> {
    let writes = args.report.is_some() || args.html.is_some();
    writes.then(|| sweep("audit_report", resources).with("deep", args.deep))
}

/// The decoys are not named, not even masked: only their number is recorded.
pub(crate) fn decoy_plant(resources: &Resources) -> Operation {
    let target = match resources.configuration.decoys.len() {
        1 => "1 decoy".to_owned(),
        decoys => format!("{decoys} decoys"),
    };
    Operation::new("decoy_plant", &target).with("store", resources.configuration.store.location())
}

/// The user is not named: the receipt and the entry of the end hold the same keyed hash.
pub(crate) fn forget(resources: &Resources) -> Operation {
    Operation::new("forget", "a user").with("store", resources.configuration.store.location())
}

fn sweep(action: &'static str, resources: &Resources) -> Operation {
    let all = resources
        .configuration
        .protected
        .iter()
        .map(|it| shown_pattern(it.pattern.as_str()));
    let all: Vec<_> = all.collect();
    Operation::new(action, &all.join(", ")).with("store", resources.configuration.store.location())
}

fn export(ring: &str, args: &ExportArgs) -> Operation {
    let to = match &args.shares {
        Some(split) => format!("{}-of-{} shares", split.needed(), split.of()),
        None => "recipients".to_owned(),
    };
    Operation::new("keyring_export", ring).with("to", to)
}

fn rewrap(ring: &str, args: &RewrapArgs) -> Operation {
    let operation = Operation::new("keyring_rewrap", ring).with("to", custodians(&args.to));
    let operation = operation.with("add", custodians(&args.add));
    operation.with("remove", custodians(&args.remove))
}

fn opened_with(args: &OpeningArgs) -> String {
    match args.share.len() {
        0 => "an identity".to_owned(),
        shares => format!("{shares} shares"),
    }
}

/// The custodians that wrap the keys: those that were named, else those that are configured.
fn wrapping(resources: &Resources, named: &[String]) -> Option<String> {
    let configured = resources
        .configuration
        .keyring()
        .ok()?
        .with_custodians(named);
    Some(custodians(configured.urls()))
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
            CustodianScheme::Env => tail.is_empty() || waxseal_keys::is_variable(tail),
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
