//! The settings of a server to be started, as the file that it starts with. Starts the process
//! through `launch` and does not follow it afterwards.

use std::fs;
use std::path::Path;

use super::launch::{free_node_port, free_port, launch};
use super::{MAX_START_ATTEMPTS, RedisServer, unix_path};
use crate::tls::Certificates;
use crate::tools::Flavor;

/// The settings of a server to be started. Created by [`RedisServer::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    pub(super) flavor: Flavor,
    settings: Vec<String>,
    pub(super) password: Option<String>,
    tls: Tls,
    pub(super) unix_socket: bool,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            flavor: Flavor::System,
            settings: Vec::new(),
            password: None,
            tls: Tls::None,
            unix_socket: false,
        }
    }

    /// Selects the server program; the system's by default.
    #[must_use]
    pub fn flavor(mut self, flavor: Flavor) -> Self {
        self.flavor = flavor;
        self
    }

    /// Adds one setting, as on the command line: `.arg("--maxmemory", "5mb")`.
    #[must_use]
    pub fn arg(mut self, name: &str, value: &str) -> Self {
        let value = if value.is_empty() { "\"\"" } else { value };
        self.settings
            .push(format!("{} {value}", name.trim_start_matches("--")));
        self
    }

    /// Removes these commands, as if an operator had renamed them.
    #[must_use]
    pub fn without(self, commands: &[&str]) -> Self {
        commands.iter().fold(self, |builder, command| {
            builder.arg("rename-command", &format!("{command} \"\""))
        })
    }

    /// Syncs every write to the disk before its reply: [`RedisServer::kill`] loses nothing.
    #[must_use]
    pub fn append_only(self) -> Self {
        self.arg("appendonly", "yes").arg("appendfsync", "always")
    }

    /// Adds a second port with TLS. Client certificates are optional.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = Tls::Offered;
        self
    }

    /// Adds a second port with TLS that refuses clients without a certificate.
    #[must_use]
    pub fn tls_with_client_certificate(mut self) -> Self {
        self.tls = Tls::ClientCertificateRequired;
        self
    }

    /// Also listens on a unix socket.
    #[must_use]
    pub fn unix_socket(mut self) -> Self {
        self.unix_socket = true;
        self
    }

    /// Sets a password for the default user. [`RedisServer::client`] uses it; the URLs do not
    /// contain it.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Makes the server a replica of `primary`. [`RedisServer::wait_for_replica_link`] waits until
    /// it has caught up.
    #[must_use]
    pub fn replica_of(self, primary: &RedisServer) -> Self {
        self.arg("replicaof", &format!("127.0.0.1 {}", primary.port))
    }

    /// Adds a user: `.user_acl("user support on >pw ~* +@read")`.
    #[must_use]
    pub fn user_acl(mut self, rule: &str) -> Self {
        self.settings.push(rule.to_owned());
        self
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Panics
    ///
    /// If it does not start, with its log.
    #[must_use]
    pub fn start(self) -> RedisServer {
        let directory = tempfile::Builder::new()
            .prefix("waxseal-redis-")
            .tempdir()
            .expect("make a directory for the server");
        let certificates =
            (self.tls != Tls::None).then(|| Certificates::create_in(directory.path()));
        let mut last = String::new();
        for _ in 0..MAX_START_ATTEMPTS {
            let is_node = self.settings.iter().any(|it| it == "cluster-enabled yes");
            let port = if is_node {
                free_node_port()
            } else {
                free_port()
            };
            let tls_port = free_port();
            let settings = self.settings(directory.path(), port, tls_port, certificates.as_ref());
            let config = directory.path().join("server.conf");
            fs::write(&config, settings.join("\n") + "\n").expect("write the server's settings");
            match launch(
                self.flavor,
                directory.path(),
                port,
                self.password.as_deref(),
            ) {
                Ok(process) => {
                    return RedisServer {
                        process,
                        directory,
                        port,
                        tls_port,
                        certificates,
                        how: self,
                    };
                }
                Err(reason) => last = reason,
            }
        }
        panic!("no server came up after {MAX_START_ATTEMPTS} attempts; the last one: {last}");
    }

    fn settings(
        &self,
        directory: &Path,
        port: u16,
        tls_port: u16,
        certificates: Option<&Certificates>,
    ) -> Vec<String> {
        let mut settings = vec![
            format!("port {port}"),
            "bind 127.0.0.1".to_owned(),
            format!("dir {}", directory.display()),
            "daemonize no".to_owned(),
            "save \"\"".to_owned(),
            "repl-diskless-sync-delay 0".to_owned(),
        ];
        if let Some(certificates) = certificates {
            let required = self.tls == Tls::ClientCertificateRequired;
            settings.extend([
                format!("tls-port {tls_port}"),
                format!(
                    "tls-cert-file {}",
                    certificates.server_certificate().display()
                ),
                format!("tls-key-file {}", certificates.server_key().display()),
                format!("tls-ca-cert-file {}", certificates.ca().display()),
                format!(
                    "tls-auth-clients {}",
                    if required { "yes" } else { "optional" }
                ),
            ]);
        }
        if self.unix_socket {
            settings.push(format!("unixsocket {}", unix_path(directory).display()));
        }
        if let Some(password) = &self.password {
            settings.push(format!("requirepass {password}"));
            settings.push(format!("masterauth {password}"));
        }
        settings.extend(self.settings.iter().cloned());
        settings
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tls {
    None,
    Offered,
    ClientCertificateRequired,
}
