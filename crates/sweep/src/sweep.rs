//! The loop: scan a page, give it to a batch, keep a few batches in flight, and keep the position up to which everything
//! is done, so that a pass can be interrupted and continued.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures_util::stream::{FuturesOrdered, StreamExt};
use tokio::task::{JoinError, JoinHandle};
use waxseal_core::{KeyError, NameMask, SealError};
use waxseal_keys::{RingError, UserKeyError};
use waxseal_metrics::{SweepMetrics, Verdicts};
use waxseal_stores::{Cursor, Page, RecordPattern, RecordStore, StoreError};

use crate::batch::{BatchContext, BatchOutcome, count};
use crate::keys::Keys;
use crate::options::{Position, Stop, SweepOptions};
use crate::outage::{MAX_PASSES, Next, Outage};
use crate::pace::Pace;
use crate::recent_names::RecentNames;
use crate::requests::Requests;
use crate::run::RecordPass;
use crate::tally::{Finding, Tally};
use crate::task::Task;

/// Batches in flight at the same time: while one waits for the store, another is judged.
const MAX_IN_FLIGHT: usize = 3;

/// One pass of a task over the records of a pattern.
pub struct Sweep {
    /// The store of the records.
    pub store: Arc<dyn RecordStore>,
    /// The pattern of their names.
    pub pattern: RecordPattern,
    /// The task for each value.
    pub task: Arc<dyn Task>,
    /// The source of keys that the task's sealer does not hold.
    pub keys: Keys,
    /// The mask for names in findings.
    pub mask: NameMask,
    /// The options.
    pub options: SweepOptions,
}

/// Progress of a sweep.
#[derive(Debug)]
pub enum Event<'a> {
    /// Everything up to here is done.
    Progress {
        /// The position.
        position: &'a Position,
        /// The number of records in the store, under any name.
        records: u64,
        /// True if the sweep is slowed down for other clients.
        slowed: bool,
    },
    /// Something is wrong with a value or a record.
    Finding(&'a Finding),
    /// The store of the records, or one of keys, cannot be reached or is not ready. The sweep waits for it.
    Waiting(&'a SweepError),
    /// The store was restarted or replaced: the pass starts again from the beginning.
    Restarted,
}

/// The result of a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The position that it reached, with the counts.
    pub position: Position,
    /// True if it reached the end, false if it was told to stop.
    pub complete: bool,
}

/// An error that ended a sweep, and the position that it reached.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Interrupted {
    /// The error.
    pub error: SweepError,
    /// The position that it reached, with the counts.
    pub position: Box<Position>,
}

/// An error that ended a sweep.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SweepError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Values can no longer be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The keyring does not allow sealing.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The keys of users.
    #[error(transparent)]
    Users(#[from] UserKeyError),
    /// The cryptographic library.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The connection was lost in each pass, and the store does not show whether it was restarted.
    #[error(
        "the connection to the store was lost in each of {passes} passes over its records, and the store does \
         not tell whether it was restarted (INFO)"
    )]
    LostInEveryPass {
        /// The number of passes, each from the beginning.
        passes: usize,
    },
}

impl SweepError {
    /// True if a retry may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Users(error) => error.is_transient(),
            Self::Ring(error) => matches!(error, RingError::Lapsed { .. }),
            Self::Seal(_) | Self::Key(_) | Self::LostInEveryPass { .. } => false,
        }
    }

    /// True if the server may accept writes again soon: it lost its replicas or could not save; or it accepted writes of
    /// this sweep before, and is being replaced by another primary. A server that is full stays full.
    fn may_recover(&self, position: &Position) -> bool {
        let Self::Store(StoreError::ReadOnly { code, .. }) = self else {
            return false;
        };
        match code.as_str() {
            "NOREPLICAS" | "MISCONF" => true,
            _ => position.tally.done > 0,
        }
    }
}

/// A finished batch, with or without an error, and the position of the scan after it.
struct FinishedBatch {
    outcome: BatchOutcome,
    result: Result<(), SweepError>,
    names: u64,
    examined: u64,
    next: Option<Cursor>,
}

/// A batch in flight. It is aborted when it is dropped.
struct RunningBatch(JoinHandle<FinishedBatch>);

/// In the order of the scan.
type Batches = FuturesOrdered<RunningBatch>;

impl Sweep {
    /// Works on all records from this position on (from the beginning by default).
    ///
    /// When it returns, nothing more is written. If the future is dropped instead, requests that were sent to the store
    /// may still be carried out.
    pub async fn run(
        &self,
        from: Position,
        stop: &Stop,
        watch: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<Report, Interrupted> {
        let mut position = from;
        match self.run_to_end(&mut position, stop, watch).await {
            Ok(complete) => Ok(Report { position, complete }),
            Err(error) => Err(Interrupted {
                error,
                position: Box::new(position),
            }),
        }
    }

    /// Retries after transient errors, until nothing was done for `reconnect_timeout`.
    async fn run_to_end(
        &self,
        position: &mut Position,
        stop: &Stop,
        watch: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<bool, SweepError> {
        let mut pace = Pace::new(&self.options);
        let requests = Arc::new(Requests::new(self.store.clone()));
        let mut outage = Outage::default();
        loop {
            let before = position.examined;
            let error = match self
                .resume(position, (&mut pace, &requests), stop, watch)
                .await
            {
                Err(error) if error.is_transient() || error.may_recover(position) => error,
                outcome => return outcome,
            };
            let has_advanced = position.examined != before;
            let begins = || watch(Event::Waiting(&error));
            match outage.wait(has_advanced, &self.options, stop, begins).await {
                Next::Retry => {}
                Next::GiveUp => return Err(error),
                Next::Stop => return Ok(false),
            }
        }
    }

    /// Continues from the position, or from the beginning if the store is in another generation.
    async fn resume(
        &self,
        position: &mut Position,
        (pace, requests): (&mut Pace, &Arc<Requests>),
        stop: &Stop,
        watch: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<bool, SweepError> {
        let mut status = self.store.status().await?;
        for _ in 0..MAX_PASSES {
            if status.generation.is_empty() || status.generation != position.generation {
                let has_begun = position.tally.total > 0;
                position.start_again(status.generation, self.options.dry_run);
                if has_begun {
                    watch(Event::Restarted);
                }
            }
            if position.finished {
                return Ok(true);
            }
            let complete = self
                .pass(
                    position,
                    (&mut *pace, requests),
                    status.records,
                    stop,
                    watch,
                )
                .await?;
            // A store that was replaced between two calls returns no error, and its scan does not show it.
            status = self.store.status().await?;
            if !complete || status.generation == position.generation {
                return Ok(complete);
            }
        }
        Err(SweepError::LostInEveryPass { passes: MAX_PASSES })
    }

    /// Works from the position to the end, or until told to stop. Returns true if it reached the end. An error is
    /// returned only after all batches in flight have finished.
    async fn pass(
        &self,
        position: &mut Position,
        (pace, requests): (&mut Pace, &Arc<Requests>),
        records: u64,
        stop: &Stop,
        watch: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<bool, SweepError> {
        let metrics = SweepMetrics::new(self.task.name());
        requests.begin(&position.generation);
        let mut batches = Batches::new();
        let mut scan = Some(Cursor::from_text(position.cursor.clone()));
        let mut recent = RecentNames::default();
        let mut failure = None;
        let mut mean_size = 0;
        // After a failed batch, later ones must not move the position: it would skip the records of the failed one.
        let mut has_gap = false;
        loop {
            while failure.is_none()
                && batches.len() < MAX_IN_FLIGHT
                && let Some(at) = &scan
            {
                pace.wait(&*self.store, stop).await;
                if stop.is_stopped() {
                    break;
                }
                match self.page(at, mean_size, &mut recent).await {
                    Ok(page) => {
                        pace.record(count(page.names.len()));
                        scan.clone_from(&page.next);
                        batches.push_back(self.batch(page, requests));
                    }
                    Err(error) => failure = more_severe(failure, error.into()),
                }
            }
            let Some(mut finished) = batches.next().await else {
                break;
            };
            mean_size = finished.outcome.tally.mean_bytes();
            pace.record(finished.outcome.tally.total.saturating_sub(finished.names));
            if let Err(error) = std::mem::replace(&mut finished.result, Ok(())) {
                has_gap = true;
                failure = more_severe(failure, error);
            }
            if !has_gap {
                let examined = position.examined.saturating_add(finished.examined);
                let part = examined as f64 / records.max(1) as f64;
                metrics.advance(verdicts(&finished.outcome.tally), part);
                settle(position, finished, watch);
                watch(Event::Progress {
                    position,
                    records,
                    slowed: pace.is_slowed(),
                });
            } else if !self.options.dry_run {
                position.carry(finished.outcome.tally.done);
            }
        }
        if failure.is_none() && position.finished {
            metrics.finish();
        }
        failure.map_or(Ok(position.finished), Err)
    }

    /// Returns the next page of names, without those that were returned shortly before.
    async fn page(
        &self,
        at: &Cursor,
        mean_size: u64,
        recent: &mut RecentNames,
    ) -> Result<Page, StoreError> {
        let mut page = self
            .store
            .scan(&self.pattern, at, self.options.page_size(mean_size))
            .await?;
        page.names
            .retain(|name| self.pattern.matches(name.as_bytes()));
        recent.remove_repeated(&mut page.names);
        Ok(page)
    }

    fn batch(&self, page: Page, requests: &Arc<Requests>) -> RunningBatch {
        let context = BatchContext {
            store: self.store.clone(),
            requests: requests.clone(),
            task: self.task.clone(),
            keys: self.keys.clone(),
            pattern: self.pattern.clone(),
            mask: self.mask.clone(),
            dry_run: self.options.dry_run,
            rewrite_streams: self.options.rewrite_streams,
        };
        RunningBatch(tokio::spawn(async move {
            let names = count(page.names.len());
            let mut outcome = BatchOutcome::default();
            let result = context.batch(page.names, &mut outcome).await;
            FinishedBatch {
                outcome,
                result,
                names,
                examined: page.examined,
                next: page.next,
            }
        }))
    }
}

#[async_trait]
impl RecordPass for Sweep {
    async fn run(
        &self,
        from: Position,
        stop: &Stop,
        watch: &mut (dyn for<'e> FnMut(Event<'e>) + Send),
    ) -> Result<Report, Interrupted> {
        Self::run(self, from, stop, watch).await
    }
}

impl Future for RunningBatch {
    type Output = FinishedBatch;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<FinishedBatch> {
        let Poll::Ready(joined) = Pin::new(&mut self.0).poll(context) else {
            return Poll::Pending;
        };
        match joined.map_err(JoinError::try_into_panic) {
            Ok(finished) => Poll::Ready(finished),
            // A panic of a batch is a bug, and is passed on.
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and the sweep with it.
            Err(Err(_)) => Poll::Pending,
        }
    }
}

impl Drop for RunningBatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn verdicts(tally: &Tally) -> Verdicts {
    Verdicts {
        done: tally.done,
        already: tally.already,
        empty: tally.empty,
        erased: tally.erased,
        raced: tally.raced,
        failed: tally.failed,
        skipped: tally.skipped(),
    }
}

/// Moves the position to the end of a batch, and reports its findings.
fn settle(
    position: &mut Position,
    finished: FinishedBatch,
    watch: &mut (dyn FnMut(Event<'_>) + Send),
) {
    finished
        .outcome
        .findings
        .iter()
        .for_each(|finding| watch(Event::Finding(finding)));
    position.count(finished.outcome.tally);
    position.examined += finished.examined;
    position.finished = finished.next.is_none();
    position.cursor = finished
        .next
        .map(|next| next.as_str().to_owned())
        .unwrap_or_default();
}

/// Returns the error that a retry does not help against; else the first.
fn more_severe(first: Option<SweepError>, next: SweepError) -> Option<SweepError> {
    match first {
        Some(first) if first.is_transient() && !next.is_transient() => Some(next),
        Some(first) => Some(first),
        None => Some(next),
    }
}
