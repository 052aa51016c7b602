//! The loop: scan a page, give it to a batch, keep a few batches in flight, and know up to where
//! everything is done, so that a pass can be interrupted and go on.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesOrdered, StreamExt};
use tokio::time::{Instant, sleep};
use waxseal_core::{NameMask, SealError};
use waxseal_stores::{Cursor, Page, RecordPattern, RecordStore, StoreError};

use crate::batch::{Workbench, Yield};
use crate::options::{Position, Stop, SweepOptions};
use crate::pace::Pace;
use crate::tally::Finding;
use crate::task::Task;

/// Batches at work at the same time: while one waits for the store, another is judged.
const IN_FLIGHT: usize = 3;
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
    Found(&'a Finding),
    /// The store went away and is waited for.
    Waiting(&'a StoreError),
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
}

/// A batch that is done, and up to where the scan was then.
struct Done {
    result: Yield,
    examined: u64,
    next: Option<Cursor>,
}

type Batches = FuturesOrdered<tokio::task::JoinHandle<Result<Done, SweepError>>>;

impl Sweep {
    /// Goes through all records from this position on (from the beginning by default).
    pub async fn run(
        &self,
        from: Position,
        stop: &Stop,
        watch: &mut dyn FnMut(Event<'_>),
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

    async fn run_to_end(
        &self,
        position: &mut Position,
        stop: &Stop,
        watch: &mut dyn FnMut(Event<'_>),
    ) -> Result<bool, SweepError> {
        let mut pace = Pace::new(&self.options);
        let mut records = self.enter(position, watch).await?;
        loop {
            match self.pass(position, &mut pace, records, stop, watch).await {
                Err(SweepError::Store(error)) if error.is_transient() => {
                    watch(Event::Waiting(&error));
                    self.wait_for_store(error, stop).await?;
                    records = self.enter(position, watch).await?;
                }
                outcome => return outcome,
            }
        }
    }

    /// Makes sure that the position means something in the store as it is now.
    async fn enter(
        &self,
        position: &mut Position,
        watch: &mut dyn FnMut(Event<'_>),
    ) -> Result<u64, SweepError> {
        let status = self.store.status().await?;
        let same = !status.generation.is_empty() && status.generation == position.generation;
        if !same {
            let begun = position.tally.total > 0;
            position.start_again(status.generation, self.options.dry_run);
            if begun {
                watch(Event::Restarted);
            }
        }
        Ok(status.records)
    }

    /// Goes on from the position to the end, or until told to stop; whether it got to the end.
    async fn pass(
        &self,
        position: &mut Position,
        pace: &mut Pace,
        records: u64,
        stop: &Stop,
        watch: &mut dyn FnMut(Event<'_>),
    ) -> Result<bool, SweepError> {
        let mut batches = Batches::new();
        let mut scan = Some(Cursor::from_text(position.cursor.clone()));
        loop {
            while batches.len() < IN_FLIGHT
                && !stop.is_stopped()
                && let Some(at) = &scan
            {
                pace.wait(&*self.store).await;
                let page = match self.store.scan(&self.pattern, at, self.options.batch).await {
                    Ok(page) => page,
                    Err(error) => return Err(settle_all(batches, error.into()).await),
                };
                pace.note(u64::try_from(page.names.len()).unwrap_or(u64::MAX));
                scan.clone_from(&page.next);
                batches.push_back(tokio::spawn(self.batch(page)));
            }
            let Some(batch) = batches.next().await else {
                break;
            };
            match joined(batch) {
                Ok(done) => settle(position, done, watch),
                Err(error) => return Err(settle_all(batches, error).await),
            }
            watch(Event::Progress {
                position,
                records,
                slowed: pace.is_slowed(),
            });
        }
        Ok(scan.is_none())
    }

    fn batch(&self, page: Page) -> impl Future<Output = Result<Done, SweepError>> + use<> {
        let workbench = Workbench {
            store: self.store.clone(),
            task: self.task.clone(),
            prefix: self.pattern.prefix().to_owned(),
            mask: self.mask.clone(),
            dry_run: self.options.dry_run,
        };
        let mut names = page.names;
        names.retain(|name| self.pattern.matches(name.as_bytes()));
        async move {
            let result = workbench.batch(names).await?;
            Ok(Done {
                result,
                examined: page.examined,
                next: page.next,
            })
        }
    }

    /// Waits for a store that went away, as long as the options allow.
    async fn wait_for_store(&self, error: StoreError, stop: &Stop) -> Result<(), SweepError> {
        let (since, mut pause) = (Instant::now(), FIRST_RETRY);
        let mut last = error;
        while since.elapsed() < self.options.patience && !stop.is_stopped() {
            sleep(pause).await;
            pause = (pause * 2).min(LAST_RETRY);
            match self.store.status().await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_transient() => last = error,
                Err(error) => return Err(error.into()),
            }
        }
        Err(last.into())
    }
}

fn settle(position: &mut Position, done: Done, watch: &mut dyn FnMut(Event<'_>)) {
    done.result
        .findings
        .iter()
        .for_each(|finding| watch(Event::Found(finding)));
    position.tally.add(done.result.tally);
    position.examined += done.examined;
    position.cursor = done
        .next
        .map(|next| next.as_str().to_owned())
        .unwrap_or_default();
}

/// Lets what is in flight come to its end, so that nothing is written after the report.
async fn settle_all(mut batches: Batches, error: SweepError) -> SweepError {
    while batches.next().await.is_some() {}
    error
}

fn joined(
    batch: Result<Result<Done, SweepError>, tokio::task::JoinError>,
) -> Result<Done, SweepError> {
    match batch {
        Ok(outcome) => outcome,
        // Only a panic ends a batch so, and it is not ours to hide.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
