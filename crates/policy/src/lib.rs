//! Waxseal's policy: which records are protected, and what each Redis command means for them: where
//! its record names and values stand, what its reply holds, or why it is refused.
//!
//! The policy sees the arguments of one request as slices and answers with a [`Decision`]. It opens
//! no socket, reads no frame, holds no key, and remembers nothing between two requests: sealing the
//! values, matching replies to requests and keeping the state of a connection is done above.
//!
//! ```
//! use waxseal_policy::{Action, ProtectedNames, RecordPattern, RequestChange, decide};
//!
//! let names = ProtectedNames::new(vec![RecordPattern::parse("wa:{user}")?]);
//!
//! let decision = decide(&names, &[b"SET", b"wa:5215512345678", b"hello", b"EX", b"60"]);
//! let Action::Transform(transform) = decision.action else { unreachable!() };
//! let RequestChange::Seal(slots) = transform.request else { unreachable!() };
//! assert_eq!(slots[0].argument, 2);
//!
//! let decision = decide(&names, &[b"APPEND", b"wa:5215512345678", b"more"]);
//! assert!(matches!(decision.action, Action::Refuse(_)));
//!
//! let decision = decide(&names, &[b"APPEND", b"log", b"more"]);
//! assert!(matches!(decision.action, Action::Forward));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod argument;
mod blocking;
mod decide;
mod decision;
pub mod document;
mod form;
mod location;
mod names;
mod pattern;
mod protected;
mod refusal;
mod scripts;
mod suggestion;
pub mod table;

pub use argument::is;
pub use decide::{decide, decide_early, longest_wait};
pub use decision::{
    Action, Channels, Decision, Effect, RequestChange, ScriptCall, Transform, UnknownDigest,
    ValueSlot,
};
pub use form::decide_script;
pub use location::{Layout, Location, NamesUse, ReplyShape};
pub use pattern::{OWN_PREFIX, PatternError, RecordPattern};
pub use protected::{PatternId, ProtectedNames};
pub use refusal::{DataKind, Reason, Refusal};
pub use scripts::{KnownScript, ScriptReply};
pub use suggestion::except_glob;
