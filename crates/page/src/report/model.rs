//! The report of an audit. The JSON of `waxseal audit`, the signed document and the page are all this one structure, so that they
//! cannot differ. It contains no names of records.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The kind of report; there is no other.
pub const KIND: &str = "audit";

/// A report of an audit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The kind of report: `audit`.
    pub report: String,
    /// The version of Waxseal that counted.
    pub waxseal: String,
    /// The start of the count (RFC 3339, UTC).
    pub began: String,
    /// The end of the count.
    pub ended: String,
    /// The environment.
    pub environment: String,
    /// The store, without credentials.
    pub store: String,
    /// True if every value was opened; otherwise sealed ones were recognized by their headers.
    pub deep: bool,
    /// The mode of the applications, from the configuration of the process that counted. Older reports lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// True if readers accept plain values, as in every mode but `required`. Then anyone who can write to the store can replace
    /// a sealed value by a plain one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepts_plain: Option<bool>,
    /// True if no value was plain and no record of a type whose values cannot be sealed. Never true if nothing was counted
    /// although records exist ([`Unmatched::may_be_misconfigured`]).
    pub clean: bool,
    /// The keyring; `None` if keys came from the environment.
    pub keyring: Option<RingVersion>,
    /// All patterns together.
    pub total: Counts,
    /// Each pattern.
    pub patterns: Vec<Pattern>,
    /// Each key, over all patterns.
    pub keys: Vec<Key>,
    /// Patterns that no record matches; omitted if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmatched: Vec<Unmatched>,
}

/// A pattern that no record matches, and the records that exist instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmatched {
    /// The pattern.
    pub records: String,
    /// The number of records in the database other than Waxseal's own; `None` if it is unknown.
    pub in_database: Option<u64>,
    /// Other databases of the same server that hold records that match.
    pub other_databases: Vec<u32>,
    /// True if all other databases were searched.
    pub looked_everywhere: bool,
}

impl Unmatched {
    /// True if the pattern or the database may be wrong, which an empty database rules out.
    #[must_use]
    pub fn may_be_misconfigured(&self) -> bool {
        self.in_database != Some(0) || !self.other_databases.is_empty()
    }
}

impl Report {
    /// True if a sealed value can be replaced by a plain one unnoticed.
    #[must_use]
    pub fn allows_downgrade(&self) -> bool {
        self.accepts_plain == Some(true) && self.total.sealed > 0
    }

    /// True if every value is excepted from its pattern, so that "nothing is plain" proves nothing.
    #[must_use]
    pub fn excepts_everything(&self) -> bool {
        let (total, excepted) = (&self.total, &self.total.excepted);
        !excepted.is_empty() && total.total <= excepted.sealed && total.other_types.is_empty()
    }

    /// True if nothing was counted although records exist, or those of a pattern are in another database, so that "nothing is
    /// plain" proves nothing.
    #[must_use]
    pub fn is_inconclusive(&self) -> bool {
        let total = &self.total;
        let nothing = total.total == 0 && total.other_types.is_empty() && total.excepted.is_empty();
        let mut unmatched = self.unmatched.iter();
        unmatched.any(|it| !it.other_databases.is_empty() || nothing && it.may_be_misconfigured())
    }
}

/// A version of a keyring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingVersion {
    /// The id of the keyring.
    pub ring: String,
    /// The version.
    pub version: u64,
}

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
    /// Records, not values, of types whose values cannot be sealed, by type.
    pub other_types: BTreeMap<String, u64>,
    /// Records excepted from the pattern; omitted if there are none.
    #[serde(default, skip_serializing_if = "ExceptCounts::is_empty")]
    pub excepted: ExceptCounts,
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

/// The stored values of one pattern.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pattern {
    /// The configured name.
    pub name: String,
    /// The pattern.
    pub records: String,
    /// The values by form.
    #[serde(flatten)]
    pub counts: Counts,
    /// The shares in percent.
    pub percent: Shares,
    /// The values by format, key and type of record.
    pub groups: Vec<Group>,
}

/// Values of one format under one key in one type of record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The form: `sealed`, `classic`, `plain`, ….
    pub format: String,
    /// The id of the key.
    pub key: Option<String>,
    /// The state of the key.
    pub key_state: Option<String>,
    /// The type of record.
    pub kind: String,
    /// The number of values.
    pub values: u64,
    /// The share of the pattern's values in percent.
    pub percent: f64,
    /// The stored bytes.
    pub bytes: u64,
    /// The expiry of the values.
    #[serde(flatten)]
    pub lifetime: Lifetime,
}

/// The stored values under one key, over all patterns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// The id.
    pub id: String,
    /// The state; `unknown` for a key that the keyring does not hold.
    pub state: String,
    /// The number of values.
    pub values: u64,
    /// The share of all values in percent.
    pub percent: f64,
    /// The stored bytes.
    pub bytes: u64,
    /// The expiry of the values.
    #[serde(flatten)]
    pub lifetime: Lifetime,
    /// The expiries over time; `None` if they were not requested, or no value expires.
    pub expiries: Option<Expiries>,
}

/// The expiry of values. It is determined only for keys that no longer seal, and is empty for others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifetime {
    /// The first expiry.
    pub first_expiry: Option<String>,
    /// The last expiry.
    pub last_expiry: Option<String>,
    /// The time from which no value is left; `None` if some do not expire, or all have expired.
    pub unused_from: Option<String>,
    /// The number of values that do not expire.
    pub without_expiry: u64,
}

/// Expiring values over time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiries {
    /// The end of the count (milliseconds since the Unix epoch).
    pub counted_ms: u64,
    /// The width of each bucket in milliseconds.
    pub width_ms: u64,
    /// The buckets that are not empty, in order of time.
    pub stretches: Vec<ExpiryBucket>,
}

/// The values that expire in one period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiryBucket {
    /// The start (milliseconds since the Unix epoch).
    pub from_ms: u64,
    /// The number of values.
    pub values: u64,
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
        self.excepted.plain += other.excepted.plain;
        self.excepted.sealed += other.excepted.sealed;
        self.excepted.other_types += other.excepted.other_types;
        for (kind, records) in &other.other_types {
            *self.other_types.entry(kind.clone()).or_default() += records;
        }
    }

    /// True if everything was read, and nothing is plain or of a type whose values cannot be sealed.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.plain == 0 && self.unseen == 0 && self.other_types.is_empty()
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
    fn unread_records_are_not_clean() {
        let mut counts = Counts::default();
        assert!(counts.is_clean());
        counts.unseen = 1;
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
            other_types: BTreeMap::from([("set".to_owned(), 2)]),
            ..Counts::default()
        };
        sum.add(&one);
        sum.add(&one);
        assert_eq!(
            (sum.total, sum.sealed, sum.classic, sum.plain),
            (6, 4, 2, 2)
        );
        assert_eq!(sum.other_type_records(), 4);
        assert!(!sum.is_clean());
    }
}
