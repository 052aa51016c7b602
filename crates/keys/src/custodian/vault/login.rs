//! Who asks: a token that is given, or one for which this process logs in with an AppRole or with the
//! token of its Kubernetes service account. What proves it is read anew at each login, since it may have
//! been exchanged. When to log in is not known here.

use std::fs::File;
use std::io::Read;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::client::{Client, Request};
use super::failure::{Cause, LOGIN};
use super::settings::{first, is_path, needed, not_set, read, unfit};
use crate::custodian::CustodianError;
use crate::custodian::Variables;
use crate::secret_file::{SecretFileError, shown};

const TOKEN: [&str; 2] = ["VAULT_TOKEN", "BAO_TOKEN"];
const METHOD: &str = "VAULT_AUTH";
const MOUNT: &str = "VAULT_AUTH_MOUNT";
const ROLE_ID: &str = "VAULT_ROLE_ID";
const SECRET_ID: &str = "VAULT_SECRET_ID";
const ROLE: &str = "VAULT_K8S_ROLE";
const ACCOUNT_FILE: &str = "VAULT_K8S_TOKEN_PATH";
const DEFAULT_ACCOUNT_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// No proof is longer; and a buffer of that size is not moved while it is filled.
const MOST: usize = 32 * 1024;

/// A way to get a token.
pub(super) struct Login {
    method: Method,
    variables: Variables,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Token,
    AppRole,
    Kubernetes,
}

/// What the service knows this process by.
pub(super) struct Token {
    /// The token itself.
    pub(super) text: Zeroizing<String>,
    /// How long it lives.
    pub(super) term: Term,
}

/// How long a token lives.
#[derive(Clone, Copy)]
pub(super) enum Term {
    /// The service has not been asked.
    Unknown,
    /// Nothing can be done about it, or need be.
    Fixed,
    /// For so long, unless it is renewed.
    Renewable(Duration),
}

impl Term {
    pub(super) fn of(lease: Option<Duration>) -> Self {
        lease.map_or(Self::Fixed, Self::Renewable)
    }
}

#[derive(Serialize)]
struct AppRole<'a> {
    role_id: &'a str,
    secret_id: &'a str,
}

#[derive(Serialize)]
struct Kubernetes<'a> {
    role: &'a str,
    jwt: &'a str,
}

impl Login {
    /// The way that variables name, or for which they are set. Looks whether the others that it needs
    /// are there.
    pub(super) fn open(variables: &Variables) -> Result<Self, CustodianError> {
        let method = method(variables)?;
        match method {
            Method::Token => given(variables).map(drop)?,
            Method::AppRole => {
                needed(ROLE_ID, variables)?;
                needed(SECRET_ID, variables)?;
            }
            Method::Kubernetes => drop(needed(ROLE, variables)?),
        }
        mount("", variables)?;
        Ok(Self {
            method,
            variables: variables.clone(),
        })
    }

    /// A token. The one that is given is not tried here: what it is asked for shows whether it serves.
    pub(super) async fn enter(
        &self,
        custodian: &str,
        client: &Client,
        deadline: Instant,
    ) -> Result<Token, CustodianError> {
        let variables = &self.variables;
        let (mount, body) = match self.method {
            Method::Token => return given(variables),
            Method::AppRole => {
                let (role_id, secret_id) =
                    (needed(ROLE_ID, variables)?, needed(SECRET_ID, variables)?);
                let proof = AppRole {
                    role_id: &role_id,
                    secret_id: &secret_id,
                };
                (mount("approle", variables)?, json(SECRET_ID, &proof)?)
            }
            Method::Kubernetes => {
                let (role, account) = (needed(ROLE, variables)?, account(variables)?);
                let proof = Kubernetes {
                    role: &role,
                    jwt: account.trim(),
                };
                (mount("kubernetes", variables)?, json(ROLE, &proof)?)
            }
        };
        let request = Request {
            path: &format!("auth/{mount}/login"),
            token: None,
            body: Some(&body),
        };
        let failed = |cause: Cause| cause.error(custodian, LOGIN);
        let answer = client.send(&request, deadline).await.map_err(failed)?;
        let auth = answer.auth().map_err(failed)?;
        Ok(Token {
            text: Zeroizing::new(auth.client_token.to_owned()),
            term: Term::of(auth.lease()),
        })
    }
}

fn method(variables: &Variables) -> Result<Method, CustodianError> {
    if let Some(name) = read(METHOD, variables)? {
        return match name.as_str() {
            "token" => Ok(Method::Token),
            "approle" => Ok(Method::AppRole),
            "kubernetes" => Ok(Method::Kubernetes),
            _ => Err(unfit(METHOD, "it is token, approle or kubernetes")),
        };
    }
    if first(&TOKEN, variables)?.is_some() {
        return Ok(Method::Token);
    }
    if read(ROLE_ID, variables)?.is_some() {
        return Ok(Method::AppRole);
    }
    match read(ROLE, variables)? {
        Some(_) => Ok(Method::Kubernetes),
        None => Err(not_set("VAULT_TOKEN")),
    }
}

/// The token that is given.
fn given(variables: &Variables) -> Result<Token, CustodianError> {
    let (name, text) = first(&TOKEN, variables)?.ok_or_else(|| not_set("VAULT_TOKEN"))?;
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unfit(name, "it holds characters that no token has"));
    }
    Ok(Token {
        text,
        term: Term::Unknown,
    })
}

/// Where the way to log in is mounted.
fn mount(default: &str, variables: &Variables) -> Result<String, CustodianError> {
    match read(MOUNT, variables)? {
        None => Ok(default.to_owned()),
        Some(mount) if is_path(&mount) => Ok(mount.as_str().to_owned()),
        Some(_) => Err(unfit(
            MOUNT,
            "it is no path of letters, digits, dots, - and _",
        )),
    }
}

/// The token of the service account, which Kubernetes exchanges every hour or so.
fn account(variables: &Variables) -> Result<Zeroizing<String>, CustodianError> {
    let path = read(ACCOUNT_FILE, variables)?;
    let path = path.as_deref().map_or(DEFAULT_ACCOUNT_FILE, String::as_str);
    let unreadable = |error: std::io::Error| CustodianError::File {
        path: shown(path),
        error: SecretFileError::Unreadable(error.kind()),
    };
    // Who else may read it is the decision of Kubernetes, which writes it.
    let file = File::open(path).map_err(unreadable)?;
    let mut text = Zeroizing::new(String::with_capacity(MOST));
    file.take(MOST as u64)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    Ok(text)
}

/// A proof as JSON, in a buffer that is wiped.
fn json(variable: &str, proof: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, CustodianError> {
    let mut body = Zeroizing::new(Vec::with_capacity(2 * MOST));
    let written = serde_json::to_writer(&mut *body, proof);
    written.map_err(|_| unfit(variable, "it cannot be sent"))?;
    Ok(body)
}
