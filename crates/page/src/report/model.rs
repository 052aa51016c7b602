//! The report of an audit. The JSON of `waxseal audit`, the signed document and the page are all this one structure, so that they
//! cannot differ. It contains no names of records.

use serde::{Deserialize, Serialize};

use crate::counts::{Counts, Shares};

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
