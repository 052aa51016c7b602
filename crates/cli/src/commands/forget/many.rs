//! `forget --from`: several users from a list, each with a receipt in a directory. Users are named by their lines only.

use std::path::Path;

use serde::Serialize;
use waxseal_service::erasure::list::{ListErasure, ListOptions, ListReport, Outcome, UserReport};
use waxseal_service::resources::Resources;
use waxseal_service::{Ended, Failure};

use super::USER_HINT;
use crate::args::ForgetArgs;
use crate::output;

/// The number of unknown users whose lines are named.
const MAX_NAMED: usize = 20;

/// The results, as JSON.
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
    let options = ListOptions {
        dry_run: args.dry_run,
        even_if_unknown: args.even_if_unknown,
    };
    let erasure = ListErasure::open(resources, list, args.receipts.as_deref(), options).await?;
    let print = |report: &UserReport| match output::is_json() {
        true => Ok(()),
        false => print(report),
    };
    finish(args, erasure.run(print).await?)
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

fn finish(args: &ForgetArgs, report: ListReport) -> Result<Ended, Failure> {
    let (erased, unknown) = (
        report.count(Outcome::Erased),
        report.count(Outcome::Unknown),
    );
    let already = report.count(Outcome::AlreadyErased);
    if output::is_json() {
        output::json(&Report {
            dry_run: args.dry_run,
            success: report.failure.is_none() && unknown == 0,
            users: report.users,
            erased,
            already_erased: already,
            unknown,
            lines: &report.lines,
        })?;
    }
    let (what, number) = match args.dry_run {
        true => ("would be erased", report.count(Outcome::WouldBeErased)),
        false => ("erased", erased),
    };
    output::stderr_line(&format!(
        "waxseal: {} users: {number} {what}, {already} erased before, {unknown} unknown, {} not done",
        report.users,
        report.users - report.lines.len()
    ));
    if unknown > 0 && report.failure.is_none() {
        report_unknown(&report, unknown);
        return Ok(Ended::Findings);
    }
    match report.failure {
        Some(failure) => Err(failure),
        None => Ok(Ended::Done),
    }
}

fn report_unknown(report: &ListReport, unknown: usize) {
    let lines = report.lines_with(Outcome::Unknown).take(MAX_NAMED);
    let lines: Vec<_> = lines.map(|line| line.to_string()).collect();
    let more = match unknown > lines.len() {
        true => format!(" and {} more", unknown - lines.len()),
        false => String::new(),
    };
    output::error(&format!(
        "the users in these lines are unknown, and nothing was signed: {}{more}",
        lines.join(", ")
    ));
    output::hint(&format!(
        "{USER_HINT}; correct the lines and run the same command again. --even-if-unknown signs receipts all \
         the same"
    ));
}
