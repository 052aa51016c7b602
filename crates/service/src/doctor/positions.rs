//! Hint where protected records hold positions: members of geo records are sealed, and their positions, which are scores
//! to the server, are in clear.

use waxseal_stores::{RecordName, RecordStore};

use super::Findings;
use crate::configuration::protected::Protected;

/// The command by which positions come in.
const ADDS_POSITIONS: &str = "geoadd";
/// The last of the ranks whose scores are looked at, from 0.
const LAST_RANK: i64 = 4;
/// The scores of positions: whole numbers of 52 bits, the first of which are rarely all zero. Times in microseconds are
/// among them, so that the server must have received positions as well.
const POSITIONS: std::ops::Range<f64> = 1.0e12..4_503_599_627_370_496.0;

/// Looks at the scores of these sorted sets. What cannot be read is no finding: it is only a hint.
pub(super) async fn check(
    protected: &Protected,
    store: &dyn RecordStore,
    sorted_sets: &[RecordName],
    findings: &mut Findings,
) {
    let mut holding = 0_usize;
    for name in sorted_sets {
        holding += usize::from(looks_like_positions(store, name).await);
    }
    if holding > 0 && matches!(store.has_run(ADDS_POSITIONS).await, Ok(Some(true))) {
        findings.recommend(
            "positions",
            format!(
                "{}: positions of geo records are in clear ({holding} in a sample)",
                protected.name
            ),
            "the server computes on them; where they are confidential, keep them in values, which are sealed",
        );
    }
}

async fn looks_like_positions(store: &dyn RecordStore, name: &RecordName) -> bool {
    let Some(collections) = store.collections() else {
        return false;
    };
    let members = collections.range(name, (0, LAST_RANK)).await;
    let members = members.unwrap_or_default();
    let is_position = |score: &f64| score.fract() == 0.0 && POSITIONS.contains(score);
    !members.is_empty() && members.iter().all(|(_, score)| is_position(score))
}
