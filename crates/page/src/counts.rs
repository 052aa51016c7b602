//! The stored values by form. Audit reports, the status page and the metrics are all derived from these counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Stored values by form. Each is counted in `total` and in one of the other fields; `classic` are those of `sealed` that are
/// in the classic format.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Values.
    pub total: u64,
    /// Sealed, in either format.
    pub sealed: u64,
    /// Of these, those in the classic format.
    pub classic: u64,
    /// Of these, those under keys of users.
    pub under_user_keys: u64,
    /// Plain.
    pub plain: u64,
    /// Sealed, and they cannot be opened.
    pub unopenable: u64,
    /// No bytes.
    pub empty: u64,
    /// Of users who were erased.
    pub erased: u64,
    /// Of those that cannot be opened: records that could not be read completely. Their values may be plain.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unseen: u64,
    /// Of those that cannot be opened: values of an older version than is accepted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub outdated: u64,
    /// Values by the version of what is stored: `plain`, `classic`, `2`, `3`. Older reports lack it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<String, u64>,
    /// Values by their kind: `string`, `list element`, `hash field`. Older reports lack it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kinds: BTreeMap<String, u64>,
    /// Records, not values, of types whose values cannot be sealed, by type.
    pub other_types: BTreeMap<String, u64>,
    /// Records excepted from the pattern; omitted if there are none.
    #[serde(default, skip_serializing_if = "ExceptCounts::is_empty")]
    pub excepted: ExceptCounts,
    /// The names of records; omitted if none are sealed here.
    #[serde(default, skip_serializing_if = "NameCounts::is_empty")]
    pub names: NameCounts,
}

/// The names of records under patterns whose names are sealed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameCounts {
    /// Plain names, which applications do not find.
    pub plain: u64,
    /// Sealed names by the id of their key.
    pub sealed: BTreeMap<String, u64>,
    /// Of these: names in another form than the one that is written.
    pub former: u64,
    /// Records that exist under two forms of one name, of which applications find one.
    pub occupied: u64,
    /// Names that have the form of sealed ones and do not open.
    pub junk: u64,
    /// Names that open, but not to one of a pattern whose names are sealed.
    pub foreign: u64,
    /// Names under a key that is not known.
    pub unknown_key: u64,
}

impl NameCounts {
    /// True if no names were counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Sealed names, under all keys.
    #[must_use]
    pub fn all_sealed(&self) -> u64 {
        self.sealed.values().sum()
    }

    /// Names that have the form of sealed ones, and that applications cannot use.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.junk + self.foreign + self.unknown_key
    }

    /// Records that applications and passes over values do not find by their names, and whose values were therefore not read,
    /// without those whose names were never sealed under any key.
    #[must_use]
    pub fn not_found(&self) -> u64 {
        self.plain + self.former + self.foreign + self.unknown_key
    }

    fn add(&mut self, other: &Self) {
        self.plain += other.plain;
        self.former += other.former;
        self.occupied += other.occupied;
        self.junk += other.junk;
        self.foreign += other.foreign;
        self.unknown_key += other.unknown_key;
        for (key, names) in &other.sealed {
            *self.sealed.entry(key.clone()).or_default() += names;
        }
    }
}

/// Values and records under names that are excepted from a pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptCounts {
    /// Plain values, as intended. No other count includes them.
    pub plain: u64,
    /// Values that were sealed before the except was added. The other counts include them.
    pub sealed: u64,
    /// Records of types whose values cannot be sealed. No other count includes them.
    pub other_types: u64,
}

impl ExceptCounts {
    /// True if nothing is excepted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Plain values, and records of types that cannot be sealed.
    #[must_use]
    pub fn unsealed(&self) -> u64 {
        self.plain.saturating_add(self.other_types)
    }
}

/// True for 0, which is omitted. Reports of earlier versions lack the field.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Shares of all values in percent, with two decimals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    /// Sealed, in either format.
    pub sealed: f64,
    /// Of these, those in the classic format.
    pub classic: f64,
    /// Plain.
    pub plain: f64,
    /// Sealed, and they cannot be opened.
    pub unopenable: f64,
    /// No bytes.
    pub empty: f64,
    /// Of users who were erased.
    pub erased: f64,
}

impl Counts {
    /// Adds the counts of another pattern.
    pub fn add(&mut self, other: &Self) {
        self.total += other.total;
        self.sealed += other.sealed;
        self.classic += other.classic;
        self.under_user_keys += other.under_user_keys;
        self.plain += other.plain;
        self.unopenable += other.unopenable;
        self.empty += other.empty;
        self.erased += other.erased;
        self.unseen += other.unseen;
        self.outdated += other.outdated;
        self.names.add(&other.names);
        self.excepted.plain += other.excepted.plain;
        self.excepted.sealed += other.excepted.sealed;
        self.excepted.other_types += other.excepted.other_types;
        for (sums, counts) in [
            (&mut self.versions, &other.versions),
            (&mut self.kinds, &other.kinds),
            (&mut self.other_types, &other.other_types),
        ] {
            for (name, count) in counts {
                *sums.entry(name.clone()).or_default() += count;
            }
        }
    }

    /// Values that are sealed, and in an older version than this one of the sealed format: classic ones are older than
    /// all. Values that do not open count by their headers.
    #[must_use]
    pub fn sealed_before(&self, version: u8) -> u64 {
        let is_older =
            |name: &str| name == "classic" || name.parse().is_ok_and(|it: u8| it < version);
        let older = self.versions.iter().filter(|(name, _)| is_older(name));
        older.fold(0, |sum, (_, values)| sum.saturating_add(*values))
    }

    /// True if everything was read, and nothing is plain, of an older version than is accepted, or of a type whose values
    /// cannot be sealed.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.plain == 0 && self.unseen == 0 && self.outdated == 0 && self.other_types.is_empty()
    }

    /// Records of types whose values cannot be sealed.
    #[must_use]
    pub fn other_type_records(&self) -> u64 {
        self.other_types
            .values()
            .fold(0, |sum, records| sum.saturating_add(*records))
    }

    /// The shares of all values in percent.
    #[must_use]
    pub fn shares(&self) -> Shares {
        let of = |part| percent(part, self.total);
        Shares {
            sealed: of(self.sealed),
            classic: of(self.classic),
            plain: of(self.plain),
            unopenable: of(self.unopenable),
            empty: of(self.empty),
            erased: of(self.erased),
        }
    }
}

/// A part of a whole in percent, with two decimals. It is 100 only for the whole, and 0 only for nothing.
#[must_use]
pub fn percent(part: u64, whole: u64) -> f64 {
    let share = part as f64 / whole.max(1) as f64 * 100.0;
    let rounded = (share * 100.0).round() / 100.0;
    match part {
        0 => 0.0,
        _ if part >= whole => 100.0,
        _ => rounded.clamp(0.01, 99.99),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_among_millions_is_neither_0_nor_100_percent() {
        let millions = 10_000_000;
        let shares = [
            (0, 0),
            (0, 7),
            (7, 7),
            (1, 3),
            (1, millions),
            (millions - 1, millions),
        ];
        let shares = shares.map(|(part, whole)| percent(part, whole));
        assert_eq!(shares, [0.0, 0.0, 100.0, 33.33, 0.01, 99.99]);
    }

    #[test]
    fn unread_records_and_outdated_values_are_not_clean() {
        let mut counts = Counts::default();
        assert!(counts.is_clean());
        counts.unseen = 1;
        assert!(!counts.is_clean());
        counts.unseen = 0;
        counts.outdated = 1;
        assert!(!counts.is_clean());
    }

    #[test]
    fn counts_of_patterns_add_up() {
        let mut sum = Counts::default();
        let one = Counts {
            total: 3,
            sealed: 2,
            classic: 1,
            plain: 1,
            versions: [("classic", 1), ("2", 1), ("3", 1), ("plain", 5)]
                .map(|(name, values)| (name.to_owned(), values))
                .into(),
            kinds: [("string".to_owned(), 3)].into(),
            other_types: BTreeMap::from([("set".to_owned(), 2)]),
            ..Counts::default()
        };
        sum.add(&one);
        sum.add(&one);
        assert_eq!(
            (sum.total, sum.sealed, sum.classic, sum.plain),
            (6, 4, 2, 2)
        );
        assert_eq!((sum.kinds["string"], sum.versions["3"]), (6, 2));
        assert_eq!((sum.sealed_before(3), sum.sealed_before(2)), (4, 2));
        assert_eq!(sum.other_type_records(), 4);
        assert!(!sum.is_clean());
    }
}
