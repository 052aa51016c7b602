//! Outward: takes requests off the client's bytes, asks the policy, and writes what goes to the
//! server. What a request does to the connection is in `effects`.

use waxseal_policy::{Action, Decision, Effect, certainly_forwarded, decide};
use waxseal_resp::{Arguments, Scan};

use super::{Answering, Connection, GoingBy, Protocol, Route, Talk, Transaction};
use crate::answers;
use crate::pending::{Pending, Shape};
use crate::seal::Request;

/// Bytes that may be remembered of one transaction's commands, however small the limits are.
const LEAST_IN_TRANSACTION: usize = 1024 * 1024;

/// `CLIENT REPLY SKIP`.
const SKIP: &[u8] = b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$4\r\nSKIP\r\n";

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
    /// The next request needs an upstream connection of its own, once all replies have come.
    Own,
    /// The next request needs another lane, once all replies have come.
    Lane(Protocol),
    /// Nothing more is taken: the connection ends when the client has what is there for it.
    End,
}

/// What became of one request.
enum One {
    Done,
    /// Nothing: it comes again when this has happened.
    Again(Next),
}

impl Connection {
    /// Takes the client's bytes: appends what goes to the server and what is answered here.
    pub fn requests(
        &mut self,
        chunk: &[u8],
        route: Route,
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
            if self.talk.barrier || self.talk.holds_enough() {
                break Next::Replies;
            }
            let rest = chunk.get(used..).unwrap_or_default();
            if self.going_by.is_some() {
                let (taken, done) = self.let_by(rest, upstream, client);
                used = used.saturating_add(taken);
                if !done {
                    break Next::More;
                }
                continue;
            }
            if rest.is_empty() {
                break Next::More;
            }
            match self.scanner.scan(rest) {
                Ok(Scan::Complete { len }) => {
                    let raw = rest.get(..len).unwrap_or_default();
                    let one = self.talk.one(
                        &Request {
                            raw,
                            arguments: &self.scanner.arguments(rest),
                            spans: self.scanner.spans(),
                        },
                        route,
                        upstream,
                        client,
                    );
                    self.scanner.reset();
                    match one {
                        One::Done => used = used.saturating_add(len),
                        One::Again(next) => break next,
                    }
                }
                Ok(Scan::Nothing { len }) => {
                    self.scanner.reset();
                    used = used.saturating_add(len);
                }
                Ok(Scan::Incomplete { .. }) if self.is_too_long(rest.len()) => {
                    match self.too_long(rest, route, upstream) {
                        Ok(taken) => used = used.saturating_add(taken),
                        Err(next) => break next,
                    }
                }
                Ok(Scan::Incomplete { .. }) => break Next::More,
                Ok(Scan::Large { length }) => match self.large(length, rest, route, upstream) {
                    Ok(taken) => used = used.saturating_add(taken),
                    Err(next) => break next,
                },
                Err(error) => {
                    self.talk.answering = Answering::On;
                    self.talk.answer(&answers::no_request(error), client);
                    self.talk.closing = true;
                }
            }
        };
        Taken {
            used,
            sent: self.talk.expected,
            next,
        }
    }

    /// Whether what is held of a request is more than may be. A line of words has its own bound, and
    /// cannot go by: where it ends is known only when it has.
    fn is_too_long(&self, held: usize) -> bool {
        held > self.talk.limits.request && !self.scanner.is_inline() && !self.scanner.is_at_start()
    }

    /// An argument is announced that is not held as a matter of course.
    fn large(
        &mut self,
        length: u64,
        rest: &[u8],
        route: Route,
        upstream: &mut Vec<u8>,
    ) -> Result<usize, Next> {
        let most = self.talk.limits.value;
        let refusal =
            self.refusal_unless_passing(rest, |command| answers::too_large(command, most));
        if refusal.is_some() && usize::try_from(length).is_ok_and(|length| length <= most) {
            self.scanner.hold();
            return Ok(0);
        }
        self.begin_going_by(rest, refusal, route, upstream)
    }

    /// More of a request is held than may be.
    fn too_long(
        &mut self,
        rest: &[u8],
        route: Route,
        upstream: &mut Vec<u8>,
    ) -> Result<usize, Next> {
        let most = self.talk.limits.request;
        let refusal =
            self.refusal_unless_passing(rest, |command| answers::request_too_large(command, most));
        self.begin_going_by(rest, refusal, route, upstream)
    }

    /// What a request is answered that cannot be held; none where it need not be.
    fn refusal_unless_passing(
        &self,
        rest: &[u8],
        answer: impl FnOnce(&str) -> Vec<u8>,
    ) -> Option<Vec<u8>> {
        let arguments = self.scanner.arguments(rest);
        let passes = self.talk.passes(&arguments, self.scanner.announced());
        (!passes).then(|| answer(self.talk.command(&arguments)))
    }

    /// Lets a request go by that is not held: to the server, or nowhere with an error.
    fn begin_going_by(
        &mut self,
        rest: &[u8],
        refusal: Option<Vec<u8>>,
        route: Route,
        upstream: &mut Vec<u8>,
    ) -> Result<usize, Next> {
        let forward = refusal.is_none();
        if forward && route != Route::Own {
            self.scanner.reset();
            return Err(Next::Own);
        }
        let position = self.scanner.position();
        if forward {
            self.talk.skip_first(upstream);
            upstream.extend_from_slice(rest.get(..position).unwrap_or_default());
            self.talk.sent("", Shape::AsItIs);
        }
        self.going_by = Some(GoingBy {
            passage: self.scanner.passage(),
            refusal,
        });
        self.scanner.reset();
        Ok(position)
    }

    fn let_by(
        &mut self,
        rest: &[u8],
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> (usize, bool) {
        let Some(going_by) = &mut self.going_by else {
            return (0, true);
        };
        match going_by.passage.pass(rest) {
            Ok(passed) => {
                if going_by.refusal.is_none() {
                    upstream.extend_from_slice(rest.get(..passed.used).unwrap_or_default());
                }
                if passed.done {
                    if let Some(refusal) = going_by.refusal.take() {
                        self.talk.refuse(&refusal, client);
                    }
                    self.going_by = None;
                }
                (passed.used, passed.done)
            }
            Err(error) => {
                // Part of it is with the server: only closing keeps it from being completed.
                self.going_by = None;
                self.talk.answering = Answering::On;
                self.talk.answer(&answers::no_request(error), client);
                self.talk.closing = true;
                (rest.len(), true)
            }
        }
    }
}

impl Talk {
    fn one(
        &mut self,
        request: &Request<'_>,
        route: Route,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> One {
        let Decision {
            command,
            action,
            effect,
        } = decide(self.protection.names(), request.arguments);
        let name = command.unwrap_or("this command");
        if let Route::Lane(identity) = route
            && let Some(next) = self.off_the_lane(request, effect, identity)
        {
            return One::Again(next);
        }
        if self.monitoring && !matches!(effect, Effect::Reset | Effect::Quit) {
            self.answer(&answers::refused_while_monitoring(), client);
            return One::Done;
        }
        if self.cannot_be_followed(effect) {
            self.answering = Answering::On;
            self.answer(&answers::refused_without_replies(name), client);
            self.closing = true;
            return One::Done;
        }
        let ends = matches!(
            effect,
            Effect::Exec | Effect::Discard | Effect::Reset | Effect::Quit
        );
        if !ends && !self.has_room_in_transaction(0) {
            self.refuse(&answers::transaction_too_large(), client);
            return One::Done;
        }
        if self.transaction.is_some() && effects_cut_a_transaction(effect) {
            self.refuse(&answers::refused_in_transaction(name), client);
            return One::Done;
        }
        let before = upstream.len();
        self.skip_first(upstream);
        let skip = upstream.len();
        self.act(request, name, action, effect, upstream, client);
        if upstream.len() == skip {
            // Nothing went out whose reply is to be skipped.
            upstream.truncate(before);
        }
        One::Done
    }

    fn act(
        &mut self,
        request: &Request<'_>,
        name: &'static str,
        action: Action,
        effect: Effect,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) {
        match action {
            Action::Forward if effect == Effect::None => {
                upstream.extend_from_slice(request.raw);
                self.sent(name, Shape::AsItIs);
            }
            Action::Forward => self.forward_with_effect(request, name, effect, upstream, client),
            Action::Refuse(refusal) => self.refuse(&answers::refused(&refusal), client),
            Action::Transform(transform) => {
                let shape = Shape::of(transform.reply, request.arguments);
                if !self.has_room_in_transaction(shape.weight()) {
                    self.refuse(&answers::transaction_too_large(), client);
                    return;
                }
                match request.send(transform.request, &self.protection, upstream) {
                    Ok(()) => {
                        self.may_block(effect);
                        self.sent(name, shape);
                    }
                    Err(error) => {
                        self.refuse(&answers::not_sealed(name, &error), client);
                    }
                }
            }
        }
    }

    /// A request went out that may wait on the server. It is under way until every reply has come,
    /// whatever was sent behind it.
    pub(super) fn may_block(&mut self, effect: Effect) {
        self.blocking |= effect == Effect::Blocking && self.transaction.is_none();
    }

    /// Whether so much is remembered of requests without a reply that no more may be.
    fn holds_enough(&self) -> bool {
        let too_heavy = !self.pending.is_empty() && self.heavy > self.limits.request;
        too_heavy || self.pending.len() >= self.limits.pending
    }

    /// Whether the reply to one more command can be remembered until the transaction ends.
    fn has_room_in_transaction(&self, weight: usize) -> bool {
        let most = self.limits.request.max(LEAST_IN_TRANSACTION);
        let transaction = self.transaction.as_ref();
        transaction.is_none_or(|it| it.heavy.saturating_add(weight) <= most)
    }

    /// Whether a request changes what replies mean, at a time when its own reply does not come.
    fn cannot_be_followed(&self, effect: Effect) -> bool {
        match effect {
            Effect::Hello | Effect::Monitor => self.answering != Answering::On,
            // In RESP3 acknowledgements and messages explain themselves.
            Effect::Subscribe(_) | Effect::Unsubscribe(_) => {
                self.answering != Answering::On && self.protocol == Protocol::Resp2
            }
            // It is answered even where replies are switched off, but not where one is skipped.
            Effect::Reset => self.answering == Answering::SkipNext,
            _ => false,
        }
    }

    /// Says to the server that it shall skip the next reply. Not said before a request is there: one
    /// that is refused here would leave it to the next.
    fn skip_first(&self, upstream: &mut Vec<u8>) {
        if self.answering == Answering::SkipNext {
            upstream.extend_from_slice(SKIP);
        }
    }

    /// A request went out: its reply will have this shape.
    pub(super) fn sent(&mut self, command: &'static str, shape: Shape) {
        let pending = if let Some(transaction) = &mut self.transaction {
            let one = size_of::<(&str, Shape)>().saturating_add(shape.weight());
            transaction.heavy = transaction.heavy.saturating_add(one);
            Pending::Queued { command, shape }
        } else {
            Pending::Reply { command, shape }
        };
        self.expect(pending);
    }

    /// Answers with an error instead of sending. A transaction that it is part of is not executed.
    fn refuse(&mut self, answer: &[u8], client: &mut Vec<u8>) {
        self.note_refusal();
        self.answer(answer, client);
    }

    fn note_refusal(&mut self) {
        if let Some(Transaction { refused, .. }) = &mut self.transaction {
            *refused = true;
        }
    }

    /// Whether a request is certain to be forwarded, has no effect that must be known, and so need
    /// not be held.
    fn passes(&self, arguments: &Arguments<'_>, total: usize) -> bool {
        if arguments.is_empty() || self.monitoring {
            return false;
        }
        certainly_forwarded(self.protection.names(), arguments, total)
            && matches!(
                decide(self.protection.names(), arguments).effect,
                Effect::None | Effect::Blocking | Effect::Connection
            )
    }

    fn command(&self, arguments: &Arguments<'_>) -> &'static str {
        decide(self.protection.names(), arguments)
            .command
            .unwrap_or("this command")
    }
}

/// What would change the connection in the middle of the replies of a transaction.
fn effects_cut_a_transaction(effect: Effect) -> bool {
    matches!(
        effect,
        Effect::Hello
            | Effect::Monitor
            | Effect::Subscribe(_)
            | Effect::Unsubscribe(_)
            | Effect::ReplyOn
            | Effect::ReplyOff
            | Effect::ReplySkip
    )
}
