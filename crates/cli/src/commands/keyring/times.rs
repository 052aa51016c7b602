//! `keyring repair-times`: times that a wrong clock wrote into the keyring, listed and set right.

use waxseal_keys::{Change, WrongTime};

use super::tell;
use crate::error::{Ended, Failure};
use crate::output::{self, point_in_time};
use crate::setup::Setup;

pub(super) async fn repair(setup: &Setup, yes: bool) -> Result<Ended, Failure> {
    let live = &setup.opened_ring()?.ring;
    // Where this clock is wrong, nothing that it says about others is true.
    live.check_clock().await?;
    let before = live.ring();
    let wrong = before.wrong_times(live.now_ms());
    if wrong.is_empty() {
        return tell(
            setup,
            &before,
            "no time of the keyring is too far in the future",
            "",
        );
    }
    for time in &wrong {
        output::say(&format!("waxseal: {}", describe(time)));
    }
    let count = match wrong.len() {
        1 => "1 time".to_owned(),
        count => format!("{count} times"),
    };
    if !yes {
        return Err(
            Failure::usage(format!("{count} of the keyring would be changed"))
                .hint("confirm with --yes"),
        );
    }
    let ring = live.change(&Change::RepairTimes).await?;
    setup.trail.add_count("times", wrong.len() as u64);
    let done = format!("{count} changed (keyring version {})", ring.version());
    let next = "find out which machine has a wrong clock: waxseal doctor on each compares it with the server's";
    tell(setup, &ring, &done, next)
}

/// A wrong time in words, with what takes its place.
pub(super) fn describe(time: &WrongTime) -> String {
    format!(
        "{}, which is too far in the future: {} instead",
        wrong_time_words(time),
        point_in_time(time.instead_ms)
    )
}

/// A wrong time in words: of what, and when.
pub(crate) fn wrong_time_words(time: &WrongTime) -> String {
    let at = point_in_time(time.at_ms);
    match time.key {
        Some(id) => format!("key {id} {} {at}", time.what),
        None => format!("{} {at}", time.what),
    }
}
