//! The commands, one module each.

mod audit;
mod audit_log;
mod canary;
mod decoy;
mod demo;
mod doctor;
mod due;
mod forget;
mod inspect;
mod keeper;
mod key;
mod keyring;
mod manual;
mod proxy;
mod quarantine;
mod receipt;
mod record;
mod recorded;
mod signed;
mod sweep;
mod unmatched;
mod value;

#[cfg(test)]
pub(crate) use proxy::MAX_DEFAULT_WORKERS;

use waxseal_service::resources::seals::SealAccount;
use waxseal_service::resources::{Resources, key_hint};
use waxseal_service::{Ended, Failure};

use crate::args::{Cli, Command};

pub(crate) async fn run(cli: Cli) -> Result<Ended, Failure> {
    let common = cli.common.clone();
    match carry_out(cli).await {
        Err(failure) => Err(key_hint::complete(&common.flags(), failure).await),
        ended => ended,
    }
}

async fn carry_out(cli: Cli) -> Result<Ended, Failure> {
    let common = cli.common;
    match cli.command {
        // These need nothing that is configured, and must work where that is broken.
        Command::Key(command) => key::run(&command, common.json),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { directory } => manual::pages(&directory),
        Command::Demo(args) => demo::run(&common, &args).await,
        Command::Doctor => doctor::run(&common).await,
        Command::Seal(args) => {
            let resources = Resources::open(&common.flags()).await?;
            counted(&resources, value::seal(&resources, &args)).await
        }
        Command::Open(args) => value::open(&Resources::open(&common.flags()).await?, &args).await,
        Command::Get(args) => record::get(&Resources::open(&common.flags()).await?, &args).await,
        Command::Put(args) => {
            let resources = Resources::open(&common.flags()).await?;
            counted(&resources, record::put(&resources, &args)).await
        }
        Command::Inspect(args) => {
            inspect::run(&Resources::open(&common.flags()).await?, &args).await
        }
        Command::Migrate(args) => {
            let resources = Resources::open(&common.flags()).await?;
            let (trail, operation) = (
                resources.trail.clone(),
                recorded::migrate(&resources, &args),
            );
            trail
                .record_operation(operation, sweep::migrate(resources, &args))
                .await
        }
        Command::Rotate(args) => {
            let resources = Resources::read(&common.flags())?;
            let (trail, operation) = (resources.trail.clone(), recorded::rotate(&resources, &args));
            trail
                .record_operation(operation, sweep::rotate(resources, &args))
                .await
        }
        Command::Decrypt(args) => {
            let resources = Resources::open(&common.flags()).await?;
            let (trail, operation) = (
                resources.trail.clone(),
                recorded::decrypt(&resources, &args),
            );
            trail
                .record_operation(operation, sweep::decrypt(resources, &args))
                .await
        }
        Command::Decoy(command) => {
            let resources = Resources::open(&common.flags()).await?;
            counted(&resources, decoy::run(&resources, &command)).await
        }
        Command::Proxy(args) => proxy::run(Resources::read(&common.flags())?, &common, &args).await,
        Command::Audit(args) => match &args.command {
            Some(command) => audit::verify(&common, &args, command).await,
            None => {
                let mut resources = Resources::read(&common.flags())?;
                audit::check(&resources, &args)?;
                resources.open_ring(false).await?;
                let operation = recorded::audit(&resources, &args);
                resources
                    .trail
                    .record_operation(operation, audit::run(&resources, &args))
                    .await
            }
        },
        Command::AuditLog(command) => audit_log::run(&common, &command),
        Command::Keyring(command) => keyring::run(&common, &command).await,
        Command::Keeper(args) => keeper::run(Resources::read(&common.flags())?, &args).await,
        Command::Forget(args) => {
            let resources = Resources::open(&common.flags()).await?;
            // Each user of several is an operation of its own.
            let is_one = args.from.is_none() && args.yes && !args.dry_run;
            let operation = is_one.then(|| recorded::forget(&resources));
            let forgotten = resources
                .trail
                .record_operation(operation, forget::run(&resources, &args));
            counted(&resources, forgotten).await
        }
        Command::Receipt(command) => receipt::run(&common, &command).await,
        Command::Quarantine(command) => {
            quarantine::run(&Resources::open(&common.flags()).await?, &command).await
        }
    }
}

/// Runs a command that seals, and counts what it sealed, whatever came of it.
async fn counted(
    resources: &Resources,
    command: impl Future<Output = Result<Ended, Failure>>,
) -> Result<Ended, Failure> {
    let account = SealAccount::begin(resources);
    let ended = command.await;
    account.end().await;
    ended
}
