//! A private PKCS#11 token: SoftHSM with its own settings and directory, and the tools that inspect
//! it from outside. A program that loads [`Token::module`] needs [`Token::env`] in its environment.
//! Never keep one in a `static`: Rust does not drop statics.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::tools::{library, on_path};

mod faulty;

pub use faulty::{FaultMode, FaultyModule};

/// An initialised token with a random PIN. Dropping it deletes it with everything in it.
#[derive(Debug)]
pub struct Token {
    directory: TempDir,
    conf: PathBuf,
    label: String,
    so_pin: String,
    pin: String,
}

impl Token {
    /// A new token with this label.
    ///
    /// # Panics
    ///
    /// If SoftHSM is missing or refuses.
    #[must_use]
    pub fn new(label: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("waxseal-softhsm-")
            .tempdir()
            .expect("make a directory for the token");
        let token = Self {
            conf: directory.path().join("softhsm2.conf"),
            label: label.to_owned(),
            so_pin: random_digits(),
            pin: random_digits(),
            directory,
        };
        fs::create_dir(token.slots()).expect("make a directory for the token");
        token.configure(&[]);
        let mut initialise = Command::new(on_path("softhsm2-util"));
        initialise.args(["--init-token", "--free", "--label", label]);
        initialise.args(["--so-pin", &token.so_pin, "--pin", &token.pin]);
        succeed(initialise.envs(token.env()));
        token
    }

    /// Disables these mechanisms (`CKM_AES_GCM`): they are neither listed nor carried out. Applies
    /// to programs that load the module from now on.
    ///
    /// # Panics
    ///
    /// If the settings cannot be written.
    #[must_use]
    pub fn without_mechanisms(self, mechanisms: &[&str]) -> Self {
        self.configure(mechanisms);
        self
    }

    /// Its label, for `pkcs11:token=…`.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The user's PIN.
    #[must_use]
    pub fn pin(&self) -> &str {
        &self.pin
    }

    /// The security officer's PIN.
    #[must_use]
    pub fn so_pin(&self) -> &str {
        &self.so_pin
    }

    /// SoftHSM's settings, for the variable `SOFTHSM2_CONF`.
    #[must_use]
    pub fn conf(&self) -> &Path {
        &self.conf
    }

    /// The library to load.
    ///
    /// # Panics
    ///
    /// If it is not installed.
    #[must_use]
    pub fn module(&self) -> PathBuf {
        library("libsofthsm2.so")
    }

    /// The library to load instead of [`Token::module`] to have each call logged, with
    /// [`Token::spy_env`] in the environment.
    ///
    /// # Panics
    ///
    /// If it is not installed.
    #[must_use]
    pub fn spy(&self) -> PathBuf {
        library("pkcs11-spy.so")
    }

    /// Environment variables for a program that loads [`Token::module`].
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        vec![("SOFTHSM2_CONF".to_owned(), self.conf.display().to_string())]
    }

    /// Environment variables for a program that loads [`Token::spy`]; the calls are appended to
    /// `log`.
    #[must_use]
    pub fn spy_env(&self, log: &Path) -> Vec<(String, String)> {
        let mut env = self.env();
        env.push(("PKCS11SPY".to_owned(), self.module().display().to_string()));
        env.push(("PKCS11SPY_OUTPUT".to_owned(), log.display().to_string()));
        env
    }

    /// Unplugs the token. A program that has loaded the module keeps its slot, and finds no objects
    /// in it; one that loads it from now on finds no token.
    ///
    /// # Panics
    ///
    /// If it is unplugged already.
    pub fn remove(&self) {
        let mut entries = fs::read_dir(self.slots()).expect("read the directory of the token");
        let token = entries
            .next()
            .expect("the token is in")
            .expect("a directory");
        fs::create_dir_all(self.away()).expect("make a directory");
        fs::rename(token.path(), self.away().join(token.file_name())).expect("move the token");
    }

    /// Plugs the token in again, with all its objects.
    ///
    /// # Panics
    ///
    /// If it is not unplugged.
    pub fn put_back(&self) {
        let mut entries = fs::read_dir(self.away()).expect("the token is out");
        let token = entries
            .next()
            .expect("the token is out")
            .expect("a directory");
        fs::rename(token.path(), self.slots().join(token.file_name())).expect("move the token");
    }

    /// Runs `pkcs11-tool` on this token.
    ///
    /// # Panics
    ///
    /// If the program is missing.
    #[must_use]
    pub fn tool(&self, arguments: &[&str]) -> Output {
        let mut tool = Command::new(on_path("pkcs11-tool"));
        tool.arg("--module").arg(self.module());
        tool.args(["--token-label", &self.label]).args(arguments);
        tool.envs(self.env()).output().expect("run pkcs11-tool")
    }

    /// Runs `pkcs11-tool` on this token with the user's PIN. Returns its output.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn tool_as_user(&self, arguments: &[&str]) -> String {
        let login = ["--login", "--pin", &self.pin];
        let output = self.tool(&[&login, arguments].concat());
        assert!(output.status.success(), "{}", failure(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Generates an AES-256 key that never leaves the token and may wrap and encrypt.
    ///
    /// # Panics
    ///
    /// If the token is unplugged, or SoftHSM refuses.
    pub fn generate_key(&self, label: &str) {
        let id = hex(label.as_bytes());
        let key = ["--keygen", "--key-type", "AES:32", "--sensitive"];
        self.tool_as_user(&[&key[..], &["--label", label, "--id", &id]].concat());
    }

    /// The token's flags as `pkcs11-tool` prints them, for example `user PIN count low` after a
    /// wrong PIN; none if the token is unplugged.
    ///
    /// # Panics
    ///
    /// If `pkcs11-tool` fails.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let output = self.tool(&["--list-token-slots"]);
        assert!(output.status.success(), "{}", failure(&output));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut fields = text.lines().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim(), value.trim()))
        });
        let ours = fields.any(|field| field == ("token label", &self.label));
        let flags = fields.find(|(name, _)| ours && *name == "token flags");
        let flags = flags.map(|(_, flags)| flags).unwrap_or_default();
        flags.split(", ").map(str::to_owned).collect()
    }

    /// True if a wrong PIN was tried since the last right one. SoftHSM never locks a token for it.
    ///
    /// # Panics
    ///
    /// If `pkcs11-tool` fails.
    #[must_use]
    pub fn has_counted_a_wrong_pin(&self) -> bool {
        self.flags().iter().any(|flag| flag == "user PIN count low")
    }

    /// Logs in with the right PIN, which resets the counter of wrong ones.
    ///
    /// # Panics
    ///
    /// If the token is unplugged.
    pub fn unlock(&self) {
        self.tool_as_user(&["--list-objects"]);
    }

    fn configure(&self, without: &[&str]) {
        let mut settings = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            self.slots().display()
        );
        if !without.is_empty() {
            // Up to version 2.6.1 the first name after the minus is ignored, so it is not one of
            // them.
            settings += &format!("slots.mechanisms = -CKM_NONE,{}\n", without.join(","));
        }
        fs::write(&self.conf, settings).expect("write SoftHSM's settings");
    }

    fn slots(&self) -> PathBuf {
        self.directory.path().join("tokens")
    }

    fn away(&self) -> PathBuf {
        self.directory.path().join("away")
    }
}

fn succeed(command: &mut Command) {
    let output = command.output().expect("start the program");
    assert!(output.status.success(), "{}", failure(&output));
}

fn failure(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("it ended with {}:\n{out}\n{err}", output.status)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Twelve of them. The standard library seeds each of its hashers randomly.
fn random_digits() -> String {
    let number = RandomState::new().hash_one(std::process::id());
    format!("{:012}", number % 1_000_000_000_000)
}
