//! `seal` and `open`: one value from stdin to stdout, no store.

use std::io::{self, Read};

use waxseal_core::{Binding, Mode, PlainValues, Sealer};

use crate::args::{OpenArgs, PlaceArgs, SealArgs};
use crate::commands::record::tell_opened;
use crate::error::{Ended, Failure};
use crate::output;
use crate::setup::Setup;

/// What Redis can hold at most.
pub(super) const LIMIT: u64 = 512 * 1024 * 1024;

pub(crate) async fn seal(setup: &Setup, args: &SealArgs) -> Result<Ended, Failure> {
    setup.confirm().await?;
    let format = args.format.into();
    let sealer = Sealer::new(setup.keyring()?, Mode::On, format);
    let sealer = for_user(setup, sealer, &args.place, true).await?;
    let sealer = sealer.armored(args.armor);
    let envelope = sealer.seal(&read_value()?, binding(&args.place))?;
    output::bytes(&envelope)?;
    Ok(Ended::Done)
}

pub(crate) async fn open(setup: &Setup, args: &OpenArgs) -> Result<Ended, Failure> {
    let mode = if setup.mode == Mode::Required {
        Mode::Required
    } else {
        Mode::On
    };
    let format = waxseal_core::Format::Classic;
    let sealer = Sealer::new(setup.keyring()?, mode, format).plain_values(PlainValues::Json);
    let sealer = for_user(setup, sealer, &args.place, false).await?;
    let stored = read_value()?;
    // Tools such as redis-cli end what they print with a new line; no envelope in text form has one.
    let text = stored.strip_suffix(b"\n").unwrap_or(&stored);
    let exact = sealer.open(&stored, binding(&args.place));
    let opened = match exact {
        Ok(opened) if opened.as_ref().is_none_or(|o| o.form.key().is_some()) => Ok(opened),
        other => sealer.open(text, binding(&args.place)).or(other),
    }?;
    let record = args.place.record.as_deref();
    let is_decoy = opened.is_some() && record.is_some_and(|name| setup.is_decoy(name));
    tell_opened(setup, "open", &shown(setup, &args.place), is_decoy)?;
    output::bytes(opened.as_ref().map_or(&[], |opened| &opened.value))?;
    Ok(Ended::Done)
}

/// The record that an envelope is said to be of, without its name.
fn shown(setup: &Setup, place: &PlaceArgs) -> String {
    let Some(name) = &place.record else {
        return "a value of no named record".to_owned();
    };
    let protected = setup.protected(name);
    let prefix = protected.map_or("", |it| it.pattern.prefix());
    setup.mask().show(prefix, name.as_bytes())
}

/// All of stdin.
pub(crate) fn read_value() -> Result<Vec<u8>, Failure> {
    let mut value = Vec::new();
    io::stdin().lock().take(LIMIT + 1).read_to_end(&mut value)?;
    within_limit(&value)?;
    Ok(value)
}

/// Whether Redis can hold it.
pub(super) fn within_limit(value: &[u8]) -> Result<(), Failure> {
    if value.len() as u64 > LIMIT {
        return Err(Failure::failed(
            "the value is longer than the 512 MB that Redis can hold",
        ));
    }
    Ok(())
}

/// The sealer with the key of the user whom the record belongs to, where it is configured so.
async fn for_user(
    setup: &Setup,
    sealer: Sealer,
    place: &PlaceArgs,
    seals: bool,
) -> Result<Sealer, Failure> {
    let name = place.record.as_deref().unwrap_or_default();
    let Ok(protected) = setup.protected(name) else {
        return Ok(sealer);
    };
    if seals && protected.per_user {
        setup.enrol_user_keys().await?;
    }
    let key = setup.user_key(protected, name.as_bytes(), seals).await?;
    Ok(match key {
        Some(key) => sealer.for_user(key),
        None => sealer,
    })
}

fn binding(place: &PlaceArgs) -> Binding<'_> {
    match (&place.record, &place.field) {
        (Some(record), Some(field)) => Binding::field(record.as_bytes(), field.as_bytes()),
        (Some(record), None) => Binding::record(record.as_bytes()),
        (None, _) => Binding::unbound(),
    }
}
