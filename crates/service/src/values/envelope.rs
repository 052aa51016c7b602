//! Envelopes without a store: a value is sealed for a record, and what was sealed for it is opened.

use waxseal_core::{
    Binding, EnvelopeRules, EnvelopeVersion, Format, Kind, Mode, PlainValues, Sealer,
};

use super::record_opened;
use crate::Failure;
use crate::resources::{Resources, guard, keys, scopes};

/// The place that an envelope is bound to.
#[derive(Default)]
pub struct EnvelopeLocation {
    /// The name of the record; `None` if the envelope is bound to nothing, or to a group alone.
    pub record: Option<Vec<u8>>,
    /// The field, if the record is a hash.
    pub field: Option<Vec<u8>>,
    /// The kind of the value; `None` for a string, or the value of a field where one is named.
    pub kind: Option<Kind>,
    /// The id of the group. A new envelope is bound to it; one that is opened may be bound to it or to the record.
    pub group: Option<Vec<u8>>,
}

/// The form of a new envelope.
#[derive(Clone, Copy)]
pub struct EnvelopeForm {
    /// The format.
    pub format: Format,
    /// True for the text form.
    pub is_armored: bool,
    /// True if equal values give equal envelopes.
    pub is_deterministic: bool,
    /// The version of the sealed format, for a process without a keyring; `None`: that of the record's pattern, else 2.
    pub version: Option<EnvelopeVersion>,
}

impl EnvelopeLocation {
    fn binding(&self) -> Result<Binding<'_>, Failure> {
        let kind = match (self.kind, &self.field) {
            (Some(kind), _) => kind,
            (None, Some(_)) => Kind::HashField,
            (None, None) => Kind::String,
        };
        let has_field = matches!(kind, Kind::HashField | Kind::StreamField);
        if has_field != self.field.is_some() {
            return Err(Failure::usage(match has_field {
                true => format!("a {kind} has a field, and none is named"),
                false => format!("a {kind} has no field"),
            })
            .hint("--field names the field of a hash-field or stream-field"));
        }
        let record = self.record.as_deref().unwrap_or_default();
        let field = self.field.as_deref().unwrap_or_default();
        let group = self.group.as_deref();
        let binding = match (kind, group) {
            (Kind::Message, Some(group)) => return Ok(Binding::message(group)),
            (Kind::Message, None) => {
                return Err(
                    Failure::usage("a message belongs to a group, and none is named")
                        .hint("--group names it"),
                );
            }
            (Kind::String, _) if self.record.is_none() => Binding::unbound(),
            _ if self.record.is_none() && group.is_none() => {
                return Err(Failure::usage(format!(
                    "a {kind} belongs to a record or a group, and neither is named"
                ))
                .hint("--record names the record, --group the group"));
            }
            (Kind::String, _) => Binding::record(record),
            (Kind::ListElement, _) => Binding::element(record),
            (Kind::HashField, _) => Binding::field(record, field),
            (Kind::Member, _) => Binding::member(record),
            (Kind::StreamField, _) => Binding::stream_field(record, field),
            (Kind::RecordName, _) => Binding::record_name(record),
        };
        Ok(match group {
            Some(group) => binding.in_group(group, true),
            None => binding,
        })
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

/// Returns a value sealed for this location in this form. The value is read after the keys were checked.
pub async fn seal(
    resources: &Resources,
    location: &EnvelopeLocation,
    form: EnvelopeForm,
    read_value: impl FnOnce() -> Result<Vec<u8>, Failure>,
) -> Result<Vec<u8>, Failure> {
    check_form(resources, location, form)?;
    let binding = location.binding()?;
    keys::confirm(resources).await?;
    let sealer = Sealer::new(keys::current(resources)?, Mode::On, form.format);
    let sealer = of_pattern(resources, sealer, location);
    let sealer = match form.version {
        Some(write) => sealer.rules(EnvelopeRules {
            write,
            ..EnvelopeRules::default()
        }),
        None => sealer,
    };
    let sealer = for_user(resources, sealer, location, true).await?;
    let sealer = sealer.armored(form.is_armored);
    let value = read_value()?;
    Ok(match form.is_deterministic {
        true => sealer.seal_deterministic(&value, binding)?,
        false => sealer.seal(&value, binding)?,
    })
}

/// Refuses what the form cannot express.
fn check_form(
    resources: &Resources,
    location: &EnvelopeLocation,
    form: EnvelopeForm,
) -> Result<(), Failure> {
    if form.version.is_some() && resources.configuration.has_keyring() {
        return Err(Failure::usage(
            "--envelope-version is given, and a keyring: it decides which version is written",
        )
        .hint("waxseal keyring configure --write-version changes it for all processes"));
    }
    let is_of_version_3 =
        form.is_deterministic || location.group.is_some() || form.version.is_some();
    if is_of_version_3 && form.format == Format::Classic {
        return Err(Failure::usage(
            "the classic format has no versions, groups or deterministic envelopes",
        )
        .hint("add --format sealed"));
    }
    Ok(())
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
    let binding = location.binding()?;
    let sealer = sealer.plain_values(PlainValues::Json);
    let sealer = of_pattern(resources, sealer, location);
    let sealer = for_user(resources, sealer, location, false).await?;
    let stored = read_envelope()?;
    // Tools such as redis-cli print a line feed at the end, which no envelope in text form contains.
    let text = stored.strip_suffix(b"\n").unwrap_or(&stored);
    let exact = sealer.open(&stored, binding);
    let opened = match exact {
        Ok(opened) if opened.as_ref().is_none_or(|o| o.form.key().is_some()) => Ok(opened),
        other => sealer.open(text, binding).or(other),
    }?;
    let is_decoy = opened.is_some() && location.is_decoy(resources);
    record_opened(resources, "open", &location.shown(resources), is_decoy)?;
    Ok(opened.map_or_else(Vec::new, |opened| opened.value.into_owned()))
}

/// Returns the sealer with the group of the record's pattern, and without a keyring with its versions.
fn of_pattern(resources: &Resources, sealer: Sealer, location: &EnvelopeLocation) -> Sealer {
    let name = location.record.as_deref().unwrap_or_default();
    let Ok(protected) = resources.configuration.protected_records(name) else {
        return sealer;
    };
    let sealer = sealer.in_group(protected.group.clone());
    match resources.configuration.has_keyring() {
        true => sealer,
        false => sealer.rules(protected.rules),
    }
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
