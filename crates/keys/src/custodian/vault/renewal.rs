//! Keeps a token alive while it is in use: renews it at half of its validity, and logs in again
//! where that does not help. No caller waits for this.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::failure::Cause;
use super::login::{Term, Token};
use super::session::{Session, background_deadline};

/// The minimum interval between two renewals.
const MIN_INTERVAL: Duration = Duration::from_millis(250);
/// The delay before a failed look-up of a token is repeated.
const LOOKUP_RETRY_DELAY: Duration = Duration::from_secs(10);

/// Starts a task that ends with the use of the token, or with its session.
pub(super) fn start(session: &Arc<Session>, token: &Arc<Token>, ended: oneshot::Receiver<()>) {
    if !matches!(token.term, Term::Fixed) {
        tokio::spawn(keep_alive(Arc::downgrade(session), token.clone(), ended));
    }
}

/// The expiry of a token, as far as it is known.
struct Lease {
    /// Its longest validity so far.
    whole: Duration,
    until: Instant,
}

impl Lease {
    fn new(lease: Duration) -> Self {
        Self {
            whole: lease,
            until: Instant::now() + lease,
        }
    }

    fn remaining(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Applies a renewal. Returns false if it granted so little that the token is close to its
    /// final expiry.
    fn extend(&mut self, lease: Duration) -> bool {
        let whole = self.whole.max(lease);
        *self = Self {
            whole,
            ..Self::new(lease)
        };
        lease >= whole / 2
    }
}

async fn keep_alive(session: Weak<Session>, token: Arc<Token>, mut ended: oneshot::Receiver<()>) {
    let Some(mut lease) = first_lease(&session, &token, &mut ended).await else {
        return;
    };
    let mut has_warned = false;
    loop {
        // Half of the remaining time, and half of that again while the service cannot be reached.
        if !wait_in_use((lease.remaining() / 2).max(MIN_INTERVAL), &mut ended).await {
            return;
        }
        let Some(session) = session.upgrade() else {
            return;
        };
        match session.renew(&token).await {
            Ok(Term::Renewable(more)) if lease.extend(more) => continue,
            Err(Cause::Transient(_)) if !lease.remaining().is_zero() => continue,
            _ => {}
        }
        // If that fails as well, the next request tries again.
        match session.log_in(Some(&token), background_deadline()).await {
            Ok(None) if !lease.remaining().is_zero() => {
                if !has_warned {
                    warn!(
                        "the token of the custodian {} ends soon: its variable holds no other token",
                        session.custodian
                    );
                }
                has_warned = true;
            }
            Ok(_) => return,
            Err(error) => {
                warn!("{error}");
                return;
            }
        }
    }
}

/// The lease of a token that has one. A token that may not be looked up is used for as long as it
/// is accepted.
async fn first_lease(
    session: &Weak<Session>,
    token: &Arc<Token>,
    ended: &mut oneshot::Receiver<()>,
) -> Option<Lease> {
    let mut term = token.term;
    loop {
        match term {
            Term::Renewable(lease) => return Some(Lease::new(lease)),
            Term::Fixed => return None,
            Term::Unknown => {}
        }
        let term_now = session.upgrade()?.look_up(token).await;
        match term_now {
            Ok(found) => term = found,
            Err(Cause::Transient(_)) if wait_in_use(LOOKUP_RETRY_DELAY, ended).await => {}
            Err(_) => return None,
        }
    }
}

/// Waits. Returns false if the token went out of use meanwhile.
async fn wait_in_use(pause: Duration, ended: &mut oneshot::Receiver<()>) -> bool {
    tokio::select! {
        () = sleep(pause) => true,
        _ = ended => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lease_runs_out_and_is_extended_until_renewals_give_too_little() {
        let mut lease = Lease::new(Duration::from_secs(60));
        tokio::time::advance(Duration::from_secs(40)).await;
        assert_eq!(lease.remaining(), Duration::from_secs(20));
        assert!(lease.extend(Duration::from_secs(60)));
        assert_eq!(lease.remaining(), Duration::from_secs(60));
        assert!(lease.extend(Duration::from_secs(100)));
        assert!(lease.extend(Duration::from_secs(50)));
        assert!(!lease.extend(Duration::from_secs(49)));
        assert_eq!(lease.remaining(), Duration::from_secs(49));
        tokio::time::advance(Duration::from_secs(80)).await;
        assert_eq!(lease.remaining(), Duration::ZERO);
    }
}
