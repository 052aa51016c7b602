//! This same binary as the proxy of the demo, in a directory and an environment of its own.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{self, Command};
use tokio::time::{sleep, timeout};
use waxseal_core::SecretKey;

use waxseal_service::Failure;

const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: &str = "custodian-secret";
const LOG: &str = "proxy.log";
/// More clients than this are turned away.
pub(super) const MOST_CLIENTS: usize = 12;

/// The proxy. Killed when dropped.
pub(super) struct Child {
    process: process::Child,
    log: std::path::PathBuf,
    admin: String,
    address: String,
}

/// Writes the configuration, and makes a keyring whose times let a rotation end within the demo.
pub(super) async fn make_keyring(url: &str, directory: &Path, prefix: &str) -> Result<(), Failure> {
    let secret = SecretKey::generate()?.expose_hex();
    fs::write(directory.join(SECRET), secret.as_bytes())?;
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(directory.join(SECRET), private)?;
    let config = format!(
        "keyring = \"file:keyring.json\"\nuser_keys = \"file:users.waxseal\"\ndecoys = [\"{prefix}s:decoy\"]\n\n\
         [[protect]]\nname = \"States\"\nrecords = \"{prefix}s:*\"\nformat = \"sealed\"\n\
         plain_values = \"json\"\n\n\
         [[protect]]\nname = \"Users\"\nrecords = \"{prefix}u:{{user}}\"\nformat = \"sealed\"\n\
         per_user_keys = true\nplain_values = \"json\"\n"
    );
    fs::write(directory.join("waxseal.toml"), config)?;
    let times = [
        "--propagation",
        "1s",
        "--refresh",
        "200ms",
        "--retain",
        "1s",
    ];
    run(url, directory, &[&["keyring", "init"], &times[..]].concat()).await
}

/// Runs a command in the directory to its end.
pub(super) async fn run(url: &str, directory: &Path, words: &[&str]) -> Result<(), Failure> {
    let output = command(url, directory)?.args(words).output().await?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Failure::failed(format!(
        "waxseal {}: {said}",
        words.join(" ")
    )))
}

fn command(url: &str, directory: &Path) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .env_clear()
        .env("REDIS_URL", url)
        .env("REDIS_ENCRYPTION_KEY_FILE", directory.join(SECRET))
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // A signal from the terminal is for the demo, which ends the proxy.
        .process_group(0)
        .kill_on_drop(true);
    Ok(command)
}

/// Whether the canary of the store opens under the keyring of the demo, as the doctor sees it.
pub(super) async fn made_canary(url: &str, directory: &Path) -> Result<bool, Failure> {
    let mut doctor = command(url, directory)?;
    let output = doctor
        .args(["doctor", "--json"])
        .stdout(Stdio::piped())
        .output()
        .await?;
    let findings: Vec<serde_json::Value> =
        serde_json::from_slice(&output.stdout).map_err(Failure::failed)?;
    let opens = |it: &serde_json::Value| {
        let found = it["found"].as_str().unwrap_or_default();
        it["check"] == "canary" && it["grade"] == "ok" && found.starts_with("opens under")
    };
    Ok(findings.iter().any(opens))
}

impl Child {
    pub(super) fn start(url: &str, directory: &Path) -> Result<Self, Failure> {
        let log = directory.join(LOG);
        let words = format!(
            "proxy --listen 127.0.0.1:0 --admin 127.0.0.1:0 --count-every 1 --half-request 1 \
             --max-value 64KiB --max-connections {MOST_CLIENTS}"
        );
        let process = command(url, directory)?
            .args(words.split(' '))
            .stderr(fs::File::create(&log)?)
            .spawn()?;
        Ok(Self {
            process,
            log,
            admin: String::new(),
            address: String::new(),
        })
    }

    /// Until it takes clients.
    pub(super) async fn wait(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            let said = fs::read_to_string(&self.log)?;
            let told = |what: &str| {
                let mut lines = said.split_inclusive('\n').filter(|it| it.ends_with('\n'));
                lines.find_map(|line| Some(line.trim_end().strip_prefix(what)?.to_owned()))
            };
            let addresses = (told("waxseal: admin on "), told("waxseal: listening on "));
            if let (Some(admin), Some(address)) = addresses {
                (self.admin, self.address) = (admin, address);
                return Ok(());
            }
            if self.process.try_wait()?.is_some() || began.elapsed() > PATIENCE {
                return Err(Failure::failed(format!(
                    "the proxy did not start: {}",
                    said.trim()
                )));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) fn admin(&self) -> &str {
        &self.admin
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Ends it.
    pub(super) async fn end(mut self) {
        let pid = self.process.id().and_then(|id| Pid::from_raw(id as i32));
        if let Some(pid) = pid {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(PATIENCE, self.process.wait()).await.is_err() {
            let _ = self.process.kill().await;
        }
    }
}
