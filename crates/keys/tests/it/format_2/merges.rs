//! Merges after a store lost writes: index keys come back, exactly one writes, and the versions of the sealed
//! format follow the document that wins unless that would refuse what was written.

use std::sync::Arc;

use waxseal_keys::{ChangeError, Custodian, DocumentFormat, IndexKeyState, KeyState, Ring};

use super::{
    FORCED, NONE, V2, V3, assert_opens, converted, created, grown, refused, returned, sorted,
    states, with_pending,
};
use crate::rings::{NOW, custodian, new_ring};

const LATER: u64 = NOW + 5_000;

async fn in_format_2(ring: &Ring, custodian: &Arc<dyn Custodian>) -> Ring {
    let custodians = [custodian.clone()];
    let ring = ring.with_format(DocumentFormat::V2, &custodians, NOW, NONE);
    ring.await.unwrap()
}

fn merged(this: &Ring, other: &Ring) -> Ring {
    let merged = this.merged_with(other, LATER).unwrap();
    assert_eq!(merged.version(), this.version().max(other.version()) + 1);
    // Nothing is left to merge, in either direction.
    assert!(merged.merged_with(other, LATER).is_none());
    assert!(merged.merged_with(this, LATER).is_none());
    merged
}

#[tokio::test]
async fn a_document_of_format_1_that_lost_its_conversion_becomes_one_of_format_2() {
    let custodian = custodian();
    let before = new_ring(&custodian).await;
    let known = in_format_2(&before, &custodian).await;
    let known = known.with_envelopes(V3, V3, NOW, FORCED).unwrap();
    let id = known.writing().unwrap().id;
    let found = grown(&before, 5);
    let ring = merged(&found, &known);
    assert_eq!(ring.format(), DocumentFormat::V2);
    assert_eq!(states(&ring), [(id, IndexKeyState::Writing)]);
    assert_eq!(ring.erasures().len(), 5);
    // Processes that used it in format 1 wrote version 2.
    let envelopes = ring.envelopes();
    assert_eq!((envelopes.write, envelopes.accept), (V3, V2));
    assert!(envelopes.since > known.envelopes().since);
    assert_opens(&ring, &custodian).await;
}

#[tokio::test]
async fn a_document_of_format_2_gets_back_the_keys_of_one_of_format_1() {
    let custodian = custodian();
    let before = new_ring(&custodian).await;
    let found = grown(&in_format_2(&before, &custodian).await, 3);
    let known = before
        .with_new_key(std::slice::from_ref(&custodian), NOW)
        .await
        .unwrap();
    let lost = known.in_state(KeyState::Pending).next().unwrap().id;
    let ring = merged(&found, &known);
    assert_eq!(ring.format(), DocumentFormat::V2);
    assert_eq!(ring.entry(lost).unwrap().state, KeyState::DecryptOnly);
    assert_eq!(states(&ring), states(&found));
    assert_eq!(ring.envelopes(), found.envelopes());
    assert_opens(&ring, &custodian).await;
    assert!(found.merged_with(&before, LATER).is_none());
}

#[tokio::test]
async fn of_two_index_keys_that_write_on_two_sides_the_winner_writes_and_the_other_reads() {
    let custodian = custodian();
    let common = created(&custodian).await;
    let first = common.writing().unwrap().id;
    let promoted = async |ring: &Ring| {
        let (ring, id) = with_pending(ring, &custodian).await;
        (ring.with_writing(id, NOW, true).unwrap(), id)
    };
    let ((one, a), (two, b)) = (promoted(&common).await, promoted(&common).await);
    for (this, other, here, there) in [(&one, &two, a, b), (&two, &one, b, a)] {
        let ring = merged(&grown(this, 2), other);
        let expected = sorted([
            (first, IndexKeyState::Reading),
            (here, IndexKeyState::Writing),
            (there, IndexKeyState::Reading),
        ]);
        assert_eq!(states(&ring), expected);
        assert_eq!(ring.index_entry(there).unwrap().changed, LATER);
        assert_opens(&ring, &custodian).await;
    }
}

#[tokio::test]
async fn an_index_key_that_was_pending_returns_as_one_that_reads() {
    let custodian = custodian();
    let found = created(&custodian).await;
    let (known, lost) = with_pending(&found, &custodian).await;
    let ring = merged(&grown(&found, 2), &known);
    let writing = found.writing().unwrap().id;
    let expected = sorted([
        (writing, IndexKeyState::Writing),
        (lost, IndexKeyState::Reading),
    ]);
    assert_eq!(states(&ring), expected);
    assert_opens(&ring, &custodian).await;
}

#[tokio::test]
async fn what_was_returned_to_format_1_on_purpose_is_not_put_back() {
    let custodian = custodian();
    let (known, _) = with_pending(&converted(&custodian).await, &custodian).await;
    let found = returned(&known).await;
    assert!(found.merged_with(&known, LATER).is_none());
    assert!(known.merged_with(&found, LATER).is_none());
    // Rolled back afterwards: the process that knows format 1 keeps it.
    assert!(grown(&found, 3).merged_with(&known, LATER).is_none());
}

#[tokio::test]
async fn an_index_key_that_a_return_to_format_1_did_not_know_comes_back_and_writes() {
    let custodian = custodian();
    let common = converted(&custodian).await;
    let first = common.writing().unwrap().id;
    let (known, second) = with_pending(&common, &custodian).await;
    let found = grown(&returned(&common).await, 3);
    let ring = merged(&found, &known);
    assert_eq!(ring.format(), DocumentFormat::V2);
    assert_eq!(states(&ring), [(second, IndexKeyState::Writing)]);
    assert_eq!(ring.entry(first).unwrap().state, KeyState::Destroyed);
    assert_opens(&ring, &custodian).await;
}

#[tokio::test]
async fn version_2_is_accepted_again_if_it_was_written_on_a_side_that_was_lost() {
    let custodian = custodian();
    let common = created(&custodian).await;
    let common = common.with_envelopes(V3, V3, NOW, FORCED).unwrap();
    // The store loses these two changes, and goes on without them.
    let known = common.with_envelopes(V3, V2, NOW + 10, NONE).unwrap();
    let known = known.with_envelopes(V2, V2, NOW + 20, FORCED).unwrap();
    let found = grown(&common, 5);
    let ring = merged(&found, &known);
    let envelopes = ring.envelopes();
    assert_eq!((envelopes.write, envelopes.accept), (V3, V2));
    assert!(envelopes.since > known.envelopes().since);
    assert_opens(&ring, &custodian).await;
}

#[tokio::test]
async fn a_lost_change_of_versions_makes_waits_begin_again_and_opens_nothing_more() {
    let custodian = custodian();
    let common = created(&custodian).await;
    let common = common.with_envelopes(V3, V3, NOW, FORCED).unwrap();
    // Lowered and raised again on the side that was lost: nothing is in version 2 there either.
    let known = common.with_envelopes(V3, V2, NOW + 10, NONE).unwrap();
    let known = known.with_envelopes(V3, V3, NOW + 20, FORCED).unwrap();
    let ring = merged(&grown(&common, 5), &known);
    let envelopes = ring.envelopes();
    assert_eq!((envelopes.write, envelopes.accept), (V3, V3));
    assert_eq!(envelopes.since, LATER);
    // A side that wrote version 2 again, while the winner never refused it.
    let common = created(&custodian).await;
    let known = common.with_envelopes(V2, V2, NOW + 10, FORCED).unwrap();
    let ring = merged(&grown(&common, 5), &known);
    let envelopes = ring.envelopes();
    assert_eq!((envelopes.write, envelopes.accept), (V3, V2));
    assert_eq!(envelopes.since, LATER);
    assert_opens(&ring, &custodian).await;
}

#[tokio::test]
async fn a_change_at_a_time_that_no_correct_clock_can_have_written_is_not_later() {
    let custodian = custodian();
    let common = created(&custodian).await;
    let common = common.with_envelopes(V3, V3, NOW, FORCED).unwrap();
    let years = 10 * 365 * 86_400_000;
    let known = common.with_envelopes(V3, V2, NOW + years, NONE).unwrap();
    let found = grown(&common, 5);
    assert!(found.merged_with(&known, LATER).is_none());
    // Corrected by an operator, the document has an earlier time than its predecessor.
    let repaired = known.with_repaired_times(LATER).unwrap();
    assert_eq!(repaired.envelopes().since, LATER);
    assert!(repaired.merged_with(&known, LATER).is_none());
}

#[tokio::test]
async fn a_rollback_does_not_make_a_ring_accept_version_2_again() {
    let custodian = custodian();
    let older = created(&custodian).await;
    let known = older.with_envelopes(V3, V3, NOW, FORCED).unwrap();
    assert!(known.merged_with(&older, LATER).is_none());
    // Nor does what an older document lacks.
    let grown = grown(&older, 1);
    let ring = merged(&known, &grown);
    assert_eq!(ring.envelopes(), known.envelopes());
    assert_eq!(ring.erasures().len(), 1);
}

#[tokio::test]
async fn version_2_is_accepted_again_if_a_return_to_format_1_was_lost() {
    let custodian = custodian();
    let common = created(&custodian).await;
    let common = common.with_envelopes(V3, V3, NOW, FORCED).unwrap();
    let known = common.with_envelopes(V2, V2, NOW, FORCED).unwrap();
    let known = returned(&known).await;
    let found = grown(&common, 5);
    let ring = found.merged_with(&known, LATER).unwrap();
    assert_eq!(ring.format(), DocumentFormat::V2);
    assert_eq!((ring.envelopes().write, ring.envelopes().accept), (V3, V2));
    assert_eq!(states(&ring), states(&found));
    assert_opens(&ring, &custodian).await;
    let index_key = found.writing().unwrap().id;
    assert!(ring.entry(index_key).is_none(), "it is an index key here");
}

#[tokio::test]
async fn marks_and_erasures_are_merged_between_formats() {
    let custodian = custodian();
    let before = new_ring(&custodian).await;
    let with_two = before
        .with_new_key(std::slice::from_ref(&custodian), NOW)
        .await
        .unwrap();
    let id = with_two.in_state(KeyState::Pending).next().unwrap().id;
    let found = grown(&in_format_2(&with_two, &custodian).await, 2);
    let known = with_two.with_compromised(id, NOW).unwrap();
    let ring = merged(&found, &known);
    assert_eq!(ring.entry(id).unwrap().state, KeyState::Compromised);
    assert_eq!(ring.writing(), found.writing());
    assert_opens(&ring, &custodian).await;
    let sealing = ring.sealing().id;
    assert_eq!(
        refused(ring.with_compromised(sealing, NOW)),
        ChangeError::Sealing(sealing)
    );
}
