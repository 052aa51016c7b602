//! The parts of a request that is repeated after a failure: halved until the one record is found that causes the
//! failure, and doubled again after each success.

use std::ops::Range;
use std::time::Duration;

use tokio::time::sleep;
use waxseal_stores::StoreError;

/// Requests about a single record that must fail before the record is taken for the cause.
pub(super) const MAX_ATTEMPTS: u32 = 3;
/// The delay before such a request is repeated.
pub(super) const RETRY_DELAY: Duration = Duration::from_millis(100);

/// The step after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Repeat the request, perhaps about fewer records.
    Retry,
    /// Abandon the one record of the request: it is the cause.
    Abandon,
}

/// The part of a request that is sent next.
pub(super) struct Parts {
    len: usize,
    done: usize,
    size: usize,
    /// Consecutive failures at this size.
    failures: u32,
}

impl Parts {
    pub(super) fn of(len: usize) -> Self {
        Self {
            len,
            done: 0,
            size: len,
            failures: 0,
        }
    }

    /// Returns the next part, `None` once all are answered.
    pub(super) fn next(&self) -> Option<Range<usize>> {
        let end = self.done.saturating_add(self.size).min(self.len);
        (self.done < end).then_some(self.done..end)
    }

    /// Records that this many were answered.
    pub(super) fn answered(&mut self, count: usize) {
        self.done = self.done.saturating_add(count);
        self.size = self.size.saturating_mul(2).max(1);
        self.failures = 0;
    }

    /// Records a failure of the next part, and returns the step after it. Waits before the same request is repeated.
    pub(super) async fn failed(&mut self, error: &StoreError) -> Step {
        let step = self.step(error.is_interruption());
        if step == Step::Retry && self.failures > 0 {
            sleep(RETRY_DELAY * self.failures).await;
        }
        step
    }

    fn step(&mut self, is_interruption: bool) -> Step {
        let size = self.next().map_or(1, |range| range.len());
        if size > 1 {
            (self.size, self.failures) = (size / 2, 0);
            return Step::Retry;
        }
        self.failures += 1;
        match is_interruption && self.failures < MAX_ATTEMPTS {
            true => Step::Retry,
            false => Step::Abandon,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the records that are abandoned of this many if the bad ones fail each request, and the number of
    /// requests.
    fn abandoned(len: usize, bad: &[usize], is_interruption: bool) -> (Vec<usize>, usize) {
        let (mut parts, mut found, mut requests) = (Parts::of(len), Vec::new(), 0);
        while let Some(range) = parts.next() {
            requests += 1;
            if !bad.iter().any(|it| range.contains(it)) {
                parts.answered(range.len());
            } else if parts.step(is_interruption) == Step::Abandon {
                found.push(range.start);
                parts.answered(1);
            }
        }
        (found, requests)
    }

    #[test]
    fn finds_the_records_that_fail_a_request_and_no_others() {
        for bad in [&[][..], &[0], &[499], &[250], &[3, 4, 5], &[0, 77, 499]] {
            for is_interruption in [true, false] {
                let (found, requests) = abandoned(500, bad, is_interruption);
                assert_eq!(found, bad);
                assert!(
                    requests <= 1 + bad.len() * 25,
                    "{requests} requests for {bad:?}"
                );
            }
        }
        let all: Vec<_> = (0..20).collect();
        assert_eq!(abandoned(20, &all, true).0, all);
        assert_eq!(abandoned(1, &[0], false), (vec![0], 1));
        assert_eq!(abandoned(1, &[0], true), (vec![0], 3));
    }
}
