//! The tables are consistent: each row and each published text is recognised with its roles. Scripts that are not
//! known are tested in `tests/it`.

use super::*;

#[test]
fn every_wording_of_every_row_is_recognised() {
    for idiom in IDIOMS {
        for text in idiom.texts() {
            let found = KnownScript::of_text(text.as_bytes()).expect(&text).0;
            assert_eq!(found.compared, idiom.compared, "{text}");
            assert_eq!(found.stored, idiom.stored, "{text}");
            assert_eq!(found.mismatches, idiom.mismatches, "{text}");
            assert_eq!(found.takes, idiom.takes, "{text}");
        }
    }
    assert!(SHAPES.len() < 4_000, "{} texts", SHAPES.len());
}

#[test]
fn every_published_script_is_recognised_by_its_digest() {
    let mut digests = std::collections::HashSet::new();
    for published in PUBLISHED {
        let shape = published.shape;
        let normal = tokens::normalise(shape.as_bytes()).unwrap();
        assert_eq!(normal.trim_end(), shape, "in the normal form");
        let by_shape = KnownScript::of_text(shape.as_bytes());
        assert!(by_shape.is_some(), "{shape}");
        for (digest, library) in published.texts {
            assert_eq!(digest.len(), 40, "{library}");
            assert!(digests.insert(digest), "{library}: twice");
            assert_eq!(KnownScript::of_digest(digest.as_bytes()), by_shape);
            let upper = digest.to_ascii_uppercase();
            assert_eq!(KnownScript::of_digest(upper.as_bytes()), by_shape);
            assert_eq!(KnownScript::of_digest(&digest.as_bytes()[1..]), None);
        }
    }
    assert_eq!(digests.len(), DIGESTS.len());
}
