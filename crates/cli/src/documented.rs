//! Keeps help, documents and behaviour consistent: each command line that is written
//! anywhere parses, each flag exists, each default that help names is the one that is used, each variable is
//! read, each configuration loads, and each error that the documents explain is one that can be printed.

mod claims;
mod commands;
mod configuration;
mod defaults;
mod errors;
mod variables;

use std::fs;
use std::path::{Path, PathBuf};

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file, by its path in the repository.
struct Text {
    path: String,
    text: String,
}

/// All files with one of these extensions under these directories, or these files.
fn texts(places: &[&str], extensions: &[&str]) -> Vec<Text> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = places.iter().map(|place| root().join(place)).collect();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            open.extend(entries.map(|entry| entry.unwrap().path()));
        } else if path
            .extension()
            .is_some_and(|it| extensions.iter().any(|known| it == *known))
        {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root()).unwrap().display().to_string();
            found.push(Text { path, text });
        }
    }
    assert!(!found.is_empty(), "{places:?} hold nothing");
    found
}

/// The documents for users. The changelog reports the past, decisions of their day.
fn documents() -> Vec<Text> {
    let all = texts(&["README.md", "SECURITY.md", "docs"], &["md"]);
    let is_of_today = |it: &Text| !it.path.starts_with("docs/decisions");
    all.into_iter().filter(is_of_today).collect()
}

/// The sources of the program, each string that spans lines joined into one.
fn sources() -> Vec<Text> {
    let crates = fs::read_dir(root().join("crates")).unwrap();
    let crates = crates.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let places: Vec<_> = crates
        .filter(|name| name != "testing")
        .map(|name| format!("crates/{name}/src"))
        .collect();
    let places: Vec<_> = places.iter().map(String::as_str).collect();
    let mut all = texts(&places, &["rs"]);
    all.retain(|it| !it.path.starts_with("crates/cli/src/documented"));
    for source in &mut all {
        source.text = joined(&source.text);
    }
    all
}

/// A source whose texts do not continue in the next line.
fn joined(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut is_continued = false;
    for line in source.lines() {
        let line = if is_continued {
            line.trim_start()
        } else {
            line
        };
        is_continued = line.ends_with('\\');
        text.push_str(line.strip_suffix('\\').unwrap_or(line));
        if !is_continued {
            text.push('\n');
        }
    }
    text
}

/// The lines of a document in blocks of these kinds, each block as one text.
fn blocks(document: &str, kinds: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<String> = None;
    for line in document.lines() {
        let bare = line.trim_start();
        match (&mut open, bare.strip_prefix("```")) {
            (None, Some(kind)) if kinds.contains(&kind) => open = Some(String::new()),
            // Of another kind: up to its end.
            (None, Some(_)) => open = Some("\u{0}".to_owned()),
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => {
                block.push_str(bare);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    found.retain(|block| !block.starts_with('\u{0}'));
    found
}

/// The text between single backticks, outside of blocks.
fn spans(document: &str) -> Vec<String> {
    let mut prose = String::new();
    let mut in_block = false;
    for line in document.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            // A span may continue in the next line, and not in the next paragraph.
            prose.push_str(if line.trim().is_empty() {
                "\u{0}"
            } else {
                line.trim()
            });
            prose.push(' ');
        }
    }
    let paragraphs = prose.split('\u{0}');
    paragraphs
        .flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}
