//! A custodian whose key-encryption key is in a hardware security module, reached through PKCS#11
//! (OASIS, versions 2.40 to 3.2): the key is never seen here, only wrapped data keys.
//!
//! Modules are libraries of vendors, written in C, which may block indefinitely. Each custodian
//! therefore has one thread and one session of its own, and callers wait for an answer for a
//! bounded time. A call that does not return blocks its thread (`hung`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;
use waxseal_core::SecretKey;

use super::{Context, Custodian, Variables, Wrapped};
use crate::custodian::CustodianError;
use crate::sync::lock;

mod failure;
mod hung;
mod login_lock;
mod mechanism;
mod module;
mod token;
mod uri;

pub use uri::Pkcs11Uri;

use hung::Calls;
use token::Token;

/// The time a module may take to answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The number of requests that may wait for the module.
const MAX_QUEUED_JOBS: usize = 64;
/// The time the thread may take to end. A process that exits in the middle of a call could crash.
const EXIT_TIMEOUT: Duration = Duration::from_secs(1);

/// Work for the thread with its token.
type Job = Box<dyn FnOnce(&mut Token) + Send>;

/// The PKCS#11 custodians of this process whose module does not answer, and for how long.
#[must_use]
pub fn hung_custodians() -> Vec<(String, Duration)> {
    hung::list()
}

/// A key in a hardware security module.
pub struct Pkcs11Custodian {
    url: String,
    /// The thread ends when this is dropped.
    jobs: Mutex<Option<mpsc::SyncSender<Job>>>,
    /// Tells the thread that no caller waits any more.
    dropped: Arc<AtomicBool>,
    /// The calls that the thread makes.
    calls: Arc<Calls>,
    /// Closed when the thread has ended.
    ended: Mutex<mpsc::Receiver<()>>,
}

impl Pkcs11Custodian {
    /// The custodian of a PKCS#11 URI (RFC 7512). The module is loaded, and the PIN read, when it
    /// is used.
    ///
    /// Where the URI does not name them, `PKCS11_MODULE_PATH` names the module and `PKCS11_PIN`
    /// holds the PIN.
    pub fn open(url: &str, variables: &Variables) -> Result<Self, CustodianError> {
        let uri = Pkcs11Uri::parse(url)?;
        let url = uri.to_string();
        let (jobs, waiting) = mpsc::sync_channel::<Job>(MAX_QUEUED_JOBS);
        let (ends, ended) = mpsc::channel();
        let dropped = Arc::new(AtomicBool::new(false));
        let mut token = Token::new(uri, variables.clone(), dropped.clone())?;
        let calls = Arc::new(Calls::of(token.module_path(), &url));
        let thread = thread::Builder::new().name("pkcs11".to_owned());
        let spawned = thread.spawn(move || {
            for job in waiting {
                job(&mut token);
            }
            drop(token);
            drop(ends);
        });
        if spawned.is_err() {
            return Err(unavailable(&url, "the system cannot start a thread for it"));
        }
        Ok(Self {
            url,
            jobs: Mutex::new(Some(jobs)),
            dropped,
            calls,
            ended: Mutex::new(ended),
        })
    }

    /// Creates the key in the token: AES-256, not extractable. Refused if a key of this name
    /// exists.
    pub async fn create_key(&self) -> Result<(), CustodianError> {
        self.run(Token::create_key).await
    }

    /// Runs work on the thread, and waits for its result.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Token) -> Result<T, CustodianError> + Send + 'static,
    ) -> Result<T, CustodianError> {
        if let Some(reason) = self.calls.reason() {
            return Err(unavailable(&self.url, &reason));
        }
        let (answer, answered) = oneshot::channel();
        let calls = self.calls.clone();
        let job: Job = Box::new(move |token| {
            // The caller may have given up: a token that was slow does not run stale work.
            if !answer.is_closed() {
                calls.begin();
                let done = work(token);
                calls.end();
                let _ = answer.send(done);
            }
        });
        let sent = match &*lock(&self.jobs) {
            Some(jobs) => jobs.try_send(job),
            None => return Err(unavailable(&self.url, "its thread has ended")),
        };
        match sent {
            Ok(()) => {}
            Err(mpsc::TrySendError::Full(_)) => {
                return Err(unavailable(
                    &self.url,
                    "it has not answered earlier requests",
                ));
            }
            Err(mpsc::TrySendError::Disconnected(_)) => {
                return Err(unavailable(&self.url, "its thread has ended"));
            }
        }
        match tokio::time::timeout(CALL_TIMEOUT, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(unavailable(&self.url, "its thread has ended")),
            Err(_) => {
                // Logged, and recorded for later callers.
                let _ = self.calls.reason();
                let cause = format!("no answer within {} s", CALL_TIMEOUT.as_secs());
                Err(unavailable(&self.url, &cause))
            }
        }
    }
}

impl Drop for Pkcs11Custodian {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
        drop(lock(&self.jobs).take());
        // A hung module's thread is abandoned.
        if self.calls.is_hung() {
            return;
        }
        let _ = lock(&self.ended).recv_timeout(EXIT_TIMEOUT);
    }
}

#[async_trait]
impl Custodian for Pkcs11Custodian {
    fn url(&self) -> &str {
        &self.url
    }

    async fn wrap(
        &self,
        key: &SecretKey,
        context: &Context<'_>,
    ) -> Result<Wrapped, CustodianError> {
        let key = SecretKey::from_bytes(key.expose_bytes())?;
        let context = OwnedContext::of(context);
        self.run(move |token| token.wrap(&key, &context.borrow()))
            .await
    }

    async fn unwrap(
        &self,
        wrapped: &Wrapped,
        context: &Context<'_>,
    ) -> Result<SecretKey, CustodianError> {
        let wrapped = wrapped.clone();
        let context = OwnedContext::of(context);
        self.run(move |token| token.unwrap(&wrapped, &context.borrow()))
            .await
    }
}

/// An owned context, to be sent to another thread.
struct OwnedContext {
    environment: String,
    ring: String,
    key: String,
}

impl OwnedContext {
    fn of(context: &Context<'_>) -> Self {
        Self {
            environment: context.environment.to_owned(),
            ring: context.ring.to_owned(),
            key: context.key.to_owned(),
        }
    }

    fn borrow(&self) -> Context<'_> {
        Context {
            environment: &self.environment,
            ring: &self.ring,
            key: &self.key,
        }
    }
}

fn unavailable(url: &str, cause: &str) -> CustodianError {
    CustodianError::Unavailable {
        custodian: url.to_owned(),
        cause: cause.to_owned(),
    }
}
