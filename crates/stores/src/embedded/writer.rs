//! The one thread that writes to the file. It takes all changes that wait, makes them in one
//! transaction, commits once, and then answers: so many writers share the cost of one disk write,
//! and each is answered only when its change is durable. Between groups it removes what has
//! expired. It knows no operation of the contract.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::fault::Fault;
use super::file::{StoreFile, guarded};
use super::tables::{Ledger, Snapshot};
use crate::clock::Clock;
use crate::error::StoreError;

/// The most changes in one transaction, and about how many bytes.
const GROUP_CHANGES: usize = 4096;
const GROUP_BYTES: usize = 16 * 1024 * 1024;
/// How many kibibytes of changes may wait; whoever comes then waits without being copied.
const WAITING_KIB: u32 = 64 * 1024;
/// How often expired records are looked for, and how many are removed in one transaction.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
pub(super) const SWEEP_RECORDS: usize = 1000;

/// The door to the thread. Dropping it lets the thread finish what waits and close the file.
pub(super) struct Writer {
    sender: Option<Sender<Waiting>>,
    room: Arc<Semaphore>,
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
        let room = Arc::new(Semaphore::new(WAITING_KIB as usize));
        Ok(Self {
            sender: Some(sender),
            room,
            file,
            thread: Some(thread),
        })
    }

    /// Has a change of about so many bytes made, and waits until it is durable. A caller who stops
    /// waiting does not stop the change.
    pub(super) async fn submit<T, F>(&self, bytes: usize, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Ledger<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let size = u32::try_from(bytes / 1024)
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        let room = Arc::clone(&self.room)
            .acquire_many_owned(size.min(WAITING_KIB))
            .await;
        let (answer, answered) = oneshot::channel();
        let location = self.file.location().to_owned();
        let task = Task {
            work: Some(work),
            made: None,
            answer,
            location,
        };
        let waiting = Waiting {
            job: Box::new(task),
            bytes,
            _room: room.ok(),
        };
        let sent = self
            .sender
            .as_ref()
            .and_then(|sender| sender.send(waiting).ok());
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
            // It does not panic: what may do so is guarded.
            drop(thread.join());
        }
    }
}

/// A change that waits for the thread.
struct Waiting {
    job: Box<dyn Job>,
    bytes: usize,
    _room: Option<OwnedSemaphorePermit>,
}

/// A change, whatever it answers with.
trait Job: Send {
    /// Makes the change. An error is one of the file: a change that is refused is no error here.
    fn make(&mut self, ledger: &mut Ledger<'_>) -> Result<(), Fault>;

    /// Tells the caller, once it is known whether the group is durable.
    fn answer(self: Box<Self>, group: &Result<(), StoreError>);
}

struct Task<T, F> {
    work: Option<F>,
    made: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
    location: String,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnOnce(&mut Ledger<'_>) -> Result<T, Fault> + Send,
{
    fn make(&mut self, ledger: &mut Ledger<'_>) -> Result<(), Fault> {
        let Some(work) = self.work.take() else {
            return Ok(());
        };
        self.made = Some(match work(ledger) {
            Ok(made) => Ok(made),
            Err(fault @ (Fault::Refused(_) | Fault::Record)) => Err(fault.explain(&self.location)),
            Err(fault) => return Err(fault),
        });
        Ok(())
    }

    fn answer(self: Box<Self>, group: &Result<(), StoreError>) {
        let answer = match (group, self.made) {
            (Ok(()), Some(made)) => made,
            (Ok(()), None) => return,
            (Err(error), _) => Err(error.clone()),
        };
        // Nobody may be waiting any more.
        drop(self.answer.send(answer));
    }
}

/// What the thread works with.
struct Worker {
    file: Arc<StoreFile>,
    clock: Clock,
}

impl Worker {
    fn run(&self, receiver: &Receiver<Waiting>) {
        let mut next_sweep = Instant::now();
        loop {
            match receiver.recv_timeout(next_sweep.saturating_duration_since(Instant::now())) {
                Ok(first) => self.make_all(gather(first, receiver)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= next_sweep {
                // While there is more, it goes on after what came meanwhile. A failure is met by
                // the next change too, which has somebody to tell.
                let more = self.sweep().is_ok_and(|removed| removed >= SWEEP_RECORDS);
                next_sweep = Instant::now() + if more { Duration::ZERO } else { SWEEP_EVERY };
            }
        }
        self.file.close();
    }

    fn make_all(&self, mut group: Vec<Waiting>) {
        let made = self.transact(|ledger| {
            group
                .iter_mut()
                .try_for_each(|waiting| waiting.job.make(ledger))
        });
        let made = made.map_err(|fault| fault.explain(self.file.location()));
        group
            .into_iter()
            .for_each(|waiting| waiting.job.answer(&made));
    }

    fn sweep(&self) -> Result<usize, Fault> {
        let now_ms = self.clock.now_ms();
        let expired = guarded(|| Snapshot::open(&self.file.begin_read()?, now_ms)?.has_expired())?;
        if expired {
            self.transact(|ledger| ledger.remove_expired(SWEEP_RECORDS))
        } else {
            Ok(0)
        }
    }

    /// Does the work in one transaction, and commits it if anything was changed. After a failure
    /// nothing of it is there, and the file is opened anew: for those who read, at once.
    fn transact<T>(
        &self,
        work: impl FnOnce(&mut Ledger<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let done = guarded(|| {
            let transaction = self.file.begin_write()?;
            let mut ledger = Ledger::open(&transaction, self.clock.now_ms())?;
            let done = work(&mut ledger)?;
            let changed = ledger.has_changed();
            drop(ledger);
            if changed {
                transaction.commit()?;
            } else {
                transaction.abort()?;
            }
            Ok(done)
        });
        if done.is_err() {
            // If it cannot be opened now, the next change tries again.
            drop(guarded(|| self.file.reopen()));
        }
        done
    }
}

/// Everything that waits by now, up to a bound.
fn gather(first: Waiting, receiver: &Receiver<Waiting>) -> Vec<Waiting> {
    let mut bytes = first.bytes;
    let mut group = vec![first];
    while group.len() < GROUP_CHANGES && bytes < GROUP_BYTES {
        let Ok(waiting) = receiver.try_recv() else {
            break;
        };
        bytes = bytes.saturating_add(waiting.bytes);
        group.push(waiting);
    }
    group
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Job for Nothing {
        fn make(&mut self, _: &mut Ledger<'_>) -> Result<(), Fault> {
            Ok(())
        }

        fn answer(self: Box<Self>, _: &Result<(), StoreError>) {}
    }

    /// How large the groups are in which so many changes of so many bytes are made.
    fn groups(changes: usize, bytes: usize) -> Vec<usize> {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..changes {
            let (job, _room) = (Box::new(Nothing), None);
            let waiting = Waiting { job, bytes, _room };
            assert!(sender.send(waiting).is_ok());
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
        assert_eq!(groups(GROUP_CHANGES + 1, 10), [GROUP_CHANGES, 1]);
        assert_eq!(groups(3, GROUP_BYTES), [1, 1, 1]);
        assert_eq!(groups(5, GROUP_BYTES / 2), [2, 2, 1]);
    }
}
