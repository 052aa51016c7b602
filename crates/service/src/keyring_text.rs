//! Events and obstacles of a keyring in words, for doctor, the status page and the command line.

use waxseal_core::KeyId;
use waxseal_keys::rotation::{Block, Step};
use waxseal_keys::{KeyState, WrongTime};
use waxseal_units::{point_in_time, thousands};

use crate::configuration::protected::shown_pattern;

/// A step of a rotation.
#[must_use]
pub fn step_text(step: Step) -> String {
    match step {
        Step::Add(_) => "a new key is published".to_owned(),
        Step::Promote(key) => format!("key {key} seals"),
        Step::Sweep => "values are brought under the sealing key and counted".to_owned(),
        Step::Archive(key) => format!("key {key} is archived"),
        Step::Destroy(key) => format!("key {key} is destroyed"),
    }
}

/// The key that is kept, and the reason.
#[must_use]
pub fn block_text(block: &Block) -> String {
    format!(
        "key {} is kept: {}",
        blocked_key(block),
        block_reason(block)
    )
}

/// The key that is kept.
#[must_use]
pub fn blocked_key(block: &Block) -> KeyId {
    let (Block::InUse { id, .. }
    | Block::Quarantined { id, .. }
    | Block::Uncovered { id, .. }
    | Block::Unreadable { id, .. }) = block;
    *id
}

/// The hint about an obstacle to the retirement of a key in this state.
#[must_use]
pub fn block_hint(block: &Block, state: KeyState) -> &'static str {
    match block {
        Block::InUse { .. } if state == KeyState::Compromised => {
            "waxseal rotate --open-compromised brings them under the sealing key"
        }
        Block::InUse { .. } => {
            "waxseal rotate brings them under the sealing key; it leaves those of erased users, which \
             waxseal forget deletes"
        }
        Block::Quarantined { .. } => {
            "waxseal quarantine list shows them; the key is kept until they are restored, dropped or expired"
        }
        Block::Unreadable { .. } => "waxseal audit and waxseal inspect tell which they are",
        Block::Uncovered { .. } => {
            "name the store and the pattern with --store and --protect where they are; if they are \
             protected no more, waxseal keyring release forgets them"
        }
    }
}

/// The reason why a key is kept.
#[must_use]
pub fn block_reason(block: &Block) -> String {
    match block {
        Block::InUse { values, .. } => format!("{} values are under it", thousands(*values)),
        Block::Quarantined { values: 1, .. } => "1 value in quarantine is under it".to_owned(),
        Block::Quarantined { values, .. } => {
            format!("{} values in quarantine are under it", thousands(*values))
        }
        Block::Uncovered {
            protected_scope, ..
        } => format!(
            "the records {} at {} were not checked",
            shown_pattern(&protected_scope.records),
            protected_scope.store
        ),
        Block::Unreadable { values, .. } => format!(
            "{} values could not be read, or do not open and do not name their key",
            thousands(*values)
        ),
    }
}

/// A wrong time, and the time that replaces it.
#[must_use]
pub fn wrong_time_correction(time: &WrongTime) -> String {
    format!(
        "{}, which is too far in the future: {} instead",
        wrong_time_text(time),
        point_in_time(time.instead_ms)
    )
}

/// A wrong time: what it is the time of, and when.
#[must_use]
pub fn wrong_time_text(time: &WrongTime) -> String {
    let at = point_in_time(time.at_ms);
    match time.key {
        Some(id) => format!("key {id} {} {at}", time.what),
        None => format!("{} {at}", time.what),
    }
}
