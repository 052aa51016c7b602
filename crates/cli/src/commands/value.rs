//! `seal` and `open`: one value from stdin to stdout, without a store.

use std::io::{self, Read};

use waxseal_core::{Binding, Mode, PlainValues, Sealer};
use waxseal_service::resources::{Resources, guard, keys, scopes};
use waxseal_service::{Ended, Failure};

use crate::args::{OpenArgs, PlaceArgs, SealArgs, typed_bytes};
use crate::commands::record::record_opened;
use crate::output;

/// The largest value that Redis can store.
pub(super) const LIMIT: u64 = 512 * 1024 * 1024;

pub(crate) async fn seal(resources: &Resources, args: &SealArgs) -> Result<Ended, Failure> {
    keys::confirm(resources).await?;
    let location = EnvelopeLocation::new(&args.place);
    let format = args.format.into();
    let sealer = Sealer::new(keys::current(resources)?, Mode::On, format);
    let sealer = for_user(resources, sealer, &location, true).await?;
    let sealer = sealer.armored(args.armor);
    let envelope = sealer.seal(&read_value()?, location.binding())?;
    output::bytes(&envelope)?;
    Ok(Ended::Done)
}

pub(crate) async fn open(resources: &Resources, args: &OpenArgs) -> Result<Ended, Failure> {
    let location = EnvelopeLocation::new(&args.place);
    let mode = if resources.configuration.mode == Mode::Required {
        Mode::Required
    } else {
        Mode::On
    };
    let format = waxseal_core::Format::Classic;
    let sealer =
        Sealer::new(keys::current(resources)?, mode, format).plain_values(PlainValues::Json);
    let sealer = for_user(resources, sealer, &location, false).await?;
    let stored = read_value()?;
    // Tools such as redis-cli print a line feed at the end, which no envelope in text form contains.
    let text = stored.strip_suffix(b"\n").unwrap_or(&stored);
    let exact = sealer.open(&stored, location.binding());
    let opened = match exact {
        Ok(opened) if opened.as_ref().is_none_or(|o| o.form.key().is_some()) => Ok(opened),
        other => sealer.open(text, location.binding()).or(other),
    }?;
    let is_decoy = opened.is_some() && location.is_decoy(resources);
    record_opened(resources, "open", &location.shown(resources), is_decoy)?;
    output::bytes(opened.as_ref().map_or(&[], |opened| &opened.value))?;
    Ok(Ended::Done)
}

/// The location that an envelope is bound to, from the flags.
struct EnvelopeLocation {
    record: Option<Vec<u8>>,
    field: Option<Vec<u8>>,
}

impl EnvelopeLocation {
    fn new(args: &PlaceArgs) -> Self {
        Self {
            record: typed_bytes(args.record.as_ref(), args.record_hex.as_ref()),
            field: typed_bytes(args.field.as_ref(), args.field_hex.as_ref()),
        }
    }

    fn is_decoy(&self, resources: &Resources) -> bool {
        let record = self.record.as_deref();
        record.is_some_and(|name| resources.configuration.is_decoy(name))
    }

    /// Returns the masked record.
    fn shown(&self, resources: &Resources) -> String {
        let Some(name) = &self.record else {
            return "a value of no named record".to_owned();
        };
        let protected = resources.configuration.protected_records(name);
        let prefix = protected.map_or("", |it| it.pattern.prefix());
        keys::name_mask(resources).show(prefix, name)
    }

    fn binding(&self) -> Binding<'_> {
        match (&self.record, &self.field) {
            (Some(record), field) => Binding::of_value(record, field.as_deref()),
            (None, _) => Binding::unbound(),
        }
    }
}

/// Reads stdin to its end.
pub(crate) fn read_value() -> Result<Vec<u8>, Failure> {
    let mut value = Vec::new();
    io::stdin().lock().take(LIMIT + 1).read_to_end(&mut value)?;
    within_limit(&value)?;
    Ok(value)
}

/// Fails if the value is longer than Redis can store.
pub(super) fn within_limit(value: &[u8]) -> Result<(), Failure> {
    if value.len() as u64 > LIMIT {
        return Err(Failure::failed(
            "the value is longer than the 512 MB that Redis can hold",
        ));
    }
    Ok(())
}

/// Returns the sealer with the key of the record's user, if users have keys.
async fn for_user(
    resources: &Resources,
    sealer: Sealer,
    location: &EnvelopeLocation,
    seals: bool,
) -> Result<Sealer, Failure> {
    let name = location.record.as_deref().unwrap_or_default();
    let Ok(protected) = resources.configuration.protected_records(name) else {
        return Ok(sealer);
    };
    if seals && protected.per_user {
        // The stored values show whether keys of users should exist.
        guard::check_users(resources, &resources.open_store().await?).await?;
        scopes::register_user_keys(resources).await?;
    }
    let key = keys::user_key(resources, protected, name, seals).await?;
    Ok(match key {
        Some(key) => sealer.for_user(key),
        None => sealer,
    })
}
