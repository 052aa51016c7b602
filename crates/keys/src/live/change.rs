//! Changing a document: read, change, compare-and-set, and again if another process was faster.

use std::sync::Arc;

use tokio::time::{Instant, sleep};
use waxseal_core::{EnvelopeVersion, KeyId};

use super::{LiveRing, Moment};
use crate::audit::Audit;
use crate::backoff::retry_delay;
use crate::custodian::{Custodian, CustodianError};
use crate::document_format::DocumentFormat;
use crate::document_store::Document;
use crate::error::{ChangeError, RingError};
use crate::member_forms::{MemberFinding, MemberForms};
use crate::protected_scope::ProtectedScope;
use crate::ring::{Rewrap, Ring};
use crate::settings::Settings;
use crate::state::KeyState;

/// The number of attempts at a change.
const MAX_ATTEMPTS: u32 = 100;

/// A change of a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds a pending key, unless one is pending already or another key seals by now.
    Add {
        /// The key that it is to replace.
        instead_of: KeyId,
    },
    /// Lets a pending key seal.
    Promote {
        /// The key.
        id: KeyId,
        /// Do so even if not every process knows the key yet.
        at_once: bool,
    },
    /// Archives a key under which nothing was found.
    Archive(KeyId),
    /// Destroys a key.
    Destroy(KeyId),
    /// Marks a key as known to others.
    Compromise(KeyId),
    /// Adds a user to the ledger of erasures, by the user's keyed hash.
    Erase(String),
    /// Registers records that this process protects.
    Register(Vec<ProtectedScope>),
    /// Replaces the recorded settings of protected records by these.
    Protect(ProtectedScope),
    /// Removes records that are no longer protected.
    Unregister(ProtectedScope),
    /// Changes the custodians that wrap the keys. Those that are added must be configured in this process.
    Rewrap(Rewrap),
    /// Corrects times that no correct clock can have written.
    RepairTimes,
    /// Changes the settings.
    Settings {
        /// The new settings.
        settings: Settings,
        /// Lowered times apply at once, though not every process has seen them.
        at_once: bool,
    },
    /// Changes the format of the document. To format 2: refused while a process reports that does not read it. To
    /// format 1: destroys the index keys, and needs an audit.
    Format {
        /// The new format.
        to: DocumentFormat,
        /// Do so whatever processes report, and without an audit.
        force: bool,
    },
    /// Changes the versions of the sealed format. Accepting version 3 alone needs an audit.
    Envelopes {
        /// The version of new values.
        write: EnvelopeVersion,
        /// The oldest version that opens.
        accept: EnvelopeVersion,
        /// Do so without waiting, whatever processes report, and without an audit.
        force: bool,
    },
    /// Records what complete passes found of members. That there is one form is recorded only while no process reports
    /// that it may write others.
    Members(Vec<MemberFinding>),
    /// Adds a pending index key.
    AddIndexKey,
    /// Lets a pending index key write.
    PromoteIndexKey {
        /// The key.
        id: KeyId,
        /// Do so even if not every process knows the key yet.
        at_once: bool,
    },
    /// Destroys an index key that only reads. Needs an audit.
    DestroyIndexKey {
        /// The key.
        id: KeyId,
        /// Do so without waiting and without an audit.
        force: bool,
    },
}

impl Change {
    /// True if it writes a time into the document that decides about keys.
    fn depends_on_clock(&self) -> bool {
        match self {
            Self::Add { .. }
            | Self::Promote { .. }
            | Self::Archive(_)
            | Self::Destroy(_)
            | Self::RepairTimes
            | Self::Settings { .. }
            | Self::Format { .. }
            | Self::Envelopes { .. }
            | Self::Members(_)
            | Self::AddIndexKey
            | Self::PromoteIndexKey { .. }
            | Self::DestroyIndexKey { .. } => true,
            // A key that others know must not wait, nor a user's erasure, which counts by number.
            Self::Compromise(_)
            | Self::Erase(_)
            | Self::Register(_)
            | Self::Protect(_)
            | Self::Unregister(_)
            | Self::Rewrap(_) => false,
        }
    }
}

impl LiveRing {
    /// Makes a change. Returns the ring that contains it, whether this process made it or another one had
    /// already.
    pub async fn change(&self, change: &Change) -> Result<Arc<Ring>, RingError> {
        self.apply(change, None, None).await
    }

    /// Makes a change that an audit must show to be safe. Whether an audit from the reports will do is for the
    /// caller to decide: other processes can write those.
    pub async fn change_after_audit(
        &self,
        change: &Change,
        audit: &Audit,
    ) -> Result<Arc<Ring>, RingError> {
        self.apply(change, None, Some(audit)).await
    }

    /// Makes a change as the leader with this token. Refused once a later leader has written.
    pub async fn change_as_leader(
        &self,
        change: &Change,
        token: u64,
    ) -> Result<Arc<Ring>, RingError> {
        self.apply(change, Some(token), None).await
    }

    /// Records that members of these protected records can be written in another form than the ring has them, if it has
    /// them in one. Returns the version of the ring that says so; `None` if there was nothing to record.
    pub async fn allow_several_forms(
        &self,
        scopes: &[ProtectedScope],
    ) -> Result<Option<u64>, RingError> {
        let ring = self.refresh().await?;
        let is_in_one = |scope: &&ProtectedScope| {
            let recorded = ring.protected_scope(scope).and_then(|it| it.members);
            matches!(recorded, Some(MemberForms::One { .. }))
        };
        let (Some(key), true) = (ring.writing(), scopes.iter().any(|it| is_in_one(&it))) else {
            return Ok(None);
        };
        let findings = scopes.iter().filter(is_in_one).map(|scope| MemberFinding {
            scope: scope.bare(),
            key: key.id,
            began_ms: self.now_ms(),
            elements: false,
            in_one_form: false,
        });
        let changed = self.change(&Change::Members(findings.collect())).await?;
        Ok(Some(changed.version()))
    }

    async fn apply(
        &self,
        change: &Change,
        token: Option<u64>,
        audit: Option<&Audit>,
    ) -> Result<Arc<Ring>, RingError> {
        if change.depends_on_clock() {
            self.check_clock().await?;
        }
        for attempt in 0..MAX_ATTEMPTS {
            self.0.refresh(Instant::now()).await?;
            let known = self.0.known();
            let Some(next) = self.next(change, &known.ring, audit).await? else {
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
            sleep(retry_delay(attempt)).await;
        }
        Err(RingError::Contended(MAX_ATTEMPTS))
    }

    /// The ring after the change; `None` if there is nothing left to change.
    async fn next(
        &self,
        change: &Change,
        ring: &Ring,
        audit: Option<&Audit>,
    ) -> Result<Option<Ring>, RingError> {
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
            Change::Archive(id) => match is_change(ring, *id, KeyState::Archived)? {
                true => ring.with_archived(*id, now)?,
                false => return Ok(None),
            },
            Change::Destroy(id) => match is_change(ring, *id, KeyState::Destroyed)? {
                true => ring.with_destroyed(*id, now)?,
                false => return Ok(None),
            },
            Change::Compromise(id) => match is_change(ring, *id, KeyState::Compromised)? {
                true => ring.with_compromised(*id, now)?,
                false => return Ok(None),
            },
            Change::Erase(user) => ring.with_erasure(user, now),
            Change::Register(protected_scopes) => {
                return Ok(ring.with_protected_scopes(protected_scopes)?);
            }
            Change::Protect(protected_scope) => {
                return Ok(ring.with_protected_scope(protected_scope)?);
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
            Change::Format { .. }
            | Change::Envelopes { .. }
            | Change::Members(_)
            | Change::AddIndexKey
            | Change::PromoteIndexKey { .. }
            | Change::DestroyIndexKey { .. } => {
                return self.next_of_format_2(change, ring, audit, now).await;
            }
        }))
    }

    /// The custodians that wrap the keys of the ring: a new key must be wrapped by all of them.
    pub(super) fn wrapping(&self, ring: &Ring) -> Result<Vec<Arc<dyn Custodian>>, RingError> {
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
    /// Takes over the result of a change, unless a poll has taken over a later ring meanwhile.
    async fn take_over_if_newer(
        &self,
        before: Moment,
        ring: Ring,
        bytes: Vec<u8>,
    ) -> Result<(), RingError> {
        let _no_poll = self.last_poll.lock().await;
        if self.known().ring.version() >= ring.version() {
            return Ok(());
        }
        self.take_over(before, ring, bytes).await
    }
}

/// True if the key is not yet in this state.
fn is_change(ring: &Ring, id: KeyId, state: KeyState) -> Result<bool, ChangeError> {
    Ok(ring.data_key(id)?.state != state)
}
