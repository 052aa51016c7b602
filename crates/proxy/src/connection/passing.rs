//! Requests that are too large to hold: those that are certain to pass go by in pieces, the others are
//! let go by and answered with an error at their end.

use waxseal_policy::{Effect, certainly_forwarded, decide};
use waxseal_resp::Arguments;

use super::{Answering, Connection, GoingBy, Next, Route, Talk};
use crate::answers;
use crate::pending::Shape;

impl Connection {
    /// Whether what is held of a request is more than may be. A line of words has its own bound, and
    /// cannot go by: where it ends is known only when it has.
    pub(super) fn is_too_long(&self, held: usize) -> bool {
        held > self.talk.limits.request && !self.scanner.is_inline() && !self.scanner.is_at_start()
    }

    /// An argument is announced that is not held as a matter of course.
    pub(super) fn large(
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
    pub(super) fn too_long(
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
        (!passes).then(|| answer(self.talk.command(&arguments).unwrap_or("this command")))
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
        if !forward {
            let command = self.talk.command(&self.scanner.arguments(rest));
            self.talk.count_refusal(command, "too_large");
        }
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

    pub(super) fn let_by(
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

    fn command(&self, arguments: &Arguments<'_>) -> Option<&'static str> {
        decide(self.protection.names(), arguments).command
    }
}
