//! Keyring: several data keys, exactly one of which seals. Storage, wrapping and rotation are in `waxseal-keys`.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::datakey::DataKey;
use crate::error::{KeyError, KeyringError, OpenError, SealError};
use crate::index_key::{DerivedKeys, IndexKey, IndexKeyRole};
use crate::key::{KeyId, SecretKey};
use crate::mask::NameMask;
use crate::version::EnvelopeRules;

/// Several data keys, exactly one of which seals.
pub struct Keyring {
    sealing: Arc<DataKey>,
    /// The others, in the order in which they are tried on values without a key id.
    others: Vec<(Arc<DataKey>, KeyRole)>,
    /// The index in `others` of each key, sorted by id: a ring can hold a thousand.
    indexes: Vec<(KeyId, usize)>,
    mask: NameMask,
    opens_compromised: bool,
    rules: EnvelopeRules,
    domain: Arc<[u8]>,
    index_keys: Vec<(Arc<IndexKey>, IndexKeyRole)>,
    /// The data keys that names may be under beside the index keys.
    data_keys_of_names: Vec<KeyId>,
    read_by_old_versions: bool,
    in_one_form: Vec<RecordsInOneForm>,
}

/// Records whose members, as passes over them have shown, are all in the form that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordsInOneForm {
    /// The records, by the name that their sealers have for them ([`Sealer::of_records`](crate::Sealer::of_records)).
    pub records: Arc<str>,
    /// True if elements of lists are as well, where these are sealed deterministically.
    pub elements: bool,
}

/// The role of a key in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyRole {
    /// Seals new values and opens.
    Sealing,
    /// Only opens.
    DecryptOnly,
    /// Will seal; already opens values of processes that have a newer ring.
    Pending,
    /// Opens values that a sweep may have missed; there should be none.
    Archived,
    /// Known to others: opens only on request.
    Compromised,
}

impl KeyRole {
    /// The role as reports have it: `sealing`, `opening`, ….
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sealing => "sealing",
            Self::DecryptOnly => "opening",
            Self::Pending => "pending",
            Self::Archived => "archived",
            Self::Compromised => "compromised",
        }
    }
}

/// The numbers of values that this process has sealed under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUsage {
    /// The key.
    pub id: KeyId,
    /// Its role.
    pub role: KeyRole,
    /// Values sealed in the classic format (at most 2^32 are allowed).
    pub classic_seals: u64,
    /// Values sealed in the sealed format.
    pub sealed_seals: u64,
    /// Values sealed deterministically under a key that is derived from this one (at most 2^48 are allowed). All names
    /// together count as one.
    pub deterministic_seals: u64,
}

/// The number of values that this process has sealed under one index key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexKeyUsage {
    /// The key.
    pub id: KeyId,
    /// Its role.
    pub role: IndexKeyRole,
    /// Values sealed (at most 2^48 are allowed). All names together count as one.
    pub seals: u64,
}

impl Keyring {
    /// A keyring of one key.
    pub fn new(sealing: SecretKey) -> Result<Self, KeyringError> {
        let key = DataKey::new(&sealing).map_err(KeyringError::Sealing)?;
        Self::assemble(Arc::new(key), Vec::new(), NameMask::derived_from(&sealing))
    }

    /// A keyring of prepared keys: the sealing key, the others in the order in which they are tried on values without a
    /// key id, and the mask of record names.
    ///
    /// A key keeps its counts if the same `Arc` is passed to a newer ring.
    pub fn assemble(
        sealing: Arc<DataKey>,
        others: Vec<(Arc<DataKey>, KeyRole)>,
        mask: NameMask,
    ) -> Result<Self, KeyringError> {
        let mut indexes: Vec<_> = others
            .iter()
            .map(|(key, _)| key.id())
            .zip(0usize..)
            .collect();
        indexes.sort_unstable();
        let ids = indexes.iter().map(|(id, _)| *id);
        let twice = ids.clone().zip(ids.clone().skip(1)).find(|(a, b)| a == b);
        let twice = twice.map(|(id, _)| id);
        if let Some(id) = twice.or_else(|| ids.clone().find(|id| *id == sealing.id())) {
            return Err(KeyringError::Duplicate { id });
        }
        Ok(Self {
            sealing,
            others,
            indexes,
            mask,
            opens_compromised: false,
            rules: EnvelopeRules::default(),
            domain: Arc::default(),
            index_keys: Vec::new(),
            data_keys_of_names: Vec::new(),
            read_by_old_versions: false,
            in_one_form: Vec::new(),
        })
    }

    /// The keyring of the environment: the sealing key and a comma-separated list of previous
    /// keys, each as 64 hexadecimal characters.
    pub fn from_hex(sealing: &str, previous: &str) -> Result<Self, KeyringError> {
        let mut ring = Self::new(SecretKey::from_hex(sealing).map_err(KeyringError::Sealing)?)?;
        let listed = previous
            .split(',')
            .map(str::trim)
            .filter(|hex| !hex.is_empty());
        for (hex, index) in listed.zip(1..) {
            let refused = |error: KeyError| KeyringError::Previous { index, error };
            let key = SecretKey::from_hex(hex).map_err(refused)?;
            ring = ring.with_key(DataKey::new(&key).map_err(refused)?)?;
        }
        Ok(ring)
    }

    /// The same keyring with one more key that only opens.
    pub fn with_previous(self, key: &SecretKey) -> Result<Self, KeyringError> {
        let index = self.others.len().saturating_add(1);
        let refused = |error| KeyringError::Previous { index, error };
        self.with_key(DataKey::new(key).map_err(refused)?)
    }

    /// The same keyring, which also opens values under compromised keys, to reseal them under another key. Anyone who
    /// has such a key could have forged them.
    #[must_use]
    pub fn opening_compromised(mut self) -> Self {
        self.opens_compromised = true;
        self
    }

    /// The same keyring with these versions of the sealed format: the one that is written, and the oldest that is
    /// accepted.
    #[must_use]
    pub fn with_rules(mut self, rules: EnvelopeRules) -> Self {
        self.rules = rules;
        self
    }

    /// The same keyring in this domain: an envelope of version 3 opens only in the domain that it was sealed in.
    #[must_use]
    pub fn with_domain(mut self, domain: impl Into<Arc<[u8]>>) -> Self {
        self.domain = domain.into();
        self
    }

    /// The same keyring with these index keys. Without any, deterministic envelopes are under keys that are derived from
    /// the sealing key.
    ///
    /// A key keeps its count if the same `Arc` is passed to a newer ring.
    #[must_use]
    pub fn with_index_keys(mut self, keys: Vec<(Arc<IndexKey>, IndexKeyRole)>) -> Self {
        self.index_keys = keys;
        // The one that writes, then the likeliest to be found.
        self.index_keys.sort_by_key(|(_, role)| *role);
        self
    }

    /// The same keyring, in which names of records may also be under these data keys, although it has index keys: names
    /// that were sealed before it had any.
    #[must_use]
    pub fn with_data_keys_of_names(mut self, ids: Vec<KeyId>) -> Self {
        self.data_keys_of_names = ids;
        self
    }

    /// The same keyring, which processes may share that know strings, list elements and hash fields only. They would not
    /// count values of other kinds before a key is destroyed, so none are sealed.
    #[must_use]
    pub fn with_old_readers(mut self, old_readers: bool) -> Self {
        self.read_by_old_versions = old_readers;
        self
    }

    /// The same keyring for records of which some have their members in one form.
    #[must_use]
    pub fn with_records_in_one_form(mut self, records: Vec<RecordsInOneForm>) -> Self {
        self.in_one_form = records;
        self
    }

    /// The entry for these records, if their members are in one form.
    #[inline]
    pub(crate) fn in_one_form(&self, records: &str) -> Option<&RecordsInOneForm> {
        let mut known = self.in_one_form.iter();
        known.find(|it| *it.records == *records)
    }

    /// True if versions of Waxseal may read it that do not know kinds of values beside those of version 2: then values
    /// of the others are not sealed under it.
    #[must_use]
    pub fn is_read_by_old_versions(&self) -> bool {
        self.read_by_old_versions
    }

    /// The version of the sealed format that is written, and the oldest that is accepted.
    #[inline]
    #[must_use]
    pub fn rules(&self) -> EnvelopeRules {
        self.rules
    }

    /// The domain.
    #[inline]
    #[must_use]
    pub fn domain(&self) -> &[u8] {
        &self.domain
    }

    /// The index key with this id, for a newer ring that holds it as well.
    #[must_use]
    pub fn index_key(&self, id: KeyId) -> Option<Arc<IndexKey>> {
        let mut keys = self.index_keys.iter();
        keys.find(|(key, _)| key.id() == id)
            .map(|(key, _)| key.clone())
    }

    /// The usage of each index key, the one that writes first.
    pub fn index_key_usage(&self) -> impl Iterator<Item = IndexKeyUsage> {
        self.index_keys.iter().map(|(key, role)| IndexKeyUsage {
            id: key.id(),
            role: *role,
            seals: key.seals(),
        })
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn sealing_id(&self) -> KeyId {
        self.sealing.id()
    }

    /// The role of the key with this id, or `None` if the ring does not hold it.
    #[must_use]
    pub fn role(&self, id: KeyId) -> Option<KeyRole> {
        if self.sealing.id() == id {
            return Some(KeyRole::Sealing);
        }
        self.other(id).map(|(_, role)| *role)
    }

    /// The prepared key with this id, for a newer ring that holds it as well.
    #[must_use]
    pub fn data_key(&self, id: KeyId) -> Option<Arc<DataKey>> {
        if self.sealing.id() == id {
            return Some(self.sealing.clone());
        }
        self.other(id).map(|(key, _)| key.clone())
    }

    /// The usage of each key, the sealing key first.
    pub fn usage(&self) -> impl Iterator<Item = KeyUsage> {
        self.all().map(|(key, role)| KeyUsage {
            id: key.id(),
            role,
            classic_seals: key.classic_seals(),
            sealed_seals: key.sealed_seals(),
            deterministic_seals: key.derived().seals(),
        })
    }

    /// The mask under which record names may be shown.
    #[must_use]
    pub fn name_mask(&self) -> &NameMask {
        &self.mask
    }

    pub(crate) fn sealing(&self) -> &DataKey {
        &self.sealing
    }

    /// The key with the id in a value.
    #[inline]
    pub(crate) fn find(&self, id: KeyId) -> Result<&DataKey, OpenError> {
        if self.sealing.id() == id {
            return Ok(&self.sealing);
        }
        match self.other(id) {
            None => Err(OpenError::UnknownKey { id }),
            Some((key, role)) if self.opens(*role) => Ok(key),
            Some(_) => Err(OpenError::Compromised { id }),
        }
    }

    /// The key that seals deterministically: an index key, or without any the sealing key.
    pub(crate) fn deterministic(&self) -> Result<(KeyId, &DerivedKeys), SealError> {
        match self.index_keys.first() {
            None => Ok((self.sealing.id(), self.sealing.derived())),
            Some((key, IndexKeyRole::Writing)) => Ok((key.id(), key.derived())),
            Some(_) => Err(SealError::NoIndexKey),
        }
    }

    /// The key with the id in a deterministic envelope.
    pub(crate) fn find_deterministic(&self, id: KeyId) -> Result<&DerivedKeys, OpenError> {
        let mut index_keys = self.index_keys.iter();
        match index_keys.find(|(key, _)| key.id() == id) {
            Some((key, _)) => Ok(key.derived()),
            None => self.find(id).map(DataKey::derived),
        }
    }

    /// All keys that deterministic envelopes may be under, the one that seals first.
    pub(crate) fn all_deterministic(&self) -> impl Iterator<Item = (KeyId, &DerivedKeys)> {
        let index_keys = self.index_keys.iter();
        index_keys
            .map(|(key, _)| (key.id(), key.derived()))
            .chain(self.keys().map(|key| (key.id(), key.derived())))
    }

    /// The keys that names of records may be under, the one that seals first. Unlike members, names have no form under data
    /// keys where there are index keys, unless the ring says so: each form of a name is one more name to look under.
    pub(crate) fn name_keys(&self) -> impl Iterator<Item = (KeyId, &DerivedKeys)> {
        let has_names = |id: KeyId| {
            let is_listed = self.data_keys_of_names.contains(&id);
            self.index_keys.is_empty() || is_listed && self.index_key(id).is_none()
        };
        let index_keys = self.index_keys.iter();
        index_keys.map(|(key, _)| (key.id(), key.derived())).chain(
            self.keys()
                .filter(move |key| has_names(key.id()))
                .map(|key| (key.id(), key.derived())),
        )
    }

    /// True if this is the id of a data key or an index key.
    pub(crate) fn knows(&self, id: KeyId) -> bool {
        self.role(id).is_some() || self.index_keys.iter().any(|(key, _)| key.id() == id)
    }

    /// The keys to try on a value without a key id, the sealing key first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &DataKey> {
        let opening = self.all().filter(|(_, role)| self.opens(*role));
        opening.map(|(key, _)| &**key)
    }

    /// The keys that are not used for opening because they are compromised.
    pub(crate) fn compromised(&self) -> impl Iterator<Item = &DataKey> {
        let refused = self.all().filter(|(_, role)| !self.opens(*role));
        refused.map(|(key, _)| &**key)
    }

    fn all(&self) -> impl Iterator<Item = (&Arc<DataKey>, KeyRole)> {
        let others = self.others.iter().map(|(key, role)| (key, *role));
        std::iter::once((&self.sealing, KeyRole::Sealing)).chain(others)
    }

    fn opens(&self, role: KeyRole) -> bool {
        role != KeyRole::Compromised || self.opens_compromised
    }

    fn other(&self, id: KeyId) -> Option<&(Arc<DataKey>, KeyRole)> {
        let found = self.indexes.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        let (_, index) = self.indexes.get(found)?;
        self.others.get(*index)
    }

    fn with_key(self, key: DataKey) -> Result<Self, KeyringError> {
        let mut others = self.others;
        others.push((Arc::new(key), KeyRole::DecryptOnly));
        let assembled = Self::assemble(self.sealing, others, self.mask)?;
        Ok(Self {
            rules: self.rules,
            domain: self.domain,
            index_keys: self.index_keys,
            in_one_form: self.in_one_form,
            data_keys_of_names: self.data_keys_of_names,
            opens_compromised: self.opens_compromised,
            ..assembled
        })
    }
}

/// A keyring that can be replaced while sealers use it: each value is sealed or opened under the one that is current
/// at that time.
#[derive(Clone)]
pub struct SharedKeyring(Arc<ArcSwap<Keyring>>);

impl SharedKeyring {
    /// Replaces the keyring for all that share it.
    pub fn publish(&self, keyring: Arc<Keyring>) {
        self.0.store(keyring);
    }

    /// The current keyring.
    #[must_use]
    pub fn current(&self) -> Arc<Keyring> {
        self.0.load_full()
    }

    /// The current keyring, for a short time: cheaper, but the guard must be dropped soon.
    #[inline]
    pub(crate) fn load(&self) -> arc_swap::Guard<Arc<Keyring>> {
        self.0.load()
    }
}

impl From<Arc<Keyring>> for SharedKeyring {
    fn from(keyring: Arc<Keyring>) -> Self {
        Self(Arc::new(ArcSwap::new(keyring)))
    }
}

impl fmt::Debug for Keyring {
    /// Shows ids, never keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others: Vec<KeyId> = self.others.iter().map(|(key, _)| key.id()).collect();
        f.debug_struct("Keyring")
            .field("sealing", &self.sealing.id())
            .field("others", &others)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "6c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";
    const B: &str = "1c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";
    const C: &str = "2c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";

    fn id(hex: &str) -> KeyId {
        SecretKey::from_hex(hex).ok().unwrap().id()
    }

    #[test]
    fn the_first_key_seals_and_the_listed_ones_open() {
        let ring = Keyring::from_hex(A, &format!("{B}, {C},")).unwrap();
        assert_eq!(ring.sealing_id(), id(A));
        assert_eq!(ring.role(id(A)), Some(KeyRole::Sealing));
        assert_eq!(ring.role(id(C)), Some(KeyRole::DecryptOnly));
        assert_eq!(ring.role(KeyId::from_u32(1)), None);
        assert_eq!(ring.usage().count(), 3);
    }

    #[test]
    fn an_invalid_previous_key_is_reported_by_its_index() {
        let error = Keyring::from_hex(A, &format!("{B},{}", &C[1..])).unwrap_err();
        assert_eq!(
            error,
            KeyringError::Previous {
                index: 2,
                error: KeyError::Length { got: 63 }
            }
        );
    }

    #[test]
    fn one_key_twice_is_refused() {
        let error = Keyring::from_hex(A, A).unwrap_err();
        assert_eq!(error, KeyringError::Duplicate { id: id(A) });
    }

    #[test]
    fn debug_output_shows_ids_and_no_key() {
        let shown = format!("{:?}", Keyring::from_hex(A, B).unwrap());
        assert_eq!(
            shown,
            format!(
                "Keyring {{ sealing: KeyId({}), others: [KeyId({})], .. }}",
                id(A),
                id(B)
            )
        );
    }

    #[test]
    fn a_compromised_key_opens_only_on_request() {
        let key = |hex| Arc::new(DataKey::new(&SecretKey::from_hex(hex).ok().unwrap()).unwrap());
        let others = vec![(key(B), KeyRole::Compromised), (key(C), KeyRole::Archived)];
        let ring = Keyring::assemble(key(A), others, NameMask::random()).unwrap();
        let error = ring.find(id(B)).err();
        assert_eq!(error, Some(OpenError::Compromised { id: id(B) }));
        assert!(ring.find(id(C)).is_ok());
        assert_eq!(ring.keys().count(), 2);
        let ring = ring.opening_compromised();
        assert!(ring.find(id(B)).is_ok());
        assert_eq!(ring.keys().count(), 3);
    }

    #[test]
    fn a_published_ring_is_current_for_all_that_share_it() {
        let shared = SharedKeyring::from(Arc::new(Keyring::from_hex(A, "").unwrap()));
        let other = shared.clone();
        shared.publish(Arc::new(Keyring::from_hex(B, A).unwrap()));
        assert_eq!(other.current().sealing_id(), id(B));
        assert_eq!(other.load().role(id(A)), Some(KeyRole::DecryptOnly));
    }
}
