//! The timeouts of requests that may wait on the server.

use std::time::Duration;

use crate::argument::{integer, is};

/// The position and unit of the timeout of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// In seconds, in the last argument.
    LastInSeconds,
    /// In seconds, in the first argument.
    FirstInSeconds,
    /// In milliseconds, in this argument.
    Milliseconds(usize),
    /// In milliseconds, after the option `BLOCK`; without it the command does not wait.
    BlockOption,
    /// None: the command takes as long as the server needs, and does not wait for another client.
    Unstated,
}

impl Timeout {
    /// The maximum time that this request waits: `None` if it is not limited. Servers answer at once with an
    /// error if the timeout is not a number.
    pub(crate) fn of(self, arguments: &[&[u8]]) -> Option<Duration> {
        match self {
            Self::LastInSeconds => seconds(arguments, arguments.len().saturating_sub(1)),
            Self::FirstInSeconds => seconds(arguments, 1),
            Self::Milliseconds(at) => milliseconds(arguments, at),
            Self::BlockOption => match last_block(arguments) {
                Some(at) => milliseconds(arguments, at),
                None => Some(Duration::ZERO),
            },
            Self::Unstated => Some(Duration::ZERO),
        }
    }
}

fn seconds(arguments: &[&[u8]], at: usize) -> Option<Duration> {
    let text = arguments
        .get(at)
        .and_then(|it| std::str::from_utf8(it).ok());
    let Some(seconds) = text.and_then(|it| it.parse::<f64>().ok()) else {
        // Servers accept more notations, such as hexadecimal.
        return Some(Duration::from_millis(1));
    };
    if seconds == 0.0 {
        return None;
    }
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    Some(match seconds > 0.0 {
        true => time.max(Duration::from_millis(1)),
        false => time,
    })
}

fn milliseconds(arguments: &[&[u8]], at: usize) -> Option<Duration> {
    match integer(arguments, at) {
        Some(0) => None,
        other => Some(Duration::from_millis(
            other
                .and_then(|it| u64::try_from(it).ok())
                .unwrap_or_default(),
        )),
    }
}

/// The position of the timeout of XREAD or XREADGROUP: of several, the last one counts.
fn last_block(arguments: &[&[u8]]) -> Option<usize> {
    let mut found = None;
    let mut at = 1_usize;
    while at < arguments.len() && !is(arguments, at, "STREAMS") {
        let next = at.saturating_add(1);
        if is(arguments, at, "BLOCK") {
            found = Some(next);
        }
        let taken = if is(arguments, at, "GROUP") {
            3
        } else if is(arguments, at, "NOACK") {
            1
        } else {
            2
        };
        at = at.saturating_add(taken);
    }
    found
}

/// True if an XREAD or XREADGROUP is certainly of a form that servers accept and that does not wait.
pub(crate) fn reads_at_once(arguments: &[&[u8]]) -> bool {
    let mut at = 1_usize;
    while at < arguments.len() {
        let next = at.saturating_add(1);
        if is(arguments, at, "STREAMS") {
            let names_and_ids = arguments.len().saturating_sub(next);
            return names_and_ids > 0 && names_and_ids.is_multiple_of(2);
        }
        let taken = if is(arguments, at, "NOACK") {
            1
        } else if is(arguments, at, "COUNT") || is(arguments, at, "CLAIM") {
            if integer(arguments, next).is_none() {
                return false;
            }
            2
        } else if is(arguments, at, "GROUP") {
            3
        } else {
            return false;
        };
        at = at.saturating_add(taken);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(request: &str) -> Vec<&[u8]> {
        request.split(' ').map(str::as_bytes).collect()
    }

    #[test]
    fn the_timeout_is_read_where_the_command_has_it() {
        let ms = |number| Some(Duration::from_millis(number));
        for (timeout, request, expected) in [
            (Timeout::LastInSeconds, "BLPOP a 0", None),
            (Timeout::LastInSeconds, "BLPOP a b 0.25", ms(250)),
            (Timeout::LastInSeconds, "BLPOP a -1", ms(0)),
            (Timeout::LastInSeconds, "BLPOP a 1e-10", ms(1)),
            (Timeout::LastInSeconds, "BLPOP a 0x10", ms(1)),
            (Timeout::LastInSeconds, "BLPOP a nan", ms(0)),
            (Timeout::FirstInSeconds, "BZMPOP 2 1 a MIN", ms(2000)),
            (Timeout::Milliseconds(2), "WAIT 1 0", None),
            (Timeout::Milliseconds(2), "WAIT 1 50", ms(50)),
            (
                Timeout::BlockOption,
                "XREAD COUNT 1 block 30 STREAMS a $",
                ms(30),
            ),
            (Timeout::BlockOption, "XREAD BLOCK 0 STREAMS a $", None),
            (
                Timeout::BlockOption,
                "XREADGROUP GROUP BLOCK c BLOCK 9 NOACK BLOCK 7 STREAMS a >",
                ms(7),
            ),
            (Timeout::BlockOption, "XREAD STREAMS BLOCK 0", ms(0)),
            (Timeout::BlockOption, "XREAD BLOCK x STREAMS a $", ms(0)),
            (Timeout::Unstated, "FLUSHALL", ms(0)),
        ] {
            assert_eq!(timeout.of(&words(request)), expected, "{request}");
        }
    }

    #[test]
    fn only_a_complete_form_without_block_reads_at_once() {
        for (request, at_once) in [
            ("XREAD STREAMS a 0", true),
            ("XREAD STREAMS BLOCK 0", true),
            ("XREAD COUNT 2 STREAMS a b 0 0", true),
            ("XREADGROUP GROUP BLOCK c NOACK STREAMS a >", true),
            ("XREAD BLOCK 0 STREAMS a $", false),
            ("XREAD block\0 0 STREAMS a $", false),
            ("XREAD LATER 0 STREAMS a $", false),
            ("XREAD COUNT x STREAMS a $", false),
            ("XREAD STREAMS a", false),
            ("XREAD STREAMS", false),
            ("XREAD", false),
        ] {
            assert_eq!(reads_at_once(&words(request)), at_once, "{request}");
        }
    }
}
