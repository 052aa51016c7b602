//! The script of a request: by its text, or by its digest if its text has passed the proxy before.

use std::time::Instant;

use waxseal_policy::{Action, Effect, UnknownDigest, decide_script};

use super::ConnectionState;
use crate::answers;
use crate::pending::Shape;
use crate::remedy::Remedy;
use crate::seal::Request;

impl ConnectionState {
    /// Caches the text of a script that a request over protected records carries, and finds the script that it names by
    /// its digest. `Err` is the answer to a digest whose text the client must send first.
    #[inline(never)]
    pub(in crate::connection) fn resolve_script(
        &mut self,
        request: &Request<'_>,
        action: Action,
    ) -> Result<Action, &'static [u8]> {
        let action = match action {
            Action::ScriptDigest(unknown) => self.resolve_digest(request, unknown)?,
            action => {
                self.cache_script(request, &action);
                action
            }
        };
        Ok(match action {
            // Values of excepted names are plain as a rule, and within a transaction nothing can be read.
            Action::Script(call)
                if call.location.pattern.is_excepted() && self.transaction.is_open() =>
            {
                Action::Forward
            }
            action => action,
        })
    }

    fn resolve_digest(
        &mut self,
        request: &Request<'_>,
        unknown: UnknownDigest,
    ) -> Result<Action, &'static [u8]> {
        let digest = request.arguments.get(1).copied().unwrap_or_default();
        let scripts = self.protection.scripts();
        let is_trial = self.protection.is_trial();
        let script = match (scripts.find(digest), unknown) {
            (Some(script), _) => script.known(),
            (None, UnknownDigest::Excepted) => None,
            // Forwarded all the same; its text may never pass.
            (None, unknown) if is_trial => return Ok(Action::ScriptDigest(unknown)),
            (None, UnknownDigest::Forward) if !scripts.ask_for_text(digest, Instant::now()) => None,
            (None, UnknownDigest::Refuse(refusal)) => {
                // A client that has the text sends it at once. After that time the request is refused.
                if !scripts.ask_for_text(digest, Instant::now()) {
                    let remedy = Remedy::of(&refusal, self.protection.names(), request.arguments);
                    self.record_policy_refusal(&refusal, remedy, request.arguments, false);
                }
                return Err(answers::NO_SCRIPT);
            }
            // Forwarded unchanged, the script of a lock would compare the token with the sealed value.
            (None, UnknownDigest::Forward) => return Err(answers::NO_SCRIPT),
        };
        if script.is_none() {
            // It was forgotten while it was running.
            self.script = None;
        }
        let names = self.protection.names();
        Ok(decide_script(names, request.arguments, script))
    }

    /// Caches the text that a request carries. Over other records digests are forwarded unchanged, and nothing needs to
    /// be known of them.
    fn cache_script(&self, request: &Request<'_>, action: &Action) {
        let word = request.arguments.first().copied().unwrap_or_default();
        let carries_text =
            word.eq_ignore_ascii_case(b"EVAL") || word.eq_ignore_ascii_case(b"EVAL_RO");
        // A request that is tried again was cached before.
        if carries_text
            && self.script.is_none()
            && (*action != Action::Forward || self.first_protected(request.arguments).is_some())
        {
            let text = request.arguments.get(1).copied().unwrap_or_default();
            self.protection.scripts().insert(text);
        }
    }

    /// A request about scripts went out unchanged: queues its reply.
    pub(in crate::connection) fn sent_about_scripts(
        &mut self,
        request: &Request<'_>,
        command: &'static str,
        effect: Effect,
    ) {
        let shape = match effect {
            Effect::LoadScript => {
                let text = request.arguments.get(2).copied().unwrap_or_default();
                self.protection.scripts().insert(text);
                Shape::VERBATIM
            }
            Effect::QueryScripts => self.shape_of_query(request),
            _ => {
                self.protection.script_forwarded(command);
                Shape::VERBATIM
            }
        };
        self.sent(command, shape);
    }

    /// The shape of the reply to `SCRIPT EXISTS`: a script whose text has not passed is reported as missing, because the
    /// proxy would ask for its text.
    fn shape_of_query(&self, request: &Request<'_>) -> Shape {
        let protection = &self.protection;
        if protection.is_trial() || protection.names().iter().next().is_none() {
            return Shape::VERBATIM;
        }
        let digests = request.arguments.iter().skip(2);
        let identifiable: Box<[bool]> = digests
            .map(|digest| protection.scripts().is_identifiable(digest))
            .collect();
        match identifiable.iter().all(|is_identifiable| *is_identifiable) {
            true => Shape::VERBATIM,
            false => Shape::ScriptsExist(identifiable),
        }
    }
}
