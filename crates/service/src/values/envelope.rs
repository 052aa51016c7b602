//! Envelopes without a store: a value is sealed for a record, and what was sealed for it is opened.

use waxseal_core::{Binding, Format, Mode, PlainValues, Sealer};

use super::record_opened;
use crate::Failure;
use crate::resources::{Resources, guard, keys, scopes};

/// The place that an envelope is bound to.
#[derive(Default)]
pub struct EnvelopeLocation {
    /// The name of the record; `None` if the envelope is bound to nothing.
    pub record: Option<Vec<u8>>,
    /// The field, if the record is a hash.
    pub field: Option<Vec<u8>>,
}

impl EnvelopeLocation {
    fn binding(&self) -> Binding<'_> {
        match (&self.record, &self.field) {
            (Some(record), field) => Binding::of_value(record, field.as_deref()),
            (None, _) => Binding::unbound(),
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
}

/// Returns a value sealed for this location, as text if `armored`. The value is read after the keys were checked.
pub async fn seal(
    resources: &Resources,
    location: &EnvelopeLocation,
    (format, armored): (Format, bool),
    read_value: impl FnOnce() -> Result<Vec<u8>, Failure>,
) -> Result<Vec<u8>, Failure> {
    keys::confirm(resources).await?;
    let sealer = Sealer::new(keys::current(resources)?, Mode::On, format);
    let sealer = for_user(resources, sealer, location, true).await?;
    let sealer = sealer.armored(armored);
    Ok(sealer.seal(&read_value()?, location.binding())?)
}

/// Returns the value of an envelope that was sealed for this location. The envelope is read after the keys were checked.
pub async fn open(
    resources: &Resources,
    location: &EnvelopeLocation,
    read_envelope: impl FnOnce() -> Result<Vec<u8>, Failure>,
) -> Result<Vec<u8>, Failure> {
    let mode = match resources.configuration.mode {
        Mode::Required => Mode::Required,
        Mode::On | Mode::Off => Mode::On,
    };
    let sealer = Sealer::new(keys::current(resources)?, mode, Format::Classic);
    let sealer = sealer.plain_values(PlainValues::Json);
    let sealer = for_user(resources, sealer, location, false).await?;
    let stored = read_envelope()?;
    // Tools such as redis-cli print a line feed at the end, which no envelope in text form contains.
    let text = stored.strip_suffix(b"\n").unwrap_or(&stored);
    let exact = sealer.open(&stored, location.binding());
    let opened = match exact {
        Ok(opened) if opened.as_ref().is_none_or(|o| o.form.key().is_some()) => Ok(opened),
        other => sealer.open(text, location.binding()).or(other),
    }?;
    let is_decoy = opened.is_some() && location.is_decoy(resources);
    record_opened(resources, "open", &location.shown(resources), is_decoy)?;
    Ok(opened.map_or_else(Vec::new, |opened| opened.value.into_owned()))
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
