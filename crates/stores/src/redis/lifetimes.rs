//! Expiries of records, by the server's clock: reported by the server where it can (7.0 and later),
//! else computed from the remaining time.

use std::sync::atomic::Ordering;

use redis::{Cmd, Value, cmd};

use super::commands::are_all_text;
use super::reply::{self, unexpected};
use super::{RedisStore, command};
use crate::error::StoreError;
use crate::record::{Lifetime, RecordName};

/// Records between two readings of the server's clock. Few enough that both mostly show the same
/// millisecond.
const RECORDS_PER_CLOCK_READ: usize = 50;

/// How often a record is read again because the clock advanced meanwhile.
const MAX_ROUNDS: usize = 20;

impl RedisStore {
    pub(super) async fn fetch_expiries(
        &self,
        names: &[RecordName],
    ) -> Result<Vec<Lifetime>, StoreError> {
        let are_all_text = are_all_text(names.iter().map(RecordName::as_bytes));
        if self.has_pexpiretime.load(Ordering::Relaxed)
            && self.lacks("PEXPIRETIME", are_all_text).await?
        {
            self.has_pexpiretime.store(false, Ordering::Relaxed);
        }
        if self.has_pexpiretime.load(Ordering::Relaxed) {
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
                    self.has_pexpiretime.store(false, Ordering::Relaxed);
                }
                Err(error) => return Err(error),
            }
        }
        self.expiries_from_remaining_time(names).await
    }

    /// If two readings of the clock show the same millisecond, adding the remaining time in between
    /// is exact. Where the clock advances every time, the result may be too early, by as much as
    /// the clock advanced.
    async fn expiries_from_remaining_time(
        &self,
        names: &[RecordName],
    ) -> Result<Vec<Lifetime>, StoreError> {
        let mut expiries = vec![Lifetime::Absent; names.len()];
        let mut open: Vec<usize> = (0..names.len()).collect();
        for _ in 0..MAX_ROUNDS {
            if open.is_empty() {
                break;
            }
            let mut asked = vec![cmd("TIME")];
            for part in open.chunks(RECORDS_PER_CLOCK_READ) {
                let names = part.iter().filter_map(|&index| names.get(index));
                asked.extend(names.map(pttl));
                asked.push(cmd("TIME"));
            }
            let mut answers = self.link.send_each(asked).await?.into_iter();
            let mut next = || answers.next().ok_or_else(unexpected);
            let mut before = milliseconds(next()?)?;
            let mut inexact = Vec::new();
            for part in open.chunks(RECORDS_PER_CLOCK_READ) {
                for &index in part {
                    if let Some(end) = expiries.get_mut(index) {
                        *end = match reply::number(&next()?)? {
                            remaining @ 0.. => lifetime(before.saturating_add(remaining)),
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
        Ok(expiries)
    }
}

fn pttl(name: &RecordName) -> Cmd {
    command("PTTL", &[name.as_bytes()])
}

/// The reply to `TIME`: seconds and microseconds.
fn milliseconds(time: Value) -> Result<i64, StoreError> {
    let mut parts = reply::array(time)?.into_iter();
    let mut part = || -> Result<i64, StoreError> {
        let digits = reply::text(parts.next().ok_or_else(unexpected)?)?;
        digits.parse().map_err(|_| unexpected())
    };
    Ok(part()?.saturating_mul(1000).saturating_add(part()? / 1000))
}

/// Redis reports absent as -2 and no expiry as -1.
fn lifetime(time: i64) -> Lifetime {
    match u64::try_from(time) {
        Ok(time) => Lifetime::Until(time),
        Err(_) if time == -1 => Lifetime::Persistent,
        Err(_) => Lifetime::Absent,
    }
}
