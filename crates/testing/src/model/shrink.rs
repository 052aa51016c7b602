//! A shorter history that still leads to a difference, whichever: steps, then single requests, are
//! left out as long as one is seen.

use std::time::{Duration, Instant};

use super::Model;
use super::pair::Pair;
use super::player::{Difference, Player};
use super::queue::followed;
use super::step::Step;

/// The time that is spent.
const LIMIT: Duration = Duration::from_secs(90);

/// The shortest history found, and its difference; `None` if none was seen again.
pub(super) fn shrink(model: &Model, history: &[Step]) -> Option<(Vec<Step>, Difference)> {
    let deadline = Instant::now() + LIMIT;
    let mut found: Option<(Vec<Step>, Difference)> = None;
    // Once more as it was: what depends on the moment is not made shorter.
    let difference = attempt(model, history)?;
    let mut shortest = history[..=difference.step.min(history.len() - 1)].to_vec();
    found.replace((shortest.clone(), difference));
    let mut size = shortest.len().div_ceil(2);
    while size > 0 && Instant::now() < deadline {
        let mut end = shortest.len();
        while end > 0 && Instant::now() < deadline {
            let start = end.saturating_sub(size);
            let mut smaller = shortest.clone();
            smaller.drain(start..end);
            let mut smaller = followed(&smaller);
            if let Some(difference) = attempt(model, &smaller) {
                smaller.truncate(difference.step + 1);
                shortest.clone_from(&smaller);
                found = Some((smaller, difference));
            }
            end = start.min(shortest.len());
        }
        size /= 2;
    }
    for step in (0..shortest.len()).rev() {
        let mut request = shortest.get(step).map_or(0, Step::len);
        while request > 0 && Instant::now() < deadline {
            request -= 1;
            let mut smaller = shortest.clone();
            let Some(Step::Exchange { requests, .. }) = smaller.get_mut(step) else {
                break;
            };
            if requests.len() < 2 {
                break;
            }
            requests.remove(request);
            let mut smaller = followed(&smaller);
            if let Some(difference) = attempt(model, &smaller) {
                smaller.truncate(difference.step + 1);
                shortest.clone_from(&smaller);
                found = Some((smaller, difference));
            }
        }
    }
    found
}

fn attempt(model: &Model, history: &[Step]) -> Option<Difference> {
    if history.is_empty() {
        return None;
    }
    Player::new(Pair::connect(model), model).play(history).err()
}
