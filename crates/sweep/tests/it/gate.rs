//! The reference store behind a gate: each call can be delayed, refused before or after it was
//! carried out, or preceded by a change of another writer. The store behind it can be exchanged.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use waxseal_stores::{
    Change, Cursor, Expiry, Lifetime, MemoryStore, Move, MoveOutcome, Outcome, Page, Record,
    RecordName, RecordPattern, RecordStore, RenameOutcome, Slot, SlotPage, Status, StoreError,
};

/// The calls that a sweep makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    Status,
    Ping,
    Scan,
    Read,
    ReadSlots,
    Get,
    Replace,
    Lifetimes,
    Rename,
}

/// The treatment of a call.
pub(super) enum Rule {
    Pass,
    /// It takes so long.
    Delay(Duration),
    /// It is not carried out.
    Refuse(StoreError),
    /// It is carried out, and the answer is lost.
    Lose(StoreError),
}

type Rules = Box<dyn Fn(Call, usize, &MemoryStore) -> Rule + Send + Sync>;

/// The store, and the calls to it.
pub(super) struct Gate {
    store: Mutex<Arc<MemoryStore>>,
    rules: Rules,
    calls: Mutex<HashMap<Call, usize>>,
}

impl Gate {
    /// The rules are asked before each call, with how many of its kind there were before.
    pub(super) fn new(
        store: Arc<MemoryStore>,
        rules: impl Fn(Call, usize, &MemoryStore) -> Rule + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            store: Mutex::new(store),
            rules: Box::new(rules),
            calls: Mutex::default(),
        })
    }

    pub(super) fn replace_store(&self, store: Arc<MemoryStore>) {
        *self.store.lock().unwrap() = store;
    }

    /// The number of calls of a kind.
    pub(super) fn calls(&self, call: Call) -> usize {
        self.calls.lock().unwrap().get(&call).copied().unwrap_or(0)
    }

    fn behind(&self) -> Arc<MemoryStore> {
        self.store.lock().unwrap().clone()
    }

    async fn pass<T>(
        &self,
        call: Call,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let before = {
            let mut calls = self.calls.lock().unwrap();
            let count = calls.entry(call).or_default();
            *count += 1;
            *count - 1
        };
        match (self.rules)(call, before, &self.behind()) {
            Rule::Pass => {}
            Rule::Delay(span) => tokio::time::sleep(span).await,
            Rule::Refuse(error) => return Err(error),
            Rule::Lose(error) => return work.await.and(Err(error)),
        }
        work.await
    }
}

pub(super) fn unavailable() -> StoreError {
    StoreError::Unavailable {
        location: "memory".to_owned(),
        cause: "the connection was lost".to_owned(),
        interrupted: false,
    }
}

#[async_trait]
impl RecordStore for Gate {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    async fn status(&self) -> Result<Status, StoreError> {
        self.pass(Call::Status, self.behind().status()).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.pass(Call::Ping, self.behind().ping()).await
    }

    async fn scan(
        &self,
        pattern: &RecordPattern,
        cursor: &Cursor,
        count: usize,
    ) -> Result<Page, StoreError> {
        let store = self.behind();
        self.pass(Call::Scan, store.scan(pattern, cursor, count))
            .await
    }

    async fn read(&self, names: &[RecordName]) -> Result<Vec<Option<Record>>, StoreError> {
        self.pass(Call::Read, self.behind().read(names)).await
    }

    async fn read_slots(
        &self,
        name: &RecordName,
        cursor: &Cursor,
        count: usize,
    ) -> Result<SlotPage, StoreError> {
        let store = self.behind();
        self.pass(Call::ReadSlots, store.read_slots(name, cursor, count))
            .await
    }

    async fn get(&self, name: &RecordName, slot: &Slot) -> Result<Option<Vec<u8>>, StoreError> {
        self.pass(Call::Get, self.behind().get(name, slot)).await
    }

    async fn put(
        &self,
        name: &RecordName,
        slot: &Slot,
        value: &[u8],
        expiry: Expiry,
    ) -> Result<(), StoreError> {
        self.behind().put(name, slot, value, expiry).await
    }

    async fn replace_if_unchanged(
        &self,
        changes: &[Change<'_>],
    ) -> Result<Vec<Outcome>, StoreError> {
        let store = self.behind();
        self.pass(Call::Replace, store.replace_if_unchanged(changes))
            .await
    }

    async fn delete_if_unchanged(
        &self,
        name: &RecordName,
        expected: &[u8],
    ) -> Result<Outcome, StoreError> {
        self.behind().delete_if_unchanged(name, expected).await
    }

    async fn delete(&self, name: &RecordName) -> Result<bool, StoreError> {
        self.behind().delete(name).await
    }

    async fn move_if_unchanged(&self, change: Move<'_>) -> Result<MoveOutcome, StoreError> {
        self.behind().move_if_unchanged(change).await
    }

    async fn rename_absent(
        &self,
        renames: &[(RecordName, RecordName)],
    ) -> Result<Vec<RenameOutcome>, StoreError> {
        let store = self.behind();
        self.pass(Call::Rename, store.rename_absent(renames)).await
    }

    async fn lifetimes(&self, names: &[RecordName]) -> Result<Vec<Lifetime>, StoreError> {
        self.pass(Call::Lifetimes, self.behind().lifetimes(names))
            .await
    }
}
