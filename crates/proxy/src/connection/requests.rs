//! Outward: takes requests off the client's bytes, asks the policy, and writes what goes to the
//! server. What a request does to the connection is in `effects`.

use waxseal_policy::{Action, Decision, Effect, decide};
use waxseal_resp::Scan;

use super::keys::Ready;
use super::transaction::{cuts_a_transaction, depends_on_transaction};
use super::{Connection, ConnectionState, Link, Protocol};
use crate::answers;
use crate::pending::{Pending, Shape};
use crate::refusals::OwnReason;
use crate::seal::{NotSent, Request, SealingKeys};

/// Bytes that requests without a reply may take, however small the bound on one request is.
const MIN_PENDING_BYTES: usize = 512 * 1024;

/// What became of a chunk of the client's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Bytes of the chunk that are done with. The rest must come again, with more behind it.
    pub used: usize,
    /// Requests that went out and that a reply is expected to.
    pub sent: usize,
    /// What must happen before more is taken.
    pub next: Next,
}

/// What must happen before more is taken from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// More bytes must come.
    More,
    /// Replies must come.
    Replies,
    /// [Keys](Connection::wants) must come.
    Keys,
    /// Time must pass: [so much](Connection::delay).
    Delay,
    /// The next request needs an upstream connection of its own, once all replies have come.
    Dedicated,
    /// The next request needs another lane, once all replies have come.
    Lane(Protocol),
    /// Nothing more is taken: the connection ends when the client has what is there for it.
    End,
}

/// What became of one request.
pub(super) enum One {
    Done,
    /// Nothing: it comes again when this has happened.
    Again(Next),
}

impl Connection {
    /// Takes the client's bytes: appends what goes to the server and what is answered here.
    pub fn requests(
        &mut self,
        chunk: &[u8],
        link: Link,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> Taken {
        self.talk.expected = 0;
        let mut used = 0;
        let next = loop {
            if self.talk.closing {
                // What still comes is not looked at.
                used = chunk.len();
                break Next::End;
            }
            if self.talk.keys.are_awaited() {
                break Next::Keys;
            }
            if self.talk.delayed.is_some() {
                break Next::Delay;
            }
            let rest = chunk.get(used..).unwrap_or_default();
            if self.streamed.is_some() {
                let (taken, done) = self.stream_through(rest, upstream, client);
                used = used.saturating_add(taken);
                if !done {
                    break Next::More;
                }
                continue;
            }
            if self.talk.barrier || self.talk.holds_enough(link) {
                break Next::Replies;
            }
            if rest.is_empty() {
                break Next::More;
            }
            match self.scanner.scan(rest) {
                Ok(Scan::Complete { len }) => {
                    match self.complete(rest, len, link, upstream, client) {
                        One::Done => used = used.saturating_add(len),
                        One::Again(next) => break next,
                    }
                }
                Ok(Scan::Nothing { len }) => {
                    self.scanner.reset();
                    used = used.saturating_add(len);
                }
                Ok(Scan::Incomplete { .. }) if self.is_too_long(rest.len()) => {
                    match self.too_long(rest, link, upstream) {
                        Ok(taken) => used = used.saturating_add(taken),
                        Err(next) => break next,
                    }
                }
                Ok(Scan::Incomplete { .. }) => break Next::More,
                Ok(Scan::Large { length }) => match self.large(length, rest, link, upstream) {
                    Ok(taken) => used = used.saturating_add(taken),
                    Err(next) => break next,
                },
                Err(error) => {
                    self.talk.answer(&answers::no_request(error), client);
                    self.talk.closing = true;
                }
            }
        };
        if next != Next::Keys {
            self.talk.keys.forget();
        }
        Taken {
            used,
            sent: self.talk.expected,
            next,
        }
    }

    /// A whole request stands at the start of these bytes.
    fn complete(
        &mut self,
        rest: &[u8],
        len: usize,
        link: Link,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> One {
        let one = self.talk.one(
            &Request {
                raw: rest.get(..len).unwrap_or_default(),
                arguments: &self.scanner.arguments(rest),
                spans: self.scanner.spans(),
            },
            link,
            upstream,
            client,
        );
        self.scanner.reset();
        if matches!(one, One::Again(Next::Keys)) {
            self.look_ahead(rest.get(len..).unwrap_or_default());
        }
        one
    }
}

impl ConnectionState {
    fn one(
        &mut self,
        request: &Request<'_>,
        link: Link,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> One {
        let Decision {
            command,
            action,
            effect,
        } = decide(self.protection.names(), request.arguments);
        let name = command.unwrap_or("this command");
        if self.script.is_some()
            && let Some(one) = self.finish_script(client)
        {
            return one;
        }
        if let Link::Lane(identity) = link
            && let Some(next) = self.needs_other_connection(request, effect, identity)
        {
            return One::Again(next);
        }
        if self.refuse_in_state(command, (request, effect), client) {
            return One::Done;
        }
        if self.transaction.is_none()
            && depends_on_transaction(effect)
            && self.may_be_in_transaction()
        {
            return One::Again(Next::Replies);
        }
        if self.is_sent_alone(effect) && (self.replying || !self.pending.is_empty()) {
            return One::Again(Next::Replies);
        }
        if self.transaction.is_some() && cuts_a_transaction(effect) {
            let reason = (command, OwnReason::InTransaction);
            let answer = answers::refused_in_transaction(name);
            self.refuse_here(reason, answer, (request, effect), client);
            return One::Done;
        }
        if matches!(effect, Effect::ReplyOff | Effect::ReplySkip)
            && let Some(one) = self.ask_for_reply_mode(upstream, client)
        {
            return one;
        }
        self.prepare(request, command, (action, effect), upstream, client)
    }

    /// Finds the script and the keys that a request needs, and then does what was decided.
    fn prepare(
        &mut self,
        request: &Request<'_>,
        command: Option<&'static str>,
        (action, effect): (Action, Effect),
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> One {
        let name = command.unwrap_or("this command");
        let action = match effect {
            Effect::Script => match self.resolve_script(request, action) {
                Ok(action) => action,
                Err(answer) => {
                    self.give_up_script(answer, client);
                    return One::Done;
                }
            },
            _ => action,
        };
        let mut keys = SealingKeys::default();
        if self.protection.follows_keys() {
            match self.ready(name, request.arguments, &action) {
                Ready::Yes(ready) => keys = ready,
                Ready::NotYet => return One::Again(Next::Keys),
                Ready::Never(answer) => {
                    self.refuse_without_keys(command, answer, (request, effect), client);
                    return One::Done;
                }
            }
        }
        let action = match self.protection.is_trial() {
            true => self.try_action(request, command, action),
            false => action,
        };
        if let Action::Script(call) = action {
            return self.run_script(request, name, call, &keys, upstream, client);
        }
        let decided = (action, effect);
        self.act(request, name, decided, &keys, upstream, client);
        One::Done
    }

    /// Refuses what the connection cannot take in its state, whatever the policy says; whether it did.
    fn refuse_in_state(
        &mut self,
        command: Option<&'static str>,
        (request, effect): (&Request<'_>, Effect),
        client: &mut Vec<u8>,
    ) -> bool {
        if self.monitoring && !matches!(effect, Effect::Reset | Effect::Quit) {
            self.record_own_refusal(command, OwnReason::Monitoring, request.arguments, false);
            self.answer(&answers::refused_while_monitoring(), client);
            return true;
        }
        let ends = matches!(
            effect,
            Effect::Exec | Effect::Discard | Effect::Reset | Effect::Quit
        );
        if !ends && !self.has_room_in_transaction(0) {
            let reason = (command, OwnReason::TransactionTooLarge);
            let answer = answers::transaction_too_large();
            self.refuse_here(reason, answer, (request, effect), client);
            return true;
        }
        false
    }

    fn act(
        &mut self,
        request: &Request<'_>,
        name: &'static str,
        (action, effect): (Action, Effect),
        keys: &SealingKeys,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) {
        match action {
            Action::Forward if effect == Effect::None => {
                upstream.extend_from_slice(request.raw);
                self.sent(name, Shape::Verbatim);
            }
            Action::Forward => self.forward_with_effect(request, name, effect, upstream, client),
            Action::Refuse(refusal) => self.refuse_by_policy(&refusal, request, effect, client),
            // Taken care of before.
            Action::Script(_) | Action::ScriptDigest(_) => {}
            Action::Transform(transform) => {
                let names = self.protection.names();
                let shape = Shape::of(transform.reply, names, request.arguments);
                if shape.weight() > self.limits.request {
                    let reason = (Some(name), OwnReason::TooLarge);
                    let answer = answers::request_too_large(name, self.limits.request);
                    return self.refuse_here(reason, answer, (request, effect), client);
                }
                if !self.has_room_in_transaction(shape.weight()) {
                    let reason = (Some(name), OwnReason::TransactionTooLarge);
                    let answer = answers::transaction_too_large();
                    return self.refuse_here(reason, answer, (request, effect), client);
                }
                match request.send(transform.request, &self.protection, keys, upstream) {
                    Ok(()) => {
                        self.pinned |= effect == Effect::Connection;
                        self.traces |= effect == Effect::Connection;
                        self.may_block(effect);
                        self.sent(name, shape);
                    }
                    Err(error) => {
                        let answer = self.not_sent(name, request.arguments, &error);
                        self.refuse(&answer, client);
                    }
                }
            }
        }
    }

    /// Records a request whose values were not sealed; the answer to it.
    #[cold]
    pub(super) fn not_sent(
        &self,
        name: &'static str,
        arguments: &[&[u8]],
        error: &NotSent,
    ) -> Vec<u8> {
        let (reason, answer) = match error {
            NotSent::NotSealed(error) => (OwnReason::NotSealed, answers::not_sealed(name, error)),
            NotSent::TooLongForServer { len, most } => (
                OwnReason::TooLargeForServer,
                answers::too_large_for_server(name, *len, *most),
            ),
        };
        self.record_own_refusal(Some(name), reason, arguments, false);
        answer
    }

    /// A request went out that may wait on the server. It is under way until every reply has come,
    /// whatever was sent behind it.
    pub(super) fn may_block(&mut self, effect: Effect) {
        self.blocking |= effect == Effect::Blocking && self.transaction.is_none();
    }

    /// Whether so much is remembered of requests without a reply, or so many are on a lane, that no
    /// more may be.
    fn holds_enough(&self, link: Link) -> bool {
        let most_bytes = self.limits.request;
        let too_heavy = !self.pending.is_empty()
            && (self.heavy > most_bytes
                || self.retained_bytes() > most_bytes.max(MIN_PENDING_BYTES));
        let most = match link {
            Link::Lane(_) => self.window.requests().min(self.limits.pending),
            Link::Dedicated => self.limits.pending,
        };
        too_heavy || self.pending.len() >= most
    }

    /// Bytes that are held for requests whose reply has not come.
    pub(super) fn retained_bytes(&self) -> usize {
        let pending = self.pending.len().saturating_mul(size_of::<Pending>());
        let script = self.script.as_ref().map_or(0, |run| run.retained_bytes());
        self.heavy.saturating_add(pending).saturating_add(script)
    }

    /// A request went out: its reply will have this shape.
    pub(super) fn sent(&mut self, command: &'static str, shape: Shape) {
        self.asking = false;
        let pending = if let Some(transaction) = &mut self.transaction {
            let one = size_of::<(&str, Shape)>().saturating_add(shape.weight());
            transaction.heavy = transaction.heavy.saturating_add(one);
            Pending::Queued { command, shape }
        } else {
            Pending::Reply { command, shape }
        };
        self.expect(pending);
    }
}
