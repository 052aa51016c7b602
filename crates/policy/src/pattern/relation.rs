//! Relations of two globs: their names overlap, or one covers the names of the other. Every step advances in one of
//! the two globs, so that the time of a comparison grows with the product of their lengths.

use super::parse::Token;

/// True if a name can have the form of both.
pub(super) fn overlap(one: &[Token], other: &[Token]) -> bool {
    reach(one, other, |mine, theirs, steps| match (mine, theirs) {
        (Some(mine), Some(theirs)) => {
            if mine.is_star() {
                steps.mine();
            }
            if theirs.is_star() {
                steps.theirs();
            }
            match (mine.is_star(), theirs.is_star()) {
                (false, false) if mine.accepted().intersects(theirs.accepted()) => steps.both(),
                (true, false) => steps.theirs(),
                (false, true) => steps.mine(),
                _ => {}
            }
        }
        (Some(mine), None) if mine.is_star() => steps.mine(),
        (None, Some(theirs)) if theirs.is_star() => steps.theirs(),
        _ => {}
    })
}

/// True if every name of the form of `other` certainly has the form of `one`, comparing position by position.
pub(super) fn cover(one: &[Token], other: &[Token]) -> bool {
    reach(one, other, |mine, theirs, steps| match (mine, theirs) {
        (Some(mine), theirs) if mine.is_star() => {
            steps.mine();
            if theirs.is_some() {
                steps.theirs();
            }
        }
        (Some(mine), Some(theirs))
            if !theirs.is_star() && mine.accepted().includes(theirs.accepted()) =>
        {
            steps.both();
        }
        _ => {}
    })
}

/// The pairs of positions at which a comparison continues.
struct Steps<'s> {
    reached: &'s mut [bool],
    width: usize,
    at: usize,
}

impl Steps<'_> {
    fn mine(&mut self) {
        self.set(self.at.saturating_add(self.width));
    }

    fn theirs(&mut self) {
        self.set(self.at.saturating_add(1));
    }

    fn both(&mut self) {
        self.set(self.at.saturating_add(self.width).saturating_add(1));
    }

    fn set(&mut self, at: usize) {
        if let Some(reached) = self.reached.get_mut(at) {
            *reached = true;
        }
    }
}

/// True if the ends of both are reached together.
fn reach(
    one: &[Token],
    other: &[Token],
    step: impl Fn(Option<Token>, Option<Token>, &mut Steps<'_>),
) -> bool {
    let width = other.len().saturating_add(1);
    let mut reached = vec![false; one.len().saturating_add(1).saturating_mul(width)];
    if let Some(start) = reached.first_mut() {
        *start = true;
    }
    for mine in 0..=one.len() {
        for theirs in 0..=other.len() {
            let at = mine.saturating_mul(width).saturating_add(theirs);
            if reached.get(at) == Some(&true) {
                let mut steps = Steps {
                    reached: &mut reached,
                    width,
                    at,
                };
                step(
                    one.get(mine).copied(),
                    other.get(theirs).copied(),
                    &mut steps,
                );
            }
        }
    }
    reached.last() == Some(&true)
}
