//! Text of other parties, made safe to print on a terminal.

/// Replaces every character that could move a terminal's cursor, change its colours or reverse the direction
/// of a line with `?`.
#[must_use]
pub fn sanitize_for_terminal(text: &str) -> String {
    let shown = |c: char| if controls_terminal(c) { '?' } else { c };
    text.chars().map(shown).collect()
}

/// Returns `bytes` as text in which every character that controls a terminal, other than a line feed or a
/// tab, is written as JSON escapes it, and every byte that is not UTF-8 as `\x9b`. A value could otherwise set
/// the window's title, type into the shell, or hide what is printed.
#[must_use]
pub fn escape_for_terminal(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' | '\t' => shown.push(c),
                c if controls_terminal(c) => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => shown.push(c),
            }
        }
        for byte in chunk.invalid() {
            shown.push_str(&format!("\\x{byte:02x}"));
        }
    }
    shown
}

/// True for control characters, and for those that change the direction of a text or end its line
/// (Unicode TR 36).
fn controls_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_controls_a_terminal_is_replaced_or_escaped() {
        assert_eq!(sanitize_for_terminal("a\u{1b}[31mb\n"), "a?[31mb?");
        let text = "ñ\t\u{1b}]0;x\u{7}\r\u{9b}1m\u{202e}\n".as_bytes();
        let shown = "ñ\t\\u001b]0;x\\u0007\\u000d\\u009b1m\\u202e\n";
        assert_eq!(escape_for_terminal(text), shown);
        assert_eq!(escape_for_terminal(b"\x9b1m\xff"), "\\x9b1m\\xff");
        assert_eq!(sanitize_for_terminal("ñ\u{202e}x\u{2067}"), "ñ?x?");
        assert_eq!(sanitize_for_terminal("wa:#00000000 …"), "wa:#00000000 …");
    }
}
