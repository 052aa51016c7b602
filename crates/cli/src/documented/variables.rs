//! Environment variables: what is read is explained, and what is explained is read.

use std::collections::BTreeSet;

use super::{documents, sources};

/// Prefixes of our variables, and of those of others that we read.
const BEGINNINGS: [&str; 12] = [
    "REDIS_",
    "ENABLE_REDIS",
    "WAXSEAL_",
    "VAULT_",
    "BAO_",
    "PKCS11_",
    "OTEL_",
    "XDG_",
    "STATE_DIRECTORY",
    "CREDENTIALS_DIRECTORY",
    "KUBERNETES_",
    "AWS_",
];
/// Read by the SDK that speaks to AWS.
const OF_OTHERS: [&str; 5] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_ENDPOINT_URL_KMS",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_USE_FIPS_ENDPOINT",
];

/// Whole words in capitals that look like one of these variables.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| {
        let has_end = word.bytes().any(|b| b == b'_') && !word.ends_with('_');
        let is_capital = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        has_end && word.bytes().all(is_capital) && BEGINNINGS.iter().any(|it| word.starts_with(it))
    })
}

/// Those that stand as a whole text in the sources.
fn read() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in sources() {
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

#[test]
fn every_variable_that_is_read_is_explained() {
    let explained = explained();
    let missing: Vec<_> = read()
        .into_iter()
        .filter(|it| !explained.contains(it))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(read().len() > 20, "{:?}", read());
}

#[test]
fn every_variable_that_is_explained_is_read() {
    let read = read();
    let is_known = |name: &String| {
        // Any secret may be in a file.
        let bare = name.strip_suffix("_FILE").unwrap_or(name);
        read.contains(name) || read.contains(bare) || OF_OTHERS.contains(&name.as_str())
    };
    let unknown: Vec<_> = explained().into_iter().filter(|it| !is_known(it)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
