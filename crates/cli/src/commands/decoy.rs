//! `decoy`: plants records that no application reads, and lists their states. The proxy, the library and `get` report the
//! opening of one.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use tracing::info;
use waxseal_service::decoys::{self, Form, form};
use waxseal_service::recorded;
use waxseal_service::resources::{Resources, guard, keys};
use waxseal_service::{Ended, Failure};
use waxseal_stores::Expiry;

use crate::args::{DecoyCommand, PlantArgs};
use crate::commands::value;
use crate::output;

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
        let planted = decoys::plant(resources, &*store, decoy, value, expiry).await?;
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
