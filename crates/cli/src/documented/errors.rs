//! docs/reference/errors.md: each heading is a text that the program can print.

use super::{root, sources};

/// The minimum length of a piece of text.
const MIN_PIECE: usize = 10;
/// Parts of a piece that are shorter are filled in.
const MIN_PART: usize = 4;
/// Names that are filled in where a text speaks of one of several things.
const NAMES: [&str; 5] = [
    "processes that are behind",
    "processes that are cut off",
    "audit_log_key",
    "OTEL_METRIC_EXPORT_INTERVAL",
    ".env",
];
/// Pieces that are put together of more than two texts.
const OF_MORE: [&str; 6] = [
    "the mode is one of off",
    "the format is one of classic",
    "plain_values is one of json",
    "can only be http/json here",
    "ERR Protocol error",
    "connections were cut",
];

#[test]
fn every_error_that_is_explained_is_one_that_can_be_printed() {
    let errors = std::fs::read_to_string(root().join("docs/reference/errors.md")).unwrap();
    let all: String = sources().iter().map(|it| it.text.as_str()).collect();
    let all = all
        .replace("\\\"", "\"")
        .replace("{{", "{")
        .replace("}}", "}");
    let headings = errors.lines().filter_map(|line| line.strip_prefix("### "));
    let texts: Vec<_> = headings
        .flat_map(|it| it.split('`').skip(1).step_by(2))
        .collect();
    let mut unknown = Vec::new();
    for text in &texts {
        let bare = text.trim_start_matches("warning: ");
        let pieces = bare.split(['…', ',', ':', '(', ')', '"']).map(str::trim);
        let long = pieces.filter(|piece| piece.len() >= MIN_PIECE);
        let is_known = |piece: &&str| all.contains(piece) || OF_MORE.contains(piece);
        let missing = long.filter(|piece| !is_known(piece) && !is_of_two(piece, &all));
        unknown.extend(missing.map(|piece| format!("{piece} ({text})")));
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
    assert!(texts.len() > 150, "only {} were found", texts.len());
}

#[test]
fn no_error_is_explained_twice() {
    let errors = std::fs::read_to_string(root().join("docs/reference/errors.md")).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    let headings = errors.lines().filter_map(|line| line.strip_prefix("### "));
    let texts = headings.flat_map(|it| it.split('`').skip(1).step_by(2));
    // What begins with something that is filled in may be said of several things.
    let texts = texts.filter(|text| !text.starts_with('…'));
    let twice: Vec<_> = texts.filter(|text| !seen.insert(*text)).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

/// True if a piece is made of two strings with something filled in between or beside them.
fn is_of_two(piece: &str, all: &str) -> bool {
    // What is filled in is between braces in the source.
    let ends = |left: &str| {
        ["{", " {", "\", "]
            .iter()
            .any(|it| all.contains(&format!("{left}{it}")))
    };
    let begins = |right: &str| {
        let known = |it: &str| all.contains(&format!("{it}{right}"));
        ["}", "} ", "\", \""].iter().any(|it| known(it))
    };
    let is_filled_in = |part: &str| {
        let number = part.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
        part.len() < MIN_PART || !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
    };
    piece.match_indices([' ', '_', '#']).any(|(at, _)| {
        let (left, right) = piece.split_at(at);
        let (left, right) = (left.trim(), right.trim());
        let left_is = ends(left) || is_filled_in(left) || NAMES.contains(&left);
        let right_is = begins(right) || is_filled_in(right);
        left_is && right_is && left.len() + right.len() >= MIN_PIECE
    })
}
