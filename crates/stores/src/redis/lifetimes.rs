//! How long records live, by the server's clock: told by the server where it can (7.0 and later),
//! else computed from what is left.

use std::sync::atomic::Ordering;

use redis::{Cmd, Value, cmd};

use super::commands::are_text;
use super::reply::{self, unexpected};
use super::{RedisStore, command};
use crate::error::StoreError;
use crate::record::{Lifetime, RecordName};

/// Records between two looks at the server's clock. Few enough that these mostly show the same
/// millisecond.
const BETWEEN_LOOKS: usize = 50;

/// How often a record is asked for anew because the clock went on meanwhile.
const ROUNDS: usize = 20;

impl RedisStore {
    pub(super) async fn ends(&self, names: &[RecordName]) -> Result<Vec<Lifetime>, StoreError> {
        let are_text = are_text(names.iter().map(RecordName::as_bytes));
        if self.tells_expiry.load(Ordering::Relaxed) && self.lacks("PEXPIRETIME", are_text).await? {
            self.tells_expiry.store(false, Ordering::Relaxed);
        }
        if self.tells_expiry.load(Ordering::Relaxed) {
            let ask = names
                .iter()
                .map(|name| command("PEXPIRETIME", &[name.as_bytes()]));
            match self.link.send_each(ask.collect()).await {
                Ok(times) => {
                    return times
                        .iter()
                        .map(|time| reply::number(time).map(lifetime))
                        .collect();
                }
                Err(error) if error.is_missing_command() => {
                    self.tells_expiry.store(false, Ordering::Relaxed);
                }
                Err(error) => return Err(error),
            }
        }
        self.ends_by_the_clock(names).await
    }

    /// Between two looks at the clock that show the same millisecond, what is left added to it is
    /// exact. Where the clock goes on each time the end may be told too early, by as much as the
    /// clock went on.
    async fn ends_by_the_clock(&self, names: &[RecordName]) -> Result<Vec<Lifetime>, StoreError> {
        let mut ends = vec![Lifetime::Absent; names.len()];
        let mut open: Vec<usize> = (0..names.len()).collect();
        for _ in 0..ROUNDS {
            if open.is_empty() {
                break;
            }
            let mut asked = vec![cmd("TIME")];
            for part in open.chunks(BETWEEN_LOOKS) {
                let names = part.iter().filter_map(|&index| names.get(index));
                asked.extend(names.map(left));
                asked.push(cmd("TIME"));
            }
            let mut answers = self.link.send_each(asked).await?.into_iter();
            let mut next = || answers.next().ok_or_else(unexpected);
            let mut before = milliseconds(next()?)?;
            let mut inexact = Vec::new();
            for part in open.chunks(BETWEEN_LOOKS) {
                for &index in part {
                    if let Some(end) = ends.get_mut(index) {
                        *end = match reply::number(&next()?)? {
                            left @ 0.. => lifetime(before.saturating_add(left)),
                            state => lifetime(state),
                        };
                    }
                }
                let after = milliseconds(next()?)?;
                if before != after {
                    inexact.extend_from_slice(part);
                }
                before = after;
            }
            open = inexact;
        }
        Ok(ends)
    }
}

fn left(name: &RecordName) -> Cmd {
    command("PTTL", &[name.as_bytes()])
}

/// The answer to `TIME`: seconds and microseconds.
fn milliseconds(time: Value) -> Result<i64, StoreError> {
    let mut parts = reply::array(time)?.into_iter();
    let mut part = || -> Result<i64, StoreError> {
        let digits = reply::text(parts.next().ok_or_else(unexpected)?)?;
        digits.parse().map_err(|_| unexpected())
    };
    Ok(part()?.saturating_mul(1000).saturating_add(part()? / 1000))
}

/// Redis' way of saying absent (-2) and for ever (-1).
fn lifetime(time: i64) -> Lifetime {
    match u64::try_from(time) {
        Ok(time) => Lifetime::Until(time),
        Err(_) if time == -1 => Lifetime::Persistent,
        Err(_) => Lifetime::Absent,
    }
}
