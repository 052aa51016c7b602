//! Rewriting a stream: its entries are copied with other values, and the copy takes its place. The record is watched from
//! the first read on, so that nothing that others write meanwhile is lost. The copy may disappear meanwhile (evicted, or
//! deleted by others): only its first entry creates it, and at the end its length is compared.
//!
//! ```text
//! WATCH name, XINFO STREAM name        with consumer groups: UNWATCH, done
//! XRANGE name (id + COUNT n            for each page
//! EVAL XADD copy id …, PEXPIRE copy    the first entry: the copy expires if this process dies
//! XADD copy NOMKSTREAM id …            each other entry; nil: the copy is gone, start again
//! MULTI, EVAL …, EXEC                  groups, length, last id and the copy's length are checked, then RENAME
//!                                      nil or 0: written by others, DEL copy
//! ```

use redis::{Cmd, Pipeline, Value, cmd};

use super::reply::{self, unexpected};
use super::scripts::Scripts;
use super::slots::stream_entries;
use super::wire::Session;
use super::{RedisStore, command};
use crate::collections::{StreamRewrite, StreamRewriter};
use crate::error::StoreError;
use crate::generation;
use crate::record::{Lifetime, RecordName, StreamEntry};

/// Entries that are copied at a time, at first and at most.
const FIRST_PAGE: usize = 16;
const MAX_PAGE: usize = 500;
/// About the bytes that are copied at a time.
const PAGE_BYTES: usize = 8 << 20;
/// The most arguments of a script that `unpack` takes on every server.
const MAX_UNPACKED: usize = 7_000;
/// The lifetime of a copy that has not taken the place of its stream: between two pages.
const COPY_LIFETIME_MS: u64 = 10 * 60_000;

/// The facts about a stream that its copy must have.
struct StreamInfo {
    has_groups: bool,
    length: i64,
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
        let mut count = FIRST_PAGE;
        loop {
            let range = page_after(stream.name, &after, &info.last_id, count);
            let page = self.send_in(session, vec![range]).await?.pop();
            let mut entries = stream_entries(page.ok_or_else(unexpected)?)?;
            let Some(last) = entries.last() else {
                break;
            };
            count = next_count(&entries);
            let is_first = after.is_empty();
            after.clone_from(&last.id);
            if !rewriter.rewrite(&mut entries).await {
                return Ok(StreamRewrite::GivenUp);
            }
            let append = stream.append(&entries, is_first.then_some(&self.scripts));
            let added = self.send_in(session, append).await?;
            if added.contains(&Value::Nil) {
                return Ok(StreamRewrite::Changed);
            }
        }
        if after.is_empty() {
            return Ok(StreamRewrite::Changed);
        }
        self.replace_by_copy(session, stream, &info, lifetime.first())
            .await
    }

    async fn replace_by_copy(
        &self,
        session: &mut Session,
        stream: &StreamCopy<'_>,
        info: &StreamInfo,
        lifetime: Option<&Lifetime>,
    ) -> Result<StreamRewrite, StoreError> {
        let expiry = match lifetime {
            Some(Lifetime::Until(time)) => time.to_string(),
            Some(Lifetime::Persistent) => String::new(),
            Some(Lifetime::Absent) | None => return Ok(StreamRewrite::Changed),
        };
        let mut replace = self.scripts.replace_stream.source_command(2);
        replace.arg(stream.name).arg(stream.copy.as_slice());
        replace.arg(info.length).arg(&info.last_id).arg(expiry);
        if let Some((added, deleted)) = &info.history {
            replace.arg(*added).arg(deleted);
        }
        // Where MULTI is refused, the script would run whatever others wrote meanwhile.
        self.send_in(session, vec![cmd("MULTI")]).await?;
        let executed = self.send_in(session, vec![replace, cmd("EXEC")]).await;
        let answer = match executed?.pop() {
            Some(Value::Nil) => return Ok(StreamRewrite::Changed),
            Some(Value::Array(mut answers)) => answers.pop().ok_or_else(unexpected)?,
            _ => return Err(unexpected()),
        };
        let answer = answer.extract_error();
        match answer.map_err(|error| self.link.explain(&error))? {
            Value::Int(1) => Ok(StreamRewrite::Done),
            Value::Int(_) => Ok(StreamRewrite::Changed),
            _ => Ok(StreamRewrite::HasGroups),
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
    /// The requests that append these entries to the copy, and extend its lifetime. With scripts, the first entry creates
    /// it; the reply to any other is nil if the copy is gone.
    fn append(&self, entries: &[StreamEntry], first: Option<&Scripts>) -> Vec<Cmd> {
        let mut commands = Vec::with_capacity(entries.len().saturating_add(1));
        let mut scripts = first;
        for entry in entries {
            let arguments = entry.fields.len().saturating_mul(2);
            let mut add = match scripts.take() {
                Some(scripts) if arguments < MAX_UNPACKED => {
                    let mut begin = scripts.begin_stream_copy.source_command(1);
                    begin.arg(self.copy.as_slice()).arg(COPY_LIFETIME_MS);
                    begin
                }
                Some(_) => command("XADD", &[&self.copy]),
                None => command("XADD", &[&self.copy, b"NOMKSTREAM"]),
            };
            add.arg(&entry.id);
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
        let (mut groups, mut length, mut last_id) = (None, None, None);
        let (mut added, mut deleted) = (None, None);
        for (name, fact) in facts {
            match reply::text(name)?.as_str() {
                "groups" => groups = Some(reply::number(&fact)?),
                "length" => length = Some(reply::number(&fact)?),
                "last-generated-id" => last_id = Some(reply::text(fact)?),
                "entries-added" => added = Some(reply::number(&fact)?),
                "max-deleted-entry-id" => deleted = Some(reply::text(fact)?),
                _ => {}
            }
        }
        Ok(Self {
            has_groups: groups.ok_or_else(unexpected)? > 0,
            length: length.ok_or_else(unexpected)?,
            last_id: last_id.ok_or_else(unexpected)?,
            history: added.zip(deleted),
        })
    }
}

/// The request for the next entries, up to the one that was the last when the record was first read.
fn page_after(name: &[u8], after: &str, last: &str, count: usize) -> Cmd {
    let from = match after {
        "" => "-".to_owned(),
        after => format!("({after}"),
    };
    let mut range = command("XRANGE", &[name, from.as_bytes(), last.as_bytes()]);
    range.arg("COUNT").arg(count);
    range
}

/// The number of entries in the next page: as many of this size as are held in memory at once.
fn next_count(entries: &[StreamEntry]) -> usize {
    let fields = entries.iter().flat_map(|entry| &entry.fields);
    let bytes: usize = fields.map(|(field, value)| field.len() + value.len()).sum();
    let fitting = PAGE_BYTES.checked_div(bytes / entries.len().max(1));
    let growth = entries.len().saturating_mul(4);
    fitting.unwrap_or(MAX_PAGE).min(growth).clamp(1, MAX_PAGE)
}
