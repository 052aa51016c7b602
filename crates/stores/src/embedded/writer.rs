//! The one thread that writes to the file. It takes all queued changes, applies them in one
//! transaction, commits once, and then answers: concurrent writers share the cost of one disk
//! write, and each is answered only once its change is durable. Between groups it removes expired
//! records. It does not know the operations of the contract.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::fault::Fault;
use super::file::{StoreFile, guarded};
use super::tables::{Snapshot, WriteView};
use crate::clock::Clock;
use crate::error::StoreError;

/// The limits of one transaction: changes, and roughly bytes.
const MAX_GROUP_CHANGES: usize = 4096;
const MAX_GROUP_BYTES: usize = 16 * 1024 * 1024;
/// Kibibytes of changes that may be queued; further callers wait before their change is copied.
const MAX_QUEUED_KIB: u32 = 64 * 1024;
/// The interval at which expired records are removed, and how many in one transaction.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
pub(super) const MAX_SWEPT_RECORDS: usize = 1000;

/// The handle of the thread. Dropping it lets the thread finish the queue and close the file.
pub(super) struct Writer {
    sender: Option<Sender<QueuedChange>>,
    capacity: Arc<Semaphore>,
    file: Arc<StoreFile>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(file: Arc<StoreFile>, clock: Clock) -> Result<Self, StoreError> {
        let (sender, receiver) = mpsc::channel();
        let worker = Worker {
            file: Arc::clone(&file),
            clock,
        };
        let thread = thread::Builder::new()
            .name("waxseal-store".to_owned())
            .spawn(move || worker.run(&receiver))
            .map_err(|error| Fault::from(error).explain(file.location()))?;
        let capacity = Arc::new(Semaphore::new(MAX_QUEUED_KIB as usize));
        Ok(Self {
            sender: Some(sender),
            capacity,
            file,
            thread: Some(thread),
        })
    }

    /// Applies a change of about this many bytes, and waits until it is durable. A caller that
    /// stops waiting does not cancel the change.
    pub(super) async fn submit<T, F>(&self, bytes: usize, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteView<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let size = u32::try_from(bytes / 1024)
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        let capacity = Arc::clone(&self.capacity)
            .acquire_many_owned(size.min(MAX_QUEUED_KIB))
            .await;
        let (answer, answered) = oneshot::channel();
        let location = self.file.location().to_owned();
        let task = Task {
            work: Some(work),
            result: None,
            answer,
            location,
        };
        let change = QueuedChange {
            job: Box::new(task),
            bytes,
            _capacity: capacity.ok(),
        };
        let sent = self
            .sender
            .as_ref()
            .and_then(|sender| sender.send(change).ok());
        match (sent, answered.await) {
            (Some(()), Ok(answer)) => answer,
            _ => Err(StoreError::Unavailable {
                location: self.file.location().to_owned(),
                cause: "the store has been closed".to_owned(),
                interrupted: false,
            }),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // It does not panic: code that may do so is guarded.
            drop(thread.join());
        }
    }
}

/// A change in the queue.
struct QueuedChange {
    job: Box<dyn Job>,
    bytes: usize,
    _capacity: Option<OwnedSemaphorePermit>,
}

/// A change, whatever its result type.
trait Job: Send {
    /// Applies the change. An error concerns the file: a refused change is not an error here.
    fn apply(&mut self, view: &mut WriteView<'_>) -> Result<(), Fault>;

    /// Answers the caller, once it is known whether the group is durable.
    fn answer(self: Box<Self>, group: &Result<(), StoreError>);
}

struct Task<T, F> {
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
    location: String,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnOnce(&mut WriteView<'_>) -> Result<T, Fault> + Send,
{
    fn apply(&mut self, view: &mut WriteView<'_>) -> Result<(), Fault> {
        let Some(work) = self.work.take() else {
            return Ok(());
        };
        self.result = Some(match work(view) {
            Ok(result) => Ok(result),
            Err(fault @ (Fault::Refused(_) | Fault::Record)) => Err(fault.explain(&self.location)),
            Err(fault) => return Err(fault),
        });
        Ok(())
    }

    fn answer(self: Box<Self>, group: &Result<(), StoreError>) {
        let answer = match (group, self.result) {
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => return,
            (Err(error), _) => Err(error.clone()),
        };
        // The caller may have stopped waiting.
        drop(self.answer.send(answer));
    }
}

/// The state of the thread.
struct Worker {
    file: Arc<StoreFile>,
    clock: Clock,
}

impl Worker {
    fn run(&self, receiver: &Receiver<QueuedChange>) {
        let mut next_sweep = Instant::now();
        loop {
            match receiver.recv_timeout(next_sweep.saturating_duration_since(Instant::now())) {
                Ok(first) => self.apply_group(gather(first, receiver)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= next_sweep {
                // If there is more, it continues after the changes queued meanwhile. A failure is
                // not reported here: the next change encounters it too, and has a caller to tell.
                let has_more = self
                    .sweep()
                    .is_ok_and(|removed| removed >= MAX_SWEPT_RECORDS);
                next_sweep = Instant::now()
                    + if has_more {
                        Duration::ZERO
                    } else {
                        SWEEP_INTERVAL
                    };
            }
        }
        self.file.close();
    }

    fn apply_group(&self, mut group: Vec<QueuedChange>) {
        let result = self.transact(|view| {
            group
                .iter_mut()
                .try_for_each(|change| change.job.apply(view))
        });
        let result = result.map_err(|fault| fault.explain(self.file.location()));
        group
            .into_iter()
            .for_each(|change| change.job.answer(&result));
    }

    fn sweep(&self) -> Result<usize, Fault> {
        let now_ms = self.clock.now_ms();
        let expired = guarded(|| Snapshot::open(&self.file.begin_read()?, now_ms)?.has_expired())?;
        if expired {
            self.transact(|view| view.remove_expired(MAX_SWEPT_RECORDS))
        } else {
            Ok(0)
        }
    }

    /// Runs the work in one transaction, and commits it if anything changed. On failure nothing is
    /// kept, and the file is reopened at once, for the readers.
    fn transact<T>(
        &self,
        work: impl FnOnce(&mut WriteView<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let done = guarded(|| {
            let transaction = self.file.begin_write()?;
            let mut view = WriteView::open(&transaction, self.clock.now_ms())?;
            let done = work(&mut view)?;
            let changed = view.has_changed();
            drop(view);
            if changed {
                transaction.commit()?;
            } else {
                transaction.abort()?;
            }
            Ok(done)
        });
        if done.is_err() {
            // If it cannot be reopened now, the next change tries again.
            drop(guarded(|| self.file.reopen()));
        }
        done
    }
}

/// All changes queued by now, up to the limits.
fn gather(first: QueuedChange, receiver: &Receiver<QueuedChange>) -> Vec<QueuedChange> {
    let mut bytes = first.bytes;
    let mut group = vec![first];
    while group.len() < MAX_GROUP_CHANGES && bytes < MAX_GROUP_BYTES {
        let Ok(change) = receiver.try_recv() else {
            break;
        };
        bytes = bytes.saturating_add(change.bytes);
        group.push(change);
    }
    group
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Job for Nothing {
        fn apply(&mut self, _: &mut WriteView<'_>) -> Result<(), Fault> {
            Ok(())
        }

        fn answer(self: Box<Self>, _: &Result<(), StoreError>) {}
    }

    /// The sizes of the groups into which this many changes of this many bytes are gathered.
    fn groups(changes: usize, bytes: usize) -> Vec<usize> {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..changes {
            let (job, _capacity) = (Box::new(Nothing), None);
            let change = QueuedChange {
                job,
                bytes,
                _capacity,
            };
            assert!(sender.send(change).is_ok());
        }
        let mut groups = Vec::new();
        while let Ok(first) = receiver.try_recv() {
            groups.push(gather(first, &receiver).len());
        }
        groups
    }

    #[test]
    fn a_group_is_all_that_waits_up_to_a_bound() {
        assert_eq!(groups(1, 10), [1]);
        assert_eq!(groups(1000, 1024), [1000]);
        assert_eq!(groups(MAX_GROUP_CHANGES + 1, 10), [MAX_GROUP_CHANGES, 1]);
        assert_eq!(groups(3, MAX_GROUP_BYTES), [1, 1, 1]);
        assert_eq!(groups(5, MAX_GROUP_BYTES / 2), [2, 2, 1]);
    }
}
