//! The commands, one module each.

mod audit;
mod canary;
mod demo;
mod doctor;
mod inspect;
mod key;
mod manual;
mod proxy;
mod quarantine;
mod record;
mod sweep;
mod value;

use crate::args::{Cli, Command};
use crate::error::{Ended, Failure};
use crate::setup::Setup;

pub(crate) async fn run(cli: Cli) -> Result<Ended, Failure> {
    let common = cli.common;
    match cli.command {
        // These need nothing that is configured, and must work where that is broken.
        Command::Key(command) => key::run(&command, common.json),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { folder } => manual::pages(&folder),
        Command::Demo(args) => demo::run(&common, &args).await,
        Command::Doctor => doctor::run(&common).await,
        Command::Seal(args) => value::seal(&Setup::read(&common)?, &args),
        Command::Open(args) => value::open(&Setup::read(&common)?, &args),
        Command::Get(args) => record::get(&Setup::read(&common)?, &args).await,
        Command::Put(args) => record::put(&Setup::read(&common)?, &args).await,
        Command::Inspect(args) => inspect::run(&Setup::read(&common)?, &args).await,
        Command::Migrate(args) => sweep::migrate(Setup::read(&common)?, &args).await,
        Command::Rotate(args) => sweep::rotate(Setup::read(&common)?, &args).await,
        Command::Decrypt(args) => sweep::decrypt(Setup::read(&common)?, &args).await,
        Command::Proxy(args) => proxy::run(&Setup::read(&common)?, &common, &args).await,
        Command::Audit(args) => audit::run(&Setup::read(&common)?, &args).await,
        Command::Quarantine(command) => quarantine::run(&Setup::read(&common)?, &command).await,
    }
}
