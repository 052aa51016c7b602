//! A custodian whose key-encryption key is in the transit engine of HashiCorp Vault or of OpenBao.
//! The key never leaves the service. The context is bound into the wrapped plaintext: not every
//! kind of key authenticates associated data.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64_simd::STANDARD;
use tokio::time::{Instant, timeout_at};
use waxseal_core::SecretKey;
use zeroize::Zeroizing;

use super::{Context, Custodian, Variables, Wrapped, bound};
use crate::custodian::CustodianError;

mod ciphertext;
mod client;
mod failure;
mod login;
mod renewal;
mod reply;
mod session;
mod settings;
mod trust;

use client::{Client, Request};
use failure::Cause;
use login::{Login, Token};
use reply::Reply;
use session::Session;
use settings::TransitKey;

/// The time limit of an operation with all its attempts, and with a login where needed.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(10);

/// A key of the transit engine.
pub struct VaultCustodian {
    url: String,
    key_path: TransitKey,
    session: Arc<Session>,
}

/// An operation on a data key: our name, and the service's.
#[derive(Clone, Copy)]
struct Operation {
    name: &'static str,
    path: &'static str,
}

const WRAP: Operation = Operation {
    name: "wrap",
    path: "encrypt",
};
const UNWRAP: Operation = Operation {
    name: "unwrap",
    path: "decrypt",
};
const REWRAP: Operation = Operation {
    name: "rewrap",
    path: "rewrap",
};

impl VaultCustodian {
    /// The custodian of `MOUNT/KEY`, such as `transit/waxseal`. The service is contacted when it is
    /// used.
    ///
    /// - `VAULT_ADDR` is its address, `VAULT_NAMESPACE` its namespace; `BAO_ADDR` and
    ///   `BAO_NAMESPACE` are used where those are not set. Only https, except on this machine or
    ///   with `VAULT_ALLOW_HTTP=true`.
    /// - `VAULT_CACERT` is a file with the authority to trust instead of the system's;
    ///   `VAULT_CLIENT_CERT` and `VAULT_CLIENT_KEY` are files with the client certificate.
    /// - `VAULT_AUTH` is `token` (`VAULT_TOKEN` or `BAO_TOKEN`), `approle` (`VAULT_ROLE_ID` and
    ///   `VAULT_SECRET_ID`) or `kubernetes` (`VAULT_K8S_ROLE`, and `VAULT_K8S_TOKEN_PATH` for the
    ///   file of the service account's token); by default the first of them that is set.
    ///   `VAULT_AUTH_MOUNT` is the path where the latter two are mounted.
    pub fn open(path: &str, variables: &Variables) -> Result<Self, CustodianError> {
        let key_path = TransitKey::parse(path)?;
        let url = key_path.url();
        let client = Client::open(variables)?;
        let session = Session::new(&url, client, Login::open(variables)?);
        Ok(Self {
            url,
            key_path,
            session,
        })
    }

    /// Sends a request to transit within the time limit, and maps its error.
    async fn send(&self, operation: Operation, body: &[u8]) -> Result<Reply, CustodianError> {
        let deadline = Instant::now() + OPERATION_TIMEOUT;
        let answered = self.send_until(deadline, operation, body);
        let answer = timeout_at(deadline, answered).await;
        answer.unwrap_or_else(|_| Err(Cause::SILENT.error(&self.url, operation.name)))
    }

    /// Uses the current token. If that is rejected, retries once with another one: it may have
    /// expired or been revoked.
    async fn send_until(
        &self,
        deadline: Instant,
        operation: Operation,
        body: &[u8],
    ) -> Result<Reply, CustodianError> {
        let path = self.key_path.path(operation.path);
        let send = async |token: &Token| {
            let request = Request {
                path: &path,
                token: Some(&token.text),
                body: Some(body),
            };
            self.session.client.send(&request, deadline).await
        };
        let token = self.session.token(deadline).await?;
        let mut answer = send(&token).await;
        if matches!(answer, Err(Cause::Forbidden))
            && let Some(token) = self.session.other(&token, deadline).await?
        {
            answer = send(&token).await;
            if matches!(answer, Err(Cause::Forbidden)) {
                self.session.mark_rejected(&token);
            }
        }
        answer.map_err(|cause| cause.error(&self.url, operation.name))
    }

    /// The ciphertext as the service accepts it, if it could be one.
    fn ciphertext(&self, wrapped: &Wrapped) -> Result<String, CustodianError> {
        let text = match wrapped.mechanism {
            None => ciphertext::text(&wrapped.bytes),
            Some(_) => None,
        };
        text.map(|text| format!("{{\"ciphertext\":\"{text}\"}}"))
            .ok_or_else(|| self.refused())
    }

    fn wrapped(&self, answer: &Reply, operation: Operation) -> Result<Wrapped, CustodianError> {
        let bytes = answer
            .ciphertext()
            .and_then(|text| ciphertext::bytes(text).ok_or(Cause::UNREADABLE));
        bytes
            .map(Wrapped::bytes)
            .map_err(|cause| cause.error(&self.url, operation.name))
    }

    fn refused(&self) -> CustodianError {
        CustodianError::Refused {
            custodian: self.url.clone(),
        }
    }
}

#[async_trait]
impl Custodian for VaultCustodian {
    fn url(&self) -> &str {
        &self.url
    }

    /// `encrypt`. A token with the right to create keys would create a missing one: the right to
    /// `update` is enough.
    async fn wrap(
        &self,
        key: &SecretKey,
        context: &Context<'_>,
    ) -> Result<Wrapped, CustodianError> {
        let plaintext = bound::bind(key, context);
        let (start, end) = (b"{\"plaintext\":\"", b"\"}");
        // Allocated at its final size: a buffer that grows leaves unwiped copies behind.
        let len = start.len() + STANDARD.encoded_length(plaintext.len()) + end.len();
        let mut body = Zeroizing::new(Vec::with_capacity(len));
        body.extend_from_slice(start);
        STANDARD.encode_append(&*plaintext, &mut *body);
        body.extend_from_slice(end);
        let answer = self.send(WRAP, &body).await?;
        self.wrapped(&answer, WRAP)
    }

    /// `decrypt`.
    async fn unwrap(
        &self,
        wrapped: &Wrapped,
        context: &Context<'_>,
    ) -> Result<SecretKey, CustodianError> {
        let body = self.ciphertext(wrapped)?;
        let answer = self.send(UNWRAP, body.as_bytes()).await?;
        let plaintext = answer.plaintext().and_then(|text| {
            let bytes = STANDARD.decode_to_vec(text);
            bytes.map(Zeroizing::new).map_err(|_| Cause::UNREADABLE)
        });
        let plaintext = plaintext.map_err(|cause| cause.error(&self.url, UNWRAP.name))?;
        // Otherwise this key wrapped it, but it is not a data key of ours, or is one of another
        // context.
        bound::unbind(&plaintext, context).ok_or_else(|| self.refused())
    }

    /// `rewrap`: wraps with the newest version of the key, and the data key stays there. The
    /// context cannot be verified here; the next unwrap does.
    async fn rewrap(&self, wrapped: &Wrapped, _: &Context<'_>) -> Result<Wrapped, CustodianError> {
        let body = self.ciphertext(wrapped)?;
        let answer = self.send(REWRAP, body.as_bytes()).await?;
        self.wrapped(&answer, REWRAP)
    }
}
