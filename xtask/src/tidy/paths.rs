//! Paths that documents name in backticks: where a document says in which file a thing is, the file exists.

/// The documents that point to files; others quote paths of machines and of examples.
const DOCUMENTS: [&str; 3] = ["ARCHITECTURE.md", "CONTRIBUTING.md", "GLOSSARY.md"];

/// The directories that such a path begins with.
const ROOTS: [&str; 5] = ["crates/", "docs/", "deploy/", "fuzz/", "xtask/"];

/// Every path in backticks that leads nowhere. `X` and `NAME` stand for a name that the reader chooses.
pub(super) fn missing(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    if !DOCUMENTS.contains(&path) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for named in line.split('`').skip(1).step_by(2) {
            let is_path = ROOTS.iter().any(|root| named.starts_with(root));
            let is_template = named
                .split(['/', '.', '-'])
                .any(|part| matches!(part, "X" | "NAME" | "…"));
            if is_path && !is_template && !exists(named.trim_end_matches('/')) {
                found.push(format!("{path}:{}: there is no `{named}`", number + 1));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_paths_that_lead_nowhere() {
        let text =
            "`crates/a/src/lib.rs`, `crates/b.rs`, `crates/X/tests/it`, `a.rs`\n`xtask/gone/`\n";
        let exists = |path: &str| path == "crates/a/src/lib.rs";
        assert_eq!(
            missing("ARCHITECTURE.md", text, exists),
            [
                "ARCHITECTURE.md:1: there is no `crates/b.rs`",
                "ARCHITECTURE.md:2: there is no `xtask/gone/`",
            ]
        );
        assert!(missing("docs/a.md", text, exists).is_empty());
    }
}
