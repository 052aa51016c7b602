//! The rules for one Rust file: its length, its name, its header, and the parts of the standard
//! library that its crate may use. Sees one file at a time.
//!
//! The length of a function is the number of lines between its braces that contain code: neither
//! empty ones nor those with only a comment. Clippy's `too_many_lines` counts alike; this second
//! check also covers code that a feature disables.

use super::rust_text::{code_only, is_word_at, line_of};

const MAX_FILE_LINES: usize = 700;
const USUAL_FILE_LINES: usize = 400;
const MAX_FUNCTION_LINES: usize = 70;

/// Names that say nothing about the content.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "common", "helpers", "helper", "misc"];

/// Unfinished or forgotten code.
const LEFTOVERS: [&str; 4] = ["todo!(", "unimplemented!(", "dbg!(", "#[ignore"];

/// The crates of the lowest layer.
const LOWEST_LAYER: [&str; 4] = ["core", "policy", "resp", "topology"];

/// The lowest layer does no I/O: no files, no network, no environment, no clock.
const IO_PATHS: [&str; 5] = [
    "std::env",
    "std::fs",
    "std::net",
    "std::time::SystemTime",
    "std::time::Instant",
];

/// The crates that may read the environment, besides `xtask`.
const ENVIRONMENT_READERS: [&str; 3] = ["cli", "service", "testing"];

/// Every rule except the note about long files.
pub(super) fn broken_rules(path: &str, source: &str) -> Vec<String> {
    let code = code_only(source);
    let mut broken = Vec::new();
    broken.extend(too_long(path, source));
    broken.extend(long_functions(path, &code));
    broken.extend(missing_header(path, source));
    broken.extend(bad_name(path));
    broken.extend(leftovers(path, &code));
    broken.extend(forbidden_io(path, &code));
    broken
}

/// A note about a file that is longer than usual and not yet too long.
pub(super) fn long_file_note(path: &str, source: &str) -> Option<String> {
    let lines = source.lines().count();
    (USUAL_FILE_LINES + 1..=MAX_FILE_LINES)
        .contains(&lines)
        .then(|| format!("{path}: {lines} lines, {USUAL_FILE_LINES} are usual"))
}

fn too_long(path: &str, source: &str) -> Option<String> {
    let lines = source.lines().count();
    (lines > MAX_FILE_LINES)
        .then(|| format!("{path}: {lines} lines, the limit is {MAX_FILE_LINES}"))
}

fn long_functions(path: &str, code: &str) -> Vec<String> {
    let starts = code
        .match_indices("fn")
        .filter(|(at, _)| is_word_at(code, *at, "fn"));
    let mut broken = Vec::new();
    for (start, _) in starts {
        let Some((open, close)) = body(code, start) else {
            continue;
        };
        let inside = &code[open + 1..close];
        let lines = inside
            .lines()
            .skip(1)
            .filter(|line| !line.trim().is_empty())
            .count();
        if lines > MAX_FUNCTION_LINES {
            let line = line_of(code, start);
            broken.push(format!(
                "{path}:{line}: a function of {lines} lines, the limit is {MAX_FUNCTION_LINES}"
            ));
        }
    }
    broken
}

/// The braces of the function that starts here; `None` for a declaration or a type.
fn body(code: &str, start: usize) -> Option<(usize, usize)> {
    let mut in_brackets = 0_usize;
    let mut braces = 0_usize;
    let mut open = None;
    for (at, letter) in code[start..].char_indices() {
        match letter {
            '(' | '[' => in_brackets += 1,
            ')' | ']' => in_brackets = in_brackets.checked_sub(1)?,
            ';' if in_brackets == 0 && open.is_none() => return None,
            '{' if in_brackets == 0 || open.is_some() => {
                braces += 1;
                open.get_or_insert(start + at);
            }
            '}' if open.is_some() => {
                braces -= 1;
                if braces == 0 {
                    return open.map(|open| (open, start + at));
                }
            }
            // A pointer type such as `fn()` at the end of a field.
            ',' | '}' | '='
                if in_brackets == 0 && open.is_none() && !in_generics(code, start, at) =>
            {
                return None;
            }
            _ => {}
        }
    }
    None
}

/// True if the letter is between `<` and `>` of the signature, or in its `where` clause.
fn in_generics(code: &str, start: usize, at: usize) -> bool {
    let before = code[start..start + at].replace("->", "");
    let arrow = code[start + at..].starts_with("=>");
    !arrow
        && (before.contains(" where")
            || before.contains("\nwhere")
            || before.matches('<').count() > before.matches('>').count())
}

fn missing_header(path: &str, source: &str) -> Option<String> {
    if path == "build.rs" || path.ends_with("/build.rs") {
        return None;
    }
    (!source.starts_with("//! "))
        .then(|| format!("{path}: a module opens with `//!`: what it is for, and what it is not"))
}

fn bad_name(path: &str) -> Option<String> {
    let parts = path
        .split('/')
        .map(|part| part.strip_suffix(".rs").unwrap_or(part));
    let mut parts = parts.skip_while(|part| matches!(*part, "crates" | "xtask"));
    if path.ends_with("/mod.rs") {
        return Some(format!("{path}: `foo.rs` beside `foo/`, never `mod.rs`"));
    }
    let empty = parts.find(|part| EMPTY_NAMES.contains(part))?;
    Some(format!(
        "{path}: the name `{empty}` does not say what is inside"
    ))
}

fn leftovers(path: &str, code: &str) -> Vec<String> {
    let found = LEFTOVERS.iter().flat_map(|word| code.match_indices(word));
    found
        .map(|(at, word)| format!("{path}:{}: `{word}` is a leftover", line_of(code, at)))
        .collect()
}

fn forbidden_io(path: &str, code: &str) -> Vec<String> {
    let Some((short, tail)) = path
        .strip_prefix("crates/")
        .and_then(|inside| inside.split_once('/'))
    else {
        return Vec::new();
    };
    if !tail.starts_with("src/") || ENVIRONMENT_READERS.contains(&short) {
        return Vec::new();
    }
    let closed = if LOWEST_LAYER.contains(&short) {
        &IO_PATHS[..]
    } else {
        &["std::env"]
    };
    let mut broken = Vec::new();
    for (at, used) in paths_below("std", code) {
        let reached = closed.iter().find(|io| {
            let below = used.strip_prefix(*io);
            // A whole module includes everything below it.
            let above = io.strip_prefix(used.trim_end_matches("::*"));
            let whole = above.is_some_and(|tail| tail.is_empty() || tail.starts_with("::"));
            whole || below.is_some_and(|tail| tail.is_empty() || tail.starts_with("::"))
        });
        if let Some(io) = reached {
            let line = line_of(code, at);
            broken.push(format!("{path}:{line}: `{io}` has no place in `{short}`"));
        }
    }
    broken
}

/// Every path below `root` with its position, with `use std::{a, b::{c}}` expanded.
pub(super) fn paths_below(root: &str, code: &str) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    let start = format!("{root}::");
    for (at, _) in code
        .match_indices(&start)
        .filter(|(at, _)| is_word_at(code, *at, root))
    {
        let mut tail = &code[at + start.len()..];
        tree(root, &mut tail, &mut |path| paths.push((at, path)));
    }
    paths
}

/// Reads one path or group of paths below `prefix`, and advances `tail` past it.
fn tree(prefix: &str, tail: &mut &str, found: &mut impl FnMut(String)) {
    *tail = tail.trim_start();
    if let Some(group) = tail.strip_prefix('{') {
        *tail = group.trim_start();
        while !tail.is_empty() && !tail.starts_with('}') {
            let before = tail.len();
            tree(prefix, tail, found);
            *tail = tail.trim_start();
            *tail = tail.strip_prefix(',').unwrap_or(tail).trim_start();
            if tail.len() == before {
                // Not a tree of paths.
                return;
            }
        }
        *tail = tail.strip_prefix('}').unwrap_or(tail);
        return;
    }
    let end = tail
        .find(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == '*'))
        .unwrap_or(tail.len());
    let (segment, behind) = tail.split_at(end);
    let path = if segment == "self" {
        prefix.to_owned()
    } else {
        format!("{prefix}::{segment}")
    };
    *tail = behind;
    if let Some(below) = behind.strip_prefix("::") {
        *tail = below;
        return tree(&path, tail, found);
    }
    // `use std::env as e`
    if let Some(renamed) = behind.trim_start().strip_prefix("as ") {
        *tail =
            renamed.trim_start_matches(|letter: char| letter.is_alphanumeric() || letter == '_');
    }
    found(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        format!(
            "fn long(a: [u8; 4]) -> u8 {{\n{}}}\n",
            "    work();\n".repeat(lines)
        )
    }

    #[test]
    fn a_file_may_be_long_but_not_too_long() {
        let source = |lines| "// x\n".repeat(lines);
        assert_eq!(long_file_note("a.rs", &source(400)), None);
        assert!(long_file_note("a.rs", &source(401)).is_some());
        assert_eq!(too_long("a.rs", &source(700)), None);
        assert!(too_long("a.rs", &source(701)).is_some());
    }

    #[test]
    fn counts_the_lines_of_code_in_a_function() {
        assert!(long_functions("a.rs", &function(70)).is_empty());
        let found = long_functions("a.rs", &format!("\n{}", function(71)));
        assert_eq!(found, ["a.rs:2: a function of 71 lines, the limit is 70"]);
        let commented = function(70).replace("}\n", "\n    // why\n}\n");
        assert!(long_functions("a.rs", &code_only(&commented)).is_empty());
    }

    #[test]
    fn finds_the_body_behind_every_kind_of_signature() {
        for signature in [
            "fn f<T, const N: usize>(x: fn(u8) -> u8)",
            "pub async fn f(x: &[u8; 4]) -> Result<(u8, u8), E>",
            "fn f<T>(x: T)\nwhere\n    T: Iterator<Item = u8>, u8: Copy,\n",
            "fn f() -> impl Iterator<Item = u8>",
        ] {
            let code = function(71).replace("fn long(a: [u8; 4]) -> u8", signature);
            assert_eq!(long_functions("a.rs", &code).len(), 1, "{signature}");
        }
    }

    #[test]
    fn a_function_without_a_body_does_not_borrow_the_next_one() {
        let tail = function(71);
        for declaration in [
            "fn f(&self) -> [u8; 4];",
            "struct A { f: fn(u8), g: u8 }",
            "type A = fn();",
        ] {
            let found = long_functions("a.rs", &format!("{declaration}\n{tail}"));
            assert_eq!(found.len(), 1, "{declaration}: {found:?}");
        }
    }

    #[test]
    fn every_module_needs_a_header() {
        assert!(missing_header("src/a.rs", "use std::io;\n").is_some());
        assert!(missing_header("src/a.rs", "//! For this and that.\n").is_none());
        assert!(missing_header("crates/a/build.rs", "fn main() {}").is_none());
    }

    #[test]
    fn refuses_names_without_meaning() {
        for path in [
            "crates/core/src/utils.rs",
            "crates/cli/tests/common/x.rs",
            "a/src/b/mod.rs",
        ] {
            assert!(bad_name(path).is_some(), "{path}");
        }
        assert!(bad_name("crates/core/src/commonwealth.rs").is_none());
    }

    #[test]
    fn finds_leftovers_in_code_but_not_in_comments_and_strings() {
        let found = leftovers("a.rs", "x\ndbg!(y); todo!()\n#[ignore = \"z\"]");
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.contains(&"a.rs:2: `dbg!(` is a leftover".to_owned()));
        assert!(leftovers("a.rs", &code_only("// dbg!(y)\n\"todo!()\"")).is_empty());
    }

    #[test]
    fn the_lowest_layer_uses_no_files_network_environment_or_clock() {
        for code in [
            "use std::fs;",
            "use std::{fmt, net::{TcpStream}};",
            "let now = std::time::Instant::now();",
            "use std::time::{Duration, SystemTime};",
            "use std::time;",
            "use std::time::*;",
            "use std::env as e;",
            "use ::std::env::var;",
        ] {
            for short in LOWEST_LAYER {
                let path = format!("crates/{short}/src/a/b.rs");
                assert_eq!(forbidden_io(&path, code).len(), 1, "{path}: {code}");
            }
            assert!(
                forbidden_io("crates/core/tests/it/main.rs", code).is_empty(),
                "{code}"
            );
        }
        for code in [
            "use std::{fmt, time::Duration};",
            "use mystd::fs;",
            "std::environment()",
        ] {
            assert!(
                forbidden_io("crates/core/src/lib.rs", code).is_empty(),
                "{code}"
            );
        }
    }

    #[test]
    fn only_the_command_line_reads_the_environment() {
        let code = "use std::{env, fs};";
        assert_eq!(
            forbidden_io("crates/stores/src/redis.rs", code),
            ["crates/stores/src/redis.rs:1: `std::env` has no place in `stores`"]
        );
        assert!(forbidden_io("crates/cli/src/main.rs", code).is_empty());
        assert!(forbidden_io("xtask/src/main.rs", code).is_empty());
    }
}
