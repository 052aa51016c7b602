//! `key generate`: prints a new key as the operator's guide prints it, or writes it to its own
//! file.

use std::io::{ErrorKind, Write};
use std::path::Path;

use waxseal_core::SecretKey;
use waxseal_files::Location;
use waxseal_service::{Ended, Failure};

use crate::args::KeyCommand;
use crate::output;

pub(crate) fn run(command: &KeyCommand, json: bool) -> Result<Ended, Failure> {
    let KeyCommand::Generate { file } = command;
    let key = SecretKey::generate()?;
    let hex = key.expose_hex();
    if let Some(path) = file {
        write(path, &hex)?;
        output::stderr_line(&format!(
            "waxseal: wrote key {} to {}",
            key.id(),
            path.display()
        ));
        return Ok(Ended::Done);
    }
    if json {
        let id = key.id().to_string();
        output::json(&serde_json::json!({ "key": *hex, "id": id }))?;
        return Ok(Ended::Done);
    }
    output::line("Generated encryption key:")?;
    output::line(&*hex)?;
    output::line("")?;
    output::line("Add this to your environment variables:")?;
    output::line(format!("REDIS_ENCRYPTION_KEY={}", *hex))?;
    Ok(Ended::Done)
}

fn write(path: &Path, hex: &str) -> Result<(), Failure> {
    let file = Location::of(path).and_then(|it| it.create_new());
    let mut file = file.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::failed(format!(
            "{} exists: a key file is never overwritten",
            path.display()
        ))
        .hint("give another path"),
        _ => Failure::failed(format!("{} cannot be written: {error}", path.display())),
    })?;
    file.write_all(format!("{hex}\n").as_bytes())?;
    Ok(file.sync_all()?)
}
