//! `keyring repair-times`: lists and corrects times that a wrong clock wrote into the keyring.

use waxseal_keys::Change;
use waxseal_service::keyring_text::wrong_time_correction;
use waxseal_service::resources::Resources;
use waxseal_service::{Ended, Failure};

use super::tell;
use crate::output;

pub(super) async fn repair(resources: &Resources, yes: bool) -> Result<Ended, Failure> {
    let live = &resources.opened_ring()?.ring;
    // A wrong clock cannot judge other times.
    live.check_clock().await?;
    let before = live.ring();
    let wrong = before.wrong_times(live.now_ms());
    if wrong.is_empty() {
        return tell(
            resources,
            &before,
            "no time of the keyring is too far in the future",
            "",
        );
    }
    for time in &wrong {
        output::stderr_line(&format!("waxseal: {}", wrong_time_correction(time)));
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
    resources.trail.add_count("times", wrong.len() as u64);
    let done = format!("{count} changed (keyring version {})", ring.version());
    let next = "find out which machine has a wrong clock: waxseal doctor on each compares it with the server's";
    tell(resources, &ring, &done, next)
}
