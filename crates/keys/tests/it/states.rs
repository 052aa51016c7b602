//! The states of a key: the legal transitions, in the table and through the changes of a ring.

use std::sync::Arc;

use waxseal_core::{KeyId, SecretKey};
use waxseal_keys::{ChangeError, Custodian, KeyState, Ring, Settings};

use crate::rings::custodian;

const NOW: u64 = 1_000_000;

/// The legal pairs, repeated: a change of the table needs a change here as well.
const LEGAL: [(KeyState, KeyState); 9] = [
    (KeyState::Pending, KeyState::Sealing),
    (KeyState::Pending, KeyState::Compromised),
    (KeyState::Sealing, KeyState::DecryptOnly),
    (KeyState::Sealing, KeyState::Compromised),
    (KeyState::DecryptOnly, KeyState::Archived),
    (KeyState::DecryptOnly, KeyState::Compromised),
    (KeyState::Archived, KeyState::Destroyed),
    (KeyState::Archived, KeyState::Compromised),
    (KeyState::Compromised, KeyState::Destroyed),
];

#[test]
fn the_table_allows_nine_of_thirty_six_transitions() {
    let mut legal = 0;
    for from in KeyState::ALL {
        for to in KeyState::ALL {
            let expected = LEGAL.contains(&(from, to));
            assert_eq!(from.may_become(to), expected, "{from} to {to}");
            legal += usize::from(expected);
        }
    }
    assert_eq!(legal, 9);
}

/// A ring with a key in this state, and the id of that key.
async fn ring_with(state: KeyState, custodian: &Arc<dyn Custodian>) -> (Ring, KeyId) {
    let custodians = [custodian.clone()];
    let ring = Ring::create("test", Settings::default(), &custodians, &[], NOW)
        .await
        .unwrap();
    let sealing = ring.sealing().id;
    if state == KeyState::Sealing {
        return (ring, sealing);
    }
    let ring = ring.with_new_key(&custodians, NOW).await.unwrap();
    let id = ring.in_state(KeyState::Pending).next().unwrap().id;
    if state == KeyState::Pending {
        return (ring, id);
    }
    let ring = ring.with_sealing(id, NOW, true).unwrap();
    let ring = match state {
        KeyState::Pending | KeyState::Sealing | KeyState::DecryptOnly => Ok(ring),
        KeyState::Archived => ring.with_archived(sealing, NOW),
        KeyState::Compromised => ring.with_compromised(sealing, NOW),
        KeyState::Destroyed => {
            let ring = ring.with_archived(sealing, NOW).unwrap();
            ring.with_destroyed(sealing, NOW)
        }
    };
    (ring.unwrap(), sealing)
}

fn change(ring: &Ring, id: KeyId, to: KeyState) -> Option<Result<Ring, ChangeError>> {
    Some(match to {
        KeyState::Sealing => ring.with_sealing(id, NOW, true),
        KeyState::Archived => ring.with_archived(id, NOW),
        KeyState::Destroyed => ring.with_destroyed(id, NOW),
        KeyState::Compromised => ring.with_compromised(id, NOW),
        // No change sets these states directly.
        KeyState::Pending | KeyState::DecryptOnly => return None,
    })
}

#[tokio::test]
async fn changes_of_a_ring_follow_the_table_and_refused_ones_leave_the_ring_unchanged() {
    let custodian = custodian();
    let mut tried = 0;
    for from in KeyState::ALL {
        let (ring, id) = ring_with(from, &custodian).await;
        assert_eq!(ring.entry(id).unwrap().state, from);
        let bytes = ring.to_bytes();
        for to in KeyState::ALL {
            let Some(changed) = change(&ring, id, to) else {
                continue;
            };
            tried += 1;
            // The sealing key must be replaced first.
            let legal = from != KeyState::Sealing && LEGAL.contains(&(from, to));
            match changed {
                Ok(next) => {
                    assert!(legal, "{from} to {to}");
                    assert_eq!(next.version(), ring.version() + 1);
                    assert_eq!(next.entry(id).unwrap().state, to);
                    assert_eq!(next.in_state(KeyState::Sealing).count(), 1);
                    let gone = to == KeyState::Destroyed;
                    assert_eq!(next.keyring().unwrap().role(id).is_none(), gone);
                    assert_eq!(next.entry(id).unwrap().wraps.is_empty(), gone);
                }
                Err(error) => {
                    assert!(!legal, "{from} to {to}: {error}");
                    let expected = match (from, to) {
                        (KeyState::Sealing, to) if to != KeyState::Sealing => {
                            ChangeError::Sealing(id)
                        }
                        _ => ChangeError::Transition { id, from, to },
                    };
                    assert_eq!(error, expected);
                }
            }
            assert_eq!(ring.to_bytes(), bytes);
        }
    }
    assert_eq!(tried, 24);
}

#[tokio::test]
async fn a_change_of_a_key_that_is_not_in_the_ring_is_refused() {
    let custodian = custodian();
    let (ring, _) = ring_with(KeyState::Archived, &custodian).await;
    let stranger = SecretKey::generate().unwrap().id();
    for to in KeyState::ALL {
        if let Some(changed) = change(&ring, stranger, to) {
            assert_eq!(changed.err(), Some(ChangeError::NoKey(stranger)), "{to}");
        }
    }
}

#[tokio::test]
async fn a_pending_key_does_not_seal_early_and_no_second_one_is_added() {
    let custodian = custodian();
    let (ring, id) = ring_with(KeyState::Pending, &custodian).await;
    let activates = NOW + Settings::default().propagation_ms;
    let early = ring.with_sealing(id, activates - 1, false).err();
    assert_eq!(early, Some(ChangeError::Early { id, left_s: 1 }));
    assert_eq!(
        ring.with_sealing(id, activates, false)
            .unwrap()
            .sealing()
            .id,
        id
    );
    let second = ring.with_new_key(&[custodian], NOW).await.err();
    assert_eq!(second, Some(ChangeError::Pending(id).into()));
}

#[tokio::test]
async fn an_older_leader_changes_nothing() {
    let custodian = custodian();
    let (ring, id) = ring_with(KeyState::DecryptOnly, &custodian).await;
    let next = ring.with_archived(id, NOW).unwrap().by_leader(5).unwrap();
    let late = next.with_destroyed(id, NOW).unwrap();
    assert_eq!(late.by_leader(4).err(), Some(ChangeError::Fenced));
    assert!(next.with_destroyed(id, NOW).unwrap().by_leader(5).is_ok());
}
