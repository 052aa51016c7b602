//! The environment variables that Waxseal reads: from the process, and from `.env` in the working
//! directory or the file that `--env-file` names (neither overrides the process). A secret may lie in a file instead: in the one
//! that `NAME_FILE` names, or among the credentials that the service manager gives. Which variables
//! there are is decided here; what they mean is not.

pub(crate) mod dotenv;
mod secret_file;

use std::collections::HashMap;
use std::env;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Once;

use waxseal_core::Mode;
use waxseal_stores::StoreUrl;
use zeroize::Zeroizing;

use crate::error::Failure;
use crate::output;

use dotenv::DotEnv;
pub(crate) use secret_file::hint as secret_file_hint;

/// The sealing key: 64 hexadecimal characters.
const KEY: &str = "REDIS_ENCRYPTION_KEY";
/// Keys that only open: a comma-separated list.
const PREVIOUS_KEYS: &str = "REDIS_ENCRYPTION_PREVIOUS_KEYS";
/// The mode: `true` or `on`, `false` or `off`, `required`.
const ENABLE: &str = "ENABLE_REDIS_ENCRYPTION";
/// The store; its URL may hold a password.
const URL: &str = "REDIS_URL";
/// Secrets that every command knows, in the order in which they are shown.
const SECRETS: [&str; 3] = [KEY, PREVIOUS_KEYS, URL];
/// Where the service manager puts the credentials of a service.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";
/// Where this machine keeps the last good copy of a keyring: the first that is set.
const STATE_DIRECTORY: &str = "STATE_DIRECTORY";
const XDG_STATE_HOME: &str = "XDG_STATE_HOME";
const HOME: &str = "HOME";

/// Variables that decide which code runs, or where a secret is sent. A `.env` that happens to be in the
/// working directory does not set them.
const NAMED_ONLY: [&str; 6] = [
    "PKCS11_MODULE_PATH",
    "VAULT_ADDR",
    "BAO_ADDR",
    "VAULT_ALLOW_HTTP",
    "VAULT_CACERT",
    "VAULT_K8S_TOKEN_PATH",
];
/// The same of collectors of metrics. Such lines are usual in the file of an application, so they set nothing
/// instead of stopping the command.
const COLLECTOR: &str = "OTEL_";
/// Variables beside those of [`NAMED_ONLY`] that hold no secret.
const PUBLIC: [&str; 11] = [
    ENABLE,
    "BAO_NAMESPACE",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "VAULT_AUTH",
    "VAULT_AUTH_MOUNT",
    "VAULT_CLIENT_CERT",
    "VAULT_CLIENT_KEY",
    "VAULT_K8S_ROLE",
    "VAULT_NAMESPACE",
    "VAULT_ROLE_ID",
];
/// Behind the name of a variable: the file that its value is in.
const IN_FILE: &str = "_FILE";

/// Where a value was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The variable, in the process's environment.
    Process,
    /// The variable, in `.env` or the file of `--env-file`.
    DotEnv,
    /// The file that the variable with `_FILE` behind its name names.
    File,
    /// A credential of the service manager's.
    Credential,
}

/// A value, and where it was found.
struct Found {
    value: Zeroizing<String>,
    source: Source,
}

/// What the environment says. Holds keys: it has no `Debug`.
pub(crate) struct Environment {
    file: dotenv::Source,
    /// The file's text, where it can be read only once: a pipe.
    piped: Option<DotEnv>,
    values: HashMap<&'static str, Found>,
    /// The variable of the key is there, and holds nothing.
    is_key_blank: bool,
}

impl Environment {
    /// Reads the process's environment, and the file that was named, else `.env`.
    pub(crate) fn read(named: Option<&Path>) -> Result<Self, Failure> {
        let file = DotEnv::read(&dotenv::Source::of(named))?;
        let mut this = Self {
            file: file.source().clone(),
            piped: None,
            values: HashMap::new(),
            is_key_blank: is_blank(KEY, &file)?,
        };
        if let Some(mode) = look_up(ENABLE, &file)? {
            this.values.insert(ENABLE, mode);
        }
        for name in SECRETS {
            if let Some(found) = find_secret(name, &file)? {
                this.values.insert(name, found);
            }
        }
        this.piped = file.is_piped().then_some(file);
        Ok(this)
    }

    pub(crate) fn key(&self) -> Option<&str> {
        self.get(KEY)
    }

    /// Whether the variable of the key is there, and holds nothing: it counts as unset, and hides a line of `.env`.
    pub(crate) fn is_key_blank(&self) -> bool {
        self.is_key_blank
    }

    pub(crate) fn previous_keys(&self) -> &str {
        self.get(PREVIOUS_KEYS).unwrap_or_default()
    }

    pub(crate) fn mode(&self) -> Result<Option<Mode>, Failure> {
        match self.get(ENABLE).map(str::parse) {
            None => Ok(None),
            Some(Ok(mode)) => Ok(Some(mode)),
            Some(Err(error)) => Err(Failure::usage(format!("{ENABLE}: {error}"))),
        }
    }

    pub(crate) fn url(&self) -> Option<&str> {
        self.get(URL)
    }

    /// The secret of this name, for a custodian that asks for it: from the variable, from the file
    /// that `NAME_FILE` names, or from the service manager's credentials. One that is in none of
    /// them is `None`; one that is there and cannot be used is a failure.
    pub(crate) fn secret(&self, name: &str) -> Result<Option<Zeroizing<String>>, Failure> {
        if name == ENABLE || SECRETS.contains(&name) {
            let value = self.get(name);
            return Ok(value.map(|value| Zeroizing::new(value.to_owned())));
        }
        self.with_file(|file| Ok(find_secret(name, file)?.map(|found| found.value)))
    }

    /// Another program's variable, for who knows what it means.
    pub(crate) fn variable(&self, name: &str) -> Result<Option<String>, Failure> {
        let found = self.with_file(|file| look_up(name, file))?;
        Ok(found.map(|found| found.value.trim().to_owned()))
    }

    /// Reads the file again each time: other secrets of the application's are not kept in memory.
    fn with_file<T>(&self, look: impl FnOnce(&DotEnv) -> Result<T, Failure>) -> Result<T, Failure> {
        match &self.piped {
            Some(file) => look(file),
            None => look(&DotEnv::read(&self.file)?),
        }
    }

    /// Where each of the secrets was found that every command knows.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (&'static str, Source)> {
        SECRETS
            .into_iter()
            .filter_map(|name| Some((name, self.values.get(name)?.source)))
    }

    /// The file beside the process's environment, if anything was found in it.
    pub(crate) fn used_file(&self) -> Option<&Path> {
        let mut found = self.values.values();
        let is_used = found.any(|found| found.source == Source::DotEnv);
        is_used.then_some(&self.file.path)
    }

    /// The directory for what this machine keeps for itself: the service manager's, else the user's.
    pub(crate) fn state_directory() -> Option<PathBuf> {
        let directory = |name: &str| {
            let value = env::var_os(name).filter(|value| !value.is_empty())?;
            // The service manager gives several, separated by colons.
            let first = env::split_paths(&value).next()?;
            Some(first).filter(|directory| directory.is_absolute())
        };
        directory(STATE_DIRECTORY)
            .or_else(|| Some(directory(XDG_STATE_HOME)?.join("waxseal")))
            .or_else(|| Some(directory(HOME)?.join(".local/state/waxseal")))
    }

    fn get(&self, name: &str) -> Option<&str> {
        Some(self.values.get(name)?.value.trim())
    }
}

/// The text of a file that holds a secret, and that somebody named with this flag. One that others can
/// read is refused.
pub(crate) fn read_secret(flag: &str, path: &Path) -> Result<Zeroizing<String>, Failure> {
    secret_file::read(path).map_err(|unusable| secret_file::failure(unusable, flag, path))
}

/// A variable, from the process, else from the file. One that is set to nothing is not set, and hides
/// what the file says.
fn look_up(name: &str, file: &DotEnv) -> Result<Option<Found>, Failure> {
    let found = match env::var(name) {
        Ok(value) => Some((Zeroizing::new(value), Source::Process)),
        Err(env::VarError::NotPresent) => {
            let value = file.get(name)?;
            match value {
                Some(_) if is_ignored(name, file.source()) => None,
                Some(value) => {
                    check_named(name, file.source())?;
                    Some((value, Source::DotEnv))
                }
                None => None,
            }
        }
        Err(env::VarError::NotUnicode(_)) => {
            return Err(Failure::usage(format!("{name} is not valid UTF-8")));
        }
    };
    Ok(found
        .filter(|(value, _)| !value.trim().is_empty())
        .map(|(value, source)| Found { value, source }))
}

/// Whether a variable is there, in the process or else in the file, and holds nothing.
fn is_blank(name: &str, file: &DotEnv) -> Result<bool, Failure> {
    Ok(match env::var(name) {
        Ok(value) => Zeroizing::new(value).trim().is_empty(),
        Err(env::VarError::NotPresent) => file.get(name)?.is_some_and(|it| it.trim().is_empty()),
        Err(env::VarError::NotUnicode(_)) => false,
    })
}

/// Refuses a variable that decides which code runs, or where a secret is sent, in a file that nobody named.
fn check_named(name: &str, file: &dotenv::Source) -> Result<(), Failure> {
    let bare = name.strip_suffix(IN_FILE).unwrap_or(name);
    if file.is_named || !NAMED_ONLY.contains(&bare) {
        return Ok(());
    }
    let shown = file.shown();
    Err(Failure::usage(format!(
        "{name} is set in {shown}, which was not named: name it with --env-file {shown}, or set the \
         variable in the environment"
    )))
}

/// Whether a variable sets nothing because the file was not named. That is told once.
fn is_ignored(name: &str, file: &dotenv::Source) -> bool {
    static TOLD: Once = Once::new();
    let bare = name.strip_suffix(IN_FILE).unwrap_or(name);
    if file.is_named || !bare.starts_with(COLLECTOR) {
        return false;
    }
    TOLD.call_once(|| {
        let shown = file.shown();
        output::complain(
            "warning",
            &format!("{name} in {shown} sets nothing: the file was not named"),
        );
        output::advise(&format!(
            "name it with --env-file {shown}, or set the variable in the environment"
        ));
    });
    true
}

/// Whether a value must stay unknown to other users.
fn is_secret(name: &str, value: &str) -> bool {
    match name {
        URL => StoreUrl::parse(value.trim()).map_or(true, |url| url.has_password()),
        _ => !NAMED_ONLY.contains(&name) && !PUBLIC.contains(&name),
    }
}

/// A secret, from the first place that has it.
fn find_secret(name: &str, file: &DotEnv) -> Result<Option<Found>, Failure> {
    let naming = format!("{name}{IN_FILE}");
    match (look_up(name, file)?, look_up(&naming, file)?) {
        (Some(_), Some(_)) => Err(Failure::usage(format!("{name} and {naming} are both set"))
            .hint("remove one of them: only one can be meant")),
        (Some(found), None) => {
            if found.source == Source::DotEnv && is_secret(name, &found.value) {
                file.check_secret(name)?;
            }
            Ok(Some(found))
        }
        (None, Some(path)) => {
            let path = Path::new(path.value.trim());
            let value =
                secret_file::read(path).map_err(|it| secret_file::failure(it, &naming, path))?;
            Ok(Some(Found {
                value,
                source: Source::File,
            }))
        }
        (None, None) => credential(name),
    }
}

/// A credential that the service manager gives under the name of the variable, if there is one.
fn credential(name: &str) -> Result<Option<Found>, Failure> {
    let Some(directory) =
        env::var_os(CREDENTIALS_DIRECTORY).filter(|directory| !directory.is_empty())
    else {
        return Ok(None);
    };
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        // It is no name of a variable, and shall not lead out of the directory.
        return Ok(None);
    }
    let path = Path::new(&directory).join(name);
    match secret_file::read(&path) {
        Ok(value) => Ok(Some(Found {
            value,
            source: Source::Credential,
        })),
        Err(secret_file::SecretFileError::Unreadable(ErrorKind::NotFound)) => Ok(None),
        Err(unusable) => Err(secret_file::failure(unusable, CREDENTIALS_DIRECTORY, &path)),
    }
}
