//! A custodian whose key-encryption key is in the transit engine of HashiCorp Vault or of OpenBao. The key
//! never leaves the service. Which ring a data key belongs to is bound into what is wrapped: not every
//! kind of key authenticates more than that.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64_simd::STANDARD;
use tokio::time::{Instant, timeout_at};
use waxseal_core::SecretKey;
use zeroize::Zeroizing;

use super::{Context, Custodian, Variables, Wrapped, bound};
use crate::error::CustodianError;

mod answer;
mod ciphertext;
mod client;
mod failure;
mod login;
mod renewal;
mod session;
mod settings;
mod trust;

use answer::Answer;
use client::{Client, Request};
use failure::Cause;
use login::{Login, Token};
use session::Session;
use settings::DocumentStore;

/// For an operation with all its attempts, and with a login where it needs one.
const PATIENCE: Duration = Duration::from_secs(10);

/// A key of the transit engine.
pub struct VaultCustodian {
    url: String,
    place: DocumentStore,
    session: Arc<Session>,
}

/// What is done with a data key: what it is called here, and there.
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
    /// The custodian of `MOUNT/KEY`, such as `transit/waxseal`. The service is asked when it is used.
    ///
    /// - `VAULT_ADDR` says where it is, `VAULT_NAMESPACE` which part of it; `BAO_ADDR` and `BAO_NAMESPACE`
    ///   do where those are not set. Only https, but on this machine or with `VAULT_ALLOW_HTTP=true`.
    /// - `VAULT_CACERT` is a file with the authority to trust instead of the system's;
    ///   `VAULT_CLIENT_CERT` and `VAULT_CLIENT_KEY` are files with the certificate to show.
    /// - `VAULT_AUTH` is `token` (`VAULT_TOKEN` or `BAO_TOKEN`), `approle` (`VAULT_ROLE_ID` and
    ///   `VAULT_SECRET_ID`) or `kubernetes` (`VAULT_K8S_ROLE`, and `VAULT_K8S_TOKEN_PATH` for the file of
    ///   the service account's token); by default the first of them that is set. `VAULT_AUTH_MOUNT` says
    ///   where the latter two are mounted.
    pub fn open(rest: &str, variables: &Variables) -> Result<Self, CustodianError> {
        let place = DocumentStore::parse(rest)?;
        let url = place.url();
        let client = Client::open(variables)?;
        let session = Session::new(&url, client, Login::open(variables)?);
        Ok(Self {
            url,
            place,
            session,
        })
    }

    /// What transit answers, within bounds and in our words.
    async fn ask(&self, operation: Operation, body: &[u8]) -> Result<Answer, CustodianError> {
        let deadline = Instant::now() + PATIENCE;
        let answered = self.ask_until(deadline, operation, body);
        let answer = timeout_at(deadline, answered).await;
        answer.unwrap_or_else(|_| Err(Cause::SILENT.error(&self.url, operation.name)))
    }

    /// With the token that there is. Where it is not taken, once more with another one: it may have
    /// ended, or somebody ended it.
    async fn ask_until(
        &self,
        deadline: Instant,
        operation: Operation,
        body: &[u8],
    ) -> Result<Answer, CustodianError> {
        let path = self.place.path(operation.path);
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

    /// What may be asked about at all, as the service takes it.
    fn ciphertext(&self, wrapped: &Wrapped) -> Result<String, CustodianError> {
        let text = match wrapped.mechanism {
            None => ciphertext::text(&wrapped.bytes),
            Some(_) => None,
        };
        text.map(|text| format!("{{\"ciphertext\":\"{text}\"}}"))
            .ok_or_else(|| self.refused())
    }

    fn wrapped(&self, answer: &Answer, operation: Operation) -> Result<Wrapped, CustodianError> {
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

    /// `encrypt`. A token that may create keys as well would make one where there is none: the right to
    /// `update` is enough.
    async fn wrap(
        &self,
        key: &SecretKey,
        context: &Context<'_>,
    ) -> Result<Wrapped, CustodianError> {
        let plaintext = bound::bind(key, context);
        let (start, end) = (b"{\"plaintext\":\"", b"\"}");
        // Of its last size from the start: what a buffer leaves behind when it grows is not wiped.
        let len = start.len() + STANDARD.encoded_length(plaintext.len()) + end.len();
        let mut body = Zeroizing::new(Vec::with_capacity(len));
        body.extend_from_slice(start);
        STANDARD.encode_append(&*plaintext, &mut *body);
        body.extend_from_slice(end);
        let answer = self.ask(WRAP, &body).await?;
        self.wrapped(&answer, WRAP)
    }

    /// `decrypt`.
    async fn unwrap(
        &self,
        wrapped: &Wrapped,
        context: &Context<'_>,
    ) -> Result<SecretKey, CustodianError> {
        let body = self.ciphertext(wrapped)?;
        let answer = self.ask(UNWRAP, body.as_bytes()).await?;
        let plaintext = answer.plaintext().and_then(|text| {
            let bytes = STANDARD.decode_to_vec(text);
            bytes.map(Zeroizing::new).map_err(|_| Cause::UNREADABLE)
        });
        let plaintext = plaintext.map_err(|cause| cause.error(&self.url, UNWRAP.name))?;
        // Else something that this key wrapped, and no data key of ours, or one of another place.
        bound::unbind(&plaintext, context).ok_or_else(|| self.refused())
    }

    /// `rewrap`: by the newest version of the key, and the data key stays there. That it was wrapped for
    /// this context cannot be seen here; whoever unwraps it sees it.
    async fn rewrap(&self, wrapped: &Wrapped, _: &Context<'_>) -> Result<Wrapped, CustodianError> {
        let body = self.ciphertext(wrapped)?;
        let answer = self.ask(REWRAP, body.as_bytes()).await?;
        self.wrapped(&answer, REWRAP)
    }
}
