//! The pass over the names of records: gives records the names under which they are looked for, or counts how they are
//! named. It reads no value, overwrites no record and deletes none.
//!
//! A record that has two names for a moment would be two records for anyone who reads and writes it meanwhile, so nothing
//! else may use the store while records are renamed.

mod judge;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use async_trait::async_trait;
use waxseal_core::{NameMask, SealError};
use waxseal_named::NameTable;
use waxseal_stores::{
    Cursor, Lifetime, PatternError, RecordName, RecordPattern, RecordStore, RenameOutcome,
};

use crate::batch::count;
use crate::options::{Position, Stop, SweepOptions};
use crate::outage::{MAX_PASSES, Next, Outage};
use crate::pace::Pace;
use crate::recent_names::RecentNames;
use crate::run::RecordPass;
use crate::sweep::{Event, Interrupted, Report, SweepError};
use crate::tally::{Finding, Tally};

pub use judge::NamesScope;
use judge::{Judge, Verdict};

/// The number of new names that are remembered, so that a scan that returns them does not count their records again.
const MAX_REMEMBERED: usize = 1 << 20;

/// What a pass over names is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamesGoal {
    /// Names are counted. Nothing is changed.
    Count,
    /// Records get the names that are written: sealed under the present key, with the present padding.
    Seal,
    /// Records get their logical names.
    Open,
}

/// One pass over the names of records.
pub struct NamesPass {
    store: Arc<dyn RecordStore>,
    scanned: RecordPattern,
    judge: Judge,
    mask: NameMask,
    options: SweepOptions,
}

/// A record that gets another name.
struct Renaming {
    from: RecordName,
    to: RecordName,
    /// The record in findings.
    shown: String,
}

/// The names that were given in this pass, by their hashes.
#[derive(Default)]
struct NewNames {
    hasher: RandomState,
    hashes: HashSet<u64>,
}

/// What is remembered of a scan's names.
#[derive(Default)]
struct ScanMemory {
    /// Of this attempt: after a failure the same page is worked on once more.
    recent: RecentNames,
    /// Of this generation of the store.
    given: NewNames,
}

impl NamesPass {
    /// A pass over these names in a store that shows names as they are stored.
    pub fn new(
        store: Arc<dyn RecordStore>,
        names: &NameTable,
        scope: NamesScope,
        goal: NamesGoal,
        mask: NameMask,
        options: SweepOptions,
    ) -> Result<Self, PatternError> {
        Ok(Self {
            scanned: scope.scanned()?,
            judge: Judge::new(names.accepting_all_pads(), scope, goal),
            store,
            mask,
            options,
        })
    }

    /// Retries after transient errors, until nothing was done for `reconnect_timeout`.
    async fn run_to_end(
        &self,
        position: &mut Position,
        stop: &Stop,
        watch: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<bool, SweepError> {
        let (mut pace, mut memory) = (Pace::new(&self.options), ScanMemory::default());
        let mut outage = Outage::default();
        loop {
            let before = position.examined;
            let resumed = self.resume(position, (&mut pace, &mut memory), stop, watch);
            let error = match resumed.await {
                Err(error) if error.is_transient() => error,
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
        (pace, memory): (&mut Pace, &mut ScanMemory),
        stop: &Stop,
        watch: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<bool, SweepError> {
        memory.recent = RecentNames::default();
        let mut status = self.store.status().await?;
        for _ in 0..MAX_PASSES {
            if status.generation.is_empty() || status.generation != position.generation {
                let has_begun = position.tally.total > 0;
                position.start_again(status.generation, self.renames_nothing());
                *memory = ScanMemory::default();
                if has_begun {
                    watch(Event::Restarted);
                }
            }
            while !position.finished {
                pace.wait(&*self.store, stop).await;
                if stop.is_stopped() {
                    return Ok(false);
                }
                self.page(position, memory, watch).await?;
                pace.record(position.last_page);
                watch(Event::Progress {
                    position,
                    records: status.records,
                    slowed: pace.is_slowed(),
                });
            }
            status = self.store.status().await?;
            if status.generation == position.generation {
                return Ok(true);
            }
        }
        Err(SweepError::LostInEveryPass { passes: MAX_PASSES })
    }

    /// Works on one page of names, and moves the position behind it.
    async fn page(
        &self,
        position: &mut Position,
        memory: &mut ScanMemory,
        watch: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<(), SweepError> {
        let at = Cursor::from_text(position.cursor.clone());
        let size = self.options.page_size(0);
        let mut page = self.store.scan(&self.scanned, &at, size).await?;
        memory.recent.remove_repeated(&mut page.names);
        let (mut tally, mut findings) = (Tally::default(), Vec::new());
        let mut renamings = Vec::new();
        position.last_page = count(page.names.len());
        for name in page.names {
            if !memory.given.contains(&name) {
                renamings.extend(self.judge_one(name, &mut tally, &mut findings)?);
            }
        }
        self.rename(renamings, &mut memory.given, (&mut tally, &mut findings))
            .await?;
        for finding in &findings {
            watch(Event::Finding(finding));
        }
        position.count(tally);
        position.examined = position.examined.saturating_add(page.examined);
        position.finished = page.next.is_none();
        position.cursor = page
            .next
            .map_or_else(String::new, |next| next.as_str().to_owned());
        Ok(())
    }

    fn judge_one(
        &self,
        name: RecordName,
        tally: &mut Tally,
        findings: &mut Vec<Finding>,
    ) -> Result<Option<Renaming>, SealError> {
        let judged = self.judge.judge(name.as_bytes())?;
        judged.count(&mut tally.names);
        let prefix = self.judge.scope().shown_prefix();
        let shown = || self.mask.show(prefix, judged.shown(name.as_bytes()));
        match judged.verdict() {
            Verdict::Other => {}
            Verdict::Keep => {
                tally.total += 1;
                tally.already += 1;
            }
            Verdict::Rename(to) => {
                tally.total += 1;
                return Ok(Some(Renaming {
                    to: RecordName::from(to.clone()),
                    shown: shown(),
                    from: name,
                }));
            }
            Verdict::Fault(cause) => {
                tally.total += 1;
                tally.failed += 1;
                findings.push(Finding {
                    record: shown(),
                    cause: (*cause).to_owned(),
                });
            }
        }
        Ok(None)
    }

    /// Gives records their new names, or says what would come of it.
    async fn rename(
        &self,
        renamings: Vec<Renaming>,
        given: &mut NewNames,
        (tally, findings): (&mut Tally, &mut Vec<Finding>),
    ) -> Result<(), SweepError> {
        if renamings.is_empty() {
            return Ok(());
        }
        let outcomes = match self.renames_nothing() {
            true => self.foresee(&renamings).await?,
            false => {
                let names = renamings.iter().map(|it| (it.from.clone(), it.to.clone()));
                self.store.rename_absent(&names.collect::<Vec<_>>()).await?
            }
        };
        for (renaming, outcome) in renamings.into_iter().zip(outcomes) {
            match outcome {
                RenameOutcome::Moved if self.judge.goal() == NamesGoal::Count => tally.already += 1,
                RenameOutcome::Moved => {
                    tally.done += 1;
                    given.insert(&renaming.to);
                }
                // Expired or deleted since the scan.
                RenameOutcome::Absent => tally.total -= 1,
                RenameOutcome::Occupied => {
                    tally.failed += 1;
                    tally.names.occupied += 1;
                    findings.push(Finding {
                        record: renaming.shown,
                        cause: "there is another record under the other form of its name: neither was changed"
                            .to_owned(),
                    });
                }
            }
        }
        Ok(())
    }

    /// What would come of these renamings.
    async fn foresee(&self, renamings: &[Renaming]) -> Result<Vec<RenameOutcome>, SweepError> {
        let names: Vec<_> = renamings.iter().map(|it| it.to.clone()).collect();
        let lifetimes = self.store.lifetimes(&names).await?.into_iter();
        let outcomes = lifetimes.map(|lifetime| match lifetime {
            Lifetime::Absent => RenameOutcome::Moved,
            Lifetime::Persistent | Lifetime::Until(_) => RenameOutcome::Occupied,
        });
        Ok(outcomes.collect())
    }

    fn renames_nothing(&self) -> bool {
        self.options.dry_run || self.judge.goal() == NamesGoal::Count
    }
}

#[async_trait]
impl RecordPass for NamesPass {
    async fn run(
        &self,
        from: Position,
        stop: &Stop,
        watch: &mut (dyn for<'e> FnMut(Event<'e>) + Send),
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
}

impl NewNames {
    fn insert(&mut self, name: &RecordName) {
        if self.hashes.len() < MAX_REMEMBERED {
            self.hashes.insert(self.hasher.hash_one(name));
        }
    }

    fn contains(&self, name: &RecordName) -> bool {
        !self.hashes.is_empty() && self.hashes.contains(&self.hasher.hash_one(name))
    }
}
