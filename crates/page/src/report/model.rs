//! What an audit counted. The JSON of `waxseal audit`, what is signed and what a page shows are all this
//! one structure, so that they cannot differ. Names of records are not in it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The only kind of report there is.
pub const KIND: &str = "audit";

/// A report of an audit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The kind of report: `audit`.
    pub report: String,
    /// The version of Waxseal that counted.
    pub waxseal: String,
    /// When the counting began (RFC 3339, UTC).
    pub began: String,
    /// When it ended.
    pub ended: String,
    /// The environment.
    pub environment: String,
    /// Where the records were, without credentials.
    pub store: String,
    /// Whether every value was opened, or sealed ones told by their headers.
    pub deep: bool,
    /// The mode of the applications, as the process that counted was configured. Older reports say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Whether plain values are accepted where they are read: in every mode but `required`. Then anyone who
    /// can write to the store can put a plain value in the place of a sealed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepts_plain: Option<bool>,
    /// Whether no value was plain and no record of a type whose values cannot be sealed. Never where
    /// nothing was counted although records are there ([`Unmatched::may_be_misconfigured`]).
    pub clean: bool,
    /// The ring; `None` where keys came from the environment.
    pub keyring: Option<RingVersion>,
    /// All patterns together.
    pub total: Counts,
    /// Each pattern.
    pub patterns: Vec<Pattern>,
    /// Each key, over all patterns.
    pub keys: Vec<Key>,
    /// Patterns that no record matches. Left out where each matches something.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmatched: Vec<Unmatched>,
}

/// A pattern that no record matches, and what is there instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmatched {
    /// The pattern.
    pub records: String,
    /// Records of the database that are not Waxseal's own; `None` where that is not known.
    pub in_database: Option<u64>,
    /// Other databases of the same server that hold records that match.
    pub other_databases: Vec<u32>,
    /// True if all other databases were looked into.
    pub looked_everywhere: bool,
}

impl Unmatched {
    /// True if it may be the wrong pattern, or the wrong database: an empty one leaves no doubt.
    #[must_use]
    pub fn may_be_misconfigured(&self) -> bool {
        self.in_database != Some(0) || !self.other_databases.is_empty()
    }
}

impl Report {
    /// Whether a sealed value can be replaced by a plain one unnoticed.
    #[must_use]
    pub fn allows_downgrade(&self) -> bool {
        self.accepts_plain == Some(true) && self.total.sealed > 0
    }

    /// True if every value found is excepted from its pattern: then "nothing is plain" says nothing.
    #[must_use]
    pub fn excepts_everything(&self) -> bool {
        let (total, excepted) = (&self.total, &self.total.excepted);
        !excepted.is_empty() && total.total <= excepted.sealed && total.other_types.is_empty()
    }

    /// True if nothing was counted although records are there, or those of a pattern are in another
    /// database: then "nothing is plain" says nothing.
    #[must_use]
    pub fn is_inconclusive(&self) -> bool {
        let total = &self.total;
        let nothing = total.total == 0 && total.other_types.is_empty() && total.excepted.is_empty();
        let mut unmatched = self.unmatched.iter();
        unmatched.any(|it| !it.other_databases.is_empty() || nothing && it.may_be_misconfigured())
    }
}

/// A ring at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingVersion {
    /// Its id.
    pub ring: String,
    /// Its version.
    pub version: u64,
}

/// How many values lie there in which way. Each is counted in `total` and in one of the others;
/// `classic` are those of `sealed` that are in the classic format.
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
    /// Of those that cannot be opened: records that could not be read, or not to their end. Their values may
    /// be plain.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unseen: u64,
    /// Records, not values, of types whose values cannot be sealed, by type.
    pub other_types: BTreeMap<String, u64>,
    /// Records excepted from the pattern. Left out where there is nothing.
    #[serde(default, skip_serializing_if = "ExceptCounts::is_empty")]
    pub excepted: ExceptCounts,
}

/// Values and records under names that are excepted from a pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptCounts {
    /// Plain values, as they are meant to be. In no other count.
    pub plain: u64,
    /// Values that are sealed, from the time before the except. Counted as all others are, too.
    pub sealed: u64,
    /// Records of types whose values cannot be sealed. In no other count.
    pub other_types: u64,
}

impl ExceptCounts {
    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Plain values, and records of types that cannot be sealed.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.plain.saturating_add(self.other_types)
    }
}

/// Whether there are none. Reports of earlier versions do not have the word.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The same in percent of all values, with two decimals.
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

/// What lies under one pattern.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pattern {
    /// Its configured name.
    pub name: String,
    /// The pattern.
    pub records: String,
    /// How its values lie there.
    #[serde(flatten)]
    pub counts: Counts,
    /// The same in percent.
    pub percent: Shares,
    /// Its values by format, key and type of record.
    pub groups: Vec<Group>,
}

/// Values of one format under one key in one type of record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// In which way they lie there: `sealed`, `classic`, `plain`, ….
    pub format: String,
    /// The id of their key.
    pub key: Option<String>,
    /// Its state.
    pub key_state: Option<String>,
    /// The type of record.
    pub kind: String,
    /// How many.
    pub values: u64,
    /// In percent of the pattern's values.
    pub percent: f64,
    /// Their stored bytes.
    pub bytes: u64,
    /// When they expire.
    #[serde(flatten)]
    pub lifetime: Lifetime,
}

/// What lies under one key, over all patterns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// Its id.
    pub id: String,
    /// Its state; `unknown` for one that the keyring does not hold.
    pub state: String,
    /// Values under it.
    pub values: u64,
    /// In percent of all values.
    pub percent: f64,
    /// Their stored bytes.
    pub bytes: u64,
    /// When they expire.
    #[serde(flatten)]
    pub lifetime: Lifetime,
    /// How many expire when; `None` where that was not asked, or none of them expires.
    pub expiries: Option<Expiries>,
}

/// When values expire. Asked only of what is under a key that seals no more, so elsewhere all of it is
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifetime {
    /// When the first of them expires.
    pub first_expiry: Option<String>,
    /// When the last of them expires.
    pub last_expiry: Option<String>,
    /// From when on none of them is left; `None` where some do not expire, or all are gone.
    pub unused_from: Option<String>,
    /// How many of them do not expire.
    pub without_expiry: u64,
}

/// How many values expire when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiries {
    /// When the counting ended (milliseconds since the Unix epoch).
    pub counted_ms: u64,
    /// How long each stretch is, in milliseconds.
    pub width_ms: u64,
    /// Each stretch in which values expire, in order of time.
    pub stretches: Vec<ExpiryBucket>,
}

/// How many values expire in one stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiryBucket {
    /// When it begins (milliseconds since the Unix epoch).
    pub from_ms: u64,
    /// How many values expire in it.
    pub values: u64,
}

impl Counts {
    /// Adds those of another pattern.
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

    /// Whether everything was seen, and nothing is plain or of a type whose values cannot be sealed.
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

    /// In percent of all values.
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

/// A part of a whole in percent, with two decimals. What is not all is never 100, and what is not nothing
/// never 0.
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
    fn one_among_millions_is_neither_nothing_nor_lost_in_all() {
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
    fn what_was_not_seen_is_not_clean() {
        let mut counts = Counts::default();
        assert!(counts.is_clean());
        counts.unseen = 1;
        assert!(!counts.is_clean());
    }

    #[test]
    fn patterns_add_up() {
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
