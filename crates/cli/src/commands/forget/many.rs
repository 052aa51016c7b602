//! `forget --from`: several users from a list, each with a receipt of its own in a directory. A run that was interrupted
//! is repeated: users who have a receipt there and nothing left are skipped. Users are named by their lines only.

use std::path::{Path, PathBuf};

use serde::Serialize;
use waxseal_service::resources::Resources;
use waxseal_service::{Ended, Failure};
use waxseal_upkeep::{ListedUser, ReceiptDirectory, read_user_list};

use super::{Eraser, TraceSummary, USER_HINT, unwritten};
use crate::args::ForgetArgs;
use crate::commands::recorded;
use crate::output;

/// The result for one user.
#[derive(Serialize)]
struct UserReport {
    line: usize,
    result: Outcome,
    /// The path of the receipt, if there is one.
    receipt: Option<PathBuf>,
    records_deleted: Option<u64>,
    /// The traces of the user, in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<TraceSummary>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Erased,
    /// Erased by an earlier run, which wrote the receipt.
    AlreadyErased,
    Unknown,
    /// The result in a dry run.
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
    lines: &'a [UserReport],
}

pub(super) async fn run(resources: &Resources, args: &ForgetArgs) -> Result<Ended, Failure> {
    let Some(list) = &args.from else {
        return Err(Failure::usage("no user is named"));
    };
    let directory = match &args.receipts {
        Some(directory) => Some(ReceiptDirectory::at(directory)),
        None if args.dry_run => None,
        None => {
            return Err(Failure::usage(
                "the receipts of several users are files, and no directory is named",
            )
            .hint("name one: --receipts DIRECTORY; it is created if it does not exist"));
        }
    };
    let users = read_user_list(list)?;
    if let Some(directory) = directory.as_ref().filter(|_| !args.dry_run) {
        directory.prepare()?;
    }
    let eraser = Eraser::open(resources).await?;
    let run = Run {
        eraser,
        args,
        directory,
    };
    let mut lines = Vec::with_capacity(users.len());
    let mut failure = None;
    for user in &users {
        match run.erase(user).await {
            Ok(report) => {
                if !output::is_json() {
                    print(&report)?;
                }
                lines.push(report);
            }
            Err(failed) => {
                let advice = failed
                    .advice()
                    .map(|it| format!("{it}; "))
                    .unwrap_or_default();
                let advice = format!(
                    "{advice}what was done stays: the same command continues where this one stopped"
                );
                failure = Some(failed.named(&format!("line {}", user.line)).hint(advice));
                break;
            }
        }
    }
    finish(args, users.len(), &lines, failure)
}

struct Run<'a> {
    eraser: Eraser<'a>,
    args: &'a ForgetArgs,
    directory: Option<ReceiptDirectory>,
}

impl Run<'_> {
    async fn erase(&self, listed: &ListedUser) -> Result<UserReport, Failure> {
        let traces = self.eraser.traces(&listed.user).await?;
        let report = |result, receipt, records_deleted| UserReport {
            line: listed.line,
            result,
            receipt,
            records_deleted,
            found: self.args.dry_run.then(|| TraceSummary::from(&traces)),
        };
        if traces.is_unknown() && !self.args.even_if_unknown {
            return Ok(report(Outcome::Unknown, None, None));
        }
        let resources = self.eraser.resources;
        let ring = resources.opened_ring()?.ring.ring();
        if let Some(directory) = &self.directory
            && let Some(path) = directory.find(&ring, &listed.user, &traces)?
        {
            return Ok(report(Outcome::AlreadyErased, Some(path), None));
        }
        let (Some(directory), false) = (&self.directory, self.args.dry_run) else {
            return Ok(report(Outcome::WouldBeErased, None, None));
        };
        let mut written = None;
        let erase = async {
            let receipt = self.eraser.erase(&listed.user).await?;
            let ring = resources.opened_ring()?.ring.ring();
            let path = directory.write(&ring, &receipt);
            let path = path.map_err(|error| unwritten(&error.into()))?;
            written = Some((path, receipt.records_deleted));
            Ok(Ended::Done)
        };
        let operation = recorded::forget(resources).with("line", listed.line as u64);
        resources
            .trail
            .record_operation(Some(operation), erase)
            .await?;
        let (path, records) = written.unzip();
        Ok(report(Outcome::Erased, path, records))
    }
}

fn print(report: &UserReport) -> Result<(), Failure> {
    let at = report.receipt.as_deref().unwrap_or(Path::new("")).display();
    let text = match report.result {
        Outcome::Erased => {
            let records = report.records_deleted.unwrap_or(0);
            format!("erased, records deleted: {records}, receipt {at}")
        }
        Outcome::AlreadyErased => format!("already erased, receipt {at}"),
        Outcome::Unknown => "unknown: nothing was changed".to_owned(),
        Outcome::WouldBeErased => match &report.found {
            Some(found) => format!("would be erased: {}", found.describe()),
            None => "would be erased".to_owned(),
        },
    };
    output::line(format!("line {}: {text}", report.line))
}

fn finish(
    args: &ForgetArgs,
    users: usize,
    lines: &[UserReport],
    failure: Option<Failure>,
) -> Result<Ended, Failure> {
    let count = |outcome| lines.iter().filter(|it| it.result == outcome).count();
    let (erased, unknown) = (count(Outcome::Erased), count(Outcome::Unknown));
    let already = count(Outcome::AlreadyErased);
    if output::is_json() {
        output::json(&Report {
            dry_run: args.dry_run,
            success: failure.is_none() && unknown == 0,
            users,
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
        "waxseal: {users} users: {number} {what}, {already} erased before, {unknown} unknown, {} not done",
        users - lines.len()
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
        "the users in these lines are unknown, and nothing was signed: {}{more}",
        numbers.join(", ")
    ));
    output::hint(&format!(
        "{USER_HINT}; correct the lines and run the same command again. --even-if-unknown signs receipts all \
         the same"
    ));
    Ok(Ended::Findings)
}
