//! Places that are records of a store: a keyring document, and the keys of users. Everything in them is
//! sealed or authenticated before it comes here.

use std::sync::Arc;

use async_trait::async_trait;
use waxseal_keys::{
    Document, DocumentStore, DocumentStoreError, UserChange, UserKeyError, UserKeyStore,
};
use waxseal_stores::{
    Change, Cursor, Expiry, Held, Outcome, RecordName, RecordPattern, RecordStore, Slot, StoreError,
};

/// The names of the records that hold users' keys.
const USERS: &str = "waxseal:user:*";
/// How far these are looked for among other records, where any will do.
const SAMPLE_PAGES: usize = 10;
const SAMPLE_PAGE: usize = 1000;

/// A keyring that lies in records of a store.
pub struct RecordDocumentStore {
    store: Arc<dyn RecordStore>,
}

impl RecordDocumentStore {
    /// The keyring in this store: the record `waxseal:keyring`, and two beside it.
    #[must_use]
    pub fn new(store: Arc<dyn RecordStore>) -> Self {
        Self { store }
    }

    fn failure(&self, error: &StoreError) -> DocumentStoreError {
        let (location, cause) = (self.location(), error.to_string());
        if error.is_transient() {
            DocumentStoreError::Unavailable { location, cause }
        } else {
            DocumentStoreError::Denied { location, cause }
        }
    }
}

fn name(paper: &Document) -> RecordName {
    RecordName::from(match paper {
        Document::Ring => "waxseal:keyring",
        Document::Leader => "waxseal:keyring:leader",
        Document::Reports => "waxseal:keyring:reports",
    })
}

#[async_trait]
impl DocumentStore for RecordDocumentStore {
    fn location(&self) -> String {
        self.store.location()
    }

    async fn time_ms(&self) -> Result<Option<u64>, DocumentStoreError> {
        let time = self.store.time_ms().await;
        time.map_err(|error| self.failure(&error))
    }

    async fn read(&self, paper: &Document) -> Result<Option<Vec<u8>>, DocumentStoreError> {
        let read = self.store.get(&name(paper), &Slot::Whole).await;
        read.map_err(|error| self.failure(&error))
    }

    async fn replace(
        &self,
        paper: &Document,
        expected: Option<&[u8]>,
        new: &[u8],
    ) -> Result<bool, DocumentStoreError> {
        let change = Change {
            name: &name(paper),
            slot: &Slot::Whole,
            expected,
            value: new,
            expiry: Expiry::Never,
        };
        let outcomes = self.store.replace_if_unchanged(&[change]).await;
        let outcomes = outcomes.map_err(|error| self.failure(&error))?;
        Ok(outcomes.first() == Some(&Outcome::Done))
    }
}

/// The keys of users, each in a record of a store of its own: `waxseal:user:<keyed hash>`.
pub struct RecordUserKeys {
    store: Arc<dyn RecordStore>,
}

impl RecordUserKeys {
    /// The keys of users in this store.
    #[must_use]
    pub fn new(store: Arc<dyn RecordStore>) -> Self {
        Self { store }
    }

    fn failure(&self, error: &StoreError) -> UserKeyError {
        UserKeyError::Store {
            location: self.store.location(),
            problem: format!("does not answer as it should: {error}"),
            transient: error.is_transient(),
        }
    }
}

#[async_trait]
impl UserKeyStore for RecordUserKeys {
    fn location(&self) -> String {
        self.store.location()
    }

    async fn read(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>, UserKeyError> {
        let names: Vec<_> = names
            .iter()
            .map(|it| RecordName::from(it.as_str()))
            .collect();
        let held = self.store.read(&names).await;
        let mut read = Vec::with_capacity(names.len());
        for held in held.map_err(|error| self.failure(&error))? {
            read.push(match held {
                None => None,
                Some(Held::String(bytes)) => Some(bytes),
                // Somebody put something else there: not to be written over.
                Some(_) => return Err(self.failure(&StoreError::WrongType)),
            });
        }
        Ok(read)
    }

    async fn replace(&self, changes: &[UserChange]) -> Result<Vec<bool>, UserKeyError> {
        let named = changes.iter().map(|it| RecordName::from(it.name.as_str()));
        let names: Vec<_> = named.collect();
        let changes: Vec<_> = changes
            .iter()
            .zip(&names)
            .map(|(change, name)| Change {
                name,
                slot: &Slot::Whole,
                expected: change.expected.as_deref(),
                value: &change.new,
                expiry: Expiry::Never,
            })
            .collect();
        let outcomes = self.store.replace_if_unchanged(&changes).await;
        let outcomes = outcomes.map_err(|error| self.failure(&error))?;
        Ok(outcomes.iter().map(|it| *it == Outcome::Done).collect())
    }

    async fn sample(&self, count: usize) -> Result<Vec<(String, Vec<u8>)>, UserKeyError> {
        let failure = |error: &StoreError| self.failure(error);
        let pattern = RecordPattern::of_own(USERS).map_err(|_| failure(&StoreError::WrongType))?;
        let (mut found, mut cursor) = (Vec::new(), Cursor::start());
        for _ in 0..SAMPLE_PAGES {
            let page = self.store.scan(&pattern, &cursor, SAMPLE_PAGE).await;
            let page = page.map_err(|error| failure(&error))?;
            let mut names = page.names;
            names.retain(|name| pattern.matches(name.as_bytes()));
            names.truncate(count.saturating_sub(found.len()));
            let held = self.store.read(&names).await;
            for (name, held) in names.iter().zip(held.map_err(|error| failure(&error))?) {
                if let Some(Held::String(stored)) = held {
                    let name = String::from_utf8_lossy(name.as_bytes());
                    found.push((name.into_owned(), stored));
                }
            }
            match page.next {
                Some(next) if found.len() < count => cursor = next,
                _ => break,
            }
        }
        Ok(found)
    }
}
