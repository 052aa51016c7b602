//! `forget`: erases a user and prints the signed receipt, or erases several users from a list.

mod many;

use waxseal_keys::Receipt;
use waxseal_service::erasure::{self, Eraser, TraceSummary};
use waxseal_service::resources::Resources;
use waxseal_service::{Ended, Failure};
use waxseal_upkeep::Traces;

use crate::args::ForgetArgs;
use crate::output;

const USER_HINT: &str =
    "the user is what {user} of the patterns stands for, without the rest of the record name";
const UNKNOWN: &str =
    "the user is unknown: there is no key, no record, nothing in quarantine and no earlier erasure";

pub(crate) async fn run(resources: &Resources, args: &ForgetArgs) -> Result<Ended, Failure> {
    erasure::check(resources)?;
    let is_confirmed = args.yes || args.dry_run;
    match &args.user {
        Some(user) if user.is_empty() => return Err(Failure::usage("the user is empty")),
        Some(_) if !is_confirmed => {
            return Err(unconfirmed(
                "the user's key and records would be permanently destroyed",
            ));
        }
        None if !is_confirmed => {
            return Err(unconfirmed(
                "the keys and records of these users would be permanently destroyed",
            ));
        }
        _ => {}
    }
    let Some(user) = &args.user else {
        return many::run(resources, args).await;
    };
    let user = user.as_encoded_bytes();
    let eraser = Eraser::open(resources).await?;
    let traces = eraser.traces(user).await?;
    if traces.is_unknown() && !args.even_if_unknown {
        resources.trail.add_detail("unknown", true);
        output::error(UNKNOWN);
        output::hint(&format!(
            "nothing was changed and nothing was signed; {USER_HINT}. --even-if-unknown signs a receipt all the \
             same"
        ));
        return Ok(Ended::Findings);
    }
    if args.dry_run {
        print_dry_run(&traces)?;
        return Ok(Ended::Done);
    }
    print_receipt(&eraser.erase(user).await?)
}

fn unconfirmed(what: &str) -> Failure {
    Failure::usage(what).hint("confirm with --yes, or see what would be erased with --dry-run")
}

fn print_receipt(receipt: &Receipt) -> Result<Ended, Failure> {
    // Programs and auditors use the same receipt.
    output::json(receipt)?;
    if let Some(failure) = output::unwritten() {
        return Err(erasure::receipt_not_written(&failure));
    }
    output::stderr_line(&format!(
        "waxseal: the user is erased: {}, records deleted: {}; keep the receipt",
        describe_key(receipt),
        receipt.records_deleted
    ));
    if !receipt.key_destroyed && receipt.records_deleted == 0 && receipt.erasure == 1 {
        output::warn("nothing was found of this user: neither a key nor records");
        output::hint(USER_HINT);
    }
    Ok(Ended::Done)
}

fn describe_key(receipt: &Receipt) -> &'static str {
    match receipt.key_destroyed {
        true => "key destroyed",
        false => "there was no key",
    }
}

fn print_dry_run(traces: &Traces) -> Result<(), Failure> {
    let found = TraceSummary::from(traces);
    if output::is_json() {
        return output::json(&found);
    }
    output::line(format!("would be erased: {}", found.describe()))?;
    output::stderr_line("waxseal: dry run: nothing was changed");
    Ok(())
}
