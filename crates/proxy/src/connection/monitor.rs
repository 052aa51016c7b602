//! Lines of MONITOR, and which of them a client gets.

use super::pairing::Disposition;
use super::reply_mode::ReplyMode;

/// Bytes of a line that are searched for the command that it reports.
const MAX_HEAD: usize = 512;

/// The beginnings of the proxy's own requests. No other request that matters to an operator begins like this.
const OWN: [&[u8]; 7] = [
    b"\"hELLO\"",
    b"\"pING\"",
    b"\"pFCOUNT\"",
    b"\"sELECT\" \"",
    b"\"cLIENT\" \"REPLY\" \"ON\"",
    b"\"cLIENT\" \"SETNAME\"",
    b"\"cLIENT\" \"SETINFO\"",
];

/// A line that begins with `+` while MONITOR is on.
pub(super) enum Line {
    /// The reply to a request.
    Reply,
    /// A report of some client's request.
    Report(Disposition),
}

/// Classifies a line: `+1700000000.000001 [0 127.0.0.1:6000] "get" …` is a report. `None` if more of it is needed.
pub(super) fn line(bytes: &[u8], mode: ReplyMode) -> Option<Line> {
    if !bytes.get(1)?.is_ascii_digit() {
        return Some(Line::Reply);
    }
    if mode == ReplyMode::Off {
        return Some(Line::Report(Disposition::Drop));
    }
    let head = bytes.get(..MAX_HEAD).unwrap_or(bytes);
    let is_whole = head.len() == MAX_HEAD || head.contains(&b'\r');
    let Some(at) = head.windows(2).position(|window| window == b"] ") else {
        return is_whole.then_some(Line::Report(Disposition::Forward));
    };
    let words = head.get(at.saturating_add(2)..).unwrap_or_default();
    if OWN.iter().any(|own| words.starts_with(own)) {
        return Some(Line::Report(Disposition::Drop));
    }
    let may_be_own = OWN.iter().any(|own| own.starts_with(words));
    (is_whole || !may_be_own).then_some(Line::Report(Disposition::Forward))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_forwarded(text: &str, expected: Option<bool>) {
        let shown = match line(text.as_bytes(), ReplyMode::On) {
            None => None,
            Some(Line::Reply) => panic!("{text}: a reply"),
            Some(Line::Report(disposition)) => Some(disposition == Disposition::Forward),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn only_lines_of_the_proxys_own_requests_are_dropped() {
        assert_forwarded("+17.5 [0 127.0.0.1:5] \"get\" \"x\"\r\n", Some(true));
        assert_forwarded("+17.5 [0 127.0.0.1:5] \"HELLO\" \"3\"\r\n", Some(true));
        assert_forwarded("+17.5 [0 127.0.0.1:5] \"hello\" \"3\"\r\n", Some(true));
        assert_forwarded("+17.5 [0 127.0.0.1:5] \"hELLO\" \"3\"\r\n", Some(false));
        assert_forwarded(
            "+17.5 [0 127.0.0.1:5] \"cLIENT\" \"KILL\" \"ID\" \"3\"\r\n",
            Some(true),
        );
        assert_forwarded("+17.5 [0 [::1]:5] \"sELECT\" \"3\"\r\n", Some(false));
        assert_forwarded(
            "+17.5 [0 unix:/run/s] \"cLIENT\" \"REPLY\" \"ON\"\r\n",
            Some(false),
        );
        assert_forwarded("+17.5 [0 lua] \"set\" \"] \\\"hELLO\\\"\"\r\n", Some(true));
        assert_forwarded("+17.5 [0 127.0.0.1:5] \"hELLO", None);
        assert_forwarded("+17.5 [0 127.0", None);
        assert_forwarded("+17.5 no such line\r\n", Some(true));
        assert_forwarded(&format!("+17.5 {}", "x".repeat(MAX_HEAD)), Some(true));
        assert!(line(b"+", ReplyMode::On).is_none());
    }

    #[test]
    fn every_prefix_of_a_line_is_classified_as_the_line_or_needs_more() {
        for (text, is_own) in [
            ("+17.5 [0 a:5] \"hELLO\" \"3\"\r\n", true),
            ("+17.5 [0 a:5] \"hELLO\"\r\n", true),
            ("+17.5 [0 a:5] \"hELLo\" \"2\"\r\n", false),
        ] {
            for len in 1..=text.len() {
                match line(&text.as_bytes()[..len], ReplyMode::On) {
                    None => {}
                    Some(Line::Report(disposition)) => {
                        assert_eq!(disposition == Disposition::Drop, is_own, "{len} of {text}");
                    }
                    Some(Line::Reply) => panic!("{len} of {text}"),
                }
            }
        }
    }

    #[test]
    fn a_reply_is_not_taken_for_a_line() {
        assert!(matches!(
            line(b"+RESET\r\n", ReplyMode::On),
            Some(Line::Reply)
        ));
    }
}
