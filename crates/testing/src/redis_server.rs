//! A private Redis server: a real process on a free port of 127.0.0.1, in its own directory, which
//! ends with the value that owns it. Never keep one in a `static`: Rust does not drop statics, and
//! the process would outlive the tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::Client;
use crate::snapshot::Snapshot;
use crate::tls::Certificates;

mod builder;
mod launch;

pub use builder::Builder;
pub use launch::free_port;

/// The time a server may take to answer. Loading an append-only file of 200,000 records fits.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The interval between two readiness checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// Attempts to start a server.
const MAX_START_ATTEMPTS: usize = 5;

/// A running server. Dropping it kills the process and removes its directory.
#[derive(Debug)]
pub struct RedisServer {
    process: Child,
    directory: TempDir,
    port: u16,
    tls_port: u16,
    certificates: Option<Certificates>,
    how: Builder,
}

impl RedisServer {
    /// Starts the system's Redis with default settings, without persistence.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// A builder for other settings than the default.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// `redis://127.0.0.1:<port>/`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// `rediss://127.0.0.1:<port>/`.
    ///
    /// # Panics
    ///
    /// If the server was built without TLS.
    #[must_use]
    pub fn tls_url(&self) -> String {
        format!("rediss://127.0.0.1:{}/", self.tls_port())
    }

    /// The port without TLS.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port with TLS.
    ///
    /// # Panics
    ///
    /// If the server was built without TLS.
    #[must_use]
    pub fn tls_port(&self) -> u16 {
        assert!(
            self.certificates.is_some(),
            "this server was built without .tls()"
        );
        self.tls_port
    }

    /// All certificates of a server with TLS.
    ///
    /// # Panics
    ///
    /// If the server was built without TLS.
    #[must_use]
    pub fn certificates(&self) -> &Certificates {
        self.certificates
            .as_ref()
            .expect("this server was built without .tls()")
    }

    /// The authority that signed the server's certificate, PEM.
    ///
    /// # Panics
    ///
    /// If the server was built without TLS.
    #[must_use]
    pub fn ca_path(&self) -> PathBuf {
        self.certificates().ca()
    }

    /// A client certificate that the server accepts, PEM.
    ///
    /// # Panics
    ///
    /// If the server was built without TLS.
    #[must_use]
    pub fn client_certificate_path(&self) -> PathBuf {
        self.certificates().client_certificate()
    }

    /// The key of [`RedisServer::client_certificate_path`], PEM.
    ///
    /// # Panics
    ///
    /// If the server was built without TLS.
    #[must_use]
    pub fn client_key_path(&self) -> PathBuf {
        self.certificates().client_key()
    }

    /// The unix socket.
    ///
    /// # Panics
    ///
    /// If the server was built without one.
    #[must_use]
    pub fn unix_path(&self) -> PathBuf {
        assert!(
            self.how.unix_socket,
            "this server was built without .unix_socket()"
        );
        unix_path(self.directory.path())
    }

    /// The process id, for tools that inspect it from outside.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// A new connection to database 0, as the default user.
    ///
    /// # Panics
    ///
    /// If the server is down.
    #[must_use]
    pub fn client(&self) -> Client {
        let mut client = Client::connect(self.port).expect("the server accepts connections");
        if let Some(password) = &self.how.password {
            let reply = client.cmd(&["AUTH", password]);
            assert!(
                reply.error().is_none(),
                "the server refuses its own password"
            );
        }
        client
    }

    /// One command over a new connection, with the reply as `redis-cli --raw` prints it. An error
    /// reply is returned as its text.
    ///
    /// # Panics
    ///
    /// If the server is down.
    pub fn cli(&self, arguments: &[&str]) -> String {
        self.client().cmd(arguments).to_text()
    }

    /// Everything in database 0, to compare before and after.
    ///
    /// # Panics
    ///
    /// If the server is down.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::take(&mut self.client())
    }

    /// Calls of each command since the server started, by lower-case name as in `INFO
    /// commandstats`. This read itself is counted from the next one on.
    ///
    /// # Panics
    ///
    /// If the server is down.
    #[must_use]
    pub fn command_counts(&self) -> BTreeMap<String, u64> {
        let info = self.cli(&["INFO", "commandstats"]);
        let count = |line: &str| {
            let (name, counts) = line
                .trim_end()
                .strip_prefix("cmdstat_")?
                .split_once(":calls=")?;
            Some((name.to_owned(), counts.split(',').next()?.parse().ok()?))
        };
        info.lines().filter_map(count).collect()
    }

    /// Waits until a replica has the link to its primary and everything that was written there
    /// before this call.
    ///
    /// # Panics
    ///
    /// If that does not happen within a minute.
    pub fn wait_for_replica_link(&self, primary: &Self) {
        let info = primary.cli(&["INFO", "replication"]);
        let wanted: u64 = info_field(&info, "master_repl_offset")
            .parse()
            .expect("an offset");
        let give_up = Instant::now() + START_TIMEOUT;
        loop {
            let info = self.cli(&["INFO", "replication"]);
            let offset = info_field(&info, "slave_repl_offset")
                .parse()
                .unwrap_or(0_u64);
            if info_field(&info, "master_link_status") == "up" && offset >= wanted {
                return;
            }
            assert!(Instant::now() < give_up, "the replica did not catch up");
            sleep(CHECK_INTERVAL);
        }
    }

    /// SIGKILL, as if the machine lost power. The directory is kept for [`RedisServer::restart`].
    pub fn kill(&mut self) {
        // Both fail only if the process has ended already, which is the goal.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Restarts the server on the same port, in the same directory, with the same settings; kills
    /// it first if it runs.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn restart(&mut self) {
        self.kill();
        let mut last = String::new();
        for _ in 0..MAX_START_ATTEMPTS {
            let password = self.how.password.as_deref();
            match launch::launch(self.how.flavor, self.directory.path(), self.port, password) {
                Ok(process) => {
                    self.process = process;
                    return;
                }
                Err(reason) => last = reason,
            }
            sleep(Duration::from_millis(200));
        }
        panic!("the server did not restart: {last}");
    }

    /// SIGSTOP: connections stay open and are not answered.
    ///
    /// # Panics
    ///
    /// If the process has ended.
    pub fn stop_process(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT: resumes after [`RedisServer::stop_process`].
    ///
    /// # Panics
    ///
    /// If the process has ended.
    pub fn continue_process(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .arg(signal)
            .arg(self.pid().to_string())
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "could not signal the server"
        );
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn unix_path(directory: &Path) -> PathBuf {
    directory.join("redis.sock")
}

/// One field of `INFO`, empty if it is missing.
fn info_field<'a>(info: &'a str, field: &str) -> &'a str {
    info.lines()
        .filter_map(|line| line.trim_end().split_once(':'))
        .find_map(|(name, value)| (name == field).then_some(value))
        .unwrap_or_default()
}
