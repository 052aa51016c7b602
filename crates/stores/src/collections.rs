//! Sets, sorted sets and streams, for callers that work on members and entries: a store that has
//! them returns this interface ([`RecordStore::collections`](crate::RecordStore::collections)).

use async_trait::async_trait;

use crate::error::StoreError;
use crate::record::{RecordName, StreamEntry};

/// The values of a copy of a stream.
#[async_trait]
pub trait StreamRewriter: Send {
    /// Replaces the values of these entries by those of the copy. Returns false to give up.
    async fn rewrite(&mut self, entries: &mut [StreamEntry]) -> bool;
}

/// The outcome of rewriting a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamRewrite {
    /// The copy took the place of the record.
    Done,
    /// Others wrote the record meanwhile, or it is absent: nothing was changed.
    Changed,
    /// It has consumer groups: nothing was changed.
    HasGroups,
    /// The rewriter gave up: nothing was changed.
    GivenUp,
}

/// The operations on sets, sorted sets and streams that other record types do not have. Reading
/// pages of members and entries, and replacing a member, are operations of every store.
///
/// A record of another type is [`StoreError::WrongType`], and an absent one is empty. Records are
/// created by the first write, without expiry, and disappear with their last member.
#[async_trait]
pub trait Collections: Send + Sync {
    /// Adds a member to a set record. Returns whether it was not there.
    async fn add(&self, name: &RecordName, member: &[u8]) -> Result<bool, StoreError>;

    /// Removes members of a set record. Returns how many were there.
    async fn remove(&self, name: &RecordName, members: &[&[u8]]) -> Result<u64, StoreError>;

    /// Adds a member to a sorted set record, or changes its score. Returns whether it was not
    /// there.
    async fn add_scored(
        &self,
        name: &RecordName,
        member: &[u8],
        score: f64,
    ) -> Result<bool, StoreError>;

    /// Removes members of a sorted set record. Returns how many were there.
    async fn remove_scored(&self, name: &RecordName, members: &[&[u8]]) -> Result<u64, StoreError>;

    /// The score of a member of a sorted set record.
    async fn score(&self, name: &RecordName, member: &[u8]) -> Result<Option<f64>, StoreError>;

    /// Members of a sorted set record with their scores, by their ranks from 0 on: negative ones
    /// count from the end.
    async fn range(
        &self,
        name: &RecordName,
        (first, last): (i64, i64),
    ) -> Result<Vec<(Vec<u8>, f64)>, StoreError>;

    /// Appends an entry to a stream record, and drops the oldest ones beyond about `max_len`.
    /// Returns its id.
    async fn append(
        &self,
        name: &RecordName,
        fields: &[(&[u8], &[u8])],
        max_len: Option<u64>,
    ) -> Result<String, StoreError>;

    /// The first entries of a stream record after this id, or from the beginning.
    async fn entries(
        &self,
        name: &RecordName,
        after: Option<&str>,
        count: usize,
    ) -> Result<Vec<StreamEntry>, StoreError>;

    /// One entry of a stream record.
    async fn entry(&self, name: &RecordName, id: &str) -> Result<Option<StreamEntry>, StoreError>;

    /// Replaces a stream record by a copy with other values: its ids, its expiry and the id that follows stay. Nothing is
    /// changed if others write the record meanwhile, or if it has consumer groups, which a copy would lose. The
    /// server must run scripts.
    async fn rewrite_stream(
        &self,
        name: &RecordName,
        rewriter: &mut dyn StreamRewriter,
    ) -> Result<StreamRewrite, StoreError>;

    /// Deletes an entry of a stream record. Returns whether it was there.
    async fn delete_entry(&self, name: &RecordName, id: &str) -> Result<bool, StoreError>;
}
