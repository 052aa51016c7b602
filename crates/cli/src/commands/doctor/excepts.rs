//! Checks of what is excepted from patterns: that there are such records, and that they are plain.

use waxseal_core::Mode;
use waxseal_stores::{Held, RecordName, RecordPattern, RecordStore, Slot};

use super::{Findings, reach};
use crate::commands::record::binding;
use crate::error::Failure;
use crate::output::thousands;
use crate::setup::{Protected, Setup};

const SAMPLE: usize = 500;

pub(super) async fn check(
    setup: &Setup,
    store: &dyn RecordStore,
    findings: &mut Findings,
) -> Result<(), Failure> {
    for protected in &setup.protected {
        let excepts = protected
            .pattern
            .excepts()
            .zip(protected.pattern.shown_excepts());
        for (except, shown) in excepts {
            check_one(setup, store, protected, (except, shown), findings).await?;
        }
    }
    Ok(())
}

async fn check_one(
    setup: &Setup,
    store: &dyn RecordStore,
    protected: &Protected,
    (except, shown): (&str, &str),
    findings: &mut Findings,
) -> Result<(), Failure> {
    let records = protected.pattern.shown();
    let glob = RecordPattern::parse(except)?;
    let mut sample = reach::sample(store, &glob, SAMPLE).await?;
    sample
        .names
        .retain(|name| protected.pattern.matches(name.as_bytes()));
    if sample.names.is_empty() {
        if sample.is_whole {
            findings.warn(
                "excepts",
                format!("no record of {records} matches the except {shown}"),
                "look for a misspelling; what is to stay plain, such as a lock, may only be there at times",
            );
        }
        return Ok(());
    }
    let sealed = sealed(setup, store, protected, &sample.names).await?;
    match sealed {
        0 => findings.ok(
            "excepts",
            format!("what the except {shown} takes from {records} is plain, in a sample"),
        ),
        values => findings.warn(
            "excepts",
            format!(
                "{} of a sample that the except {shown} takes from {records} still sealed",
                match values {
                    1 => "1 value is".to_owned(),
                    _ => format!("{} values are", thousands(values)),
                }
            ),
            "they open all the same, and the server cannot compute on them: waxseal decrypt --excepted --yes \
             writes them plain",
        ),
    }
    Ok(())
}

/// The number of values that are sealed.
async fn sealed(
    setup: &Setup,
    store: &dyn RecordStore,
    protected: &Protected,
    names: &[RecordName],
) -> Result<u64, Failure> {
    let mut sealed = 0;
    for (name, held) in names.iter().zip(store.read_sample(names).await?) {
        let values = match held {
            Some(Held::String(stored)) => vec![(Slot::Whole, stored)],
            Some(Held::Hash | Held::List) => reach::some_slots(store, name).await?,
            Some(Held::Other(_)) | None => continue,
        };
        let sealer = setup.record_sealer(protected, Mode::On, name.as_bytes(), false);
        let sealer = sealer.await?;
        for (slot, stored) in values {
            // One that names an unknown key is sealed as well.
            let opened = sealer.open(&stored, binding(name, &slot));
            let is_plain = opened.is_ok_and(|it| it.is_none_or(|it| it.form.key().is_none()));
            sealed += u64::from(!is_plain);
        }
    }
    Ok(sealed)
}
