//! The effects of requests on the connection that they are sent on: transactions, subscriptions, the version of the protocol,
//! replies switched off. Each is followed as far as it changes the meaning of a later request or reply.

use waxseal_policy::Effect;

use super::Identity;
use super::clients::MAX_LABEL;
use super::replay::{DISCARD, UNWATCH};
use super::requests::Next;
use super::state::{Affinity, ConnectionState};
use crate::answers;
use crate::pending::{Pending, Protocol, Remaining, Shape};
use crate::seal::Request;
use crate::subscriptions::{subscribe_acknowledgement, unsubscribe_acknowledgement};

/// The longest request that goes on a lane: while it is being sent no other one can be, and a server may be configured
/// to close a connection over an argument of a megabyte.
pub(super) const MAX_ON_LANE: usize = 512 * 1024;

impl ConnectionState {
    /// The connection that this request needs, if it cannot go on the lane. A lane takes requests that leave no state
    /// on the connection, in the protocol and the database of the lane; everything else needs a dedicated one.
    pub(super) fn needs_other_connection(
        &self,
        request: &Request<'_>,
        effect: Effect,
        lane: Identity,
    ) -> Option<Next> {
        // Servers close connections that send them HTTP, which arrives as inline requests: not on a lane.
        let is_inline = request.spans.is_empty();
        let len = request.raw.len().saturating_add(request.names.len());
        let protocol = self.client.protocol;
        match effect {
            _ if is_inline || len > MAX_ON_LANE => Some(Next::Dedicated),
            Effect::None | Effect::Script | Effect::LoadScript | Effect::QueryScripts
                if protocol != lane.protocol =>
            {
                Some(Next::Lane(protocol))
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
            // With AUTH the connection would be another user's.
            Effect::Hello if request.arguments.len() > 2 => Some(Next::Dedicated),
            Effect::Hello => {
                let protocol = asked_protocol(request).unwrap_or(protocol);
                (protocol != lane.protocol).then_some(Next::Lane(protocol))
            }
            _ => Some(Next::Dedicated),
        }
    }

    /// Sends a request that changes the connection, and remembers the change.
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
                return self.close();
            }
            Effect::ReplyOff | Effect::ReplySkip => return self.mute(effect),
            Effect::Exec => {
                let is_held = self.transaction.is_held();
                let refused = self.transaction.take_refused();
                self.count_trial(refused.as_ref());
                if let Some(refusal) = refused.and_then(|transaction| transaction.refusal) {
                    self.await_reply();
                    // What a transaction that is held back has watched is given up as well.
                    upstream.extend_from_slice(match is_held {
                        true => UNWATCH,
                        false => DISCARD,
                    });
                    return self.expect(Pending::ExecRefused { refusal });
                }
            }
            Effect::Label if !self.transaction.is_open() => return self.label(request, upstream),
            Effect::ListClients if !self.transaction.is_open() => {
                return self.list_clients(request, upstream);
            }
            Effect::KillClients if !self.transaction.is_open() => {
                return self.kill_clients(request, command, upstream, client);
            }
            _ => {}
        }
        if self.change_patterns(request, (command, effect), upstream, client) {
            return;
        }
        request.forward(upstream);
        if !is_traceless(effect) {
            self.affinity.add_trace();
        }
        if matches!(effect, Effect::Auth | Effect::Hello | Effect::Reset) {
            // Another user may have other rights.
            self.reply_mode.forget_permission();
        }
        self.follow_effect(request, command, effect);
    }

    /// Queues the reply to a request that was sent as it is, and notes what the request does to the connection.
    fn follow_effect(&mut self, request: &Request<'_>, command: &'static str, effect: Effect) {
        match effect {
            Effect::Multi | Effect::Exec | Effect::Discard | Effect::Watch | Effect::Unwatch => {
                self.transaction_step(command, effect);
            }
            Effect::ReplyOn => self.unmute(command),
            // Within a transaction a label takes effect at its end, if at all.
            Effect::Label | Effect::ListClients | Effect::KillClients => {
                self.affinity.pin();
                self.sent(command, Shape::VERBATIM);
            }
            Effect::Blocking => {
                self.mark_blocking(effect);
                self.sent(command, Shape::VERBATIM);
            }
            Effect::Auth | Effect::Select | Effect::Connection => {
                // On a lane it is a SELECT of the lane's own database.
                if self.affinity != Affinity::Shared {
                    self.affinity.pin();
                }
                self.sent(command, Shape::VERBATIM);
                self.asking = command == "asking";
                self.caching = (command == "client|caching").then(|| request.raw.into());
            }
            Effect::Script | Effect::LoadScript | Effect::QueryScripts => {
                self.sent_about_scripts(request, command, effect);
            }
            Effect::None => self.sent(command, Shape::VERBATIM),
            Effect::Quit | Effect::ReplyOff | Effect::ReplySkip => {}
            Effect::Hello
            | Effect::Subscribe(_)
            | Effect::Unsubscribe(_)
            | Effect::Monitor
            | Effect::Unsettled
            | Effect::Reset => self.change_connection(request, command, effect),
        }
    }

    /// Queues the reply to a request that changes the meaning of later requests or replies.
    fn change_connection(&mut self, request: &Request<'_>, command: &'static str, effect: Effect) {
        match effect {
            Effect::Hello => match asked_protocol(request) {
                Some(protocol) => {
                    // With AUTH it is another user's connection from here on.
                    if request.arguments.len() > 2 {
                        self.affinity.pin();
                    }
                    self.await_reply();
                    self.expect(Pending::Hello(protocol));
                }
                None => self.sent(command, Shape::VERBATIM),
            },
            Effect::Subscribe(channels) => {
                let remaining = Remaining::Count(request.arguments.len().saturating_sub(1));
                self.expect_acknowledgements(subscribe_acknowledgement(channels), remaining);
            }
            Effect::Unsubscribe(channels) => {
                let remaining = match request.arguments.len().saturating_sub(1) {
                    0 => Remaining::All,
                    count => Remaining::Count(count),
                };
                self.expect_acknowledgements(unsubscribe_acknowledgement(channels), remaining);
            }
            Effect::Monitor => {
                self.affinity.pin();
                self.await_reply();
                self.expect(Pending::Monitor);
            }
            Effect::Unsettled => {
                // Servers refuse it. If one does not, the state of the connection is unknown.
                self.affinity.pin();
                self.await_reply();
                self.expect(Pending::Unsettled { command });
            }
            Effect::Reset => self.expect_reset(),
            _ => self.sent(command, Shape::VERBATIM),
        }
    }

    fn expect_acknowledgements(&mut self, word: &'static str, remaining: Remaining) {
        self.affinity.pin();
        self.expect(match remaining {
            // The server answers with an error.
            Remaining::Count(0) => Pending::Reply {
                command: word,
                shape: Shape::VERBATIM,
            },
            remaining => Pending::Acknowledged { word, remaining },
        });
    }
}

/// True if a request with this effect leaves nothing behind on its connection, once the server's replies say that no
/// transaction is open and nothing is watched. This list decides whether a connection may serve another client: after
/// an effect that is not on it, it may not.
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

/// The version that a `HELLO` asks for. `None` if it asks for none, or for one that the server will refuse.
fn asked_protocol(request: &Request<'_>) -> Option<Protocol> {
    match request.arguments.get(1)? {
        [b'2'] => Some(Protocol::Resp2),
        [b'3'] => Some(Protocol::Resp3),
        _ => None,
    }
}
