//! Requests that are not sent: the client's answer and its time, and the record of the refusal. In a trial they are sent
//! all the same, and recorded as what would have been refused.

use std::time::Duration;

use waxseal_policy::{
    Action, Effect, PatternId, Reason, Refusal, RequestChange, Transform, max_wait,
};

use super::state::{ConnectionState, DelayedRefusal, Phase};
use super::transaction::Transaction;
use crate::answers;
use crate::pending::{LabelKind, names_of};
use crate::refusals::{ClientLabel, OwnReason, RefusedRequest};
use crate::remedy::Remedy;
use crate::seal::Request;

/// Bounds of the delay before a request that was ready to wait is refused.
const MIN_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(1);

/// The number of bytes of a client's name that are shown.
const MAX_CLIENT_NAME: usize = 64;

impl ConnectionState {
    /// Answers a request that the policy refuses.
    #[cold]
    pub(super) fn refuse_by_policy(
        &mut self,
        refusal: &Refusal,
        request: &Request<'_>,
        effect: Effect,
        client: &mut Vec<u8>,
    ) {
        let names = self.protection.names();
        let remedy = Remedy::of(refusal, names, request.arguments);
        let answer = match (refusal.reason, request.arguments) {
            (Reason::UnknownSubcommand, [container, subcommand, ..]) => {
                answers::unknown_subcommand(container, subcommand)
            }
            _ => answers::refused(refusal, &remedy, names),
        };
        self.record_policy_refusal(refusal, remedy, request.arguments, false);
        self.refuse_when_waited(answer, request.arguments, effect, client);
    }

    /// Answers a request that the proxy refuses, not the policy.
    #[cold]
    pub(super) fn refuse_here(
        &mut self,
        (command, reason): (Option<&'static str>, OwnReason),
        answer: Vec<u8>,
        (request, effect): (&Request<'_>, Effect),
        client: &mut Vec<u8>,
    ) {
        self.record_own_refusal(command, reason, request.arguments, false);
        self.refuse_when_waited(answer, request.arguments, effect, client);
    }

    /// Answers a request whose keys cannot be reached. Whatever was under way for it is over.
    #[cold]
    pub(super) fn refuse_without_keys(
        &mut self,
        command: Option<&'static str>,
        answer: Vec<u8>,
        (request, effect): (&Request<'_>, Effect),
        client: &mut Vec<u8>,
    ) {
        let reason = OwnReason::KeysOutOfReach;
        self.refuse_under_way((command, reason), answer, (request, effect), client);
    }

    /// Answers a request that cannot go on. Whatever was under way for it is over.
    #[cold]
    pub(super) fn refuse_under_way(
        &mut self,
        (command, reason): (Option<&'static str>, OwnReason),
        answer: Vec<u8>,
        (request, effect): (&Request<'_>, Effect),
        client: &mut Vec<u8>,
    ) {
        self.computed = None;
        self.moving = None;
        self.sorting = None;
        self.random = None;
        if self.script.is_none() {
            self.refuse_here((command, reason), answer, (request, effect), client);
            return;
        }
        self.record_own_refusal(command, reason, request.arguments, false);
        self.abandon_script(&answer, client);
    }

    /// Answers the script of a lock inside a transaction, in which the value that it compares cannot be read first.
    #[cold]
    pub(super) fn refuse_script_in_transaction(
        &mut self,
        request: &Request<'_>,
        command: &'static str,
        client: &mut Vec<u8>,
    ) {
        self.record_script_in_transaction(request, command, false);
        self.refuse(&answers::script_in_transaction(command), client);
    }

    fn record_script_in_transaction(
        &self,
        request: &Request<'_>,
        command: &'static str,
        is_forwarded: bool,
    ) {
        let record = self.first_protected(request.arguments);
        let names = self.protection.names();
        let remedy = Remedy::excepting(Some(command), names, request.arguments);
        let why = (
            OwnReason::InTransaction.as_str(),
            "runs the script of a lock inside a transaction",
        );
        self.record(Some(command), why, record, remedy, is_forwarded);
    }

    /// Answers a refused request, and one that was ready to wait as late as it could have been answered, within bounds:
    /// clients repeat it at once. Within a transaction nothing waits, so the delay is the shortest one.
    fn refuse_when_waited(
        &mut self,
        answer: Vec<u8>,
        arguments: &[&[u8]],
        effect: Effect,
        client: &mut Vec<u8>,
    ) {
        let wait = match effect {
            Effect::Blocking => max_wait(arguments).unwrap_or(MAX_DELAY),
            _ => Duration::ZERO,
        };
        if wait.is_zero() {
            return self.refuse(&answer, client);
        }
        let delay = match self.transaction.is_open() {
            true => MIN_DELAY,
            false => wait.clamp(MIN_DELAY, MAX_DELAY),
        };
        self.phase = Phase::Delayed(DelayedRefusal { answer, delay });
    }

    /// Answers with an error instead of sending. A transaction that the request is part of is not executed.
    pub(super) fn refuse(&mut self, answer: &[u8], client: &mut Vec<u8>) {
        self.mark_refused(answer);
        self.answer(answer, client);
    }

    /// Decides about a request in a trial: it is forwarded unchanged whatever the policy would do with it, except for what
    /// is always refused.
    #[cold]
    pub(super) fn trial_action(
        &mut self,
        request: &Request<'_>,
        command: Option<&'static str>,
        action: Action,
    ) -> Action {
        match action {
            Action::Refuse(refusal) if refusal.reason.is_always_refused() => action,
            // It changes no record: without it, the client would be sent past the proxy.
            Action::Transform(Transform {
                request: RequestChange::Reword { .. },
                ..
            }) => action,
            Action::Refuse(refusal) => {
                let names = self.protection.names();
                let remedy = Remedy::of(&refusal, names, request.arguments);
                self.record_policy_refusal(&refusal, remedy, request.arguments, true);
                self.mark_trial_refusal();
                Action::Forward
            }
            // Without a trial the client is asked for the text.
            Action::ScriptDigest(_) => {
                if let Some((pattern, _)) = self.first_protected(request.arguments) {
                    let refusals = self.protection.refusals();
                    refusals.unseen_script(pattern.index(), command.unwrap_or("evalsha"));
                }
                Action::Forward
            }
            Action::Script(_) if self.transaction.is_open() => {
                let command = command.unwrap_or("eval");
                self.record_script_in_transaction(request, command, true);
                self.mark_trial_refusal();
                Action::Forward
            }
            Action::Sort(_)
                if self.transaction.is_open() && self.sorts_in_steps(request.arguments) =>
            {
                let reason = OwnReason::InTransaction;
                self.record_own_refusal(command, reason, request.arguments, true);
                self.mark_trial_refusal();
                Action::Forward
            }
            _ => {
                let of_record = self.first_protected(request.arguments);
                if let (Some(command), Some((pattern, _))) = (command, of_record) {
                    self.count_fine(pattern.index(), command);
                }
                Action::Forward
            }
        }
    }

    /// Counts a request of a trial that would not be refused. One in a transaction is counted at the end of that.
    fn count_fine(&mut self, pattern: usize, command: &'static str) {
        let Some(transaction) = self.transaction.open() else {
            return self.protection.refusals().fine(pattern, command, 1);
        };
        let fine = &mut transaction.trial.fine;
        let is_same = |entry: &&mut (usize, &str, u64)| (entry.0, entry.1) == (pattern, command);
        match fine.iter_mut().find(is_same) {
            Some((.., count)) => *count = count.saturating_add(1),
            None => fine.push((pattern, command, 1)),
        }
    }

    /// A request of a trial would be refused: the transaction that it is part of would be aborted.
    pub(super) fn mark_trial_refusal(&mut self) {
        if let Some(transaction) = self.transaction.open() {
            transaction.trial.is_refused = true;
        }
    }

    /// Counts the findings of a trial in a transaction that ends.
    pub(super) fn count_trial(&self, transaction: Option<&Transaction>) {
        let Some(Transaction { trial, refusal, .. }) = transaction else {
            return;
        };
        let refusals = self.protection.refusals();
        for (pattern, command, count) in &trial.fine {
            match trial.is_refused || refusal.is_some() {
                true => refusals.aborted(*count),
                false => refusals.fine(*pattern, command, *count),
            }
        }
    }

    /// Records a request that the policy refuses, or would refuse.
    pub(super) fn record_policy_refusal(
        &self,
        refusal: &Refusal,
        remedy: Remedy,
        arguments: &[&[u8]],
        is_forwarded: bool,
    ) {
        let argument = refusal.name.and_then(|at| arguments.get(at)).copied();
        self.record(
            refusal.command,
            (refusal.reason.as_str(), refusal.reason.cause()),
            refusal.pattern.zip(argument),
            remedy,
            is_forwarded,
        );
    }

    /// Records a request that the proxy refuses, or would refuse, for a reason of its own.
    #[cold]
    pub(super) fn record_own_refusal(
        &self,
        command: Option<&'static str>,
        reason: OwnReason,
        arguments: &[&[u8]],
        is_forwarded: bool,
    ) {
        let record = match reason.is_about_record() {
            true => self.first_protected(arguments),
            false => None,
        };
        self.record(
            command,
            (reason.as_str(), reason.cause()),
            record,
            Remedy::other(reason.remedy()),
            is_forwarded,
        );
    }

    fn record(
        &self,
        command: Option<&'static str>,
        (reason, cause): (&'static str, &'static str),
        record: Option<(PatternId, &[u8])>,
        remedy: Remedy,
        is_forwarded: bool,
    ) {
        let protection = &self.protection;
        let names = protection.names();
        let kept = record.filter(|_| protection.keeps_names());
        protection.refused(RefusedRequest {
            command,
            pattern: record.map(|(id, _)| (id, names.pattern(id).shown())),
            reason,
            cause,
            advice: remedy.advice(names, protection.is_typed()),
            setting: remedy.setting(names),
            scripts: remedy.scripts,
            excepts: remedy.excepts,
            is_forwarded,
            record: record.map(|(id, name)| protection.show(id, name)),
            names: kept.into_iter().map(|(_, name)| name.to_vec()).collect(),
            client: self.client_label(),
        });
    }

    /// The first protected name of a request.
    pub(super) fn first_protected<'a>(
        &self,
        arguments: &[&'a [u8]],
    ) -> Option<(PatternId, &'a [u8])> {
        let names = self.protection.names();
        names_of(arguments).find_map(|name| Some((names.find_sealed(name)?, name)))
    }

    /// The client, as the log names it.
    pub(super) fn client_label(&self) -> ClientLabel {
        let Some(registration) = &self.client.registration else {
            return ClientLabel::default();
        };
        ClientLabel {
            address: registration.client.address.clone(),
            name: registration
                .client
                .label(LabelKind::Name)
                .map(|name| shown_name(&name)),
        }
    }
}

/// A client's name for the log. Clients choose it, so unprintable characters are replaced.
fn shown_name(name: &[u8]) -> String {
    let name = name.get(..MAX_CLIENT_NAME).unwrap_or(name);
    let letters = name.iter().map(|byte| match byte.is_ascii_graphic() {
        true => char::from(*byte),
        false => '?',
    });
    letters.collect()
}
