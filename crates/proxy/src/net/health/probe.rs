//! A probe: it finds out whether the server answers on a new connection while an old one is silent. It asks twice, the
//! second time after the first answer: a server that takes turns between its connections has served the silent one in
//! between, so that the silence is then the connection's fault and not the server's.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::UnderWay;
use crate::connection::OWN_PING;
use crate::net::upstream::exchange::Exchange;
use crate::net::upstream::failure::ConnectError;
use crate::net::upstream::{Connected, Upstream};

/// A read of a record that does not exist. Servers delay it while they delay writes (`CLIENT PAUSE`, a failover), and
/// lanes are silent for that reason then.
const HELD_WITH_WRITES: &[u8] = b"*2\r\n$7\r\npFCOUNT\r\n$16\r\nwaxseal:liveness\r\n";
/// Asks the server for its role, among other things.
const OWN_HELLO: &[u8] = b"*1\r\n$5\r\nhELLO\r\n";

/// The verdict of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The server answers on a new connection.
    Answers,
    /// It does not, for this reason: a direct client would wait as well.
    Stalls(StallReason),
}

/// The reason why the server answers on no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StallReason {
    NoAnswer,
    Connection(ConnectError),
    RunsScript,
    Loading,
}

impl StallReason {
    /// The reason for the log.
    pub(super) const fn description(self) -> &'static str {
        match self {
            Self::NoAnswer => "no answer in time",
            Self::Connection(error) => error.description(),
            Self::RunsScript => "it runs a script",
            Self::Loading => "it is loading its data",
        }
    }

    /// The reason in an error of the server's; `None` if it serves other connections.
    fn of_reply(reply: &[u8]) -> Option<Self> {
        if reply.starts_with(b"-BUSY ") {
            Some(Self::RunsScript)
        } else if reply.starts_with(b"-LOADING ") {
            Some(Self::Loading)
        } else {
            None
        }
    }
}

impl Verdict {
    fn of_failure(error: &io::Error) -> Self {
        Self::Stalls(StallReason::Connection(ConnectError::from(error)))
    }
}

/// Probes the server and records the verdict.
pub(super) async fn run(under_way: UnderWay, begin: Instant, limit: Duration) {
    let upstream = &under_way.0;
    let verdict = match timeout(limit, ask(upstream)).await {
        Ok(verdict) => verdict,
        Err(_) => Verdict::Stalls(StallReason::NoAnswer),
    };
    upstream.health.end_probe(begin, verdict);
}

async fn ask(upstream: &Upstream) -> Verdict {
    let mut connected = match upstream.connect_slowly().await {
        Ok(connected) => connected,
        Err(error) => return Verdict::of_failure(&error),
    };
    let preamble = upstream.proxy_handshake();
    let first = [&preamble.requests, OWN_PING, HELD_WITH_WRITES].concat();
    let second = [OWN_PING, HELD_WITH_WRITES].concat();
    for (requests, replies) in [(first, preamble.count.saturating_add(2)), (second, 2)] {
        match converse(&mut connected, &requests, replies).await {
            Ok(None) => {}
            Ok(Some(verdict)) => return verdict,
            Err(error) => return Verdict::of_failure(&error),
        }
    }
    Verdict::Answers
}

/// Sends requests and waits for their replies. Returns a verdict if a reply decides it.
async fn converse(
    connected: &mut Connected,
    requests: &[u8],
    replies: usize,
) -> io::Result<Option<Verdict>> {
    let mut exchange = Exchange::begin(connected, requests).await?;
    for received in 0..replies {
        match exchange.reply().await {
            Ok(reply) => {
                if let Some(reason) = StallReason::of_reply(&reply) {
                    return Ok(Some(Verdict::Stalls(reason)));
                }
            }
            // Any reply is an answer; it may have been the reason for closing the connection.
            Err(error) => {
                return match error.kind() {
                    io::ErrorKind::InvalidData => Ok(Some(Verdict::Answers)),
                    io::ErrorKind::UnexpectedEof if received > 0 => Ok(Some(Verdict::Answers)),
                    _ => Err(error),
                };
            }
        }
    }
    Ok(None)
}

/// True if a new connection leads to a server that reports itself as a primary. A server that does not report its role
/// (one without `HELLO`, or a user that may not use it) does not count.
pub(super) async fn leads_to_primary(upstream: &Upstream) -> bool {
    let Ok(mut connected) = upstream.connect_slowly().await else {
        return false;
    };
    let preamble = upstream.proxy_handshake();
    let requests = [&preamble.requests, OWN_HELLO, OWN_PING].concat();
    let Ok(mut exchange) = Exchange::begin(&mut connected, &requests).await else {
        return false;
    };
    let mut replies = Vec::new();
    for _ in 0..preamble.count.saturating_add(2) {
        match exchange.reply().await {
            Ok(reply) => replies.extend(reply),
            Err(_) => return false,
        }
    }
    is_primary(&replies)
}

/// True if these replies to `HELLO` and `PING` are those of a primary whose data is loaded.
fn is_primary(replies: &[u8]) -> bool {
    let contains = |part: &[u8]| replies.windows(part.len()).any(|it| it == part);
    contains(b"$4\r\nrole\r\n$6\r\nmaster\r\n") && replies.ends_with(b"+PONG\r\n")
}

#[cfg(test)]
mod tests {
    use super::{StallReason, is_primary};

    #[test]
    fn a_primary_reports_its_role_and_answers() {
        let hello = |role: &str| {
            let len = role.len();
            format!("+OK\r\n*4\r\n$4\r\nrole\r\n${len}\r\n{role}\r\n$7\r\nmodules\r\n*0\r\n")
        };
        let is_primary = |answer: String| is_primary(answer.as_bytes());
        assert!(is_primary(hello("master") + "+PONG\r\n"));
        assert!(!is_primary(hello("replica") + "+PONG\r\n"));
        assert!(!is_primary(
            hello("master") + "-LOADING Redis is loading the dataset in memory\r\n"
        ));
        assert!(!is_primary(
            "-ERR unknown command 'hELLO'\r\n+PONG\r\n".to_owned()
        ));
    }

    #[test]
    fn only_errors_of_a_server_that_serves_no_connection_are_a_stall() {
        let stall = StallReason::of_reply;
        assert!(stall(b"-BUSY Redis is busy running a script.\r\n").is_some());
        assert!(stall(b"-LOADING Redis is loading the dataset in memory\r\n").is_some());
        for error in ["-NOAUTH x\r\n", "-BUSYGROUP x\r\n", "-READONLY x\r\n", "-"] {
            assert_eq!(stall(error.as_bytes()), None, "{error}");
        }
    }
}
