//! The rules for one Rust file: how long, how named, how it begins, and which parts of the standard
//! library its crate may touch. Sees one file at a time.
//!
//! The length of a function is the number of lines between its braces that hold code: neither empty
//! ones nor those with nothing but a comment. Clippy's `too_many_lines` counts alike; this second
//! wall also covers code that a feature switches off.

use super::rust_text::{code_only, is_word_at, line_of};

const MOST_LINES_OF_A_FILE: usize = 700;
const USUAL_LINES_OF_A_FILE: usize = 400;
const MOST_LINES_OF_A_FUNCTION: usize = 70;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "common", "helpers", "helper", "misc"];

/// Unfinished or forgotten code.
const LEFTOVERS: [&str; 4] = ["todo!(", "unimplemented!(", "dbg!(", "#[ignore"];

/// The crates of the ground floor.
const GROUND_FLOOR: [&str; 3] = ["core", "policy", "resp"];

/// The ground floor has no door: no files, no network, no environment, no clock.
const NOT_ON_THE_GROUND_FLOOR: [&str; 5] = [
    "std::env",
    "std::fs",
    "std::net",
    "std::time::SystemTime",
    "std::time::Instant",
];

/// Who may read the environment, besides `xtask`.
const READS_ENVIRONMENT: [&str; 3] = ["cli", "service", "testing"];

/// Every rule but the note about long files.
pub(super) fn broken_rules(path: &str, source: &str) -> Vec<String> {
    let code = code_only(source);
    let mut broken = Vec::new();
    broken.extend(too_long(path, source));
    broken.extend(long_functions(path, &code));
    broken.extend(no_opening_words(path, source));
    broken.extend(bad_name(path));
    broken.extend(leftovers(path, &code));
    broken.extend(closed_doors(path, &code));
    broken
}

/// A file that is longer than usual and not yet too long.
pub(super) fn long_file_note(path: &str, source: &str) -> Option<String> {
    let lines = source.lines().count();
    (USUAL_LINES_OF_A_FILE + 1..=MOST_LINES_OF_A_FILE)
        .contains(&lines)
        .then(|| format!("{path}: {lines} lines, {USUAL_LINES_OF_A_FILE} are usual"))
}

fn too_long(path: &str, source: &str) -> Option<String> {
    let lines = source.lines().count();
    (lines > MOST_LINES_OF_A_FILE)
        .then(|| format!("{path}: {lines} lines, {MOST_LINES_OF_A_FILE} are the most"))
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
        if lines > MOST_LINES_OF_A_FUNCTION {
            let line = line_of(code, start);
            broken.push(format!(
                "{path}:{line}: a function of {lines} lines, {MOST_LINES_OF_A_FUNCTION} are the most"
            ));
        }
    }
    broken
}

/// Where the braces of the function lie that starts here; nothing for a declaration or a type.
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

/// Whether the letter stands between `<` and `>` of the signature, or in its `where` clause.
fn in_generics(code: &str, start: usize, at: usize) -> bool {
    let before = code[start..start + at].replace("->", "");
    let arrow = code[start + at..].starts_with("=>");
    !arrow
        && (before.contains(" where")
            || before.contains("\nwhere")
            || before.matches('<').count() > before.matches('>').count())
}

fn no_opening_words(path: &str, source: &str) -> Option<String> {
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
        .map(|(at, word)| format!("{path}:{}: `{word}` was left behind", line_of(code, at)))
        .collect()
}

fn closed_doors(path: &str, code: &str) -> Vec<String> {
    let Some((short, rest)) = path
        .strip_prefix("crates/")
        .and_then(|inside| inside.split_once('/'))
    else {
        return Vec::new();
    };
    if !rest.starts_with("src/") || READS_ENVIRONMENT.contains(&short) {
        return Vec::new();
    }
    let closed = if GROUND_FLOOR.contains(&short) {
        &NOT_ON_THE_GROUND_FLOOR[..]
    } else {
        &["std::env"]
    };
    let mut broken = Vec::new();
    for (at, used) in paths_below("std", code) {
        let reached = closed.iter().find(|door| {
            let below = used.strip_prefix(*door);
            // A whole module brings in everything below it.
            let above = door.strip_prefix(used.trim_end_matches("::*"));
            let whole = above.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
            whole || below.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        });
        if let Some(door) = reached {
            let line = line_of(code, at);
            broken.push(format!("{path}:{line}: `{door}` has no place in `{short}`"));
        }
    }
    broken
}

/// Every path below `root` with its position, `use std::{a, b::{c}}` taken apart.
pub(super) fn paths_below(root: &str, code: &str) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    let start = format!("{root}::");
    for (at, _) in code
        .match_indices(&start)
        .filter(|(at, _)| is_word_at(code, *at, root))
    {
        let mut rest = &code[at + start.len()..];
        tree(root, &mut rest, &mut |path| paths.push((at, path)));
    }
    paths
}

/// Reads one path or group of paths below `prefix`, and leaves `rest` behind it.
fn tree(prefix: &str, rest: &mut &str, found: &mut impl FnMut(String)) {
    *rest = rest.trim_start();
    if let Some(group) = rest.strip_prefix('{') {
        *rest = group.trim_start();
        while !rest.is_empty() && !rest.starts_with('}') {
            let before = rest.len();
            tree(prefix, rest, found);
            *rest = rest.trim_start();
            *rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
            if rest.len() == before {
                // Not a tree of paths after all.
                return;
            }
        }
        *rest = rest.strip_prefix('}').unwrap_or(rest);
        return;
    }
    let end = rest
        .find(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == '*'))
        .unwrap_or(rest.len());
    let (segment, behind) = rest.split_at(end);
    let path = if segment == "self" {
        prefix.to_owned()
    } else {
        format!("{prefix}::{segment}")
    };
    *rest = behind;
    if let Some(below) = behind.strip_prefix("::") {
        *rest = below;
        return tree(&path, rest, found);
    }
    // `use std::env as e`
    if let Some(renamed) = behind.trim_start().strip_prefix("as ") {
        *rest =
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
        assert_eq!(found, ["a.rs:2: a function of 71 lines, 70 are the most"]);
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
        let rest = function(71);
        for declaration in [
            "fn f(&self) -> [u8; 4];",
            "struct A { f: fn(u8), g: u8 }",
            "type A = fn();",
        ] {
            let found = long_functions("a.rs", &format!("{declaration}\n{rest}"));
            assert_eq!(found.len(), 1, "{declaration}: {found:?}");
        }
    }

    #[test]
    fn every_module_opens_with_what_it_is_for() {
        assert!(no_opening_words("src/a.rs", "use std::io;\n").is_some());
        assert!(no_opening_words("src/a.rs", "//! For this and that.\n").is_none());
        assert!(no_opening_words("crates/a/build.rs", "fn main() {}").is_none());
    }

    #[test]
    fn refuses_names_that_say_nothing() {
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
    fn finds_what_was_left_behind_in_code_but_not_in_words() {
        let found = leftovers("a.rs", "x\ndbg!(y); todo!()\n#[ignore = \"z\"]");
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.contains(&"a.rs:2: `dbg!(` was left behind".to_owned()));
        assert!(leftovers("a.rs", &code_only("// dbg!(y)\n\"todo!()\"")).is_empty());
    }

    #[test]
    fn the_ground_floor_reaches_no_file_no_network_no_environment_and_no_clock() {
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
            for short in GROUND_FLOOR {
                let path = format!("crates/{short}/src/a/b.rs");
                assert_eq!(closed_doors(&path, code).len(), 1, "{path}: {code}");
            }
            assert!(
                closed_doors("crates/core/tests/it/main.rs", code).is_empty(),
                "{code}"
            );
        }
        for code in [
            "use std::{fmt, time::Duration};",
            "use mystd::fs;",
            "std::environment()",
        ] {
            assert!(
                closed_doors("crates/core/src/lib.rs", code).is_empty(),
                "{code}"
            );
        }
    }

    #[test]
    fn only_the_command_line_reads_the_environment() {
        let code = "use std::{env, fs};";
        assert_eq!(
            closed_doors("crates/stores/src/redis.rs", code),
            ["crates/stores/src/redis.rs:1: `std::env` has no place in `stores`"]
        );
        assert!(closed_doors("crates/cli/src/main.rs", code).is_empty());
        assert!(closed_doors("xtask/src/main.rs", code).is_empty());
    }
}
