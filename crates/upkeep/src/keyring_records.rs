//! Documents of a keyring and keys of users as records of a store. Their contents are sealed or authenticated before they
//! are written here.

use std::sync::Arc;

use async_trait::async_trait;
use waxseal_keys::{
    Document, DocumentStore, DocumentStoreError, UserChange, UserKeyError, UserKeyStore,
};
use waxseal_stores::{
    Change, Cursor, Expiry, Outcome, Record, RecordName, RecordPattern, RecordStore, Slot,
    StoreError,
};

/// The pattern of records that hold users' keys.
const USERS: &str = "waxseal:user:*";
/// Pages of a scan for a sample of them among other records.
const SAMPLE_PAGES: usize = 10;
const SAMPLE_PAGE: usize = 1000;

/// A store of keyring documents in records of a [`RecordStore`].
pub struct RecordDocumentStore {
    store: Arc<dyn RecordStore>,
}

impl RecordDocumentStore {
    /// The documents in this store: the record `waxseal:keyring` and two others.
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

fn name(document: &Document) -> RecordName {
    RecordName::from(match document {
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

    async fn read(&self, document: &Document) -> Result<Option<Vec<u8>>, DocumentStoreError> {
        let read = self.store.get(&name(document), &Slot::Whole).await;
        read.map_err(|error| self.failure(&error))
    }

    async fn replace(
        &self,
        document: &Document,
        expected: Option<&[u8]>,
        new: &[u8],
    ) -> Result<bool, DocumentStoreError> {
        let change = Change {
            name: &name(document),
            slot: &Slot::Whole,
            expected,
            value: new,
            expiry: Expiry::Persistent,
        };
        let outcomes = self.store.replace_if_unchanged(&[change]).await;
        let outcomes = outcomes.map_err(|error| self.failure(&error))?;
        Ok(outcomes.first() == Some(&Outcome::Done))
    }
}

/// The keys of users, each in a record of a store: `waxseal:user:<keyed hash>`.
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
        let contents = self.store.read(&names).await;
        let mut read = Vec::with_capacity(names.len());
        for content in contents.map_err(|error| self.failure(&error))? {
            read.push(match content {
                None => None,
                Some(Record::String(bytes)) => Some(bytes),
                // Not written by Waxseal, so it must not be overwritten.
                Some(_) => return Err(self.failure(&StoreError::WrongType)),
            });
        }
        Ok(read)
    }

    async fn replace(&self, changes: &[UserChange]) -> Result<Vec<bool>, UserKeyError> {
        let names = changes.iter().map(|it| RecordName::from(it.name.as_str()));
        let names: Vec<_> = names.collect();
        let changes: Vec<_> = changes
            .iter()
            .zip(&names)
            .map(|(change, name)| Change {
                name,
                slot: &Slot::Whole,
                expected: change.expected.as_deref(),
                value: &change.new,
                expiry: Expiry::Persistent,
            })
            .collect();
        let outcomes = self.store.replace_if_unchanged(&changes).await;
        let outcomes = outcomes.map_err(|error| self.failure(&error))?;
        Ok(outcomes.iter().map(|it| *it == Outcome::Done).collect())
    }

    async fn sample(&self, count: usize) -> Result<Vec<(String, Vec<u8>)>, UserKeyError> {
        let failure = |error: &StoreError| self.failure(error);
        let pattern =
            RecordPattern::parse_own(USERS).map_err(|_| failure(&StoreError::WrongType))?;
        let (mut found, mut cursor) = (Vec::new(), Cursor::start());
        for _ in 0..SAMPLE_PAGES {
            let page = self.store.scan(&pattern, &cursor, SAMPLE_PAGE).await;
            let page = page.map_err(|error| failure(&error))?;
            let mut names = page.names;
            names.retain(|name| pattern.matches(name.as_bytes()));
            names.truncate(count.saturating_sub(found.len()));
            let contents = self.store.read(&names).await;
            let contents = contents.map_err(|error| failure(&error))?;
            for (name, content) in names.iter().zip(contents) {
                if let Some(Record::String(stored)) = content {
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
