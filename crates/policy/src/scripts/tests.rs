//! The tables hold together: each row is known as what it says, and so is each published text. What is no known script
//! is tested from outside.

use super::*;

#[test]
fn every_text_of_every_row_is_known_as_what_its_row_says() {
    for idiom in IDIOMS {
        for text in idiom.texts() {
            let found = KnownScript::of_text(text.as_bytes()).expect(&text).0;
            assert_eq!(found.compared, idiom.compared, "{text}");
            assert_eq!(found.stored, idiom.stored, "{text}");
            assert_eq!(found.mismatches, idiom.mismatches, "{text}");
        }
    }
    assert!(SHAPES.len() < 4_000, "{} texts", SHAPES.len());
}

#[test]
fn every_published_script_is_known_by_its_digest_and_its_text() {
    for published in PUBLISHED {
        let by_text = KnownScript::of_text(published.text.as_bytes());
        let Published {
            library, digest, ..
        } = published;
        assert!(by_text.is_some(), "{library}: {}", published.text);
        assert_eq!(digest.len(), 40, "{library}");
        assert_eq!(KnownScript::of_digest(digest.as_bytes()), by_text);
        let upper = digest.to_ascii_uppercase();
        assert_eq!(KnownScript::of_digest(upper.as_bytes()), by_text);
        assert_eq!(KnownScript::of_digest(&digest.as_bytes()[1..]), None);
    }
}
