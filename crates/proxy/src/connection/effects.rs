//! What requests do to the connection they come over: transactions, subscriptions, the version of the
//! protocol, replies switched off. Each is followed as far as it changes what a later request or
//! reply means.

use waxseal_policy::{Effect, is};

use super::requests::{Next, One};
use super::{Answering, Identity, Labels, ReplyMode, Talk};
use crate::answers;
use crate::pending::{Label, LabelKind, Left, Pending, Protocol, Shape};
use crate::seal::Request;
use crate::subscriptions::{word_of_subscribe, word_of_unsubscribe};

/// `CLIENT REPLY ON`.
const REPLY_ON: &[u8] = b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$2\r\nON\r\n";
/// The longest label that is remembered.
const LONGEST_LABEL: usize = 1024;
/// The longest request that goes on a lane: while it is on its way, no other can be, and a server may be
/// configured to close a connection over an argument of a megabyte.
const MAX_ON_LANE: usize = 512 * 1024;

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
            _ if inline || request.raw.len() > MAX_ON_LANE => Some(Next::Own),
            Effect::None | Effect::Script if self.protocol != lane.protocol => {
                Some(Next::Lane(self.protocol))
            }
            Effect::None | Effect::Script | Effect::Quit => None,
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
    #[inline(never)]
    pub(super) fn forward_with_effect(
        &mut self,
        request: &Request<'_>,
        command: &'static str,
        effect: Effect,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) {
        match effect {
            Effect::Quit => {
                self.answer(answers::OK, client);
                self.closing = true;
                return;
            }
            Effect::ReplySkip => return self.skip_next(),
            Effect::Exec if self.transaction.as_ref().is_some_and(|it| it.refused) => {
                self.await_reply();
                upstream.extend_from_slice(b"*1\r\n$7\r\nDISCARD\r\n");
                self.transaction = None;
                if self.answering != Answering::On {
                    self.assume(effect);
                }
                return self.expect(Pending::ExecRefused);
            }
            _ => {}
        }
        upstream.extend_from_slice(request.raw);
        self.traces |= !is_traceless(effect);
        if matches!(effect, Effect::Auth | Effect::Hello | Effect::Reset) {
            // Another user may have other rights.
            self.reply_mode = ReplyMode::Unknown;
        }
        match effect {
            Effect::Multi | Effect::Exec | Effect::Discard | Effect::Watch | Effect::Unwatch => {
                self.transaction_step(command, effect);
            }
            Effect::ReplyOn | Effect::ReplyOff => {
                self.switch_replies(command, effect);
            }
            Effect::Label if self.transaction.is_some() => {
                // It takes effect at the end, if at all.
                self.pinned = true;
                self.sent(command, Shape::AsItIs);
            }
            Effect::Label => {
                let label = label(request);
                // One that is too long to be said again must stay where it was said.
                self.pinned |= label.request.is_none();
                self.expect(Pending::Label(Box::new(label)));
            }
            Effect::Blocking => {
                self.may_block(effect);
                self.sent(command, Shape::AsItIs);
            }
            Effect::Auth | Effect::Select | Effect::Connection => {
                // On a lane it is the SELECT of the lane's own database.
                self.pinned |= !self.shared;
                self.sent(command, Shape::AsItIs);
            }
            Effect::Script => {
                self.protection.script_forwarded(command);
                self.sent(command, Shape::AsItIs);
            }
            Effect::None => self.sent(command, Shape::AsItIs),
            Effect::Quit | Effect::ReplySkip => {}
            Effect::Hello
            | Effect::Subscribe(_)
            | Effect::Unsubscribe(_)
            | Effect::Monitor
            | Effect::Unsettled
            | Effect::Reset => self.change_connection(request, command, effect),
        }
    }

    /// Remembers what the reply to a request will be that changes what later requests or replies mean.
    fn change_connection(&mut self, request: &Request<'_>, command: &'static str, effect: Effect) {
        match effect {
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
                self.await_reply();
                self.expect(Pending::Monitor);
            }
            Effect::Unsettled => {
                // Servers refuse it. If one does not, the state of the connection is unknown.
                self.pinned = true;
                self.await_reply();
                self.expect(Pending::Unsettled { command });
            }
            Effect::Reset => {
                // It is answered even where replies are switched off.
                self.answering = Answering::On;
                self.await_reply();
                self.expect(Pending::Reset);
            }
            _ => self.sent(command, Shape::AsItIs),
        }
    }

    /// A request went out whose reply decides what the ones behind it mean: they are not looked at
    /// before it has come.
    pub(super) fn await_reply(&mut self) {
        self.barrier = self.answering == Answering::On;
    }

    /// `CLIENT REPLY SKIP`: told to the server together with the request whose reply is skipped.
    fn skip_next(&mut self) {
        // Nothing can be skipped where nothing comes.
        if self.answering != Answering::Off {
            self.pinned = true;
            self.traces = true;
            self.answering = Answering::SkipNext;
        }
    }

    /// Before replies are switched off: whether the server lets the client do so. `None` where it does.
    #[cold]
    pub(super) fn ask_for_reply_mode(
        &mut self,
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> Option<One> {
        if self.answering != Answering::On {
            return None;
        }
        match std::mem::take(&mut self.reply_mode) {
            ReplyMode::Allowed { now } if now || !self.may_be_subscriber() => {
                self.reply_mode = ReplyMode::Allowed { now: false };
                None
            }
            ReplyMode::Allowed { .. } | ReplyMode::Unknown => {
                upstream.extend_from_slice(REPLY_ON);
                self.traces = true;
                self.await_reply();
                self.expect(Pending::MayChangeReplies);
                Some(One::Again(Next::Replies))
            }
            ReplyMode::Denied(error) => {
                self.answer(&error, client);
                Some(One::Done)
            }
        }
    }

    /// Whether the connection may be one of RESP2 with subscriptions, which servers let do little else.
    fn may_be_subscriber(&self) -> bool {
        let subscribes = |pending: &Pending| matches!(pending, Pending::Acknowledged { .. });
        self.protocol == Protocol::Resp2
            && (self.replying || self.subscriptions.any() || self.pending.iter().any(subscribes))
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

    fn expect_after(&mut self, pending: Pending, request: &Request<'_>) {
        // With AUTH it is another user's connection from here on.
        self.pinned |= request.arguments.len() > 2;
        self.await_reply();
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

/// Whether a request with this effect leaves nothing behind on its connection, once the server's
/// replies say that no transaction is open and nothing is watched. This list decides whether a
/// connection may serve another client: what is not on it may not.
fn is_traceless(effect: Effect) -> bool {
    matches!(
        effect,
        Effect::None
            | Effect::Script
            | Effect::Blocking
            | Effect::Multi
            | Effect::Exec
            | Effect::Discard
            | Effect::Watch
            | Effect::Unwatch
    )
}

impl Labels {
    /// The server has accepted one.
    pub(super) fn set(&mut self, label: Label) {
        let place = match label.kind {
            LabelKind::Name => &mut self.name,
            LabelKind::Library => &mut self.library,
            LabelKind::Version => &mut self.version,
        };
        *place = label.request;
    }
}

fn label(request: &Request<'_>) -> Label {
    let kind = if is(request.arguments, 1, "SETNAME") {
        LabelKind::Name
    } else if is(request.arguments, 2, "LIB-NAME") {
        LabelKind::Library
    } else {
        LabelKind::Version
    };
    let short = request.raw.len() <= LONGEST_LABEL;
    Label {
        kind,
        request: short.then(|| request.raw.into()),
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
