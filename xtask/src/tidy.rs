//! `cargo xtask tidy`: the house rules that neither the compiler nor clippy enforces. Each rule is
//! a function from text to findings, so that each is tested on small samples; this module only
//! collects the files and passes them to the rules. The test at its end makes `cargo test` run all
//! of it.

mod circles;
mod dialect;
mod imports;
mod links;
mod manifest;
mod paths;
mod rust_text;
mod sources;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;
use crate::docs;
use crate::run::{command, output, workspace_root};

/// The findings in the whole repository.
#[derive(Debug, Default)]
struct Findings {
    /// Broken rules, each as `path:line: what is wrong`.
    errors: Vec<String>,
    /// Notes that are not errors.
    notes: Vec<String>,
}

/// Runs the chore.
pub(crate) fn report(arguments: &[String]) -> Result<(), Failure> {
    if let Some(unknown) = arguments.first() {
        return Err(Failure::Usage(format!("`tidy` does not know `{unknown}`")));
    }
    let findings = check(workspace_root())?;
    for note in &findings.notes {
        println!("note: {note}");
    }
    for error in &findings.errors {
        println!("error: {error}");
    }
    match findings.errors.len() {
        0 => {
            println!("tidy: no findings");
            Ok(())
        }
        count => Err(Failure::Chore(format!("tidy found {count} violations"))),
    }
}

fn check(root: &Path) -> Result<Findings, String> {
    let mut findings = Findings::default();
    let root_manifest = fs::read_to_string(root.join("Cargo.toml"))
        .map_err(|error| format!("the root's Cargo.toml cannot be read: {error}"))?;
    let mut modules = circles::ModuleGraph::default();
    for path in files(root) {
        let Ok(bytes) = fs::read(root.join(&path)) else {
            continue;
        };
        // Binary files have no words and no lines.
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        let errors = &mut findings.errors;
        let extension = path.extension().unwrap_or_default();
        let name = path.to_string_lossy().replace('\\', "/");
        if name != "Cargo.lock" {
            errors.extend(words::forbidden(&name, &text));
            errors.extend(dialect::old_words(&name, &text));
        }
        if extension == "rs" {
            errors.extend(sources::broken_rules(&name, &text));
            modules.add(&name, &text);
            findings.notes.extend(sources::long_file_note(&name, &text));
        }
        if extension == "md" {
            let exists = |target: &str| root.join(target).exists();
            errors.extend(links::broken(&name, &text, exists));
            errors.extend(paths::missing(&name, &text, exists));
        }
        if let Some(short) = imports::crate_of_manifest(&name) {
            errors.extend(imports::forbidden_imports(short, &text, &root_manifest));
        }
    }
    findings
        .errors
        .extend(manifest::without_reason(&root_manifest));
    findings.errors.extend(modules.circles());
    findings.errors.extend(docs::stale(root));
    Ok(findings)
}

/// Every file that belongs to the repository, committed or not yet, relative to the root.
fn files(root: &Path) -> Vec<PathBuf> {
    let git = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let mut git = command("git", &git);
    git.current_dir(root);
    let mut files: Vec<PathBuf> = match output(git) {
        Some(listing) => listing.split_terminator('\0').map(PathBuf::from).collect(),
        // An unpacked archive has no Git directory.
        None => walk(root, Path::new("")),
    };
    files.sort();
    files.dedup();
    files
}

fn walk(root: &Path, below: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root.join(below)) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = below.join(entry.file_name());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if path != Path::new("target") && path != Path::new(".git") {
                found.extend(walk(root, &path));
            }
        } else {
            found.push(path);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let findings = check(workspace_root()).unwrap();
        assert!(
            findings.errors.is_empty(),
            "\n{}",
            findings.errors.join("\n")
        );
    }

    #[test]
    fn finds_every_kind_of_violation_in_a_directory_without_git() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("Cargo.toml", "[workspace.dependencies]\nredis = \"1\"\n");
        write("README.md", "[gone](docs/gone.md)\n");
        write(
            "crates/core/Cargo.toml",
            "[dependencies]\nredis.workspace = true\n",
        );
        write("crates/core/src/lib.rs", "use std::fs;\n");
        write("target/debug/utils.rs", "dbg!(1)");
        write("docs/image.png", "\u{0}");

        let errors = check(root.path()).unwrap().errors.join("\n");
        for part in [
            "docs/gone.md",
            "`redis`",
            "`std::fs`",
            "`//!`",
            "reason",
            "xtask docs",
        ] {
            assert!(errors.contains(part), "{part} is not in\n{errors}");
        }
        assert!(!errors.contains("target"), "{errors}");
    }
}
