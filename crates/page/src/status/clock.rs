//! Times on the status page. The served page contains their distance from now. On an open page the script keeps it up to
//! date, so events omit it and a part changes only with its facts.

use maud::{Markup, html};

use waxseal_units::{clock_time, distance, point_in_time, rough_span};

/// The current time of a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Milliseconds since the Unix epoch.
    pub(super) now_ms: u64,
    /// True if the script fills in the distances.
    pub(super) is_live: bool,
}

impl Clock {
    /// A time of day with the distance from now: `14:03:22 UTC, 3 min ago`.
    pub(super) fn moment(self, at_ms: u64) -> Markup {
        html! {
            time datetime=(point_in_time(at_ms)) { (clock_time(at_ms, self.now_ms)) } ", "
            (self.distance(at_ms))
        }
    }

    /// The distance from now: `3 min ago`, `in 5 h`.
    pub(super) fn distance(self, at_ms: u64) -> Markup {
        let text = self.unless_live(|| distance(at_ms, self.now_ms));
        html! { span data-at=(at_ms) { (text) } }
    }

    /// The age of something that began then: `89 d`.
    pub(super) fn age(self, since_ms: u64) -> Markup {
        let text = self.unless_live(|| rough_span(self.now_ms.saturating_sub(since_ms)));
        html! { span data-at=(since_ms) data-form="age" { (text) } }
    }

    /// The current time.
    pub(super) fn now(self) -> Markup {
        let text = self.unless_live(|| clock_time(self.now_ms, self.now_ms));
        html! { time data-now { (text) } }
    }

    fn unless_live(self, text: impl FnOnce() -> String) -> String {
        match self.is_live {
            true => String::new(),
            false => text(),
        }
    }
}
