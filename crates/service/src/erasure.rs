//! The erasure of users for an operator: of one, or of several from a list ([`list`]). An unknown user is reported and
//! nothing is signed: a receipt for a misspelled user would pass for the erasure of the right one.

pub mod list;

use std::sync::Arc;

use serde::Serialize;
use waxseal_keys::Receipt;
use waxseal_stores::RecordStore;
use waxseal_units::thousands;
use waxseal_upkeep::{ScopeHandle, Traces, find_traces, forget};

use crate::Failure;
use crate::resources::{Resources, Users, guard, scopes};

/// Fails if no keyring is configured, or no pattern says who the user of a record is.
pub fn check(resources: &Resources) -> Result<(), Failure> {
    resources.configuration.keyring()?;
    let protected = resources.configuration.all_protected();
    match protected.iter().any(|it| it.pattern.names_user()) {
        true => Ok(()),
        false => Err(
            Failure::usage("no protected pattern says who the user of a record is")
                .hint("write {user} for the part of the record name that is the user: 'wa:{user}'"),
        ),
    }
}

/// The opened store, keyring and users' keys for erasing users.
pub struct Eraser<'r> {
    resources: &'r Resources,
    users: Users,
    scopes: Vec<ScopeHandle>,
}

impl<'r> Eraser<'r> {
    /// Opens the store and the users' keys, and checks that the keyring is that of the store.
    pub async fn open(resources: &'r Resources) -> Result<Self, Failure> {
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

    /// Finds the traces of a user. Changes nothing.
    pub async fn traces(&self, user: &[u8]) -> Result<Traces, Failure> {
        let ring = &self.resources.opened_ring()?.ring;
        Ok(find_traces(user, ring, Some(&self.users.keys), &self.scopes).await?)
    }

    /// Erases a user, and adds what was done to the entry of the audit log.
    pub async fn erase(&self, user: &[u8]) -> Result<Receipt, Failure> {
        let ring = &self.resources.opened_ring()?.ring;
        let receipt = forget(user, ring, Some(&self.users.keys), &self.scopes).await?;
        let trail = &self.resources.trail;
        trail.add_detail("user_hash", receipt.user.clone());
        trail.add_detail("erasure", receipt.erasure);
        trail.add_detail("records_deleted", receipt.records_deleted);
        Ok(receipt)
    }
}

/// Returns the failure of an erasure that was carried out, and whose receipt could not be written.
#[must_use]
pub fn receipt_not_written(failure: &Failure) -> Failure {
    let text = failure.text();
    Failure::failed(format!(
        "the user is erased, and the receipt could not be written: {text}"
    ))
    .hint("the same command gives another one, which counts one erasure more")
}

/// The traces of a user as a dry run reports them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TraceSummary {
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
    /// Describes the traces in words.
    #[must_use]
    pub fn describe(&self) -> String {
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
