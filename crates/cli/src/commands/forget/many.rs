//! Several users from a file, each with a receipt of its own in a directory. A run that is cut off is run
//! again: users who have a receipt there and nothing left are skipped. No user is named: lines are.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use waxseal_keys::{Receipt, Signed};
use waxseal_service::resources::Resources;
use waxseal_service::{Ended, Failure};
use waxseal_upkeep::{Traces, rfc3339};

use super::{Eraser, Found, WHO, unwritten};
use crate::args::ForgetArgs;
use crate::commands::audit::file::{self, NewFile};
use crate::commands::recorded;
use crate::output;

/// No list of users is longer.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// The largest file that is read as a receipt.
const MAX_RECEIPT: u64 = 1024 * 1024;

/// A user, and the line that names it.
struct Entry {
    line: usize,
    user: Vec<u8>,
}

/// The result for one user.
#[derive(Serialize)]
struct Told {
    line: usize,
    result: Outcome,
    /// The receipt, where there is one.
    receipt: Option<PathBuf>,
    records_deleted: Option<u64>,
    /// The traces of the user, in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<Found>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Erased,
    /// By an earlier run, which wrote the receipt.
    AlreadyErased,
    Unknown,
    /// In a dry run.
    WouldBeErased,
}

#[derive(Serialize)]
struct Report<'a> {
    dry_run: bool,
    success: bool,
    users: usize,
    erased: usize,
    already_erased: usize,
    unknown: usize,
    lines: &'a [Told],
}

pub(super) async fn run(resources: &Resources, args: &ForgetArgs) -> Result<Ended, Failure> {
    let Some(list) = &args.from else {
        return Err(Failure::usage("no user is named"));
    };
    let directory = match &args.receipts {
        Some(directory) => Some(directory.as_path()),
        None if args.dry_run => None,
        None => {
            return Err(Failure::usage(
                "the receipts of several users are files, and no directory is named",
            )
            .hint("name one: --receipts DIRECTORY; it is made where it is missing"));
        }
    };
    let entries = read(list)?;
    if let Some(directory) = directory.filter(|_| !args.dry_run) {
        prepare(directory)?;
    }
    let eraser = Eraser::open(resources).await?;
    let run = Run {
        eraser,
        args,
        directory,
    };
    let mut lines = Vec::with_capacity(entries.len());
    let mut failure = None;
    for entry in &entries {
        match run.entry(entry).await {
            Ok(told) => {
                if !output::is_json() {
                    print(&told)?;
                }
                lines.push(told);
            }
            Err(failed) => {
                let advice = failed
                    .advice()
                    .map(|it| format!("{it}; "))
                    .unwrap_or_default();
                let advice = format!(
                    "{advice}what was done stays: the same command goes on where this one stopped"
                );
                failure = Some(failed.named(&format!("line {}", entry.line)).hint(advice));
                break;
            }
        }
    }
    finish(args, &entries, &lines, failure)
}

struct Run<'a> {
    eraser: Eraser<'a>,
    args: &'a ForgetArgs,
    directory: Option<&'a Path>,
}

impl Run<'_> {
    async fn entry(&self, entry: &Entry) -> Result<Told, Failure> {
        let found = self.eraser.traces(&entry.user).await?;
        let told = |result, receipt, records_deleted| Told {
            line: entry.line,
            result,
            receipt,
            records_deleted,
            found: self.args.dry_run.then(|| Found::from(&found)),
        };
        if found.is_unknown() && !self.args.even_if_unknown {
            return Ok(told(Outcome::Unknown, None, None));
        }
        if let Some(path) = self.earlier(&entry.user, &found)? {
            return Ok(told(Outcome::AlreadyErased, Some(path), None));
        }
        let (Some(directory), false) = (self.directory, self.args.dry_run) else {
            return Ok(told(Outcome::WouldBeErased, None, None));
        };
        let resources = self.eraser.resources;
        let mut written = None;
        let erase = async {
            let receipt = self.eraser.erase(&entry.user).await?;
            let path = self.free_path(directory, &receipt);
            written = Some((write(&path, &receipt)?, receipt));
            Ok(Ended::Done)
        };
        let operation = recorded::forget(resources).with("line", entry.line as u64);
        resources
            .trail
            .record_operation(Some(operation), erase)
            .await?;
        let (path, receipt) = written.unzip();
        let records = receipt.map(|receipt| receipt.records_deleted);
        Ok(told(Outcome::Erased, path, records))
    }

    /// The receipt of an earlier run, where nothing is left of the user since.
    fn earlier(&self, user: &[u8], found: &Traces) -> Result<Option<PathBuf>, Failure> {
        let Some(directory) = self
            .directory
            .filter(|_| found.is_gone() && found.erasures > 0)
        else {
            return Ok(None);
        };
        let hash = self.eraser.resources.opened_ring()?.ring.ring().user(user);
        let erased = rfc3339(found.erased_ms);
        let is_of_it = |receipt: &Receipt| {
            receipt.erasure == found.erasures && receipt.erased == erased && receipt.user == hash
        };
        let first = path(directory, &hash, found.erasures);
        match self.receipt_in(&first, &hash)? {
            None => return Ok(None),
            Some(receipt) if is_of_it(&receipt) => return Ok(Some(first)),
            // Of an erasure with the same number, before the ring was restored.
            Some(_) => {}
        }
        let start = format!("{hash}-{}-", found.erasures);
        let listed = std::fs::read_dir(directory).map_err(|error| unreadable(directory, &error))?;
        for entry in listed {
            let entry = entry.map_err(|error| unreadable(directory, &error))?;
            let is_candidate = entry.file_name().to_string_lossy().starts_with(&start);
            if is_candidate
                && self
                    .receipt_in(&entry.path(), &hash)?
                    .as_ref()
                    .is_some_and(is_of_it)
            {
                return Ok(Some(entry.path()));
            }
        }
        Ok(None)
    }

    /// The receipt of a user in a file; `None` where there is no such file. Anything else in it is refused:
    /// nothing passes for a receipt that is none.
    fn receipt_in(&self, path: &Path, hash: &str) -> Result<Option<Receipt>, Failure> {
        let mut bytes = Vec::new();
        match File::open(path).and_then(|file| file.take(MAX_RECEIPT).read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(path, &error)),
        }
        let key = self
            .eraser
            .resources
            .opened_ring()?
            .ring
            .ring()
            .receipt_key();
        let receipt = Receipt::verify(&bytes, Some(&key)).ok();
        let receipt = receipt
            .filter(|receipt| receipt.user == hash)
            .ok_or_else(|| {
                Failure::failed(format!(
                    "{} is not the receipt that it should be",
                    path.display()
                ))
                .hint("move it out of the directory, or name another one")
            })?;
        Ok(Some(receipt))
    }

    /// Where a new receipt goes. One of an erasure with the same number stays: the ring was restored since.
    fn free_path(&self, directory: &Path, receipt: &Receipt) -> PathBuf {
        let first = path(directory, &receipt.user, receipt.erasure);
        match self.receipt_in(&first, &receipt.user) {
            Ok(Some(_)) => directory.join(format!(
                "{}-{}-{}.json",
                receipt.user, receipt.erasure, receipt.ring_version
            )),
            Ok(None) | Err(_) => first,
        }
    }
}

/// The path of a receipt, made of what it says itself, so that the order of the list does not matter.
fn path(directory: &Path, user_hash: &str, erasure: u32) -> PathBuf {
    directory.join(format!("{user_hash}-{erasure}.json"))
}

fn write(path: &Path, receipt: &Receipt) -> Result<PathBuf, Failure> {
    let json = serde_json::to_string_pretty(receipt).map_err(Failure::failed)?;
    let file = NewFile::write(path, &format!("{json}\n"), false);
    let kept = file.and_then(NewFile::keep);
    kept.map(|_| path.to_owned())
        .map_err(|failure| unwritten(&failure))
}

/// Makes the directory, and finds out before anything is erased whether receipts can be written there.
fn prepare(directory: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory);
    made.map_err(|error| {
        Failure::failed(format!("{} cannot be made: {error}", directory.display()))
            .hint("name a directory where this user may write")
    })?;
    file::check(&directory.join("receipt.json"), true)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("{} cannot be read: {error}", path.display()))
}

/// The users of a list, one a line. Line ends of any system, and nothing else, are taken away: what stands
/// before or behind a user may belong to it.
fn read(list: &Path) -> Result<Vec<Entry>, Failure> {
    let mut bytes = Vec::new();
    let read = match list == Path::new("-") {
        true => io::stdin()
            .lock()
            .take(MAX_BYTES + 1)
            .read_to_end(&mut bytes),
        false => File::open(list).and_then(|it| it.take(MAX_BYTES + 1).read_to_end(&mut bytes)),
    };
    read.map_err(|error| unreadable(list, &error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(
            Failure::usage(format!("{} is longer than 64 MiB", list.display()))
                .hint("split it: each run takes one file"),
        );
    }
    let entries = users(&bytes);
    match entries.is_empty() {
        true => Err(Failure::usage(format!("{} names no user", list.display()))
            .hint("write one user a line, as {user} of the patterns has it")),
        false => Ok(entries),
    }
}

fn users(bytes: &[u8]) -> Vec<Entry> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    let mut seen = BTreeSet::new();
    let users = lines.filter_map(|(index, line)| {
        let user = line.strip_suffix(b"\r").unwrap_or(line);
        // Named twice, erased once.
        let is_new = !user.is_empty() && seen.insert(user.to_vec());
        is_new.then(|| Entry {
            line: index + 1,
            user: user.to_vec(),
        })
    });
    users.collect()
}

fn print(told: &Told) -> Result<(), Failure> {
    let at = told.receipt.as_deref().unwrap_or(Path::new("")).display();
    let text = match told.result {
        Outcome::Erased => {
            let records = told.records_deleted.unwrap_or(0);
            format!("erased, records deleted: {records}, receipt {at}")
        }
        Outcome::AlreadyErased => format!("already erased, receipt {at}"),
        Outcome::Unknown => "unknown: nothing was changed".to_owned(),
        Outcome::WouldBeErased => match &told.found {
            Some(found) => format!("would be erased: {}", found.describe()),
            None => "would be erased".to_owned(),
        },
    };
    output::line(format!("line {}: {text}", told.line))
}

fn finish(
    args: &ForgetArgs,
    entries: &[Entry],
    lines: &[Told],
    failure: Option<Failure>,
) -> Result<Ended, Failure> {
    let count = |outcome| lines.iter().filter(|it| it.result == outcome).count();
    let (erased, unknown) = (count(Outcome::Erased), count(Outcome::Unknown));
    let already = count(Outcome::AlreadyErased);
    if output::is_json() {
        output::json(&Report {
            dry_run: args.dry_run,
            success: failure.is_none() && unknown == 0,
            users: entries.len(),
            erased,
            already_erased: already,
            unknown,
            lines,
        })?;
    }
    let (what, number) = match args.dry_run {
        true => ("would be erased", count(Outcome::WouldBeErased)),
        false => ("erased", erased),
    };
    output::stderr_line(&format!(
        "waxseal: {} users: {number} {what}, {already} erased before, {unknown} unknown, {} not done",
        entries.len(),
        entries.len() - lines.len()
    ));
    if let Some(failure) = failure {
        return Err(failure);
    }
    if unknown == 0 {
        return Ok(Ended::Done);
    }
    let numbers = lines.iter().filter(|it| it.result == Outcome::Unknown);
    let numbers: Vec<_> = numbers.take(20).map(|it| it.line.to_string()).collect();
    let more = match unknown > numbers.len() {
        true => format!(" and {} more", unknown - numbers.len()),
        false => String::new(),
    };
    output::error(&format!(
        "nothing is there of the users in these lines, and nothing was signed: {}{more}",
        numbers.join(", ")
    ));
    output::hint(&format!(
        "{WHO}; correct the lines and run the same command again. --even-if-unknown signs receipts all \
         the same"
    ));
    Ok(Ended::Findings)
}

#[cfg(test)]
mod tests {
    use super::users;

    #[test]
    fn a_list_is_read_as_any_system_writes_it() {
        let read = users(b"\xef\xbb\xbf5215512345678\r\n\r\n a \n5215512345678\n\xff\xfe");
        let read: Vec<_> = read.iter().map(|it| (it.line, &it.user[..])).collect();
        let user = &b"5215512345678"[..];
        assert_eq!(read, [(1, user), (3, &b" a "[..]), (5, &b"\xff\xfe"[..])]);
        assert!(users(b"\n\r\n").is_empty());
    }
}
