//! Commands that move values to a record which they are not bound to: RENAME, COPY and LMOVE between two records. The
//! values are read and opened, sealed for the other record, and written there in the same step in which the server moves
//! them, if they are still the ones that were read:
//!
//! ```text
//! client              proxy                                    server
//! RENAME wa:1 wa:2 ──▶ the request is kept               ──▶   EVAL (reads the record) wa:1
//!                      opened for wa:1, sealed for wa:2  ◀──   its type, its values
//!                      a script compares, moves, writes  ──▶   EVAL … wa:1 wa:2 <old> <new> …
//! +OK             ◀──  the request is complete           ◀──   +OK
//! ```
//!
//! If the record is another one by then, nothing has changed, and it is read again. The request stays among the client's
//! bytes until it has its reply. Only its stage is remembered.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use waxseal_core::UserKey;
use waxseal_lua::{MOVE_ELEMENT, MOVE_RECORD, READ_RECORD, write_eval};
use waxseal_policy::{Effect, End, Location, MoveCall, Moved};
use waxseal_resp::{write_bulk, write_null, write_null_bulk, write_request_head};

use super::computed::has_field_lifetimes;
use super::effects::MAX_ON_LANE;
use super::requests::{Next, Step};
use super::state::{Affinity, ConnectionState};
use super::stored::StoredValue;
use crate::answers;
use crate::location::{BorrowedLocation, Name, OwnedLocation, ValueKind, owned};
use crate::pending::{Pending, Protocol};
use crate::refusals::OwnReason;
use crate::seal::{Request, SealingKeys, SendError, seal_value};

mod replies;

/// The time for which a move is tried again because its record was changed each time.
const RETRY_TIMEOUT: Duration = Duration::from_secs(2);

/// `LINDEX`, as the proxy itself asks.
const OWN_LINDEX: &[u8] = b"lINDEX";

/// A move that is under way.
pub(super) struct MoveRun {
    stage: Stage,
    command: &'static str,
    moved: Moved,
    /// The source; without a pattern if it is not protected.
    source: Source,
    destination: OwnedLocation,
    begun: Instant,
    /// The client sent `ASKING` before it, which each request for it needs.
    asking: bool,
}

enum Source {
    Protected(OwnedLocation),
    Plain(Name),
}

enum Stage {
    /// The values must be read.
    Unread,
    Reading,
    Read(MovedRecord),
    /// They were sent; for an element, with its value.
    Writing(Option<Vec<u8>>),
    /// This is the answer.
    Answer(Vec<u8>),
}

/// A record, or an element of a list, as it was read.
struct MovedRecord {
    /// The type, as servers name it.
    kind: &'static str,
    values: Vec<MovedValue>,
}

/// A value as it was read.
struct MovedValue {
    field: Option<Vec<u8>>,
    value: StoredValue,
}

impl MovedValue {
    fn retained_bytes(&self) -> usize {
        let field = self.field.as_ref().map_or(0, Vec::len);
        self.value.retained_bytes().saturating_add(field)
    }
}

impl MovedRecord {
    /// No record.
    const NONE: Self = Self {
        kind: "none",
        values: Vec::new(),
    };

    fn retained_bytes(&self) -> usize {
        let each = |value: &MovedValue| {
            value
                .retained_bytes()
                .saturating_add(size_of::<MovedValue>())
        };
        self.values.iter().map(each).fold(0, usize::saturating_add)
    }

    /// The kind of its values, in a stored record of this type.
    fn value_kind(&self) -> ValueKind {
        match self.kind {
            "hash" => ValueKind::HashField,
            "list" => ValueKind::ListElement,
            "set" | "zset" => ValueKind::Member,
            _ => ValueKind::String,
        }
    }
}

impl Source {
    fn name(&self) -> &[u8] {
        match self {
            Self::Protected(location) => &location.name,
            Self::Plain(name) => name,
        }
    }
}

impl MoveRun {
    /// Bytes that are held for it beyond its own size.
    pub(super) fn retained_bytes(&self) -> usize {
        match &self.stage {
            Stage::Read(record) => record.retained_bytes(),
            Stage::Writing(Some(value)) => value.len(),
            Stage::Answer(answer) => answer.len(),
            Stage::Unread | Stage::Reading | Stage::Writing(None) => 0,
        }
    }
}

impl ConnectionState {
    /// Ends the move that is under way if it has its answer.
    #[inline(never)]
    pub(super) fn finish_move(&mut self, client: &mut Vec<u8>) -> Option<Step> {
        let run = self.moving.as_mut()?;
        let Stage::Answer(answer) = &mut run.stage else {
            return None;
        };
        let answer = std::mem::take(answer);
        self.moving = None;
        self.answer(&answer, client);
        Some(Step::Done)
    }

    /// Takes a move one stage further, or begins with it.
    #[inline(never)]
    pub(super) fn run_move(
        &mut self,
        request: &Request<'_>,
        command: &'static str,
        call: MoveCall,
        keys: &SealingKeys,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> Step {
        if self.moving.is_none() {
            if self.transaction.is_open() {
                let reason = (Some(command), OwnReason::InTransaction);
                let answer = answers::move_in_transaction(command);
                let effect = Effect::None;
                self.refuse_here(reason, answer, (request, effect), client);
                return Step::Done;
            }
            if !self.has_all_replies() {
                // They decide what a read would be answered with.
                return Step::Retry(Next::Replies);
            }
            self.begin_move(request, command, call);
        }
        let Some(mut run) = self.moving.take() else {
            return Step::Done;
        };
        let step = match std::mem::replace(&mut run.stage, Stage::Unread) {
            Stage::Unread => {
                self.read_for_move(&mut run, upstream);
                Step::Retry(Next::Replies)
            }
            Stage::Read(record) => {
                let key = keys.get(call.destination.name).cloned();
                self.write_move(&mut run, record, key.as_ref(), request, upstream)
            }
            stage => {
                run.stage = stage;
                Step::Retry(Next::Replies)
            }
        };
        self.moving = Some(run);
        match self.finish_move(client) {
            Some(step) => step,
            None => step,
        }
    }

    fn begin_move(&mut self, request: &Request<'_>, command: &'static str, call: MoveCall) {
        let destination = call.destination.resolve(request.arguments);
        let name = request.arguments.get(call.source).copied();
        let name = name.unwrap_or_default();
        let source = match call.pattern {
            Some(pattern) => Source::Protected(owned(Location {
                pattern,
                name,
                ..destination
            })),
            None => Source::Plain(Name::from_slice(name)),
        };
        self.moving = Some(Box::new(MoveRun {
            stage: Stage::Unread,
            command,
            moved: call.moved,
            source,
            destination: owned(destination),
            begun: Instant::now(),
            asking: std::mem::take(&mut self.asking),
        }));
    }

    /// Asks for the values.
    fn read_for_move(&mut self, run: &mut MoveRun, upstream: &mut Vec<u8>) {
        self.repeat_asking(run.asking, upstream);
        let name = run.source.name();
        match run.moved {
            Moved::Element { from, .. } => {
                write_request_head(upstream, 3);
                write_bulk(upstream, OWN_LINDEX);
                write_bulk(upstream, name);
                write_bulk(
                    upstream,
                    match from {
                        End::Left => b"0",
                        End::Right => b"-1",
                    },
                );
            }
            _ => write_eval(upstream, READ_RECORD, &[name], &[]),
        }
        run.stage = Stage::Reading;
        self.await_reply();
        self.queue.push(Pending::MoveRead);
    }

    /// Seals what was read for the other record, and sends it.
    fn write_move(
        &mut self,
        run: &mut MoveRun,
        record: MovedRecord,
        key: Option<&Arc<UserKey>>,
        request: &Request<'_>,
        upstream: &mut Vec<u8>,
    ) -> Step {
        let sealed = match self.seal_moved(run, &record, key) {
            Ok(sealed) => sealed,
            Err(error) => {
                let answer = self.record_send_error(run.command, request.arguments, &error);
                run.stage = Stage::Answer(answer);
                return Step::Done;
            }
        };
        let mut bytes = Vec::new();
        self.write_moved(run, &record, &sealed, &mut bytes);
        if self.affinity == Affinity::Shared && bytes.len() > MAX_ON_LANE {
            run.stage = Stage::Read(record);
            return Step::Retry(Next::Dedicated);
        }
        self.repeat_asking(run.asking, upstream);
        upstream.extend_from_slice(&bytes);
        run.stage = Stage::Writing(match run.moved {
            Moved::Element { .. } => record.values.first().map(|it| it.value.value().to_vec()),
            _ => None,
        });
        self.await_reply();
        self.queue.push(Pending::MoveWrite);
        Step::Retry(Next::Replies)
    }

    /// The values as they are stored at the destination.
    fn seal_moved(
        &self,
        run: &MoveRun,
        record: &MovedRecord,
        key: Option<&Arc<UserKey>>,
    ) -> Result<Vec<Vec<u8>>, SendError> {
        let seal = |value: &MovedValue| {
            let location: BorrowedLocation<'_> = Location {
                kind: record.value_kind(),
                field: value.field.as_deref(),
                ..run.destination.borrowed()
            };
            seal_value(value.value.value(), location, key, &self.protection).map(Cow::into_owned)
        };
        record.values.iter().map(seal).collect()
    }

    fn write_moved(
        &self,
        run: &MoveRun,
        record: &MovedRecord,
        sealed: &[Vec<u8>],
        out: &mut Vec<u8>,
    ) {
        let names = [run.source.name(), &*run.destination.name];
        let word = match run.moved {
            Moved::Record => "RENAME",
            Moved::RecordToFreeName => "RENAMENX",
            Moved::Copy => "COPY",
            Moved::CopyReplacing => "REPLACE",
            Moved::Element { from, to } => {
                let stored = record.values.first().map(|it| &*it.value.stored);
                let arguments = [
                    from.as_str().as_bytes(),
                    to.as_str().as_bytes(),
                    stored.unwrap_or_default(),
                    sealed.first().map(Vec::as_slice).unwrap_or_default(),
                ];
                return write_eval(out, MOVE_ELEMENT, &names, &arguments);
            }
        };
        let count = record.values.len().to_string();
        let dialect = self.protection.server_limits().dialect();
        let mut arguments: Vec<&[u8]> = vec![
            word.as_bytes(),
            record.kind.as_bytes(),
            has_field_lifetimes(dialect),
            count.as_bytes(),
        ];
        for (value, sealed) in record.values.iter().zip(sealed) {
            arguments.extend(value.field.as_deref());
            arguments.extend([&*value.value.stored, sealed]);
        }
        write_eval(out, MOVE_RECORD, &names, &arguments);
    }

    /// The reply of a move that found no element.
    fn no_element(&self) -> Vec<u8> {
        let mut answer = Vec::new();
        match self.client.protocol {
            Protocol::Resp2 => write_null_bulk(&mut answer),
            Protocol::Resp3 => write_null(&mut answer),
        }
        answer
    }
}
