//! `get` and `put`: one record of the store, opened or sealed.

use std::time::Duration;

use tracing::{error, info};
use waxseal_core::{Binding, Mode, OpenError, Shape};
use waxseal_service::audit_log::Operation;
use waxseal_service::configuration::protected::Protected;
use waxseal_service::resources::{Resources, guard, keys, named};
use waxseal_service::{Ended, Failure};
use waxseal_stores::{Expiry, RecordName, RecordStore, Slot, StoreError};

use crate::args::{GetArgs, PutArgs};
use crate::commands::value::read_value;
use crate::output::{self, thousands};

pub(crate) async fn get(resources: &Resources, args: &GetArgs) -> Result<Ended, Failure> {
    let name = args.name.name();
    let protected = named::protected_records(resources, name.as_bytes()).await?;
    let store = resources.open_store().await?;
    guard::check_key(resources, &store).await?;
    let slot = match (args.field.field(), args.element) {
        (Some(field), _) => Slot::Field(field),
        (None, Some(index)) => Slot::Element(index),
        (None, None) => Slot::Whole,
    };
    let stored = store.get(&name, &slot).await.map_err(wrong_type_failure)?;
    let shown = keys::name_mask(resources).show(protected.pattern.prefix(), name.as_bytes());
    let Some(stored) = stored else {
        return Err(Failure::absent(format!(
            "{shown}: there is no such record or field"
        )));
    };
    let sealer = keys::record_sealer(
        resources,
        protected,
        resources.configuration.mode,
        name.as_bytes(),
        false,
    )
    .await?;
    let opened = sealer.open(&stored, Binding::of_value(name.as_bytes(), slot.field()));
    let opened = opened.map_err(|error| open_failure(resources, error, &stored))?;
    let is_decoy = opened.is_some() && resources.configuration.is_decoy(name.as_bytes());
    record_opened(resources, "get", &shown, is_decoy)?;
    info!(record = %shown, "a record was opened for an operator");
    output::bytes(opened.as_ref().map_or(&[], |opened| &opened.value))?;
    if output::is_for_a_person() {
        output::line("")?;
    }
    Ok(Ended::Done)
}

pub(crate) async fn put(resources: &Resources, args: &PutArgs) -> Result<Ended, Failure> {
    let name = args.name.name();
    let protected = named::protected_records(resources, name.as_bytes()).await?;
    keys::current(resources)?;
    let value = read_value()?;
    let prefix = protected.pattern.prefix();
    let shown = keys::name_mask(resources).show(prefix, name.as_bytes());
    let operation = Some(Operation::new("put", &shown));
    let work = async {
        write(resources, args, (&name, protected), &value).await?;
        info!(record = %shown, "a record was written by an operator");
        Ok(Ended::Done)
    };
    resources.trail.record_operation(operation, work).await
}

async fn write(
    resources: &Resources,
    args: &PutArgs,
    (name, protected): (&RecordName, &Protected),
    value: &[u8],
) -> Result<(), Failure> {
    let store = resources.open_store().await?;
    guard::check_key_and_mark(resources, &store).await?;
    let slot = args.field.field().map_or(Slot::Whole, Slot::Field);
    if slot == Slot::Whole {
        check_replaced(resources, &*store, name, args.replace).await?;
    }
    let sealer = keys::record_sealer(resources, protected, Mode::On, name.as_bytes(), true).await?;
    // Under an excepted name the sealer keeps it plain.
    let stored = sealer.to_store(value, Binding::of_value(name.as_bytes(), slot.field()))?;
    let expiry = args
        .ttl
        .map_or(Expiry::Keep, |ttl| Expiry::After(Duration::from_secs(ttl)));
    store
        .put(name, &slot, &stored, expiry)
        .await
        .map_err(wrong_type_failure)
}

/// Refuses to replace a record of another type by a value, unless that is requested.
async fn check_replaced(
    resources: &Resources,
    store: &dyn RecordStore,
    name: &RecordName,
    is_requested: bool,
) -> Result<(), Failure> {
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
    if !is_requested {
        let text = format!(
            "the record is a {kind}{values}: the value would replace it, with all that it holds"
        );
        return Err(Failure::failed(text).hint(
            "nothing was changed; --field writes one value of a hash, --replace replaces the whole record",
        ));
    }
    resources.trail.add_detail("replaced", kind.as_str());
    output::warn(&format!("a {kind}{values} is replaced"));
    Ok(())
}

/// Records in the audit log that a value was opened for an operator, before it is printed. The value of a decoy raises an
/// alarm.
pub(super) fn record_opened(
    resources: &Resources,
    action: &'static str,
    shown: &str,
    is_decoy: bool,
) -> Result<(), Failure> {
    let operation = Operation::new(action, shown);
    if !is_decoy {
        return resources.trail.record(&operation);
    }
    // First of all: if it cannot be recorded, the value is refused, and the attempt counts nevertheless.
    error!(record = %shown, command = %format!("waxseal {action}"), "a decoy was opened");
    resources.trail.record(&operation.with("decoy", true))
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
            .hint("waxseal inspect shows its type; a hash needs --field, a list --element"),
        other => other.into(),
    }
}
