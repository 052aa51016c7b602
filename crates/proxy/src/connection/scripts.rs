//! Known scripts over protected records. A script compares what is stored with an argument, and what is stored is
//! sealed, each time in other bytes. So the value is read and opened first, and if it equals the client's argument, the
//! script gets the bytes that are stored. It then runs on the server, atomically for all other clients:
//!
//! ```text
//! client                        proxy                             server
//! EVAL release 1 lock token ──▶ the request is kept          ──▶  GET lock
//!                               opened: it is the token      ◀──  <envelope>
//!                               the argument is replaced     ──▶  EVAL release 1 lock <envelope>
//! :1                        ◀── the request is complete      ◀──  :1
//! ```
//!
//! If the value is another one, the script gets random bytes that match nothing. If it was the client's and the script
//! says that it was not, it may have been resealed in between: it is read again.
//!
//! The request stays among the client's bytes until it has its reply, as one does that waits for keys. Only its stage
//! is remembered:
//!
//! ```text
//! Unread ── GET sent, reply opened ──▶ Read ── script sent ──▶ Sent ── its reply ──▶ Answered
//!    ▲                                   │                      │
//!    └── resealed in between ────────────┼──────────────────────┘
//!                                        └── it cannot be sent ──▶ Answer(error)
//! ```
//!
//! `resolve` finds the script of a request, `replies` reads what the server answers.

use smallvec::SmallVec;
use waxseal_metrics::OwnWork;
use waxseal_policy::{KnownScript, ScriptCall};
use waxseal_resp::{write_bulk, write_request_head};

use super::requests::{Next, Step};
use super::state::ConnectionState;
use super::stored::StoredValue;
use crate::answers;
use crate::location::owned;
use crate::pending::{Pending, ScriptRead, ScriptReply};
use crate::refusals::OwnReason;
use crate::seal::{Replacement, Request, SealingKeys};

mod replies;
mod resolve;

/// Attempts to send a script whose record is replaced each time between reading and running.
const MAX_ATTEMPTS: usize = 16;

/// `GET`, as the proxy itself asks.
const OWN_GET: &[u8] = b"gET";
/// `ASKING`, as the proxy itself repeats it.
pub(super) const OWN_ASKING: &[u8] = b"*1\r\n$6\r\naSKING\r\n";

/// A known script that is running.
pub(super) struct ScriptRun {
    stage: ScriptStage,
    /// The number of times that it was sent.
    attempts: usize,
    /// The stored bytes that it was sent with, if they are those of the value.
    sent: Option<Vec<u8>>,
    /// Its reply, if that says that the value was another one.
    mismatch: Option<Vec<u8>>,
    /// The client asked for no reply.
    is_muted: bool,
    /// The client sent `ASKING` before it, which the requests after the first one need as well.
    asking: bool,
}

enum ScriptStage {
    /// The value must be read.
    Unread,
    /// The value, if there is one.
    Read(Option<StoredValue>),
    /// It was sent.
    Sent,
    /// It is not sent, or not again: this is the answer.
    Answer(Vec<u8>),
    /// The client has its reply.
    Answered,
}

impl ScriptRun {
    fn new(asking: bool) -> Self {
        Self {
            stage: ScriptStage::Unread,
            attempts: 0,
            sent: None,
            mismatch: None,
            is_muted: false,
            asking,
        }
    }

    /// Bytes that are held for it beyond its own size.
    pub(super) fn retained_bytes(&self) -> usize {
        let len = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let in_stage = match &self.stage {
            ScriptStage::Read(value) => value.as_ref().map_or(0, StoredValue::retained_bytes),
            ScriptStage::Answer(answer) => answer.len(),
            ScriptStage::Unread | ScriptStage::Sent | ScriptStage::Answered => 0,
        };
        in_stage
            .saturating_add(len(&self.sent))
            .saturating_add(len(&self.mismatch))
    }
}

impl ConnectionState {
    /// Answers a request that is not sent, or not again. A script that was running is over.
    pub(super) fn abandon_script(&mut self, answer: &[u8], client: &mut Vec<u8>) {
        match self.script.take() {
            Some(run) if run.is_muted => {}
            _ => self.refuse(answer, client),
        }
    }

    /// Ends the script that is running if it has its answer.
    #[inline(never)]
    pub(super) fn finish_script(&mut self, client: &mut Vec<u8>) -> Option<Step> {
        let run = self.script.as_mut()?;
        match std::mem::replace(&mut run.stage, ScriptStage::Answered) {
            ScriptStage::Answered => {}
            ScriptStage::Answer(answer) => {
                if !run.is_muted {
                    self.answer(&answer, client);
                }
            }
            stage => {
                run.stage = stage;
                return None;
            }
        }
        self.script = None;
        Some(Step::Done)
    }

    /// Takes a known script one stage further, or begins with it.
    #[inline(never)]
    pub(super) fn run_script(
        &mut self,
        request: &Request<'_>,
        command: &'static str,
        call: ScriptCall,
        keys: &SealingKeys,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> Step {
        if self.script.is_none() {
            if self.transaction.is_open() {
                self.refuse_script_in_transaction(request, command, client);
                return Step::Done;
            }
            if !self.has_all_replies() {
                // They decide what a read would be answered with.
                return Step::Retry(Next::Replies);
            }
            self.protection.carried_out(OwnWork::Script);
        }
        let asking = std::mem::take(&mut self.asking);
        let new = || Box::new(ScriptRun::new(asking));
        let run = self.script.get_or_insert_with(new);
        let ScriptStage::Read(value) = std::mem::replace(&mut run.stage, ScriptStage::Unread)
        else {
            self.read_for_script(request, command, call, upstream);
            return Step::Retry(Next::Replies);
        };
        let stored = value.as_ref().map(|value| &value.stored);
        let is_unchanged = stored.is_some() && run.sent.as_ref() == stored;
        if let (Some(reply), true) = (run.mismatch.take(), is_unchanged) {
            // Not resealed: the script has another reason for its reply.
            run.stage = ScriptStage::Answer(reply);
        } else if run.attempts >= MAX_ATTEMPTS {
            run.stage = ScriptStage::Answer(answers::script_changed(command));
            let reason = OwnReason::ScriptChanged;
            self.record_own_refusal(Some(command), reason, request.arguments, false);
        } else if let Err(answer) = self.send_script(request, command, call, value, keys, upstream)
            && let Some(run) = &mut self.script
        {
            run.stage = ScriptStage::Answer(answer);
        }
        match self.finish_script(client) {
            Some(step) => step,
            None => Step::Retry(Next::Replies),
        }
    }

    /// Asks for the record's value.
    fn read_for_script(
        &mut self,
        request: &Request<'_>,
        command: &'static str,
        call: ScriptCall,
        upstream: &mut Vec<u8>,
    ) {
        if self.script.as_ref().is_some_and(|run| run.attempts > 0) {
            self.send_asking(upstream);
        }
        let location = call.location.resolve(request.arguments);
        write_request_head(upstream, 2);
        write_bulk(upstream, OWN_GET);
        write_bulk(upstream, request.wire(call.location.name));
        self.await_reply();
        let location = owned(location);
        let read = ScriptRead { command, location };
        self.queue.push(Pending::ScriptRead(Box::new(read)));
    }

    /// Sends the script. `Err` is the answer if it cannot be sent.
    fn send_script(
        &mut self,
        request: &Request<'_>,
        command: &'static str,
        call: ScriptCall,
        value: Option<StoredValue>,
        keys: &SealingKeys,
        upstream: &mut Vec<u8>,
    ) -> Result<(), Vec<u8>> {
        let is_sealed = value.as_ref().is_some_and(StoredValue::is_sealed);
        if call.location.pattern.is_excepted() && !is_sealed {
            // Plain or absent: the server compares the client's argument itself.
            self.send_asking(upstream);
            request.forward(upstream);
            self.expect_script(command, call.script, None);
            return Ok(());
        }
        let protection = self.protection.clone();
        let argument = request.arguments.get(call.compared).copied();
        let matching = value.filter(|value| Some(value.value()) == argument);
        let stored = matching.map(|value| value.stored);
        let mut replaced: SmallVec<[(usize, Replacement<'_>); 2]> = SmallVec::new();
        // The script stores the argument that it compares.
        let stores_compared = call.stored.filter(|slot| slot.argument == call.compared);
        replaced.push(match (&stored, stores_compared) {
            (Some(stored), _) => (call.compared, Replacement::Bytes(stored)),
            // Sealed at random: no stored value has these bytes.
            (None, Some(slot)) => (call.compared, Replacement::Sealed(slot)),
            (None, None) => {
                let unmatchable = protection.scripts().unmatchable_bytes();
                (call.compared, Replacement::Bytes(unmatchable))
            }
        });
        if let Some(slot) = call.stored
            && stores_compared.is_none()
        {
            replaced.push((slot.argument, Replacement::Sealed(slot)));
        }
        replaced.sort_unstable_by_key(|(at, _)| *at);
        let written = upstream.len();
        let queued = self.queue.len();
        self.send_asking(upstream);
        let sent = request.send_replaced(&replaced, &protection, keys, upstream);
        drop(replaced);
        if let Err(error) = sent {
            upstream.truncate(written);
            self.queue.truncate(queued);
            return Err(self.record_send_error(command, request.arguments, &error));
        }
        self.expect_script(command, call.script, stored);
        Ok(())
    }

    /// Queues the reply to a script that was sent, with these bytes if they are those of the value.
    fn expect_script(
        &mut self,
        command: &'static str,
        script: KnownScript,
        stored: Option<Vec<u8>>,
    ) {
        let reply = Pending::Script(Box::new(ScriptReply {
            command,
            script,
            matched: stored.is_some(),
        }));
        let is_muted = self.reply_mode.take_mute();
        let Some(run) = &mut self.script else {
            return;
        };
        run.stage = ScriptStage::Sent;
        run.attempts = run.attempts.saturating_add(1);
        run.sent = stored;
        // The client asked for no reply before it was sent the first time.
        run.is_muted |= is_muted;
        let reply = match run.is_muted {
            true => Pending::Muted(Box::new(reply)),
            false => reply,
        };
        self.await_reply();
        self.queue.push(reply);
    }

    /// Sends `ASKING` again if the client sent it: it counts for one request only.
    fn send_asking(&mut self, upstream: &mut Vec<u8>) {
        let asking = self.script.as_ref().is_some_and(|run| run.asking);
        self.repeat_asking(asking, upstream);
    }

    /// Sends `ASKING` again for one more request, if the client sent it.
    pub(super) fn repeat_asking(&mut self, asking: bool, upstream: &mut Vec<u8>) {
        if asking {
            upstream.extend_from_slice(OWN_ASKING);
            self.queue.push_internal(false);
        }
    }
}
