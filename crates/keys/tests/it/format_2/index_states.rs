//! The states of an index key: the legal transitions, in the table and through the changes of a ring.

use std::sync::Arc;

use waxseal_core::{KeyId, SecretKey};
use waxseal_keys::{ChangeError, Custodian, IndexKeyState, Ring, Settings};

use super::{FORCED, created, refused, states, with_pending};
use crate::rings::{NOW, custodian, new_ring};

/// The legal pairs, repeated: a change of the table needs a change here as well.
const LEGAL: [(IndexKeyState, IndexKeyState); 3] = [
    (IndexKeyState::Pending, IndexKeyState::Writing),
    (IndexKeyState::Writing, IndexKeyState::Reading),
    (IndexKeyState::Reading, IndexKeyState::Destroyed),
];

#[test]
fn the_table_allows_three_of_sixteen_transitions() {
    let mut legal = 0;
    for from in IndexKeyState::ALL {
        for to in IndexKeyState::ALL {
            let expected = LEGAL.contains(&(from, to));
            assert_eq!(from.may_become(to), expected, "{from} to {to}");
            legal += usize::from(expected);
        }
    }
    assert_eq!(legal, 3);
}

/// A ring with an index key in this state, and the id of that key.
async fn ring_with(state: IndexKeyState, custodian: &Arc<dyn Custodian>) -> (Ring, KeyId) {
    let ring = created(custodian).await;
    let first = ring.writing().unwrap().id;
    if state == IndexKeyState::Writing {
        return (ring, first);
    }
    let (ring, second) = with_pending(&ring, custodian).await;
    if state == IndexKeyState::Pending {
        return (ring, second);
    }
    let ring = ring.with_writing(second, NOW, true).unwrap();
    if state == IndexKeyState::Reading {
        return (ring, first);
    }
    let ring = ring.with_destroyed_index_key(first, NOW, FORCED).unwrap();
    (ring, first)
}

fn change(ring: &Ring, id: KeyId, to: IndexKeyState) -> Option<Result<Ring, ChangeError>> {
    Some(match to {
        IndexKeyState::Writing => ring.with_writing(id, NOW, true),
        IndexKeyState::Destroyed => ring.with_destroyed_index_key(id, NOW, FORCED),
        // No change sets these states directly.
        IndexKeyState::Pending | IndexKeyState::Reading => return None,
    })
}

#[tokio::test]
async fn changes_of_a_ring_follow_the_table_and_refused_ones_leave_the_ring_unchanged() {
    let custodian = custodian();
    let mut tried = 0;
    for from in IndexKeyState::ALL {
        let (ring, id) = ring_with(from, &custodian).await;
        assert_eq!(ring.index_entry(id).unwrap().state, from);
        let bytes = ring.to_bytes();
        for to in IndexKeyState::ALL {
            let Some(changed) = change(&ring, id, to) else {
                continue;
            };
            tried += 1;
            match changed {
                Ok(next) => {
                    assert!(LEGAL.contains(&(from, to)), "{from} to {to}");
                    assert_eq!(next.version(), ring.version() + 1);
                    assert_eq!(next.index_entry(id).unwrap().state, to);
                    assert_eq!(next.index_keys_in(IndexKeyState::Writing).count(), 1);
                    let gone = to == IndexKeyState::Destroyed;
                    let held = next.keyring().unwrap().index_key(id);
                    assert_eq!(held.is_none(), gone);
                    assert_eq!(next.index_entry(id).unwrap().wraps.is_empty(), gone);
                    super::assert_opens(&next, &custodian).await;
                }
                Err(error) => {
                    assert!(!LEGAL.contains(&(from, to)), "{from} to {to}: {error}");
                    let expected = match (from, to) {
                        (IndexKeyState::Writing, IndexKeyState::Destroyed) => {
                            ChangeError::Writing(id)
                        }
                        _ => ChangeError::IndexTransition { id, from, to },
                    };
                    assert_eq!(error, expected);
                }
            }
            assert_eq!(ring.to_bytes(), bytes);
        }
    }
    assert_eq!(tried, 8);
}

#[tokio::test]
async fn a_pending_index_key_does_not_write_early_and_no_second_one_is_added() {
    let custodian = custodian();
    let (ring, id) = ring_with(IndexKeyState::Pending, &custodian).await;
    let activates = NOW + Settings::default().propagation_ms;
    assert_eq!(ring.index_entry(id).unwrap().activates, activates);
    let early = refused(ring.with_writing(id, activates - 1, false));
    assert_eq!(early, ChangeError::EarlyIndexKey { id, left_s: 1 });
    let ring = ring.with_writing(id, activates, false).unwrap();
    assert_eq!(ring.writing().unwrap().id, id);
    let (ring, id) = with_pending(&ring, &custodian).await;
    let second = ring.with_new_index_key(&[custodian], NOW).await;
    assert_eq!(refused(second), ChangeError::PendingIndexKey(id));
}

#[tokio::test]
async fn index_keys_and_data_keys_are_not_taken_for_each_other() {
    let custodian = custodian();
    let ring = created(&custodian).await;
    let (index, data) = (ring.writing().unwrap().id, ring.sealing().id);
    let stranger = SecretKey::generate().unwrap().id();
    for changed in [
        ring.with_sealing(index, NOW, true),
        ring.with_archived(index, NOW),
        ring.with_destroyed(index, NOW),
        ring.with_compromised(index, NOW),
    ] {
        assert_eq!(refused(changed), ChangeError::IndexKey(index));
    }
    for id in [data, stranger] {
        for changed in [
            ring.with_writing(id, NOW, true),
            ring.with_destroyed_index_key(id, NOW, FORCED),
        ] {
            assert_eq!(refused(changed), ChangeError::NoIndexKey(id));
        }
    }
}

#[tokio::test]
async fn a_document_of_format_1_has_no_index_keys() {
    let custodian = custodian();
    let ring = new_ring(&custodian).await;
    assert_eq!(states(&ring), []);
    assert!(ring.writing().is_none());
    let error = refused(ring.with_new_index_key(&[custodian], NOW).await);
    assert_eq!(error, ChangeError::NeedsFormat2 { what: "index keys" });
}
