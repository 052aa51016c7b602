//! Records under the names that applications know, over a store that has sealed names for some of them.
//!
//! ```text
//! get("wa:52155…") ──▶ NamedStore ──▶ get("wa:~9VcDE…")        one place where a name becomes the stored one
//! scan("wa:52*")   ──▶            ──▶ scan("wa:*")             all that the stored names of the pattern have in common
//!                  ◀── wa:52155…  ◀── wa:~9VcDE…, wa:~junk     opened, filtered by the pattern; the rest is left out
//! ```
//!
//! Waxseal's own records pass under their names.

mod collections;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use waxseal_kinds::{LeftOut, LogicalName, NameForms};

use crate::collections::Collections;
use crate::commands::MissingCommand;
use crate::error::StoreError;
use crate::neighbors::{Matches, Neighbors};
use crate::pattern::RecordPattern;
use crate::record::{Cursor, Expiry, Lifetime, Page, Record, RecordName, Slot, SlotPage};
use crate::store::{Change, Move, MoveOutcome, Outcome, RecordStore, RenameOutcome, Status};

/// A store whose records are used by their logical names.
pub struct NamedStore {
    inner: Arc<dyn RecordStore>,
    names: Arc<dyn NameForms>,
    left_out: [AtomicU64; LeftOut::ALL.len()],
    other_forms: AtomicU64,
}

impl NamedStore {
    /// The records of this store, under the names that applications know.
    #[must_use]
    pub fn new(inner: Arc<dyn RecordStore>, names: Arc<dyn NameForms>) -> Self {
        Self {
            inner,
            names,
            left_out: Default::default(),
            other_forms: AtomicU64::new(0),
        }
    }

    /// The store with stored names.
    #[must_use]
    pub fn inner(&self) -> &Arc<dyn RecordStore> {
        &self.inner
    }

    /// How the names of its records are stored.
    #[must_use]
    pub fn names(&self) -> &dyn NameForms {
        &*self.names
    }

    /// The name under which a record is stored.
    pub fn stored<'n>(&self, name: &'n RecordName) -> Result<Cow<'n, RecordName>, StoreError> {
        let stored = self.names.stored(name.as_bytes());
        let stored = stored.map_err(|error| StoreError::Name { why: error.0 })?;
        Ok(match stored {
            Some(stored) => Cow::Owned(RecordName::from(stored)),
            None => Cow::Borrowed(name),
        })
    }

    /// The logical name of the record that is stored under this name, or the reason why there is none.
    pub fn logical(&self, stored: &RecordName) -> Result<RecordName, LeftOut> {
        match self.names.logical(stored.as_bytes()) {
            LogicalName::Same => Ok(stored.clone()),
            LogicalName::Opened(name) => Ok(RecordName::from(name)),
            LogicalName::LeftOut(reason) => Err(reason),
        }
    }

    /// The number of stored names that scans left out, for each reason. A name counts each time it is scanned.
    #[must_use]
    pub fn left_out(&self) -> [(LeftOut, u64); LeftOut::ALL.len()] {
        let mut counts = self.left_out.iter();
        LeftOut::ALL.map(|reason| {
            let count = counts.next().map_or(0, |it| it.load(Ordering::Relaxed));
            (reason, count)
        })
    }

    /// The number of stored names that scans left out because the same names have another form now, under which no record
    /// is found: they are under a former key. A name counts each time it is scanned.
    #[must_use]
    pub fn other_forms(&self) -> u64 {
        self.other_forms.load(Ordering::Relaxed)
    }

    fn all_stored(&self, names: &[RecordName]) -> Result<Vec<RecordName>, StoreError> {
        let stored = names.iter().map(|name| self.stored(name));
        stored.map(|name| Ok(name?.into_owned())).collect()
    }

    /// The logical name of a stored one that has the form of the pattern.
    fn matching(
        &self,
        pattern: &RecordPattern,
        stored: RecordName,
    ) -> Result<Option<RecordName>, StoreError> {
        let name = match self.names.logical(stored.as_bytes()) {
            LogicalName::Same => stored,
            LogicalName::Opened(name) => {
                let name = RecordName::from(name);
                if *self.stored(&name)? != stored {
                    self.other_forms.fetch_add(1, Ordering::Relaxed);
                    return Ok(None);
                }
                name
            }
            LogicalName::LeftOut(reason) => {
                let mut counts = LeftOut::ALL.iter().zip(&self.left_out);
                if let Some((_, count)) = counts.find(|(of, _)| **of == reason) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                return Ok(None);
            }
        };
        let matches = pattern.matches_form(name.as_bytes());
        Ok(matches.then_some(name))
    }

    /// A pattern that all stored names of this pattern's records match, if it is another one.
    fn widened(&self, pattern: &RecordPattern) -> Option<RecordPattern> {
        let literal = pattern.prefix();
        if literal.as_bytes().starts_with(RecordName::OWN_PREFIX) {
            return None;
        }
        // Each stored name begins with one of these. Of those that names of the pattern can have, one is the beginning of
        // the other.
        let prefixes = self.names.prefixes();
        let of_pattern = prefixes.into_iter().filter(|prefix| {
            let (prefix, literal) = (*prefix, literal.as_bytes());
            prefix.starts_with(literal) || literal.starts_with(prefix)
        });
        let shortest = of_pattern.min_by_key(|prefix| prefix.len())?;
        let common = match shortest.len() < literal.len() {
            // Taken from the pattern, where it is text.
            true => literal.get(..shortest.len()).unwrap_or_default(),
            false => literal,
        };
        let wider = RecordPattern::parse(&format!("{}*", RecordPattern::escape(common)));
        // Of what can be the beginning of a pattern, only that of Waxseal's own names is refused.
        wider.or_else(|_| RecordPattern::parse("*")).ok()
    }
}

impl fmt::Debug for NamedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedStore")
            .field("inner", &self.inner.location())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl RecordStore for NamedStore {
    fn location(&self) -> String {
        self.inner.location()
    }

    async fn status(&self) -> Result<Status, StoreError> {
        self.inner.status().await
    }

    async fn is_generation(&self, generation: &str) -> Result<bool, StoreError> {
        self.inner.is_generation(generation).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }

    async fn time_ms(&self) -> Result<Option<u64>, StoreError> {
        self.inner.time_ms().await
    }

    /// The cursor is that of the store with stored names, so it tells nothing about logical ones.
    async fn scan(
        &self,
        pattern: &RecordPattern,
        cursor: &Cursor,
        count: usize,
    ) -> Result<Page, StoreError> {
        let Some(wider) = self.widened(pattern) else {
            return self.inner.scan(pattern, cursor, count).await;
        };
        let page = self.inner.scan(&wider, cursor, count).await?;
        let mut names = Vec::with_capacity(page.names.len());
        for stored in page.names {
            names.extend(self.matching(pattern, stored)?);
        }
        Ok(Page { names, ..page })
    }

    async fn read(&self, names: &[RecordName]) -> Result<Vec<Option<Record>>, StoreError> {
        self.inner.read(&self.all_stored(names)?).await
    }

    async fn read_within(
        &self,
        names: &[RecordName],
        max_bytes: u64,
    ) -> Result<Vec<Option<Record>>, StoreError> {
        let stored = self.all_stored(names)?;
        self.inner.read_within(&stored, max_bytes).await
    }

    async fn read_sample(&self, names: &[RecordName]) -> Result<Vec<Option<Record>>, StoreError> {
        self.inner.read_sample(&self.all_stored(names)?).await
    }

    async fn kind(&self, name: &RecordName) -> Result<Option<String>, StoreError> {
        let name = self.stored(name)?;
        self.inner.kind(&name).await
    }

    async fn slot_count(&self, name: &RecordName) -> Result<Option<u64>, StoreError> {
        let name = self.stored(name)?;
        self.inner.slot_count(&name).await
    }

    async fn read_slots(
        &self,
        name: &RecordName,
        cursor: &Cursor,
        count: usize,
    ) -> Result<SlotPage, StoreError> {
        let name = self.stored(name)?;
        self.inner.read_slots(&name, cursor, count).await
    }

    async fn get(&self, name: &RecordName, slot: &Slot) -> Result<Option<Vec<u8>>, StoreError> {
        let name = self.stored(name)?;
        self.inner.get(&name, slot).await
    }

    async fn put(
        &self,
        name: &RecordName,
        slot: &Slot,
        value: &[u8],
        expiry: Expiry,
    ) -> Result<(), StoreError> {
        let name = self.stored(name)?;
        self.inner.put(&name, slot, value, expiry).await
    }

    async fn replace_if_unchanged(
        &self,
        changes: &[Change<'_>],
    ) -> Result<Vec<Outcome>, StoreError> {
        let names: Vec<_> = changes
            .iter()
            .map(|change| self.stored(change.name))
            .collect::<Result<_, _>>()?;
        let changes = changes.iter().zip(&names);
        let changes: Vec<_> = changes
            .map(|(change, name)| Change { name, ..*change })
            .collect();
        self.inner.replace_if_unchanged(&changes).await
    }

    async fn delete_if_unchanged(
        &self,
        name: &RecordName,
        expected: &[u8],
    ) -> Result<Outcome, StoreError> {
        let name = self.stored(name)?;
        self.inner.delete_if_unchanged(&name, expected).await
    }

    async fn delete(&self, name: &RecordName) -> Result<bool, StoreError> {
        let name = self.stored(name)?;
        self.inner.delete(&name).await
    }

    async fn move_if_unchanged(&self, change: Move<'_>) -> Result<MoveOutcome, StoreError> {
        let (from, to) = (self.stored(change.from)?, self.stored(change.to)?);
        let (from, to) = (&*from, &*to);
        self.inner
            .move_if_unchanged(Move { from, to, ..change })
            .await
    }

    async fn rename_absent(
        &self,
        renames: &[(RecordName, RecordName)],
    ) -> Result<Vec<RenameOutcome>, StoreError> {
        let stored = renames.iter().map(|(from, to)| {
            let (from, to) = (self.stored(from)?, self.stored(to)?);
            Ok((from.into_owned(), to.into_owned()))
        });
        let stored: Vec<_> = stored.collect::<Result<_, StoreError>>()?;
        self.inner.rename_absent(&stored).await
    }

    /// That another database has records is known for whole prefixes of sealed names only.
    async fn neighbors(&self, patterns: &[RecordPattern]) -> Result<Neighbors, StoreError> {
        let wider = patterns.iter().map(|it| self.widened(it));
        let wider: Vec<_> = wider.collect();
        let asked = patterns.iter().zip(&wider);
        let asked = asked.map(|(pattern, wider)| wider.as_ref().unwrap_or(pattern));
        let asked: Vec<_> = asked.cloned().collect();
        let mut neighbors = self.inner.neighbors(&asked).await?;
        if let Neighbors::Known(databases) = &mut neighbors {
            for database in databases {
                let of_patterns = database.matches.iter_mut().zip(patterns).zip(&asked);
                for ((matches, pattern), asked) in of_patterns {
                    if *matches == Matches::Some && pattern.glob() != asked.glob() {
                        *matches = Matches::Unknown;
                    }
                }
            }
        }
        Ok(neighbors)
    }

    async fn missing_commands(&self) -> Result<Vec<MissingCommand>, StoreError> {
        self.inner.missing_commands().await
    }

    async fn has_run(&self, command: &str) -> Result<Option<bool>, StoreError> {
        self.inner.has_run(command).await
    }

    async fn lifetimes(&self, names: &[RecordName]) -> Result<Vec<Lifetime>, StoreError> {
        self.inner.lifetimes(&self.all_stored(names)?).await
    }

    fn collections(&self) -> Option<&dyn Collections> {
        self.inner.collections().map(|_| self as &dyn Collections)
    }

    fn named(&self) -> Option<&NamedStore> {
        Some(self)
    }
}
