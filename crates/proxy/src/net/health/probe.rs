//! A probe: whether the server answers on a new connection, while an old one is silent. It asks twice, the second
//! time when the first answer has come: a server that takes turns between its connections has had the silent
//! one's turn in between, so that silence then is the connection's and not the server's.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::UnderWay;
use crate::connection::OWN_PING;
use crate::net::upstream::exchange::Exchange;
use crate::net::upstream::{Connected, Upstream, cause};

/// A read of a record that does not exist. Servers hold it back while they hold back writes (`CLIENT PAUSE`, a
/// failover), and lanes are silent for that reason then.
const HELD_WITH_WRITES: &[u8] = b"*2\r\n$7\r\npFCOUNT\r\n$16\r\nwaxseal:liveness\r\n";
/// The server's account of itself: its role among other things.
const OWN_HELLO: &[u8] = b"*1\r\n$5\r\nhELLO\r\n";

/// What a probe came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The server answers on a new connection.
    Answers,
    /// It does not, for this reason: it would be silent for a direct client, too.
    Stalls(&'static str),
}

/// Asks the server, and says what came of it.
pub(super) async fn run(under_way: UnderWay, begin: Instant, limit: Duration) {
    let upstream = &under_way.0;
    let verdict = match timeout(limit, ask(upstream)).await {
        Ok(verdict) => verdict,
        Err(_) => Verdict::Stalls("no answer in time"),
    };
    upstream.health.end_probe(begin, verdict);
}

async fn ask(upstream: &Upstream) -> Verdict {
    let mut connected = match upstream.connect_slowly().await {
        Ok(connected) => connected,
        Err(error) => return Verdict::Stalls(cause(&error)),
    };
    let preamble = upstream.own_preamble();
    let first = [&preamble.requests, OWN_PING, HELD_WITH_WRITES].concat();
    let second = [OWN_PING, HELD_WITH_WRITES].concat();
    for (requests, replies) in [(first, preamble.count.saturating_add(2)), (second, 2)] {
        match converse(&mut connected, &requests, replies).await {
            Ok(None) => {}
            Ok(Some(verdict)) => return verdict,
            Err(error) => return Verdict::Stalls(cause(&error)),
        }
    }
    Verdict::Answers
}

/// Sends requests and waits for their replies. A verdict where a reply is one already.
async fn converse(
    connected: &mut Connected,
    requests: &[u8],
    replies: usize,
) -> io::Result<Option<Verdict>> {
    let mut exchange = Exchange::begin(connected, requests).await?;
    for received in 0..replies {
        match exchange.reply().await {
            Ok(reply) => {
                if let Some(why) = stall(&reply) {
                    return Ok(Some(Verdict::Stalls(why)));
                }
            }
            // Whatever it is, the server has answered; it may have said why it closes the connection.
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

/// Whether a new connection leads to a server that takes writes, by its own account. One that does not say (a server
/// without `HELLO`, a user who may not ask) is none.
pub(super) async fn leads_to_primary(upstream: &Upstream) -> bool {
    let Ok(mut connected) = upstream.connect_slowly().await else {
        return false;
    };
    let preamble = upstream.own_preamble();
    let requests = [&preamble.requests, OWN_HELLO, OWN_PING].concat();
    let Ok(mut exchange) = Exchange::begin(&mut connected, &requests).await else {
        return false;
    };
    let mut answer = Vec::new();
    for _ in 0..preamble.count.saturating_add(2) {
        match exchange.reply().await {
            Ok(reply) => answer.extend(reply),
            Err(_) => return false,
        }
    }
    is_primary(&answer)
}

/// Whether these answers to `HELLO` and `PING` are those of a primary with its data at hand.
fn is_primary(answer: &[u8]) -> bool {
    let says = |part: &[u8]| answer.windows(part.len()).any(|it| it == part);
    says(b"$4\r\nrole\r\n$6\r\nmaster\r\n") && answer.ends_with(b"+PONG\r\n")
}

/// Why a server that answers with this error serves no other connection either; `None` where it does.
fn stall(error: &[u8]) -> Option<&'static str> {
    let words = [
        (&b"-BUSY "[..], "it runs a script"),
        (b"-LOADING ", "it is loading its data"),
    ];
    let of = |(word, _): &&(&[u8], _)| error.starts_with(word);
    words.iter().find(of).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::{is_primary, stall};

    #[test]
    fn a_primary_says_so_and_answers() {
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
    fn only_errors_of_a_server_that_serves_nobody_are_a_stall() {
        assert!(stall(b"-BUSY Redis is busy running a script.\r\n").is_some());
        assert!(stall(b"-LOADING Redis is loading the dataset in memory\r\n").is_some());
        for error in ["-NOAUTH x\r\n", "-BUSYGROUP x\r\n", "-READONLY x\r\n", "-"] {
            assert_eq!(stall(error.as_bytes()), None, "{error}");
        }
    }
}
