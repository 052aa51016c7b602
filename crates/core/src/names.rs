//! Sealed names of records: the part of a name behind the literal prefix of its pattern is sealed deterministically, under an
//! index key.
//!
//! A name has one stored form for each key and each length that it is padded to. The first is the one that is written; a
//! record may be found under any of them while the keys or the padding change. Unlike values, names belong to no group and no
//! user: a record must be found before these are known, and keeps its name when they change.

mod key;
mod prefix;
mod text;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use waxseal_kinds::Kind;

use crate::binding::Binding;
use crate::envelope::{DETERMINISTIC_OVERHEAD, HEADER_LEN};
use crate::error::{NameError, SealError};
use crate::index_key::{DerivedKeys, KeyUse};
use crate::key::KeyId;
use crate::keyring::{KeyRole, Keyring, SharedKeyring};
use key::{AssociatedData, NameKey};
use prefix::MAX_PAD;
use text::Parts;

pub use prefix::{NamePrefix, PadNames};

/// The maximum length of a name.
const MAX_NAME_LEN: usize = 64 * 1024;
/// The maximum length of the envelope of one, however it is padded.
const MAX_ENVELOPE_LEN: usize = DETERMINISTIC_OVERHEAD + MAX_NAME_LEN + MAX_PAD as usize;
/// Envelopes up to this length are handled on the stack.
const SHORT: usize = 256;

/// Seals and opens names under a keyring. Cheap to clone; follows the keyring.
#[derive(Clone)]
pub struct NameSealer(Arc<Inner>);

struct Inner {
    keyring: SharedKeyring,
    prefixes: Arc<[NamePrefix]>,
    prepared: ArcSwap<Prepared>,
}

/// The keys of names as they were when they were loaded. Cheap to clone.
#[derive(Clone)]
pub struct PreparedNames(Arc<Prepared>);

/// One keyring's keys, prepared for all prefixes.
struct Prepared {
    keyring: Arc<Keyring>,
    prefixes: Arc<[NamePrefix]>,
    keys: Box<[PreparedKey]>,
    /// The reason why nothing is sealed under this keyring.
    refusal: Option<SealError>,
}

struct PreparedKey {
    id: KeyId,
    header: [u8; HEADER_LEN],
    key: NameKey,
    /// One for each prefix.
    data: Box<[AssociatedData]>,
    is_counted: AtomicBool,
}

impl NameSealer {
    /// Names that begin with these prefixes, under this keyring: an `Arc<Keyring>`, or a [`SharedKeyring`] that can be
    /// replaced. Elsewhere a prefix is named by its place in this list.
    #[must_use]
    pub fn new(keyring: impl Into<SharedKeyring>, prefixes: Vec<NamePrefix>) -> Self {
        let (keyring, prefixes) = (keyring.into(), Arc::from(prefixes));
        let prepared = Prepared::new(keyring.current(), Arc::clone(&prefixes));
        Self(Arc::new(Inner {
            keyring,
            prefixes,
            prepared: ArcSwap::from_pointee(prepared),
        }))
    }

    /// The same names, of which some may be padded to a multiple that is not known: for passes that rename them.
    #[must_use]
    pub fn accepting_all_pads(&self) -> Self {
        let prefixes = self.0.prefixes.iter().cloned();
        let prefixes = prefixes.map(NamePrefix::accepting_all_pads).collect();
        Self::new(self.0.keyring.clone(), prefixes)
    }

    /// The keys as they are now: for one request, one page of names or one transaction.
    ///
    /// After the keyring was replaced the next call prepares the new keys; until then the former ones stay in memory.
    #[must_use]
    pub fn load(&self) -> PreparedNames {
        let inner = &*self.0;
        let prepared = inner.prepared.load();
        if Arc::ptr_eq(&prepared.keyring, &inner.keyring.load()) {
            return PreparedNames(Arc::clone(&prepared));
        }
        let keyring = inner.keyring.current();
        let prepared = Arc::new(Prepared::new(keyring, Arc::clone(&inner.prefixes)));
        // Of several threads that come here, any may be the last: the next call compares again.
        inner.prepared.store(Arc::clone(&prepared));
        PreparedNames(prepared)
    }
}

impl PreparedNames {
    /// The number of forms that a name with this prefix may be stored in. The first one is the one that is written.
    #[must_use]
    pub fn forms(&self, prefix: usize) -> usize {
        let pads = self.0.prefixes.get(prefix).map_or(0, NamePrefix::pads);
        self.0.keys.len().saturating_mul(pads)
    }

    /// Appends a form of this name to `out`, which is unchanged after an error.
    #[inline]
    pub fn seal(
        &self,
        prefix: usize,
        form: usize,
        name: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let prepared = &*self.0;
        let names = prepared.prefixes.get(prefix);
        let names = names.ok_or(SealError::OtherPrefix)?;
        let part = name.strip_prefix(names.prefix());
        let part = part.ok_or(SealError::OtherPrefix)?;
        if name.len() > MAX_NAME_LEN {
            return Err(SealError::TooLong);
        }
        if let Some(refusal) = prepared.refusal {
            return Err(refusal);
        }
        let pads = names.pads();
        let key = prepared.keys.get(form.checked_div(pads).unwrap_or(0));
        let (key, data) = key
            .and_then(|key| Some((key, key.data.get(prefix)?)))
            .ok_or(SealError::NoKey)?;
        let text_len = names.text_len(part.len(), form.checked_rem(pads).unwrap_or(0));
        let len = text_len.and_then(|len| len.checked_add(DETERMINISTIC_OVERHEAD));
        key.count(&prepared.keyring);
        with_scratch(len.ok_or(SealError::TooLong)?, |envelope| {
            let (header, body) = envelope.split_first_chunk_mut()?;
            let (iv, text) = body.split_first_chunk_mut()?;
            text::pad(part, text)?;
            *header = key.header;
            *iv = key.key.seal_in_place(data, text)?;
            text::encode(names.prefix(), names.tag(name), envelope, out);
            Some(())
        })
        .ok_or(SealError::TooLong)
    }

    /// Appends the name that is stored in this form, of any key, to `out`, which is unchanged after an error. Returns the
    /// key.
    ///
    /// What opens is a form of its name: [`seal`](Self::seal) makes the same bytes of it.
    #[inline]
    pub fn open(
        &self,
        prefix: usize,
        stored: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<KeyId, NameError> {
        let names = self.0.prefixes.get(prefix).ok_or(NameError::NotSealed)?;
        let behind_prefix = stored.strip_prefix(names.prefix());
        let parts = behind_prefix.and_then(Parts::of);
        let parts = parts.ok_or(NameError::NotSealed)?;
        if parts.tag.is_some() != names.is_tagged() {
            return Err(NameError::WrongTag);
        }
        let len = parts.envelope_len().ok_or(NameError::Malformed)?;
        if len > MAX_ENVELOPE_LEN {
            return Err(NameError::Malformed);
        }
        with_scratch(len, |envelope| {
            parts.decode(envelope).ok_or(NameError::Malformed)?;
            let start = out.len();
            let id = self.0.open(prefix, names, envelope, out)?;
            let name = out.get(start..).unwrap_or_default();
            if names.tag(name) != parts.tag {
                out.truncate(start);
                return Err(NameError::WrongTag);
            }
            Ok(id)
        })
    }

    /// True if a stored name that begins with this prefix may be sealed, on a cluster or not. All sealed names are among
    /// these; whether one is, only opening it tells.
    #[inline]
    #[must_use]
    pub fn may_be_sealed(prefix: &[u8], stored: &[u8]) -> bool {
        stored.strip_prefix(prefix).and_then(Parts::of).is_some()
    }

    /// The key that a stored name says it is sealed under. Takes what follows the prefix.
    #[must_use]
    pub fn key_of(behind_prefix: &[u8]) -> Option<KeyId> {
        Parts::of(behind_prefix)?.key()
    }
}

impl Prepared {
    fn new(keyring: Arc<Keyring>, prefixes: Arc<[NamePrefix]>) -> Self {
        let keys = keyring
            .name_keys()
            .map(|(id, derived)| PreparedKey::new(id, derived, keyring.domain(), &prefixes));
        // All or none: which form is the first must not depend on what failed.
        let keys = keys.collect::<Option<_>>().unwrap_or_default();
        let refusal = match keyring.is_read_by_old_versions() {
            true => Some(SealError::NeedsFormat2 {
                kind: Kind::RecordName,
            }),
            false => keyring.deterministic().err(),
        };
        Self {
            keys,
            refusal,
            prefixes,
            keyring,
        }
    }

    #[inline]
    fn open(
        &self,
        prefix: usize,
        names: &NamePrefix,
        envelope: &mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<KeyId, NameError> {
        let parts = envelope.split_first_chunk_mut::<HEADER_LEN>();
        let (header, body) = parts.ok_or(NameError::Malformed)?;
        let id = text::key_of(header).ok_or(NameError::Malformed)?;
        let key = self.keys.iter().find(|key| key.id == id);
        let key = key.ok_or_else(|| self.unknown(id))?;
        let data = key.data.get(prefix).ok_or(NameError::NotSealed)?;
        let (iv, text) = body.split_first_chunk_mut().ok_or(NameError::Malformed)?;
        let opened = key.key.open_in_place(data, iv, text);
        opened.ok_or(NameError::Refused)?;
        let part = text::unpadded(text).ok_or(NameError::OtherPadding)?;
        if !names.has_len(part.len(), text.len()) {
            return Err(NameError::OtherPadding);
        }
        if names.prefix().len().saturating_add(part.len()) > MAX_NAME_LEN {
            return Err(NameError::Malformed);
        }
        out.reserve(names.prefix().len().saturating_add(part.len()));
        out.extend_from_slice(names.prefix());
        out.extend_from_slice(part);
        Ok(id)
    }

    /// The reason why a name is not opened under this key.
    fn unknown(&self, id: KeyId) -> NameError {
        let is_compromised = self.keyring.role(id) == Some(KeyRole::Compromised);
        match is_compromised && self.keyring.index_key(id).is_none() {
            true => NameError::Compromised { id },
            false => NameError::UnknownKey { id },
        }
    }
}

impl PreparedKey {
    /// `None` if a prefix or the domain is too long for associated data: then there is no such name either.
    fn new(
        id: KeyId,
        derived: &DerivedKeys,
        domain: &[u8],
        prefixes: &[NamePrefix],
    ) -> Option<Self> {
        let header = text::header(id);
        let key = NameKey::new(&derived.pair(KeyUse::Name))?;
        let data = prefixes.iter().map(|names| {
            let binding = Binding::record_name(names.prefix());
            binding.with_associated_data(header, domain, |data| key.prepare(data))?
        });
        Some(Self {
            id,
            header: header.to_bytes(),
            data: data.collect::<Option<_>>()?,
            key,
            is_counted: AtomicBool::new(false),
        })
    }

    /// Counts the use of the key, once.
    #[inline]
    fn count(&self, keyring: &Keyring) {
        if !self.is_counted.load(Ordering::Relaxed) {
            self.is_counted.store(true, Ordering::Relaxed);
            if let Ok(derived) = keyring.find_deterministic(self.id) {
                derived.count_names(self.id);
            }
        }
    }
}

/// Calls `then` with a buffer of this many zero bytes, on the stack if there are few.
#[inline]
fn with_scratch<T>(len: usize, then: impl FnOnce(&mut [u8]) -> T) -> T {
    match [0; SHORT].get_mut(..len) {
        Some(buffer) => then(buffer),
        None => then(&mut vec![0; len]),
    }
}
