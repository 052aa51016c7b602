//! The token that a custodian asks with: got when it is needed, shared by all who ask at a time, and
//! exchanged when the service does not take it any more. What it is for is not known here.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::PATIENCE;
use super::client::{Client, Request};
use super::failure::{Cause, LOGIN};
use super::login::{Login, Term, Token};
use super::renewal;
use crate::error::CustodianError;
use crate::live::lock;

/// How long no other token is asked for after a new one did not help: each login leaves one behind.
const IN_VAIN: Duration = Duration::from_secs(60);

/// A service, and who this process is there.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) custodian: String,
    login: Login,
    current: Mutex<Option<Current>>,
    /// Held while somebody logs in: the others wait, and take what they got.
    entrance: tokio::sync::Mutex<()>,
}

struct Current {
    token: Arc<Token>,
    /// When a request was denied that had been denied to the token before this one.
    in_vain: Option<Instant>,
    /// Dropped with this, and then whoever renews the token ends.
    _in_use: oneshot::Sender<()>,
}

impl Session {
    pub(super) fn new(custodian: &str, client: Client, login: Login) -> Arc<Self> {
        Arc::new(Self {
            client,
            custodian: custodian.to_owned(),
            login,
            current: Mutex::default(),
            entrance: tokio::sync::Mutex::default(),
        })
    }

    /// The token; logs in where there is none.
    pub(super) async fn token(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> Result<Arc<Token>, CustodianError> {
        if let Some(token) = self.current() {
            return Ok(token);
        }
        let token = self.enter(None, deadline).await?;
        // Without an old one, there is always a new one.
        token.ok_or_else(|| Cause::Forbidden.error(&self.custodian, LOGIN))
    }

    /// Another token than this one, which is denied something; none if there is no other, or if it is
    /// known that another one does not help.
    pub(super) async fn other(
        self: &Arc<Self>,
        denied: &Arc<Token>,
        deadline: Instant,
    ) -> Result<Option<Arc<Token>>, CustodianError> {
        let was_rejected = lock(&self.current).as_ref().is_some_and(|current| {
            let recent = current.in_vain.is_some_and(|at| at.elapsed() < IN_VAIN);
            recent && Arc::ptr_eq(&current.token, denied)
        });
        if was_rejected {
            return Ok(None);
        }
        self.enter(Some(denied), deadline).await
    }

    /// This token, got because another one was denied something, is denied the same.
    pub(super) fn mark_rejected(&self, token: &Arc<Token>) {
        // To look into the variable again costs nothing.
        if matches!(token.term, Term::Unknown) {
            return;
        }
        if let Some(current) = &mut *lock(&self.current)
            && Arc::ptr_eq(&current.token, token)
        {
            current.in_vain = Some(Instant::now());
        }
    }

    /// Logs in, unless there is another token than the one that is spent; none if there is no other.
    pub(super) async fn enter(
        self: &Arc<Self>,
        spent: Option<&Arc<Token>>,
        deadline: Instant,
    ) -> Result<Option<Arc<Token>>, CustodianError> {
        let _entrance = self.entrance.lock().await;
        let is_spent = |token: &Arc<Token>| spent.is_some_and(|spent| Arc::ptr_eq(spent, token));
        if let Some(token) = self.current().filter(|token| !is_spent(token)) {
            return Ok(Some(token));
        }
        let entered = self.login.enter(&self.custodian, &self.client, deadline);
        let token = Arc::new(entered.await?);
        // A token that is given, and still the same.
        if spent.is_some_and(|spent| spent.text == token.text) {
            return Ok(None);
        }
        let (in_use, ended) = oneshot::channel();
        *lock(&self.current) = Some(Current {
            token: token.clone(),
            in_vain: None,
            _in_use: in_use,
        });
        renewal::start(self, &token, ended);
        Ok(Some(token))
    }

    fn current(&self) -> Option<Arc<Token>> {
        let current = lock(&self.current);
        current.as_ref().map(|current| current.token.clone())
    }

    /// How long a token lives that was given.
    pub(super) async fn look_up(&self, token: &Token) -> Result<Term, Cause> {
        let request = Request {
            path: "auth/token/lookup-self",
            token: Some(&token.text),
            body: None,
        };
        let answer = self.client.send(&request, soon()).await?;
        answer.looked_up().map(Term::of)
    }

    /// How long a token lives from now on.
    pub(super) async fn renew(&self, token: &Token) -> Result<Term, Cause> {
        let request = Request {
            path: "auth/token/renew-self",
            token: Some(&token.text),
            body: Some(b"{}"),
        };
        let answer = self.client.send(&request, soon()).await?;
        answer.auth().map(|auth| Term::of(auth.lease()))
    }
}

/// The deadline of what nobody waits for.
pub(super) fn soon() -> Instant {
    Instant::now() + PATIENCE
}
