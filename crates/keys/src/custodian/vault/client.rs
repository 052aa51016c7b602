//! One request to Vault or OpenBao, within limits of time, attempts and size. Independent of the
//! content.

use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Method, Response, retry};
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use super::failure::Cause;
use super::reply::Reply;
use super::settings::{Service, invalid_variable};
use super::trust;
use crate::custodian::CustodianError;
use crate::custodian::Variables;

/// The time limit of connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The time limit of one attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// The total number of attempts.
const MAX_ATTEMPTS: u32 = 3;
/// The delay after the first attempt; it grows with each.
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// The maximum size of a response.
const MAX_RESPONSE_LEN: usize = 64 * 1024;

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// Proves that no browser was tricked into sending it; some servers and agents require it.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

/// A service, and the HTTP client for it.
pub(super) struct Client {
    http: reqwest::Client,
    service: Service,
}

/// A request.
pub(super) struct Request<'a> {
    /// The path below `/v1/`.
    pub(super) path: &'a str,
    /// The token, except at a login.
    pub(super) token: Option<&'a str>,
    /// The body of a POST; without one, the request is a GET.
    pub(super) body: Option<&'a [u8]>,
}

/// Why one attempt failed.
struct AttemptError {
    cause: Cause,
    retry: Retry,
}

/// Whether and when another attempt may help.
#[derive(Clone, Copy)]
enum Retry {
    /// It would fail in the same way.
    No,
    /// After a delay that grows with each attempt.
    AfterBackoff,
    /// After the delay that the service asks for.
    After(Duration),
}

impl Retry {
    /// The delay before the next attempt, after this many; `None` if there should be no other.
    fn delay(self, attempts: u32) -> Option<Duration> {
        match self {
            Self::No => None,
            Self::AfterBackoff => Some(RETRY_DELAY * attempts),
            Self::After(delay) => Some(delay),
        }
    }
}

impl Client {
    /// The client for the service that variables name. Contacts nothing.
    pub(super) fn open(variables: &Variables) -> Result<Self, CustodianError> {
        let service = Service::from_variables(variables)?;
        let http = reqwest::Client::builder()
            // Also without TLS: otherwise reqwest would panic here, as it finds no cryptography.
            .tls_backend_preconfigured(trust::settings(&service, variables)?)
            .redirect(Policy::none())
            // Tokens are sent to the configured address: proxies would come from the environment,
            // which is not read here.
            .no_proxy()
            .retry(retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .build();
        let http = http
            .map_err(|_| invalid_variable("VAULT_ADDR", "this build has no HTTP client for it"))?;
        Ok(Self { http, service })
    }

    /// Returns the response, after as many attempts as needed and the deadline allows.
    pub(super) async fn send(
        &self,
        request: &Request<'_>,
        deadline: Instant,
    ) -> Result<Reply, Cause> {
        let mut attempt = 1;
        loop {
            let AttemptError { cause, retry } = match self.attempt(request, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let remaining = deadline.saturating_duration_since(Instant::now());
            match retry.delay(attempt) {
                // There would be no time for the response: report the error now.
                Some(delay) if attempt < MAX_ATTEMPTS && delay < remaining => sleep(delay).await,
                _ => return Err(cause),
            }
            attempt += 1;
        }
    }

    async fn attempt(
        &self,
        request: &Request<'_>,
        deadline: Instant,
    ) -> Result<Reply, AttemptError> {
        let remaining = deadline.saturating_duration_since(Instant::now());
        let method = request.body.map_or(Method::GET, |_| Method::POST);
        let url = format!("{}/v1/{}", self.service.address, request.path);
        let mut builder = self
            .http
            .request(method, url)
            .header(REQUEST, "true")
            .timeout(remaining.min(ATTEMPT_TIMEOUT));
        if let Some(namespace) = &self.service.namespace {
            builder = builder.header(NAMESPACE, namespace);
        }
        if let Some(token) = request.token {
            builder = builder.header(TOKEN, header(token)?);
        }
        if let Some(body) = request.body {
            // This copy is not wiped, nor is that of the token above, nor the buffers of TLS: the
            // client offers no way to.
            builder = builder.body(body.to_vec());
        }
        let response = builder.send().await.map_err(from_reqwest)?;
        let status = response.status();
        let retry_after = retry_after(&response);
        let body = read_body(response).await?;
        if status.is_success() {
            return Ok(Reply(body));
        }
        let cause = Cause::of_status(status.as_u16(), &body);
        let may_pass = status.as_u16() == 429 || status.is_server_error();
        let retry = match cause {
            Cause::Transient(_) if may_pass => {
                retry_after.map_or(Retry::AfterBackoff, Retry::After)
            }
            _ => Retry::No,
        };
        Err(AttemptError { cause, retry })
    }
}

/// A token as a header that is not logged.
fn header(token: &str) -> Result<HeaderValue, AttemptError> {
    let value = HeaderValue::from_str(token).map_err(|_| AttemptError {
        cause: Cause::Forbidden,
        retry: Retry::No,
    });
    value.map(|mut value| {
        value.set_sensitive(true);
        value
    })
}

/// Reads the body into a buffer that is wiped and never moved.
async fn read_body(mut response: Response) -> Result<Zeroizing<Vec<u8>>, AttemptError> {
    let mut body = Zeroizing::new(Vec::with_capacity(MAX_RESPONSE_LEN));
    while let Some(part) = response.chunk().await.map_err(from_reqwest)? {
        if part.len() > MAX_RESPONSE_LEN - body.len() {
            return Err(AttemptError {
                cause: Cause::UNREADABLE,
                retry: Retry::No,
            });
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

fn from_reqwest(error: reqwest::Error) -> AttemptError {
    AttemptError {
        cause: Cause::of_request(&error),
        retry: Retry::AfterBackoff,
    }
}

/// The delay that the service asks for, in whole seconds; dates are not parsed.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?;
    let seconds = value.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
