//! Streams, whose entries a server cannot rewrite: on request they are replaced by copies.

use async_trait::async_trait;
use waxseal_stores::{
    RecordName, Slot, StoreError, StreamEntry, StreamField, StreamRewrite, StreamRewriter,
};

use super::{BatchContext, BatchOutcome, StoredValue};
use crate::sweep::SweepError;
use crate::tally::ValueLocation;
use crate::task::Verdict;

/// Attempts to rewrite a stream that others keep writing.
const MAX_ATTEMPTS: usize = 5;

/// Judges the values of a stream for its copy.
struct Rewriter<'a> {
    context: &'a BatchContext,
    name: &'a RecordName,
    /// The error for which it gave up.
    error: Option<SweepError>,
}

impl BatchContext {
    /// Replaces a stream by a copy, in which values that are to be replaced are. `found` of them were counted as left.
    pub(super) async fn rewrite_stream(
        &self,
        name: &RecordName,
        found: u64,
        outcome: &mut BatchOutcome,
    ) -> Result<(), SweepError> {
        let Some(collections) = self.store.collections() else {
            return Ok(());
        };
        let mut cause = "changed by other writers again and again: not rewritten".to_owned();
        for _ in 0..MAX_ATTEMPTS {
            let mut rewriter = Rewriter {
                context: self,
                name,
                error: None,
            };
            let rewritten = collections.rewrite_stream(name, &mut rewriter).await;
            if let Some(error) = rewriter.error {
                return Err(error);
            }
            match rewritten {
                Ok(StreamRewrite::Done) => {
                    outcome.tally.streams = outcome.tally.streams.saturating_sub(found);
                    outcome.tally.done += found;
                    return Ok(());
                }
                // Or replaced by a record of another type since it was read.
                Ok(StreamRewrite::Changed) | Err(StoreError::WrongType) => continue,
                Ok(StreamRewrite::HasGroups) => {
                    cause = "it has consumer groups, which a copy would lose: not rewritten".into();
                }
                Ok(StreamRewrite::GivenUp) => return Ok(()),
                Err(error) if error.is_interruption() => {
                    cause = rewrite_failure(&error);
                    continue;
                }
                Err(error) if concerns_all_records(&error) => return Err(error.into()),
                Err(error) => cause = rewrite_failure(&error),
            }
            break;
        }
        self.report(name, &cause, outcome);
        Ok(())
    }
}

fn rewrite_failure(error: &StoreError) -> String {
    format!("it cannot be rewritten: {error}")
}

/// True if no other record can be rewritten either, but perhaps later.
fn concerns_all_records(error: &StoreError) -> bool {
    let is_full = matches!(error, StoreError::Full { .. } | StoreError::ReadOnly { .. });
    error.is_transient() || is_full
}

#[async_trait]
impl StreamRewriter for Rewriter<'_> {
    async fn rewrite(&mut self, entries: &mut [StreamEntry]) -> bool {
        let rewritten = self.judge(entries).await;
        rewritten.map_err(|error| self.error = Some(error)).is_ok()
    }
}

impl Rewriter<'_> {
    async fn judge(&self, entries: &mut [StreamEntry]) -> Result<(), SweepError> {
        let mut values = Vec::new();
        for entry in entries.iter_mut() {
            for (index, (field, value)) in entry.fields.iter_mut().enumerate() {
                values.push(StoredValue {
                    name: self.name.clone(),
                    slot: Slot::StreamField(StreamField {
                        entry: entry.id.clone(),
                        index,
                        field: field.clone(),
                    }),
                    bytes: std::mem::take(value),
                    location: ValueLocation::StreamField,
                });
            }
        }
        let keys = self.context.keys_of(&values).await?;
        let mut values = values.into_iter();
        for entry in entries {
            for ((_, value), old) in entry.fields.iter_mut().zip(values.by_ref()) {
                *value = match self.context.verdict(&old, &keys)? {
                    Verdict::Replace(_, new) => new,
                    // What does not open is copied as it is.
                    Verdict::Keep(_) | Verdict::Fault(..) => old.bytes,
                };
            }
        }
        Ok(())
    }
}
