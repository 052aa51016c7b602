//! Lines of MONITOR: which of them a client gets.

use super::pairing::Way;
use super::reply_mode::Answering;

/// How far a line is looked into for the command that it tells of.
const MAX_HEAD: usize = 512;

/// The beginnings of the proxy's own requests. No other request that matters to an operator begins so.
const OWN: [&[u8]; 7] = [
    b"\"hELLO\"",
    b"\"pING\"",
    b"\"pFCOUNT\"",
    b"\"sELECT\" \"",
    b"\"cLIENT\" \"REPLY\" \"ON\"",
    b"\"cLIENT\" \"SETNAME\"",
    b"\"cLIENT\" \"SETINFO\"",
];

/// What begins with some bytes while MONITOR is on.
pub(super) enum Line {
    /// A reply.
    Reply,
    /// A line that goes there.
    Goes(Way),
}

/// What begins with these bytes: `+1700000000.000001 [0 127.0.0.1:6000] "get" …` is a line. `None` where more of it
/// must be seen.
pub(super) fn line(bytes: &[u8], answering: Answering) -> Option<Line> {
    if !bytes.get(1)?.is_ascii_digit() {
        return Some(Line::Reply);
    }
    if answering == Answering::Off {
        return Some(Line::Goes(Way::Drop));
    }
    let head = bytes.get(..MAX_HEAD).unwrap_or(bytes);
    let is_whole = head.len() == MAX_HEAD || head.contains(&b'\r');
    let Some(at) = head.windows(2).position(|it| it == b"] ") else {
        return is_whole.then_some(Line::Goes(Way::Forward));
    };
    let words = head.get(at.saturating_add(2)..).unwrap_or_default();
    if OWN.iter().any(|own| words.starts_with(own)) {
        return Some(Line::Goes(Way::Drop));
    }
    let may_become = OWN.iter().any(|own| own.starts_with(words));
    (is_whole || !may_become).then_some(Line::Goes(Way::Forward))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn goes(text: &str, expected: Option<bool>) {
        let shown = match line(text.as_bytes(), Answering::On) {
            None => None,
            Some(Line::Reply) => panic!("{text}: a reply"),
            Some(Line::Goes(way)) => Some(way == Way::Forward),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn only_lines_of_the_proxys_own_requests_are_dropped() {
        goes("+17.5 [0 127.0.0.1:5] \"get\" \"x\"\r\n", Some(true));
        goes("+17.5 [0 127.0.0.1:5] \"HELLO\" \"3\"\r\n", Some(true));
        goes("+17.5 [0 127.0.0.1:5] \"hello\" \"3\"\r\n", Some(true));
        goes("+17.5 [0 127.0.0.1:5] \"hELLO\" \"3\"\r\n", Some(false));
        goes(
            "+17.5 [0 127.0.0.1:5] \"cLIENT\" \"KILL\" \"ID\" \"3\"\r\n",
            Some(true),
        );
        goes("+17.5 [0 [::1]:5] \"sELECT\" \"3\"\r\n", Some(false));
        goes(
            "+17.5 [0 unix:/run/s] \"cLIENT\" \"REPLY\" \"ON\"\r\n",
            Some(false),
        );
        goes("+17.5 [0 lua] \"set\" \"] \\\"hELLO\\\"\"\r\n", Some(true));
        goes("+17.5 [0 127.0.0.1:5] \"hELLO", None);
        goes("+17.5 [0 127.0", None);
        goes("+17.5 no such line\r\n", Some(true));
        goes(&format!("+17.5 {}", "x".repeat(MAX_HEAD)), Some(true));
        assert!(line(b"+", Answering::On).is_none());
    }

    #[test]
    fn every_prefix_of_a_line_goes_where_the_line_goes_or_waits() {
        for (text, is_own) in [
            ("+17.5 [0 a:5] \"hELLO\" \"3\"\r\n", true),
            ("+17.5 [0 a:5] \"hELLO\"\r\n", true),
            ("+17.5 [0 a:5] \"hELLo\" \"2\"\r\n", false),
        ] {
            for len in 1..=text.len() {
                match line(&text.as_bytes()[..len], Answering::On) {
                    None => {}
                    Some(Line::Goes(way)) => {
                        assert_eq!(way == Way::Drop, is_own, "{len} of {text}");
                    }
                    Some(Line::Reply) => panic!("{len} of {text}"),
                }
            }
        }
    }

    #[test]
    fn a_reply_is_none_of_its_lines() {
        assert!(matches!(
            line(b"+RESET\r\n", Answering::On),
            Some(Line::Reply)
        ));
    }
}
