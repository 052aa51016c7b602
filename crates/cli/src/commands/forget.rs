//! `forget`: erases a user and prints the signed receipt, or erases several users from a list. An unknown user is reported
//! and nothing is signed: a receipt for a misspelled user would pass for the erasure of the right one.

mod many;

use std::sync::Arc;

use serde::Serialize;
use waxseal_keys::Receipt;
use waxseal_service::resources::{Resources, Users, guard, scopes};
use waxseal_service::{Ended, Failure};
use waxseal_stores::RecordStore;
use waxseal_upkeep::{ScopeHandle, Traces, find_traces, forget};

use crate::args::ForgetArgs;
use crate::output::{self, thousands};

const USER_HINT: &str =
    "the user is what {user} of the patterns stands for, without the rest of the record name";
const UNKNOWN: &str =
    "the user is unknown: there is no key, no record, nothing in quarantine and no earlier erasure";

pub(crate) async fn run(resources: &Resources, args: &ForgetArgs) -> Result<Ended, Failure> {
    resources.configuration.keyring()?;
    let protected = resources.configuration.all_protected();
    if !protected.iter().any(|it| it.pattern.names_user()) {
        return Err(
            Failure::usage("no protected pattern says who the user of a record is")
                .hint("write {user} for the part of the record name that is the user: 'wa:{user}'"),
        );
    }
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
    erase_one(&eraser, user).await
}

fn unconfirmed(what: &str) -> Failure {
    Failure::usage(what).hint("confirm with --yes, or see what would be erased with --dry-run")
}

async fn erase_one(eraser: &Eraser<'_>, user: &[u8]) -> Result<Ended, Failure> {
    let receipt = eraser.erase(user).await?;
    // Programs and auditors use the same receipt.
    output::json(&receipt)?;
    if let Some(failure) = output::unwritten() {
        return Err(unwritten(&failure));
    }
    output::stderr_line(&format!(
        "waxseal: the user is erased: {}, records deleted: {}; keep the receipt",
        describe_key(&receipt),
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

/// The failure if the user is erased, and the receipt could not be written.
fn unwritten(failure: &Failure) -> Failure {
    let text = failure.text();
    Failure::failed(format!(
        "the user is erased, and the receipt could not be written: {text}"
    ))
    .hint("the same command gives another one, which counts one erasure more")
}

/// The report of a dry run about one user.
#[derive(Serialize)]
struct TraceSummary {
    known: bool,
    key: bool,
    records: u64,
    quarantined: u64,
    erasures: u32,
}

impl From<&Traces> for TraceSummary {
    fn from(traces: &Traces) -> Self {
        Self {
            known: !traces.is_unknown(),
            key: traces.has_key,
            records: traces.records,
            quarantined: traces.quarantined,
            erasures: traces.erasures,
        }
    }
}

impl TraceSummary {
    /// Describes the traces of the user.
    fn describe(&self) -> String {
        let key = match self.key {
            true => "the key",
            false => "no key",
        };
        let number = |number: u64, one: &str, many: &str| match number {
            1 => format!("1 {one}"),
            _ => format!("{} {many}", thousands(number)),
        };
        let mut text = format!(
            "{key}, {}, {} in quarantine",
            number(self.records, "record", "records"),
            number(self.quarantined, "value", "values")
        );
        if self.erasures > 0 {
            let times = number(u64::from(self.erasures), "time", "times");
            text.push_str(&format!("; erased {times} before"));
        }
        text
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

/// The opened store, keyring and users' keys for erasing users.
struct Eraser<'a> {
    resources: &'a Resources,
    users: Users,
    scopes: Vec<ScopeHandle>,
}

impl<'a> Eraser<'a> {
    async fn open(resources: &'a Resources) -> Result<Self, Failure> {
        let store: Arc<dyn RecordStore> = resources.open_store().await?;
        guard::check_key(resources, &store).await?;
        let scopes = scopes::scopes(resources, &store).await?;
        let users = resources.users(&store).await?;
        scopes::warn_of_other_user_keys(resources);
        Ok(Self {
            resources,
            users,
            scopes,
        })
    }

    async fn traces(&self, user: &[u8]) -> Result<Traces, Failure> {
        let ring = &self.resources.opened_ring()?.ring;
        Ok(find_traces(user, ring, Some(&self.users.keys), &self.scopes).await?)
    }

    async fn erase(&self, user: &[u8]) -> Result<Receipt, Failure> {
        let ring = &self.resources.opened_ring()?.ring;
        let receipt = forget(user, ring, Some(&self.users.keys), &self.scopes).await?;
        let trail = &self.resources.trail;
        trail.add_detail("user_hash", receipt.user.clone());
        trail.add_detail("erasure", receipt.erasure);
        trail.add_detail("records_deleted", receipt.records_deleted);
        Ok(receipt)
    }
}
