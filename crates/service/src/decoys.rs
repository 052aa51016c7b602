//! The state of decoys: what the record of a decoy holds.

use serde::Serialize;
use waxseal_core::{Binding, Mode, Sealer, Shape};
use waxseal_stores::{Cursor, Record, RecordStore, Slot};

use crate::Failure;
use crate::configuration::decoys::Decoy;
use crate::resources::keys::binding;
use crate::resources::{Resources, keys};

/// Slots of a hash or list that are read.
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
        Some(Record::Hash | Record::List) => {
            let page = store.read_slots(name, &Cursor::start(), MAX_SLOTS).await?;
            page.slots
        }
        Some(Record::Other(_)) => return Ok(Form::Plain),
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
