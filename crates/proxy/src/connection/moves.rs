//! Commands that move values to a record which they are not bound to: RENAME, COPY and LMOVE between two records. The
//! values are read and opened, sealed for the other record, and written there in the same step in which the server moves
//! them, if no others are there by then:
//!
//! ```text
//! client              proxy                                    server
//! RENAME wa:1 wa:2 ──▶ the request is kept               ──▶   EVAL (reads the record) wa:1
//!                      opened for wa:1, sealed for wa:2  ◀──   its type, its values
//!                      a script compares, moves, writes  ──▶   EVAL … wa:1 wa:2 <old> <new> …
//! +OK             ◀──  the request is complete           ◀──   +OK
//! ```
//!
//! If the record has another value by then, nothing has changed, and it is read again. The request stays among the client's
//! bytes until it has its reply. Only its stage is remembered.
//!
//! In a transaction the values are read before it is sent ([`replay`](super::replay)). `values` are those that move, and
//! the requests for them; `replies` reads what the server answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use waxseal_core::UserKey;
use waxseal_metrics::OwnWork;
use waxseal_policy::{MoveCall, Moved};
use waxseal_resp::{write_null, write_null_bulk};

use super::effects::MAX_ON_LANE;
use super::requests::{Next, Step};
use super::state::{Affinity, ConnectionState};
use crate::location::OwnedLocation;
use crate::pending::{Pending, Protocol};
use crate::seal::{Request, SealingKeys};

pub(super) mod replies;
pub(super) mod values;

use self::values::{MovedValue, Source, write_move, write_read_end, write_read_record};

/// The time for which a move is tried again because its record was changed each time.
const RETRY_TIMEOUT: Duration = Duration::from_secs(2);

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

enum Stage {
    /// The values must be read.
    Unread,
    Reading,
    Read(Vec<MovedValue>),
    /// They were sent; for an element, with its value.
    Writing(Option<Vec<u8>>),
    /// This is the answer.
    Answer(Vec<u8>),
}

impl MoveRun {
    /// Bytes that are held for it beyond its own size.
    pub(super) fn retained_bytes(&self) -> usize {
        match &self.stage {
            Stage::Read(values) => values.iter().map(MovedValue::retained_bytes).sum(),
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
                self.queue_move(request, (command, call), keys, upstream, client);
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
                self.read_for_move(&mut run, request.wire(call.source), upstream);
                Step::Retry(Next::Replies)
            }
            Stage::Read(values) => {
                let key = keys.get(call.destination.name).cloned();
                self.send_moved(&mut run, values, key.as_ref(), (request, call), upstream)
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
        let (source, destination) = values::records(call, request.arguments);
        self.protection.carried_out(OwnWork::Move);
        self.moving = Some(Box::new(MoveRun {
            stage: Stage::Unread,
            command,
            moved: call.moved,
            source,
            destination,
            begun: Instant::now(),
            asking: std::mem::take(&mut self.asking),
        }));
    }

    /// Asks for the values of the record that is stored under this name.
    fn read_for_move(&mut self, run: &mut MoveRun, stored: &[u8], upstream: &mut Vec<u8>) {
        self.repeat_asking(run.asking, upstream);
        match run.moved {
            Moved::Element { from, .. } => write_read_end(stored, from, upstream),
            _ => write_read_record(stored, self.limits.value, upstream),
        }
        run.stage = Stage::Reading;
        self.await_reply();
        self.queue.push(Pending::MoveRead);
    }

    /// Seals what was read for the other record, and sends it.
    fn send_moved(
        &mut self,
        run: &mut MoveRun,
        values: Vec<MovedValue>,
        key: Option<&Arc<UserKey>>,
        (request, call): (&Request<'_>, MoveCall),
        upstream: &mut Vec<u8>,
    ) -> Step {
        let sealed = match self.seal_moved(values.iter(), &run.destination, key) {
            Ok(sealed) => sealed,
            Err(error) => {
                let answer = self.record_send_error(run.command, request.arguments, &error);
                run.stage = Stage::Answer(answer);
                return Step::Done;
            }
        };
        let mut bytes = Vec::new();
        let names = [call.source, call.destination.name].map(|at| request.wire(at));
        let dialect = self.protection.server_limits().dialect();
        write_move(run.moved, names, (&sealed, dialect), &mut bytes);
        if self.affinity == Affinity::Shared && bytes.len() > MAX_ON_LANE {
            drop(sealed);
            run.stage = Stage::Read(values);
            return Step::Retry(Next::Dedicated);
        }
        self.repeat_asking(run.asking, upstream);
        upstream.extend_from_slice(&bytes);
        run.stage = Stage::Writing(match run.moved {
            Moved::Element { .. } => values.first().map(|it| it.value.value().to_vec()),
            _ => None,
        });
        self.await_reply();
        self.queue.push(Pending::MoveWrite);
        Step::Retry(Next::Replies)
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
