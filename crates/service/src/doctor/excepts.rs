//! Checks of the records that are excepted from patterns: that they exist, and that they are plain.

use waxseal_core::{Binding, Mode};
use waxseal_stores::{Record, RecordName, RecordPattern, RecordStore, Slot};
use waxseal_units::thousands;

use super::{Findings, reach};
use crate::Failure;
use crate::configuration::protected::Protected;
use crate::resources::{Resources, keys};

const SAMPLE: usize = 500;
/// The hint where excepted values are sealed.
const DECRYPT: &str = "they can still be read, but the server cannot operate on them, and moving them (RENAME, COPY, LMOVE, SORT STORE, …) or \
                       changing them in place (APPEND, SETRANGE, …) makes them unreadable: waxseal decrypt --excepted --yes writes \
                       them plain, before a proxy gets the new excepts and once more after its restart";

/// A sample of the records that an except matches.
pub struct ExceptedSample {
    /// True if any were found.
    is_some: bool,
    /// True if all were read.
    is_whole: bool,
    /// The number of values that are sealed.
    pub sealed: u64,
}

pub(super) async fn check(
    resources: &Resources,
    store: &dyn RecordStore,
    findings: &mut Findings,
) -> Result<(), Failure> {
    for protected in &resources.configuration.protected {
        let excepts = protected
            .pattern
            .excepts()
            .zip(protected.pattern.shown_excepts());
        for (except, shown) in excepts {
            check_one(resources, store, protected, (except, shown), findings).await?;
        }
    }
    Ok(())
}

async fn check_one(
    resources: &Resources,
    store: &dyn RecordStore,
    protected: &Protected,
    (except, shown): (&str, &str),
    findings: &mut Findings,
) -> Result<(), Failure> {
    let records = protected.pattern.shown();
    let named = named(shown, records);
    let sample = sample(resources, store, protected, except).await?;
    if !sample.is_some {
        if sample.is_whole {
            findings.warn(
                "excepts",
                match RecordPattern::is_one_name(except) {
                    true => format!("{named} matches nothing"),
                    false => format!("no record of {records} matches {named}"),
                },
                "check the spelling; short-lived records such as locks may be absent now",
            );
        }
        return Ok(());
    }
    match sample.sealed {
        0 => findings.ok(
            "excepts",
            format!("values under {named} are plain, in a sample"),
        ),
        values => findings.warn(
            "excepts",
            match values {
                1 => format!("1 sampled value under {named} is still sealed"),
                _ => {
                    let values = thousands(values);
                    format!("{values} sampled values under {named} are still sealed")
                }
            },
            DECRYPT,
        ),
    }
    Ok(())
}

/// Returns an except as texts name it.
fn named(shown: &str, records: &str) -> String {
    match shown {
        "one record" => format!("an except of {records} that names one record"),
        glob => format!("the except {glob}"),
    }
}

/// Samples the records of a pattern that one of its excepts matches.
pub async fn sample(
    resources: &Resources,
    store: &dyn RecordStore,
    protected: &Protected,
    except: &str,
) -> Result<ExceptedSample, Failure> {
    let glob = RecordPattern::parse(except)?;
    let mut found = reach::sample(store, &glob, SAMPLE).await?;
    let names = &mut found.names;
    names.retain(|name| protected.pattern.matches(name.as_bytes()));
    Ok(ExceptedSample {
        is_some: !names.is_empty(),
        is_whole: found.is_whole,
        sealed: sealed(resources, store, protected, names).await?,
    })
}

/// The number of values that are sealed.
async fn sealed(
    resources: &Resources,
    store: &dyn RecordStore,
    protected: &Protected,
    names: &[RecordName],
) -> Result<u64, Failure> {
    let mut sealed = 0;
    for (name, held) in names.iter().zip(store.read_sample(names).await?) {
        let values = match held {
            Some(Record::String(stored)) => vec![(Slot::Whole, stored)],
            Some(record) if record.has_slots() => reach::some_slots(store, name).await?,
            Some(_) | None => continue,
        };
        let sealer = keys::record_sealer(resources, protected, Mode::On, name.as_bytes(), false);
        let sealer = sealer.await?;
        for (slot, stored) in values {
            // A value that names an unknown key is sealed as well.
            let opened = sealer.open(
                &stored,
                Binding::of_value(slot.kind(), name.as_bytes(), slot.field()),
            );
            let is_plain = opened.is_ok_and(|it| it.is_none_or(|it| it.form.key().is_none()));
            sealed += u64::from(!is_plain);
        }
    }
    Ok(sealed)
}
