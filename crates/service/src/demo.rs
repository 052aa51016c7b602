//! The records of the demo: plain conversation states, which are sealed, read, damaged, rotated and removed. What is
//! measured is returned; the command prints it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;
use waxseal_core::{Binding, NameMask, Sealer};
use waxseal_sessions::quarantine::{self, Entry};
use waxseal_sessions::{Canary, Options, StateManager};
use waxseal_stores::{
    Clock, Cursor, EmbeddedStore, Expiry, RecordName, RecordPattern, RecordStore, Slot, StoreUrl,
};
use waxseal_sweep::{Event, Keys, Position, Stop, Sweep, SweepOptions, Tally, Task};

use crate::resources::open_store;
use crate::{Failure, sample_states};

/// The expiry of records that a demo writes.
pub const TTL: Duration = Duration::from_secs(3600);
/// Writes in flight at the same time.
const MAX_IN_FLIGHT: usize = 2_000;
/// Reads and deletions in flight at the same time.
const MAX_SLOW_IN_FLIGHT: usize = 64;
/// Names read at a time when records are removed.
const PAGE: usize = 1_000;
/// The record that is damaged.
const DAMAGED: u64 = 1;

/// A store with conversation states.
pub struct Demo {
    store: Arc<dyn RecordStore>,
    prefix: String,
    pattern: RecordPattern,
    states: u64,
    /// True if others have records in the store.
    is_shared: bool,
}

/// The answer to an application that reads a damaged value.
pub struct Damaged {
    /// True if it got a state.
    pub is_answered: bool,
    /// The value in quarantine.
    pub quarantined: Vec<Entry>,
}

/// The cost of sealing a state.
pub struct Cost {
    /// The size of the state, in bytes.
    pub size: usize,
    /// The time to seal it.
    pub seal: Duration,
    /// The time to open it.
    pub open: Duration,
    /// The bytes that its envelope has more.
    pub overhead: usize,
}

impl Demo {
    /// A demo on a server, under names of its own.
    pub async fn on_server(url: &str, states: u64) -> Result<Self, Failure> {
        let store = open_store(&StoreUrl::parse(url)?).await?;
        Self::new(store, unique_prefix(), states, true)
    }

    /// A demo in an embedded store in a new file.
    pub fn in_file(path: &Path, states: u64) -> Result<Self, Failure> {
        let store = Arc::new(EmbeddedStore::open(path, Clock::system())?);
        Self::new(store, "wa:".to_owned(), states, false)
    }

    fn new(
        store: Arc<dyn RecordStore>,
        prefix: String,
        states: u64,
        is_shared: bool,
    ) -> Result<Self, Failure> {
        Ok(Self {
            pattern: RecordPattern::parse(&format!("{prefix}*"))?,
            store,
            prefix,
            states,
            is_shared,
        })
    }

    /// The number of states.
    #[must_use]
    pub fn states(&self) -> u64 {
        self.states
    }

    /// The location of the store.
    #[must_use]
    pub fn location(&self) -> String {
        self.store.location()
    }

    /// The name of the record of a state.
    #[must_use]
    pub fn name(&self, index: u64) -> RecordName {
        RecordName::from(format!("{}{}", self.prefix, sample_states::phone(index)))
    }

    fn canary(&self) -> RecordName {
        RecordName::from(format!("{}canary", self.prefix.replace(':', "-")))
    }

    /// Writes all states, plain.
    pub async fn fill(&self) -> Result<(), Failure> {
        stream::iter((0..self.states).map(Ok::<_, Failure>))
            .try_for_each_concurrent(MAX_IN_FLIGHT, |index| async move {
                let (name, state) = (self.name(index), sample_states::state(index));
                let expiry = Expiry::After(TTL);
                Ok(self.store.put(&name, &Slot::Whole, &state, expiry).await?)
            })
            .await
    }

    /// Returns the stored bytes of a state; empty if the record no longer exists.
    pub async fn stored(&self, index: u64) -> Result<Vec<u8>, Failure> {
        let stored = self.store.get(&self.name(index), &Slot::Whole).await?;
        Ok(stored.unwrap_or_default())
    }

    /// Carries out a task on all records.
    pub async fn sweep(
        &self,
        task: Arc<dyn Task>,
        watch: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<Tally, Failure> {
        let sweep = Sweep {
            store: self.store.clone(),
            pattern: self.pattern.clone(),
            task,
            keys: Keys::default(),
            mask: NameMask::random(),
            options: SweepOptions::default(),
        };
        let outcome = sweep
            .run(Position::default(), &Stop::default(), watch)
            .await;
        let report = outcome.map_err(|interrupted| Failure::from(interrupted.error))?;
        Ok(report.position.counts())
    }

    /// Reseals the canary after a rotation.
    pub async fn renew_canary(&self, sealer: &Sealer) -> Result<(), Failure> {
        let canary = Canary::named(self.store.clone(), self.canary());
        canary.renew(sealer).await?;
        Ok(())
    }

    /// Starts a session store on the records.
    pub async fn manager(&self, sealer: &Sealer) -> Result<StateManager, Failure> {
        let canary = String::from_utf8_lossy(self.canary().as_bytes()).into_owned();
        let options = Options::default()
            .prefix(self.prefix.clone())
            .canary(canary);
        Ok(StateManager::start(self.store.clone(), sealer.clone(), options).await?)
    }

    /// Reads all states, and returns the number of those that were found.
    pub async fn read_all(&self, manager: &StateManager) -> Result<u64, Failure> {
        let found = stream::iter(0..self.states)
            .map(|index| async move { manager.get::<Value>(&sample_states::phone(index)).await })
            .buffer_unordered(MAX_SLOW_IN_FLIGHT)
            .try_fold(0u64, |found, state| async move {
                Ok(found + u64::from(state.is_some()))
            });
        Ok(found.await?)
    }

    /// Damages the second record, and reads it as an application does.
    pub async fn damage(&self, manager: &StateManager) -> Result<Damaged, Failure> {
        let name = self.name(DAMAGED);
        let Some(mut stored) = self.store.get(&name, &Slot::Whole).await? else {
            return Err(Failure::failed("the record to be damaged no longer exists"));
        };
        if let Some(byte) = stored.last_mut() {
            *byte ^= 1;
        }
        self.store
            .put(&name, &Slot::Whole, &stored, Expiry::Keep)
            .await?;
        let state: Option<Value> = manager.get(&sample_states::phone(DAMAGED)).await?;
        let mut quarantined = quarantine::list(&*self.store).await?;
        quarantined.retain(|entry| entry.record == name);
        Ok(Damaged {
            is_answered: state.is_some(),
            quarantined,
        })
    }

    /// Removes everything that the demo wrote, except from a store of its own, whose file the caller removes. Returns true
    /// if records of others stayed.
    pub async fn clean_up(&self) -> Result<bool, Failure> {
        for entry in quarantine::list(&*self.store).await? {
            if entry.record.as_bytes().starts_with(self.prefix.as_bytes()) {
                quarantine::discard(&*self.store, &entry).await?;
            }
        }
        self.store.delete(&self.canary()).await?;
        if self.is_shared {
            remove(&*self.store, &self.pattern).await?;
        }
        Ok(self.is_shared)
    }
}

/// Deletes all records that match a pattern.
pub async fn remove(store: &dyn RecordStore, pattern: &RecordPattern) -> Result<(), Failure> {
    let mut cursor = Some(Cursor::start());
    while let Some(at) = cursor {
        let page = store.scan(pattern, &at, PAGE).await?;
        stream::iter(page.names.into_iter().map(Ok::<_, Failure>))
            .try_for_each_concurrent(MAX_SLOW_IN_FLIGHT, |name| async move {
                store.delete(&name).await?;
                Ok(())
            })
            .await?;
        cursor = page.next;
    }
    Ok(())
}

/// Measures sealing and opening alone, in this thread.
pub fn cost(sealer: &Sealer) -> Result<Cost, Failure> {
    const TIMES: u32 = 20_000;
    let value = sample_states::state(7);
    let binding = Binding::record(b"wa:5215512345678");
    let envelope = sealer.seal(&value, binding)?;
    let started = Instant::now();
    for _ in 0..TIMES {
        std::hint::black_box(sealer.seal(std::hint::black_box(&value), binding)?);
    }
    let seal = started.elapsed() / TIMES;
    let started = Instant::now();
    for _ in 0..TIMES {
        std::hint::black_box(sealer.open(std::hint::black_box(&envelope), binding)?);
    }
    Ok(Cost {
        size: value.len(),
        seal,
        open: started.elapsed() / TIMES,
        overhead: envelope.len() - value.len(),
    })
}

/// Returns a prefix of names that differs between runs on the same server.
#[must_use]
pub fn unique_prefix() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    format!("wa-demo-{:x}:", now.unwrap_or_default().as_micros())
}
