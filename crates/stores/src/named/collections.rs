//! Sets, sorted sets and streams under logical names.

use async_trait::async_trait;

use super::NamedStore;
use crate::collections::{Collections, StreamRewrite, StreamRewriter};
use crate::error::StoreError;
use crate::record::{RecordName, StreamEntry};

impl NamedStore {
    fn inner_collections(&self) -> Result<&dyn Collections, StoreError> {
        let what = "hold sets, sorted sets and streams";
        let collections = self.inner.collections();
        collections.ok_or(StoreError::Unsupported { what })
    }
}

#[async_trait]
impl Collections for NamedStore {
    async fn add(&self, name: &RecordName, member: &[u8]) -> Result<bool, StoreError> {
        let name = self.stored(name)?;
        self.inner_collections()?.add(&name, member).await
    }

    async fn remove(&self, name: &RecordName, members: &[&[u8]]) -> Result<u64, StoreError> {
        let name = self.stored(name)?;
        self.inner_collections()?.remove(&name, members).await
    }

    async fn add_scored(
        &self,
        name: &RecordName,
        member: &[u8],
        score: f64,
    ) -> Result<bool, StoreError> {
        let (name, inner) = (self.stored(name)?, self.inner_collections()?);
        inner.add_scored(&name, member, score).await
    }

    async fn remove_scored(&self, name: &RecordName, members: &[&[u8]]) -> Result<u64, StoreError> {
        let (name, inner) = (self.stored(name)?, self.inner_collections()?);
        inner.remove_scored(&name, members).await
    }

    async fn score(&self, name: &RecordName, member: &[u8]) -> Result<Option<f64>, StoreError> {
        let name = self.stored(name)?;
        self.inner_collections()?.score(&name, member).await
    }

    async fn range(
        &self,
        name: &RecordName,
        ranks: (i64, i64),
    ) -> Result<Vec<(Vec<u8>, f64)>, StoreError> {
        let name = self.stored(name)?;
        self.inner_collections()?.range(&name, ranks).await
    }

    async fn append(
        &self,
        name: &RecordName,
        fields: &[(&[u8], &[u8])],
        max_len: Option<u64>,
    ) -> Result<String, StoreError> {
        let (name, inner) = (self.stored(name)?, self.inner_collections()?);
        inner.append(&name, fields, max_len).await
    }

    async fn entries(
        &self,
        name: &RecordName,
        after: Option<&str>,
        count: usize,
    ) -> Result<Vec<StreamEntry>, StoreError> {
        let (name, inner) = (self.stored(name)?, self.inner_collections()?);
        inner.entries(&name, after, count).await
    }

    async fn entry(&self, name: &RecordName, id: &str) -> Result<Option<StreamEntry>, StoreError> {
        let name = self.stored(name)?;
        self.inner_collections()?.entry(&name, id).await
    }

    async fn rewrite_stream(
        &self,
        name: &RecordName,
        rewriter: &mut dyn StreamRewriter,
    ) -> Result<StreamRewrite, StoreError> {
        let (name, inner) = (self.stored(name)?, self.inner_collections()?);
        inner.rewrite_stream(&name, rewriter).await
    }

    async fn delete_entry(&self, name: &RecordName, id: &str) -> Result<bool, StoreError> {
        let name = self.stored(name)?;
        self.inner_collections()?.delete_entry(&name, id).await
    }
}
