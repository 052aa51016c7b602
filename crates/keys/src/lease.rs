//! The lease of the process that leads a rotation: a document that its holder keeps changing. A process
//! that sees it unchanged for long enough, by its own monotonic clock, may take it over with a higher
//! token. No two clocks are ever compared.
//!
//! The document is read and written by the caller.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The largest distance of a token from the ring's fence: each leader that changes nothing consumes one.
const MAX_TOKEN_LEAD: u64 = 1 << 32;

/// The content of the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lease {
    /// The holder: the id of a process.
    process: String,
    /// Grows with each holder. A change of the ring by an older one is refused.
    token: u64,
    /// Grows with each renewal.
    beat: u64,
    /// The holder has released the lease.
    released: bool,
}

/// A process that leads or would lead.
pub struct Candidate {
    process: String,
    /// A lease that stays unchanged for this long may be taken over.
    takeover_timeout: Duration,
    /// The document as it was read last, and when it was first read so.
    last_read: Option<(Vec<u8>, Duration)>,
    /// The lease that this candidate wrote, while it leads.
    held: Option<Lease>,
    /// The fence of the ring: new tokens must be greater.
    fence: u64,
}

/// The next action on the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseAction {
    /// Replace the document that was read by this one, then call [`Candidate::confirm_written`].
    Write(Vec<u8>),
    /// Another process leads.
    Wait {
        /// Its id.
        leader: String,
    },
}

impl Candidate {
    /// A candidate of this process. The timeout must be several times as long as the time between two
    /// polls.
    #[must_use]
    pub fn new(process: impl Into<String>, takeover_timeout: Duration) -> Self {
        Self {
            process: process.into(),
            takeover_timeout,
            last_read: None,
            held: None,
            fence: 0,
        }
    }

    /// The token, while this candidate leads.
    #[must_use]
    pub fn token(&self) -> Option<u64> {
        self.held.as_ref().map(|held| held.token)
    }

    /// Raises new tokens above the fence of the ring: if the lease was lost, tokens would restart, and the
    /// ring would refuse every change by their holders. Call it before each poll.
    pub fn observe_fence(&mut self, fence: u64) {
        self.fence = self.fence.max(fence);
    }

    /// Decides what to do about the lease as it was read. `now` is the time of a monotonic clock.
    ///
    /// A leader that finds another lease than its own no longer leads.
    pub fn poll(&mut self, document: Option<&[u8]>, now: Duration) -> LeaseAction {
        let lease = document.and_then(|document| serde_json::from_slice::<Lease>(document).ok());
        // Write access to the lease must not suffice to exhaust the tokens.
        let plausible = |lease: &Lease| lease.token <= self.fence.saturating_add(MAX_TOKEN_LEAD);
        let lease = lease.filter(plausible);
        if self.held.is_some() && self.held != lease {
            // A renewal that was written although its writer saw an error.
            let own = |lease: &Lease| {
                self.held.as_ref().is_some_and(|held| {
                    let beat = held.beat.saturating_add(1);
                    let next = Lease {
                        beat,
                        ..held.clone()
                    };
                    *lease == next
                })
            };
            self.held = lease.clone().filter(own);
        }
        if let Some(held) = &self.held {
            return LeaseAction::Write(to_bytes(&Lease {
                beat: held.beat.saturating_add(1),
                // An own change raises the fence to the token, another leader's change above it.
                token: match self.fence > held.token {
                    true => self.fence.saturating_add(1),
                    false => held.token,
                },
                ..held.clone()
            }));
        }
        let bytes = document.unwrap_or_default();
        let since = match &self.last_read {
            Some((read, since)) if read == bytes => *since,
            _ => {
                self.last_read = Some((bytes.to_vec(), now));
                now
            }
        };
        let Some(lease) = lease else {
            // There is no lease, or not a valid one.
            return LeaseAction::Write(to_bytes(&self.first(0)));
        };
        if lease.released || now.saturating_sub(since) >= self.takeover_timeout {
            return LeaseAction::Write(to_bytes(&self.first(lease.token)));
        }
        LeaseAction::Wait {
            leader: shown(&lease.process),
        }
    }

    /// The document of [`LeaseAction::Write`] was written, and no other process wrote in between.
    pub fn confirm_written(&mut self, document: &[u8]) {
        self.held = serde_json::from_slice(document).ok();
    }

    /// The document was not written: another process was faster.
    pub fn mark_lost(&mut self) {
        self.held = None;
    }

    /// Stops leading. Returns the present document and the one that releases the lease; `None` if this
    /// candidate does not lead.
    pub fn release(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        let held = self.held.take()?;
        let released = Lease {
            released: true,
            ..held.clone()
        };
        Some((to_bytes(&held), to_bytes(&released)))
    }

    /// The first lease of a new holder, with a token above all previous ones.
    fn first(&self, previous_token: u64) -> Lease {
        Lease {
            process: self.process.clone(),
            token: previous_token.max(self.fence).saturating_add(1),
            beat: 0,
            released: false,
        }
    }
}

/// The id of a process for messages: the lease is not authenticated.
fn shown(process: &str) -> String {
    let is_id = process.len() == 16 && process.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { process } else { "unknown" }.to_owned()
}

fn to_bytes(lease: &Lease) -> Vec<u8> {
    // Strings and numbers only: writing them cannot fail.
    serde_json::to_vec(lease).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn written(action: LeaseAction) -> Vec<u8> {
        match action {
            LeaseAction::Write(document) => document,
            LeaseAction::Wait { leader } => panic!("waits for {leader}"),
        }
    }

    #[test]
    fn a_silent_leader_is_followed_by_another_with_a_higher_token() {
        let (mut a, mut b) = (
            Candidate::new("a", 5 * SECOND),
            Candidate::new("b", 5 * SECOND),
        );
        let document = written(a.poll(None, SECOND));
        a.confirm_written(&document);
        assert_eq!(a.token(), Some(1));
        assert!(matches!(
            b.poll(Some(&document), SECOND),
            LeaseAction::Wait { .. }
        ));
        let second = written(a.poll(Some(&document), 3 * SECOND));
        a.confirm_written(&second);
        // It changed: the timeout starts over.
        assert!(matches!(
            b.poll(Some(&second), 6 * SECOND),
            LeaseAction::Wait { .. }
        ));
        assert!(matches!(
            b.poll(Some(&second), 10 * SECOND),
            LeaseAction::Wait { .. }
        ));
        let taken = written(b.poll(Some(&second), 11 * SECOND));
        b.confirm_written(&taken);
        assert_eq!(b.token(), Some(2));
        // The first one returns and sees that it no longer leads.
        assert!(matches!(
            a.poll(Some(&taken), 12 * SECOND),
            LeaseAction::Wait { .. }
        ));
        assert_eq!(a.token(), None);
    }

    #[test]
    fn a_released_lease_is_taken_at_once() {
        let (mut a, mut b) = (
            Candidate::new("a", 5 * SECOND),
            Candidate::new("b", 5 * SECOND),
        );
        let document = written(a.poll(None, SECOND));
        a.confirm_written(&document);
        let (expected, released) = a.release().unwrap();
        assert_eq!(expected, document);
        let taken = written(b.poll(Some(&released), SECOND));
        b.confirm_written(&taken);
        assert_eq!((a.token(), b.token()), (None, Some(2)));
    }

    #[test]
    fn a_renewal_that_was_written_despite_an_error_does_not_end_the_lead() {
        let (mut a, mut b) = (
            Candidate::new("a", 5 * SECOND),
            Candidate::new("b", 5 * SECOND),
        );
        let document = written(a.poll(None, SECOND));
        a.confirm_written(&document);
        let unconfirmed = written(a.poll(Some(&document), 2 * SECOND));
        let next = written(a.poll(Some(&unconfirmed), 3 * SECOND));
        a.confirm_written(&next);
        assert_eq!(a.token(), Some(1));
        assert!(matches!(
            b.poll(Some(&next), 3 * SECOND),
            LeaseAction::Wait { .. }
        ));
        assert_eq!(a.release().map(|(held, _)| held), Some(next));
    }

    #[test]
    fn after_a_lost_lease_the_next_token_is_above_the_fence_of_the_ring() {
        let mut a = Candidate::new("a", SECOND);
        a.observe_fence(7);
        let document = written(a.poll(None, SECOND));
        a.confirm_written(&document);
        assert_eq!(a.token(), Some(8));
        // An own fence does not change the token.
        a.observe_fence(8);
        let document = written(a.poll(Some(&document), SECOND));
        a.confirm_written(&document);
        assert_eq!(a.token(), Some(8));
    }

    #[test]
    fn an_unreadable_lease_is_overwritten() {
        let mut a = Candidate::new("a", SECOND);
        written(a.poll(Some(b"{\"process\":"), SECOND));
    }
}
