//! The commands, one module each.

mod audit;
mod audit_log;
mod canary;
mod decoy;
mod demo;
mod doctor;
mod find;
mod forget;
mod inspect;
mod keeper;
mod key;
mod keyring;
mod manual;
mod names;
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

use crate::args::{AuditArgs, Cli, Command, Common, ForgetArgs};

pub(crate) async fn run(cli: Cli) -> Result<Ended, Failure> {
    let common = cli.common.clone();
    match carry_out(cli).await {
        Err(failure) => Err(key_hint::complete(&common.flags(), failure).await),
        ended => ended,
    }
}

async fn carry_out(cli: Cli) -> Result<Ended, Failure> {
    let common = cli.common;
    let flags = common.flags();
    match cli.command {
        // These need no configuration, and must work where it is broken.
        Command::Key(command) => key::run(&command, common.json),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { directory } => manual::pages(&directory),
        Command::Demo(args) => demo::run(&common, &args).await,
        Command::Doctor => doctor::run(&common).await,
        Command::Seal(args) => {
            let resources = Resources::open(&flags).await?;
            counted(&resources, value::seal(&resources, &args)).await
        }
        Command::Open(args) => value::open(&Resources::open(&flags).await?, &args).await,
        Command::Get(args) => record::get(&Resources::open(&flags).await?, &args).await,
        Command::Put(args) => {
            let resources = Resources::open(&flags).await?;
            counted(&resources, record::put(&resources, &args)).await
        }
        Command::Inspect(args) => inspect::run(&Resources::open(&flags).await?, &args).await,
        Command::Find(args) => {
            let resources = Resources::open(&flags).await?;
            let operation = waxseal_service::recorded::find(&resources);
            let trail = resources.trail.clone();
            let work = find::run(&resources, &args);
            trail.record_operation(Some(operation), work).await
        }
        Command::Migrate(args) => {
            let resources = Resources::open(&flags).await?;
            let operation = recorded::migrate(&resources, &args);
            let trail = resources.trail.clone();
            let work = sweep::migrate(resources, &args);
            trail.record_operation(operation, work).await
        }
        Command::Rotate(args) => {
            let resources = Resources::read(&flags)?;
            let operation = recorded::rotate(&resources, &args);
            let trail = resources.trail.clone();
            let work = sweep::rotate(resources, &args);
            trail.record_operation(operation, work).await
        }
        Command::Decrypt(args) => {
            let resources = Resources::open(&flags).await?;
            let operation = recorded::decrypt(&resources, &args);
            let trail = resources.trail.clone();
            let work = sweep::decrypt(resources, &args);
            trail.record_operation(operation, work).await
        }
        Command::Decoy(command) => {
            let resources = Resources::open(&flags).await?;
            counted(&resources, decoy::run(&resources, &command)).await
        }
        Command::Proxy(args) => proxy::run(Resources::read(&flags)?, &common, &args).await,
        Command::Audit(args) => run_audit(&common, &args).await,
        Command::AuditLog(command) => audit_log::run(&common, &command),
        Command::Keyring(command) => keyring::run(&common, &command).await,
        Command::Keeper(args) => keeper::run(Resources::read(&flags)?, &args).await,
        Command::Forget(args) => run_forget(Resources::open(&flags).await?, &args).await,
        Command::Receipt(command) => receipt::run(&common, &command).await,
        Command::Quarantine(command) => {
            quarantine::run(&Resources::open(&flags).await?, &command).await
        }
    }
}

async fn run_audit(common: &Common, args: &AuditArgs) -> Result<Ended, Failure> {
    if let Some(command) = &args.command {
        return audit::verify(common, args, command).await;
    }
    let mut resources = Resources::read(&common.flags())?;
    audit::check(&resources, args)?;
    resources.open_ring(false).await?;
    let operation = recorded::audit(&resources, args);
    let work = audit::run(&resources, args);
    resources.trail.record_operation(operation, work).await
}

async fn run_forget(resources: Resources, args: &ForgetArgs) -> Result<Ended, Failure> {
    // With a list, each user is an operation.
    let is_one = args.from.is_none() && args.yes && !args.dry_run;
    let operation = is_one.then(|| waxseal_service::recorded::forget(&resources));
    let work = forget::run(&resources, args);
    let forgotten = resources.trail.record_operation(operation, work);
    counted(&resources, forgotten).await
}

/// Runs a command that seals, and counts what it sealed, even if it fails.
async fn counted(
    resources: &Resources,
    command: impl Future<Output = Result<Ended, Failure>>,
) -> Result<Ended, Failure> {
    let account = SealAccount::begin(resources);
    let ended = command.await;
    account.end().await;
    ended
}
