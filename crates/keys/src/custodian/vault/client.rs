//! One request to Vault or OpenBao, within bounds: of time, of attempts, of what is read. What is asked
//! and what is answered is not known here.

use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Method, Response, retry};
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use super::answer::Answer;
use super::failure::Cause;
use super::settings::{Service, unfit};
use super::trust;
use crate::custodian::CustodianError;
use crate::custodian::Variables;

/// For a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// For one attempt.
const ATTEMPT: Duration = Duration::from_secs(5);
/// How often a request is tried in all.
const ATTEMPTS: u32 = 3;
/// After the first attempt; longer after each.
const PAUSE: Duration = Duration::from_millis(100);
/// What is read of an answer.
const MOST: usize = 64 * 1024;

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// Proves that no browser was tricked into asking; some servers and agents insist on it.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

/// A service, and how it is reached.
pub(super) struct Client {
    http: reqwest::Client,
    service: Service,
}

/// What is asked.
pub(super) struct Request<'a> {
    /// Below `/v1/`.
    pub(super) path: &'a str,
    /// Who asks, but at a login.
    pub(super) token: Option<&'a str>,
    /// Posted; without one, something is only looked at.
    pub(super) body: Option<&'a [u8]>,
}

/// Why one attempt failed.
struct Failed {
    cause: Cause,
    /// Whether another attempt may help, and when the service wants it if it says so.
    again: Option<Option<Duration>>,
}

impl Client {
    /// For the service that variables name. Asks nobody.
    pub(super) fn open(variables: &Variables) -> Result<Self, CustodianError> {
        let service = Service::read(variables)?;
        let http = reqwest::Client::builder()
            // Also without TLS: by itself reqwest would panic here, as it finds no cryptography.
            .tls_backend_preconfigured(trust::settings(&service, variables)?)
            .redirect(Policy::none())
            // Tokens go to the address that was given: proxies would come from the environment, which
            // is not read here.
            .no_proxy()
            .retry(retry::never())
            .connect_timeout(CONNECT)
            .build();
        let http = http.map_err(|_| unfit("VAULT_ADDR", "this build has no HTTP client for it"))?;
        Ok(Self { http, service })
    }

    /// The answer, after as many attempts as it takes and the deadline allows.
    pub(super) async fn send(
        &self,
        request: &Request<'_>,
        deadline: Instant,
    ) -> Result<Answer, Cause> {
        let mut attempt = 1;
        loop {
            let Failed { cause, again } = match self.attempt(request, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let pause = again.map(|asked| asked.unwrap_or(PAUSE * attempt));
            let left = deadline.saturating_duration_since(Instant::now());
            match pause {
                // There would be no time for the answer: who asked hears of it now.
                Some(pause) if attempt < ATTEMPTS && pause < left => sleep(pause).await,
                _ => return Err(cause),
            }
            attempt += 1;
        }
    }

    async fn attempt(&self, request: &Request<'_>, deadline: Instant) -> Result<Answer, Failed> {
        let left = deadline.saturating_duration_since(Instant::now());
        let method = request.body.map_or(Method::GET, |_| Method::POST);
        let url = format!("{}/v1/{}", self.service.address, request.path);
        let mut builder = self
            .http
            .request(method, url)
            .header(REQUEST, "true")
            .timeout(left.min(ATTEMPT));
        if let Some(namespace) = &self.service.namespace {
            builder = builder.header(NAMESPACE, namespace);
        }
        if let Some(token) = request.token {
            builder = builder.header(TOKEN, header(token)?);
        }
        if let Some(body) = request.body {
            // This copy is not wiped, nor is that of the token above, nor what TLS reads and writes:
            // the client has no way to.
            builder = builder.body(body.to_vec());
        }
        let response = builder.send().await.map_err(broken)?;
        let status = response.status();
        let asked = retry_after(&response);
        let body = read(response).await?;
        if status.is_success() {
            return Ok(Answer(body));
        }
        let cause = Cause::of_status(status.as_u16(), &body);
        let may_pass = status.as_u16() == 429 || status.is_server_error();
        let again = may_pass && matches!(cause, Cause::Passing(_));
        Err(Failed {
            cause,
            again: again.then_some(asked),
        })
    }
}

/// A token as a header that logs do not show.
fn header(token: &str) -> Result<HeaderValue, Failed> {
    let value = HeaderValue::from_str(token).map_err(|_| Failed {
        cause: Cause::Forbidden,
        again: None,
    });
    value.map(|mut value| {
        value.set_sensitive(true);
        value
    })
}

/// The body, into a buffer that is wiped and never moved.
async fn read(mut response: Response) -> Result<Zeroizing<Vec<u8>>, Failed> {
    let mut body = Zeroizing::new(Vec::with_capacity(MOST));
    while let Some(part) = response.chunk().await.map_err(broken)? {
        if part.len() > MOST - body.len() {
            return Err(Failed {
                cause: Cause::UNREADABLE,
                again: None,
            });
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

fn broken(error: reqwest::Error) -> Failed {
    Failed {
        cause: Cause::of_request(&error),
        again: Some(None),
    }
}

/// When the service wants to be asked again, in whole seconds; dates are not read.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?;
    let seconds = value.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
