//! Environment variables: the table of `waxseal-service` has every variable that is read, and no other; and
//! what documents explain is in the table.

use std::collections::BTreeSet;

use waxseal_service::environment::variables::{Topic, VARIABLES};

use super::{documents, sources};

/// Set by cargo while it compiles.
const NO_VARIABLES: [&str; 3] = [
    "CARGO_MANIFEST_DIR",
    "CARGO_PKG_REPOSITORY",
    "CARGO_PKG_VERSION",
];
/// The source of the table.
const TABLE: &str = "crates/service/src/environment/variables";

/// The first word of each variable of the program, such as `VAULT_`.
fn prefixes() -> BTreeSet<&'static str> {
    let names = VARIABLES.iter().map(|it| it.name);
    let own = names.filter_map(|name| name.split_inclusive('_').next());
    own.filter(|prefix| prefix.ends_with('_')).collect()
}

/// Whole words in capitals that look like a variable.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    let prefixes = prefixes();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(move |word| {
        let has_end = word.bytes().any(|b| b == b'_') && !word.ends_with('_');
        let is_capital = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        has_end
            && word.bytes().all(is_capital)
            && prefixes.iter().any(|it| word.starts_with(it))
            && !NO_VARIABLES.contains(word)
    })
}

/// Variables that are a whole string of a source, outside of the table and of tests.
fn read() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in sources() {
        if source.path.starts_with(TABLE) {
            continue;
        }
        let code = source.text.split("#[cfg(test)]").next().unwrap_or_default();
        let texts = code.split('"');
        found.extend(
            texts
                .filter(|text| variables(text).any(|it| it == *text))
                .map(str::to_owned),
        );
    }
    found
}

fn explained() -> BTreeSet<String> {
    let documents = documents();
    let all = documents.iter().flat_map(|it| variables(&it.text));
    all.map(str::to_owned).collect()
}

fn is_in_table(name: &str) -> bool {
    // Any secret may be in a file.
    let bare = name.strip_suffix("_FILE").unwrap_or(name);
    VARIABLES
        .iter()
        .any(|it| it.name == name || it.name == bare)
}

#[test]
fn every_variable_that_is_read_is_in_the_table() {
    let missing: Vec<_> = read().into_iter().filter(|it| !is_in_table(it)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(read().len() > 20, "{:?}", read());
}

#[test]
fn every_variable_of_the_table_is_read() {
    // Those of the first topics are constants of the table itself.
    let constants = |topic| matches!(topic, Topic::Everything | Topic::Machine);
    let of_others = |topic| matches!(topic, Topic::Aws | Topic::Library | Topic::Development);
    let read = read();
    let unread = VARIABLES
        .iter()
        .filter(|it| !constants(it.topic) && !of_others(it.topic) && !read.contains(it.name));
    let unread: Vec<_> = unread.map(|it| it.name).collect();
    assert!(unread.is_empty(), "{unread:?}");
}

#[test]
fn the_process_environment_is_read_in_one_module() {
    let allowed = ["crates/service/src/environment.rs"];
    for source in sources() {
        let code = source.text.split("#[cfg(test)]").next().unwrap_or_default();
        let code = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let reads = code.filter(|line| line.contains("env::var"));
        let reads: Vec<_> = reads.collect();
        assert!(
            reads.is_empty() || allowed.contains(&source.path.as_str()),
            "{}: {reads:?}",
            source.path
        );
    }
}

#[test]
fn every_variable_that_is_explained_is_in_the_table() {
    let unknown: Vec<_> = explained()
        .into_iter()
        .filter(|it| !is_in_table(it))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn every_variable_is_in_the_table_once() {
    let mut seen = BTreeSet::new();
    let twice: Vec<_> = VARIABLES
        .iter()
        .filter(|it| !seen.insert(it.name))
        .map(|it| it.name)
        .collect();
    assert!(twice.is_empty(), "{twice:?}");
}
