//! Requests that are too large to hold: those that are certain to pass go by in pieces, the others are
//! let go by and answered with an error at their end.

use waxseal_policy::{Decision, Effect, ProtectedNames, decide, decide_early};

use super::{Connection, Link, Next, StreamedRequest};
use crate::answers;
use crate::pending::Shape;
use crate::refusals::OwnReason;

impl Connection {
    /// Whether what is held of a request, of which so many bytes have come, is more than may be. A line
    /// of words has its own bound, and cannot go by: where it ends is known only when it has.
    pub(super) fn is_too_long(&self, bytes: usize) -> bool {
        let held = bytes.saturating_add(self.scanner.retained_bytes());
        held > self.talk.limits.request && !self.scanner.is_inline() && !self.scanner.is_at_start()
    }

    /// An argument is announced that is not held as a matter of course.
    pub(super) fn large(
        &mut self,
        length: u64,
        rest: &[u8],
        link: Link,
        upstream: &mut Vec<u8>,
    ) -> Result<usize, Next> {
        let most = self.talk.limits.value;
        let fits = usize::try_from(length).is_ok_and(|length| length <= most);
        match self.streamable(rest) {
            // A script's text is noted.
            Some((_, Effect::LoadScript)) if fits => {
                self.scanner.hold();
                Ok(0)
            }
            Some(decided) => self.stream(rest, decided, link, upstream),
            None if fits => {
                self.scanner.hold();
                Ok(0)
            }
            None => match self.try_large(rest, link, upstream) {
                Some(streamed) => streamed,
                None => Ok(self.skip(rest, |command| answers::too_large(command, most))),
            },
        }
    }

    /// More of a request is held than may be.
    pub(super) fn too_long(
        &mut self,
        rest: &[u8],
        link: Link,
        upstream: &mut Vec<u8>,
    ) -> Result<usize, Next> {
        let most = self.talk.limits.request;
        match self.streamable(rest) {
            Some(decided) => self.stream(rest, decided, link, upstream),
            None => match self.try_large(rest, link, upstream) {
                Some(streamed) => streamed,
                None => Ok(self.skip(rest, |command| answers::request_too_large(command, most))),
            },
        }
    }

    /// The command and the effect of a request that need not be held, because it is certain to be
    /// forwarded and its effect is followed without looking at its arguments.
    fn streamable(&self, rest: &[u8]) -> Option<(&'static str, Effect)> {
        self.streamable_under(self.talk.protection.names(), rest)
    }

    /// In a trial, a request that is too large to be judged is sent as well where it is certain that it names no
    /// record of Waxseal's own; `None` where nothing was done.
    #[cold]
    fn try_large(
        &mut self,
        rest: &[u8],
        link: Link,
        upstream: &mut Vec<u8>,
    ) -> Option<Result<usize, Next>> {
        if !self.talk.protection.is_trial() {
            return None;
        }
        let decided = self.streamable_under(&ProtectedNames::default(), rest)?;
        if link == Link::Dedicated {
            let (arguments, reason) = (self.scanner.arguments(rest), OwnReason::TooLarge);
            let command = (!decided.0.is_empty()).then_some(decided.0);
            self.talk
                .record_own_refusal(command, reason, &arguments, true);
            self.talk.note_tried_refusal();
        }
        Some(self.stream(rest, decided, link, upstream))
    }

    fn streamable_under(
        &self,
        names: &ProtectedNames,
        rest: &[u8],
    ) -> Option<(&'static str, Effect)> {
        let arguments = self.scanner.arguments(rest);
        if arguments.is_empty() || self.talk.monitoring {
            return None;
        }
        let Decision {
            command, effect, ..
        } = decide_early(names, &arguments, self.scanner.announced())?;
        let followed = matches!(
            effect,
            Effect::None
                | Effect::Script
                | Effect::LoadScript
                | Effect::QueryScripts
                | Effect::Blocking
                | Effect::Connection
        );
        followed.then_some((command.unwrap_or_default(), effect))
    }

    /// Sends what there is of a request, and lets the rest of it follow as it comes.
    #[inline(never)]
    fn stream(
        &mut self,
        rest: &[u8],
        (command, effect): (&'static str, Effect),
        link: Link,
        upstream: &mut Vec<u8>,
    ) -> Result<usize, Next> {
        if link != Link::Dedicated {
            self.scanner.reset();
            return Err(Next::Dedicated);
        }
        let position = self.scanner.position();
        let talk = &mut self.talk;
        upstream.extend_from_slice(rest.get(..position).unwrap_or_default());
        talk.pinned |= effect == Effect::Connection;
        talk.traces |= effect == Effect::Connection;
        talk.may_block(effect);
        if effect == Effect::Script {
            talk.protection.script_forwarded(command);
        }
        talk.sent(command, Shape::Verbatim);
        Ok(self.begin_streaming(None))
    }

    /// Sends nothing of a request, and answers with an error once all of it has come.
    #[cold]
    fn skip(&mut self, rest: &[u8], answer: impl FnOnce(&str) -> Vec<u8>) -> usize {
        let arguments = self.scanner.arguments(rest);
        let command = decide(self.talk.protection.names(), &arguments).command;
        let reason = OwnReason::TooLarge;
        self.talk
            .record_own_refusal(command, reason, &arguments, false);
        let answer = answer(command.unwrap_or("this command"));
        drop(arguments);
        self.begin_streaming(Some(answer))
    }

    /// Lets the rest of a request go by; gives how much of it has.
    fn begin_streaming(&mut self, refusal: Option<Vec<u8>>) -> usize {
        let position = self.scanner.position();
        self.streamed = Some(StreamedRequest {
            tail: self.scanner.tail(),
            refusal,
        });
        self.scanner.reset();
        position
    }

    pub(super) fn stream_through(
        &mut self,
        rest: &[u8],
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> (usize, bool) {
        let Some(streamed) = &mut self.streamed else {
            return (0, true);
        };
        match streamed.tail.pass(rest) {
            Ok(passed) => {
                if streamed.refusal.is_none() {
                    upstream.extend_from_slice(rest.get(..passed.used).unwrap_or_default());
                }
                if passed.done {
                    if let Some(refusal) = streamed.refusal.take() {
                        self.talk.refuse(&refusal, client);
                    }
                    self.streamed = None;
                }
                (passed.used, passed.done)
            }
            Err(error) => {
                // Part of it is with the server, which answers nothing before it has the rest: the
                // answer is ours, and closing keeps the request from being completed.
                if streamed.refusal.is_none() {
                    self.talk.pending.pop_back();
                }
                self.streamed = None;
                self.talk.answer(&answers::no_request(error), client);
                self.talk.closing = true;
                (rest.len(), true)
            }
        }
    }
}
