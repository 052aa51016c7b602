//! What requests do to the connection they come over: transactions, subscriptions, the version of the
//! protocol, replies switched off. Each is followed as far as it changes what a later request or
//! reply means.

use waxseal_policy::Effect;

use super::clients::MAX_LABEL;
use super::reply_mode::ReplyPermission;
use super::requests::Next;
use super::{ConnectionState, Identity, Labels, Transaction};
use crate::answers;
use crate::pending::{Label, LabelKind, Left, Pending, Protocol, Shape};
use crate::seal::Request;
use crate::subscriptions::{word_of_subscribe, word_of_unsubscribe};

/// The longest request that goes on a lane: while it is on its way, no other can be, and a server may be
/// configured to close a connection over an argument of a megabyte.
const MAX_ON_LANE: usize = 512 * 1024;

impl ConnectionState {
    /// Whether this request cannot go out on a lane, and what it needs.
    pub(super) fn needs_other_connection(
        &self,
        request: &Request<'_>,
        effect: Effect,
        lane: Identity,
    ) -> Option<Next> {
        // Servers close connections that speak HTTP at them; a lane is not for that.
        let inline = request.spans.is_empty();
        match effect {
            _ if inline || request.raw.len() > MAX_ON_LANE => Some(Next::Dedicated),
            Effect::None | Effect::Script | Effect::LoadScript | Effect::QueryScripts
                if self.protocol != lane.protocol =>
            {
                Some(Next::Lane(self.protocol))
            }
            Effect::None
            | Effect::Script
            | Effect::LoadScript
            | Effect::QueryScripts
            | Effect::Quit => None,
            Effect::Label if request.raw.len() <= MAX_LABEL => None,
            Effect::Select if request.arguments.len() == 2 => {
                let asked = request.arguments.get(1).copied().unwrap_or_default();
                (asked != lane.database.to_string().as_bytes()).then_some(Next::Dedicated)
            }
            // With AUTH it would be another user's.
            Effect::Hello if request.arguments.len() > 2 => Some(Next::Dedicated),
            Effect::Hello => {
                let protocol = asked_protocol(request).unwrap_or(self.protocol);
                (protocol != lane.protocol).then_some(Next::Lane(protocol))
            }
            _ => Some(Next::Dedicated),
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
            Effect::ReplyOff | Effect::ReplySkip => return self.mute(effect),
            Effect::Exec => {
                let is_refused = |it: &mut Transaction| it.refusal.is_some();
                let refused = self.transaction.take_if(is_refused);
                self.count_tried(refused.as_ref());
                if let Some(refusal) = refused.and_then(|it| it.refusal) {
                    self.await_reply();
                    upstream.extend_from_slice(b"*1\r\n$7\r\nDISCARD\r\n");
                    return self.expect(Pending::ExecRefused { refusal });
                }
            }
            Effect::Label if self.transaction.is_none() => return self.label(request, upstream),
            Effect::ListClients if self.transaction.is_none() => {
                return self.list_clients(request, upstream);
            }
            Effect::KillClients if self.transaction.is_none() => {
                return self.kill_clients(request, command, upstream, client);
            }
            _ => {}
        }
        upstream.extend_from_slice(request.raw);
        self.traces |= !is_traceless(effect);
        if matches!(effect, Effect::Auth | Effect::Hello | Effect::Reset) {
            // Another user may have other rights.
            self.reply_permission = ReplyPermission::Unknown;
        }
        match effect {
            Effect::Multi | Effect::Exec | Effect::Discard | Effect::Watch | Effect::Unwatch => {
                self.transaction_step(command, effect);
            }
            Effect::ReplyOn => self.unmute(command),
            // A label takes effect at the end of the transaction, if at all.
            Effect::Label | Effect::ListClients | Effect::KillClients => {
                self.pinned = true;
                self.sent(command, Shape::Verbatim);
            }
            Effect::Blocking => {
                self.may_block(effect);
                self.sent(command, Shape::Verbatim);
            }
            Effect::Auth | Effect::Select | Effect::Connection => {
                // On a lane it is the SELECT of the lane's own database.
                self.pinned |= !self.shared;
                self.sent(command, Shape::Verbatim);
                self.asking = command == "asking";
            }
            Effect::Script | Effect::LoadScript | Effect::QueryScripts => {
                self.sent_about_scripts(request, command, effect);
            }
            Effect::None => self.sent(command, Shape::Verbatim),
            Effect::Quit | Effect::ReplyOff | Effect::ReplySkip => {}
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
                None => self.sent(command, Shape::Verbatim),
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
            Effect::Reset => self.expect_reset(),
            _ => self.sent(command, Shape::Verbatim),
        }
    }

    /// A request went out whose reply decides what the ones behind it mean: they are not looked at
    /// before it has come.
    pub(super) fn await_reply(&mut self) {
        self.barrier = true;
    }

    fn expect_after(&mut self, pending: Pending, request: &Request<'_>) {
        // With AUTH it is another user's connection from here on.
        self.pinned |= request.arguments.len() > 2;
        self.await_reply();
        self.expect(pending);
    }

    fn acknowledged(&mut self, word: &'static str, left: Left) {
        self.pinned = true;
        if left == Left::Number(0) {
            return self.expect(Pending::Reply {
                command: word,
                shape: Shape::Verbatim,
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
            | Effect::LoadScript
            | Effect::QueryScripts
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

/// The version that a `HELLO` asks for. `None` for none, and for one that the server will refuse.
fn asked_protocol(request: &Request<'_>) -> Option<Protocol> {
    match request.arguments.get(1)? {
        [b'2'] => Some(Protocol::Resp2),
        [b'3'] => Some(Protocol::Resp3),
        _ => None,
    }
}
