//! `keyring export`: writes a backup. The keys leave their custodians for this, so it is
//! logged.

use std::path::{Path, PathBuf};

use serde::Serialize;
use waxseal_keys::{About, Backup, BackupError, Recipients, Split};
use waxseal_service::now_ms;
use waxseal_service::resources::Resources;
use waxseal_service::{Ended, Failure};

use super::files::{NewFiles, check_free};
use crate::args::ExportArgs;
use crate::output;

/// The result, as JSON.
#[derive(Serialize)]
struct Exported<'a> {
    ring: &'a str,
    environment: &'a str,
    version: u64,
    check_value: String,
    backup: String,
    files: &'a [String],
    next: &'a str,
}

/// The output that was asked for.
enum Destination<'a> {
    ToRecipients(&'a Path, Recipients),
    InShares(&'a Path, Split),
}

pub(in super::super) async fn run(
    resources: &Resources,
    args: &ExportArgs,
) -> Result<Ended, Failure> {
    let wanted = wanted(args)?;
    let mut targets = wanted.paths().into_iter();
    targets.try_for_each(|path| check_free(&path))?;
    let live = &resources.opened_ring()?.ring;
    if let Some(trouble) = live.degraded() {
        output::warn(&trouble.error.to_string());
        output::hint("what is exported is the newest keyring that this machine knows");
    }
    let custodians = resources.custodians(resources.configuration.keyring()?)?;
    let backup = Backup::of(&live.ring(), &custodians).await?;
    let ring = backup.ring();
    tracing::warn!(
        "the keys of the keyring {} (version {}) were taken out of its custodians for a backup",
        ring.id(),
        ring.version()
    );
    resources.trail.add_detail("ring", ring.id());
    resources.trail.add_detail("version", ring.version());
    let mut files = NewFiles::default();
    let id = match &wanted {
        Destination::ToRecipients(path, recipients) => {
            let file = backup.seal(recipients)?;
            files.write(path, &file)?;
            Backup::id(file.as_bytes())?
        }
        Destination::InShares(directory, split) => {
            write_shares(&mut files, directory, &backup, *split)?
        }
    };
    let (files, next) = (files.keep(), wanted.next());
    if output::is_json() {
        output::json(&Exported {
            ring: ring.id(),
            environment: ring.environment(),
            version: ring.version(),
            check_value: ring.check_value(),
            backup: id,
            files: &files,
            next: &next,
        })?;
        return Ok(Ended::Done);
    }
    output::line(format!(
        "backup {id} of the keyring {}, version {}, environment \"{}\"",
        ring.id(),
        ring.version(),
        output::sanitize_for_terminal(ring.environment())
    ))?;
    output::line(format!("check value {}", ring.check_value()))?;
    for file in &files {
        output::line(format!("wrote {file}"))?;
    }
    output::line(format!("next: {next}"))?;
    Ok(Ended::Done)
}

fn wanted(args: &ExportArgs) -> Result<Destination<'_>, Failure> {
    if let (Some(split), Some(out)) = (args.shares, &args.out) {
        return Ok(Destination::InShares(out, split));
    }
    let Some(file) = &args.file else {
        return Err(Failure::usage("no file to write is named"));
    };
    let mut recipients = Recipients::default();
    let mut number = 0;
    for text in &args.recipient {
        number += 1;
        recipients.add(text, format!("--recipient number {number}"))?;
    }
    for path in &args.recipients_file {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!("{shown} cannot be read: {error}"))
                .hint("--recipients-file names a file with a public age key in each line")
        })?;
        let added = recipients.add_lines(&text);
        added.map_err(|error| Failure::from(error).named(&shown))?;
    }
    if args.recipient.is_empty() && args.recipients_file.is_empty() {
        return Err(BackupError::NoRecipient.into());
    }
    Ok(Destination::ToRecipients(file, recipients))
}

/// Writes the backup and its shares; returns the id of the backup.
fn write_shares(
    files: &mut NewFiles,
    directory: &Path,
    backup: &Backup,
    split: Split,
) -> Result<String, Failure> {
    let (file, shares) = backup.split(split)?;
    let ring = backup.ring();
    let now = output::point_in_time(now_ms());
    let about = About {
        ring: ring.id().to_owned(),
        environment: ring.environment().to_owned(),
        date: now.get(..10).unwrap_or(&now).to_owned(),
        check_value: ring.check_value(),
    };
    files.directory(directory)?;
    files.write(&backup_in(directory), &file)?;
    for share in &shares {
        files.write(&share_in(directory, share.number()), &share.sheet(&about))?;
    }
    Ok(Backup::id(file.as_bytes())?)
}

fn backup_in(directory: &Path) -> PathBuf {
    directory.join("backup.age")
}

fn share_in(directory: &Path, number: u8) -> PathBuf {
    directory.join(format!("share-{number}.txt"))
}

impl Destination<'_> {
    fn paths(&self) -> Vec<PathBuf> {
        match self {
            Self::ToRecipients(path, _) => vec![path.to_path_buf()],
            Self::InShares(directory, split) => {
                let shares = (1..=split.of()).map(|number| share_in(directory, number));
                std::iter::once(backup_in(directory))
                    .chain(shares)
                    .collect()
            }
        }
    }

    fn next(&self) -> String {
        match self {
            Self::ToRecipients(path, _) => format!(
                "waxseal keyring rehearse {} --identity PATH, where the identity is kept; keep the file \
                 in two places, and the identity in neither",
                path.display()
            ),
            Self::InShares(directory, split) => {
                let shares = (1..=split.needed()).map(|number| {
                    let path = share_in(directory, number);
                    format!(" --share {}", path.display())
                });
                format!(
                    "waxseal keyring rehearse {}{}; then print each share, give each sheet to another \
                     person, keep backup.age in two places, and remove the shares from this machine",
                    backup_in(directory).display(),
                    shares.collect::<String>()
                )
            }
        }
    }
}
