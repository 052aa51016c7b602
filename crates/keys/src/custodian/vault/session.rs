//! The token of a custodian: obtained when it is needed, shared by concurrent requests, and
//! replaced when the service no longer accepts it. Independent of the requests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::OPERATION_TIMEOUT;
use super::client::{Client, Request};
use super::failure::{Cause, LOGIN};
use super::login::{Login, Term, Token};
use super::renewal;
use crate::custodian::CustodianError;
use crate::sync::lock;

/// The time for which no other token is requested after a new one did not help: each login leaves
/// one behind.
const REJECTION_TTL: Duration = Duration::from_secs(60);

/// A service, and this process's token for it.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) custodian: String,
    login: Login,
    current: Mutex<Option<Current>>,
    /// Held during a login: other callers wait, and use the new token.
    login_lock: tokio::sync::Mutex<()>,
}

struct Current {
    token: Arc<Token>,
    /// The time a request was denied that had been denied with the previous token, too.
    rejected_at: Option<Instant>,
    /// Dropping it ends the task that renews the token.
    _in_use: oneshot::Sender<()>,
}

impl Session {
    pub(super) fn new(custodian: &str, client: Client, login: Login) -> Arc<Self> {
        Arc::new(Self {
            client,
            custodian: custodian.to_owned(),
            login,
            current: Mutex::default(),
            login_lock: tokio::sync::Mutex::default(),
        })
    }

    /// The token; logs in if there is none.
    pub(super) async fn token(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> Result<Arc<Token>, CustodianError> {
        if let Some(token) = self.current() {
            return Ok(token);
        }
        let token = self.log_in(None, deadline).await?;
        // Without an old one, there is always a new one.
        token.ok_or_else(|| Cause::Forbidden.error(&self.custodian, LOGIN))
    }

    /// A token other than this one, which was denied something; `None` if there is no other, or if
    /// another one is known not to help.
    pub(super) async fn other(
        self: &Arc<Self>,
        denied: &Arc<Token>,
        deadline: Instant,
    ) -> Result<Option<Arc<Token>>, CustodianError> {
        let was_rejected = lock(&self.current).as_ref().is_some_and(|current| {
            let recent = current
                .rejected_at
                .is_some_and(|at| at.elapsed() < REJECTION_TTL);
            recent && Arc::ptr_eq(&current.token, denied)
        });
        if was_rejected {
            return Ok(None);
        }
        self.log_in(Some(denied), deadline).await
    }

    /// Records that this token, obtained because another one was denied something, is denied the
    /// same.
    pub(super) fn mark_rejected(&self, token: &Arc<Token>) {
        // Reading the variable again costs nothing.
        if matches!(token.term, Term::Unknown) {
            return;
        }
        if let Some(current) = &mut *lock(&self.current)
            && Arc::ptr_eq(&current.token, token)
        {
            current.rejected_at = Some(Instant::now());
        }
    }

    /// Logs in, unless the current token is another one than the spent one; `None` if there is no
    /// other.
    pub(super) async fn log_in(
        self: &Arc<Self>,
        spent: Option<&Arc<Token>>,
        deadline: Instant,
    ) -> Result<Option<Arc<Token>>, CustodianError> {
        let _login_lock = self.login_lock.lock().await;
        let is_spent = |token: &Arc<Token>| spent.is_some_and(|spent| Arc::ptr_eq(spent, token));
        if let Some(token) = self.current().filter(|token| !is_spent(token)) {
            return Ok(Some(token));
        }
        let logged_in = self.login.log_in(&self.custodian, &self.client, deadline);
        let token = Arc::new(logged_in.await?);
        // The configured token, unchanged.
        if spent.is_some_and(|spent| spent.text == token.text) {
            return Ok(None);
        }
        let (in_use, ended) = oneshot::channel();
        *lock(&self.current) = Some(Current {
            token: token.clone(),
            rejected_at: None,
            _in_use: in_use,
        });
        renewal::start(self, &token, ended);
        Ok(Some(token))
    }

    fn current(&self) -> Option<Arc<Token>> {
        let current = lock(&self.current);
        current.as_ref().map(|current| current.token.clone())
    }

    /// The validity of a configured token.
    pub(super) async fn look_up(&self, token: &Token) -> Result<Term, Cause> {
        let request = Request {
            path: "auth/token/lookup-self",
            token: Some(&token.text),
            body: None,
        };
        let answer = self.client.send(&request, background_deadline()).await?;
        answer.looked_up_lease().map(Term::of)
    }

    /// The validity of a token after renewal.
    pub(super) async fn renew(&self, token: &Token) -> Result<Term, Cause> {
        let request = Request {
            path: "auth/token/renew-self",
            token: Some(&token.text),
            body: Some(b"{}"),
        };
        let answer = self.client.send(&request, background_deadline()).await?;
        answer.auth().map(|auth| Term::of(auth.lease()))
    }
}

/// The deadline of background requests.
pub(super) fn background_deadline() -> Instant {
    Instant::now() + OPERATION_TIMEOUT
}
