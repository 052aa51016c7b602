//! Replies on a lane that belong to no client: those to the preamble, to the keepalive `PING`, and push messages.

use waxseal_resp::ReplyScanner;

use super::end::LaneEnd;
use crate::login::LoginError;
use crate::pending::Protocol;

/// Bytes of an error that are read at most from a server that refuses the login.
const MAX_LOGIN_ERROR: usize = 4096;

/// The replies to the proxy's own requests that are still due.
pub(super) struct ProxyReplies {
    /// Replies to the preamble that are still due.
    preamble: usize,
    ping: Ping,
    /// The message under way in `scanner` is a push message.
    is_push: bool,
    scanner: ReplyScanner,
}

/// The keepalive `PING` of an idle lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ping {
    /// None is under way.
    Possible,
    /// Its reply is the next.
    Due,
    /// The user may not send it.
    Refused,
}

impl ProxyReplies {
    /// Expects the replies to a preamble of this many requests.
    pub(super) fn new(preamble: usize) -> Self {
        Self {
            preamble,
            ping: Ping::Possible,
            is_push: false,
            scanner: ReplyScanner::new(),
        }
    }

    /// True if a reply to the proxy is due.
    pub(super) fn is_due(&self) -> bool {
        self.preamble > 0 || self.ping == Ping::Due
    }

    /// True if the next bytes belong to a reply to the proxy, or to the remainder of one.
    pub(super) fn is_next(&self) -> bool {
        self.is_due() || !self.scanner.is_at_start()
    }

    /// Expects the reply to a `PING` next. Returns false if none may be sent.
    pub(super) fn begin_ping(&mut self) -> bool {
        let is_possible = self.ping == Ping::Possible;
        if is_possible {
            self.ping = Ping::Due;
        }
        is_possible
    }

    /// Takes the bytes of a reply to the proxy, or of a push message, and returns their number. Returns the end of the
    /// lane if the server refuses the login.
    pub(super) fn take(&mut self, bytes: &[u8], protocol: Protocol) -> Result<usize, LaneEnd> {
        let is_start = self.scanner.is_at_start();
        if is_start {
            self.is_push = bytes.first() == Some(&b'>');
        }
        let is_error = is_start && matches!(bytes.first(), Some(b'-' | b'!'));
        if is_error {
            if !bytes.contains(&b'\n') && bytes.len() < MAX_LOGIN_ERROR {
                return Ok(0);
            }
            if self.preamble > 0 {
                let is_hello = protocol == Protocol::Resp3 && self.preamble == 1;
                return Err(LaneEnd::LoginRefused(match LoginError::of(bytes) {
                    // As the answer to any other request it says nothing about the protocol.
                    LoginError::Protocol if !is_hello => LoginError::Other,
                    error => error,
                }));
            }
            if LoginError::of(bytes) == LoginError::Permission {
                self.ping = Ping::Refused;
            }
        }
        let progress = self.scanner.scan(bytes).map_err(|_| LaneEnd::Unexplained)?;
        if progress.done && !self.is_push {
            if self.preamble > 0 {
                self.preamble = self.preamble.saturating_sub(1);
            } else if self.ping == Ping::Due {
                self.ping = Ping::Possible;
            }
        }
        Ok(progress.used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_to_the_preamble_and_to_a_ping_are_counted() {
        let mut replies = ProxyReplies::new(2);
        assert!(replies.is_due());
        assert_eq!(replies.take(b"+OK\r\n", Protocol::Resp2), Ok(5));
        assert_eq!(replies.take(b">1\r\n:1\r\n", Protocol::Resp2), Ok(8));
        assert!(replies.is_due());
        assert_eq!(replies.take(b"+OK\r\n+", Protocol::Resp2), Ok(5));
        assert!(!replies.is_next());
        assert!(replies.begin_ping() && replies.is_due() && !replies.begin_ping());
        assert_eq!(replies.take(b"-NOPERM no\r\n", Protocol::Resp2), Ok(12));
        assert!(!replies.is_next() && !replies.begin_ping());
    }

    #[test]
    fn an_error_in_the_preamble_ends_the_lane_once_it_is_complete() {
        let take = |bytes: &[u8], protocol| ProxyReplies::new(1).take(bytes, protocol);
        let refused = |error| Err(LaneEnd::LoginRefused(error));
        assert_eq!(take(b"-NOPROTO", Protocol::Resp3), Ok(0));
        assert_eq!(
            take(b"-NOPROTO\r\n", Protocol::Resp3),
            refused(LoginError::Protocol)
        );
        assert_eq!(
            take(b"-NOPROTO\r\n", Protocol::Resp2),
            refused(LoginError::Other)
        );
        assert_eq!(
            take(&[b'-'; MAX_LOGIN_ERROR], Protocol::Resp2),
            refused(LoginError::Other)
        );
    }
}
