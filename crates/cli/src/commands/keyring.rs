//! `keyring`: making one, telling where it stands, and the changes that an operator makes by hand.
//! What is allowed is decided in `waxseal-keys`.

mod audit;
mod backup;
mod change;
mod init;
mod restore;
mod rewrap;
mod status;
mod times;
mod users;

pub(crate) use audit::block_advice;
pub(crate) use status::{block_words, step_words};
pub(crate) use times::wrong_time_words;

use serde::Serialize;
use waxseal_keys::Ring;

use crate::args::{Common, KeyringCommand, SettingsArgs};
use crate::commands::recorded;
use crate::error::{Ended, Failure};
use crate::output;
use crate::setup::Setup;

/// What a change came to, for programs.
#[derive(Serialize)]
struct Told<'a> {
    ring: &'a str,
    version: u64,
    sealing: String,
    done: &'a str,
    next: &'a str,
}

pub(crate) async fn run(common: &Common, command: &KeyringCommand) -> Result<Ended, Failure> {
    let setup = Setup::read(common)?;
    let (trail, operation) = (setup.trail.clone(), recorded::keyring(&setup, command));
    trail
        .record_operation(operation, carry_out(setup, common, command))
        .await
}

async fn carry_out(
    mut setup: Setup,
    common: &Common,
    command: &KeyringCommand,
) -> Result<Ended, Failure> {
    if let KeyringCommand::Rehearse(args) = command {
        return backup::rehearse(&setup, common, args).await;
    }
    setup.ring_setup()?;
    match command {
        KeyringCommand::Init(args) => return init::run(&setup, args).await,
        KeyringCommand::Restore { from } => return restore::run(&setup, from.as_deref()).await,
        KeyringCommand::Rewrap(args) => return rewrap::run(&mut setup, args).await,
        KeyringCommand::Import(args) => return backup::import(&setup, args).await,
        KeyringCommand::Configure(args)
            if args.settings == SettingsArgs::default() && !args.at_once =>
        {
            return Err(Failure::usage("nothing to change was given")
                .hint("for example waxseal keyring configure --rotate-every 30d"));
        }
        KeyringCommand::AdoptUsers { yes } => return users::adopt(&mut setup, *yes).await,
        // Values are read, and under a compromised key as well.
        KeyringCommand::Archive { .. } | KeyringCommand::Destroy { force: false, .. } => {
            setup.open_ring(true).await?;
        }
        _ => setup.open_ring_alone(false).await?,
    }
    match command {
        KeyringCommand::Init(_)
        | KeyringCommand::Restore { .. }
        | KeyringCommand::Rewrap(_)
        | KeyringCommand::Import(_)
        | KeyringCommand::AdoptUsers { .. }
        | KeyringCommand::Rehearse(_) => Ok(Ended::Done),
        KeyringCommand::Export(args) => backup::export(&setup, args).await,
        KeyringCommand::Status => status::run(&setup).await,
        KeyringCommand::Add => change::add(&setup).await,
        KeyringCommand::Promote { id, now } => change::promote(&setup, *id, *now).await,
        KeyringCommand::Archive { id } => change::archive(&setup, *id).await,
        KeyringCommand::Destroy { id, force } => change::destroy(&setup, *id, *force).await,
        KeyringCommand::Compromise { id } => change::compromise(&setup, *id).await,
        KeyringCommand::Configure(args) => change::configure(&setup, args).await,
        KeyringCommand::RepairTimes { yes } => times::repair(&setup, *yes).await,
        KeyringCommand::Release { records } => change::release(&setup, common, records).await,
    }
}

/// Prints what happened and what comes next.
fn tell(setup: &Setup, ring: &Ring, done: &str, next: &str) -> Result<Ended, Failure> {
    setup.trail.add_detail("ring", ring.id());
    setup.trail.add_detail("version", ring.version());
    setup
        .trail
        .add_detail("sealing", ring.sealing().id.to_string());
    if setup.json {
        output::json(&Told {
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

impl SettingsArgs {
    /// These settings with what was given.
    fn over(&self, mut settings: waxseal_keys::Settings) -> waxseal_keys::Settings {
        let set = |place: &mut u64, given: Option<u64>| *place = given.unwrap_or(*place);
        if let Some(age) = self.rotate_every {
            settings.every_ms = age.0;
        }
        set(&mut settings.propagation_ms, self.propagation);
        set(&mut settings.refresh_ms, self.refresh);
        set(&mut settings.retention_ms, self.rest);
        set(&mut settings.seals, self.max_seals);
        settings
    }
}
