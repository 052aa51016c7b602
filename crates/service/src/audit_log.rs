//! The audit log of a process: its settings from the configuration, its key from the environment, and its
//! failures as texts and hints. Entries are written and verified by `waxseal-audit-log`.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use waxseal_audit_log::{
    Actor, ChainKey, DEFAULT_SOCKET, Error, OperationError, Outcome, RecordError, Settings, Target,
    Warning,
};
use waxseal_core::SecretKey;

use crate::configuration::file::ConfigurationFile;
use crate::environment::{Environment, read_secret};
use crate::{Ended, Failure, notice};

pub use waxseal_audit_log::{Operation, ServiceStart};

/// The hint of an operation that was refused because it could not be recorded.
const REFUSED: &str = "nothing was done; make the audit log writable for this user, or set \
    audit_log_required = false in waxseal.toml to continue with a warning. docs/operate/audit-log.md";

/// The audit log of this process.
pub struct Trail(waxseal_audit_log::Trail<Failure>);

impl Trail {
    /// The audit log that is configured, for an environment such as `production`.
    pub fn read(
        config: &ConfigurationFile,
        environment: &Arc<Environment>,
        environment_name: &str,
    ) -> Result<Self, Failure> {
        let sudo_user = Environment::sudo_user();
        let actor = Actor::of_this_process(environment_name, sudo_user.as_deref());
        let settings = settings(config, environment)?;
        Ok(Self(waxseal_audit_log::Trail::new(settings, actor)))
    }

    /// Carries out an operation between the entry of its beginning and the entry of its end.
    pub async fn record_operation(
        &self,
        operation: Option<Operation>,
        work: impl Future<Output = Result<Ended, Failure>>,
    ) -> Result<Ended, Failure> {
        let recorded = self
            .0
            .record_operation(operation, work, |result, details| match result {
                Ok(Ended::Done) => Outcome::Done,
                Ok(Ended::Findings) => {
                    details.insert("findings", Value::from(true));
                    Outcome::Done
                }
                Err(failure) => {
                    details.insert("error", Value::from(failure.class()));
                    Outcome::Failed
                }
            });
        recorded.await.map_err(|error| match error {
            OperationError::NotBegun(error) => refused(error),
            OperationError::Failed(failure) => failure,
            OperationError::EndNotRecorded(error) => {
                let failure = Failure::from(error);
                Failure::failed(format!(
                    "it was done, and its end is not in the audit log: {}",
                    failure.text()
                ))
                .hint("its beginning is there; do not repeat it, and make the audit log writable")
            }
        })
    }

    /// Records an operation in one entry, before it is carried out.
    pub fn record(&self, operation: &Operation) -> Result<(), Failure> {
        self.0.record(operation).map_err(refused)
    }

    /// Records, once, that this process may start without custodians.
    pub fn record_offline_start(&self, keyring: &str) -> Result<(), Failure> {
        self.0.record_offline_start(keyring).map_err(refused)
    }

    /// Records the mode that a service starts in, unless it is the mode of its last start.
    pub fn record_mode(&self, start: &ServiceStart<'_>) -> Result<(), Failure> {
        self.0.record_mode(start).map_err(refused)
    }
}

impl Deref for Trail {
    type Target = waxseal_audit_log::Trail<Failure>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl From<RecordError<Self>> for Failure {
    fn from(error: RecordError<Self>) -> Self {
        match error {
            RecordError::Key(failure) => failure,
            RecordError::Write(error) => error.into(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let hint = match error {
            Error::Locked(_) => Some("find the process that hangs"),
            Error::UnverifiedEnd(_) => Some(
                "waxseal audit-log verify shows what is wrong; where audit_log_key was changed, move the \
                 log and its .state file away, and a new chain begins",
            ),
            Error::UnverifiedState(_) => {
                Some("where audit_log_key was changed, move it away, and a new chain begins")
            }
            _ => None,
        };
        let failure = Self::failed(error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// The failure of an operation that must be recorded and could not be.
fn refused(error: RecordError<Failure>) -> Failure {
    let failure = Failure::from(error);
    let hint = match failure.advice() {
        Some(hint) => format!("{hint}. {REFUSED}"),
        None => REFUSED.to_owned(),
    };
    failure.hint(hint)
}

fn warn(warning: Warning<Failure>) {
    match warning {
        Warning::NotRecorded(error) => {
            let failure = Failure::from(error);
            let text = format!("not recorded: {}", failure.text());
            match failure.advice() {
                Some(hint) => notice::warning_with_hint(&text, hint),
                None => notice::warning(&text),
            }
        }
        Warning::EndNotRecorded(error) => {
            notice::warning(Failure::from(error).text());
        }
    }
}

fn settings(
    config: &ConfigurationFile,
    environment: &Arc<Environment>,
) -> Result<Option<Settings<Failure>>, Failure> {
    let Some(target) = target(config)? else {
        if config.audit_log_key.is_some() || config.audit_log_required.is_some() {
            return Err(Failure::usage(
                "audit_log_key or audit_log_required is given, and no audit_log",
            )
            .hint("name it: audit_log = \"file:/var/log/waxseal/audit.jsonl\""));
        }
        return Ok(None);
    };
    let key = config.audit_log_key.clone().ok_or_else(|| {
        Failure::usage("audit_log is given, and no audit_log_key").hint(
            "it names the key that chains the entries, for example audit_log_key = \
             \"file:/etc/waxseal/audit.key\": waxseal key generate --file creates one",
        )
    })?;
    let environment = environment.clone();
    Ok(Some(Settings {
        target,
        is_required: config.audit_log_required.unwrap_or(true),
        read_key: Box::new(move || chain_key(&key, &environment, "audit_log_key")),
        warn: Box::new(warn),
    }))
}

/// The key that a URL names: `env:NAME` or `file:PATH`. Errors begin with `setting`, the word of the
/// configuration or the flag that holds the URL.
pub fn chain_key(url: &str, environment: &Environment, setting: &str) -> Result<ChainKey, Failure> {
    let hex = match url.split_once(':') {
        Some(("env", name)) if waxseal_keys::is_variable(name) => {
            environment.secret(name)?.ok_or_else(|| {
                Failure::usage(format!("{setting}: the variable {name} is not set"))
                    .hint("it holds the key of the audit log: waxseal key generate creates one")
            })?
        }
        Some(("file", path)) if !path.is_empty() => {
            read_secret(setting, path.strip_prefix("//").unwrap_or(path).as_ref())?
        }
        _ => {
            return Err(
                Failure::usage(format!("{setting} starts with env: or file:")).hint(
                    "it is a key of the audit log alone: waxseal key generate --file creates one",
                ),
            );
        }
    };
    let key = SecretKey::from_hex(&hex);
    let key = key.map_err(|error| Failure::from(error).named(setting))?;
    Ok(ChainKey::derive(&key))
}

/// The destination of entries in the configuration, if it has one.
pub fn target(config: &ConfigurationFile) -> Result<Option<Target>, Failure> {
    let Some(text) = &config.audit_log else {
        return Ok(None);
    };
    let absolute = |path: &str| std::path::absolute(path.strip_prefix("//").unwrap_or(path));
    match text.split_once(':') {
        Some(("file", path)) if !path.is_empty() => Ok(Some(Target::File(absolute(path)?))),
        Some(("syslog", socket)) => {
            let directory = Environment::state_directory().ok_or_else(|| {
                Failure::usage("audit_log is syslog:, and the last entry can be kept nowhere")
                    .hint("set STATE_DIRECTORY to a directory that only this user can write")
            })?;
            let socket = match socket {
                "" => PathBuf::from(DEFAULT_SOCKET),
                path => absolute(path)?,
            };
            let state = directory.join("audit-log.state");
            Ok(Some(Target::Syslog { socket, state }))
        }
        _ => Err(Failure::usage("audit_log starts with file: or is syslog:")
            .hint("for example audit_log = \"file:/var/log/waxseal/audit.jsonl\" in waxseal.toml")),
    }
}
