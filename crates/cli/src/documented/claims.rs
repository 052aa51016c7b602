//! Claims about missing features, which grow old without anyone noticing. Each is listed here, with what
//! would make it untrue.

use super::documents;

/// Features that are said to be missing, by words of the line.
const MISSING: [&str; 3] = [
    // The heading of a list in the README.
    "## Not in this version",
    // A store for them: URLs with these schemes are refused (crates/stores/src/url.rs).
    "Redis Cluster and Sentinel",
    // Words that are only checked for their spelling.
    "protect.refused",
];
/// Phrases that say that something is missing, or available elsewhere.
const CLAIMS: [&str; 4] = [
    "not in this version",
    "no command of this version",
    "released binar",
    "not yet supported",
];

#[test]
fn what_is_said_to_be_missing_is_known_to_be_missing() {
    let mut unknown = Vec::new();
    for document in documents() {
        let lines: Vec<_> = document.text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            // A sentence may continue in the next line.
            let next = lines.get(index + 1).copied().unwrap_or_default();
            let both = format!("{line} {next}").to_lowercase();
            let begins_here = |claim: &&&str| {
                let at = both.find(**claim);
                at.is_some_and(|at| at < line.len())
            };
            let is_known = MISSING.iter().any(|it| both.contains(&it.to_lowercase()));
            if CLAIMS.iter().find(begins_here).is_some() && !is_known {
                unknown.push(format!("{}:{}: {line}", document.path, index + 1));
            }
        }
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}
