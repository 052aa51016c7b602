//! The keys that a conversation waits for: what it asks for, and what came of asking. Where keys come
//! from is `waxseal-keys`' business; what waits for them is `connection`'s.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use tokio::time::timeout;
use waxseal_core::{KeyId, UserKey};
use waxseal_keys::{UserKeyError, UserKeys};

use crate::pending::Name;
use crate::protection::Protection;

mod rejected_keys;

pub(crate) use rejected_keys::NegativeCache;

/// Keys of the ring, or of one user, that one reply asks for: one look brings all that there are.
const MOST_TO_LEARN: usize = 8;

/// Users whose keys are got in one call.
const MOST_AT_ONCE: usize = 1000;

/// Keys that are asked for, all at once.
pub struct KeyRequest {
    side: Side,
    users: HashMap<Box<[u8]>, Freshness>,
    /// Users whose values name other keys than the ones at hand, and which.
    others: HashMap<Box<[u8]>, SmallVec<[KeyId; 1]>>,
    learn: Vec<KeyId>,
    confirm: bool,
    /// Keys that were at hand, and shall be so still when the others have come.
    kept: Vec<(Name, Arc<UserKey>)>,
}

/// What came of asking.
pub struct Fetched {
    pub(crate) side: Side,
    pub(crate) users: HashMap<Box<[u8]>, Lookup>,
    pub(crate) confirmation: Option<Confirmation>,
}

/// What waits for the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Side {
    /// Requests.
    #[default]
    Outward,
    /// A reply, and everything behind it.
    Back,
}

/// In which way a user's key is asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Freshness {
    /// As it is, if there is one.
    Read,
    /// As it is now, whatever was known.
    Reread,
    /// A live one: made where there is none.
    Create,
}

/// A user's key, asked for.
#[derive(Clone)]
pub(crate) enum Lookup {
    Key(Arc<UserKey>),
    Absent,
    OutOfReach,
}

/// Whether values may be sealed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confirmation {
    Granted,
    Lapsed,
}

impl KeyRequest {
    pub(crate) fn new(side: Side) -> Self {
        Self {
            side,
            users: HashMap::new(),
            others: HashMap::new(),
            learn: Vec::new(),
            confirm: false,
            kept: Vec::new(),
        }
    }

    /// How many users' keys are asked for.
    pub(crate) fn users(&self) -> usize {
        self.users.len()
    }

    /// Asks for a user's key; of several ways, in the one that serves all.
    pub(crate) fn user(&mut self, user: &[u8], ask: Freshness) {
        match self.users.get_mut(user) {
            Some(asked) => *asked = ask.max(*asked),
            None => {
                self.users.insert(user.into(), ask);
            }
        }
    }

    /// Asks for the key of this id, where it is the user's key by now.
    pub(crate) fn other(&mut self, user: &[u8], id: KeyId) {
        match self.others.get_mut(user) {
            Some(ids) if ids.len() < MOST_TO_LEARN && !ids.contains(&id) => ids.push(id),
            Some(_) => {}
            None => {
                self.others.insert(user.into(), SmallVec::from_elem(id, 1));
            }
        }
    }

    /// Keeps keys that are at hand.
    pub(crate) fn keep(&mut self, keys: Vec<(Name, Arc<UserKey>)>) {
        self.kept = keys;
    }

    /// Asks whether the ring holds a key by now.
    pub(crate) fn learn(&mut self, id: KeyId) {
        if self.learn.len() < MOST_TO_LEARN && !self.learn.contains(&id) {
            self.learn.push(id);
        }
    }

    /// Asks whether values may be sealed.
    pub(crate) fn confirm(&mut self) {
        self.confirm = true;
    }

    /// Gets everything. What takes longer than `limit` is out of reach; so is what fails.
    pub async fn fetch(self, protection: &Protection, limit: Duration) -> Fetched {
        let (confirmation, created, read, reread, ()) = tokio::join!(
            self.confirmation(protection, limit),
            self.of(Freshness::Create, protection, limit),
            self.of(Freshness::Read, protection, limit),
            self.reread(protection, limit),
            self.learned(protection, limit),
        );
        let kept = self.kept.into_iter();
        let kept = kept.map(|(user, key)| (Box::from(&*user), Lookup::Key(key)));
        let fetched = created.into_iter().chain(read).chain(reread);
        Fetched {
            side: self.side,
            users: kept.chain(fetched).collect(),
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

    async fn learned(&self, protection: &Protection, limit: Duration) {
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

    /// The keys that are asked for in one way.
    async fn of(
        &self,
        ask: Freshness,
        protection: &Protection,
        limit: Duration,
    ) -> Vec<(Box<[u8]>, Lookup)> {
        let asked = self.users.iter().filter(|(_, other)| **other == ask);
        let users: Vec<&[u8]> = asked.map(|(user, _)| &**user).collect();
        get_all(protection.users(), ask, &users, limit).await
    }

    /// The keys that values name and that were not at hand.
    async fn reread(&self, protection: &Protection, limit: Duration) -> Vec<(Box<[u8]>, Lookup)> {
        let rejected_keys = protection.rejected_keys();
        let is_worth =
            |user: &[u8], ids: &[KeyId]| !ids.iter().all(|id| rejected_keys.holds(user, *id));
        let asked = self.others.iter().filter(|(user, ids)| is_worth(user, ids));
        let users: Vec<&[u8]> = asked.map(|(user, _)| &**user).collect();
        let found = get_all(protection.users(), Freshness::Reread, &users, limit).await;
        for (user, key) in &found {
            let id = match key {
                Lookup::Key(key) => key.id(),
                Lookup::Absent => None,
                Lookup::OutOfReach => continue,
            };
            let ids = self.others.get(user).into_iter().flatten();
            ids.filter(|named| Some(**named) != id)
                .for_each(|named| rejected_keys.note(user, *named));
        }
        found
    }
}

/// Gets keys, within a limit of time. One that no answer came for is out of reach.
async fn get_all(
    keys: Option<&UserKeys>,
    ask: Freshness,
    users: &[&[u8]],
    limit: Duration,
) -> Vec<(Box<[u8]>, Lookup)> {
    let mut found = Vec::with_capacity(users.len());
    if let Some(keys) = keys {
        let all = get_in_parts(keys, ask, users, &mut found);
        if timeout(limit, all).await.is_err() {
            tracing::warn!("the store of the keys of users does not answer in time");
        }
    }
    let reached: HashSet<&[u8]> = found.iter().map(|(user, _)| *user).collect();
    let missed = users.iter().filter(|user| !reached.contains(*user));
    let missed: Vec<_> = missed.map(|user| (*user, Lookup::OutOfReach)).collect();
    let all = found.into_iter().chain(missed);
    all.map(|(user, key)| (user.into(), key)).collect()
}

/// Gets keys, many at once. Where the record of one user is damaged the others have theirs all the same.
async fn get_in_parts<'u>(
    keys: &UserKeys,
    ask: Freshness,
    users: &[&'u [u8]],
    found: &mut Vec<(&'u [u8], Lookup)>,
) {
    let mut parts: Vec<_> = users.chunks(MOST_AT_ONCE).collect();
    while let Some(part) = parts.pop() {
        match get(keys, ask, part).await {
            Ok(answers) => found.extend(part.iter().copied().zip(answers)),
            Err(error) if part.len() > 1 && is_of_one_user(&error) => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.extend([first, second]);
            }
            Err(error) => tracing::warn!("keys of users are out of reach: {error}"),
        }
    }
}

/// Whether an error comes of single users among those that were asked for, or of their number.
fn is_of_one_user(error: &UserKeyError) -> bool {
    matches!(
        error,
        UserKeyError::Record { .. } | UserKeyError::Form { .. } | UserKeyError::Contended
    )
}

async fn get(
    keys: &UserKeys,
    ask: Freshness,
    users: &[&[u8]],
) -> Result<Vec<Lookup>, UserKeyError> {
    let found = |key: Option<Arc<UserKey>>| key.map_or(Lookup::Absent, Lookup::Key);
    Ok(match ask {
        Freshness::Read => keys.read(users).await?.into_iter().map(found).collect(),
        Freshness::Reread => keys.reread(users).await?.into_iter().map(found).collect(),
        Freshness::Create => {
            let made = keys.read_or_create(users).await?.into_iter();
            // Whoever seals waits for a live one, and would wait for ever.
            made.map(|key| match key.id() {
                Some(_) => Lookup::Key(key),
                None => Lookup::OutOfReach,
            })
            .collect()
        }
    })
}
