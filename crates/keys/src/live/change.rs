//! Changing a document: read, change, compare-and-set, and again if somebody else was faster.

use std::sync::Arc;

use tokio::time::{Instant, sleep};
use waxseal_core::KeyId;

use super::{LiveRing, Moment};
use crate::custodian::Custodian;
use crate::document_store::Document;
use crate::error::{ChangeError, CustodianError, RingError};
use crate::keyring_document::ProtectedScope;
use crate::reports::pause;
use crate::ring::{Rewrap, Ring};
use crate::settings::Settings;
use crate::state::KeyState;

/// How often a change is tried.
const ATTEMPTS: u32 = 100;

/// A change of a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new key that waits to seal, unless one waits already or another key seals by now.
    Add {
        /// The key that it shall follow.
        instead_of: KeyId,
    },
    /// A pending key seals from now on.
    Promote {
        /// Which.
        id: KeyId,
        /// Even if not every process knows it yet.
        at_once: bool,
    },
    /// Nothing was found under a key.
    Archive(KeyId),
    /// A key is given up.
    Destroy(KeyId),
    /// A key is known to others.
    Compromise(KeyId),
    /// A user is erased: the user's keyed hash.
    Erase(String),
    /// Records that this process protects.
    Register(Vec<ProtectedScope>),
    /// Records that are protected no more.
    Unregister(ProtectedScope),
    /// Other custodians wrap the keys. Those that are added must be among this process's.
    Rewrap(Rewrap),
    /// Times that no right clock can have written are set right.
    RepairTimes,
    /// Other settings.
    Settings {
        /// Which.
        settings: Settings,
        /// Whether lowered times count at once, though not every process has seen them.
        at_once: bool,
    },
}

impl Change {
    /// Whether it puts a time into the document that decides about keys.
    fn goes_by_the_clock(&self) -> bool {
        match self {
            Self::Add { .. }
            | Self::Promote { .. }
            | Self::Archive(_)
            | Self::Destroy(_)
            | Self::RepairTimes
            | Self::Settings { .. } => true,
            // A key that others know must not wait, nor a user's erasure, which counts by number.
            Self::Compromise(_)
            | Self::Erase(_)
            | Self::Register(_)
            | Self::Unregister(_)
            | Self::Rewrap(_) => false,
        }
    }
}

impl LiveRing {
    /// Makes a change; the answer is the ring in which it is made, be it by this process or, where
    /// nothing was left to do, by another.
    pub async fn change(&self, change: &Change) -> Result<Arc<Ring>, RingError> {
        self.carry_out(change, None).await
    }

    /// The same as the leader with this token: refused once a later leader has written.
    pub async fn change_as_leader(
        &self,
        change: &Change,
        token: u64,
    ) -> Result<Arc<Ring>, RingError> {
        self.carry_out(change, Some(token)).await
    }

    async fn carry_out(&self, change: &Change, token: Option<u64>) -> Result<Arc<Ring>, RingError> {
        if change.goes_by_the_clock() {
            self.check_clock().await?;
        }
        for attempt in 0..ATTEMPTS {
            self.0.refresh(Instant::now()).await?;
            let known = self.0.known();
            let Some(next) = self.next(change, &known.ring).await? else {
                return Ok(known.ring.clone());
            };
            let next = match token {
                Some(token) => next.by_leader(token)?,
                None => next,
            };
            let new = next.to_bytes();
            let before = self.0.moment();
            if self
                .0
                .store
                .replace(&Document::Ring, Some(&known.bytes), &new)
                .await?
            {
                self.0.take_over_if_newer(before, next, new).await?;
                return Ok(self.ring());
            }
            sleep(pause(attempt)).await;
        }
        Err(RingError::Contended(ATTEMPTS))
    }

    /// The ring after the change; `None` where there is nothing left to change.
    async fn next(&self, change: &Change, ring: &Ring) -> Result<Option<Ring>, RingError> {
        let now = self.0.document_ms();
        Ok(Some(match change {
            Change::Add { instead_of } => {
                let pending = ring.in_state(KeyState::Pending).next().is_some();
                if pending || ring.sealing().id != *instead_of {
                    return Ok(None);
                }
                ring.with_new_key(&self.wrapping(ring)?, now).await?
            }
            Change::Promote { id, at_once } => {
                if ring.sealing().id == *id {
                    return Ok(None);
                }
                ring.with_sealing(*id, now, *at_once)?
            }
            Change::Archive(id) => match unless_in(ring, *id, KeyState::Archived)? {
                true => ring.with_archived(*id, now)?,
                false => return Ok(None),
            },
            Change::Destroy(id) => match unless_in(ring, *id, KeyState::Destroyed)? {
                true => ring.with_destroyed(*id, now)?,
                false => return Ok(None),
            },
            Change::Compromise(id) => match unless_in(ring, *id, KeyState::Compromised)? {
                true => ring.with_compromised(*id, now)?,
                false => return Ok(None),
            },
            Change::Erase(user) => ring.with_erasure(user, now),
            Change::Register(protected_scopes) => {
                return Ok(ring.with_protected_scopes(protected_scopes));
            }
            Change::Unregister(protected_scope) => {
                return Ok(ring.without_protected_scope(protected_scope));
            }
            Change::Rewrap(rewrap) => {
                return ring.with_rewrap(rewrap, &self.0.custodians).await;
            }
            Change::RepairTimes => return Ok(ring.with_repaired_times(now)),
            Change::Settings { settings, at_once } => {
                let longer = ring.longer_times_until().is_some_and(|until| until > now);
                if ring.settings() == settings && !(*at_once && longer) {
                    return Ok(None);
                }
                ring.with_settings(settings.clone(), now, *at_once)?
            }
        }))
    }

    /// The custodians that wrap the keys of the ring: a new key must be wrapped by all of them.
    fn wrapping(&self, ring: &Ring) -> Result<Vec<Arc<dyn Custodian>>, RingError> {
        let custodian = |url: &str| {
            let custodian = self.0.custodians.get(url).cloned();
            custodian.ok_or_else(|| CustodianError::NotConfigured {
                custodian: url.to_owned(),
            })
        };
        Ok(ring.custodians().map(custodian).collect::<Result<_, _>>()?)
    }
}

impl super::Inner {
    /// After a change of one's own: somebody may have taken over a later one meanwhile.
    async fn take_over_if_newer(
        &self,
        before: Moment,
        ring: Ring,
        bytes: Vec<u8>,
    ) -> Result<(), RingError> {
        let _looking = self.looking.lock().await;
        if self.known().ring.version() >= ring.version() {
            return Ok(());
        }
        self.take_over(before, ring, bytes).await
    }
}

fn unless_in(ring: &Ring, id: KeyId, state: KeyState) -> Result<bool, ChangeError> {
    let entry = ring.entry(id).ok_or(ChangeError::NoKey(id))?;
    Ok(entry.state != state)
}
