//! A token behind a socket, as an HSM in the network is: `p11-kit server` holds it, and programs
//! load a library that talks to that. Can be killed, started again and frozen.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::Token;
use crate::process::Process;
use crate::tools::{library, on_path};

/// A running server in front of a [`Token`], which must live as long. Dropping it kills the process.
#[derive(Debug)]
pub struct Remote {
    /// Dropped before its folder.
    process: Process,
    folder: TempDir,
    module: PathBuf,
    token_env: Vec<(String, String)>,
}

impl Remote {
    /// Serves this token.
    ///
    /// # Panics
    ///
    /// When p11-kit is missing or does not come up.
    #[must_use]
    pub fn start(token: &Token) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("waxseal-p11-kit-")
            .tempdir()
            .expect("make a folder for the socket");
        let (module, token_env) = (token.module(), token.env());
        let process = launch(&folder, &module, &token_env);
        Self {
            process,
            folder,
            module,
            token_env,
        }
    }

    /// The library to load instead of [`Token::module`].
    ///
    /// # Panics
    ///
    /// When it is not installed.
    #[must_use]
    pub fn module(&self) -> PathBuf {
        library("p11-kit-client.so")
    }

    /// What a program that loads [`Remote::module`] needs in its environment.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        let address = format!("unix:path={}", socket(&self.folder).display());
        vec![("P11_KIT_SERVER_ADDRESS".to_owned(), address)]
    }

    /// SIGKILL for the server and for what it started for each client: connections break.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts the server anew at the same address; kills it first if it runs.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    pub fn restart(&mut self) {
        self.kill();
        self.process = launch(&self.folder, &self.module, &self.token_env);
    }

    /// SIGSTOP: connections stay open, new ones are accepted by the system, and nobody answers.
    ///
    /// # Panics
    ///
    /// When the server was killed.
    pub fn freeze(&self) {
        self.process.freeze();
    }

    /// SIGCONT: goes on after [`Remote::freeze`].
    ///
    /// # Panics
    ///
    /// When the server was killed.
    pub fn thaw(&self) {
        self.process.thaw();
    }
}

fn launch(folder: &TempDir, module: &PathBuf, token_env: &[(String, String)]) -> Process {
    let socket = socket(folder);
    // Left over where the server was killed.
    let _ = std::fs::remove_file(&socket);
    let mut server = Command::new(on_path("p11-kit"));
    server
        .args(["server", "--foreground", "--name"])
        .arg(&socket);
    server.arg("--provider").arg(module).arg("pkcs11:");
    server.envs(token_env.iter().cloned());
    let log = folder.path().join("server.log");
    Process::start(&mut server, &log, |_| UnixStream::connect(&socket).is_ok())
        .unwrap_or_else(|reason| panic!("p11-kit did not start: {reason}"))
}

fn socket(folder: &TempDir) -> PathBuf {
    folder.path().join("socket")
}
