//! Known scripts over protected records. A script compares what is stored with an argument, and what is stored is
//! sealed, each time in other bytes. So the value is read and opened first, and where it is the one that the client
//! means, the script gets the bytes that are stored. It then runs on the server, atomically for all other clients:
//!
//! ```text
//! client                        proxy                             server
//! EVAL release 1 lock token ──▶ the request is kept          ──▶  GET lock
//!                               opened: it is the token      ◀──  <envelope>
//!                               the argument is replaced     ──▶  EVAL release 1 lock <envelope>
//! :1                        ◀── the request is complete      ◀──  :1
//! ```
//!
//! Where the value is another one, the script gets random bytes that match nothing. Where it was the client's and
//! the script says that it was not, it may have been resealed in between: it is read again.
//!
//! The request stays among the client's bytes until it has its reply, as one does that waits for keys: nothing of it
//! has to be remembered but how far it is.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Instant;

use smallvec::SmallVec;
use waxseal_policy::{
    Action, Effect, KnownScript, ScriptCall, ScriptReply as Meaning, UnknownDigest, decide_script,
};
use waxseal_resp::{Items, Kind, ReplyError, write_bulk, write_request_head};

use super::pairing::Way;
use super::reply_mode::Answering;
use super::requests::{Next, One};
use super::{ConnectionState, Unexplained};
use crate::answers;
use crate::keys::{KeyRequest, Lookup};
use crate::open::Values;
use crate::pending::{Pending, Place, ScriptRead, ScriptReply, Shape};
use crate::refusals::OwnReason;
use crate::remedy::Remedy;
use crate::seal::{Replacement, Request, SealingKeys};

/// Attempts to send a script whose record is replaced each time between reading and running.
const MAX_ATTEMPTS: usize = 16;

/// `GET`, as the proxy itself asks.
const OWN_GET: &[u8] = b"gET";
/// `ASKING`, as the proxy itself says it again.
const OWN_ASKING: &[u8] = b"*1\r\n$6\r\naSKING\r\n";

/// A known script under way.
pub(super) struct ScriptRun {
    stage: ScriptStage,
    /// Number of times that it was sent.
    attempts: usize,
    /// The bytes that it was sent with, where they are those of the value.
    sent: Option<Vec<u8>>,
    /// Its reply, where that says that the value was another one.
    mismatch: Option<Vec<u8>>,
    /// The client asked for no reply.
    muted: bool,
    /// The client said `ASKING` before it: what follows the first request needs it as well.
    asking: bool,
}

enum ScriptStage {
    /// The value must be read.
    Unread,
    Read(StoredValue),
    /// It was sent.
    Sent,
    /// It is not sent, or not again: this is the answer.
    Answer(Vec<u8>),
    /// The client has its reply.
    Answered,
}

/// The bytes stored under the record's name.
struct StoredValue {
    stored: Option<Vec<u8>>,
    /// The value, where it is not what is stored.
    opened: Option<Vec<u8>>,
}

impl StoredValue {
    const NONE: Self = Self {
        stored: None,
        opened: None,
    };

    fn value(&self) -> Option<&[u8]> {
        self.opened.as_deref().or(self.stored.as_deref())
    }
}

impl ScriptRun {
    /// Bytes that are held for it beyond a constant.
    pub(super) fn retained_bytes(&self) -> usize {
        let len = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let of_stage = match &self.stage {
            ScriptStage::Read(value) => len(&value.stored).saturating_add(len(&value.opened)),
            ScriptStage::Answer(answer) => answer.len(),
            ScriptStage::Unread | ScriptStage::Sent | ScriptStage::Answered => 0,
        };
        of_stage
            .saturating_add(len(&self.sent))
            .saturating_add(len(&self.mismatch))
    }
}

impl ConnectionState {
    /// Answers a request that is not sent, or not again: whether it is a script under way or not, it is done with.
    pub(super) fn give_up_script(&mut self, answer: &[u8], client: &mut Vec<u8>) {
        match self.script.take() {
            Some(run) if run.muted => {}
            _ => self.refuse(answer, client),
        }
    }

    /// Notes the text of a script that a request over protected records carries, and finds the script that it names by
    /// its digest. `Err` is the answer to a digest whose text must come first.
    #[inline(never)]
    pub(super) fn resolve_script(
        &mut self,
        request: &Request<'_>,
        action: Action,
    ) -> Result<Action, &'static [u8]> {
        let action = match action {
            Action::ScriptDigest(unknown) => self.resolve_digest(request, unknown)?,
            action => {
                self.note_script(request, &action);
                action
            }
        };
        Ok(match action {
            // Values of excepted names are plain as a rule, and nothing can be read here.
            Action::Script(call)
                if call.place.pattern.is_excepted() && self.transaction.is_some() =>
            {
                Action::Forward
            }
            action => action,
        })
    }

    fn resolve_digest(
        &mut self,
        request: &Request<'_>,
        unknown: UnknownDigest,
    ) -> Result<Action, &'static [u8]> {
        let digest = request.arguments.get(1).copied().unwrap_or_default();
        let scripts = self.protection.scripts();
        let is_trial = self.protection.is_trial();
        let script = match (scripts.find(digest), unknown) {
            (Some(script), _) => script,
            (None, UnknownDigest::Excepted) => None,
            // Forwarded all the same; its text may never come by.
            (None, unknown) if is_trial => return Ok(Action::ScriptDigest(unknown)),
            (None, UnknownDigest::Forward) if !scripts.ask_for_text(digest, Instant::now()) => None,
            (None, UnknownDigest::Refuse(refusal)) => {
                // A client that has the text sends it at once. One that still does not is refused for good.
                if !scripts.ask_for_text(digest, Instant::now()) {
                    let remedy = Remedy::of(&refusal, self.protection.names(), request.arguments);
                    self.record_policy_refusal(&refusal, remedy, request.arguments, false);
                }
                return Err(answers::NO_SCRIPT);
            }
            // Forwarded as it is, the script of a lock would compare the token with the sealed value.
            (None, UnknownDigest::Forward) => return Err(answers::NO_SCRIPT),
        };
        if script.is_none() {
            // Forgotten while it was under way.
            self.script = None;
        }
        let names = self.protection.names();
        Ok(decide_script(names, request.arguments, script))
    }

    /// Notes the text that a request carries. Over other records digests are forwarded as they are, and nothing
    /// needs to be known of them.
    fn note_script(&self, request: &Request<'_>, action: &Action) {
        let word = request.arguments.first().copied().unwrap_or_default();
        let carries_text =
            word.eq_ignore_ascii_case(b"EVAL") || word.eq_ignore_ascii_case(b"EVAL_RO");
        // A request that comes again was noted before.
        if carries_text
            && self.script.is_none()
            && (*action != Action::Forward || self.first_protected(request.arguments).is_some())
        {
            let text = request.arguments.get(1).copied().unwrap_or_default();
            self.protection.scripts().note(text);
        }
    }

    /// A request about scripts went out as it came.
    pub(super) fn sent_about_scripts(
        &mut self,
        request: &Request<'_>,
        command: &'static str,
        effect: Effect,
    ) {
        let shape = match effect {
            Effect::LoadScript => {
                let text = request.arguments.get(2).copied().unwrap_or_default();
                self.protection.scripts().note(text);
                Shape::Verbatim
            }
            Effect::QueryScripts => self.shape_of_query(request),
            _ => {
                self.protection.script_forwarded(command);
                Shape::Verbatim
            }
        };
        self.sent(command, shape);
    }

    /// What a client is told that asks which scripts the server has: one whose text has not passed is as good as absent,
    /// for the proxy asks for it.
    fn shape_of_query(&self, request: &Request<'_>) -> Shape {
        let protection = &self.protection;
        if protection.is_trial() || protection.names().iter().next().is_none() {
            return Shape::Verbatim;
        }
        let digests = request.arguments.iter().skip(2);
        let identifiable_digests: Box<[bool]> = digests
            .map(|digest| protection.scripts().is_identifiable(digest))
            .collect();
        match identifiable_digests.iter().all(|it| *it) {
            true => Shape::Verbatim,
            false => Shape::ScriptsExist(identifiable_digests),
        }
    }

    /// Ends the script under way if it is done with.
    #[inline(never)]
    pub(super) fn finish_script(&mut self, client: &mut Vec<u8>) -> Option<One> {
        let run = self.script.as_mut()?;
        match std::mem::replace(&mut run.stage, ScriptStage::Answered) {
            ScriptStage::Answered => {}
            ScriptStage::Answer(answer) => {
                if !run.muted {
                    self.answer(&answer, client);
                }
            }
            stage => {
                run.stage = stage;
                return None;
            }
        }
        self.script = None;
        Some(One::Done)
    }

    /// Goes on with a known script, or begins with it.
    #[inline(never)]
    pub(super) fn run_script(
        &mut self,
        request: &Request<'_>,
        command: &'static str,
        call: ScriptCall,
        keys: &SealingKeys,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> One {
        if self.script.is_none() {
            if self.transaction.is_some() {
                self.refuse_script_in_transaction(request, command, client);
                return One::Done;
            }
            if self.replying || !self.pending.is_empty() {
                // What they say decides what a read would be answered with.
                return One::Again(Next::Replies);
            }
        }
        let asking = std::mem::take(&mut self.asking);
        let run = self.script.get_or_insert_with(|| {
            Box::new(ScriptRun {
                stage: ScriptStage::Unread,
                attempts: 0,
                sent: None,
                mismatch: None,
                muted: false,
                asking,
            })
        });
        let ScriptStage::Read(value) = std::mem::replace(&mut run.stage, ScriptStage::Unread)
        else {
            self.read_for_script(request, command, call, upstream);
            return One::Again(Next::Replies);
        };
        let unchanged = run.sent.is_some() && run.sent == value.stored;
        if let (Some(reply), true) = (run.mismatch.take(), unchanged) {
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
            Some(one) => one,
            None => One::Again(Next::Replies),
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
        let place = Place::of(call.place, request.arguments);
        write_request_head(upstream, 2);
        write_bulk(upstream, OWN_GET);
        write_bulk(upstream, &place.name);
        self.await_reply();
        let read = ScriptRead { command, place };
        self.expect_in_any_mode(Pending::ScriptRead(Box::new(read)));
    }

    /// Sends the script. `Err` is the answer where it cannot be.
    fn send_script(
        &mut self,
        request: &Request<'_>,
        command: &'static str,
        call: ScriptCall,
        value: StoredValue,
        keys: &SealingKeys,
        upstream: &mut Vec<u8>,
    ) -> Result<(), Vec<u8>> {
        if call.place.pattern.is_excepted() && value.opened.is_none() {
            // Plain or absent: the server compares as the client means it.
            self.send_asking(upstream);
            upstream.extend_from_slice(request.raw);
            self.expect_script(command, call.script, None);
            return Ok(());
        }
        let protection = self.protection.clone();
        let argument = request.arguments.get(call.compared).copied();
        let stored = match value.value() == argument {
            true => value.stored,
            false => None,
        };
        let mut replaced: SmallVec<[(usize, Replacement<'_>); 2]> = SmallVec::new();
        let takes = call.stored.filter(|slot| slot.argument == call.compared);
        replaced.push(match (&stored, takes) {
            (Some(stored), _) => (call.compared, Replacement::Bytes(stored)),
            // Sealed at random: no stored value has these bytes.
            (None, Some(slot)) => (call.compared, Replacement::Sealed(slot)),
            (None, None) => {
                let nothing = protection.scripts().unmatchable_bytes();
                (call.compared, Replacement::Bytes(nothing))
            }
        });
        if let Some(slot) = call.stored
            && takes.is_none()
        {
            replaced.push((slot.argument, Replacement::Sealed(slot)));
        }
        replaced.sort_unstable_by_key(|(at, _)| *at);
        let before = upstream.len();
        let pending = self.pending.len();
        self.send_asking(upstream);
        let sent = request.send_replaced(&replaced, &protection, keys, upstream);
        drop(replaced);
        if let Err(error) = sent {
            upstream.truncate(before);
            self.pending.truncate(pending);
            return Err(self.not_sent(command, request.arguments, &error));
        }
        self.expect_script(command, call.script, stored);
        Ok(())
    }

    /// Remembers what the reply to a script that was sent will be.
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
        let muted = self.answering != Answering::On;
        if self.answering == Answering::SkipNext {
            self.answering = Answering::On;
        }
        let Some(run) = &mut self.script else {
            return;
        };
        run.stage = ScriptStage::Sent;
        run.attempts = run.attempts.saturating_add(1);
        run.sent = stored;
        // Asked for before it was sent the first time.
        run.muted |= muted;
        let reply = match run.muted {
            true => Pending::Muted(Box::new(reply)),
            false => reply,
        };
        self.await_reply();
        self.expect_in_any_mode(reply);
    }

    /// Sends `ASKING` again if the client sent it: it counts for one request.
    fn send_asking(&mut self, upstream: &mut Vec<u8>) {
        if self.script.as_ref().is_some_and(|run| run.asking) {
            upstream.extend_from_slice(OWN_ASKING);
            self.pending.push_back(Pending::Swallow { fatal: false });
        }
    }

    /// Takes the value that was read; or says which keys it needs that are not at hand.
    pub(super) fn take_script_value(
        &mut self,
        read: &ScriptRead,
        way: Way,
        whole: &[u8],
        fetched: Option<&HashMap<Box<[u8]>, Lookup>>,
    ) -> Result<Option<Box<KeyRequest>>, Unexplained> {
        let stage = match way {
            Way::TooLarge => ScriptStage::Answer(self.too_large_reply(read.command)),
            _ => match self.open_for_script(read, whole, fetched) {
                Ok(Ok(stage)) => stage,
                Ok(Err(wanted)) => return Ok(Some(wanted)),
                Err(_) => return Err(Unexplained::Pairing),
            },
        };
        if let Some(run) = &mut self.script {
            run.stage = stage;
        }
        Ok(None)
    }

    fn open_for_script(
        &self,
        read: &ScriptRead,
        whole: &[u8],
        fetched: Option<&HashMap<Box<[u8]>, Lookup>>,
    ) -> Result<Result<ScriptStage, Box<KeyRequest>>, ReplyError> {
        let mut items = Items::of(whole);
        let mut item = items.next()?.ok_or(ReplyError::Type)?;
        while let Kind::Attribute(pairs) = item.kind {
            for _ in 0..pairs.saturating_mul(2) {
                items.skip()?;
            }
            item = items.next()?.ok_or(ReplyError::Type)?;
        }
        let stored = match item.kind {
            Kind::Null => return Ok(Ok(ScriptStage::Read(StoredValue::NONE))),
            // The script says so itself.
            Kind::Error if whole.starts_with(b"-WRONGTYPE") => {
                return Ok(Ok(ScriptStage::Read(StoredValue::NONE)));
            }
            Kind::Error if whole.starts_with(b"-NOPERM") => {
                return Ok(Ok(ScriptStage::Answer(answers::script_may_not_read(
                    read.command,
                ))));
            }
            Kind::Error => {
                let answer = answers::read_failed(read.command, item.raw);
                return Ok(Ok(ScriptStage::Answer(answer)));
            }
            Kind::Bulk | Kind::Simple | Kind::Other => item.text,
            _ => return Err(ReplyError::Type),
        };
        let mut values = Values::new(&self.protection, fetched);
        let opened = values.open(read.command, stored, (&read.place).into());
        let noted = match values.finish() {
            Ok(noted) => noted,
            Err(wanted) => return Ok(Err(wanted)),
        };
        self.tell(read.command, &noted);
        Ok(Ok(match opened {
            Err(answer) => ScriptStage::Answer(answer),
            Ok(opened) => ScriptStage::Read(StoredValue {
                stored: Some(stored.to_vec()),
                opened: match opened {
                    Cow::Borrowed(_) => None,
                    Cow::Owned(value) => Some(value),
                },
            }),
        }))
    }

    /// Gives the client the reply of a script; unless the value must be read again.
    pub(super) fn give_script_reply(
        &self,
        reply: ScriptReply,
        way: Way,
        whole: &[u8],
        client: &mut Vec<u8>,
    ) {
        match way {
            Way::TooLarge => client.extend_from_slice(&self.too_large_reply(reply.command)),
            _ if is_mismatch(&reply, whole) => {}
            _ => client.extend_from_slice(whole),
        }
    }

    /// The reply of a script has ended.
    pub(super) fn end_script(&mut self, reply: &ScriptReply, whole: &[u8]) {
        self.barrier = false;
        let Some(run) = &mut self.script else {
            return;
        };
        run.stage = match is_mismatch(reply, whole) {
            true => {
                run.mismatch = Some(whole.to_vec());
                ScriptStage::Unread
            }
            false => ScriptStage::Answered,
        };
    }
}

/// Returns whether a script says that the value was not the one that had been read.
fn is_mismatch(reply: &ScriptReply, whole: &[u8]) -> bool {
    reply.matched && reply.script.is_mismatch(meaning(whole))
}

/// The meaning of a script's reply.
fn meaning(whole: &[u8]) -> Meaning {
    let Ok(Some(item)) = Items::of(whole).next() else {
        return Meaning::Other;
    };
    match item.kind {
        Kind::Null => Meaning::Null,
        Kind::Error => Meaning::Error,
        _ => {
            let number = whole
                .strip_prefix(b":")
                .and_then(|rest| rest.strip_suffix(b"\r\n"))
                .and_then(|number| std::str::from_utf8(number).ok()?.parse().ok());
            number.map_or(Meaning::Other, Meaning::Integer)
        }
    }
}
