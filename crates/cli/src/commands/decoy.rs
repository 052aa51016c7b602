//! `decoy`: lays out records that no application reads, and tells how they are. Who is told when one is
//! opened is the business of the proxy, the library and `get`.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use tracing::info;
use waxseal_core::Mode;
use waxseal_service::configuration::decoys::Decoy;
use waxseal_service::decoys::{Form, form};
use waxseal_service::now_ms;
use waxseal_service::resources::keys::binding;
use waxseal_service::resources::{Resources, guard, keys};
use waxseal_service::{Ended, Failure};
use waxseal_stores::{Change, Expiry, Lifetime, Outcome, RecordStore, Slot};

use crate::args::{DecoyCommand, PlantArgs};
use crate::commands::demo::people;
use crate::commands::{recorded, value};
use crate::output;

/// The last activity of an invented conversation lies so far back at most.
const INVENTED: u64 = 14 * 24 * 3600 * 1000;
#[derive(Serialize)]
struct Listed {
    record: String,
    form: Form,
}

#[derive(Serialize)]
struct Planted {
    record: String,
    planted: bool,
}

#[derive(Serialize)]
struct Report {
    planted: usize,
    there: usize,
    decoys: Vec<Planted>,
}

pub(crate) async fn run(resources: &Resources, command: &DecoyCommand) -> Result<Ended, Failure> {
    if resources.configuration.decoys.is_empty() {
        return Err(Failure::usage("no decoys are configured").hint(
            "decoys = [\"wa:…\"] in waxseal.toml, above the first [[protect]], names records that no \
             application reads",
        ));
    }
    match command {
        DecoyCommand::List => list(resources).await,
        DecoyCommand::Plant(args) => {
            let value = args.value.as_deref().map(read).transpose()?;
            let operation = recorded::decoy_plant(resources);
            let work = plant(resources, args, value.as_deref());
            resources
                .trail
                .record_operation(Some(operation), work)
                .await
        }
    }
}

async fn list(resources: &Resources) -> Result<Ended, Failure> {
    let store = resources.open_store().await?;
    guard::check_key(resources, &store).await?;
    let mut rows = Vec::new();
    for decoy in &resources.configuration.decoys {
        rows.push(Listed {
            record: decoy.shown(&keys::name_mask(resources)),
            form: form(resources, &*store, decoy).await?,
        });
    }
    if output::is_json() {
        output::json(&rows)?;
        return Ok(Ended::Done);
    }
    for row in &rows {
        let form = match row.form {
            Form::Sealed => "sealed",
            Form::Plain => "plain",
            Form::Damaged => "damaged",
            Form::Absent => "absent",
        };
        output::line(format!("{form:<8} {}", row.record))?;
    }
    Ok(Ended::Done)
}

async fn plant(
    resources: &Resources,
    args: &PlantArgs,
    value: Option<&[u8]>,
) -> Result<Ended, Failure> {
    keys::current(resources)?;
    let store = resources.open_store().await?;
    guard::check_key_and_mark(resources, &store).await?;
    let expiry = args.ttl.map_or(Expiry::Persistent, |ttl| {
        Expiry::After(Duration::from_secs(ttl))
    });
    let mut rows = Vec::new();
    for decoy in &resources.configuration.decoys {
        let record = decoy.shown(&keys::name_mask(resources));
        let planted = plant_one(resources, &*store, decoy, value, expiry).await?;
        if planted {
            resources.trail.add_count("planted", 1);
            info!(%record, "a decoy was planted by an operator");
        }
        rows.push(Planted { record, planted });
    }
    let planted = rows.iter().filter(|row| row.planted).count();
    let there = rows.len() - planted;
    if output::is_json() {
        output::json(&Report {
            planted,
            there,
            decoys: rows,
        })?;
        return Ok(Ended::Done);
    }
    for row in &rows {
        let word = if row.planted { "planted" } else { "there" };
        output::line(format!("{word:<8} {}", row.record))?;
    }
    output::line(format!("{planted} planted, {there} there before"))?;
    Ok(Ended::Done)
}

/// Whether it was: never over something that is there.
async fn plant_one(
    resources: &Resources,
    store: &dyn RecordStore,
    decoy: &Decoy,
    value: Option<&[u8]>,
    expiry: Expiry,
) -> Result<bool, Failure> {
    let name = &decoy.name;
    let lifetimes = store.lifetimes(std::slice::from_ref(name)).await?;
    if lifetimes.first() != Some(&Lifetime::Absent) {
        return Ok(false);
    }
    let sealer =
        keys::record_sealer(resources, &decoy.protected, Mode::On, name.as_bytes(), true).await?;
    let value = match value {
        Some(value) => value.to_vec(),
        None => invented(name.as_bytes()),
    };
    let stored = sealer.seal(&value, binding(name, &Slot::Whole))?;
    let change = Change {
        name,
        slot: &Slot::Whole,
        expected: None,
        value: &stored,
        expiry,
    };
    let outcomes = store.replace_if_unchanged(&[change]).await?;
    Ok(outcomes.first() == Some(&Outcome::Done))
}

/// A conversation that nobody had, of the last days.
fn invented(name: &[u8]) -> Vec<u8> {
    // Drawn anew in each process, so that nobody can tell a decoy by making it again.
    let drawn = RandomState::new().hash_one(name);
    let at = now_ms().saturating_sub(drawn.rotate_left(32) % INVENTED);
    people::state_at(drawn % 1_000_000, at)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::usage(format!("{} cannot be read: {error}", path.display()))
    };
    let mut value = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(value::LIMIT + 1)
        .read_to_end(&mut value)
        .map_err(unreadable)?;
    value::within_limit(&value)?;
    Ok(value)
}
