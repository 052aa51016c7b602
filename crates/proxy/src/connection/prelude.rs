//! The prelude of requests that name members ([`seal`](crate::seal)): a script that gives these members the form in
//! which they are written, directly before the request, so that no other client comes in between.
//!
//! A command that writes members, or that reads a few, is run by that script: if the script fails, whatever for, so does the
//! command, and no member is there in two forms. Its replies are those of the command. What only reads is answered also where
//! the server would not give members another form (it is full, a replica, or the user may not write): the script then looks
//! them up in the form that they have.
//!
//! ```text
//! client            proxy                                 server
//! SADD wa:s ana ──▶ one script                       ──▶  EVAL … SADD wa:s <envelope>
//! :1            ◀──                                  ◀──  :1
//! ```
//!
//! Any other command, whose reply a script would change, goes out behind it, and is the client's to the byte. If the script
//! fails there, the command finds only what is in the written form, and the client gets the error:
//!
//! ```text
//! client                 proxy                                 server
//! GEOPOS wa:g ana ──▶    one write:                       ──▶  MULTI; EVAL …; GEOPOS wa:g <envelope>; EXEC
//!                        +OK, +QUEUED, +QUEUED: dropped   ◀──  +OK +QUEUED +QUEUED *2 :0 *1 …
//! *1 …            ◀──    the second element is the reply
//! ```
//!
//! In a transaction of the client's the script is one more command of it, whose reply is left out. Where EXEC would end
//! what the client watches, and after `ASKING`, which is said for each request, both are sent without a transaction.

use std::borrow::Cow;
use std::collections::HashMap;

use waxseal_metrics::OwnWork;
use waxseal_policy::{RequestChange, Transform, ValueSlot, is};
use waxseal_resp::{Items, Kind};

use super::UnexpectedReply;
use super::replay::journal::with_arguments;
use super::scripts::OWN_ASKING;
use super::state::{Affinity, ConnectionState};
use super::transaction::{Added, Reply};
use super::values::is_queued;
use crate::answers;
use crate::keys::{KeyRequest, Lookup};
use crate::pending::{Pending, Protocol, Shape};
use crate::seal::{MemberForms, Request, SealingKeys, SendError, are_compared};

const OWN_MULTI: &[u8] = b"*1\r\n$5\r\nmULTI\r\n";
const OWN_EXEC: &[u8] = b"*1\r\n$4\r\neXEC\r\n";

/// Attempts to seal members in the form that their prelude gives them.
const MAX_SEAL_ATTEMPTS: usize = 4;

/// What the replies to a prelude have said before the one that the client gets.
#[derive(Default)]
pub(super) struct PreludeReplies {
    /// The error of the script.
    refused: Option<Box<[u8]>>,
    /// The reply of the command, if it was not queued.
    direct: Option<Box<[u8]>>,
}

impl PreludeReplies {
    /// True if the script failed, so that the reply to the command behind it is read.
    #[inline]
    pub(super) fn is_refused(&self) -> bool {
        self.refused.is_some()
    }
}

/// A command that the script runs: it writes members, or reads them with a reply that a script passes on to the byte.
#[derive(Clone, Copy)]
struct ScriptedCommand {
    /// The number of its words before those that repeat.
    head: usize,
    /// The number of words that repeat; 0 if it only reads.
    unit: usize,
}

/// The number of words of a command that reads members at most, with which a script can pass it on.
const MAX_READ_WORDS: usize = 5_000;

impl ScriptedCommand {
    /// The command, if it is one in a form that servers may accept, with the numbers of words that it needs.
    fn of(name: &str, arguments: &[&[u8]], is_resp3: bool) -> Option<Self> {
        let len = arguments.len();
        let is_short = (3..=MAX_READ_WORDS).contains(&len);
        let is_read = match name {
            "sismember" | "zscore" | "zrank" | "zrevrank" => len == 3,
            "smismember" => is_short,
            // In the third version of the protocol a script cannot pass on nulls between others.
            "zmscore" | "geohash" => !is_resp3 && is_short,
            "geodist" => len == 4 || len == 5,
            _ => false,
        };
        if is_read {
            return Some(Self { head: 2, unit: 0 });
        }
        let is_option = |at: &usize| {
            let words = ["NX", "XX", "GT", "LT", "CH", "INCR"];
            words.iter().any(|word| is(arguments, *at, word))
        };
        let options = (2..len).take_while(is_option).count();
        let unit = match name {
            "sadd" | "srem" | "zrem" if len >= 3 => 1,
            "zadd" => 2,
            "geoadd" => 3,
            "zincrby" | "smove" | "lrem" if len == 4 => 1,
            "linsert" if len == 5 => 1,
            "lpos" if len >= 3 => 1,
            _ => return None,
        };
        let head = match unit {
            1 => 2,
            _ => options.saturating_add(2),
        };
        let repeated = len.saturating_sub(head);
        let is_whole = repeated > 0 && repeated.checked_rem(unit) == Some(0);
        is_whole.then_some(Self { head, unit })
    }
}

/// A request behind its prelude, in a transaction of the proxy's own.
pub(crate) struct PreludedRequest {
    pub(crate) command: &'static str,
    pub(crate) shape: Shape,
}

impl ConnectionState {
    /// True if a request with a prelude must wait: on whether a transaction is open.
    pub(super) fn must_wait_for_prelude(
        &self,
        name: &str,
        transform: &Transform,
        arguments: &[&[u8]],
    ) -> bool {
        let RequestChange::Seal(slots) = &transform.request else {
            return false;
        };
        self.transaction.has_begun()
            && !self.transaction.is_open()
            && are_compared(name, slots)
            && ScriptedCommand::of(name, arguments, self.is_resp3()).is_none()
            && self.may_be_in_transaction()
    }

    /// Sends a request, behind its prelude if it needs one. On an error nothing was sent.
    pub(super) fn send_transformed(
        &mut self,
        request: &Request<'_>,
        name: &'static str,
        (transform, shape): (&Transform, Shape),
        keys: &SealingKeys,
        upstream: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let protection = self.protection.clone();
        if let RequestChange::Seal(slots) = &transform.request
            && are_compared(name, slots)
            && let Some((forms, sealed)) = self.sealed_members(request, slots, transform, keys)?
        {
            match ScriptedCommand::of(name, request.arguments, self.is_resp3()) {
                Some(command) => self.send_scripted(name, (&forms, command), sealed, upstream),
                None => self.send_behind_prelude((name, shape), (&forms, &sealed), upstream),
            }
            return Ok(());
        }
        request.send(&transform.request, &protection, keys, upstream)?;
        self.sent(name, shape);
        Ok(())
    }

    /// The forms of the members that a request names, and the request with the written ones. `None` if there is no other form.
    fn sealed_members<'a>(
        &self,
        request: &Request<'a>,
        slots: &[ValueSlot],
        transform: &Transform,
        keys: &SealingKeys,
    ) -> Result<Option<(MemberForms<'a>, Vec<u8>)>, SendError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let Some(forms) = request.member_forms(slots, &self.protection, keys)? else {
                return Ok(None);
            };
            let mut sealed = Vec::new();
            request.send(&transform.request, &self.protection, keys, &mut sealed)?;
            let is_same = with_arguments(&sealed, |words| forms.are_in(words, slots));
            // The key that writes may have been replaced in between.
            if is_same == Some(true) || attempts == MAX_SEAL_ATTEMPTS {
                return Ok(Some((forms, sealed)));
            }
        }
    }

    fn is_resp3(&self) -> bool {
        self.client.protocol == Protocol::Resp3
    }

    /// Sends a command by the script that gives its members the form that is written.
    fn send_scripted(
        &mut self,
        name: &'static str,
        (forms, command): (&MemberForms<'_>, ScriptedCommand),
        sealed: Vec<u8>,
        upstream: &mut Vec<u8>,
    ) {
        self.protection.carried_out(OwnWork::Prelude);
        let is_resp3 = self.is_resp3();
        let ScriptedCommand { head, unit } = command;
        with_arguments(&sealed, |words| {
            forms.write_command(words, (head, unit), is_resp3, upstream);
        });
        if let Some(transaction) = self.transaction.open() {
            transaction.journal.add_scripted(sealed);
        }
        self.sent(name, Shape::Scripted);
    }

    /// Sends a command behind its prelude.
    fn send_behind_prelude(
        &mut self,
        (name, shape): (&'static str, Shape),
        (forms, sealed): (&MemberForms<'_>, &[u8]),
        upstream: &mut Vec<u8>,
    ) {
        self.protection.carried_out(OwnWork::Prelude);
        let is_alone = !self.transaction.is_open();
        let is_wrapped = is_alone && !self.asking && !self.transaction.may_watch();
        if is_wrapped {
            upstream.extend_from_slice(OWN_MULTI);
        }
        forms.write_prelude(upstream);
        if is_alone && self.asking {
            upstream.extend_from_slice(OWN_ASKING);
        }
        upstream.extend_from_slice(sealed);
        if is_wrapped {
            upstream.extend_from_slice(OWN_EXEC);
        }
        self.expect_behind_prelude(name, shape, is_wrapped);
    }

    /// Queues the replies to a prelude and to the request behind it. Only the last one is an answer.
    fn expect_behind_prelude(&mut self, command: &'static str, shape: Shape, is_wrapped: bool) {
        if !is_wrapped {
            let in_transaction = match self.transaction.add_prelude() {
                // Nothing goes out before EXEC.
                Added::Held => return self.sent(command, shape),
                Added::Queued(_) => true,
                Added::Outside(_) => false,
            };
            self.queue
                .push_uncounted(Pending::PreludeScript { in_transaction });
            if self.asking && !in_transaction {
                self.queue.push_internal(false);
            }
            return self.sent(command, shape);
        }
        self.queue.push_internal(false);
        self.queue.push_uncounted(Pending::PreludeScript {
            in_transaction: false,
        });
        self.queue.push_uncounted(Pending::PreludeQueued);
        self.asking = false;
        let request = Box::new(PreludedRequest { command, shape });
        self.expect(Pending::Preluded(request));
        debug_assert!(
            self.affinity != Affinity::Shared || !self.transaction.is_open(),
            "a lane has no transaction of a client's"
        );
    }

    /// The reply to the script of a prelude.
    pub(super) fn prelude_script_reply(&mut self, in_transaction: bool, reply: &Reply<'_>) {
        if reply.is_queued && in_transaction {
            self.transaction.confirm_prelude();
        } else if !reply.is_ok {
            self.prelude.refused = Some(reply.whole.into());
        }
    }

    /// The reply to a request behind its prelude, before `EXEC`.
    pub(super) fn prelude_queued_reply(&mut self, whole: &[u8], is_too_large: bool) {
        if is_too_large {
            self.prelude.direct = Some(self.too_large_reply("the request").into());
        } else if !is_queued(whole) {
            self.prelude.direct = Some(whole.into());
        }
    }

    /// The answer that was expected behind a prelude has ended.
    pub(super) fn end_prelude(&mut self) {
        self.prelude = PreludeReplies::default();
    }

    /// The answer in place of one to a command whose prelude failed, unless that is an error itself.
    pub(super) fn answer_without_prelude(&self, command: &str, whole: &[u8]) -> Option<Vec<u8>> {
        let refused = self.prelude.refused.as_deref()?;
        match whole.first() {
            Some(b'-' | b'!') => None,
            // The transaction will not be executed.
            _ if is_queued(whole) => Some(answers::prelude_failed(command, refused)),
            _ => Some(answers::carried_out_without_prelude(command, refused)),
        }
    }

    /// Writes the reply to a request behind its prelude, which is in the reply to `EXEC`.
    pub(super) fn write_preluded(
        &self,
        request: &PreludedRequest,
        whole: &[u8],
        fetched: Option<&HashMap<Box<[u8]>, Lookup>>,
        client: &mut Vec<u8>,
    ) -> Result<Option<Box<KeyRequest>>, UnexpectedReply> {
        let reply = self.reply_behind_prelude(request.command, whole)?;
        let is_error = matches!(reply.first(), Some(b'-' | b'!'));
        if is_error || request.shape.is_verbatim() {
            client.extend_from_slice(&reply);
            return Ok(None);
        }
        self.open_reply(
            request.command,
            Some(&request.shape),
            &reply,
            fetched,
            client,
        )
    }

    fn reply_behind_prelude<'r>(
        &'r self,
        command: &str,
        whole: &'r [u8],
    ) -> Result<Cow<'r, [u8]>, UnexpectedReply> {
        if let Some(direct) = self.prelude.direct.as_deref() {
            let answer = self.answer_without_prelude(command, direct);
            return Ok(answer.map_or(Cow::Borrowed(direct), Cow::Owned));
        }
        if let Some(refused) = self.prelude.refused.as_deref() {
            return Ok(Cow::Owned(answers::prelude_failed(command, refused)));
        }
        let mut items = Items::of(whole);
        let head = items.next()?.ok_or(UnexpectedReply::Pairing)?;
        if head.kind != Kind::Array(2) {
            return Ok(Cow::Borrowed(whole));
        }
        let script = items.skip()?;
        match script.first() {
            Some(b'-' | b'!') => {
                let answer = answers::carried_out_without_prelude(command, script);
                Ok(Cow::Owned(answer))
            }
            _ => Ok(Cow::Borrowed(items.skip()?)),
        }
    }
}
