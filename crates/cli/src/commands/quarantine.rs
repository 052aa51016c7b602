//! `quarantine`: values that were moved because they could not be opened.

use serde::Serialize;
use waxseal_service::audit_log::Operation;
use waxseal_service::resources::{Resources, keys};
use waxseal_service::{Ended, Failure};
use waxseal_sessions::quarantine::{self, Entry, Restored};
use waxseal_stores::{Clock, RecordStore};

use crate::args::QuarantineCommand;
use crate::output;

#[derive(Serialize)]
struct Row {
    id: String,
    record: String,
    cause: String,
    moved: String,
    record_expires: Option<String>,
    kept_until: Option<String>,
    size: usize,
}

pub(crate) async fn run(
    resources: &Resources,
    command: &QuarantineCommand,
) -> Result<Ended, Failure> {
    let store = resources.open_store().await?;
    match command {
        QuarantineCommand::List => list(resources, &*store).await,
        QuarantineCommand::Restore { id } => {
            let entry = find(&*store, id).await?;
            let operation = operation(resources, "quarantine_restore", &entry);
            resources
                .trail
                .record_operation(operation, restore(resources, &*store, &entry))
                .await
        }
        QuarantineCommand::Drop { id, yes } => {
            let entry = find(&*store, id).await?;
            if !yes {
                return Err(Failure::usage(format!("{id} would be permanently deleted"))
                    .hint("confirm with --yes"));
            }
            let work = async {
                quarantine::discard(&*store, &entry).await?;
                output::stderr_line(&format!("waxseal: {id} is deleted"));
                Ok(Ended::Done)
            };
            let operation = operation(resources, "quarantine_drop", &entry);
            resources.trail.record_operation(operation, work).await
        }
    }
}

fn operation(resources: &Resources, action: &'static str, entry: &Entry) -> Option<Operation> {
    Some(Operation::new(action, &shown(resources, entry)).with("id", entry.id.clone()))
}

async fn restore(
    resources: &Resources,
    store: &dyn RecordStore,
    entry: &Entry,
) -> Result<Ended, Failure> {
    let id = &entry.id;
    if entry.is_older_than(keys::accepted_version(resources, entry.record.as_bytes())) {
        return Err(Failure::failed(format!(
            "{id}: the value is of an older version than is accepted: left in quarantine"
        ))
        .hint(
            "nothing was changed: it would not open; accept version 2 again (accept_version, or waxseal keyring \
             configure), restore it, and run waxseal rotate",
        ));
    }
    let failure = match quarantine::restore(store, entry, Clock::system().now_ms()).await? {
        Restored::Done => {
            output::stderr_line(&format!("waxseal: {id} is back in its record"));
            return Ok(Ended::Done);
        }
        Restored::Occupied => "there is a new record of that name: not overwritten",
        Restored::Expired => "its record would have expired by now: left in quarantine",
        Restored::Gone => "it is no longer in quarantine",
        Restored::Unnamed => {
            "the name of its record is sealed and does not open: left in quarantine"
        }
    };
    Err(Failure::failed(format!("{id}: {failure}")))
}

/// Returns the masked record of a value.
fn shown(resources: &Resources, entry: &Entry) -> String {
    let name = entry.record.as_bytes();
    let protected = resources
        .configuration
        .protected
        .iter()
        .find(|p| p.pattern.matches(name));
    let prefix = protected.map_or("", |p| p.pattern.prefix());
    keys::name_mask(resources).show(prefix, name)
}

async fn list(resources: &Resources, store: &dyn RecordStore) -> Result<Ended, Failure> {
    let mask = keys::name_mask(resources);
    let row = |entry: Entry| {
        let name = entry.record.as_bytes();
        let protected = resources
            .configuration
            .protected
            .iter()
            .find(|p| p.pattern.matches(name));
        Row {
            id: entry.id,
            record: mask.show(protected.map_or("", |p| p.pattern.prefix()), name),
            cause: entry.cause,
            moved: output::point_in_time(entry.moved_at),
            record_expires: entry.record_expires_at.map(output::point_in_time),
            kept_until: entry.expires_at.map(output::point_in_time),
            size: entry.size,
        }
    };
    let rows: Vec<_> = quarantine::list(store)
        .await?
        .into_iter()
        .map(row)
        .collect();
    if output::is_json() {
        output::json(&rows)?;
        return Ok(Ended::Done);
    }
    for row in &rows {
        let kept = row
            .kept_until
            .as_deref()
            .unwrap_or("deleted by an operator");
        output::line(format!(
            "{}  {}  {} bytes  moved {}  kept until {kept}  {}",
            row.id, row.record, row.size, row.moved, row.cause
        ))?;
    }
    if rows.is_empty() {
        output::stderr_line("waxseal: quarantine is empty");
    }
    Ok(Ended::Done)
}

async fn find(store: &dyn RecordStore, id: &str) -> Result<Entry, Failure> {
    let entries = quarantine::list(store).await?;
    entries
        .into_iter()
        .find(|entry| entry.id == id)
        .ok_or_else(|| {
            Failure::failed("there is no value of this id in quarantine")
                .hint("waxseal quarantine list shows the ids")
        })
}
