//! Words that were replaced by the field's terms and may not come back: identifiers in code, and phrases in everything
//! that is read (comments, messages, documents).

use super::rust_text::{code_only, line_of};

/// Identifiers, each with the term to use. A name that ends with `_` stands for all that begin so.
const IDENTIFIERS: &[(&str, &str)] = &[
    ("Talk", "ConnectionState"),
    ("bereft", "upstream_closed"),
    ("GoingBy", "StreamedRequest"),
    ("let_by", "stream_through"),
    ("Entrance", "Handshake"),
    ("InVain", "NegativeCache"),
    ("was_in_vain", "mark_rejected"),
    ("Outward", "the direction of requests"),
    ("FAREWELL", "LINGER_TIMEOUT"),
    ("say_farewell", "linger_close"),
    ("obey", "run"),
    ("greet", "send_preamble"),
    ("held_up_by", "blocked_by"),
    ("goes_on", "resume"),
    ("has_read", "on_drained"),
    ("off_the_lane", "needs_dedicated"),
    ("Way", "Route"),
    ("Noted", "a noun for what it holds"),
    ("Met", "a noun for what it holds"),
    ("Told", "a noun for what it holds"),
    ("Culprit", "KeySource"),
    ("Fate", "UserKeyState"),
    ("glance", "load"),
    ("Paper", "Document"),
    ("Territory", "ProtectedScope"),
    ("Realm", "ScopeHandle"),
    ("enrol", "register"),
    ("heed", "observe_fence"),
    ("Outlook", "RotationPlan"),
    ("Trouble", "Degraded or LastError"),
    ("Lying", "Coverage"),
    ("patience", "timeout"),
    ("PATIENCE", "…_TIMEOUT"),
    ("Workbench", "BatchContext"),
    ("Yield", "BatchOutcome"),
    ("Sight", "ValueLocation"),
    ("SealForShow", "DryRun"),
    ("stand_in", "placeholder"),
    ("is_passing", "is_transient"),
    ("harmless", "sanitize_for_terminal"),
    ("told_apart", "masked_pattern"),
    ("complain", "error"),
    ("advise", "hint"),
    ("call_doctor", "run_doctor_periodically"),
    ("look_around", "diagnose"),
    ("Standing", "ArgumentKind"),
    ("chapters", "groups"),
    ("nameless", "keyless"),
    ("NOBODY", "EMPTY"),
    ("FieldsElsewhere", "FieldsNotInRequest"),
    ("QuotesRequest", "EmbedsRequest"),
    ("Unwell", "DeviceError"),
    ("folder", "directory"),
    ("MOST_", "MAX_…"),
    ("LEAST_", "MIN_…"),
];

/// Phrases, each with what to write instead; compared in lower case, as whole words.
const PHRASES: &[(&str, &str)] = &[
    ("anew", "again"),
    ("shall", "must or will"),
    ("for ever", "permanently"),
    ("whoever", "anyone who"),
    ("somebody", "someone, or say who"),
    ("folder", "directory"),
    ("folders", "directories"),
    ("in vain", "without success"),
    ("comes about", "is created"),
    ("under no protected pattern", "matches no protected pattern"),
    ("left as it is", "skipped"),
    ("a look at", "a check of"),
];

/// What may keep the old words: history, these lists, and texts by others.
const FREE: [&str; 3] = ["CHANGELOG.md", "xtask/src/tidy/dialect.rs", "LICENSE"];

/// Every old word in one file.
pub(super) fn old_words(path: &str, text: &str) -> Vec<String> {
    if FREE.iter().any(|free| path.starts_with(free)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let is_rust = path.ends_with(".rs");
    if is_rust {
        let code = code_only(text);
        for (at, word) in words(&code) {
            let old = IDENTIFIERS
                .iter()
                .find(|(old, _)| match old.strip_suffix('_') {
                    Some(_) => word.starts_with(old),
                    None => word == *old,
                });
            if let Some((_, term)) = old {
                let line = line_of(&code, at);
                found.push(format!("{path}:{line}: `{word}` is called {term}"));
            }
        }
    }
    if is_rust || path.ends_with(".md") {
        found.extend(old_phrases(path, &text.to_lowercase()));
    }
    found
}

fn old_phrases(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (phrase, instead) in PHRASES {
        for (at, _) in text.match_indices(phrase) {
            let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
            let begins = !text[..at].ends_with(is_part);
            let ends = !text[at + phrase.len()..].starts_with(is_part);
            if begins && ends {
                let line = line_of(text, at);
                found.push(format!("{path}:{line}: write `{instead}`, not `{phrase}`"));
            }
        }
    }
    found
}

/// Every identifier and keyword with its position.
fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + code[at..].find(is_part)?;
        let rest = &code[start..];
        let word = &rest[..rest.find(|letter| !is_part(letter)).unwrap_or(rest.len())];
        at = start + word.len();
        Some((start, word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_old_identifiers_in_code_and_old_phrases_everywhere() {
        let source = "// A Realm, anew.\nfn f(realm: Realm) { let x = MOST_BYTES; }\nconst T: &str = \"for ever\";\n";
        assert_eq!(
            old_words("crates/a/src/b.rs", source),
            [
                "crates/a/src/b.rs:2: `Realm` is called ScopeHandle",
                "crates/a/src/b.rs:2: `MOST_BYTES` is called MAX_…",
                "crates/a/src/b.rs:1: write `again`, not `anew`",
                "crates/a/src/b.rs:3: write `permanently`, not `for ever`",
            ]
        );
        assert_eq!(
            old_words("docs/a.md", "Whoever renewed it\nmay shallow copy\n"),
            ["docs/a.md:1: write `anyone who`, not `whoever`"]
        );
        assert!(old_words("CHANGELOG.md", "anew").is_empty());
    }
}
