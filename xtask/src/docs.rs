//! `cargo xtask docs`: writes the documents that are made from code, and tells `tidy` which of them
//! are not what the code would write. What stands in them is the business of the crates.

use std::fs;
use std::path::Path;

use crate::Failure;
use crate::run::workspace_root;

/// Where a document lies, and who writes it.
type Document = (&'static str, fn() -> String);

const DOCUMENTS: [Document; 2] = [
    ("docs/command-policy.md", waxseal_policy::document::markdown),
    ("docs/metrics.md", waxseal_metrics::document::markdown),
];

/// The chore itself.
pub(crate) fn write(arguments: &[String]) -> Result<(), Failure> {
    if let Some(unknown) = arguments.first() {
        return Err(Failure::Usage(format!("`docs` does not know `{unknown}`")));
    }
    for (path, text) in DOCUMENTS {
        fs::write(workspace_root().join(path), text())
            .map_err(|error| format!("{path} cannot be written: {error}"))?;
        println!("docs: wrote {path}");
    }
    Ok(())
}

/// The documents that are missing, or not what the code would write.
pub(crate) fn stale(root: &Path) -> Vec<String> {
    let stale = DOCUMENTS.into_iter().filter(|(path, text)| {
        let written = fs::read_to_string(root.join(path));
        written.map_or(true, |written| written != text())
    });
    stale
        .map(|(path, _)| format!("{path}:1: is not what the code says: run `cargo xtask docs`"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_document_that_is_missing_or_not_fresh() {
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
