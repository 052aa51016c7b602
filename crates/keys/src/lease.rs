//! The lease on leading a rotation: a paper that its holder keeps changing. Who sees it unchanged for
//! long enough, by a clock of one's own that only runs forward, may take it over with a higher token.
//! No two clocks are ever compared.
//!
//! The paper is read and written by the caller.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How far a token may be above the ring's fence: each leader that changes nothing uses one up.
const MOST_AHEAD: u64 = 1 << 32;

/// What the paper says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lease {
    /// The holder: the id of a process.
    process: String,
    /// Grows with each holder. A change of the ring by an older one is refused.
    token: u64,
    /// Grows with each sign of life.
    beat: u64,
    /// The holder has let go.
    released: bool,
}

/// Somebody who would lead.
pub struct Candidate {
    process: String,
    /// How long a paper must stay unchanged to be taken over.
    patience: Duration,
    /// What was seen last, and when it was seen first.
    seen: Option<(Vec<u8>, Duration)>,
    /// The paper that this candidate wrote, while it leads.
    held: Option<Lease>,
    /// Its tokens must be greater.
    fence: u64,
}

/// What a poll at the paper came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseAction {
    /// Write this in the place of what was seen; once that is done, call [`Candidate::wrote`].
    Write(Vec<u8>),
    /// Another process leads.
    Wait {
        /// Its id.
        leader: String,
    },
}

impl Candidate {
    /// A candidate of this process. The patience must be several times as long as the time between two
    /// looks.
    #[must_use]
    pub fn new(process: impl Into<String>, patience: Duration) -> Self {
        Self {
            process: process.into(),
            patience,
            seen: None,
            held: None,
            fence: 0,
        }
    }

    /// The token, while this candidate leads.
    #[must_use]
    pub fn token(&self) -> Option<u64> {
        self.held.as_ref().map(|held| held.token)
    }

    /// Takes the fence of the ring into account: where the paper was lost, tokens would begin anew, and
    /// the ring would refuse every change by their holders. To be called before each poll.
    pub fn observe_fence(&mut self, fence: u64) {
        self.fence = self.fence.max(fence);
    }

    /// Says what to do about the paper as it is. `now` is the time on a clock that only runs forward.
    ///
    /// A leader that finds another paper than its own leads no more.
    pub fn poll(&mut self, paper: Option<&[u8]>, now: Duration) -> LeaseAction {
        let lease = paper.and_then(|paper| serde_json::from_slice::<Lease>(paper).ok());
        // Whoever can write the paper shall not be able to use the tokens up.
        let plausible = |lease: &Lease| lease.token <= self.fence.saturating_add(MOST_AHEAD);
        let lease = lease.filter(plausible);
        if self.held.is_some() && self.held != lease {
            // A sign of life that was written though its writer was never told so.
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
                // A change of one's own makes the fence as high as the token, one by another higher.
                token: match self.fence > held.token {
                    true => self.fence.saturating_add(1),
                    false => held.token,
                },
                ..held.clone()
            }));
        }
        let bytes = paper.unwrap_or_default();
        let since = match &self.seen {
            Some((seen, since)) if seen == bytes => *since,
            _ => {
                self.seen = Some((bytes.to_vec(), now));
                now
            }
        };
        let Some(lease) = lease else {
            // None, or one that nobody can hold.
            return LeaseAction::Write(to_bytes(&self.first(0)));
        };
        if lease.released || now.saturating_sub(since) >= self.patience {
            return LeaseAction::Write(to_bytes(&self.first(lease.token)));
        }
        LeaseAction::Wait {
            leader: shown(&lease.process),
        }
    }

    /// What [`poll`](Self::poll) said was written, and nobody else wrote in between.
    pub fn wrote(&mut self, paper: &[u8]) {
        self.held = serde_json::from_slice(paper).ok();
    }

    /// The paper was not written: somebody else was faster.
    pub fn lost(&mut self) {
        self.held = None;
    }

    /// The paper with which a leader lets go; `None` for who does not lead.
    pub fn release(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        let held = self.held.take()?;
        let released = Lease {
            released: true,
            ..held.clone()
        };
        Some((to_bytes(&held), to_bytes(&released)))
    }

    /// The first paper of a new holder, with a token above all that were before.
    fn first(&self, before: u64) -> Lease {
        Lease {
            process: self.process.clone(),
            token: before.max(self.fence).saturating_add(1),
            beat: 0,
            released: false,
        }
    }
}

/// Anybody may have written it.
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

    fn written(poll: LeaseAction) -> Vec<u8> {
        match poll {
            LeaseAction::Write(paper) => paper,
            LeaseAction::Wait { leader } => panic!("waits for {leader}"),
        }
    }

    #[test]
    fn a_leader_that_shows_no_life_is_followed_by_another_with_a_higher_token() {
        let (mut a, mut b) = (
            Candidate::new("a", 5 * SECOND),
            Candidate::new("b", 5 * SECOND),
        );
        let paper = written(a.poll(None, SECOND));
        a.wrote(&paper);
        assert_eq!(a.token(), Some(1));
        assert!(matches!(
            b.poll(Some(&paper), SECOND),
            LeaseAction::Wait { .. }
        ));
        let second = written(a.poll(Some(&paper), 3 * SECOND));
        a.wrote(&second);
        // It changed: the patience begins anew.
        assert!(matches!(
            b.poll(Some(&second), 6 * SECOND),
            LeaseAction::Wait { .. }
        ));
        assert!(matches!(
            b.poll(Some(&second), 10 * SECOND),
            LeaseAction::Wait { .. }
        ));
        let taken = written(b.poll(Some(&second), 11 * SECOND));
        b.wrote(&taken);
        assert_eq!(b.token(), Some(2));
        // The first one comes back and sees that it leads no more.
        assert!(matches!(
            a.poll(Some(&taken), 12 * SECOND),
            LeaseAction::Wait { .. }
        ));
        assert_eq!(a.token(), None);
    }

    #[test]
    fn who_lets_go_is_followed_at_once() {
        let (mut a, mut b) = (
            Candidate::new("a", 5 * SECOND),
            Candidate::new("b", 5 * SECOND),
        );
        let paper = written(a.poll(None, SECOND));
        a.wrote(&paper);
        let (expected, released) = a.release().unwrap();
        assert_eq!(expected, paper);
        let taken = written(b.poll(Some(&released), SECOND));
        b.wrote(&taken);
        assert_eq!((a.token(), b.token()), (None, Some(2)));
    }

    #[test]
    fn a_sign_of_life_that_was_written_unbeknown_to_the_leader_does_not_end_its_lead() {
        let (mut a, mut b) = (
            Candidate::new("a", 5 * SECOND),
            Candidate::new("b", 5 * SECOND),
        );
        let paper = written(a.poll(None, SECOND));
        a.wrote(&paper);
        let unheard = written(a.poll(Some(&paper), 2 * SECOND));
        let next = written(a.poll(Some(&unheard), 3 * SECOND));
        a.wrote(&next);
        assert_eq!(a.token(), Some(1));
        assert!(matches!(
            b.poll(Some(&next), 3 * SECOND),
            LeaseAction::Wait { .. }
        ));
        assert_eq!(a.release().map(|(held, _)| held), Some(next));
    }

    #[test]
    fn where_the_paper_was_lost_the_next_token_is_above_the_fence_of_the_ring() {
        let mut a = Candidate::new("a", SECOND);
        a.observe_fence(7);
        let paper = written(a.poll(None, SECOND));
        a.wrote(&paper);
        assert_eq!(a.token(), Some(8));
        // A fence of one's own making leaves the token as it is.
        a.observe_fence(8);
        let paper = written(a.poll(Some(&paper), SECOND));
        a.wrote(&paper);
        assert_eq!(a.token(), Some(8));
    }

    #[test]
    fn a_paper_that_says_nothing_is_written_over() {
        let mut a = Candidate::new("a", SECOND);
        written(a.poll(Some(b"{\"process\":"), SECOND));
    }
}
