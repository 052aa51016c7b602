//! `SORT` and `SORT_RO` where a record is protected: the server has its elements in no order. They are read, with what other
//! records hold for them, opened and sorted here; a result that is stored is sealed, and written if everything that was
//! read is still the same:
//!
//! ```text
//! client                         proxy                               server
//! SORT wa:1 BY w:* STORE wa:2 ──▶ the request is kept           ──▶  EVAL (reads the record) wa:1
//!                                 opened: names are made         ◀── its type, its elements, a digest
//!                                 a script compares and reads    ──▶ EVAL … wa:1 <digest> w:a w:b
//!                                 opened, sorted, sealed         ◀── a digest, what they hold
//!                                 a script compares and stores   ──▶ EVAL … wa:1 <digest> w:a w:b wa:2 <new> <new>
//! :2                          ◀── the request is complete        ◀── 1
//! ```
//!
//! If anything is another one by then, nothing has changed, and it begins again. The request stays among the client's
//! bytes until it has its reply. Only its stage is remembered.
//!
//! A command that needs the elements alone is sent as their read, and sorted where its reply is opened (`open/sorted`): it
//! may stand in a transaction.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use waxseal_compute::{Rejected, ServerError, Sort};
use waxseal_core::UserKey;
use waxseal_lua::{read_sorted, store_sorted, write_eval};
use waxseal_metrics::OwnWork;
use waxseal_policy::{Effect, SortCall};
use waxseal_resp::{write_bulk, write_request_head};

use self::data::{SortData, Todo};
use super::effects::MAX_ON_LANE;
use super::requests::{Next, Step};
use super::state::{Affinity, ConnectionState};
use crate::answers;
use crate::location::{Name, OwnedLocation, owned};
use crate::open::{SortedReply, SortedSource};
use crate::pending::{Pending, Shape};
use crate::refusals::OwnReason;
use crate::seal::{Request, SealingKeys, SendError, seal_value};

mod data;
mod replies;

/// The time for which a command is carried out again because something that it reads was changed each time.
const RETRY_TIMEOUT: Duration = Duration::from_secs(2);

/// A command that is sorting.
pub(super) struct SortRun {
    stage: Stage,
    command: &'static str,
    sort: Sort,
    source: SortedSource,
    /// The list that the result is stored in, if there is one: its location if it is protected.
    destination: Option<Option<OwnedLocation>>,
    data: SortData,
    begun: Instant,
    /// The client sent `ASKING` before it, which each request for it needs.
    asking: bool,
}

enum Stage {
    /// The next request can be sent.
    Ready,
    Reading,
    /// So many elements were sent to be stored.
    Storing(usize),
    /// This is the answer.
    Answer(Vec<u8>),
}

impl SortRun {
    /// Bytes that are held for it beyond its own size.
    pub(super) fn retained_bytes(&self) -> usize {
        let answer = match &self.stage {
            Stage::Answer(answer) => answer.len(),
            Stage::Ready | Stage::Reading | Stage::Storing(_) => 0,
        };
        self.data.retained_bytes().saturating_add(answer)
    }

    /// The command in scripts, which reads as the client's does.
    fn word(&self) -> &'static [u8] {
        sort_word(self.command)
    }
}

fn sort_word(command: &str) -> &'static [u8] {
    match command {
        "sort_ro" => b"SORT_RO",
        _ => b"SORT",
    }
}

/// Appends the request that reads a record to be sorted.
fn write_first_read(name: &[u8], word: &[u8], out: &mut Vec<u8>) {
    write_eval(out, &read_sorted(), &[name], &[word, b"", b"0"]);
}

impl ConnectionState {
    /// Ends the command that is sorting if it has its answer.
    #[inline(never)]
    pub(super) fn finish_sort(&mut self, client: &mut Vec<u8>) -> Option<Step> {
        let run = self.sorting.as_mut()?;
        let Stage::Answer(answer) = &mut run.stage else {
            return None;
        };
        let answer = std::mem::take(answer);
        self.sorting = None;
        self.answer(&answer, client);
        Some(Step::Done)
    }

    /// Takes a command that sorts one stage further, or begins with it.
    #[inline(never)]
    pub(super) fn run_sort(
        &mut self,
        request: &Request<'_>,
        command: &'static str,
        call: SortCall,
        keys: &SealingKeys,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> Step {
        if self.sorting.is_none()
            && let Some(step) = self.begin_sort(request, (command, call), upstream, client)
        {
            return step;
        }
        let Some(mut run) = self.sorting.take() else {
            return Step::Done;
        };
        let step = match run.stage {
            Stage::Ready => {
                let key = call.destination.and_then(|(at, _)| keys.get(at)).cloned();
                self.continue_sort(&mut run, key.as_ref(), (request, call), upstream)
            }
            _ => Step::Retry(Next::Replies),
        };
        self.sorting = Some(run);
        match self.finish_sort(client) {
            Some(step) => step,
            None => step,
        }
    }

    /// Begins with a command that sorts. Returns the step if that is all: it is sent as another request, or refused.
    fn begin_sort(
        &mut self,
        request: &Request<'_>,
        (command, call): (&'static str, SortCall),
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> Option<Step> {
        let dialect = self.protection.server_limits().dialect();
        let sort = match Sort::parse(request.arguments, dialect) {
            Ok(sort) => sort,
            Err(rejected) => {
                self.send_rejected_sort(request, (command, rejected), upstream);
                return Some(Step::Done);
            }
        };
        let name = request.arguments.get(call.source).copied();
        let name = name.unwrap_or_default();
        let source = SortedSource {
            name: Name::from_slice(name),
            pattern: call.pattern,
        };
        if sort.needs_elements_alone() && sort.destination().is_none() {
            let shape = Shape::Sorted(Box::new(SortedReply {
                sort,
                source,
                protocol: self.client.protocol,
                limit: self.limits.value,
            }));
            if !self.has_room_in_transaction(shape.retained_bytes()) {
                let reason = (Some(command), OwnReason::TransactionTooLarge);
                let answer = answers::transaction_too_large();
                self.refuse_here(reason, answer, (request, Effect::None), client);
                return Some(Step::Done);
            }
            write_first_read(request.wire(call.source), sort_word(command), upstream);
            self.sent(command, shape);
            return Some(Step::Done);
        }
        if self.transaction.is_open() {
            let reason = (Some(command), OwnReason::InTransaction);
            let answer = answers::sort_in_transaction(command);
            self.refuse_here(reason, answer, (request, Effect::None), client);
            return Some(Step::Done);
        }
        if !self.has_all_replies() {
            // They decide what a read would be answered with.
            return Some(Step::Retry(Next::Replies));
        }
        let destination = call.destination.map(|(_, location)| {
            location.map(|location| owned(location.resolve(request.arguments)))
        });
        self.protection.carried_out(OwnWork::Sort);
        self.sorting = Some(Box::new(SortRun {
            stage: Stage::Ready,
            command,
            sort,
            source,
            destination,
            data: SortData::default(),
            begun: Instant::now(),
            asking: std::mem::take(&mut self.asking),
        }));
        None
    }

    /// Sends a request that the server refuses, with no other argument than the name.
    fn send_rejected_sort(
        &mut self,
        request: &Request<'_>,
        (command, rejected): (&'static str, Rejected),
        upstream: &mut Vec<u8>,
    ) {
        let options: &[&[u8]] = match rejected {
            Rejected::Arguments(ServerError::NotAnInteger) => &[b"LIMIT", b"x", b"x"],
            // An option without its operand.
            _ => &[b"LIMIT"],
        };
        let known = request.arguments.len().min(2);
        write_request_head(upstream, known.saturating_add(options.len()));
        let known = (0..known).map(|at| request.wire(at));
        for argument in known.chain(options.iter().copied()) {
            write_bulk(upstream, argument);
        }
        self.sent(command, Shape::VERBATIM);
    }

    /// True if a command that sorts needs more than one request, which has no place in a transaction.
    pub(super) fn sorts_in_steps(&self, arguments: &[&[u8]]) -> bool {
        let dialect = self.protection.server_limits().dialect();
        Sort::parse(arguments, dialect)
            .is_ok_and(|sort| !sort.needs_elements_alone() || sort.destination().is_some())
    }

    /// Sends the next request of a command that sorts.
    fn continue_sort(
        &mut self,
        run: &mut SortRun,
        key: Option<&Arc<UserKey>>,
        (request, call): (&Request<'_>, SortCall),
        upstream: &mut Vec<u8>,
    ) -> Step {
        let limits = (run.command, self.limits.value);
        let source = request.wire(call.source);
        let mut bytes = Vec::new();
        let stage = match run.data.next(&run.sort, limits) {
            Ok(Todo::Read) => {
                write_first_read(source, run.word(), &mut bytes);
                Stage::Reading
            }
            Ok(Todo::LookUp) => {
                let text = read_sorted();
                match self.write_lookups(run, (&text, source), None, &mut bytes) {
                    Ok(()) => Stage::Reading,
                    Err(error) => self.sort_failed(run, request, &error),
                }
            }
            Ok(Todo::Finish) => match self.finish_sorted(run, key, (request, call), &mut bytes) {
                Ok(stage) => stage,
                Err(error) => self.sort_failed(run, request, &error),
            },
            Err(answer) => Stage::Answer(answer),
        };
        if bytes.is_empty() {
            run.stage = stage;
            return Step::Done;
        }
        if self.affinity == Affinity::Shared && bytes.len() > MAX_ON_LANE {
            return Step::Retry(Next::Dedicated);
        }
        run.stage = stage;
        self.repeat_asking(run.asking, upstream);
        upstream.extend_from_slice(&bytes);
        self.await_reply();
        self.queue.push(Pending::Sort);
        Step::Retry(Next::Replies)
    }

    /// The end of a command of which something cannot be sent.
    #[cold]
    fn sort_failed(&self, run: &SortRun, request: &Request<'_>, error: &SendError) -> Stage {
        Stage::Answer(self.record_send_error(run.command, request.arguments, error))
    }

    /// Appends the request that runs this script on the record that is stored under this name and on everything that was
    /// looked up, and stores these elements there.
    fn write_lookups(
        &self,
        run: &SortRun,
        (text, source): (&str, &[u8]),
        destination: Option<(&[u8], &[Vec<u8>])>,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let names = run.data.names().map(|name| self.stored_name(name));
        let names: Vec<Cow<'_, [u8]>> = names.collect::<Result<_, _>>()?;
        let all = std::iter::once(source).chain(names.iter().map(|name| &**name));
        run.data
            .write(text, all.collect(), run.word(), destination, out);
        Ok(())
    }

    /// Answers with the results, or appends the request that stores them.
    fn finish_sorted(
        &self,
        run: &SortRun,
        key: Option<&Arc<UserKey>>,
        (request, call): (&Request<'_>, SortCall),
        out: &mut Vec<u8>,
    ) -> Result<Stage, SendError> {
        let limits = (self.client.protocol, self.limits.value);
        let Some((location, (at, _))) = run.destination.as_ref().zip(call.destination) else {
            return Ok(Stage::Answer(run.data.reply(run.command, limits)));
        };
        let results = match run.data.to_store(run.command, self.limits.value) {
            Ok(results) => results,
            Err(answer) => return Ok(Stage::Answer(answer)),
        };
        let seal = |value: &&[u8]| match location {
            None => Ok(value.to_vec()),
            Some(location) => {
                let location = location.borrowed();
                seal_value(value, location, key, &self.protection).map(Cow::into_owned)
            }
        };
        let stored: Result<Vec<Vec<u8>>, SendError> = results.iter().map(seal).collect();
        let stored = stored?;
        let destination = (request.wire(at), &stored[..]);
        let text = store_sorted();
        let source = request.wire(call.source);
        self.write_lookups(run, (&text, source), Some(destination), out)?;
        Ok(Stage::Storing(stored.len()))
    }
}
