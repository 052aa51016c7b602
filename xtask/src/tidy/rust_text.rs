//! Rust source with its comments blanked and the content of its literals replaced, so that a search
//! finds code only. Not a parser: it recognises only comments, strings and characters.

/// The source with every letter of a comment replaced by a space and every letter inside a literal
/// by `x`. Lines stay where they are.
pub(super) fn code_only(source: &str) -> String {
    let mut scanner = Scanner {
        source: source.chars().collect(),
        at: 0,
        code: String::with_capacity(source.len()),
    };
    while let Some(letter) = scanner.peek(0) {
        match (letter, scanner.peek(1)) {
            ('/', Some('/')) => scanner.line_comment(),
            ('/', Some('*')) => scanner.block_comment(),
            ('"', _) => scanner.string(),
            ('\'', _) => scanner.quote(),
            ('r', Some('"' | '#')) if !scanner.inside_a_word() => scanner.raw_string(),
            _ => scanner.keep(),
        }
    }
    scanner.code
}

/// True if the text at `at` is this word and not a part of a longer one.
pub(super) fn is_word_at(code: &str, at: usize, word: &str) -> bool {
    let part_of_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    code[at..].starts_with(word)
        && !code[..at].ends_with(part_of_word)
        && !code[at + word.len()..].starts_with(part_of_word)
}

/// The number of the line that holds this byte, counted from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

struct Scanner {
    source: Vec<char>,
    at: usize,
    code: String,
}

impl Scanner {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.source.get(self.at + ahead).copied()
    }

    fn keep(&mut self) {
        self.code.extend(self.peek(0));
        self.at += 1;
    }

    fn replace(&mut self, with: char) {
        let letter = self.peek(0);
        self.code
            .extend(letter.map(|letter| if letter == '\n' { '\n' } else { with }));
        self.at += 1;
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|letter| letter != '\n') {
            self.replace(' ');
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => depth += 1,
                (Some('*'), Some('/')) => depth -= 1,
                (None, _) => return,
                _ => {
                    self.replace(' ');
                    continue;
                }
            }
            self.replace(' ');
            self.replace(' ');
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.keep();
        while let Some(letter) = self.peek(0) {
            match letter {
                '"' => return self.keep(),
                '\\' => {
                    self.replace('x');
                    self.replace('x');
                }
                _ => self.replace('x'),
            }
        }
    }

    /// A character literal, or the quote of a lifetime.
    fn quote(&mut self) {
        let literal = self.peek(1) == Some('\\') || self.peek(2) == Some('\'');
        self.keep();
        if !literal {
            return;
        }
        if self.peek(0) == Some('\\') {
            self.replace('x');
        }
        self.replace('x');
        while self.peek(0).is_some_and(|letter| letter != '\'') {
            self.replace('x');
        }
        self.keep();
    }

    /// `r"…"`, `r#"…"#`; or a raw identifier, which is code.
    fn raw_string(&mut self) {
        let hashes = self.source[self.at + 1..]
            .iter()
            .take_while(|letter| **letter == '#')
            .count();
        self.keep();
        if self.peek(hashes) != Some('"') {
            return;
        }
        (0..=hashes).for_each(|_| self.keep());
        while let Some(letter) = self.peek(0) {
            if letter == '"' && (1..=hashes).all(|ahead| self.peek(ahead) == Some('#')) {
                (0..=hashes).for_each(|_| self.keep());
                return;
            }
            self.replace('x');
        }
    }

    /// True if the preceding letter belongs to an identifier. `b` and `c` alone are prefixes of a
    /// literal.
    fn inside_a_word(&self) -> bool {
        let mut before = self.source[..self.at].iter().rev();
        let part_of_word = |letter: Option<&char>| {
            letter.is_some_and(|letter| letter.is_alphanumeric() || *letter == '_')
        };
        match before.next() {
            Some('b' | 'c') => part_of_word(before.next()),
            letter => part_of_word(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_comments_and_literals_and_keeps_code() {
        for (source, code) in [
            ("a // dbg!(1)\nb", "a           \nb"),
            ("a /* x /* y */ z */ b", "a                   b"),
            (r#"f("a\"b // c")"#, r#"f("xxxxxxxxx")"#),
            (r###"br#"a"b"# c"###, r###"br#"xxx"# c"###),
            ("'{' '\\'' '\\u{7b}' b'x'", "'x' 'xx' 'xxxxxx' b'x'"),
            ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
            ("r#type other\"s\"", "r#type other\"x\""),
        ] {
            assert_eq!(code_only(source), code, "{source}");
        }
    }

    #[test]
    fn never_moves_a_line() {
        let source = "/* a\nb */ \"c\nd\" r\"e\nf\" // g\nh";
        let code = code_only(source);
        assert_eq!(code.matches('\n').count(), source.matches('\n').count());
        assert_eq!(line_of(&code, code.find('h').unwrap()), 5);
    }

    #[test]
    fn finds_whole_words_only() {
        assert!(is_word_at("a fn b", 2, "fn"));
        assert!(!is_word_at("a_fn b", 2, "fn"));
        assert!(!is_word_at("fnord", 0, "fn"));
    }
}
