//! Authentication: a configured token, or a login with an AppRole or with the token of a Kubernetes
//! service account. Credentials are read again at each login, since they may have been rotated.
//! When to log in is decided elsewhere.

use std::fs::File;
use std::io::Read;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::client::{Client, Request};
use super::failure::{Cause, LOGIN};
use super::settings::{first_set, invalid_variable, is_path, not_set, read_variable, required};
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
/// The maximum size of credentials; a buffer of that size does not move while it is filled.
const MAX_CREDENTIALS_LEN: usize = 32 * 1024;

/// A method to get a token.
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

/// A token, which identifies this process to the service.
pub(super) struct Token {
    /// The token itself.
    pub(super) text: Zeroizing<String>,
    /// Its validity.
    pub(super) term: Term,
}

/// The validity of a token.
#[derive(Clone, Copy)]
pub(super) enum Term {
    /// The service has not been asked yet.
    Unknown,
    /// It cannot be renewed, or need not be.
    Fixed,
    /// Valid for this long, unless it is renewed.
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
    /// The method that variables name, or for which they are set. Checks that the other variables
    /// it needs are set.
    pub(super) fn open(variables: &Variables) -> Result<Self, CustodianError> {
        let method = method(variables)?;
        match method {
            Method::Token => configured_token(variables).map(drop)?,
            Method::AppRole => {
                required(ROLE_ID, variables)?;
                required(SECRET_ID, variables)?;
            }
            Method::Kubernetes => drop(required(ROLE, variables)?),
        }
        mount("", variables)?;
        Ok(Self {
            method,
            variables: variables.clone(),
        })
    }

    /// Returns a token. A configured one is not verified here: its use shows whether it is valid.
    pub(super) async fn log_in(
        &self,
        custodian: &str,
        client: &Client,
        deadline: Instant,
    ) -> Result<Token, CustodianError> {
        let variables = &self.variables;
        let (mount, body) = match self.method {
            Method::Token => return configured_token(variables),
            Method::AppRole => {
                let (role_id, secret_id) = (
                    required(ROLE_ID, variables)?,
                    required(SECRET_ID, variables)?,
                );
                let credentials = AppRole {
                    role_id: &role_id,
                    secret_id: &secret_id,
                };
                (mount("approle", variables)?, json(SECRET_ID, &credentials)?)
            }
            Method::Kubernetes => {
                let (role, account_token) = (required(ROLE, variables)?, account_token(variables)?);
                let credentials = Kubernetes {
                    role: &role,
                    jwt: account_token.trim(),
                };
                (mount("kubernetes", variables)?, json(ROLE, &credentials)?)
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
    if let Some(name) = read_variable(METHOD, variables)? {
        return match name.as_str() {
            "token" => Ok(Method::Token),
            "approle" => Ok(Method::AppRole),
            "kubernetes" => Ok(Method::Kubernetes),
            _ => Err(invalid_variable(
                METHOD,
                "it is token, approle or kubernetes",
            )),
        };
    }
    if first_set(&TOKEN, variables)?.is_some() {
        return Ok(Method::Token);
    }
    if read_variable(ROLE_ID, variables)?.is_some() {
        return Ok(Method::AppRole);
    }
    match read_variable(ROLE, variables)? {
        Some(_) => Ok(Method::Kubernetes),
        None => Err(not_set("VAULT_TOKEN")),
    }
}

/// The configured token.
fn configured_token(variables: &Variables) -> Result<Token, CustodianError> {
    let (name, text) = first_set(&TOKEN, variables)?.ok_or_else(|| not_set("VAULT_TOKEN"))?;
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid_variable(
            name,
            "it holds characters that a token cannot have",
        ));
    }
    Ok(Token {
        text,
        term: Term::Unknown,
    })
}

/// The mount path of the login method.
fn mount(default: &str, variables: &Variables) -> Result<String, CustodianError> {
    match read_variable(MOUNT, variables)? {
        None => Ok(default.to_owned()),
        Some(mount) if is_path(&mount) => Ok(mount.as_str().to_owned()),
        Some(_) => Err(invalid_variable(
            MOUNT,
            "it is not a path of letters, digits, dots, - and _",
        )),
    }
}

/// The token of the service account, which Kubernetes rotates every hour or so.
fn account_token(variables: &Variables) -> Result<Zeroizing<String>, CustodianError> {
    let path = read_variable(ACCOUNT_FILE, variables)?;
    let path = path.as_deref().map_or(DEFAULT_ACCOUNT_FILE, String::as_str);
    let unreadable = |error: std::io::Error| CustodianError::File {
        path: shown(path),
        error: SecretFileError::Unreadable(error.kind()),
    };
    // Kubernetes writes the file and decides who else may read it.
    let file = File::open(path).map_err(unreadable)?;
    let mut text = Zeroizing::new(String::with_capacity(MAX_CREDENTIALS_LEN));
    file.take(MAX_CREDENTIALS_LEN as u64)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    Ok(text)
}

/// Credentials as JSON, in a buffer that is wiped.
fn json(
    variable: &str,
    credentials: &impl Serialize,
) -> Result<Zeroizing<Vec<u8>>, CustodianError> {
    let mut body = Zeroizing::new(Vec::with_capacity(2 * MAX_CREDENTIALS_LEN));
    let written = serde_json::to_writer(&mut *body, credentials);
    written.map_err(|_| invalid_variable(variable, "it cannot be sent"))?;
    Ok(body)
}
