//! The keys that a conversation waits for: the request for them, and its result. Where keys come from is
//! decided in `waxseal-keys`; what waits for them, in `connection`.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use tokio::time::timeout;
use waxseal_core::{KeyId, UserKey};
pub(crate) use waxseal_keys::Freshness;
use waxseal_keys::UserKeys;

use crate::location::Name;
use crate::protection::Protection;

mod rejected_keys;

pub(crate) use rejected_keys::RejectedKeys;

/// The largest number of unknown keys of the ring, or of one user, in one request: a poll of the document
/// or of the user's record finds all that there are.
const MAX_UNKNOWN_KEYS: usize = 8;

/// Keys to look up, all at once.
pub struct KeyRequest {
    direction: Direction,
    users: HashMap<Box<[u8]>, Freshness>,
    /// Users whose values name other keys than the present ones, with the ids of those keys.
    others: HashMap<Box<[u8]>, SmallVec<[KeyId; 1]>>,
    learn: Vec<KeyId>,
    confirm: bool,
    /// Keys that are present, and must still be so when the others have arrived.
    present: Vec<(Name, Arc<UserKey>)>,
}

/// The result of a request.
pub struct FetchedKeys {
    pub(crate) direction: Direction,
    pub(crate) users: HashMap<Box<[u8]>, Lookup>,
    pub(crate) confirmation: Option<Confirmation>,
}

/// The direction that waits for the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Requests.
    #[default]
    Request,
    /// A reply, and everything behind it.
    Reply,
}

/// The result of looking up a user's key.
#[derive(Clone)]
pub(crate) enum Lookup {
    Key(Arc<UserKey>),
    Absent,
    OutOfReach,
}

/// The answer to the question whether values may be sealed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confirmation {
    Granted,
    Lapsed,
}

impl KeyRequest {
    pub(crate) fn new(direction: Direction) -> Self {
        Self {
            direction,
            users: HashMap::new(),
            others: HashMap::new(),
            learn: Vec::new(),
            confirm: false,
            present: Vec::new(),
        }
    }

    /// The number of users whose keys are requested.
    pub(crate) fn users(&self) -> usize {
        self.users.len()
    }

    /// Requests a user's key, in the freshest of the forms that were requested for the user.
    pub(crate) fn user(&mut self, user: &[u8], freshness: Freshness) {
        match self.users.get_mut(user) {
            Some(requested) => *requested = freshness.max(*requested),
            None => {
                self.users.insert(user.into(), freshness);
            }
        }
    }

    /// Requests the key of this id, if it has become the user's key.
    pub(crate) fn other(&mut self, user: &[u8], id: KeyId) {
        match self.others.get_mut(user) {
            Some(ids) if ids.len() < MAX_UNKNOWN_KEYS && !ids.contains(&id) => ids.push(id),
            Some(_) => {}
            None => {
                self.others.insert(user.into(), SmallVec::from_elem(id, 1));
            }
        }
    }

    /// Adds keys that are present to the result.
    pub(crate) fn keep(&mut self, keys: Vec<(Name, Arc<UserKey>)>) {
        self.present = keys;
    }

    /// Requests a key of the ring that this process does not know yet.
    pub(crate) fn learn(&mut self, id: KeyId) {
        if self.learn.len() < MAX_UNKNOWN_KEYS && !self.learn.contains(&id) {
            self.learn.push(id);
        }
    }

    /// Requests a confirmation that values may be sealed.
    pub(crate) fn confirm(&mut self) {
        self.confirm = true;
    }

    /// Looks everything up. Keys that take longer than `limit` are out of reach, as are failed lookups.
    pub async fn fetch(self, protection: &Protection, limit: Duration) -> FetchedKeys {
        let (confirmation, created, read, reread, ()) = tokio::join!(
            self.confirmation(protection, limit),
            self.look_up(Freshness::Live, protection, limit),
            self.look_up(Freshness::Cached, protection, limit),
            self.reread(protection, limit),
            self.learn_all(protection, limit),
        );
        let present = self.present.into_iter();
        let present = present.map(|(user, key)| (Box::from(&*user), Lookup::Key(key)));
        let fetched = created.into_iter().chain(read).chain(reread);
        FetchedKeys {
            direction: self.direction,
            users: present.chain(fetched).collect(),
            confirmation,
        }
    }

    async fn confirmation(&self, protection: &Protection, limit: Duration) -> Option<Confirmation> {
        let ring = protection.live_ring().filter(|_| self.confirm)?;
        Some(match ring.confirm_within(limit).await {
            Ok(()) => Confirmation::Granted,
            Err(error) => {
                tracing::warn!("nothing is sealed: {error}");
                Confirmation::Lapsed
            }
        })
    }

    async fn learn_all(&self, protection: &Protection, limit: Duration) {
        let Some(ring) = protection.live_ring() else {
            return;
        };
        let all = async {
            for id in &self.learn {
                ring.learn(*id).await;
            }
        };
        if timeout(limit, all).await.is_err() {
            tracing::warn!("the keyring does not answer in time");
        }
    }

    /// Looks up the keys that are requested in this form.
    async fn look_up(
        &self,
        freshness: Freshness,
        protection: &Protection,
        limit: Duration,
    ) -> Vec<(Box<[u8]>, Lookup)> {
        let requested = self.users.iter().filter(|(_, other)| **other == freshness);
        let users: Vec<&[u8]> = requested.map(|(user, _)| &**user).collect();
        look_up_all(protection.users(), freshness, &users, limit).await
    }

    /// Reads the keys again that values name and that are not present.
    async fn reread(&self, protection: &Protection, limit: Duration) -> Vec<(Box<[u8]>, Lookup)> {
        let rejected_keys = protection.rejected_keys();
        let is_new =
            |user: &[u8], ids: &[KeyId]| !ids.iter().all(|id| rejected_keys.contains(user, *id));
        let requested = self.others.iter().filter(|(user, ids)| is_new(user, ids));
        let users: Vec<&[u8]> = requested.map(|(user, _)| &**user).collect();
        let found = look_up_all(protection.users(), Freshness::Current, &users, limit).await;
        for (user, key) in &found {
            let id = match key {
                Lookup::Key(key) => key.id(),
                Lookup::Absent => None,
                Lookup::OutOfReach => continue,
            };
            let ids = self.others.get(user).into_iter().flatten();
            ids.filter(|named| Some(**named) != id)
                .for_each(|named| rejected_keys.insert(user, *named));
        }
        found
    }
}

/// Looks up keys of users, within a limit of time. Users without an answer are out of reach.
async fn look_up_all(
    keys: Option<&UserKeys>,
    freshness: Freshness,
    users: &[&[u8]],
    limit: Duration,
) -> Vec<(Box<[u8]>, Lookup)> {
    let mut found = Vec::with_capacity(users.len());
    if let Some(keys) = keys {
        let lookup = keys.look_up(users, freshness, |batch| {
            match batch.keys {
                Ok(keys) => {
                    let keys = keys.into_iter().map(|key| answer(key, freshness));
                    found.extend(batch.users.iter().copied().zip(keys));
                }
                Err(error) => tracing::warn!("keys of users are out of reach: {error}"),
            }
            ControlFlow::Continue(())
        });
        if timeout(limit, lookup).await.is_err() {
            tracing::warn!("the store of the keys of users does not answer in time");
        }
    }
    let reached: HashSet<&[u8]> = found.iter().map(|(user, _)| *user).collect();
    let missed = users.iter().filter(|user| !reached.contains(*user));
    let missed: Vec<_> = missed.map(|user| (*user, Lookup::OutOfReach)).collect();
    let all = found.into_iter().chain(missed);
    all.map(|(user, key)| (user.into(), key)).collect()
}

fn answer(key: Option<Arc<UserKey>>, freshness: Freshness) -> Lookup {
    match key {
        // The requester needs a live key to seal, and would wait for it indefinitely.
        Some(key) if freshness == Freshness::Live && key.id().is_none() => Lookup::OutOfReach,
        Some(key) => Lookup::Key(key),
        None => Lookup::Absent,
    }
}
