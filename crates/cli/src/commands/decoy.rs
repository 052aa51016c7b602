//! `decoy`: lays out records that no application reads, and tells how they are. Who is told when one is
//! opened is the business of the proxy, the library and `get`.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use tracing::info;
use waxseal_core::{Binding, Mode, Sealer, Shape};
use waxseal_stores::{Change, Cursor, Expiry, Held, Lifetime, Outcome, RecordStore, Slot};

use crate::args::{DecoyCommand, PlantArgs};
use crate::commands::demo::people;
use crate::commands::record::binding;
use crate::commands::{recorded, value};
use crate::error::{Ended, Failure};
use crate::output;
use crate::setup::{Decoy, Setup, now_ms};

/// The last activity of an invented conversation lies so far back at most.
const INVENTED: u64 = 14 * 24 * 3600 * 1000;
/// Slots of a hash or list that are looked at.
const LOOKED_AT: usize = 1000;

/// What lies in a decoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Form {
    Sealed,
    Plain,
    /// It does not open.
    Damaged,
    Absent,
}

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

pub(crate) async fn run(setup: &Setup, command: &DecoyCommand) -> Result<Ended, Failure> {
    if setup.decoys.is_empty() {
        return Err(Failure::usage("no decoys are configured").hint(
            "decoys = [\"wa:…\"] in waxseal.toml, above the first [[protect]], names records that no \
             application reads",
        ));
    }
    match command {
        DecoyCommand::List => list(setup).await,
        DecoyCommand::Plant(args) => {
            let value = args.value.as_deref().map(read).transpose()?;
            let operation = recorded::decoy_plant(setup);
            let work = plant(setup, args, value.as_deref());
            setup.trail.record_operation(Some(operation), work).await
        }
    }
}

async fn list(setup: &Setup) -> Result<Ended, Failure> {
    let store = setup.open_store().await?;
    setup.check_key(&store).await?;
    let mut rows = Vec::new();
    for decoy in &setup.decoys {
        rows.push(Listed {
            record: setup.shown(decoy),
            form: form(setup, &*store, decoy).await?,
        });
    }
    if setup.json {
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

/// What lies in a decoy now. An envelope that names its key is believed; nothing is printed, and nobody is
/// told.
pub(super) async fn form(
    setup: &Setup,
    store: &dyn RecordStore,
    decoy: &Decoy,
) -> Result<Form, Failure> {
    let name = &decoy.name;
    let mut held = store.read(std::slice::from_ref(name)).await?;
    let slots = match held.pop().flatten() {
        None => return Ok(Form::Absent),
        Some(Held::String(stored)) => vec![(Slot::Whole, stored)],
        Some(Held::Hash | Held::List) => {
            let page = store.read_slots(name, &Cursor::start(), LOOKED_AT).await?;
            page.slots
        }
        Some(Held::Other(_)) => return Ok(Form::Plain),
    };
    let sealer = setup
        .record_sealer(&decoy.protected, Mode::On, name.as_bytes(), false)
        .await?;
    let forms: Vec<_> = slots
        .iter()
        .map(|(slot, stored)| form_of(&sealer, stored, binding(name, slot)))
        .collect();
    let worst = [Form::Plain, Form::Damaged].into_iter();
    let worst = worst.clone().find(|form| forms.contains(form));
    Ok(worst.unwrap_or(Form::Sealed))
}

fn form_of(sealer: &Sealer, stored: &[u8], binding: Binding<'_>) -> Form {
    match Shape::of(stored) {
        Shape::Sealed { .. } => Form::Sealed,
        Shape::Malformed(_) => Form::Damaged,
        Shape::Empty | Shape::Plain => Form::Plain,
        // Only the keys can tell.
        Shape::MaybeClassic => match sealer.open(stored, binding) {
            Ok(Some(opened)) if opened.form.key().is_some() => Form::Sealed,
            Ok(_) => Form::Plain,
            Err(_) => Form::Damaged,
        },
    }
}

async fn plant(setup: &Setup, args: &PlantArgs, value: Option<&[u8]>) -> Result<Ended, Failure> {
    setup.keyring()?;
    let store = setup.open_store().await?;
    setup.check_key_and_mark(&store).await?;
    let expiry = args
        .ttl
        .map_or(Expiry::Never, |ttl| Expiry::After(Duration::from_secs(ttl)));
    let mut rows = Vec::new();
    for decoy in &setup.decoys {
        let record = setup.shown(decoy);
        let planted = plant_one(setup, &*store, decoy, value, expiry).await?;
        if planted {
            setup.trail.add_count("planted", 1);
            info!(%record, "a decoy was planted by an operator");
        }
        rows.push(Planted { record, planted });
    }
    let planted = rows.iter().filter(|row| row.planted).count();
    let there = rows.len() - planted;
    if setup.json {
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
    setup: &Setup,
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
    let sealer = setup
        .record_sealer(&decoy.protected, Mode::On, name.as_bytes(), true)
        .await?;
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
