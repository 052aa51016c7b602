//! Sets, sorted sets and streams: single commands of the server.

use async_trait::async_trait;
use redis::{Value, cmd};

use super::reply::{self, unexpected};
use super::slots::stream_entries;
use super::{RedisStore, command};
use crate::collections::{Collections, StreamRewrite, StreamRewriter};
use crate::error::StoreError;
use crate::record::{RecordName, StreamEntry};

impl RedisStore {
    /// Sends a command on members of a record, and returns the number in its reply.
    async fn count_of(
        &self,
        command: &str,
        name: &RecordName,
        members: &[&[u8]],
    ) -> Result<u64, StoreError> {
        if members.is_empty() {
            return Ok(0);
        }
        let mut command = cmd(command);
        command.arg(name.as_bytes());
        for member in members {
            command.arg(*member);
        }
        let count = self.link.send(&command).await?;
        Ok(u64::try_from(reply::number(&count)?).unwrap_or_default())
    }
}

#[async_trait]
impl Collections for RedisStore {
    async fn rewrite_stream(
        &self,
        name: &RecordName,
        rewriter: &mut dyn StreamRewriter,
    ) -> Result<StreamRewrite, StoreError> {
        self.copy_stream(name, rewriter).await
    }

    async fn add(&self, name: &RecordName, member: &[u8]) -> Result<bool, StoreError> {
        self.check_fits(member.len()).await?;
        Ok(self.count_of("SADD", name, &[member]).await? > 0)
    }

    async fn remove(&self, name: &RecordName, members: &[&[u8]]) -> Result<u64, StoreError> {
        self.count_of("SREM", name, members).await
    }

    async fn add_scored(
        &self,
        name: &RecordName,
        member: &[u8],
        score: f64,
    ) -> Result<bool, StoreError> {
        self.check_fits(member.len()).await?;
        // Rust writes as many digits as tell a number from all others.
        let score = score.to_string();
        let pair = [score.as_bytes(), member];
        Ok(self.count_of("ZADD", name, &pair).await? > 0)
    }

    async fn remove_scored(&self, name: &RecordName, members: &[&[u8]]) -> Result<u64, StoreError> {
        self.count_of("ZREM", name, members).await
    }

    async fn score(&self, name: &RecordName, member: &[u8]) -> Result<Option<f64>, StoreError> {
        let score = command("ZSCORE", &[name.as_bytes(), member]);
        match self.link.send(&score).await? {
            Value::Nil => Ok(None),
            score => number(score).map(Some),
        }
    }

    async fn range(
        &self,
        name: &RecordName,
        (first, last): (i64, i64),
    ) -> Result<Vec<(Vec<u8>, f64)>, StoreError> {
        let mut range = cmd("ZRANGE");
        range.arg(name.as_bytes()).arg(first).arg(last);
        range.arg("WITHSCORES");
        let pairs = reply::array(self.link.send(&range).await?)?;
        let mut members = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let pair = <[Value; 2]>::try_from(reply::array(pair)?);
            let [member, score] = pair.map_err(|_| unexpected())?;
            let member = reply::bytes(member)?.ok_or_else(unexpected)?;
            members.push((member, number(score)?));
        }
        Ok(members)
    }

    async fn append(
        &self,
        name: &RecordName,
        fields: &[(&[u8], &[u8])],
        max_len: Option<u64>,
    ) -> Result<String, StoreError> {
        let largest = fields.iter().map(|(_, value)| value.len()).max();
        self.check_fits(largest.unwrap_or_default()).await?;
        let mut add = cmd("XADD");
        add.arg(name.as_bytes());
        if let Some(max_len) = max_len {
            add.arg("MAXLEN").arg("~").arg(max_len);
        }
        add.arg("*");
        for (field, value) in fields {
            add.arg(*field).arg(*value);
        }
        reply::text(self.link.send(&add).await?)
    }

    async fn entries(
        &self,
        name: &RecordName,
        after: Option<&str>,
        count: usize,
    ) -> Result<Vec<StreamEntry>, StoreError> {
        let after = after.unwrap_or_default();
        self.stream_entries(name, after, count.max(1)).await
    }

    async fn entry(&self, name: &RecordName, id: &str) -> Result<Option<StreamEntry>, StoreError> {
        let id = id.as_bytes();
        let range = command("XRANGE", &[name.as_bytes(), id, id]);
        Ok(stream_entries(self.link.send(&range).await?)?.pop())
    }

    async fn delete_entry(&self, name: &RecordName, id: &str) -> Result<bool, StoreError> {
        Ok(self.count_of("XDEL", name, &[id.as_bytes()]).await? > 0)
    }
}

/// A score.
fn number(value: Value) -> Result<f64, StoreError> {
    match value {
        Value::Double(number) => Ok(number),
        value => reply::text(value)?.parse().map_err(|_| unexpected()),
    }
}
