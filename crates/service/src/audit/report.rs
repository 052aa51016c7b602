//! The assembly of a report from the counts of the passes. Pure: everything else is an argument.

use std::collections::BTreeMap;

use waxseal_core::{KeyId, Mode};
use waxseal_keys::Ring;
use waxseal_page::report::{
    Counts, ExceptCounts, Expiries, ExpiryBucket, Group, KIND, Key, Lifetime, Pattern, Report,
    RingVersion, Unmatched, percent,
};
use waxseal_stores::RecordPattern;
use waxseal_sweep::{Class, Group as ValueGroup, Tally, ValueLocation};
use waxseal_units::point_in_time;

/// One protected pattern and its counts.
#[derive(Clone, Copy)]
pub struct AuditedPattern<'a> {
    /// Its configured name.
    pub name: &'a str,
    /// The pattern.
    pub pattern: &'a RecordPattern,
    /// The counts of the pass over its records.
    pub tally: &'a Tally,
}

/// The keys of a report: the configured ones, and the state of any key.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    /// The configured keys, in their order.
    pub configured: &'a [KeyId],
    /// Returns the state of a key, as reports name it.
    pub state: &'a dyn Fn(KeyId) -> &'static str,
}

/// The circumstances of an audit.
#[derive(Clone, Copy)]
pub struct ReportContext<'a> {
    /// The start of the count (milliseconds since the Unix epoch).
    pub began_ms: u64,
    /// The end of the count (milliseconds since the Unix epoch).
    pub ended_ms: u64,
    /// True if every value was opened.
    pub deep: bool,
    /// The name of the environment.
    pub environment: &'a str,
    /// The location of the store.
    pub store: &'a str,
    /// The configured mode.
    pub mode: Mode,
    /// The keyring, if there is one.
    pub ring: Option<&'a Ring>,
    /// The keys.
    pub keys: Keys<'a>,
}

/// Assembles the report on these patterns. `unmatched` are those of them that match no record.
#[must_use]
pub fn report(
    context: &ReportContext<'_>,
    audited: &[AuditedPattern<'_>],
    unmatched: &[Unmatched],
) -> Report {
    let patterns: Vec<_> = audited.iter().map(|it| pattern(context.keys, it)).collect();
    let mut total = Counts::default();
    patterns.iter().for_each(|it| total.add(&it.counts));
    let mut report = Report {
        report: KIND.to_owned(),
        waxseal: env!("CARGO_PKG_VERSION").to_owned(),
        began: point_in_time(context.began_ms),
        ended: point_in_time(context.ended_ms),
        environment: context.environment.to_owned(),
        store: context.store.to_owned(),
        deep: context.deep,
        mode: Some(context.mode.to_string()),
        accepts_plain: Some(context.mode != Mode::Required),
        clean: false,
        keyring: context.ring.map(|ring| RingVersion {
            ring: ring.id().to_owned(),
            version: ring.version(),
        }),
        keys: keys(context, audited, total.total),
        total,
        patterns,
        unmatched: unmatched.to_vec(),
    };
    // Only after everything else: a report that proves nothing is not clean, whatever was counted.
    let is_inconclusive = report.is_inconclusive() || report.excepts_everything();
    report.clean = report.total.is_clean() && !is_inconclusive;
    report
}

/// Converts the counts of a pass to those of reports and of the status page.
#[must_use]
pub fn counts(tally: &Tally) -> Counts {
    // Values of a version that is not accepted have the class of their key, and do not open.
    let count = |includes: fn(Class) -> bool| tally.count(includes) - tally.outdated(includes);
    Counts {
        total: tally.total,
        sealed: count(|class| {
            matches!(class, Class::Classic(_) | Class::Sealed(_) | Class::OfUser)
        }),
        classic: count(|class| matches!(class, Class::Classic(_))),
        under_user_keys: count(|class| class == Class::OfUser),
        plain: count(|class| class == Class::Plain),
        unopenable: tally.failed,
        empty: tally.empty,
        erased: tally.erased,
        unseen: tally.unseen,
        outdated: tally.outdated(|_| true),
        versions: versions(tally),
        kinds: kinds(tally),
        other_types: tally.skipped.clone(),
        // An audit reads every record, so it skips none of those that are excepted.
        excepted: ExceptCounts {
            plain: tally.excepted.plain,
            sealed: tally.excepted.sealed,
            other_types: tally.excepted.other_types,
        },
        names: crate::names::reported(&tally.names),
    }
}

/// Values by the version of what is stored.
fn versions(tally: &Tally) -> BTreeMap<String, u64> {
    let versions = tally.versions.iter();
    versions
        .map(|(version, values)| (version.as_str().to_owned(), *values))
        .collect()
}

/// Values by their kind.
fn kinds(tally: &Tally) -> BTreeMap<String, u64> {
    let mut kinds = BTreeMap::new();
    for ((_, location), group) in &tally.groups {
        *kinds.entry(location.as_str().to_owned()).or_default() += group.values;
    }
    kinds
}

fn pattern(keys: Keys<'_>, audited: &AuditedPattern<'_>) -> Pattern {
    let counts = counts(audited.tally);
    let pattern = audited.pattern.as_str();
    // The whole name of a record must not reach those who read the report.
    let shown = |text: &str| match text == pattern && RecordPattern::is_one_name(text) {
        true => "one record".to_owned(),
        false => text.to_owned(),
    };
    let groups = audited.tally.groups.iter();
    Pattern {
        name: shown(audited.name),
        records: shown(pattern),
        percent: counts.shares(),
        groups: groups
            .map(|(&(class, location), group)| {
                value_group(keys, class, location, group, counts.total)
            })
            .collect(),
        counts,
    }
}

fn value_group(
    keys: Keys<'_>,
    class: Class,
    location: ValueLocation,
    group: &ValueGroup,
    total: u64,
) -> Group {
    let (format, key) = format_and_key(class);
    let state = match class {
        Class::OfUser => Some("user key"),
        Class::Erased => Some("erased"),
        _ => key.map(|id| (keys.state)(id)),
    };
    Group {
        format: format.to_owned(),
        key: key.map(|id| id.to_string()),
        key_state: state.map(str::to_owned),
        kind: location.kind().to_owned(),
        values: group.values,
        percent: percent(group.values, total),
        bytes: group.bytes,
        lifetime: lifetime(group),
    }
}

/// Returns every configured key, then every other key that values were found under.
fn keys(context: &ReportContext<'_>, audited: &[AuditedPattern<'_>], total: u64) -> Vec<Key> {
    let mut ids = context.keys.configured.to_vec();
    let mut sums: BTreeMap<KeyId, ValueGroup> = BTreeMap::new();
    let mut expiries: BTreeMap<KeyId, waxseal_sweep::Expiries> = BTreeMap::new();
    for AuditedPattern { tally, .. } in audited {
        for (&(class, _), group) in &tally.groups {
            if let (_, Some(id)) = format_and_key(class) {
                sums.entry(id).or_default().add(group);
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
        let sum = sums.get(&id).copied().unwrap_or_default();
        Key {
            id: id.to_string(),
            state: (context.keys.state)(id).to_owned(),
            values: sum.values,
            percent: percent(sum.values, total),
            bytes: sum.bytes,
            lifetime: lifetime(&sum),
            expiries: expiries
                .get(&id)
                .map(|it| expiry_buckets(it, context.ended_ms)),
        }
    };
    ids.into_iter().map(key).collect()
}

fn expiry_buckets(expiries: &waxseal_sweep::Expiries, now_ms: u64) -> Expiries {
    let buckets = expiries.buckets();
    Expiries {
        counted_ms: now_ms,
        width_ms: expiries.width_ms(),
        stretches: buckets
            .map(|(from_ms, values)| ExpiryBucket { from_ms, values })
            .collect(),
    }
}

fn lifetime(group: &ValueGroup) -> Lifetime {
    let last = group.last_expiry.map(point_in_time);
    Lifetime {
        first_expiry: group.first_expiry.map(point_in_time),
        unused_from: last.clone().filter(|_| group.without_expiry == 0),
        last_expiry: last,
        without_expiry: group.without_expiry,
    }
}

/// Returns the name of a class in reports, and its key.
fn format_and_key(class: Class) -> (&'static str, Option<KeyId>) {
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

#[cfg(test)]
mod tests {
    use waxseal_sweep::StoredVersion;

    use super::*;

    const MODE: Mode = Mode::On;

    fn tally(groups: &[(Class, u64)]) -> Tally {
        let mut tally = Tally::default();
        for &(class, values) in groups {
            let group = ValueGroup {
                values,
                bytes: values * 10,
                ..ValueGroup::default()
            };
            tally.total += values;
            tally.groups.insert((class, ValueLocation::String), group);
            if let Class::Sealed(_) = class {
                *tally.versions.entry(StoredVersion::V2).or_default() += values;
            }
        }
        tally
    }

    fn report_on(pattern: &str, tally: &Tally, unmatched: &[Unmatched]) -> Report {
        let configured = [KeyId::from_u32(1), KeyId::from_u32(2)];
        let context = ReportContext {
            began_ms: 0,
            ended_ms: 1_000,
            deep: false,
            environment: "default",
            store: "memory",
            mode: MODE,
            ring: None,
            keys: Keys {
                configured: &configured,
                state: &|id| match configured.iter().position(|it| *it == id) {
                    Some(0) => "sealing",
                    Some(_) => "opening",
                    None => "unknown",
                },
            },
        };
        let pattern = RecordPattern::parse(pattern).unwrap();
        let audited = AuditedPattern {
            name: pattern.as_str(),
            pattern: &pattern,
            tally,
        };
        report(&context, &[audited], unmatched)
    }

    #[test]
    fn every_configured_key_is_listed_and_those_that_values_are_under() {
        let (one, other) = (KeyId::from_u32(1), KeyId::from_u32(9));
        let tally = tally(&[(Class::Sealed(one), 3), (Class::UnknownKey(other), 1)]);
        let report = report_on("wa:*", &tally, &[]);
        let keys: Vec<_> = report
            .keys
            .iter()
            .map(|it| (it.state.as_str(), it.values))
            .collect();
        assert_eq!(keys, [("sealing", 3), ("opening", 0), ("unknown", 1)]);
        assert_eq!(report.keys[0].percent, 75.0);
        assert_eq!(report.total.versions, [("2".to_owned(), 3)].into());
        assert_eq!(report.total.kinds, [("string".to_owned(), 4)].into());
    }

    #[test]
    fn only_values_that_are_all_sealed_are_clean() {
        let key = KeyId::from_u32(1);
        let sealed = tally(&[(Class::Sealed(key), 3)]);
        assert!(report_on("wa:*", &sealed, &[]).clean);
        let plain = tally(&[(Class::Sealed(key), 3), (Class::Plain, 1)]);
        assert!(!report_on("wa:*", &plain, &[]).clean);
        let elsewhere = Unmatched {
            records: "wa:*".to_owned(),
            in_database: Some(7),
            other_databases: Vec::new(),
            looked_everywhere: true,
        };
        assert!(!report_on("wa:*", &Tally::default(), &[elsewhere]).clean);
        let mut excepted = Tally::default();
        excepted.excepted.plain = 1;
        assert!(!report_on("wa:*", &excepted, &[]).clean);
    }

    #[test]
    fn values_of_a_version_that_is_not_accepted_are_not_sealed_and_not_clean() {
        let class = Class::Sealed(KeyId::from_u32(1));
        let mut tally = tally(&[(class, 3)]);
        tally.failed = 1;
        tally.outdated.insert(class, 1);
        let report = report_on("wa:*", &tally, &[]);
        let total = &report.total;
        assert_eq!((total.sealed, total.unopenable, total.outdated), (2, 1, 1));
        assert!(!report.clean);
        // Its key is still needed.
        assert_eq!(report.keys[0].values, 3);
    }

    #[test]
    fn a_pattern_that_is_the_name_of_a_record_is_not_shown() {
        let report = report_on("wa:5215512345678", &Tally::default(), &[]);
        assert_eq!(report.patterns[0].records, "one record");
        assert_eq!(report.patterns[0].name, "one record");
    }
}
