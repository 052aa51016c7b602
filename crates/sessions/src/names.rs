//! Sealed names of records: the store under the names that applications know, and the checks before it is used.

use std::sync::Arc;

use waxseal_core::{PadNames, SealError, Sealer};
use waxseal_keys::{LiveRing, ProtectedScope, RecordNames};
use waxseal_named::{NameTable, NamedPattern};
use waxseal_stores::{Cursor, LeftOut, NamedStore, RecordPattern, RecordStore, StoreError};

use crate::error::{GuardError, NameFault};
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
    /// In clear.
    strays: u64,
    /// Under unknown keys.
    unknown: u64,
    /// Damaged, or padded otherwise.
    junk: u64,
    /// Under former keys.
    other_forms: u64,
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
/// would be found. At a start, all names are refused under which records would not be found.
pub(crate) async fn check_sample(
    named: &NamedStore,
    patterns: &[RecordPattern],
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
        let [of_clear, of_former, of_others] = [
            (sample.strays, NameFault::InClear),
            (sample.other_forms, NameFault::FormerKey),
            (sample.unknown + sample.junk, NameFault::OtherKeys),
        ];
        let is_other = sample.opened == 0 && sample.other_forms == 0;
        let (count, fault) = match is_start {
            true if is_other && of_others.0 > 0 => of_others,
            true if of_clear.0 > 0 => of_clear,
            true => of_former,
            false if is_other => (sample.unknown, NameFault::OtherKeys),
            false => continue,
        };
        if count > 0 {
            return Err(GuardError::Names {
                records,
                count,
                fault,
            });
        }
    }
    Ok(())
}

impl NameSample {
    /// What scans have left out until now.
    fn left_out(named: &NamedStore) -> Self {
        let mut left_out = Self {
            other_forms: named.other_forms(),
            ..Self::default()
        };
        for (reason, count) in named.left_out() {
            match reason {
                LeftOut::Stray => left_out.strays = count,
                LeftOut::UnknownKey => left_out.unknown = count,
                LeftOut::Junk => left_out.junk = count,
                LeftOut::Foreign => {}
            }
        }
        left_out
    }
}

/// Takes a sample; of one that is not `whole`, the first name that opens is enough.
async fn sample(
    named: &NamedStore,
    pattern: &RecordPattern,
    whole: bool,
) -> Result<NameSample, GuardError> {
    let before = NameSample::left_out(named);
    let (mut cursor, mut examined, mut opened) = (Cursor::start(), 0_u64, 0);
    while examined < SAMPLE && (whole || opened == 0) {
        let page = named.scan(pattern, &cursor, PAGE).await?;
        examined = examined.saturating_add(page.examined.max(1));
        let names = page.names.iter();
        let is_sealed = |name: &&_| named.stored(name).is_ok_and(|stored| *stored != **name);
        opened += u64::try_from(names.filter(is_sealed).count()).unwrap_or(u64::MAX);
        match page.next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    // Other passes over the same store count as well: they see no other names.
    let left_out = NameSample::left_out(named);
    Ok(NameSample {
        opened,
        strays: left_out.strays.saturating_sub(before.strays),
        unknown: left_out.unknown.saturating_sub(before.unknown),
        junk: left_out.junk.saturating_sub(before.junk),
        other_forms: left_out.other_forms.saturating_sub(before.other_forms),
    })
}
