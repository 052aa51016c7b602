//! Sealed names of records: the store under the names that applications know, and the checks before it is used.

use std::sync::Arc;

use waxseal_core::{PadNames, SealError, Sealer};
use waxseal_keys::{LiveRing, ProtectedScope, RecordNames};
use waxseal_named::{NameTable, NamedPattern};
use waxseal_stores::{Cursor, LeftOut, NamedStore, RecordPattern, RecordStore, StoreError};

use crate::error::GuardError;
use crate::options::Options;

/// Names of a sample.
const SAMPLE: u64 = 10_000;
/// Names that are read at a time.
const PAGE: usize = 1_000;

/// How the names of records are sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedNames {
    /// The pattern of the records, as `waxseal.toml` has it (`records`): the text before its first wildcard stays in clear. It
    /// must have all records of the prefix, and can have others.
    pub scope: String,
    /// The multiple to which the sealed part is padded (`pad_names`).
    pub pad: PadNames,
}

/// What a sample of the names that are stored behind a prefix shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct NameSample {
    opened: u64,
    strays: u64,
    /// Names under unknown keys.
    unknown: u64,
}

/// Returns the store under the names that the application knows: the same one if these are in clear.
pub(crate) fn open(
    store: Arc<dyn RecordStore>,
    sealer: &Sealer,
    options: &Options,
    pattern: &RecordPattern,
) -> Result<Arc<dyn RecordStore>, GuardError> {
    let names = options.names.as_ref();
    if let Some(ring) = &options.ring {
        check_recorded(ring, &store.location(), pattern, names)?;
    }
    let Some(names) = names else {
        return Ok(store);
    };
    let scope = RecordPattern::parse(&names.scope)?.except(&options.excepts)?;
    if !scope.covers(pattern) {
        return Err(GuardError::NamesScope {
            scope: scope.shown().to_owned(),
            prefix: options.prefix.clone(),
        });
    }
    let of_ring = options.ring.as_ref().map(LiveRing::keyring);
    let keyring = of_ring.or_else(|| sealer.shared_keyring());
    let keyring = keyring.ok_or(SealError::NoKey)?;
    let shortest = scope.prefix().as_bytes().to_vec();
    let table = NameTable::of_one(scope, keyring, NamedPattern { pad: names.pad })?;
    // Whether names are sealed under these keys depends on the settings of the keyring.
    table.view().stored(&shortest)?;
    Ok(Arc::new(NamedStore::new(store, Arc::new(table))))
}

/// Refuses names that are stored otherwise than the keyring records.
fn check_recorded(
    ring: &LiveRing,
    location: &str,
    pattern: &RecordPattern,
    names: Option<&SealedNames>,
) -> Result<(), GuardError> {
    let ring = ring.ring();
    let here = ring.protected_scopes().iter();
    let here = here.filter(|it| it.store == location && it.settings.is_some());
    let here = here.filter_map(|it| Some((it, RecordPattern::parse(&it.records).ok()?)));
    let here: Vec<_> = here.filter(|(_, its)| its.overlaps(pattern)).collect();
    let covering: Vec<_> = here.iter().filter(|(_, its)| its.covers(pattern)).collect();
    let patterns = covering.iter().map(|(_, its)| its.clone()).collect();
    // The most specific of those that have all records of the prefix.
    let resolved = RecordPattern::resolve(patterns);
    let owner = covering.iter().zip(&resolved);
    let mut owner = owner.filter(|(_, resolved)| resolved.yields_to().next().is_none());
    let deciding: Vec<&ProtectedScope> = match owner.next() {
        Some(((scope, _), _)) => vec![*scope],
        None => here.iter().map(|(scope, _)| *scope).collect(),
    };
    for scope in deciding {
        let recorded = scope
            .settings
            .as_ref()
            .filter(|it| it.names != RecordNames::Plain)
            .map(|it| it.pad_names.unwrap_or(1));
        let records = scope.shown_records();
        match (names, recorded) {
            (None, Some(_)) => return Err(GuardError::SealedNames { records }),
            (Some(_), None) => return Err(GuardError::PlainNames { records }),
            (Some(names), Some(recorded)) if names.pad.get() != recorded => {
                return Err(GuardError::PadNames {
                    records,
                    recorded,
                    configured: names.pad.get(),
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Refuses keys under which no name of a sample opens, while some are under other keys: values could not tell, since no record
/// would be found. With `is_start`, names in clear are refused as well: their records would not be found either.
pub(crate) async fn check_sample(
    named: &NamedStore,
    patterns: impl IntoIterator<Item = &RecordPattern>,
    is_start: bool,
) -> Result<(), GuardError> {
    for pattern in patterns {
        let sample = match sample(named, pattern, is_start).await {
            // A user without the right to scan relies on the canary.
            Err(GuardError::Store(StoreError::Denied { .. } | StoreError::NoCommand { .. })) => {
                return Ok(());
            }
            sample => sample?,
        };
        let records = pattern.shown().to_owned();
        if sample.unknown > 0 && sample.opened == 0 {
            let count = sample.unknown;
            return Err(GuardError::NamesUnderOtherKeys { records, count });
        }
        if sample.strays > 0 && is_start {
            let count = sample.strays;
            return Err(GuardError::NamesInClear { records, count });
        }
    }
    Ok(())
}

/// Takes a sample; of one that is not `whole`, the first name that opens is enough.
async fn sample(
    named: &NamedStore,
    pattern: &RecordPattern,
    whole: bool,
) -> Result<NameSample, GuardError> {
    let count = |of| {
        let counts = named.left_out().into_iter();
        counts
            .filter(move |(reason, _)| *reason == of)
            .map(|(_, it)| it)
    };
    let left_out = |of| count(of).sum::<u64>();
    let before = (left_out(LeftOut::Stray), left_out(LeftOut::UnknownKey));
    let (mut cursor, mut examined) = (Cursor::start(), 0_u64);
    let mut sample = NameSample::default();
    while examined < SAMPLE && (whole || sample.opened == 0) {
        let page = named.scan(pattern, &cursor, PAGE).await?;
        examined = examined.saturating_add(page.examined.max(1));
        let names = page.names.iter();
        let is_sealed = |name: &&_| named.stored(name).is_ok_and(|stored| *stored != **name);
        sample.opened += names.filter(is_sealed).count() as u64;
        match page.next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    sample.strays = left_out(LeftOut::Stray).saturating_sub(before.0);
    sample.unknown = left_out(LeftOut::UnknownKey).saturating_sub(before.1);
    Ok(sample)
}
