//! The keys that the values of a page need beyond those that a task's sealer holds: keys of the ring
//! that this process has not seen yet, and the keys of users. They are looked up for the whole page,
//! before any of its values is processed. What happens to a value is not known here.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use waxseal_core::{KeyError, KeyId, OpenError, SecretKey, Shape, UserKey};
use waxseal_keys::{CacheLookup, Freshness, LiveRing, UserKeyBatch, UserKeyError, UserKeys};
use waxseal_stores::{RecordName, RecordPattern};

use crate::sweep::SweepError;

/// The sources of keys during a sweep. By default none: the task's sealer holds all keys.
#[derive(Clone, Default)]
pub struct Keys {
    /// The ring that the task's sealer follows.
    pub ring: Option<LiveRing>,
    /// The keys of users. They matter if the pattern names the user.
    pub users: Option<UserKeys>,
}

/// The purpose that a page of values is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Nothing is sealed: no key is created.
    Open,
    /// Values are sealed: users without a key get one.
    Seal,
    /// Values are sealed and discarded: no key is created that is stored.
    DryRun,
}

/// The keys of the users of one page.
#[derive(Default)]
pub(crate) struct PageKeys(BTreeMap<Vec<u8>, PageKey>);

/// The result of the lookup of one user's key.
#[derive(Clone)]
enum PageKey {
    /// The key, or the knowledge that it was destroyed.
    Key(Arc<UserKey>),
    /// The user has no key.
    Absent,
    /// The record of the key does not open.
    Damaged(OpenError),
}

/// One value of a page that keys are looked up for.
pub(crate) struct ValueToKey<'a> {
    /// The record.
    pub(crate) name: &'a RecordName,
    /// The stored bytes.
    pub(crate) stored: &'a [u8],
    /// False for empty bytes that mean no value.
    pub(crate) is_value: bool,
}

/// One value of a page, as far as keys matter.
struct KeyedValue<'a> {
    user: &'a [u8],
    /// The user key that it is under, if it is under one.
    under: Option<KeyId>,
}

impl Keys {
    /// Looks up the keys for these values.
    pub(crate) async fn look_up_page(
        &self,
        pattern: &RecordPattern,
        purpose: Purpose,
        values: &[ValueToKey<'_>],
    ) -> Result<PageKeys, SweepError> {
        if let Some(ring) = &self.ring {
            learn_all(ring, values).await;
            if purpose == Purpose::Seal && !ring.is_confirmed() {
                ring.confirm().await?;
            }
        }
        match &self.users {
            Some(users) => look_up_users(users, pattern, purpose, values).await,
            None => Ok(PageKeys::default()),
        }
    }
}

impl PageKeys {
    /// The key of a user, if there is one.
    pub(crate) fn of(&self, user: &[u8]) -> Option<&Arc<UserKey>> {
        match self.0.get(user)? {
            PageKey::Key(key) => Some(key),
            PageKey::Absent | PageKey::Damaged(_) => None,
        }
    }

    /// The reason why no task can process a value of this user: the key that it is under does not exist,
    /// or the user's key does not open.
    pub(crate) fn obstacle(&self, user: &[u8], stored: &[u8]) -> Option<OpenError> {
        match self.0.get(user)? {
            PageKey::Key(_) => None,
            PageKey::Absent => user_key_id(stored).map(|id| OpenError::UnknownKey { id }),
            PageKey::Damaged(error) => (!stored.is_empty()).then_some(*error),
        }
    }

    fn is_absent(&self, user: &[u8]) -> bool {
        matches!(self.0.get(user), Some(PageKey::Absent))
    }

    fn has(&self, user: &[u8], id: KeyId) -> bool {
        self.of(user).is_some_and(|key| key.id() == Some(id))
    }

    /// Looks up the keys of these users. A damaged record is the result of its user alone; any other error
    /// ends the lookup.
    async fn look_up(
        &mut self,
        keys: &UserKeys,
        users: &[&[u8]],
        freshness: Freshness,
    ) -> Result<(), UserKeyError> {
        let mut result = Ok(());
        keys.look_up(users, freshness, |batch| match self.add(batch) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                result = Err(error);
                ControlFlow::Break(())
            }
        })
        .await;
        result
    }

    fn add(&mut self, batch: UserKeyBatch<'_, '_>) -> Result<(), UserKeyError> {
        match batch.keys {
            Ok(keys) => {
                let keys = keys.into_iter();
                let keys = keys.map(|key| key.map_or(PageKey::Absent, PageKey::Key));
                self.insert(batch.users, keys);
            }
            Err(UserKeyError::Record { error, .. }) => {
                self.insert(batch.users, [PageKey::Damaged(error)]);
            }
            Err(UserKeyError::Form { .. }) => {
                self.insert(batch.users, [PageKey::Damaged(OpenError::Refused)]);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn insert(&mut self, users: &[&[u8]], keys: impl IntoIterator<Item = PageKey>) {
        let users = users.iter().map(|user| user.to_vec());
        self.0.extend(users.zip(keys));
    }
}

/// Learns keys of the ring that values name and that this process has not seen yet.
async fn learn_all(ring: &LiveRing, values: &[ValueToKey<'_>]) {
    let known = ring.keyring().current();
    let unknown: BTreeSet<KeyId> = values
        .iter()
        .filter_map(|value| Shape::of_header(value.stored))
        .filter(|header| !header.flags.per_user_key() && known.role(header.key).is_none())
        .map(|header| header.key)
        .collect();
    for id in unknown {
        // A key that is not found stays unknown, and is reported value by value.
        ring.learn(id).await;
    }
}

async fn look_up_users(
    users: &UserKeys,
    pattern: &RecordPattern,
    purpose: Purpose,
    values: &[ValueToKey<'_>],
) -> Result<PageKeys, SweepError> {
    let values: Vec<KeyedValue<'_>> = values
        .iter()
        .filter(|value| value.is_value)
        .filter_map(|value| KeyedValue::new(pattern, value.name, value.stored))
        .filter(|value| value.under.is_some() || purpose != Purpose::Open)
        .collect();
    let mut page = PageKeys::default();
    let all = distinct_users(&values, |_| true);
    if all.is_empty() {
        return Ok(page);
    }
    let is_cached = |user: &[u8]| !matches!(users.cached(user), CacheLookup::Unknown);
    let from_cache: BTreeSet<&[u8]> = all.iter().copied().filter(|u| is_cached(u)).collect();
    page.look_up(users, &all, Freshness::Cached).await?;
    // Sealed by another process under a key that was created after this one read the record.
    let newer = distinct_users(&values, |value| {
        let is_other = value.under.is_some_and(|id| !page.has(value.user, id));
        is_other && from_cache.contains(value.user)
    });
    if !newer.is_empty() {
        page.look_up(users, &newer, Freshness::Current).await?;
    }
    // Only for values to be sealed: if a value is under a key that was lost, another one does not help.
    // A user who was erased gets none: their records are found, not kept.
    let missing = distinct_users(&values, |value| {
        value.under.is_none() && page.is_absent(value.user)
    });
    if missing.is_empty() {
        return Ok(page);
    }
    match purpose {
        Purpose::Open => {}
        Purpose::Seal => page.look_up(users, &missing, Freshness::Live).await?,
        Purpose::DryRun => {
            let key = PageKey::Key(placeholder_key()?);
            page.insert(&missing, missing.iter().map(|_| key.clone()));
        }
    }
    Ok(page)
}

impl<'a> KeyedValue<'a> {
    fn new(pattern: &RecordPattern, name: &'a RecordName, stored: &[u8]) -> Option<Self> {
        let under = user_key_id(stored);
        // Plain values under an excepted name stay plain.
        if under.is_none() && pattern.is_excepted(name.as_bytes()) {
            return None;
        }
        Some(Self {
            user: pattern.user(name.as_bytes())?,
            under,
        })
    }
}

/// The id of the user key that a value is under, if it is under one.
fn user_key_id(stored: &[u8]) -> Option<KeyId> {
    let header = Shape::of_header(stored)?;
    header.flags.per_user_key().then_some(header.key)
}

fn distinct_users<'a>(
    values: &[KeyedValue<'a>],
    predicate: impl Fn(&KeyedValue<'a>) -> bool,
) -> Vec<&'a [u8]> {
    let users: BTreeSet<&[u8]> = values
        .iter()
        .filter(|value| predicate(value))
        .map(|value| value.user)
        .collect();
    users.into_iter().collect()
}

/// A key that is never kept, for those that a real sweep would make.
fn placeholder_key() -> Result<Arc<UserKey>, KeyError> {
    let key = SecretKey::generate()?;
    Ok(Arc::new(UserKey::live(KeyId::random(), &key)?))
}
