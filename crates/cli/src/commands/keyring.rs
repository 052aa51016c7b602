//! `keyring`: creates a keyring, shows its state, and makes the changes of an operator.
//! What is allowed is decided in `waxseal-keys`.

mod backup;
mod change;
mod init;
mod restore;
mod rewrap;
mod status;
mod times;
mod users;
mod versions;

use serde::Serialize;
use waxseal_keys::Ring;
use waxseal_service::resources::Resources;
use waxseal_service::{Ended, Failure};

use crate::args::{Common, ConfigureArgs, KeyringCommand, SettingsArgs};
use crate::commands::recorded;
use crate::output;

/// The result of a change, as JSON.
#[derive(Serialize)]
struct ChangeReport<'a> {
    ring: &'a str,
    version: u64,
    sealing: String,
    done: &'a str,
    next: &'a str,
}

pub(crate) async fn run(common: &Common, command: &KeyringCommand) -> Result<Ended, Failure> {
    let resources = Resources::read(&common.flags())?;
    let (trail, operation) = (
        resources.trail.clone(),
        recorded::keyring(&resources, command),
    );
    trail
        .record_operation(operation, carry_out(resources, common, command))
        .await
}

async fn carry_out(
    mut resources: Resources,
    common: &Common,
    command: &KeyringCommand,
) -> Result<Ended, Failure> {
    if let KeyringCommand::Rehearse(args) = command {
        return backup::rehearse(&resources, common, args).await;
    }
    resources.configuration.keyring()?;
    match command {
        KeyringCommand::Init(args) => return init::run(&resources, args).await,
        KeyringCommand::Restore { from } => return restore::run(&resources, from.as_deref()).await,
        KeyringCommand::Rewrap(args) => return rewrap::run(&mut resources, args).await,
        KeyringCommand::Import(args) => return backup::import(&resources, args).await,
        KeyringCommand::Configure(args)
            if args.settings == SettingsArgs::default()
                && !args.at_once
                && !args.names_versions() =>
        {
            return Err(Failure::usage("nothing to change was given")
                .hint("for example waxseal keyring configure --rotate-every 30d"));
        }
        KeyringCommand::AdoptUsers { yes } => return users::adopt(&mut resources, *yes).await,
        // Values are read, and under a compromised key as well.
        KeyringCommand::Archive { .. } | KeyringCommand::Destroy { force: false, .. } => {
            resources.open_ring(true).await?;
        }
        KeyringCommand::Configure(args) if args.names_versions() && !args.force => {
            resources.open_ring(true).await?;
        }
        _ => resources.open_ring_alone(false).await?,
    }
    match command {
        KeyringCommand::Init(_)
        | KeyringCommand::Restore { .. }
        | KeyringCommand::Rewrap(_)
        | KeyringCommand::Import(_)
        | KeyringCommand::AdoptUsers { .. }
        | KeyringCommand::Rehearse(_) => Ok(Ended::Done),
        KeyringCommand::Export(args) => backup::export(&resources, args).await,
        KeyringCommand::Status => status::run(&resources).await,
        KeyringCommand::Add => change::add(&resources).await,
        KeyringCommand::Promote { id, now } => change::promote(&resources, *id, *now).await,
        KeyringCommand::Archive { id } => change::archive(&resources, *id).await,
        KeyringCommand::Destroy { id, force } => change::destroy(&resources, *id, *force).await,
        KeyringCommand::Compromise { id } => change::compromise(&resources, *id).await,
        KeyringCommand::Configure(args) => change::configure(&resources, args).await,
        KeyringCommand::Protect {
            records,
            names,
            now,
        } => versions::protect(&resources, records, (*names, *now)).await,
        KeyringCommand::RotateIndex { now } => versions::rotate_index(&resources, *now).await,
        KeyringCommand::RepairTimes { yes } => times::repair(&resources, *yes).await,
        KeyringCommand::Release { records } => change::release(&resources, common, records).await,
    }
}

/// Prints what was done and what comes next.
fn tell(resources: &Resources, ring: &Ring, done: &str, next: &str) -> Result<Ended, Failure> {
    resources.trail.add_detail("ring", ring.id());
    resources.trail.add_detail("version", ring.version());
    resources
        .trail
        .add_detail("sealing", ring.sealing().id.to_string());
    if output::is_json() {
        output::json(&ChangeReport {
            ring: ring.id(),
            version: ring.version(),
            sealing: ring.sealing().id.to_string(),
            done,
            next,
        })?;
    } else {
        output::line(done)?;
        if !next.is_empty() {
            output::line(format!("next: {next}"))?;
        }
    }
    Ok(Ended::Done)
}

impl ConfigureArgs {
    /// True if the document's format or a version of the sealed format is to be changed.
    fn names_versions(&self) -> bool {
        self.document_format.is_some()
            || self.write_version.is_some()
            || self.accept_version.is_some()
    }
}

impl SettingsArgs {
    /// Returns these settings with those of the flags.
    fn over(&self, mut settings: waxseal_keys::Settings) -> waxseal_keys::Settings {
        let set = |place: &mut u64, given: Option<u64>| *place = given.unwrap_or(*place);
        if let Some(age) = self.rotate_every {
            settings.every_ms = age.0;
        }
        set(&mut settings.propagation_ms, self.propagation);
        set(&mut settings.refresh_ms, self.refresh);
        set(&mut settings.retention_ms, self.retain);
        set(&mut settings.seals, self.max_seals);
        settings
    }
}
