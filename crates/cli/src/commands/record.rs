//! `get` and `put`: one record of the store, opened or sealed.

use std::time::Duration;

use tracing::info;
use waxseal_core::{Binding, Mode};
use waxseal_stores::{Expiry, RecordName, Slot, StoreError};

use crate::args::{GetArgs, PutArgs};
use crate::commands::value::read_value;
use crate::error::{Ended, Failure};
use crate::output;
use crate::setup::Setup;

pub(crate) async fn get(setup: &Setup, args: &GetArgs) -> Result<Ended, Failure> {
    let protected = setup.protected(&args.name)?;
    let store = setup.open_store().await?;
    setup.check_key(&store).await?;
    let name = RecordName::from(args.name.as_str());
    let slot = match (&args.field, args.element) {
        (Some(field), _) => Slot::Field(field.clone().into_bytes()),
        (None, Some(index)) => Slot::Element(index),
        (None, None) => Slot::Whole,
    };
    let stored = store.get(&name, &slot).await.map_err(of_another_type)?;
    let shown = setup
        .mask()
        .show(protected.pattern.prefix(), name.as_bytes());
    let Some(stored) = stored else {
        return Err(Failure::failed(format!(
            "{shown}: there is no such record or field"
        )));
    };
    let sealer = setup
        .record_sealer(protected, setup.mode, name.as_bytes(), false)
        .await?;
    let opened = sealer.open(&stored, binding(&name, &slot))?;
    info!(record = %shown, "a record was opened for an operator");
    output::bytes(opened.as_ref().map_or(&[], |opened| &opened.value))?;
    if output::is_for_a_person() {
        output::line("")?;
    }
    Ok(Ended::Done)
}

pub(crate) async fn put(setup: &Setup, args: &PutArgs) -> Result<Ended, Failure> {
    let protected = setup.protected(&args.name)?;
    setup.keyring()?;
    let value = read_value()?;
    let store = setup.open_store().await?;
    setup.check_key_and_mark(&store).await?;
    let name = RecordName::from(args.name.as_str());
    let slot = match &args.field {
        Some(field) => Slot::Field(field.clone().into_bytes()),
        None => Slot::Whole,
    };
    let sealer = setup
        .record_sealer(protected, Mode::On, name.as_bytes(), true)
        .await?;
    let stored = sealer.seal(&value, binding(&name, &slot))?;
    let expiry = args
        .ttl
        .map_or(Expiry::Keep, |ttl| Expiry::After(Duration::from_secs(ttl)));
    store
        .put(&name, &slot, &stored, expiry)
        .await
        .map_err(of_another_type)?;
    let shown = setup
        .mask()
        .show(protected.pattern.prefix(), name.as_bytes());
    info!(record = %shown, "a record was written by an operator");
    Ok(Ended::Done)
}

/// The binding of an envelope in this place.
pub(crate) fn binding<'a>(name: &'a RecordName, slot: &'a Slot) -> Binding<'a> {
    match slot {
        Slot::Field(field) => Binding::field(name.as_bytes(), field),
        Slot::Whole | Slot::Element(_) => Binding::record(name.as_bytes()),
    }
}

fn of_another_type(error: StoreError) -> Failure {
    match error {
        StoreError::WrongType => Failure::failed("the record is of another type")
            .hint("waxseal inspect tells its type; a hash needs --field, a list --element"),
        other => other.into(),
    }
}
