//! Texts of others, made safe to display: a name in a document could otherwise move the cursor, change
//! colours or reverse the direction of the text around it.

/// The text with every character that controls a terminal replaced by `?`.
#[must_use]
pub fn sanitize_for_terminal(text: &str) -> String {
    let shown = |c: char| if controls_terminal(c) { '?' } else { c };
    text.chars().map(shown).collect()
}

/// True for control characters, and for those that change the direction of a text or end its line
/// (Unicode TR 36).
#[must_use]
pub fn controls_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_replaced_and_others_stay() {
        assert_eq!(sanitize_for_terminal("a\u{1b}[31mb\n"), "a?[31mb?");
        assert_eq!(sanitize_for_terminal("ñ\u{202e}x\u{2067}"), "ñ?x?");
        assert_eq!(sanitize_for_terminal("wa:#00000000 …"), "wa:#00000000 …");
    }
}
