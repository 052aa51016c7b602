//! Results in the terms of metrics: a sealer's results as outcomes without any name or id, and the state of
//! a ring. Counts nothing itself.

use std::borrow::Cow;
use std::time::Duration;

use waxseal_core::{Form, OpenError, OpenedValue, SealError, Sealer, Shape, fingerprint};
use waxseal_metrics::{Format, OpenOutcome, RingMetrics, RingState, SealOutcome, before_snapshot};

use crate::live::LiveRing;
use crate::rotation::{self, Facts, Step};
use crate::state::KeyState;

/// The name of a key in metrics: the beginning of a fingerprint of its id, never the id, which is in each
/// value.
#[must_use]
pub fn key_name(id: u32) -> String {
    let mut name = fingerprint("waxseal key id in metrics", &id.to_be_bytes());
    name.truncate(8);
    name
}

/// Updates the metrics of a ring whenever metrics are rendered, until the process ends.
pub fn follow(ring: &LiveRing) {
    let (ring, metrics) = (ring.clone(), RingMetrics::new());
    before_snapshot(move || metrics.set(&state(&ring)));
}

/// The present state of a ring.
#[must_use]
pub fn state(live: &LiveRing) -> RingState {
    let (ring, now_ms) = (live.ring(), live.now_ms());
    let facts = Facts {
        now_ms,
        pending_watched: live.pending_watched(),
        ..Facts::default()
    };
    let plan = rotation::plan(&ring, &facts);
    // Retirement depends on audits, which this process may not know.
    let is_replacement = |step: &Step| matches!(step, Step::Add(_) | Step::Promote(_));
    let due = plan.due.iter().any(is_replacement).then_some(now_ms);
    let mut upcoming = plan.upcoming.iter();
    let at = due.or_else(|| Some(upcoming.find(|(step, _)| is_replacement(step))?.1));
    let states = KeyState::ALL.map(|state| (label(state), ring.in_state(state).count()));
    RingState {
        version: ring.version(),
        sealing_age: Duration::from_millis(now_ms.saturating_sub(ring.sealing().changed)),
        next_step: at.map(|at| Duration::from_millis(at.saturating_sub(now_ms))),
        keys: states.into(),
        degraded: live.degraded().is_some(),
        clock_offset_ms: live.clock_offset().map(|offset| offset.0),
    }
}

/// The label value of a state.
fn label(state: KeyState) -> &'static str {
    match state {
        KeyState::Pending => "pending",
        KeyState::Sealing => "sealing",
        KeyState::DecryptOnly => "opening",
        KeyState::Archived => "archived",
        KeyState::Destroyed => "destroyed",
        KeyState::Compromised => "compromised",
    }
}

/// The outcome of sealing a value with this sealer.
#[must_use]
pub fn seal_outcome(sealed: &Result<Cow<'_, [u8]>, SealError>, sealer: &Sealer) -> SealOutcome {
    match sealed {
        Ok(Cow::Borrowed(_)) => SealOutcome::NotSealed,
        Ok(Cow::Owned(stored)) => match Shape::of_header(stored) {
            Some(header) if header.flags.per_user_key() => SealOutcome::UserKey,
            Some(header) => SealOutcome::Done(Format::Sealed, header.key.to_u32()),
            None => sealer.sealing_id().map_or(SealOutcome::Other, |id| {
                SealOutcome::Done(Format::Classic, id.to_u32())
            }),
        },
        Err(SealError::NoKey) => SealOutcome::NoKey,
        Err(SealError::KeyExhausted { .. }) => SealOutcome::KeyExhausted,
        Err(SealError::TooLong) => SealOutcome::TooLong,
        Err(SealError::Erased) => SealOutcome::Erased,
        Err(_) => SealOutcome::Other,
    }
}

/// The outcome of opening stored bytes; `None` if there was no value.
#[must_use]
pub fn open_outcome(
    stored: &[u8],
    opened: &Result<Option<OpenedValue<'_>>, OpenError>,
) -> Option<OpenOutcome> {
    let header = || Shape::of_header(stored);
    let of_user = || header().is_some_and(|header| header.flags.per_user_key());
    Some(match opened {
        Ok(None) => return None,
        Ok(Some(opened)) => match opened.form {
            Form::Plain => OpenOutcome::Plain,
            Form::Classic { key } => OpenOutcome::Done(Format::Classic, key.to_u32()),
            Form::Sealed { .. } if of_user() => OpenOutcome::UserKey,
            Form::Sealed { key, .. } => OpenOutcome::Done(Format::Sealed, key.to_u32()),
        },
        // A value of a version that is not accepted was refused as well, before it was opened.
        Err(OpenError::Refused | OpenError::Version { .. }) => match header() {
            Some(header) if header.flags.per_user_key() => OpenOutcome::RefusedUserKey,
            // The ring holds the key: otherwise it would be unknown.
            Some(header) => OpenOutcome::Refused(header.key.to_u32()),
            None => OpenOutcome::RefusedNoKey,
        },
        Err(OpenError::UnknownKey { .. }) if of_user() => OpenOutcome::UnknownUserKey,
        Err(OpenError::UnknownKey { .. }) => OpenOutcome::UnknownKey,
        Err(OpenError::Compromised { .. }) => OpenOutcome::Compromised,
        Err(OpenError::Plaintext) => OpenOutcome::Plaintext,
        Err(OpenError::Malformed(_)) => OpenOutcome::Malformed,
        Err(OpenError::Erased { .. }) => OpenOutcome::Erased,
        Err(_) => OpenOutcome::Other,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use waxseal_core::{Binding, Keyring, Mode, SecretKey};

    use super::*;

    fn keyring(keys: [&SecretKey; 1]) -> Arc<Keyring> {
        Arc::new(Keyring::from_hex(&keys[0].expose_hex(), "").unwrap())
    }

    #[test]
    fn a_value_is_counted_under_the_format_and_key_that_it_is_in() {
        let (key, other) = (
            SecretKey::generate().unwrap(),
            SecretKey::generate().unwrap(),
        );
        let id = key.id().to_u32();
        for (label, format) in [
            (Format::Classic, waxseal_core::Format::Classic),
            (Format::Sealed, waxseal_core::Format::Sealed),
        ] {
            let sealer = Sealer::new(keyring([&key]), Mode::Required, format);
            let binding = Binding::record(b"wa:1");
            let sealed = sealer.to_store(b"{}", binding);
            assert_eq!(seal_outcome(&sealed, &sealer), SealOutcome::Done(label, id));
            let stored = sealed.unwrap().into_owned();
            let opened = |sealer: &Sealer, stored: &[u8], name: &[u8]| {
                open_outcome(stored, &sealer.open(stored, Binding::record(name)))
            };
            assert_eq!(
                opened(&sealer, &stored, b"wa:1"),
                Some(OpenOutcome::Done(label, id))
            );
            assert_eq!(
                opened(&sealer, b"{}", b"wa:1"),
                Some(OpenOutcome::Plaintext)
            );
            assert_eq!(opened(&sealer, b"", b"wa:1"), None);
            let stranger = Sealer::new(keyring([&other]), Mode::Required, format);
            let (moved, unknown) = match label {
                Format::Classic => (OpenOutcome::Done(label, id), OpenOutcome::RefusedNoKey),
                Format::Sealed => (OpenOutcome::Refused(id), OpenOutcome::UnknownKey),
            };
            assert_eq!(opened(&sealer, &stored, b"wa:2"), Some(moved));
            assert_eq!(opened(&stranger, &stored, b"wa:1"), Some(unknown));
        }
        let off = Sealer::new(keyring([&key]), Mode::Off, waxseal_core::Format::Classic);
        let left = off.to_store(b"{}", Binding::record(b"wa:1"));
        assert_eq!(seal_outcome(&left, &off), SealOutcome::NotSealed);
        assert_eq!(
            open_outcome(b"{}", &off.open(b"{}", Binding::record(b"wa:1"))),
            Some(OpenOutcome::Plain)
        );
    }

    #[test]
    fn the_name_of_a_key_is_not_its_id() {
        let name = key_name(0x1234_5678);
        assert_eq!(name.len(), 8);
        assert_ne!(name, "12345678");
        assert_ne!(name, key_name(0x1234_5679));
    }
}
