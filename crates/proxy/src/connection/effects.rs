//! What requests do to the connection they come over: transactions, subscriptions, the version of the
//! protocol, replies switched off. Each is followed as far as it changes what a later request or
//! reply means.

use waxseal_policy::Effect;

use super::requests::Next;
use super::{Answering, Identity, Labels, Talk, Transaction};
use crate::answers;
use crate::pending::{Left, Pending, Protocol, Shape};
use crate::seal::Request;
use crate::subscriptions::{word_of_subscribe, word_of_unsubscribe};

/// The longest label that is remembered.
const LONGEST_LABEL: usize = 1024;

impl Talk {
    /// Whether this request cannot go out on a lane, and what it needs.
    pub(super) fn off_the_lane(
        &self,
        request: &Request<'_>,
        effect: Effect,
        lane: Identity,
    ) -> Option<Next> {
        // Servers close connections that speak HTTP at them; a lane is not for that.
        let inline = request.spans.is_empty();
        match effect {
            _ if inline => Some(Next::Own),
            Effect::None if self.protocol != lane.protocol => Some(Next::Lane(self.protocol)),
            Effect::None | Effect::Quit => None,
            Effect::Label if request.raw.len() <= LONGEST_LABEL => None,
            Effect::Select if request.arguments.len() == 2 => {
                let asked = request.arguments.get(1).copied().unwrap_or_default();
                (asked != lane.database.to_string().as_bytes()).then_some(Next::Own)
            }
            // With AUTH it would be another user's.
            Effect::Hello if request.arguments.len() > 2 => Some(Next::Own),
            Effect::Hello => {
                let protocol = asked_protocol(request).unwrap_or(self.protocol);
                (protocol != lane.protocol).then_some(Next::Lane(protocol))
            }
            _ => Some(Next::Own),
        }
    }

    /// Sends a request that changes the connection, and remembers how.
    pub(super) fn forward_with_effect(
        &mut self,
        request: &Request<'_>,
        command: &'static str,
        effect: Effect,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) {
        if let Some(instead) = self.ends_here(effect, upstream, client) {
            if let Instead::Expect(pending) = instead {
                self.expect(pending);
            }
            return;
        }
        if effect == Effect::ReplySkip {
            return self.skip_next();
        }
        upstream.extend_from_slice(request.raw);
        match effect {
            Effect::Multi | Effect::Exec | Effect::Discard | Effect::Watch | Effect::Unwatch => {
                self.transaction_step(command, effect);
            }
            Effect::Hello => match asked_protocol(request) {
                Some(protocol) => self.expect_after(Pending::Hello(protocol), request),
                None => self.sent(command, Shape::AsItIs),
            },
            Effect::Subscribe(channels) => {
                let left = Left::Number(request.arguments.len().saturating_sub(1));
                self.acknowledged(word_of_subscribe(channels), left);
            }
            Effect::Unsubscribe(channels) => {
                let left = match request.arguments.len().saturating_sub(1) {
                    0 => Left::All,
                    number => Left::Number(number),
                };
                self.acknowledged(word_of_unsubscribe(channels), left);
            }
            Effect::Monitor => {
                self.pinned = true;
                self.barrier = self.answering == Answering::On;
                self.expect(Pending::Monitor);
            }
            Effect::ReplyOn | Effect::ReplyOff => {
                self.switch_replies(command, effect);
            }
            Effect::Label => {
                // One that is too long to be said again must stay where it was said.
                self.pinned |= request.raw.len() > LONGEST_LABEL;
                self.labels.note(request);
                self.sent(command, Shape::AsItIs);
            }
            Effect::Blocking => {
                self.may_block(effect);
                self.sent(command, Shape::AsItIs);
            }
            Effect::Auth | Effect::Select | Effect::Connection => {
                self.pinned = true;
                self.sent(command, Shape::AsItIs);
            }
            Effect::None => self.sent(command, Shape::AsItIs),
            Effect::Reset | Effect::Quit | Effect::ReplySkip => {}
        }
    }

    /// A step of a transaction: in its place, or out of it, where the server answers an error.
    fn transaction_step(&mut self, command: &'static str, effect: Effect) {
        let in_transaction = self.transaction.is_some();
        let at_once = Pending::Reply {
            command,
            shape: Shape::AsItIs,
        };
        match effect {
            Effect::Exec if in_transaction => {
                self.transaction = None;
                self.watching = false;
                self.expect(Pending::Exec);
            }
            Effect::Discard if in_transaction => {
                self.transaction = None;
                self.watching = false;
                self.expect(Pending::Discard);
            }
            Effect::Multi if !in_transaction => {
                self.begun = self.begun.saturating_add(1);
                self.expect(Pending::Multi { number: self.begun });
                self.transaction = Some(Transaction {
                    number: self.begun,
                    ..Transaction::default()
                });
            }
            Effect::Watch => {
                self.watching = true;
                self.expect(at_once);
            }
            Effect::Unwatch if !in_transaction => {
                self.watching = false;
                self.expect(at_once);
            }
            Effect::Unwatch => self.sent(command, Shape::AsItIs),
            // An error within a transaction; but where the first MULTI failed, this one begins it.
            Effect::Multi => {
                self.begun = self.begun.saturating_add(1);
                if let Some(transaction) = &mut self.transaction {
                    transaction.number = self.begun;
                }
                self.expect(at_once);
            }
            _ => self.expect(at_once),
        }
    }

    /// `CLIENT REPLY SKIP`: told to the server together with the request whose reply is skipped.
    fn skip_next(&mut self) {
        // Nothing can be skipped where nothing comes.
        if self.answering != Answering::Off {
            self.pinned = true;
            self.answering = Answering::SkipNext;
        }
    }

    /// `CLIENT REPLY ON` and `OFF`.
    fn switch_replies(&mut self, command: &'static str, effect: Effect) {
        match effect {
            Effect::ReplyOff => {
                self.pinned = true;
                self.answering = Answering::Off;
            }
            _ => {
                self.answering = Answering::On;
                self.sent(command, Shape::AsItIs);
            }
        }
    }

    /// What is answered or sent in the place of a request, for three of them.
    fn ends_here(
        &mut self,
        effect: Effect,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> Option<Instead> {
        match effect {
            Effect::Quit => {
                self.answer(answers::OK, client);
                self.closing = true;
                Some(Instead::Nothing)
            }
            Effect::Exec if self.transaction.as_ref().is_some_and(|it| it.refused) => {
                self.transaction = None;
                self.watching = false;
                upstream.extend_from_slice(b"*1\r\n$7\r\nDISCARD\r\n");
                Some(Instead::Expect(Pending::ExecRefused))
            }
            Effect::Reset => {
                upstream.extend_from_slice(b"*1\r\n$5\r\nRESET\r\n");
                self.transaction = None;
                self.watching = false;
                self.barrier = true;
                // It is answered even where replies are switched off.
                self.answering = Answering::On;
                Some(Instead::Expect(Pending::Reset))
            }
            _ => None,
        }
    }

    fn expect_after(&mut self, pending: Pending, request: &Request<'_>) {
        // With AUTH it is another user's connection from here on.
        self.pinned |= request.arguments.len() > 2;
        self.barrier = self.answering == Answering::On;
        self.expect(pending);
    }

    fn acknowledged(&mut self, word: &'static str, left: Left) {
        self.pinned = true;
        // Where replies are switched off it is RESP3: push messages explain themselves.
        if left == Left::Number(0) {
            return self.expect(Pending::Reply {
                command: word,
                shape: Shape::AsItIs,
            });
        }
        self.expect(Pending::Acknowledged { word, left });
    }
}

/// What is remembered instead of the request's own reply.
enum Instead {
    Nothing,
    Expect(Pending),
}

impl Labels {
    fn note(&mut self, request: &Request<'_>) {
        let argument = |index: usize| request.arguments.get(index).copied().unwrap_or_default();
        let place = if argument(1).eq_ignore_ascii_case(b"setname") {
            &mut self.name
        } else if argument(2).eq_ignore_ascii_case(b"lib-name") {
            &mut self.library
        } else {
            &mut self.version
        };
        *place = (request.raw.len() <= LONGEST_LABEL).then(|| request.raw.to_vec());
    }
}

/// The version that a `HELLO` asks for. `None` for none, and for one that the server will refuse.
fn asked_protocol(request: &Request<'_>) -> Option<Protocol> {
    match request.arguments.get(1)? {
        [b'2'] => Some(Protocol::Resp2),
        [b'3'] => Some(Protocol::Resp3),
        _ => None,
    }
}
