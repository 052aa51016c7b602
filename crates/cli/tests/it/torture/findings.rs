//! The findings of the harness: which check failed, at which command, and everything needed to repeat it.

use std::fmt;

/// The properties that must hold; the most severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Check {
    /// Values under a protected name are sealed.
    Sealed,
    /// No envelope reaches a client.
    NoEnvelope,
    /// A request that a protected record does not allow is refused, however it is written.
    RefusedWhereNeeded,
    /// A connection that a client left is as new for the next.
    Successor,
    /// Another client gets its own replies, and in time.
    Bystander,
    /// Every request is answered that the direct server answers.
    Answered,
    /// A reply is the direct server's.
    SameReply,
    /// A request is refused only for a reason that is documented.
    RefusedWithReason,
    /// Both servers hold the same in the end.
    SameData,
    /// The proxy is alive and keeps no unused connection.
    Alive,
}

/// One failed check.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) check: Check,
    /// The command, as the policy has it, or what was checked.
    pub(super) subject: String,
    pub(super) detail: String,
}

impl Finding {
    pub(super) fn new(check: Check, subject: &str, detail: String) -> Self {
        Self {
            check,
            subject: subject.to_owned(),
            detail,
        }
    }

    /// True if both are about the same.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.check == other.check && self.subject == other.subject
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({}): {}", self.check, self.subject, self.detail)
    }
}
