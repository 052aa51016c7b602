//! The policy: which records are protected, and what each Redis command means for them: the positions of its
//! record names and values, the content of its reply, or the reason why it is refused.
//!
//! The policy sees the arguments of one request as slices and returns a [`Decision`]. It opens no socket,
//! parses no frame, holds no key, and keeps no state between requests: its callers seal the values, match
//! replies to requests and track the state of connections.
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
//! assert!(matches!(decision.action, Action::Compute(_)));
//!
//! let decision = decide(&names, &[b"PFADD", b"wa:5215512345678", b"more"]);
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
mod member_glob;
mod name_glob;
mod names;
mod pattern;
mod protected;
mod refusal;
mod scripts;
mod suggestion;
pub mod table;

pub use argument::is;
pub use decide::{decide, decide_early, max_wait};
pub use decision::{
    Action, Channels, ComputeCall, Decision, Effect, End, MoveCall, Moved, NameSlot, NameSlots,
    RequestChange, ScriptCall, SortCall, TrackingCall, Transform, UnknownDigest, ValueSlot,
};
pub use form::decide_script;
pub use location::{
    Layout, Location, MemberScan, NameLayout, NameReply, NamesUse, RecordFields, ReplyShape,
    ValuePart,
};
pub use member_glob::matches_glob;
pub use name_glob::{
    ServerGlob, WiderGlob, escape_glob, literal_start, widen, widen_channels, widen_prefix,
};
pub use pattern::{OWN_PREFIX, PatternError, RecordPattern};
pub use protected::{PatternId, ProtectedNames, Scope};
pub use refusal::{DataKind, Reason, Refusal};
pub use scripts::{Addition, KnownScript, ScriptReply, Taken};
pub use suggestion::except_glob;
pub use waxseal_kinds::Kind;
