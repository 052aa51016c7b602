//! `waxseal.toml` as the documents show it.

use waxseal_service::configuration::file::{ConfigurationFile, words};

use super::{blocks, documents};

#[test]
fn every_configuration_that_a_document_shows_loads() {
    let mut refused = Vec::new();
    let mut seen = 0;
    for document in documents() {
        for block in blocks(&document.text, &["toml"]) {
            // Cargo's own files are shown as well.
            if block.contains("[dependencies]") {
                continue;
            }
            seen += 1;
            refused.extend(
                ConfigurationFile::parse(&block)
                    .err()
                    .map(|why| format!("{}: {why}\n{block}", document.path)),
            );
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(seen > 5, "only {seen} were found");
}

#[test]
fn every_word_of_the_configuration_is_explained() {
    let operations =
        std::fs::read_to_string(super::root().join("docs/operate/operations.md")).unwrap();
    let rows: String = operations
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    for word in words() {
        assert!(rows.contains(&format!("`{word}`")), "{word} is in no table");
    }
}
