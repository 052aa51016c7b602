//! The syntax of a line of the table, as trees: words; `{place}`, filled in for each request;
//! `[a|b]`, one of these or nothing; `(a|b)`, one of these; `<a b>`, once to several times; `#<a b>`,
//! the same behind its count.

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Word(String),
    Optional(Vec<Vec<Part>>),
    Choice(Vec<Vec<Part>>),
    Repeated(Vec<Part>),
    Counted(Vec<Part>),
}

/// Parses a line.
///
/// # Panics
///
/// If a bracket is not closed.
pub(super) fn parse(line: &str) -> Vec<Part> {
    let mut letters = line.chars().peekable();
    let mut alternatives = sequence(&mut letters, None);
    assert_eq!(
        alternatives.len(),
        1,
        "`|` is outside of brackets in {line}"
    );
    alternatives.remove(0)
}

type Letters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Alternatives up to the closing bracket.
fn sequence(letters: &mut Letters<'_>, end: Option<char>) -> Vec<Vec<Part>> {
    let mut alternatives = vec![Vec::new()];
    let mut word = String::new();
    loop {
        let letter = letters.next();
        let closes = letter == end;
        let separates = matches!(letter, Some(' ')) || (letter == Some('|') && end.is_some());
        if closes || separates {
            let current: &mut Vec<Part> = alternatives.last_mut().expect("it is never empty");
            if !word.is_empty() {
                current.push(Part::Word(std::mem::take(&mut word)));
            }
            if closes {
                return alternatives;
            }
            if letter == Some('|') {
                alternatives.push(Vec::new());
            }
            continue;
        }
        let part = match letter {
            Some('[') => Part::Optional(sequence(letters, Some(']'))),
            Some('(') => Part::Choice(sequence(letters, Some(')'))),
            Some('<') => Part::Repeated(sequence(letters, Some('>')).remove(0)),
            Some('#') if letters.peek() == Some(&'<') => {
                letters.next();
                Part::Counted(sequence(letters, Some('>')).remove(0))
            }
            Some('{') => {
                word.push('{');
                for letter in letters.by_ref() {
                    word.push(letter);
                    if letter == '}' {
                        break;
                    }
                }
                continue;
            }
            Some(letter) => {
                word.push(letter);
                continue;
            }
            None => panic!("a bracket is not closed"),
        };
        alternatives
            .last_mut()
            .expect("it is never empty")
            .push(part);
    }
}

#[test]
fn brackets_become_parts() {
    let word = |text: &str| Part::Word(text.to_owned());
    assert_eq!(
        parse("SET {s} {v} [NX|EX {ttl}] (a|b) #<{f}>"),
        [
            word("SET"),
            word("{s}"),
            word("{v}"),
            Part::Optional(vec![vec![word("NX")], vec![word("EX"), word("{ttl}")]]),
            Part::Choice(vec![vec![word("a")], vec![word("b")]]),
            Part::Counted(vec![word("{f}")]),
        ]
    );
    assert_eq!(
        parse("MSET <{s} {v}>"),
        [word("MSET"), Part::Repeated(vec![word("{s}"), word("{v}")])]
    );
}
