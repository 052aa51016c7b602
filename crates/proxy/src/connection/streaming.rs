//! Requests that are too large to hold. One that is certain to be forwarded is streamed: its bytes go to the server as
//! they arrive. Of any other one the bytes are dropped, and it is answered with an error at its end.

use waxseal_policy::{Decision, Effect, ProtectedNames, decide, decide_early};

use super::state::{Phase, StreamedRequest};
use super::{Connection, Link, Next};
use crate::answers;
use crate::pending::Shape;
use crate::refusals::OwnReason;

impl Connection {
    /// True if more is held of a request, of which so many bytes have arrived, than may be. An inline request has its
    /// own limit and cannot be streamed: its end is not known in advance.
    pub(super) fn is_too_long(&self, bytes: usize) -> bool {
        let scanner = &self.request_scanner;
        let held = bytes.saturating_add(scanner.retained_bytes());
        held > self.state.limits.request && !scanner.is_inline() && !scanner.is_at_start()
    }

    /// Decides about a request that announces an argument which is too large to be held without need.
    pub(super) fn large(
        &mut self,
        length: u64,
        bytes: &[u8],
        link: Link,
        upstream: &mut Vec<u8>,
    ) -> Result<usize, Next> {
        if self.state.transaction.is_held() {
            // Nothing of it is sent before its EXEC.
            return Ok(self.skip(bytes, |_| answers::transaction_too_large()));
        }
        let max = self.state.limits.value;
        let fits = usize::try_from(length).is_ok_and(|length| length <= max);
        match self.streamable(bytes) {
            // The text of a script is held, because the cache needs it.
            Some((_, Effect::LoadScript)) if fits => {
                self.request_scanner.hold();
                Ok(0)
            }
            Some(decided) => self.stream(bytes, decided, link, upstream),
            None if fits => {
                self.request_scanner.hold();
                Ok(0)
            }
            None => match self.stream_in_trial(bytes, link, upstream) {
                Some(streamed) => streamed,
                None => Ok(self.skip(bytes, |command| answers::too_large(command, max))),
            },
        }
    }

    /// Decides about a request of which more would have to be held than may be.
    pub(super) fn too_long(
        &mut self,
        bytes: &[u8],
        link: Link,
        upstream: &mut Vec<u8>,
    ) -> Result<usize, Next> {
        if self.state.transaction.is_held() {
            return Ok(self.skip(bytes, |_| answers::transaction_too_large()));
        }
        let max = self.state.limits.request;
        match self.streamable(bytes) {
            Some(decided) => self.stream(bytes, decided, link, upstream),
            None => match self.stream_in_trial(bytes, link, upstream) {
                Some(streamed) => streamed,
                None => Ok(self.skip(bytes, |command| answers::request_too_large(command, max))),
            },
        }
    }

    /// The command and the effect of a request that need not be held: it is certain to be forwarded, and its effect
    /// does not depend on its arguments.
    fn streamable(&self, bytes: &[u8]) -> Option<(&'static str, Effect)> {
        self.streamable_under(self.state.protection.names(), bytes)
    }

    /// In a trial, also streams a request that is too large to be judged, if it is certain that it names no record of
    /// Waxseal's own. Returns `None` if nothing was done.
    #[cold]
    fn stream_in_trial(
        &mut self,
        bytes: &[u8],
        link: Link,
        upstream: &mut Vec<u8>,
    ) -> Option<Result<usize, Next>> {
        if !self.state.protection.is_trial() {
            return None;
        }
        let decided = self.streamable_under(&ProtectedNames::default(), bytes)?;
        if link == Link::Dedicated {
            let arguments = self.request_scanner.arguments(bytes);
            let reason = OwnReason::TooLarge;
            let command = (!decided.0.is_empty()).then_some(decided.0);
            self.state
                .record_own_refusal(command, reason, &arguments, true);
            self.state.mark_trial_refusal();
        }
        Some(self.stream(bytes, decided, link, upstream))
    }

    fn streamable_under(
        &self,
        names: &ProtectedNames,
        bytes: &[u8],
    ) -> Option<(&'static str, Effect)> {
        let arguments = self.request_scanner.arguments(bytes);
        if arguments.is_empty() || self.state.pushes.monitoring {
            return None;
        }
        let Decision {
            command, effect, ..
        } = decide_early(names, &arguments, self.request_scanner.announced())?;
        let is_simple = matches!(
            effect,
            Effect::None
                | Effect::Script
                | Effect::LoadScript
                | Effect::QueryScripts
                | Effect::Blocking
                | Effect::Connection
        );
        is_simple.then_some((command.unwrap_or_default(), effect))
    }

    /// Sends the first bytes of a request; the others follow as they arrive.
    #[inline(never)]
    fn stream(
        &mut self,
        bytes: &[u8],
        (command, effect): (&'static str, Effect),
        link: Link,
        upstream: &mut Vec<u8>,
    ) -> Result<usize, Next> {
        if link != Link::Dedicated {
            self.request_scanner.reset();
            return Err(Next::Dedicated);
        }
        let position = self.request_scanner.position();
        let state = &mut self.state;
        upstream.extend_from_slice(bytes.get(..position).unwrap_or_default());
        if effect == Effect::Connection {
            state.affinity.pin();
        }
        state.mark_blocking(effect);
        if effect == Effect::Script {
            state.protection.script_forwarded(command);
        }
        state.sent(command, Shape::VERBATIM);
        if let Some(transaction) = state.transaction.open() {
            transaction.journal.mark_incomplete();
        }
        Ok(self.begin_streaming(None))
    }

    /// Sends nothing of a request, which is answered with an error once all of it has arrived.
    #[cold]
    fn skip(&mut self, bytes: &[u8], answer: impl FnOnce(&str) -> Vec<u8>) -> usize {
        let arguments = self.request_scanner.arguments(bytes);
        let command = decide(self.state.protection.names(), &arguments).command;
        let reason = OwnReason::TooLarge;
        self.state
            .record_own_refusal(command, reason, &arguments, false);
        let answer = answer(command.unwrap_or("this command"));
        drop(arguments);
        self.begin_streaming(Some(answer))
    }

    /// Enters the streaming phase. Returns the number of bytes of the request that were processed.
    fn begin_streaming(&mut self, refusal: Option<Vec<u8>>) -> usize {
        let position = self.request_scanner.position();
        self.state.phase = Phase::Streaming(StreamedRequest {
            tail: self.request_scanner.tail(),
            refusal,
        });
        self.request_scanner.reset();
        position
    }

    /// Streams the next bytes of a request. Returns the number of bytes consumed, and true if the request has ended.
    pub(super) fn stream_through(
        &mut self,
        bytes: &[u8],
        upstream: &mut Vec<u8>,
        client: &mut Vec<u8>,
    ) -> (usize, bool) {
        let Phase::Streaming(streamed) = &mut self.state.phase else {
            return (0, true);
        };
        match streamed.tail.scan(bytes) {
            Ok(passed) => {
                if streamed.refusal.is_none() {
                    upstream.extend_from_slice(bytes.get(..passed.used).unwrap_or_default());
                }
                if passed.done {
                    let refusal = streamed.refusal.take();
                    self.state.phase = Phase::Open;
                    if let Some(refusal) = refusal {
                        self.state.refuse(&refusal, client);
                    }
                }
                (passed.used, passed.done)
            }
            Err(error) => {
                // The server has part of the request and answers nothing before it has all of it: the answer is
                // written here, and closing keeps the request from being completed.
                if streamed.refusal.is_none() {
                    let len = self.state.queue.len();
                    self.state.queue.truncate(len.saturating_sub(1));
                }
                self.state.close();
                self.state.answer(&answers::invalid_request(error), client);
                (bytes.len(), true)
            }
        }
    }
}
