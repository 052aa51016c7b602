//! From what the passes counted to the report: pure, but for what the set-up says.

use std::collections::BTreeMap;

use waxseal_core::{KeyId, Mode};
use waxseal_keys::Ring;
use waxseal_page::report::{
    Counts, ExceptCounts, Expiries, ExpiryBucket, Group, KIND, Key, Lifetime, Pattern, Report,
    RingVersion, percent,
};
use waxseal_service::configuration::protected::{Protected, shown_pattern};
use waxseal_service::resources::{Resources, keys};
use waxseal_sweep::{Class, Group as Counted, Tally, ValueLocation};

use crate::output::point_in_time;

/// How it was counted.
pub(super) struct Pass {
    pub(super) began_ms: u64,
    pub(super) ended_ms: u64,
    pub(super) deep: bool,
}

pub(super) fn report(
    resources: &Resources,
    ring: Option<&Ring>,
    pass: &Pass,
    tallies: &[Tally],
) -> Report {
    let patterns = resources.configuration.protected.iter().zip(tallies);
    let patterns: Vec<_> = patterns
        .map(|(protected, tally)| pattern(resources, protected, tally))
        .collect();
    let mut total = Counts::default();
    patterns.iter().for_each(|it| total.add(&it.counts));
    Report {
        report: KIND.to_owned(),
        waxseal: env!("CARGO_PKG_VERSION").to_owned(),
        began: point_in_time(pass.began_ms),
        ended: point_in_time(pass.ended_ms),
        environment: resources.configuration.environment_name().to_owned(),
        store: resources.configuration.store.location(),
        deep: pass.deep,
        mode: Some(resources.configuration.mode.to_string()),
        accepts_plain: Some(resources.configuration.mode != Mode::Required),
        clean: total.is_clean(),
        keyring: ring.map(|ring| RingVersion {
            ring: ring.id().to_owned(),
            version: ring.version(),
        }),
        keys: keys(resources, tallies, total.total, pass.ended_ms),
        total,
        patterns,
        unmatched: Vec::new(),
    }
}

fn pattern(resources: &Resources, protected: &Protected, tally: &Tally) -> Pattern {
    let counts = Counts {
        total: tally.total,
        sealed: tally
            .count(|class| matches!(class, Class::Classic(_) | Class::Sealed(_) | Class::OfUser)),
        classic: tally.count(|class| matches!(class, Class::Classic(_))),
        under_user_keys: tally.count(|class| class == Class::OfUser),
        plain: tally.count(|class| class == Class::Plain),
        unopenable: tally.failed,
        empty: tally.empty,
        erased: tally.erased,
        unseen: tally.unseen,
        other_types: tally.skipped.clone(),
        excepted: ExceptCounts {
            plain: tally.excepted.plain,
            sealed: tally.excepted.sealed,
            other_types: tally.excepted.other_types,
        },
    };
    let groups = tally.groups.iter();
    let told = |text: &str| match text == protected.pattern.as_str() {
        // The whole name of a record stays out of what others read.
        true => shown_pattern(text),
        false => text.to_owned(),
    };
    Pattern {
        name: told(&protected.name),
        records: told(protected.pattern.as_str()),
        percent: counts.shares(),
        groups: groups
            .map(|(&(class, sight), counted)| group(resources, class, sight, counted, tally.total))
            .collect(),
        counts,
    }
}

fn group(
    resources: &Resources,
    class: Class,
    sight: ValueLocation,
    counted: &Counted,
    whole: u64,
) -> Group {
    let (format, key) = describe(class);
    let state = match class {
        Class::OfUser => Some("user key"),
        Class::Erased => Some("erased"),
        _ => key.map(|id| keys::state(resources, id)),
    };
    Group {
        format: format.to_owned(),
        key: key.map(|id| id.to_string()),
        key_state: state.map(str::to_owned),
        kind: sight.kind().to_owned(),
        values: counted.values,
        percent: percent(counted.values, whole),
        bytes: counted.bytes,
        lifetime: lifetime(counted),
    }
}

/// Every key that is configured, and every other one that values were found under.
fn keys(resources: &Resources, tallies: &[Tally], whole: u64, now_ms: u64) -> Vec<Key> {
    let mut ids = keys::ids(resources);
    let mut sums: BTreeMap<KeyId, Counted> = BTreeMap::new();
    let mut expiries: BTreeMap<KeyId, waxseal_sweep::Expiries> = BTreeMap::new();
    for tally in tallies {
        for (&(class, _), counted) in &tally.groups {
            if let (_, Some(id)) = describe(class) {
                sums.entry(id).or_default().add(counted);
            }
        }
        for (id, counted) in &tally.expiries {
            expiries.entry(*id).or_default().add(counted);
        }
    }
    let found: Vec<_> = sums
        .keys()
        .filter(|id| !ids.contains(id))
        .copied()
        .collect();
    ids.extend(found);
    let key = |id: KeyId| {
        let counted = sums.get(&id).copied().unwrap_or_default();
        Key {
            id: id.to_string(),
            state: keys::state(resources, id).to_owned(),
            values: counted.values,
            percent: percent(counted.values, whole),
            bytes: counted.bytes,
            lifetime: lifetime(&counted),
            expiries: expiries.get(&id).map(|it| stretches(it, now_ms)),
        }
    };
    ids.into_iter().map(key).collect()
}

fn stretches(expiries: &waxseal_sweep::Expiries, now_ms: u64) -> Expiries {
    let stretches = expiries.buckets();
    Expiries {
        counted_ms: now_ms,
        width_ms: expiries.width_ms(),
        stretches: stretches
            .map(|(from_ms, values)| ExpiryBucket { from_ms, values })
            .collect(),
    }
}

fn lifetime(counted: &Counted) -> Lifetime {
    let last = counted.last_expiry.map(point_in_time);
    Lifetime {
        first_expiry: counted.first_expiry.map(point_in_time),
        unused_from: last.clone().filter(|_| counted.forever == 0),
        last_expiry: last,
        without_expiry: counted.forever,
    }
}

fn describe(class: Class) -> (&'static str, Option<KeyId>) {
    match class {
        Class::Empty => ("empty", None),
        Class::Plain => ("plain", None),
        Class::Classic(id) => ("classic", Some(id)),
        Class::Sealed(id) => ("sealed", Some(id)),
        Class::OfUser => ("sealed, user's key", None),
        Class::Erased => ("erased", None),
        Class::UnknownKey(id) => ("sealed, key unknown", Some(id)),
        Class::Unopenable => ("cannot be opened", None),
    }
}
