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

pub(crate) use audit::audit_of;
pub(crate) use doctor::look_around;
pub(crate) use keyring::{block_advice, block_words, step_words, wrong_time_words};
#[cfg(test)]
pub(crate) use proxy::MAX_DEFAULT_WORKERS;
pub(crate) use proxy::certificates;

use crate::args::{Cli, Command};
use crate::error::{Ended, Failure};
use crate::setup::{Setup, advise};

pub(crate) async fn run(cli: Cli) -> Result<Ended, Failure> {
    let common = cli.common.clone();
    match carry_out(cli).await {
        Err(failure) => Err(advise(&common, failure).await),
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
            let setup = Setup::open(&common).await?;
            counted(&setup, value::seal(&setup, &args)).await
        }
        Command::Open(args) => value::open(&Setup::open(&common).await?, &args).await,
        Command::Get(args) => record::get(&Setup::open(&common).await?, &args).await,
        Command::Put(args) => {
            let setup = Setup::open(&common).await?;
            counted(&setup, record::put(&setup, &args)).await
        }
        Command::Inspect(args) => inspect::run(&Setup::open(&common).await?, &args).await,
        Command::Migrate(args) => {
            let setup = Setup::open(&common).await?;
            let (trail, operation) = (setup.trail.clone(), recorded::migrate(&setup, &args));
            trail
                .record_operation(operation, sweep::migrate(setup, &args))
                .await
        }
        Command::Rotate(args) => {
            let setup = Setup::read(&common)?;
            let (trail, operation) = (setup.trail.clone(), recorded::rotate(&setup, &args));
            trail
                .record_operation(operation, sweep::rotate(setup, &args))
                .await
        }
        Command::Decrypt(args) => {
            let setup = Setup::open(&common).await?;
            let (trail, operation) = (setup.trail.clone(), recorded::decrypt(&setup, &args));
            trail
                .record_operation(operation, sweep::decrypt(setup, &args))
                .await
        }
        Command::Decoy(command) => {
            let setup = Setup::open(&common).await?;
            counted(&setup, decoy::run(&setup, &command)).await
        }
        Command::Proxy(args) => proxy::run(Setup::read(&common)?, &common, &args).await,
        Command::Audit(args) => match &args.command {
            Some(command) => audit::verify(&common, &args, command).await,
            None => {
                let mut setup = Setup::read(&common)?;
                audit::check(&setup, &args)?;
                setup.open_ring(false).await?;
                let operation = recorded::audit(&setup, &args);
                setup
                    .trail
                    .record_operation(operation, audit::run(&setup, &args))
                    .await
            }
        },
        Command::AuditLog(command) => audit_log::run(&common, &command),
        Command::Keyring(command) => keyring::run(&common, &command).await,
        Command::Keeper(args) => keeper::run(Setup::read(&common)?, &args).await,
        Command::Forget(args) => {
            let setup = Setup::open(&common).await?;
            // Each user of several is an operation of its own.
            let is_one = args.from.is_none() && args.yes && !args.dry_run;
            let operation = is_one.then(|| recorded::forget(&setup));
            let forgotten = setup
                .trail
                .record_operation(operation, forget::run(&setup, &args));
            counted(&setup, forgotten).await
        }
        Command::Receipt(command) => receipt::run(&common, &command).await,
        Command::Quarantine(command) => {
            quarantine::run(&Setup::open(&common).await?, &command).await
        }
    }
}

/// Runs a command that seals, and counts what it sealed, whatever came of it.
async fn counted(
    setup: &Setup,
    command: impl Future<Output = Result<Ended, Failure>>,
) -> Result<Ended, Failure> {
    let account = setup.account_for_seals();
    let ended = command.await;
    account.end().await;
    ended
}
