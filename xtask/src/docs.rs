//! `cargo xtask docs`: writes the documents that are generated from code and from tested files, and
//! reports outdated ones to `tidy`. Their content is defined in the crates.

use std::fs;
use std::path::Path;

use crate::Failure;
use crate::run::workspace_root;

mod applications;
/// Their document.
#[allow(unreachable_pub)]
#[path = "../../crates/service/src/environment/document.rs"]
mod document;
/// The table of environment variables. The crate that it belongs to would bring all others with it.
#[allow(unreachable_pub)]
#[path = "../../crates/service/src/environment/variables.rs"]
mod variables;

/// The path of a document, and the function that writes it.
type Document = (&'static str, fn() -> String);

const DOCUMENTS: [Document; 3] = [
    (
        "docs/reference/command-policy.md",
        waxseal_policy::document::markdown,
    ),
    (
        "docs/reference/metrics.md",
        waxseal_metrics::document::markdown,
    ),
    ("docs/reference/environment.md", document::markdown),
];

/// Runs the chore.
pub(crate) fn write(arguments: &[String]) -> Result<(), Failure> {
    if let Some(unknown) = arguments.first() {
        return Err(Failure::Usage(format!("`docs` does not know `{unknown}`")));
    }
    let root = workspace_root();
    let documents = documents(root)?;
    for (path, text) in &documents {
        let path_from_here = root.join(path);
        let directory = path_from_here.parent().unwrap_or(root);
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(&path_from_here, text))
            .map_err(|error| format!("{path} cannot be written: {error}"))?;
        println!("docs: wrote {path}");
    }
    for path in applications::orphans(root, &documents) {
        fs::remove_file(root.join(&path))
            .map_err(|error| format!("{path} cannot be removed: {error}"))?;
        println!("docs: removed {path}");
    }
    Ok(())
}

/// Findings for documents that are missing, outdated, or without a source.
pub(crate) fn stale(root: &Path) -> Vec<String> {
    let documents = match documents(root) {
        Ok(documents) => documents,
        Err(problem) => return vec![problem],
    };
    let differs = |(path, text): &&(String, String)| {
        let written = fs::read_to_string(root.join(path));
        written.map_or(true, |written| written != *text)
    };
    let stale = documents
        .iter()
        .filter(differs)
        .map(|(path, _)| format!("{path}:1: is not what the code says: run `cargo xtask docs`"));
    let orphans = applications::orphans(root, &documents).into_iter();
    let orphans =
        orphans.map(|path| format!("{path}:1: is written from nothing: run `cargo xtask docs`"));
    stale.chain(orphans).collect()
}

/// Every generated document, with its path from the root.
fn documents(root: &Path) -> Result<Vec<(String, String)>, String> {
    let from_code = DOCUMENTS
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text()));
    Ok(from_code.chain(applications::documents(root)?).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_a_document_that_is_missing_or_outdated() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(stale(root.path()).len(), DOCUMENTS.len());
        for (path, text) in DOCUMENTS {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text()).unwrap();
        }
        assert!(stale(root.path()).is_empty());
        for (path, text) in DOCUMENTS {
            let path = root.path().join(path);
            fs::write(&path, text() + "one line more\n").unwrap();
            assert_eq!(stale(root.path()).len(), 1);
            fs::write(&path, text()).unwrap();
        }
    }
}
