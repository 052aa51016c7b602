//! The operations that commands record in the audit log. Dry runs, and what lacks its confirmation, are none.

use waxseal_service::audit_log::Operation;
use waxseal_service::recorded::{self, KeyringOperation};
use waxseal_service::resources::Resources;

use crate::args::{AuditArgs, DecryptArgs, KeyringCommand, MigrateArgs, RotateArgs};

/// Changes of a keyring, and backups. Commands that only read are not recorded.
pub(crate) fn keyring(resources: &Resources, command: &KeyringCommand) -> Option<Operation> {
    let operation = match command {
        KeyringCommand::Status
        | KeyringCommand::RepairTimes { yes: false }
        | KeyringCommand::AdoptUsers { yes: false } => return None,
        KeyringCommand::Init(args) => KeyringOperation::Init {
            fresh: args.fresh,
            custodians: &args.custodian,
        },
        KeyringCommand::Add => KeyringOperation::Add,
        KeyringCommand::Promote { id, now } => KeyringOperation::Promote { id: *id, now: *now },
        KeyringCommand::Archive { id } => KeyringOperation::Archive(*id),
        KeyringCommand::Destroy { id, force } => KeyringOperation::Destroy {
            id: *id,
            force: *force,
        },
        KeyringCommand::Compromise { id } => KeyringOperation::Compromise(*id),
        KeyringCommand::Restore { from } => KeyringOperation::Restore {
            from_elsewhere: from.is_some(),
        },
        KeyringCommand::Export(args) => KeyringOperation::Export(args.shares),
        KeyringCommand::Import(args) => KeyringOperation::Import {
            shares: args.opening.share.len(),
            custodians: &args.custodian,
        },
        KeyringCommand::Rehearse(args) => KeyringOperation::Rehearse {
            shares: args.opening.share.len(),
        },
        KeyringCommand::Rewrap(args) => KeyringOperation::Rewrap {
            to: &args.to,
            add: &args.add,
            remove: &args.remove,
        },
        KeyringCommand::Configure(args) => KeyringOperation::Configure {
            at_once: args.at_once,
            document_format: args.document_format,
            write_version: args.write_version,
            accept_version: args.accept_version,
            force: args.force,
        },
        KeyringCommand::Protect { records, .. } => KeyringOperation::Protect(records),
        KeyringCommand::RotateIndex { now } => KeyringOperation::RotateIndex { now: *now },
        KeyringCommand::RepairTimes { yes: true } => KeyringOperation::RepairTimes,
        KeyringCommand::AdoptUsers { yes: true } => KeyringOperation::AdoptUsers,
        KeyringCommand::Release { records } => KeyringOperation::Release(records),
    };
    recorded::keyring(resources, operation)
}

pub(crate) fn migrate(resources: &Resources, args: &MigrateArgs) -> Option<Operation> {
    (!args.sweep.dry_run).then(|| recorded::migrate(resources, args.names.names))
}

pub(crate) fn rotate(resources: &Resources, args: &RotateArgs) -> Option<Operation> {
    (!args.sweep.dry_run).then(|| recorded::rotate(resources, args.open_compromised))
}

pub(crate) fn decrypt(resources: &Resources, args: &DecryptArgs) -> Option<Operation> {
    // Without the confirmation nothing begins.
    (!args.sweep.dry_run && args.yes)
        .then(|| recorded::decrypt(resources, args.excepted, args.names.names))
}

pub(crate) fn audit(resources: &Resources, args: &AuditArgs) -> Option<Operation> {
    let writes = args.report.is_some() || args.html.is_some();
    writes.then(|| recorded::audit_report(resources, args.deep))
}
