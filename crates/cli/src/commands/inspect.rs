//! `inspect`: the stored values of a record, and the result of opening each. No value is printed.

use serde::Serialize;
use waxseal_core::{Binding, EnvelopeVersion, Sealer};
use waxseal_service::resources::{Resources, keys, named, record_names};
use waxseal_service::{Ended, Failure};
use waxseal_sessions::{InspectedKey, Inspection, StoredFormat};
use waxseal_stores::{Cursor, Lifetime, Record, RecordName, Slot};

use crate::args::{InspectArgs, to_hex};
use crate::output;

/// The largest number of slots of a record that are shown.
const MAX_SHOWN: usize = 100;

#[derive(Serialize)]
struct Report {
    #[serde(rename = "type")]
    kind: String,
    expires: Option<String>,
    /// The pattern that the record is excepted from.
    #[serde(skip_serializing_if = "Option::is_none")]
    excepted_from: Option<String>,
    /// True if the name is stored sealed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    name_sealed: bool,
    /// The key that it is sealed under.
    #[serde(skip_serializing_if = "Option::is_none")]
    name_key: Option<String>,
    values: Vec<ValueReport>,
    more_values: bool,
    /// True if the record is of a type that holds several values.
    #[serde(skip)]
    has_slots: bool,
}

#[derive(Serialize)]
struct ValueReport {
    place: Option<String>,
    format: String,
    armored: bool,
    key: Option<String>,
    key_state: Option<&'static str>,
    bound_to_record: bool,
    bound_to_field: bool,
    bound_to_group: bool,
    version: Option<u8>,
    deterministic: bool,
    size: usize,
    opens: bool,
    answer: String,
}

pub(crate) async fn run(resources: &Resources, args: &InspectArgs) -> Result<Ended, Failure> {
    let name = args.name.name();
    let protected = named::protected_records(resources, name.as_bytes()).await?;
    let store = resources.open_store().await?;
    let held = store
        .read(std::slice::from_ref(&name))
        .await?
        .pop()
        .flatten();
    let Some(held) = held else {
        return Err(Failure::absent("there is no such record"));
    };
    let lifetime = store.lifetimes(std::slice::from_ref(&name)).await?.pop();
    let (kind, has_slots) = (held.kind().to_owned(), held.has_slots());
    let (slots, more_values) = match held {
        Record::String(stored) => (vec![(Slot::Whole, stored)], false),
        record if record.has_slots() => {
            let page = store.read_slots(&name, &Cursor::start(), MAX_SHOWN).await?;
            (page.slots, page.next.is_some())
        }
        _ => (Vec::new(), false),
    };
    let expires = match lifetime {
        Some(Lifetime::Until(time)) => Some(output::point_in_time(time)),
        _ => None,
    };
    let sealer = keys::record_sealer(
        resources,
        protected,
        resources.configuration.mode,
        name.as_bytes(),
        false,
    )
    .await?;
    let value = |(slot, stored): &(Slot, Vec<u8>)| inspect(resources, &sealer, &name, slot, stored);
    let values: Vec<_> = slots.iter().map(value).collect();
    let ended = if values.iter().all(|value| value.opens) {
        Ended::Done
    } else {
        Ended::Findings
    };
    let is_excepted = protected.pattern.is_excepted(name.as_bytes());
    let name_key = record_names::key_of(resources, name.as_bytes())?;
    let report = Report {
        kind,
        expires,
        name_sealed: name_key.is_some(),
        name_key: name_key.map(|id| id.to_string()),
        excepted_from: is_excepted.then(|| protected.pattern.shown().to_owned()),
        values,
        more_values,
        has_slots,
    };
    if output::is_json() {
        output::json(&report)?;
    } else {
        print(&report)?;
    }
    Ok(ended)
}

fn inspect(
    resources: &Resources,
    sealer: &Sealer,
    name: &RecordName,
    slot: &Slot,
    stored: &[u8],
) -> ValueReport {
    let inspection = Inspection::new(
        sealer,
        stored,
        Binding::of_value(slot.kind(), name.as_bytes(), slot.field()),
    );
    ValueReport {
        place: place(resources, slot),
        format: inspection.format.to_string(),
        armored: inspection.format == StoredFormat::Sealed { armored: true },
        key: inspection.key.map(|(id, _)| id.to_string()),
        key_state: inspection.key.map(|(id, kind)| match kind {
            InspectedKey::Erased => "erased",
            InspectedKey::UnknownUser => "unknown user key",
            InspectedKey::User => "user key",
            InspectedKey::Ring => keys::state(resources, id),
        }),
        bound_to_record: inspection.is_bound_to_record,
        bound_to_field: inspection.is_bound_to_field,
        bound_to_group: inspection.is_bound_to_group,
        version: inspection.version.map(EnvelopeVersion::as_u8),
        deterministic: inspection.is_deterministic,
        size: inspection.size,
        opens: inspection.opened.is_ok(),
        answer: inspection.describe_result(),
    }
}

/// Describes where a value is in its record. A member is its own value, so a keyed hash tells it from others.
fn place(resources: &Resources, slot: &Slot) -> Option<String> {
    // As it can be passed to a command.
    let field = |field: &[u8]| match std::str::from_utf8(field) {
        Ok(field) => format!("field {field}"),
        Err(_) => format!("field --field-hex {}", to_hex(field)),
    };
    match slot {
        Slot::Whole => None,
        Slot::Field(name) => Some(field(name)),
        Slot::Element(index) => Some(format!("element {index}")),
        Slot::Member(member) => {
            let shown = keys::name_mask(resources).show("", member);
            Some(format!("member {shown}"))
        }
        Slot::StreamField(at) => Some(format!("entry {}, {}", at.entry, field(&at.field))),
    }
}

fn print(report: &Report) -> Result<(), Failure> {
    let expires = report.expires.as_deref().unwrap_or("never");
    output::line(format!("type     {}", report.kind))?;
    output::line(format!("expires  {expires}"))?;
    if let Some(key) = &report.name_key {
        output::line(format!("name     sealed, key {key}"))?;
    }
    if let Some(pattern) = &report.excepted_from {
        output::line(format!(
            "excepted from {pattern}: new values are stored in plaintext"
        ))?;
    }
    for value in &report.values {
        if let Some(place) = &value.place {
            output::line("")?;
            output::line(place)?;
        }
        let armored = if value.armored { ", armored" } else { "" };
        // Version 2 is what a sealed value was before there was another.
        let version = match value.version.filter(|it| *it > EnvelopeVersion::V2.as_u8()) {
            Some(version) => format!(", version {version}"),
            None => String::new(),
        };
        let deterministic = if value.deterministic {
            ", deterministic"
        } else {
            ""
        };
        let form = format!("{}{version}{deterministic}{armored}", value.format);
        output::line(format!("format   {form}"))?;
        if let (Some(key), Some(state)) = (&value.key, value.key_state) {
            output::line(format!("key      {key} ({state})"))?;
        }
        if value.format.starts_with("sealed") {
            output::line(format!(
                "bound to {}",
                match (
                    value.bound_to_record,
                    value.bound_to_group,
                    value.bound_to_field
                ) {
                    (_, true, true) => "group and field",
                    (_, true, false) => "group",
                    (_, false, true) => "record and field",
                    (true, false, false) => "record",
                    (false, false, false) => "nothing",
                }
            ))?;
        }
        output::line(format!("size     {} bytes", value.size))?;
        output::line(format!("opening  {}", value.answer))?;
    }
    if report.more_values {
        output::line(format!(
            "\nonly the first {} values are shown",
            report.values.len()
        ))?;
    }
    if !report.has_slots && report.values.is_empty() {
        output::line("opening  values of this type cannot be sealed")?;
    }
    Ok(())
}
