//! The audit log of one process: operations are recorded before and after, or not carried out.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::actor::Actor;
use crate::entry::{ChainKey, Draft};
use crate::error::Error;
use crate::modes::{MODE, MODE_DETAIL, ServiceStart, last_mode};
use crate::operation::{Details, Operation, Outcome};
use crate::{file, syslog};

/// The destination of entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file of lines.
    File(PathBuf),
    /// The socket of the system's log, and the file that keeps the last entry.
    Syslog {
        /// The socket.
        socket: PathBuf,
        /// The state file, whose name ends in `.state`.
        state: PathBuf,
    },
}

/// The settings of an audit log. `E` is the caller's error of reading the key.
pub struct Settings<E> {
    /// The destination of entries.
    pub target: Target,
    /// True if operations that cannot be recorded are not carried out.
    pub is_required: bool,
    /// Reads the key of the chain. Called for each entry: the key is not kept in memory between two lines.
    pub read_key: Box<dyn Fn() -> Result<ChainKey, E> + Send + Sync>,
    /// Receives the failures that stop nothing.
    pub warn: Box<dyn Fn(Warning<E>) + Send + Sync>,
}

/// An entry could not be recorded.
#[derive(Debug)]
pub enum RecordError<E> {
    /// The key of the chain could not be read.
    Key(E),
    /// The entry could not be written.
    Write(Error),
}

/// A failure that stops nothing.
#[derive(Debug)]
pub enum Warning<E> {
    /// An entry was not recorded, and recording is not required.
    NotRecorded(RecordError<E>),
    /// An operation failed, and the entry of its end could not be recorded.
    EndNotRecorded(RecordError<E>),
}

/// An operation between two entries did not succeed.
#[derive(Debug)]
pub enum OperationError<E> {
    /// It was not carried out: its beginning could not be recorded.
    NotBegun(RecordError<E>),
    /// It failed.
    Failed(E),
    /// It succeeded, and its end could not be recorded.
    EndNotRecorded(RecordError<E>),
}

/// The audit log of this process.
pub struct Trail<E> {
    /// Nothing is recorded if there are none.
    settings: Option<Settings<E>>,
    actor: Actor,
    /// The details for the entry of the end of the present operation.
    details: Mutex<Details>,
    is_offline_start_recorded: AtomicBool,
}

impl<E> Trail<E> {
    /// A trail that records what this actor does; nothing without settings.
    #[must_use]
    pub fn new(settings: Option<Settings<E>>, actor: Actor) -> Self {
        Self {
            settings,
            actor,
            details: Mutex::default(),
            is_offline_start_recorded: AtomicBool::new(false),
        }
    }

    /// Carries out an operation between the entry of its beginning and the entry of its end, which names
    /// the first. `outcome_of` describes the end, and may add details. Without an operation, only the
    /// work is done.
    pub async fn record_operation<T>(
        &self,
        operation: Option<Operation>,
        work: impl Future<Output = Result<T, E>>,
        outcome_of: impl FnOnce(&Result<T, E>, &mut Details) -> Outcome,
    ) -> Result<T, OperationError<E>> {
        let (Some(mut operation), Some(settings)) = (operation, &self.settings) else {
            return work.await.map_err(OperationError::Failed);
        };
        let begun = self.append(&operation, Outcome::Begun);
        let begun = begun.map_err(OperationError::NotBegun)?;
        let result = work.await;
        // The details of the end are what came of the operation, not what was asked for.
        operation.details = std::mem::take(&mut *self.lock_details());
        if let Some(seq) = begun {
            operation.details.insert("begun", Value::from(seq));
        }
        let outcome = outcome_of(&result, &mut operation.details);
        match (self.append(&operation, outcome), result) {
            (Ok(_), result) => result.map_err(OperationError::Failed),
            (Err(error), Ok(_)) => Err(OperationError::EndNotRecorded(error)),
            (Err(error), Err(failure)) => {
                (settings.warn)(Warning::EndNotRecorded(error));
                Err(OperationError::Failed(failure))
            }
        }
    }

    /// Records an operation in one entry, before it is carried out.
    pub fn record(&self, operation: &Operation) -> Result<(), RecordError<E>> {
        self.append(operation, Outcome::Done).map(drop)
    }

    /// Adds a detail to the entry of the end of the present operation.
    pub fn add_detail(&self, name: &'static str, value: impl Into<Value>) {
        self.lock_details().insert(name, value.into());
    }

    /// Adds to a detail that is a number.
    pub fn add_count(&self, name: &'static str, more: u64) {
        let mut details = self.lock_details();
        let before = details.get(name).and_then(Value::as_u64).unwrap_or(0);
        details.insert(name, Value::from(before.saturating_add(more)));
    }

    /// Records, once, that this process may start without the custodians of a keyring.
    pub fn record_offline_start(&self, keyring: &str) -> Result<(), RecordError<E>> {
        if self.is_offline_start_recorded.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.record(&Operation::new("allow_offline", keyring))
    }

    /// Records the mode that a service starts in, unless it is the mode of its last start. The system's
    /// log cannot be read back: each start is recorded there.
    pub fn record_mode(&self, start: &ServiceStart<'_>) -> Result<(), RecordError<E>> {
        let Some(settings) = &self.settings else {
            return Ok(());
        };
        let last = match &settings.target {
            Target::File(path) => (settings.read_key)()
                .map_err(RecordError::Key)
                .and_then(|key| last_mode(path, start, &key).map_err(RecordError::Write)),
            Target::Syslog { .. } => Ok(None),
        };
        match last {
            Ok(Some(mode)) if mode == start.mode => Ok(()),
            Ok(last) => {
                let operation = Operation::new(MODE, &start.target()).with("from", last);
                self.record(&operation.with(MODE_DETAIL, start.mode))
            }
            Err(error) => settings.tolerate(error),
        }
    }

    /// The number of the entry; none if it was not recorded and need not be.
    fn append(
        &self,
        operation: &Operation,
        outcome: Outcome,
    ) -> Result<Option<u64>, RecordError<E>> {
        let Some(settings) = &self.settings else {
            return Ok(None);
        };
        let draft = Draft {
            actor: &self.actor,
            operation,
            outcome,
        };
        match settings.append(&draft) {
            Ok(seq) => Ok(Some(seq)),
            Err(error) => settings.tolerate(error).map(|()| None),
        }
    }

    fn lock_details(&self) -> MutexGuard<'_, Details> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E> Settings<E> {
    fn append(&self, draft: &Draft<'_>) -> Result<u64, RecordError<E>> {
        let key = (self.read_key)().map_err(RecordError::Key)?;
        let appended = match &self.target {
            Target::File(path) => file::append(path, &key, draft),
            Target::Syslog { socket, state } => syslog::append(socket, state, &key, draft),
        };
        appended.map_err(RecordError::Write)
    }

    /// Returns the error if recording is required, else warns.
    fn tolerate(&self, error: RecordError<E>) -> Result<(), RecordError<E>> {
        if self.is_required {
            return Err(error);
        }
        (self.warn)(Warning::NotRecorded(error));
        Ok(())
    }
}
