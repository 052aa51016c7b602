//! The audit log: who did what with keys and records, each entry chained to the one before by a code
//! under a key of its own. What is to be written is decided by the commands; values, users and whole
//! record names never come here.

mod actor;
mod entry;
mod file;
mod modes;
mod show;
mod syslog;
mod verify;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use waxseal_core::SecretKey;

use crate::config::Config;
use crate::environment::{Environment, read_secret};
use crate::error::{Ended, Failure};
use crate::output;
use crate::setup::environment_name;

pub(crate) use entry::{Act, Codes};
pub(crate) use file::{state_of, state_seq};
pub(crate) use modes::Service;
pub(crate) use show::each;
pub(crate) use verify::{Expected, Kind, Verdict, verify};

use actor::Actor;
use entry::{Draft, Outcome};

/// Why nothing may be done: what is to be recorded must be.
const REFUSED: &str = "nothing was done; make the audit log writable for this user, or set \
    audit_log_required = false in waxseal.toml to go on with a warning. docs/operate/audit-log.md";

/// Where entries go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A file of lines.
    File(PathBuf),
    /// The socket of the system's log, and the file that holds the last entry.
    Syslog { socket: PathBuf, state: PathBuf },
}

/// The audit log of this process.
pub(crate) struct Trail {
    /// Nothing is recorded where none is configured.
    configured: Option<Configured>,
    actor: Actor,
    environment: Arc<Environment>,
    /// What the end of the present operation shall tell.
    notes: Mutex<BTreeMap<&'static str, Value>>,
    offline_told: AtomicBool,
}

struct Configured {
    target: Target,
    key: String,
    is_required: bool,
}

impl Trail {
    pub(crate) fn read(config: &Config, environment: &Arc<Environment>) -> Result<Self, Failure> {
        let name = environment_name(config);
        Ok(Self {
            configured: configured(config)?,
            actor: Actor::of_this_process(name),
            environment: environment.clone(),
            notes: Mutex::default(),
            offline_told: AtomicBool::new(false),
        })
    }

    /// Carries out an operation between the entry that it begins and the entry of its end. Nothing is
    /// begun that cannot be recorded.
    pub(crate) async fn recorded(
        &self,
        act: Option<Act>,
        work: impl Future<Output = Result<Ended, Failure>>,
    ) -> Result<Ended, Failure> {
        let Some(act) = act.filter(|_| self.configured.is_some()) else {
            return work.await;
        };
        let begun = self.append(&act, Outcome::Begun)?;
        let ended = work.await;
        let mut act = act;
        // The end points to its beginning, and tells what came of it instead of what was asked.
        act.details = std::mem::take(&mut *self.lock_notes());
        if let Some(seq) = begun {
            act.details.insert("begun", Value::from(seq));
        }
        let outcome = match &ended {
            Ok(Ended::Done) => Outcome::Done,
            Ok(Ended::Findings) => {
                act.details.insert("findings", Value::from(true));
                Outcome::Done
            }
            Err(failure) => {
                act.details.insert("error", Value::from(failure.class()));
                Outcome::Failed
            }
        };
        match (self.append(&act, outcome), ended) {
            (Err(unwritten), Ok(_)) => Err(Failure::failed(format!(
                "it was done, and its end is not in the audit log: {}",
                unwritten.text()
            ))
            .hint("its beginning is there; do not repeat it, and make the audit log writable")),
            (Err(unwritten), ended @ Err(_)) => {
                output::complain("warning", unwritten.text());
                ended
            }
            (Ok(_), ended) => ended,
        }
    }

    /// Writes that something is done, before it is.
    pub(crate) fn tell(&self, act: &Act) -> Result<(), Failure> {
        self.append(act, Outcome::Done).map(drop)
    }

    /// Keeps something for the entry of the end of the present operation.
    pub(crate) fn note(&self, what: &'static str, value: impl Into<Value>) {
        self.lock_notes().insert(what, value.into());
    }

    /// The same for numbers that add up.
    pub(crate) fn count(&self, what: &'static str, more: u64) {
        let mut notes = self.lock_notes();
        let before = notes.get(what).and_then(Value::as_u64).unwrap_or(0);
        notes.insert(what, Value::from(before.saturating_add(more)));
    }

    /// Writes, once, that this process may start without custodians.
    pub(crate) fn tell_offline(&self, keyring: &str) -> Result<(), Failure> {
        if self.offline_told.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.tell(&Act::new("allow_offline", keyring))
    }

    /// Writes in which mode a service starts, where that is another than the last time.
    pub(crate) fn tell_mode(&self, service: &Service<'_>) -> Result<(), Failure> {
        let Some(configured) = &self.configured else {
            return Ok(());
        };
        let before = match &configured.target {
            Target::File(path) => {
                let codes = self.codes(configured);
                codes.and_then(|codes| modes::last(path, service, &codes))
            }
            Target::Syslog { .. } => Ok(None),
        };
        match before {
            Ok(Some(mode)) if mode == service.mode => Ok(()),
            Ok(before) => {
                let act = Act::new("mode", &service.shown());
                self.tell(&act.with("from", before).with("to", service.mode))
            }
            Err(failure) => configured.refuse(failure),
        }
    }

    fn append(&self, act: &Act, outcome: Outcome) -> Result<Option<u64>, Failure> {
        let Some(configured) = &self.configured else {
            return Ok(None);
        };
        let appended = self.codes(configured).and_then(|codes| {
            let draft = Draft {
                actor: &self.actor,
                act,
                outcome,
            };
            match &configured.target {
                Target::File(path) => file::append(path, &codes, &draft),
                Target::Syslog { socket, state } => syslog::append(socket, state, &codes, &draft),
            }
        });
        match appended {
            Ok(seq) => Ok(Some(seq)),
            Err(failure) => configured.refuse(failure).map(|()| None),
        }
    }

    /// Read anew each time: a key is not kept in memory for the sake of two lines.
    fn codes(&self, configured: &Configured) -> Result<Codes, Failure> {
        codes(&configured.key, &self.environment, "audit_log_key")
    }

    fn lock_notes(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Value>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Configured {
    /// What must be recorded and cannot be is not done, unless that was allowed.
    fn refuse(&self, failure: Failure) -> Result<(), Failure> {
        if self.is_required {
            let advice = failure.advice().map(|it| format!("{it}. {REFUSED}"));
            return Err(failure.hint(advice.unwrap_or_else(|| REFUSED.to_owned())));
        }
        output::complain("warning", &format!("not recorded: {}", failure.text()));
        if let Some(advice) = failure.advice() {
            output::advise(advice);
        }
        Ok(())
    }
}

/// The codes of entries under the key that a URL, `env:NAME` or `file:PATH`, stands for.
pub(crate) fn codes(
    url: &str,
    environment: &Environment,
    named_by: &str,
) -> Result<Codes, Failure> {
    let hex = match url.split_once(':') {
        Some(("env", name)) if waxseal_keys::is_variable(name) => {
            environment.secret(name)?.ok_or_else(|| {
                Failure::usage(format!("{named_by}: the variable {name} is not set"))
                    .hint("it holds the key of the audit log: waxseal key generate makes one")
            })?
        }
        Some(("file", path)) if !path.is_empty() => {
            read_secret(named_by, path.strip_prefix("//").unwrap_or(path).as_ref())?
        }
        _ => {
            return Err(
                Failure::usage(format!("{named_by} starts with env: or file:")).hint(
                    "it is a key of the audit log alone: waxseal key generate --file makes one",
                ),
            );
        }
    };
    let key = SecretKey::from_hex(&hex);
    let key = key.map_err(|error| Failure::from(error).named(named_by))?;
    Ok(Codes::of(&key))
}

/// Where the configuration says that entries go.
pub(crate) fn target(config: &Config) -> Result<Option<Target>, Failure> {
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
                "" => PathBuf::from(syslog::SOCKET),
                path => absolute(path)?,
            };
            let state = directory.join("audit-log.state");
            Ok(Some(Target::Syslog { socket, state }))
        }
        _ => Err(Failure::usage("audit_log starts with file: or is syslog:")
            .hint("for example audit_log = \"file:/var/log/waxseal/audit.jsonl\" in waxseal.toml")),
    }
}

fn configured(config: &Config) -> Result<Option<Configured>, Failure> {
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
             \"file:/etc/waxseal/audit.key\": waxseal key generate --file makes one",
        )
    })?;
    Ok(Some(Configured {
        target,
        key,
        is_required: config.audit_log_required.unwrap_or(true),
    }))
}
