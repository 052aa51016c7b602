//! Decoys: the state of their records, and planting them.

use std::hash::{BuildHasher, RandomState};

use serde::Serialize;
use waxseal_core::{Binding, Mode, Sealer, Shape};
use waxseal_stores::{Change, Cursor, Expiry, Lifetime, Outcome, Record, RecordStore, Slot};

use crate::configuration::decoys::Decoy;
use crate::resources::{Resources, keys};
use crate::{Failure, now_ms, sample_states};

/// The largest age of the last activity in an invented conversation: 14 days, in milliseconds.
const MAX_AGE_MS: u64 = 14 * 24 * 3600 * 1000;
/// Slots of a record that are read.
const MAX_SLOTS: usize = 1000;

/// The content of the record of a decoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// A sealed value.
    Sealed,
    /// A plain value.
    Plain,
    /// A value that does not open.
    Damaged,
    /// Nothing.
    Absent,
}

/// Reads what the record of a decoy holds. An envelope that names its key counts as sealed. Raises no alarm.
pub async fn form(
    resources: &Resources,
    store: &dyn RecordStore,
    decoy: &Decoy,
) -> Result<Form, Failure> {
    let name = &decoy.name;
    let mut held = store.read(std::slice::from_ref(name)).await?;
    let slots = match held.pop().flatten() {
        None => return Ok(Form::Absent),
        Some(Record::String(stored)) => vec![(Slot::Whole, stored)],
        Some(record) if record.has_slots() => {
            let page = store.read_slots(name, &Cursor::start(), MAX_SLOTS).await?;
            page.slots
        }
        Some(_) => return Ok(Form::Plain),
    };
    let sealer = keys::record_sealer(
        resources,
        &decoy.protected,
        Mode::On,
        name.as_bytes(),
        false,
    )
    .await?;
    let forms: Vec<_> = slots
        .iter()
        .map(|(slot, stored)| {
            form_of(
                &sealer,
                stored,
                Binding::of_value(slot.kind(), name.as_bytes(), slot.field()),
            )
        })
        .collect();
    let worst = [Form::Plain, Form::Damaged].into_iter();
    let worst = worst.clone().find(|form| forms.contains(form));
    Ok(worst.unwrap_or(Form::Sealed))
}

/// Writes a decoy with this value, or with an invented conversation. Returns false if the record exists: a decoy never
/// replaces anything.
pub async fn plant(
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
    let stored = sealer.seal(&value, Binding::record(name.as_bytes()))?;
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

/// Returns an invented conversation of the last days. It is random in each process: a predictable one would show that
/// the record is a decoy.
fn invented(name: &[u8]) -> Vec<u8> {
    let random = RandomState::new().hash_one(name);
    let at = now_ms().saturating_sub(random.rotate_left(32) % MAX_AGE_MS);
    sample_states::state_at(random % 1_000_000, at)
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
