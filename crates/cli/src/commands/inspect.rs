//! `inspect`: what lies in a record, what opening would answer, and why. No value is printed.

use serde::Serialize;
use waxseal_core::{OpenError, Sealer, Shape};
use waxseal_service::resources::keys::binding;
use waxseal_service::resources::{Resources, keys, named};
use waxseal_service::{Ended, Failure};
use waxseal_stores::{Cursor, Held, Lifetime, RecordName, Slot};

use crate::args::{InspectArgs, to_hex};
use crate::output;

/// Slots of a hash or list that are told one by one.
const SHOWN: usize = 100;

#[derive(Serialize)]
struct Report {
    #[serde(rename = "type")]
    kind: String,
    expires: Option<String>,
    /// The pattern that it is excepted from.
    #[serde(skip_serializing_if = "Option::is_none")]
    excepted_from: Option<String>,
    values: Vec<ValueReport>,
    more_values: bool,
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
    let kind = held.kind().to_owned();
    let (slots, more_values) = match held {
        Held::String(stored) => (vec![(Slot::Whole, stored)], false),
        Held::Hash | Held::List => {
            let page = store.read_slots(&name, &Cursor::start(), SHOWN).await?;
            (page.slots, page.next.is_some())
        }
        Held::Other(_) => (Vec::new(), false),
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
    let value = |(slot, stored): &(Slot, Vec<u8>)| judge(resources, &sealer, &name, slot, stored);
    let values: Vec<_> = slots.iter().map(value).collect();
    let ended = if values.iter().all(|value| value.opens) {
        Ended::Done
    } else {
        Ended::Findings
    };
    let is_excepted = protected.pattern.is_excepted(name.as_bytes());
    let report = Report {
        kind,
        expires,
        excepted_from: is_excepted.then(|| protected.pattern.shown().to_owned()),
        values,
        more_values,
    };
    if output::is_json() {
        output::json(&report)?;
    } else {
        print(&report)?;
    }
    Ok(ended)
}

fn judge(
    resources: &Resources,
    sealer: &Sealer,
    name: &RecordName,
    slot: &Slot,
    stored: &[u8],
) -> ValueReport {
    let opened = sealer.open(stored, binding(name, slot));
    let shape = Shape::of(stored);
    let header = match shape {
        Shape::Sealed { header, .. } => Some(header),
        _ => None,
    };
    let key = match &opened {
        Ok(Some(opened)) => opened.form.key(),
        _ => header.map(|header| header.key),
    };
    let of_user = header.is_some_and(|header| header.flags.per_user_key());
    ValueReport {
        place: match slot {
            Slot::Whole => None,
            Slot::Field(field) => Some(match std::str::from_utf8(field) {
                Ok(field) => format!("field {field}"),
                // As it can be given back.
                Err(_) => format!("field --field-hex {}", to_hex(field)),
            }),
            Slot::Element(index) => Some(format!("element {index}")),
        },
        format: match shape {
            Shape::Empty => "empty".to_owned(),
            Shape::Sealed { .. } => "sealed".to_owned(),
            Shape::Malformed(defect) => format!("sealed, malformed ({defect})"),
            Shape::MaybeClassic if matches!(&opened, Ok(Some(o)) if o.form.key().is_some()) => {
                "classic".to_owned()
            }
            Shape::MaybeClassic => "Base64, perhaps classic".to_owned(),
            Shape::Plain => "plain".to_owned(),
        },
        armored: matches!(shape, Shape::Sealed { armored: true, .. }),
        key: key.map(|id| id.to_string()),
        key_state: key.map(|id| match (&opened, of_user) {
            (Err(OpenError::Erased { .. }), _) => "erased",
            (Err(OpenError::UnknownKey { .. }), true) => "unknown user key",
            (_, true) => "user key",
            (_, false) => keys::state(resources, id),
        }),
        bound_to_record: header.is_some_and(|header| header.flags.bound_to_record()),
        bound_to_field: header.is_some_and(|header| header.flags.bound_to_field()),
        size: stored.len(),
        opens: opened.is_ok(),
        answer: match &opened {
            Ok(None) => "none".to_owned(),
            Ok(Some(opened)) => format!("a value of {} bytes", opened.value.len()),
            Err(error) => explain(*error, shape),
        },
    }
}

fn explain(error: OpenError, shape: Shape) -> String {
    let why = match (error, shape) {
        (OpenError::Refused, Shape::Sealed { .. }) => {
            ": damaged, tampered with, or sealed for another record or field"
        }
        (OpenError::Refused, Shape::MaybeClassic) => {
            ": damaged, or sealed under a key that is not configured, or never sealed"
        }
        (OpenError::Refused, _) => ": neither sealed nor what a plain value looks like here",
        _ => "",
    };
    format!("{error}{why}")
}

fn print(report: &Report) -> Result<(), Failure> {
    let expires = report.expires.as_deref().unwrap_or("never");
    output::line(format!("type     {}", report.kind))?;
    output::line(format!("expires  {expires}"))?;
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
        output::line(format!("format   {}{armored}", value.format))?;
        if let (Some(key), Some(state)) = (&value.key, value.key_state) {
            output::line(format!("key      {key} ({state})"))?;
        }
        if value.format.starts_with("sealed") {
            output::line(format!(
                "bound to {}",
                match (value.bound_to_record, value.bound_to_field) {
                    (_, true) => "record and field",
                    (true, false) => "record",
                    (false, false) => "nothing",
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
    if report.values.is_empty() {
        output::line("opening  values of this type cannot be sealed")?;
    }
    Ok(())
}
