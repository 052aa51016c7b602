//! The model of a sample of sealed values: the records that it is taken from, its counts, and the keys that it names.

use std::collections::BTreeMap;
use std::fmt;

use waxseal_core::{Group, KeyId, PlainValues};
use waxseal_stores::RecordPattern;

/// Keys named in a text.
const MAX_NAMED: usize = 4;

/// Records that are protected alike, with what a sample needs to know about them.
#[derive(Clone, Debug)]
pub struct GuardedRecords {
    /// The pattern of their names.
    pub pattern: RecordPattern,
    /// The form of their plain values. If that is anything, Base64 that does not open is not taken for a classic value under
    /// another key.
    pub plain: PlainValues,
    /// The group that they belong to.
    pub group: Option<Group>,
    /// True if classic values are written there ([`Sealer::expects_classic`](waxseal_core::Sealer::expects_classic)). If not, a canary that opens counts more than
    /// Base64 that does not: that may be plain as well.
    pub expects_classic: bool,
}

impl From<RecordPattern> for GuardedRecords {
    /// Records whose plain values are JSON, beside classic ones.
    fn from(pattern: RecordPattern) -> Self {
        Self {
            pattern,
            plain: PlainValues::Json,
            group: None,
            expects_classic: true,
        }
    }
}

/// The counts of a sample of values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Values that opened.
    pub opened: usize,
    /// The number of these under keys of users.
    pub opened_of_users: usize,
    /// Values that name a key which the ring knows and does not open with: a destroyed or compromised one. They were not
    /// opened, so they are not evidence against a canary of another key.
    pub named: usize,
    /// Values that are not sealed.
    pub plain: usize,
    /// Values that look like the classic format and do not open under any key. That format names no key.
    pub classic: usize,
    /// The same if no classic values are written: they may be plain.
    pub base64: usize,
    /// Damaged values, which say nothing about the key.
    pub unreadable: usize,
    /// Values under the key of a user that does not exist: evicted, or erased. They say nothing about the key.
    pub without_user_key: usize,
    /// The number of these whose user is unknown: without a key and without an erasure.
    pub unknown_users: usize,
    /// Values under keys that are not configured.
    pub unknown: BTreeMap<KeyId, usize>,
    /// Values under keys of users, if no keyring is configured that could have sealed them.
    pub of_users: usize,
    /// Values that were not opened, since only those under keys of users were requested.
    pub(super) others: usize,
}

/// The keys that the sealed values of a store are under and that are not configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealedUnder {
    /// The keys named by values and by the canary, the most frequent first.
    pub keys: Vec<KeyId>,
    /// True if there are sealed values that name no key of a keyring: classic ones, or values under keys of users.
    pub unnamed: bool,
}

impl Sample {
    /// The number of values under keys that are not configured.
    #[must_use]
    pub fn under_unknown_keys(&self) -> usize {
        self.unknown.values().sum::<usize>() + self.of_users
    }

    /// True if there are sealed values, or values that look sealed.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.sealed() > 0
    }

    /// True if there are sealed values, or values that look classic, that do not open.
    pub(super) fn is_of_other_keys(&self) -> bool {
        self.classic + self.base64 + self.under_unknown_keys() > 0
    }

    pub(super) fn sealed(&self) -> usize {
        self.opened
            + self.named
            + self.classic
            + self.base64
            + self.unreadable
            + self.without_user_key
            + self.under_unknown_keys()
    }

    pub(super) fn values(&self) -> usize {
        self.sealed() + self.plain + self.others
    }

    /// Returns the keys that are not configured, the one of the canary included.
    pub(super) fn sealed_under(&self, canary: Option<KeyId>) -> SealedUnder {
        let mut counted: Vec<_> = self
            .unknown
            .iter()
            .map(|(id, count)| (*id, *count))
            .collect();
        counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let mut keys: Vec<KeyId> = counted.into_iter().map(|(id, _)| id).collect();
        keys.extend(canary.filter(|id| !self.unknown.contains_key(id)));
        SealedUnder {
            keys,
            unnamed: self.classic + self.base64 + self.of_users > 0,
        }
    }
}

impl fmt::Display for SealedUnder {
    /// Writes the end of "it is sealed under …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.keys.is_empty() {
            return f.write_str("a key that its values do not name");
        }
        f.write_str(&named(&self.keys))
    }
}

/// Formats a list of keys for a text.
pub(crate) fn named(keys: &[KeyId]) -> String {
    let shown: Vec<_> = keys.iter().take(MAX_NAMED).map(KeyId::to_string).collect();
    let (word, list) = match shown.split_last() {
        None => return "no key".to_owned(),
        Some((only, [])) => return format!("key {only}"),
        Some((last, others)) => ("keys", format!("{} and {last}", others.join(", "))),
    };
    match keys.len().saturating_sub(MAX_NAMED) {
        0 => format!("{word} {list}"),
        more => format!("{word} {}, and {more} more", shown.join(", ")),
    }
}

impl Sample {
    /// Adds the counts of another sample.
    pub(super) fn add(&mut self, other: Self) {
        self.opened += other.opened;
        self.opened_of_users += other.opened_of_users;
        self.others += other.others;
        self.named += other.named;
        self.plain += other.plain;
        self.classic += other.classic;
        self.base64 += other.base64;
        self.unreadable += other.unreadable;
        self.without_user_key += other.without_user_key;
        self.unknown_users += other.unknown_users;
        self.of_users += other.of_users;
        for (id, count) in other.unknown {
            *self.unknown.entry(id).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_few_keys_of_many() {
        let ids = |count: u32| (1..=count).map(KeyId::from_u32).collect::<Vec<_>>();
        assert_eq!(named(&ids(1)), "key 00000001");
        assert_eq!(named(&ids(2)), "keys 00000001 and 00000002");
        let many = named(&ids(6));
        assert!(many.ends_with("00000004, and 2 more"), "{many}");
        let none = SealedUnder::default().to_string();
        assert_eq!(none, "a key that its values do not name");
    }
}
