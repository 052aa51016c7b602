//! Rewriting a stream: its entries are copied with other values, and the copy takes its place. The record is watched from
//! the first read on, so that nothing that others write meanwhile is lost.
//!
//! ```text
//! WATCH name, XINFO STREAM name        one request; with groups: UNWATCH, done
//! XRANGE name (id + COUNT n            for each page
//! XADD copy id …, PEXPIRE copy         the copy expires if this process dies
//! XSETID copy last-id
//! MULTI, PERSIST or PEXPIREAT copy, RENAME copy name, EXEC
//!                                      nil: written by others, DEL copy
//! ```

use redis::{Cmd, Pipeline, Value, cmd};

use super::reply::{self, unexpected};
use super::slots::stream_entries;
use super::wire::Session;
use super::{RedisStore, command};
use crate::collections::{StreamRewrite, StreamRewriter};
use crate::error::StoreError;
use crate::generation;
use crate::record::{Lifetime, RecordName, StreamEntry};

/// Entries that are copied at a time.
const PAGE: usize = 500;
/// The lifetime of a copy that has not taken the place of its stream: between two pages.
const COPY_LIFETIME_MS: u64 = 10 * 60_000;

/// The facts about a stream that its copy must have.
struct StreamInfo {
    has_groups: bool,
    last_id: String,
    /// The number of entries ever added, and the greatest id that was deleted: not before Redis 7.
    history: Option<(i64, String)>,
}

/// A copy of a stream, under a name of its own.
struct StreamCopy<'a> {
    name: &'a [u8],
    copy: Vec<u8>,
}

impl RedisStore {
    pub(super) async fn copy_stream(
        &self,
        name: &RecordName,
        rewriter: &mut dyn StreamRewriter,
    ) -> Result<StreamRewrite, StoreError> {
        let wire = self.link.exclusive().await;
        let mut session = self.link.session(&wire, 0).await?;
        let mut copy = format!("waxseal:stream:{}:{{", generation::fresh()).into_bytes();
        copy.extend_from_slice(name.as_bytes());
        copy.push(b'}');
        let stream = StreamCopy {
            name: name.as_bytes(),
            copy,
        };
        let rewritten = self.copy_watched(&mut session, &stream, name, rewriter);
        let rewritten = rewritten.await;
        if rewritten != Ok(StreamRewrite::Done) {
            // The watch and the copy end with this attempt; if that fails, the copy expires.
            let end = vec![cmd("UNWATCH"), command("DEL", &[&stream.copy])];
            let _ = self.send_in(&mut session, end).await;
        }
        rewritten
    }

    async fn copy_watched(
        &self,
        session: &mut Session,
        stream: &StreamCopy<'_>,
        name: &RecordName,
        rewriter: &mut dyn StreamRewriter,
    ) -> Result<StreamRewrite, StoreError> {
        let mut info = cmd("XINFO");
        info.arg("STREAM").arg(stream.name);
        let watch = vec![
            command("WATCH", &[stream.name]),
            command("EXISTS", &[stream.name]),
        ];
        let exists = self.send_in(session, watch).await?.pop();
        if exists != Some(Value::Int(1)) {
            return Ok(StreamRewrite::Changed);
        }
        let info = self.send_in(session, vec![info]).await?.pop();
        let info = StreamInfo::parse(info.ok_or_else(unexpected)?)?;
        if info.has_groups {
            return Ok(StreamRewrite::HasGroups);
        }
        let lifetime = self.fetch_expiries(std::slice::from_ref(name)).await?;
        let mut after = String::new();
        loop {
            let range = page_after(stream.name, &after, &info.last_id);
            let page = self.send_in(session, vec![range]).await?.pop();
            let mut entries = stream_entries(page.ok_or_else(unexpected)?)?;
            let Some(last) = entries.last() else {
                break;
            };
            after.clone_from(&last.id);
            if !rewriter.rewrite(&mut entries).await {
                return Ok(StreamRewrite::GivenUp);
            }
            self.send_in(session, stream.append(&entries)).await?;
        }
        if after.is_empty() {
            return Ok(StreamRewrite::Changed);
        }
        self.set_ids(session, stream, &info).await?;
        self.replace_by_copy(session, stream, lifetime.first())
            .await
    }

    /// Gives the copy the ids that follow those of the stream.
    async fn set_ids(
        &self,
        session: &mut Session,
        stream: &StreamCopy<'_>,
        info: &StreamInfo,
    ) -> Result<(), StoreError> {
        let mut set = command("XSETID", &[&stream.copy, info.last_id.as_bytes()]);
        if let Some((added, deleted)) = &info.history {
            set.arg("ENTRIESADDED").arg(*added);
            set.arg("MAXDELETEDID").arg(deleted.as_str());
        }
        self.send_in(session, vec![set]).await.map(drop)
    }

    async fn replace_by_copy(
        &self,
        session: &mut Session,
        stream: &StreamCopy<'_>,
        lifetime: Option<&Lifetime>,
    ) -> Result<StreamRewrite, StoreError> {
        let expire = match lifetime {
            Some(Lifetime::Until(time)) => {
                let mut expire = command("PEXPIREAT", &[&stream.copy]);
                expire.arg(*time);
                expire
            }
            Some(Lifetime::Persistent) => command("PERSIST", &[&stream.copy]),
            Some(Lifetime::Absent) | None => return Ok(StreamRewrite::Changed),
        };
        // Where MULTI is refused, the writes would be carried out whatever others wrote meanwhile.
        self.send_in(session, vec![cmd("MULTI")]).await?;
        let rename = command("RENAME", &[&stream.copy, stream.name]);
        let writes = vec![expire, rename, cmd("EXEC")];
        let executed = self.send_in(session, writes).await;
        match executed?.pop() {
            Some(Value::Nil) => Ok(StreamRewrite::Changed),
            Some(Value::Array(answers)) => {
                for answer in answers {
                    let answer = answer.extract_error();
                    answer.map_err(|error| self.link.explain(&error))?;
                }
                Ok(StreamRewrite::Done)
            }
            _ => Err(unexpected()),
        }
    }

    /// Sends commands on the session; any error reply is an error.
    async fn send_in(
        &self,
        session: &mut Session,
        commands: Vec<Cmd>,
    ) -> Result<Vec<Value>, StoreError> {
        let mut request = Pipeline::new();
        for command in commands {
            request.add_command(command);
        }
        let answers = match session.send_all(&request).await {
            Ok(answers) => answers,
            Err(failure) => {
                return Err(self.link.explain_unread(failure, request.cmd_iter()).await);
            }
        };
        let answers = answers.into_iter().map(Value::extract_error);
        answers
            .map(|answer| answer.map_err(|error| self.link.explain(&error)))
            .collect()
    }
}

impl StreamCopy<'_> {
    /// The requests that append these entries to the copy, and let it expire.
    fn append(&self, entries: &[StreamEntry]) -> Vec<Cmd> {
        let mut commands = Vec::with_capacity(entries.len().saturating_add(1));
        for entry in entries {
            let mut add = command("XADD", &[&self.copy, entry.id.as_bytes()]);
            for (field, value) in &entry.fields {
                add.arg(field.as_slice()).arg(value.as_slice());
            }
            commands.push(add);
        }
        let mut expire = command("PEXPIRE", &[&self.copy]);
        expire.arg(COPY_LIFETIME_MS);
        commands.push(expire);
        commands
    }
}

impl StreamInfo {
    /// Parses the reply to `XINFO STREAM`.
    fn parse(value: Value) -> Result<Self, StoreError> {
        let Value::Map(facts) = value else {
            return Err(unexpected());
        };
        let (mut groups, mut last_id, mut added, mut deleted) = (None, None, None, None);
        for (name, fact) in facts {
            match reply::text(name)?.as_str() {
                "groups" => groups = Some(reply::number(&fact)?),
                "last-generated-id" => last_id = Some(reply::text(fact)?),
                "entries-added" => added = Some(reply::number(&fact)?),
                "max-deleted-entry-id" => deleted = Some(reply::text(fact)?),
                _ => {}
            }
        }
        Ok(Self {
            has_groups: groups.ok_or_else(unexpected)? > 0,
            last_id: last_id.ok_or_else(unexpected)?,
            history: added.zip(deleted),
        })
    }
}

/// The request for the next entries, up to the one that was the last when the record was first read.
fn page_after(name: &[u8], after: &str, last: &str) -> Cmd {
    let from = match after {
        "" => "-".to_owned(),
        after => format!("({after}"),
    };
    let mut range = command("XRANGE", &[name, from.as_bytes(), last.as_bytes()]);
    range.arg("COUNT").arg(PAGE);
    range
}
