//! The environment variables that Waxseal reads: from the process, and from `.env` in the working directory
//! or the file that `--env-file` names (neither overrides the process). A secret may be in a file instead: the
//! one that `NAME_FILE` names, or a credential of the service manager. This module decides where a variable
//! is read from; what it means is decided by its reader.

pub mod document;
pub mod dotenv;
mod secret_file;
pub mod variables;

use std::collections::HashMap;
use std::env;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Once;

use waxseal_core::Mode;
use waxseal_stores::StoreUrl;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::notice;

use dotenv::DotEnv;
use variables::{
    CREDENTIALS_DIRECTORY, ENABLE, HOME, KEY, PREVIOUS_KEYS, STATE_DIRECTORY, SUDO_USER, Topic,
    URL, VARIABLES, Variable, XDG_STATE_HOME,
};

/// Secrets that every command knows, in the order in which they are shown.
const SECRETS: [&str; 3] = [KEY, PREVIOUS_KEYS, URL];
/// The prefix of variables about collectors of metrics. Applications usually have such lines in their `.env`, so
/// they are ignored there instead of stopping the command.
const COLLECTOR: &str = "OTEL_";
/// The suffix of a variable that names the file with the value.
const IN_FILE: &str = "_FILE";

/// The place where a value was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The variable, in the process's environment.
    Process,
    /// The variable, in `.env` or the file of `--env-file`.
    DotEnv,
    /// The file that the variable with `_FILE` behind its name names.
    File,
    /// A credential of the service manager.
    Credential,
}

/// A value, and the place where it was found.
struct SourcedValue {
    value: Zeroizing<String>,
    source: Source,
}

/// The values of the variables. Holds keys, so it has no `Debug`.
pub struct Environment {
    file: dotenv::Source,
    /// The file's text, where it can be read only once: a pipe.
    piped: Option<DotEnv>,
    values: HashMap<&'static str, SourcedValue>,
    /// The variable of the key is set to nothing.
    is_key_blank: bool,
}

impl Environment {
    /// Reads the process's environment, and the file that was named, else `.env`.
    pub fn read(named: Option<&Path>) -> Result<Self, Failure> {
        let file = DotEnv::read(&dotenv::Source::of(named))?;
        let mut this = Self {
            file: file.source().clone(),
            piped: None,
            values: HashMap::new(),
            is_key_blank: is_blank(KEY, &file)?,
        };
        if let Some(mode) = find_variable(ENABLE, &file)? {
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

    /// The sealing key, in hexadecimal digits.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.get(KEY)
    }

    /// True if the variable of the key is set to nothing: it counts as unset, and hides a line of `.env`.
    #[must_use]
    pub fn is_key_blank(&self) -> bool {
        self.is_key_blank
    }

    /// The keys that only open, as a comma-separated list.
    #[must_use]
    pub fn previous_keys(&self) -> &str {
        self.get(PREVIOUS_KEYS).unwrap_or_default()
    }

    /// The mode, if it is set.
    pub fn mode(&self) -> Result<Option<Mode>, Failure> {
        match self.get(ENABLE).map(str::parse) {
            None => Ok(None),
            Some(Ok(mode)) => Ok(Some(mode)),
            Some(Err(error)) => Err(Failure::usage(format!("{ENABLE}: {error}"))),
        }
    }

    /// The URL of the store, if it is set.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.get(URL)
    }

    /// Returns the secret of this name, for a custodian: from the variable, from the file that `NAME_FILE` names,
    /// or from the service manager's credentials. A secret that is set nowhere is `None`; one that is set and
    /// cannot be used is a failure.
    pub fn secret(&self, name: &str) -> Result<Option<Zeroizing<String>>, Failure> {
        if name == ENABLE || SECRETS.contains(&name) {
            let value = self.get(name);
            return Ok(value.map(|value| Zeroizing::new(value.to_owned())));
        }
        self.with_file(|file| Ok(find_secret(name, file)?.map(|found| found.value)))
    }

    /// Returns a variable of another program's convention, such as `OTEL_…`.
    pub fn variable(&self, name: &str) -> Result<Option<String>, Failure> {
        let found = self.with_file(|file| find_variable(name, file))?;
        Ok(found.map(|found| found.value.trim().to_owned()))
    }

    /// Reads the file again each time, so that other secrets of the application are not kept in memory.
    fn with_file<T>(&self, read: impl FnOnce(&DotEnv) -> Result<T, Failure>) -> Result<T, Failure> {
        match &self.piped {
            Some(file) => read(file),
            None => read(&DotEnv::read(&self.file)?),
        }
    }

    /// The place of each secret that every command knows, if it was found.
    pub fn sources(&self) -> impl Iterator<Item = (&'static str, Source)> {
        SECRETS
            .into_iter()
            .filter_map(|name| Some((name, self.values.get(name)?.source)))
    }

    /// The file of variables, if anything was found in it.
    #[must_use]
    pub fn used_file(&self) -> Option<&Path> {
        let mut found = self.values.values();
        let is_used = found.any(|found| found.source == Source::DotEnv);
        is_used.then_some(&self.file.path)
    }

    /// The directory of this machine's own state: the service manager's, else the user's.
    #[must_use]
    pub fn state_directory() -> Option<PathBuf> {
        let directory = |name: &str| {
            let value = env::var_os(name).filter(|value| !value.is_empty())?;
            // The service manager may set several, separated by colons.
            let first = env::split_paths(&value).next()?;
            Some(first).filter(|directory| directory.is_absolute())
        };
        directory(STATE_DIRECTORY)
            .or_else(|| Some(directory(XDG_STATE_HOME)?.join("waxseal")))
            .or_else(|| Some(directory(HOME)?.join(".local/state/waxseal")))
    }

    /// The user who called `sudo`, if one did.
    #[must_use]
    pub fn sudo_user() -> Option<String> {
        env::var(SUDO_USER).ok()
    }

    fn get(&self, name: &str) -> Option<&str> {
        Some(self.values.get(name)?.value.trim())
    }
}

/// Reads a file that holds a secret and was named with this flag. A file that others can read is refused.
pub fn read_secret(flag: &str, path: &Path) -> Result<Zeroizing<String>, Failure> {
    secret_file::read(path).map_err(|unusable| secret_file::failure(unusable, flag, path))
}

/// Returns a variable, from the process, else from the file. A variable that is set to nothing counts as unset,
/// and hides the line of the file.
fn find_variable(name: &str, file: &DotEnv) -> Result<Option<SourcedValue>, Failure> {
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
        .map(|(value, source)| SourcedValue { value, source }))
}

/// True if a variable is set to nothing, in the process or else in the file.
fn is_blank(name: &str, file: &DotEnv) -> Result<bool, Failure> {
    Ok(match env::var(name) {
        Ok(value) => Zeroizing::new(value).trim().is_empty(),
        Err(env::VarError::NotPresent) => file.get(name)?.is_some_and(|it| it.trim().is_empty()),
        Err(env::VarError::NotUnicode(_)) => false,
    })
}

/// Refuses a variable that decides which code runs, or where a secret is sent, in a file that was not named.
fn check_named(name: &str, file: &dotenv::Source) -> Result<(), Failure> {
    let bare = name.strip_suffix(IN_FILE).unwrap_or(name);
    let is_named_only = known(bare).is_some_and(|it| it.is_named_only);
    if file.is_named || !is_named_only {
        return Ok(());
    }
    let shown = file.shown();
    Err(Failure::usage(format!(
        "{name} is set in {shown}, which was not named: name it with --env-file {shown}, or set the \
         variable in the environment"
    )))
}

/// True if a variable is ignored because the file was not named. Warns once.
fn is_ignored(name: &str, file: &dotenv::Source) -> bool {
    static WARNED: Once = Once::new();
    let bare = name.strip_suffix(IN_FILE).unwrap_or(name);
    if file.is_named || !bare.starts_with(COLLECTOR) {
        return false;
    }
    WARNED.call_once(|| {
        let shown = file.shown();
        notice::warning_with_hint(
            &format!("{name} in {shown} sets nothing: the file was not named"),
            &format!("name it with --env-file {shown}, or set the variable in the environment"),
        );
    });
    true
}

/// The variable of this name, if it is in the table.
fn known(name: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|it| it.name == name)
}

/// True for the topics whose variables are also read from `.env` files and credentials.
fn is_read_from_files(topic: Topic) -> bool {
    matches!(
        topic,
        Topic::Everything | Topic::Admin | Topic::Metrics | Topic::Token | Topic::Vault
    )
}

/// True if a value must stay unknown to other users.
fn is_secret(name: &str, value: &str) -> bool {
    match name {
        URL => StoreUrl::parse(value.trim()).map_or(true, |url| url.has_password()),
        // A variable that a custodian's URL names is not in the table, or has the name of one that is read elsewhere.
        _ => known(name).is_none_or(|it| it.is_secret || !is_read_from_files(it.topic)),
    }
}

/// Returns a secret, from the first place that has it.
fn find_secret(name: &str, file: &DotEnv) -> Result<Option<SourcedValue>, Failure> {
    let naming = format!("{name}{IN_FILE}");
    match (find_variable(name, file)?, find_variable(&naming, file)?) {
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
            Ok(Some(SourcedValue {
                value,
                source: Source::File,
            }))
        }
        (None, None) => credential(name),
    }
}

/// Returns the service manager's credential with the name of the variable, if there is one.
fn credential(name: &str) -> Result<Option<SourcedValue>, Failure> {
    let Some(directory) =
        env::var_os(CREDENTIALS_DIRECTORY).filter(|directory| !directory.is_empty())
    else {
        return Ok(None);
    };
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        // Not the name of a variable; it must not lead out of the directory.
        return Ok(None);
    }
    let path = Path::new(&directory).join(name);
    match secret_file::read(&path) {
        Ok(value) => Ok(Some(SourcedValue {
            value,
            source: Source::Credential,
        })),
        Err(secret_file::SecretFileError::Unreadable(ErrorKind::NotFound)) => Ok(None),
        Err(unusable) => Err(secret_file::failure(unusable, CREDENTIALS_DIRECTORY, &path)),
    }
}
