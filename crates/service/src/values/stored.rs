//! The value of one slot of a record: read and opened, or sealed and written.

use std::collections::BTreeSet;
use std::time::Duration;

use tracing::info;
use waxseal_core::{Binding, Mode, OpenError, Shape};
use waxseal_stores::{Cursor, Expiry, RecordName, RecordStore, Slot, StoreError, StreamField};
use waxseal_units::thousands;

use super::record_opened;
use crate::audit_log::Operation;
use crate::configuration::protected::Protected;
use crate::resources::{Resources, guard, keys, named};
use crate::{Ended, Failure, notice};

/// Members that are read at a time.
const PAGE: usize = 500;

/// The destination of a value that is written.
pub struct Destination {
    /// The record.
    pub name: RecordName,
    /// The field of a hash; `None` for the whole of a string.
    pub field: Option<Vec<u8>>,
    /// True if a record of another type may be replaced, with all that it holds.
    pub replaces: bool,
    /// The expiry from now on; `None` keeps that of the record.
    pub ttl: Option<Duration>,
}

/// The place of a value that is read.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// A slot of a record.
    Slot(Slot),
    /// The first field of this name in an entry of a stream.
    Entry {
        /// The id of the entry.
        entry: String,
        /// The name of the field.
        field: Vec<u8>,
    },
}

impl From<Slot> for Place {
    fn from(slot: Slot) -> Self {
        Self::Slot(slot)
    }
}

/// Returns the value in a place of a record, opened. Empty if the stored value is.
pub async fn get(
    resources: &Resources,
    name: &RecordName,
    place: &Place,
) -> Result<Vec<u8>, Failure> {
    let protected = named::protected_records(resources, name.as_bytes()).await?;
    let store = resources.open_store().await?;
    guard::check_key(resources, &store).await?;
    let found = find(&*store, name, place).await;
    let shown = keys::name_mask(resources).show(protected.pattern.prefix(), name.as_bytes());
    let Some((slot, stored)) = found.map_err(wrong_type_failure)? else {
        return Err(Failure::absent(format!(
            "{shown}: there is no such record or field"
        )));
    };
    let mode = resources.configuration.mode;
    let sealer = keys::record_sealer(resources, protected, mode, name.as_bytes(), false).await?;
    let binding = Binding::of_value(slot.kind(), name.as_bytes(), slot.field());
    let opened = sealer.open(&stored, binding);
    let opened = opened.map_err(|error| open_failure(resources, error, &stored))?;
    let is_decoy = opened.is_some() && resources.configuration.is_decoy(name.as_bytes());
    record_opened(resources, "get", &shown, is_decoy)?;
    info!(record = %shown, "a record was opened for an operator");
    Ok(opened.map_or_else(Vec::new, |opened| opened.value.into_owned()))
}

/// Returns the members of a set or sorted set, opened, in no order. If one does not open, none is returned.
pub async fn members(resources: &Resources, name: &RecordName) -> Result<Vec<Vec<u8>>, Failure> {
    let protected = named::protected_records(resources, name.as_bytes()).await?;
    let store = resources.open_store().await?;
    guard::check_key(resources, &store).await?;
    let shown = keys::name_mask(resources).show(protected.pattern.prefix(), name.as_bytes());
    let mode = resources.configuration.mode;
    let sealer = keys::record_sealer(resources, protected, mode, name.as_bytes(), false).await?;
    let (mut members, mut cursor) = (BTreeSet::new(), Cursor::start());
    loop {
        let page = store.read_slots(name, &cursor, PAGE).await;
        let page = page.map_err(wrong_type_failure)?;
        for (slot, stored) in page.slots {
            let Slot::Member(_) = slot else {
                return Err(wrong_type_failure(StoreError::WrongType));
            };
            let opened = sealer.open(&stored, Binding::member(name.as_bytes()));
            let opened = opened.map_err(|error| open_failure(resources, error, &stored))?;
            members.insert(opened.map_or_else(Vec::new, |opened| opened.value.into_owned()));
        }
        match page.next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    if members.is_empty() {
        return Err(Failure::absent(format!(
            "{shown}: there is no such record or field"
        )));
    }
    let is_decoy = resources.configuration.is_decoy(name.as_bytes());
    record_opened(resources, "get", &shown, is_decoy)?;
    info!(record = %shown, "the members of a record were opened for an operator");
    Ok(members.into_iter().collect())
}

/// Finds the stored bytes in a place, and their slot.
async fn find(
    store: &dyn RecordStore,
    name: &RecordName,
    place: &Place,
) -> Result<Option<(Slot, Vec<u8>)>, StoreError> {
    let (entry, field) = match place {
        Place::Slot(slot) => {
            let stored = store.get(name, slot).await?;
            return Ok(stored.map(|stored| (slot.clone(), stored)));
        }
        Place::Entry { entry, field } => (entry, field),
    };
    let collections = store.collections().ok_or(StoreError::WrongType)?;
    let Some(found) = collections.entry(name, entry).await? else {
        return Ok(None);
    };
    let mut fields = found.fields.into_iter().enumerate();
    let found = fields.find(|(_, (name, _))| name == field);
    Ok(found.map(|(index, (field, stored))| {
        let at = StreamField {
            entry: entry.clone(),
            index,
            field,
        };
        (Slot::StreamField(at), stored)
    }))
}

/// Seals a value and writes it. The value is read after the name was checked.
pub async fn put(
    resources: &Resources,
    destination: &Destination,
    read_value: impl FnOnce() -> Result<Vec<u8>, Failure>,
) -> Result<Ended, Failure> {
    let name = destination.name.as_bytes();
    let protected = named::protected_records(resources, name).await?;
    keys::current(resources)?;
    let value = read_value()?;
    let shown = keys::name_mask(resources).show(protected.pattern.prefix(), name);
    let work = async {
        write(resources, destination, protected, &value).await?;
        info!(record = %shown, "a record was written by an operator");
        Ok(Ended::Done)
    };
    let operation = Some(Operation::new("put", &shown));
    resources.trail.record_operation(operation, work).await
}

async fn write(
    resources: &Resources,
    destination: &Destination,
    protected: &Protected,
    value: &[u8],
) -> Result<(), Failure> {
    let store = resources.open_store().await?;
    guard::check_key_and_mark(resources, &store).await?;
    let name = &destination.name;
    let slot = destination.field.clone().map_or(Slot::Whole, Slot::Field);
    if slot == Slot::Whole {
        check_replaced(resources, &*store, destination).await?;
    }
    let sealer = keys::record_sealer(resources, protected, Mode::On, name.as_bytes(), true).await?;
    // Under an excepted name the sealer keeps it plain.
    let stored = sealer.to_store(
        value,
        Binding::of_value(slot.kind(), name.as_bytes(), slot.field()),
    )?;
    let expiry = destination.ttl.map_or(Expiry::Keep, Expiry::After);
    let written = store.put(name, &slot, &stored, expiry).await;
    written.map_err(wrong_type_failure)
}

/// Refuses to replace a record of another type by a value, unless that is requested.
async fn check_replaced(
    resources: &Resources,
    store: &dyn RecordStore,
    destination: &Destination,
) -> Result<(), Failure> {
    let name = &destination.name;
    // Without its value: reading a large value can fail, or lose the connection.
    let kind = match store.kind(name).await? {
        None => return Ok(()),
        Some(kind) if kind == "string" => return Ok(()),
        Some(kind) => kind,
    };
    let values = match store.slot_count(name).await? {
        Some(1) => " with 1 value".to_owned(),
        Some(values) => format!(" with {} values", thousands(values)),
        None => String::new(),
    };
    if !destination.replaces {
        let text = format!(
            "the record is a {kind}{values}: the value would replace it, with all that it holds"
        );
        return Err(Failure::failed(text).hint(
            "nothing was changed; --field writes one value of a hash, --replace replaces the whole record",
        ));
    }
    resources.trail.add_detail("replaced", kind.as_str());
    notice::warning(&format!("a {kind}{values} is replaced"));
    Ok(())
}

/// Returns the failure of a value that does not open. The hint for a missing key names where it should be.
fn open_failure(resources: &Resources, error: OpenError, stored: &[u8]) -> Failure {
    let OpenError::UnknownKey { id } = error else {
        return error.into();
    };
    let of_user = match Shape::of(stored) {
        Shape::Sealed { header, .. } => header.flags.per_user_key(),
        _ => false,
    };
    if of_user {
        return Failure::failed(format!(
            "the value is sealed under the key {id} of a user, which is not there"
        ))
        .hint(
            "check per_user_keys and user_keys in waxseal.toml; a key that the store of users' keys \
             lost is restored only by a backup of that store",
        );
    }
    if resources.configuration.has_keyring() {
        return Failure::failed(error)
            .hint("waxseal keyring status lists its keys; check --keyring, --store and --config");
    }
    error.into()
}

fn wrong_type_failure(error: StoreError) -> Failure {
    match error {
        StoreError::WrongType => Failure::failed("the record is of another type")
            .hint(
                "waxseal inspect shows its type; a hash needs --field, a list --element, a set or sorted set --members, a \
                 stream --entry and --field",
            ),
        other => other.into(),
    }
}
