//! A run: one sweep after another over several patterns, with a checkpoint, so that a run that was stopped or failed
//! can be continued. What is printed about it is not known here.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::checkpoint::{CheckpointError, CheckpointFile};
use crate::options::{Position, Stop};
use crate::sweep::{Event, Interrupted, Report, SweepError};
use crate::tally::Tally;

/// The time between two writes of the checkpoint.
const SAVE_INTERVAL: Duration = Duration::from_secs(2);

/// A pass over the records of one pattern: a [`Sweep`](crate::Sweep) over their values, or a
/// [`NamesPass`](crate::NamesPass).
#[async_trait]
pub trait RecordPass: Send + Sync {
    /// Works on all records from this position on.
    async fn run(
        &self,
        from: Position,
        stop: &Stop,
        watch: &mut (dyn for<'e> FnMut(Event<'e>) + Send),
    ) -> Result<Report, Interrupted>;
}

/// A run over several patterns.
pub struct Run {
    patterns: usize,
    passes: Vec<Pass>,
    checkpoint: Option<CheckpointFile>,
    error: Option<RunError>,
}

/// The result of the sweep over one pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// The counts, those of earlier runs included.
    pub counts: Tally,
    /// True if it reached the end of the pattern.
    pub complete: bool,
}

/// An error that ended a run early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A sweep failed.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// The checkpoint cannot be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// It was told to stop.
    #[error("stopped before the end")]
    Stopped,
}

impl Run {
    /// A run over this number of patterns.
    #[must_use]
    pub fn new(patterns: usize, checkpoint: Option<CheckpointFile>) -> Self {
        Self {
            patterns,
            passes: Vec::with_capacity(patterns),
            checkpoint,
            error: None,
        }
    }

    /// The position that the next pass starts from. A pattern that was finished is passed to the sweep as well: only
    /// the sweep knows whether the store is still the same.
    #[must_use]
    pub fn next_position(&self) -> Position {
        let checkpoint = self.checkpoint.as_ref();
        checkpoint.map_or_else(Position::default, |it| it.position(self.passes.len()))
    }

    /// Goes over the next pattern. If the result is not complete, the run has ended.
    pub async fn pass(
        &mut self,
        sweep: &dyn RecordPass,
        stop: &Stop,
        watch: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> &Pass {
        let index = self.passes.len();
        let from = self.next_position();
        let checkpoint = &mut self.checkpoint;
        let mut saved = Instant::now();
        let mut not_saved = None;
        let mut watch = |event: Event<'_>| {
            if let (Event::Progress { position, .. }, Some(file)) = (&event, checkpoint.as_mut())
                && saved.elapsed() >= SAVE_INTERVAL
            {
                file.set_position(index, (*position).clone());
                not_saved = file.save().err();
                saved = Instant::now();
            }
            watch(event);
        };
        let (position, complete, error) = match sweep.run(from, stop, &mut watch).await {
            Ok(report) => (report.position, report.complete, None),
            Err(interrupted) => (*interrupted.position, false, Some(interrupted.error)),
        };
        let error = error.map(RunError::from);
        self.error = self
            .error
            .take()
            .or(error)
            .or(not_saved.map(RunError::from));
        let counts = position.counts();
        if let Some(file) = &mut self.checkpoint {
            file.set_position(index, position);
        }
        self.passes.push(Pass { counts, complete });
        &self.passes[index]
    }

    /// The results so far, in the order of the patterns.
    #[must_use]
    pub fn passes(&self) -> &[Pass] {
        &self.passes
    }

    /// The counts of all patterns together.
    #[must_use]
    pub fn totals(&self) -> Tally {
        let mut totals = Tally::default();
        self.passes
            .iter()
            .for_each(|it| totals.add(it.counts.clone()));
        totals
    }

    /// True if every pattern was swept to its end.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.passes.len() == self.patterns && self.passes.iter().all(|pass| pass.complete)
    }

    /// True if it is complete and no value failed.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.is_complete() && self.passes.iter().all(|pass| pass.counts.failed == 0)
    }

    /// The indices of patterns that were swept to their end and match no record.
    pub fn unmatched(&self) -> impl Iterator<Item = usize> {
        let passes = self.passes.iter().enumerate();
        passes
            .filter(|(_, pass)| pass.complete && !pass.counts.has_found_any())
            .map(|(index, _)| index)
    }

    /// Ends the run: removes the checkpoint if the run is complete, else saves it. Returns the first error, or
    /// [`RunError::Stopped`] if it is not complete.
    pub fn finish(self) -> Result<(), RunError> {
        let is_complete = self.is_complete();
        if let Some(file) = &self.checkpoint {
            match is_complete {
                true => file.remove(),
                false => file.save()?,
            }
        }
        match self.error {
            Some(error) => Err(error),
            None if is_complete => Ok(()),
            None => Err(RunError::Stopped),
        }
    }
}
