//! Lines of MONITOR: which of them a client gets.

use super::replies::Way;
use super::reply_mode::Answering;

/// How far a line is looked into for the command that it tells of.
const MAX_HEAD: usize = 512;

/// Where a line goes that begins with these bytes: `+1700000000.000001 [0 127.0.0.1:6000] "get" …`. `None` where
/// more of it must be seen, or where it is none.
pub(super) fn way(line: &[u8], answering: Answering) -> Option<Line> {
    match line.get(1) {
        None => return None,
        Some(byte) if !byte.is_ascii_digit() => return Some(Line::Reply),
        Some(_) => {}
    }
    if answering == Answering::Off {
        return Some(Line::Goes(Way::Drop));
    }
    let head = line.get(..MAX_HEAD).unwrap_or(line);
    let Some(at) = head.windows(3).position(|it| it == b"] \"") else {
        let whole = head.len() == MAX_HEAD || head.contains(&b'\r');
        return whole.then_some(Line::Goes(Way::Forward));
    };
    let word = head.get(at.saturating_add(3)..).unwrap_or_default();
    if !word.contains(&b'"') && head.len() < MAX_HEAD && !word.contains(&b'\r') {
        return None;
    }
    let own = OWN.iter().any(|own| word.starts_with(own));
    Some(Line::Goes(if own { Way::Drop } else { Way::Forward }))
}

/// What begins with these bytes while MONITOR is on.
pub(super) enum Line {
    /// A reply.
    Reply,
    /// A line that goes there.
    Goes(Way),
}

/// The words that requests of the proxy's own begin with.
const OWN: [&[u8]; 3] = [b"hELLO\"", b"sELECT\"", b"cLIENT\""];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn goes(line: &str, expected: Option<bool>) {
        let way = way(line.as_bytes(), Answering::On);
        let shown = match way {
            None => None,
            Some(Line::Reply) => panic!("{line}: a reply"),
            Some(Line::Goes(way)) => Some(way == Way::Forward),
        };
        assert_eq!(shown, expected, "{line}");
    }

    #[test]
    fn only_lines_of_the_proxys_own_requests_are_dropped() {
        goes("+17.5 [0 127.0.0.1:5] \"get\" \"x\"\r\n", Some(true));
        goes("+17.5 [0 127.0.0.1:5] \"HELLO\" \"3\"\r\n", Some(true));
        goes("+17.5 [0 127.0.0.1:5] \"hello\" \"3\"\r\n", Some(true));
        goes("+17.5 [0 127.0.0.1:5] \"hELLO\" \"3\"\r\n", Some(false));
        goes("+17.5 [0 [::1]:5] \"sELECT\" \"3\"\r\n", Some(false));
        goes(
            "+17.5 [0 unix:/run/s] \"cLIENT\" \"REPLY\" \"ON\"\r\n",
            Some(false),
        );
        goes("+17.5 [0 lua] \"set\" \"] \\\"hELLO\\\"\"\r\n", Some(true));
        goes("+17.5 [0 127.0.0.1:5] \"hELLO", None);
        goes("+17.5 [0 127.0", None);
        goes("+1", None);
        goes("+17.5 no such line\r\n", Some(true));
        goes(&format!("+17.5 {}", "x".repeat(MAX_HEAD)), Some(true));
    }

    #[test]
    fn every_prefix_of_a_line_goes_where_the_line_goes_or_waits() {
        let line = b"+17.5 [0 127.0.0.1:5] \"hELLO\" \"3\"\r\n";
        for len in 1..=line.len() {
            match way(&line[..len], Answering::On) {
                None | Some(Line::Goes(Way::Drop)) => {}
                Some(_) => panic!("{len}"),
            }
        }
    }

    #[test]
    fn a_reply_is_none_of_its_lines() {
        assert!(matches!(
            way(b"+RESET\r\n", Answering::On),
            Some(Line::Reply)
        ));
    }
}
