//! Commands that compute on a protected value. The server has only its envelope, so the value is read and opened, the
//! command computed here, and the result sealed and written, if the stored bytes are still the ones that were read:
//!
//! ```text
//! client              proxy                                    server
//! INCR wa:1     ──▶   the request is kept                ──▶   GET wa:1
//!                     opened, computed, sealed           ◀──   <envelope>
//!                     a script compares and writes       ──▶   EVAL … wa:1 <envelope> <new envelope>
//! :42           ◀──   the request is complete            ◀──   :1
//! ```
//!
//! If other bytes are stored, the script writes nothing and answers with them, and the command is computed on those.
//! Commands of several clients on one record queue in [`computations`](crate::computations), and one of them computes for
//! all.
//!
//! The request stays among the client's bytes until it has its reply. Only its stage is remembered:
//!
//! ```text
//! Waiting ── it leads ──▶ Unread ── GET sent ──▶ Reading ──▶ Read ── EVAL sent ──▶ Writing ──▶ Answer
//!    │                                                        ▲ │                     │ other bytes
//!    └── another one has computed it ──▶ Answer               │ └── nothing to write ─┼──▶ Answer
//!                                                             └───────────────────────┘
//! ```
//!
//! A command that only reads is sent as a read, and computed where its reply is opened (`open/computed`).

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use waxseal_compute::{Operation, Rejected, Reply, ServerError};
use waxseal_lua::{READ_TWO, write_eval};
use waxseal_metrics::OwnWork;
use waxseal_policy::{Addition, ComputeCall, Effect, Location};
use waxseal_resp::{write_bulk, write_request_head};

use super::effects::MAX_ON_LANE;
use super::requests::{Next, Step};
use super::state::{Affinity, ConnectionState};
use super::stored::StoredValue;
use crate::answers;
use crate::computations::{ComputedAnswer, Job, Readiness, Target, Turn};
use crate::location::{OwnedLocation, owned};
use crate::open::{ComputedReply, ValueOpener};
use crate::pending::{Pending, Shape};
use crate::refusals::OwnReason;
use crate::seal::{Request, SealingKeys, seal_value};

mod batch;
mod replies;

pub(super) use self::batch::{Chain, Change, has_field_lifetimes, write_compared};
use self::batch::{Computed, compute};

/// The time for which a command is computed again because its value was replaced each time.
const RETRY_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads, as the proxy itself asks.
const OWN_GET: &[u8] = b"gET";
const OWN_HGET: &[u8] = b"hGET";

/// A command that is being computed.
pub(super) struct ComputedRun {
    stage: Stage,
    location: OwnedLocation,
    /// Its place among the commands on the same record. Taken when the command is computed.
    turn: Option<Turn>,
    begun: Instant,
    /// The client sent `ASKING` before it, which each request for it needs.
    asking: bool,
}

enum Stage {
    /// Another client's command leads.
    Waiting,
    /// The value must be read.
    Unread,
    Reading,
    Read(InputValue),
    /// The result was sent.
    Writing(Computed),
    /// This is the answer.
    Answer(ComputedAnswer),
}

/// What commands are computed from.
#[derive(Default)]
struct InputValue {
    /// The value; none if it does not exist.
    value: Option<StoredValue>,
    /// It was stored a moment ago, and may have been replaced since.
    is_guess: bool,
}

impl ComputedRun {
    /// Bytes that are held for it beyond its own size.
    pub(super) fn retained_bytes(&self) -> usize {
        match &self.stage {
            Stage::Read(input) => {
                let value = input.value.as_ref();
                value.map_or(0, StoredValue::retained_bytes)
            }
            Stage::Writing(computed) => computed.stored.as_ref().map_or(0, Vec::len),
            Stage::Waiting | Stage::Unread | Stage::Reading | Stage::Answer(_) => 0,
        }
    }

    /// True if a result was sent whose reply has not arrived.
    pub(super) fn is_writing(&self) -> bool {
        matches!(self.stage, Stage::Writing(_))
    }

    /// The command that is computed, as long as it is.
    fn job(&self) -> Option<&Job> {
        self.turn.as_ref()?.jobs().next().map(|job| &**job)
    }
}

impl Drop for ComputedRun {
    fn drop(&mut self) {
        if let (Stage::Writing(_), Some(turn)) = (&self.stage, self.turn.take()) {
            turn.abandon(answers::computed_unknown);
        }
    }
}

impl ConnectionState {
    /// Ends the command that is being computed if it has its answer.
    #[inline(never)]
    pub(super) fn finish_computed(&mut self, client: &mut Vec<u8>) -> Option<Step> {
        let run = self.computed.as_mut()?;
        if matches!(run.stage, Stage::Waiting)
            && let Some(turn) = &mut run.turn
        {
            match turn.poll() {
                Readiness::Waiting => return Some(Step::Retry(Next::Replies)),
                Readiness::Answered(answer) => run.stage = Stage::Answer(answer),
                Readiness::Leading(stored) => {
                    let value = stored.and_then(|stored| self.open_known(&stored));
                    if let Some(run) = &mut self.computed {
                        run.stage = value.map_or(Stage::Unread, Stage::Read);
                    }
                }
            }
        }
        let run = self.computed.as_mut()?;
        let Stage::Answer(answer) = &mut run.stage else {
            return None;
        };
        let answer = std::mem::replace(answer, ComputedAnswer::Error(Vec::new()));
        self.computed = None;
        self.answer_computed(&answer, client);
        Some(Step::Done)
    }

    /// Answers a command that was computed.
    fn answer_computed(&mut self, answer: &ComputedAnswer, client: &mut Vec<u8>) {
        match answer {
            ComputedAnswer::Error(error) => self.answer(error, client),
            ComputedAnswer::Reply(reply) => {
                let mut answer = Vec::new();
                reply.write(&mut answer, self.client.protocol.of_computed());
                self.answer(&answer, client);
            }
        }
    }

    /// Takes a command that computes one stage further, or begins with it.
    #[inline(never)]
    pub(super) fn run_computed(
        &mut self,
        request: &Request<'_>,
        command: &'static str,
        call: ComputeCall,
        keys: &SealingKeys,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> Step {
        if self.computed.is_none()
            && let Some(step) =
                self.begin_computed(request, (command, call), keys, upstream, client)
        {
            return step;
        }
        let Some(mut run) = self.computed.take() else {
            return Step::Done;
        };
        let step = match std::mem::replace(&mut run.stage, Stage::Unread) {
            Stage::Unread => {
                let stored = request.wire(call.location.name);
                self.read_for_computed(&mut run, stored, upstream);
                Step::Retry(Next::Replies)
            }
            Stage::Read(input) => {
                let decided = (request, call);
                self.write_computed(&mut run, input, decided, keys, upstream)
            }
            stage => {
                run.stage = stage;
                Step::Retry(Next::Replies)
            }
        };
        self.computed = Some(run);
        match self.finish_computed(client) {
            Some(step) => step,
            None => step,
        }
    }

    /// Begins with a command that computes. Returns the step if that is all: it is sent as another request, or refused.
    fn begin_computed(
        &mut self,
        request: &Request<'_>,
        (command, call): (&'static str, ComputeCall),
        keys: &SealingKeys,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> Option<Step> {
        let dialect = self.protection.server_limits().dialect();
        let added;
        let (arguments, needs_value) = match call.adds {
            None => (request.arguments, false),
            Some((at, addition)) => {
                let argument = |at: usize| request.arguments.get(at).copied().unwrap_or_default();
                added = [b"incrby", argument(call.location.name), argument(at)];
                (&added[..], addition == Addition::IfPresent)
            }
        };
        let operation = match Operation::parse(arguments, dialect) {
            Ok(operation) if operation.can_write() => operation,
            Ok(operation) => {
                let computed = Ok(operation);
                self.send_reading(request, (command, call), computed, upstream, client);
                return Some(Step::Done);
            }
            Err(Rejected::Arguments(error)) => {
                let computed = Err(error);
                self.send_reading(request, (command, call), computed, upstream, client);
                return Some(Step::Done);
            }
            Err(Rejected::Arity(_) | Rejected::NotComputed) => {
                self.send_rejected(request, command, upstream);
                return Some(Step::Done);
            }
        };
        if self.transaction.is_open() {
            let queued = (command, call);
            let operation = (operation, needs_value);
            self.queue_computed(request, queued, operation, keys, upstream, client);
            return Some(Step::Done);
        }
        if !self.has_all_replies() {
            // They decide what a read would be answered with.
            return Some(Step::Retry(Next::Replies));
        }
        let location = owned(call.location.resolve(request.arguments));
        let target: Target = (Box::from(&*location.name), location.field.clone());
        let registration = self.client.registration.as_ref();
        let operation = (operation, needs_value);
        let job = Job::new(command, operation, registration.map(|it| it.client.clone()));
        // On a connection with state of its own the server may do something else than on the others.
        let turn = match self.affinity {
            Affinity::Pinned => Turn::alone(job),
            Affinity::Shared | Affinity::Reusable | Affinity::Traced => {
                self.protection.computations().join(target, job)
            }
        };
        self.protection.carried_out(OwnWork::Computed);
        self.computed = Some(Box::new(ComputedRun {
            stage: Stage::Waiting,
            location,
            turn: Some(turn),
            begun: Instant::now(),
            asking: std::mem::take(&mut self.asking),
        }));
        // It may lead at once.
        self.finish_computed(client)
    }

    /// Sends a request that the server refuses, without its values: one with a wrong number of arguments, and a command or
    /// an option that the server does not have.
    fn send_rejected(
        &mut self,
        request: &Request<'_>,
        command: &'static str,
        upstream: &mut Vec<u8>,
    ) {
        let word = request.arguments.first().copied().unwrap_or_default();
        match command {
            // An option without its argument, which no server accepts.
            "set" => {
                write_request_head(upstream, 4);
                for argument in [word, request.wire(1), b"", b"IFEQ"] {
                    write_bulk(upstream, argument);
                }
            }
            _ => {
                write_request_head(upstream, 1);
                write_bulk(upstream, word);
            }
        }
        self.sent(command, Shape::VERBATIM);
    }

    /// Sends a command that writes nothing as a read. Its reply is computed from the value, or is this error.
    fn send_reading(
        &mut self,
        request: &Request<'_>,
        (command, call): (&'static str, ComputeCall),
        operation: Result<Operation, ServerError>,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) {
        let names = self.protection.names();
        let record = call.location.resolve(request.arguments);
        let locations = match operation.as_ref().map(Operation::names) {
            Ok(all) if all.len() > 1 => all
                .map(|name| {
                    let pattern = names.find(name)?;
                    Some(owned(Location {
                        pattern,
                        name,
                        ..record
                    }))
                })
                .collect(),
            _ => vec![Some(owned(record))],
        };
        let shape = Shape::Computed(Box::new(ComputedReply {
            operation,
            locations,
            protocol: self.client.protocol,
            limit: self.limits.value,
        }));
        if !self.has_room_in_transaction(shape.retained_bytes()) {
            let reason = (Some(command), OwnReason::TransactionTooLarge);
            let answer = answers::transaction_too_large();
            return self.refuse_here(reason, answer, (request, Effect::None), client);
        }
        match &shape {
            Shape::Computed(computed) if computed.locations.len() > 1 => {
                let names = [request.wire(1), request.wire(2)];
                write_eval(upstream, READ_TWO, &names, &[]);
                if let Some(transaction) = self.transaction.open() {
                    let mut command = Vec::new();
                    request.forward(&mut command);
                    transaction.journal.add_scripted(command);
                }
            }
            _ => write_read(request.wire(call.location.name), record.field, upstream),
        }
        self.sent(command, shape);
    }

    /// Asks for the value in the record that is stored under this name.
    fn read_for_computed(&mut self, run: &mut ComputedRun, stored: &[u8], upstream: &mut Vec<u8>) {
        self.repeat_asking(run.asking, upstream);
        write_read(stored, run.location.field.as_deref(), upstream);
        run.stage = Stage::Reading;
        self.await_reply();
        self.queue.push(Pending::ComputeRead);
    }

    /// Computes the command, and all that have queued behind it, and sends the result.
    fn write_computed(
        &mut self,
        run: &mut ComputedRun,
        input: InputValue,
        (request, call): (&Request<'_>, ComputeCall),
        keys: &SealingKeys,
        upstream: &mut Vec<u8>,
    ) -> Step {
        let Some(turn) = &mut run.turn else {
            return Step::Done;
        };
        turn.admit();
        let computed = compute(turn.jobs().map(|job| &**job), input, self.limits.value);
        turn.keep(computed.answers.len());
        if computed.change.is_none() && computed.input.is_guess {
            // Only a write tells whether it is still there.
            let stored = request.wire(call.location.name);
            self.read_for_computed(run, stored, upstream);
            return Step::Retry(Next::Replies);
        }
        if computed.is_too_large {
            let reason = OwnReason::TooLarge;
            let command = run.job().map(|job| job.command);
            self.record_own_refusal(command, reason, request.arguments, false);
        }
        let location = run.location.borrowed();
        let key = keys.get(call.location.name);
        let sealed = match &computed.value {
            None => Ok(None),
            Some(value) => seal_value(value, location, key, &self.protection).map(Some),
        };
        let stored = match sealed {
            Ok(stored) => stored.map(Cow::into_owned),
            Err(error) => {
                let command = run.job().map_or("", |job| job.command);
                let answer = self.record_send_error(command, request.arguments, &error);
                run.finish_all(&ComputedAnswer::Error(answer));
                return Step::Done;
            }
        };
        if computed.change.is_none() {
            run.finish_each(computed);
            return Step::Done;
        }
        let len = stored.as_ref().map_or(0, Vec::len);
        let held = computed.before().map_or(0, <[u8]>::len);
        if self.affinity == Affinity::Shared && len.saturating_add(held) > MAX_ON_LANE {
            run.stage = Stage::Read(computed.input);
            return Step::Retry(Next::Dedicated);
        }
        self.repeat_asking(run.asking, upstream);
        let dialect = self.protection.server_limits().dialect();
        let place = (request.wire(call.location.name), location.field);
        computed.write(place, stored.as_deref(), dialect, upstream);
        run.stage = Stage::Writing(computed.sent(stored));
        self.await_reply();
        self.queue.push(Pending::ComputeWrite);
        Step::Retry(Next::Replies)
    }

    /// Opens bytes that were stored a moment ago, without fetching any key. `None` if they must be read instead.
    fn open_known(&self, stored: &[u8]) -> Option<InputValue> {
        let run = self.computed.as_ref()?;
        let command = run.job()?.command;
        let no_keys = HashMap::new();
        let mut values = ValueOpener::new(&self.protection, Some(&no_keys));
        let location = run.location.borrowed();
        let value = StoredValue::open(&mut values, command, stored, location).ok()?;
        let findings = values.finish().ok()?;
        self.report_findings(command, findings);
        Some(InputValue {
            value: Some(value),
            is_guess: true,
        })
    }
}

impl ComputedRun {
    /// Answers all commands that were computed, each with its answer.
    fn finish_each(&mut self, computed: Computed) {
        let stored = match computed.change {
            None => computed.input.value.map(|value| value.stored),
            Some(_) => computed.stored,
        };
        let mut answers = computed.answers.into_iter();
        let own = answers.next();
        if let Some(turn) = self.turn.take() {
            turn.finish(answers, stored);
        }
        self.stage = Stage::Answer(own.unwrap_or(ComputedAnswer::Reply(Reply::Null)));
    }

    /// Answers all commands that were computed with this.
    fn finish_all(&mut self, answer: &ComputedAnswer) {
        if let Some(turn) = self.turn.take() {
            turn.finish(std::iter::repeat_with(|| answer.clone()), None);
        }
        self.stage = Stage::Answer(answer.clone());
    }

    /// The server refused what was computed: this is the answer if it was computed for one command. Otherwise the error is
    /// only about one of them, so that each is computed alone.
    fn fail_write(&mut self, answer: Vec<u8>) {
        let stage = std::mem::replace(&mut self.stage, Stage::Unread);
        let is_separated = self.turn.as_mut().is_some_and(Turn::separate);
        match stage {
            Stage::Writing(computed) if is_separated => {
                self.stage = Stage::Read(computed.input);
            }
            _ => self.finish_all(&ComputedAnswer::Error(answer)),
        }
    }

    /// Answers its own command. Those that it computed for queue again.
    fn finish_own(&mut self, answer: ComputedAnswer) {
        if let Some(turn) = self.turn.take() {
            turn.give_up();
        }
        self.stage = Stage::Answer(answer);
    }
}

/// Appends the request that reads a value.
pub(super) fn write_read(name: &[u8], field: Option<&[u8]>, upstream: &mut Vec<u8>) {
    match field {
        None => {
            write_request_head(upstream, 2);
            write_bulk(upstream, OWN_GET);
            write_bulk(upstream, name);
        }
        Some(field) => {
            write_request_head(upstream, 3);
            write_bulk(upstream, OWN_HGET);
            write_bulk(upstream, name);
            write_bulk(upstream, field);
        }
    }
}
