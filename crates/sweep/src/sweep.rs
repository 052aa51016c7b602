//! The loop: scan a page, give it to a batch, keep a few batches in flight, and know up to where
//! everything is done, so that a pass can be interrupted and go on.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{FuturesOrdered, StreamExt};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;
use waxseal_core::{KeyError, NameMask, SealError};
use waxseal_keys::{RingError, UserKeyError};
use waxseal_metrics::{SweepMetrics, Verdicts};
use waxseal_stores::{Cursor, Page, RecordPattern, RecordStore, StoreError};

use crate::batch::{BatchContext, BatchOutcome, count};
use crate::keys::Keys;
use crate::options::{Position, Stop, SweepOptions};
use crate::pace::{Pace, pause};
use crate::recent_names::RecentNames;
use crate::requests::Requests;
use crate::tally::{Finding, Tally};
use crate::task::Task;

/// Batches at work at the same time: while one waits for the store, another is judged.
const IN_FLIGHT: usize = 3;
/// Passes in a row that end on another generation of the store than they began on. A server that does not
/// tell a restart from a lost connection would be scanned endlessly, where each pass loses one.
const MAX_PASSES: usize = 8;
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(2);

/// One pass of a task over the records of a pattern.
pub struct Sweep {
    /// Where the records are.
    pub store: Arc<dyn RecordStore>,
    /// Which records.
    pub pattern: RecordPattern,
    /// What is done with each value.
    pub task: Arc<dyn Task>,
    /// Where keys are looked up that the task's sealer does not hold.
    pub keys: Keys,
    /// How names are shown in findings.
    pub mask: NameMask,
    /// How it goes about it.
    pub options: SweepOptions,
}

/// What a sweep tells while it works.
#[derive(Debug)]
pub enum Event<'a> {
    /// Everything up to here is done.
    Progress {
        /// Up to where.
        position: &'a Position,
        /// How many records the store holds, of every name.
        records: u64,
        /// Whether it is going slowly for the sake of other clients.
        slowed: bool,
    },
    /// Something is wrong with a value or a record.
    Finding(&'a Finding),
    /// The store, or the place of a key, went away or is not ready, and is waited for.
    Waiting(&'a SweepError),
    /// The store came back as another one: the pass starts again from the beginning.
    Restarted,
}

/// The end of a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Up to where everything is done, with the counts.
    pub position: Position,
    /// Whether it went to the end; else it was told to stop.
    pub complete: bool,
}

/// A sweep that could not go on, and how far it came.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Interrupted {
    /// Why.
    pub error: SweepError,
    /// Up to where everything is done, with the counts.
    pub position: Box<Position>,
}

/// Why a sweep cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SweepError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing can be sealed any more.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The ring says that nothing may be sealed.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The keys of users.
    #[error(transparent)]
    Users(#[from] UserKeyError),
    /// The cryptographic library.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store was another one after each pass, as far as it tells.
    #[error(
        "the connection to the store was lost in each of {passes} passes over its records, and the store does \
         not tell whether it was restarted (INFO)"
    )]
    LostInEveryPass {
        /// How many there were, each from the beginning.
        passes: usize,
    },
}

impl SweepError {
    /// Whether it may pass by itself.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Users(error) => error.is_transient(),
            Self::Ring(error) => matches!(error, RingError::Lapsed { .. }),
            Self::Seal(_) | Self::Key(_) | Self::LostInEveryPass { .. } => false,
        }
    }

    /// Whether it is of a server that may take writes again soon: it lost its replicas or could not save;
    /// or it took writes of this sweep before, and is being replaced by another primary. A server that is
    /// full stays so.
    fn may_end(&self, position: &Position) -> bool {
        let Self::Store(StoreError::ReadOnly { code, .. }) = self else {
            return false;
        };
        match code.as_str() {
            "NOREPLICAS" | "MISCONF" => true,
            _ => position.tally.done > 0,
        }
    }
}

/// A batch that came to its end, well or not, and up to where the scan was then.
struct Ended {
    result: BatchOutcome,
    outcome: Result<(), SweepError>,
    names: u64,
    examined: u64,
    next: Option<Cursor>,
}

/// A batch at work. It goes no further once nobody waits for it.
struct Running(JoinHandle<Ended>);

/// In the order of the scan.
type Batches = FuturesOrdered<Running>;

/// A store that fails, since when, and how long until it is tried again.
struct Outage {
    since: Instant,
    pause: Duration,
}

impl Sweep {
    /// Goes through all records from this position on (from the beginning by default).
    ///
    /// Once it returns, nothing is written any more. Where the future is dropped instead, what the
    /// store was sent already may still be carried out.
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

    /// Tries again after what may pass by itself, with reconnect_timeout for as long as nothing gets done.
    async fn run_to_end(
        &self,
        position: &mut Position,
        stop: &Stop,
        watch: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<bool, SweepError> {
        let mut pace = Pace::new(&self.options);
        let requests = Arc::new(Requests::new(self.store.clone()));
        let mut outage: Option<Outage> = None;
        loop {
            let before = position.examined;
            let error = match self
                .go_on(position, (&mut pace, &requests), stop, watch)
                .await
            {
                Err(error) if error.is_transient() || error.may_end(position) => error,
                outcome => return outcome,
            };
            let mut now = outage
                .take_if(|_| position.examined == before)
                .unwrap_or_else(|| {
                    watch(Event::Waiting(&error));
                    Outage::begin()
                });
            if now.since.elapsed() >= self.options.reconnect_timeout {
                return Err(error);
            }
            pause(now.pause, stop).await;
            if stop.is_stopped() {
                return Ok(false);
            }
            now.pause = (now.pause * 2).min(LAST_RETRY);
            outage = Some(now);
        }
    }

    /// Makes sure that the position means something in the store as it is now, and goes on from it.
    async fn go_on(
        &self,
        position: &mut Position,
        (pace, requests): (&mut Pace, &Arc<Requests>),
        stop: &Stop,
        watch: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<bool, SweepError> {
        let mut status = self.store.status().await?;
        for _ in 0..MAX_PASSES {
            if status.generation.is_empty() || status.generation != position.generation {
                let begun = position.tally.total > 0;
                position.start_again(status.generation, self.options.dry_run);
                if begun {
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
            // A store that was exchanged between two calls gives no error, and its scan no sign.
            status = self.store.status().await?;
            if !complete || status.generation == position.generation {
                return Ok(complete);
            }
        }
        Err(SweepError::LostInEveryPass { passes: MAX_PASSES })
    }

    /// Goes on from the position to the end, or until told to stop; whether it got to the end. An
    /// error is returned only after all batches came to their end.
    async fn pass(
        &self,
        position: &mut Position,
        (pace, requests): (&mut Pace, &Arc<Requests>),
        records: u64,
        stop: &Stop,
        watch: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<bool, SweepError> {
        let counted = SweepMetrics::new(self.task.name());
        requests.begin(&position.generation);
        let mut batches = Batches::new();
        let mut scan = Some(Cursor::from_text(position.cursor.clone()));
        let mut seen = RecentNames::default();
        let mut trouble = None;
        let mut mean = 0;
        // A batch failed: what comes behind it cannot move the position.
        let mut gap = false;
        loop {
            while trouble.is_none()
                && batches.len() < IN_FLIGHT
                && let Some(at) = &scan
            {
                pace.wait(&*self.store, stop).await;
                if stop.is_stopped() {
                    break;
                }
                match self.page(at, mean, &mut seen).await {
                    Ok(page) => {
                        pace.note(count(page.names.len()));
                        scan.clone_from(&page.next);
                        batches.push_back(self.batch(page, requests));
                    }
                    Err(error) => trouble = graver(trouble, error.into()),
                }
            }
            let Some(mut ended) = batches.next().await else {
                break;
            };
            mean = ended.result.tally.mean_bytes();
            pace.note(ended.result.tally.total.saturating_sub(ended.names));
            if let Err(error) = std::mem::replace(&mut ended.outcome, Ok(())) {
                gap = true;
                trouble = graver(trouble, error);
            }
            if !gap {
                let examined = position.examined.saturating_add(ended.examined);
                let part = examined as f64 / records.max(1) as f64;
                counted.advance(verdicts(&ended.result.tally), part);
                settle(position, ended, watch);
                watch(Event::Progress {
                    position,
                    records,
                    slowed: pace.is_slowed(),
                });
            } else if !self.options.dry_run {
                position.carry(ended.result.tally.done);
            }
        }
        if trouble.is_none() && position.finished {
            counted.finish();
        }
        trouble.map_or(Ok(position.finished), Err)
    }

    /// The next page of names, without those that came shortly before.
    async fn page(
        &self,
        at: &Cursor,
        mean: u64,
        seen: &mut RecentNames,
    ) -> Result<Page, StoreError> {
        let mut page = self
            .store
            .scan(&self.pattern, at, self.options.page(mean))
            .await?;
        page.names
            .retain(|name| self.pattern.matches(name.as_bytes()));
        seen.sift(&mut page.names);
        Ok(page)
    }

    fn batch(&self, page: Page, requests: &Arc<Requests>) -> Running {
        let workbench = BatchContext {
            store: self.store.clone(),
            requests: requests.clone(),
            task: self.task.clone(),
            keys: self.keys.clone(),
            pattern: self.pattern.clone(),
            mask: self.mask.clone(),
            dry_run: self.options.dry_run,
        };
        Running(tokio::spawn(async move {
            let names = count(page.names.len());
            let mut result = BatchOutcome::default();
            let outcome = workbench.batch(page.names, &mut result).await;
            Ended {
                result,
                outcome,
                names,
                examined: page.examined,
                next: page.next,
            }
        }))
    }
}

impl Outage {
    fn begin() -> Self {
        Self {
            since: Instant::now(),
            pause: FIRST_RETRY,
        }
    }
}

impl Future for Running {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended> {
        let Poll::Ready(joined) = Pin::new(&mut self.0).poll(context) else {
            return Poll::Pending;
        };
        match joined.map_err(JoinError::try_into_panic) {
            Ok(ended) => Poll::Ready(ended),
            // Not ours to hide.
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // The runtime is being shut down, and the sweep with it.
            Err(Err(_)) => Poll::Pending,
        }
    }
}

impl Drop for Running {
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

fn settle(position: &mut Position, ended: Ended, watch: &mut (dyn FnMut(Event<'_>) + Send)) {
    ended
        .result
        .findings
        .iter()
        .for_each(|finding| watch(Event::Finding(finding)));
    position.count(ended.result.tally);
    position.examined += ended.examined;
    position.finished = ended.next.is_none();
    position.cursor = ended
        .next
        .map(|next| next.as_str().to_owned())
        .unwrap_or_default();
}

/// Of two errors the one that does not pass by itself; else the first.
fn graver(first: Option<SweepError>, next: SweepError) -> Option<SweepError> {
    match first {
        Some(first) if first.is_transient() && !next.is_transient() => Some(next),
        Some(first) => Some(first),
        None => Some(next),
    }
}
