//! The request direction: takes requests off the client's bytes, asks the policy, and writes what goes to the
//! server. What a request does to the connection is in `effects`.

use waxseal_core::SealError;
use waxseal_policy::{Action, Decision, Effect, NameLayout, ReplyShape, Transform, decide};
use waxseal_resp::Scan;

use super::keys::Ready;
use super::random::is_random;
use super::state::{ConnectionState, Phase};
use super::transaction::{Added, cuts_a_transaction, depends_on_transaction};
use super::{Connection, Link, Protocol};
use crate::answers;
use crate::pending::{Pending, Shape};
use crate::refusals::OwnReason;
use crate::seal::{Request, SealingKeys, SendError, WireNames};

/// Bytes that requests without a reply may take, however small the limit for one request is.
const MIN_PENDING_BYTES: usize = 512 * 1024;

/// The result of reading a chunk of the client's bytes.
#[derive(Clone, Copy, Debug)]
pub struct RequestProgress {
    /// Bytes of the chunk that were consumed. The others must be given again, followed by more.
    pub used: usize,
    /// Requests that went out and that a reply is expected to.
    pub sent: usize,
    /// The condition for reading more.
    pub next: Next,
}

/// The condition under which more is read from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// More bytes must arrive.
    More,
    /// Replies must arrive.
    Replies,
    /// [Keys](Connection::take_key_request) must be fetched.
    Keys,
    /// A [delay](Connection::delay) must pass.
    Delay,
    /// The next request needs a dedicated upstream connection, once all replies have arrived.
    Dedicated,
    /// The next request needs another lane, once all replies have arrived.
    Lane(Protocol),
    /// Nothing more is read: the connection ends when the client has everything that is buffered for it.
    End,
}

/// The result of one attempt to process a request.
pub(super) enum Step {
    /// The request was sent or answered.
    Done,
    /// Nothing was consumed: the request is tried again under this condition.
    Retry(Next),
}

impl Connection {
    /// Reads the client's bytes: appends what goes to the server, and what is answered here.
    ///
    /// Requests are processed one by one until the bytes are used up or something must happen first. A request that
    /// cannot be processed yet stays among the client's bytes and is decided again from its first byte, so nothing of
    /// it is remembered except how far a known script has got.
    pub fn requests(
        &mut self,
        chunk: &[u8],
        link: Link,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> RequestProgress {
        self.state.queue.begin_count();
        let mut used = 0;
        let next = loop {
            let remaining = chunk.get(used..).unwrap_or_default();
            match &self.state.phase {
                Phase::Closing => {
                    // Nothing that still arrives is processed.
                    used = chunk.len();
                    break Next::End;
                }
                Phase::AwaitingKeys => break Next::Keys,
                Phase::Delayed(_) => break Next::Delay,
                Phase::AwaitingReply => break Next::Replies,
                Phase::Streaming(_) => {
                    let (taken, is_done) = self.stream_through(remaining, upstream, client);
                    used = used.saturating_add(taken);
                    match is_done {
                        true => continue,
                        false => break Next::More,
                    }
                }
                Phase::Open => {}
            }
            if self.state.is_full(link) {
                break Next::Replies;
            }
            if remaining.is_empty() {
                break Next::More;
            }
            match self.next_request(remaining, link, upstream, client) {
                Ok(taken) => used = used.saturating_add(taken),
                Err(next) => break next,
            }
        };
        if next != Next::Keys {
            self.state.keys.forget();
        }
        self.state.names.forget_view();
        RequestProgress {
            used,
            sent: self.state.queue.sent(),
            next,
        }
    }

    /// Processes the request that these bytes begin with. Returns the number of bytes that were consumed, or the
    /// condition for trying again.
    fn next_request(
        &mut self,
        bytes: &[u8],
        link: Link,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> Result<usize, Next> {
        match self.request_scanner.scan(bytes) {
            Ok(Scan::Complete { len }) => match self.complete(bytes, len, link, upstream, client) {
                Step::Done => Ok(len),
                Step::Retry(next) => Err(next),
            },
            Ok(Scan::Nothing { len }) => {
                self.request_scanner.reset();
                Ok(len)
            }
            Ok(Scan::Incomplete { .. }) if self.is_too_long(bytes.len()) => {
                self.too_long(bytes, link, upstream)
            }
            Ok(Scan::Incomplete { .. }) => Err(Next::More),
            Ok(Scan::Large { length }) => self.large(length, bytes, link, upstream),
            Err(error) => {
                self.state.answer(&answers::invalid_request(error), client);
                self.state.close();
                Ok(0)
            }
        }
    }

    /// Processes a whole request, which is the first `len` bytes.
    fn complete(
        &mut self,
        bytes: &[u8],
        len: usize,
        link: Link,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> Step {
        let step = self.state.process(
            &Request {
                raw: bytes.get(..len).unwrap_or_default(),
                arguments: &self.request_scanner.arguments(bytes),
                spans: self.request_scanner.spans(),
                names: &WireNames::default(),
            },
            link,
            upstream,
            client,
        );
        self.request_scanner.reset();
        if matches!(step, Step::Retry(Next::Keys)) {
            self.prefetch_keys(bytes.get(len..).unwrap_or_default());
        }
        step
    }
}

impl ConnectionState {
    /// Processes a request, and remembers what it queues in a transaction.
    fn process(
        &mut self,
        request: &Request<'_>,
        link: Link,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> Step {
        if self.transaction.is_open() && self.keeps_journals() {
            return self.process_in_transaction(request, link, upstream, client);
        }
        self.process_request(request, link, upstream, client)
    }

    /// Decides about a request and does what was decided, in this order:
    ///
    /// 1. end a known script, or a command that is computed, that has its answer;
    /// 2. leave the lane, if the request does not belong there;
    /// 3. refuse what the connection's state does not allow, whatever the policy says;
    /// 4. wait for replies, if they decide what the request means;
    /// 5. find its script and its keys, then seal and send, answer, or refuse.
    pub(super) fn process_request(
        &mut self,
        request: &Request<'_>,
        link: Link,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> Step {
        if self.replay.is_some()
            && let Some(step) = self.continue_replay(upstream)
        {
            return step;
        }
        let decision = decide(self.protection.names(), request.arguments);
        let names = self.wire_names(&decision, request.arguments);
        let (names, unnamed) = match names {
            Ok(names) => (names, None),
            Err(error) => (WireNames::default(), Some(error)),
        };
        let renamed = Request {
            names: &names,
            ..*request
        };
        let step = self.process_decided((&renamed, unnamed), decision, link, upstream, client);
        self.names.reuse(names);
        step
    }

    /// Does what was decided about a request with these names, unless one of them cannot be stored for this reason.
    fn process_decided(
        &mut self,
        (request, unnamed): (&Request<'_>, Option<SealError>),
        decision: Decision,
        link: Link,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> Step {
        let (command, effect) = (decision.command, decision.effect);
        let name = command.unwrap_or("this command");
        if self.script.is_some()
            && let Some(step) = self.finish_script(client)
        {
            return step;
        }
        if self.computed.is_some()
            && let Some(step) = self.finish_computed(client)
        {
            return step;
        }
        if self.moving.is_some()
            && let Some(step) = self.finish_move(client)
        {
            return step;
        }
        if self.random.is_some()
            && let Some(step) = self.finish_random(client)
        {
            return step;
        }
        if self.sorting.is_some()
            && let Some(step) = self.finish_sort(client)
        {
            return step;
        }
        if let Link::Lane(identity) = link
            && let Some(next) = self.needs_other_connection(request, effect, identity)
        {
            return Step::Retry(next);
        }
        if self.refuse_in_state(command, (request, effect), client) {
            return Step::Done;
        }
        if self.must_wait_for_replies(effect) {
            return Step::Retry(Next::Replies);
        }
        if self.transaction.is_open() && cuts_a_transaction(effect) {
            let reason = (command, OwnReason::InTransaction);
            let answer = answers::refused_in_transaction(name);
            self.refuse_here(reason, answer, (request, effect), client);
            return Step::Done;
        }
        if let Some(error) = unnamed {
            self.refuse_name((request, command, effect), error, client);
            return Step::Done;
        }
        if matches!(effect, Effect::Multi | Effect::Exec) || self.transaction.is_held() {
            let request = (request, effect);
            if let Some(step) = self.follow_transaction(command, request, upstream, client) {
                return step;
            }
        }
        if matches!(effect, Effect::ReplyOff | Effect::ReplySkip)
            && let Some(step) = self.ask_for_reply_mode(upstream, client)
        {
            return step;
        }
        self.prepare(request, decision, upstream, client)
    }

    /// True if what a request does depends on replies that have not arrived: on whether a transaction is open, or, for
    /// requests that are sent alone, on any.
    fn must_wait_for_replies(&self, effect: Effect) -> bool {
        let may_be_in_transaction = !self.transaction.is_open()
            && depends_on_transaction(effect)
            && self.may_be_in_transaction();
        may_be_in_transaction || (self.is_sent_alone(effect) && !self.has_all_replies())
    }

    /// Finds the script and the keys that a request needs, and then does what was decided.
    fn prepare(
        &mut self,
        request: &Request<'_>,
        mut decision: Decision,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> Step {
        let (command, effect) = (decision.command, decision.effect);
        let name = command.unwrap_or("this command");
        if effect == Effect::Script {
            match self.resolve_script(request, decision.action) {
                Ok(action) => decision.action = action,
                Err(answer) => {
                    self.abandon_script(answer, client);
                    return Step::Done;
                }
            }
        }
        let mut keys = SealingKeys::default();
        if self.protection.follows_keys() {
            match self.ready(name, request.arguments, &decision.action) {
                Ready::Yes(ready) => keys = ready,
                Ready::NotYet => return Step::Retry(Next::Keys),
                Ready::Unavailable(answer) => {
                    self.refuse_without_keys(command, answer, (request, effect), client);
                    return Step::Done;
                }
            }
        }
        if self.protection.is_trial() {
            decision.action = self.trial_action(request, command, decision.action);
        }
        match &decision.action {
            Action::Script(call) => {
                return self.run_script(request, name, *call, &keys, upstream, client);
            }
            Action::Move(call) => {
                return self.run_move(request, name, *call, &keys, upstream, client);
            }
            Action::Sort(call) => {
                return self.run_sort(request, name, *call, &keys, upstream, client);
            }
            Action::Compute(call) => {
                return self.run_computed(request, name, *call, &keys, upstream, client);
            }
            Action::Forward if effect == Effect::None => {
                request.forward(upstream);
                let shape = request.quoting((decision.quotes_names, false), Shape::VERBATIM);
                self.sent(name, shape);
            }
            Action::Forward => self.forward_with_effect(request, name, effect, upstream, client),
            Action::Refuse(refusal) => self.refuse_by_policy(refusal, request, effect, client),
            Action::Transform(transform)
                if self.must_wait_for_prelude(name, transform, request.arguments) =>
            {
                return Step::Retry(Next::Replies);
            }
            Action::Transform(transform) if is_random(transform) && !self.transaction.is_open() => {
                return self.run_random(request, upstream);
            }
            Action::Transform(transform) => {
                let decided = (transform, effect, decision.quotes_names);
                self.transform(request, name, decided, &keys, upstream, client);
            }
            Action::Tracking(call) => {
                self.change_tracking((request, name, effect), call, upstream, client);
            }
            // Resolved before.
            Action::ScriptDigest(_) => {}
        }
        Step::Done
    }

    /// Refuses a request that the connection cannot take in its state, whatever the policy says. Returns true if it
    /// was refused.
    fn refuse_in_state(
        &mut self,
        command: Option<&'static str>,
        (request, effect): (&Request<'_>, Effect),
        client: &mut Vec<u8>,
    ) -> bool {
        if self.pushes.monitoring && !matches!(effect, Effect::Reset | Effect::Quit) {
            self.record_own_refusal(command, OwnReason::Monitoring, request.arguments, false);
            self.answer(&answers::refused_while_monitoring(), client);
            return true;
        }
        let ends_transaction = matches!(
            effect,
            Effect::Exec | Effect::Discard | Effect::Reset | Effect::Quit
        );
        if !ends_transaction && !self.has_room_in_transaction(0) {
            let reason = (command, OwnReason::TransactionTooLarge);
            let answer = answers::transaction_too_large();
            self.refuse_here(reason, answer, (request, effect), client);
            return true;
        }
        false
    }

    /// Sends a request whose values, or whose reply's values, are protected.
    fn transform(
        &mut self,
        request: &Request<'_>,
        name: &'static str,
        (transform, effect, quotes_names): (&Transform, Effect, bool),
        keys: &SealingKeys,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) {
        let names = self.protection.names();
        let layout = match &transform.reply {
            ReplyShape::Names(found) => Some(found.layout),
            _ => None,
        };
        let shape = match layout {
            Some(NameLayout::Tracking) => self.tracking_info(),
            _ => Shape::of(&transform.reply, names, request.arguments),
        };
        let is_text = layout == Some(NameLayout::Text);
        let shape = request.quoting((quotes_names, is_text), shape);
        let retained_bytes = shape.retained_bytes();
        if retained_bytes > self.limits.request {
            let reason = (Some(name), OwnReason::TooLarge);
            let answer = answers::request_too_large(name, self.limits.request);
            return self.refuse_here(reason, answer, (request, effect), client);
        }
        if !self.has_room_in_transaction(retained_bytes) {
            let reason = (Some(name), OwnReason::TransactionTooLarge);
            let answer = answers::transaction_too_large();
            return self.refuse_here(reason, answer, (request, effect), client);
        }
        match self.send_transformed(request, name, (transform, shape), keys, upstream) {
            Ok(()) => {
                if effect == Effect::Connection {
                    self.affinity.pin();
                }
                self.mark_blocking(effect);
            }
            Err(error) => {
                let answer = self.record_send_error(name, request.arguments, &error);
                self.refuse(&answer, client);
            }
        }
    }

    /// Records a request whose values were not sealed. Returns the answer to it.
    #[cold]
    pub(super) fn record_send_error(
        &self,
        name: &'static str,
        arguments: &[&[u8]],
        error: &SendError,
    ) -> Vec<u8> {
        let (reason, answer) = Self::send_error(name, error);
        self.record_own_refusal(Some(name), reason, arguments, false);
        answer
    }

    /// The reason, and the answer, for a request that was not sealed.
    pub(super) fn send_error(name: &str, error: &SendError) -> (OwnReason, Vec<u8>) {
        match error {
            SendError::NotSealed(error) => (OwnReason::NotSealed, answers::not_sealed(name, error)),
            SendError::TooManyMembers { max } => {
                (OwnReason::TooLarge, answers::too_many_members(name, *max))
            }
            SendError::TooLongForServer { len, max } => (
                OwnReason::TooLargeForServer,
                answers::too_large_for_server(name, *len, *max),
            ),
        }
    }

    /// A request with this effect went out: notes it if it may wait on the server. Within a transaction nothing waits.
    pub(super) fn mark_blocking(&mut self, effect: Effect) {
        if effect == Effect::Blocking && !self.transaction.is_open() {
            self.queue.mark_blocked();
        }
    }

    /// True if so much is held for requests without a reply, or so many of them are on a lane, that no more may be
    /// sent.
    fn is_full(&self, link: Link) -> bool {
        let max_bytes = self.limits.request;
        let holds_too_much = !self.queue.is_empty()
            && (self.queue.entry_bytes() > max_bytes
                || self.retained_bytes() > max_bytes.max(MIN_PENDING_BYTES));
        let max_requests = match link {
            Link::Lane(_) => self.window.requests().min(self.limits.pending),
            Link::Dedicated => self.limits.pending,
        };
        holds_too_much || self.queue.len() >= max_requests
    }

    /// A request went out: its reply will have this shape.
    pub(super) fn sent(&mut self, command: &'static str, shape: Shape) {
        self.asking = false;
        if self.caching.is_some() {
            self.caching = None;
        }
        match self.transaction.add_command(command, shape) {
            Added::Outside(shape) => self.expect(Pending::Reply { command, shape }),
            Added::Queued(shape) => self.expect(Pending::Queued { command, shape }),
            Added::Held => {}
        }
    }
}
