//! Circles between the top-level modules of a crate: modules that reach each other, directly or through others, can neither be
//! read nor moved one at a time. Reads paths below `crate` and `super`; code behind `#[cfg(test)]` at the end of a file is free.

use std::collections::{BTreeMap, BTreeSet};

use super::rust_text::{code_only, line_of};
use super::sources::paths_below;

/// The crates without circles.
const CRATES: [&str; 4] = ["audit-log", "cli", "keys", "service"];

/// The uses of modules by each other, of every crate that is checked.
#[derive(Debug, Default)]
pub(super) struct ModuleGraph {
    /// By crate and module: the modules that it uses, each with the first place of a use.
    uses: BTreeMap<(String, String), BTreeMap<String, String>>,
}

impl ModuleGraph {
    /// Adds a source file, if it belongs to a module of a crate that is checked.
    pub(super) fn add(&mut self, path: &str, source: &str) {
        let Some((short, inside)) = path
            .strip_prefix("crates/")
            .and_then(|below| below.split_once("/src/"))
        else {
            return;
        };
        if CRATES.contains(&short) {
            self.add_module(short, path, inside, source);
        }
    }

    fn add_module(&mut self, short: &str, path: &str, inside: &str, source: &str) {
        let modules: Vec<&str> = inside.trim_end_matches(".rs").split('/').collect();
        let Some(module) = modules
            .first()
            .filter(|name| !matches!(**name, "main" | "lib"))
        else {
            return;
        };
        let code = code_only(source);
        let code = code.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let mut used = paths_below("crate", code);
        // `super` of a top-level module is the crate, `super::super` that of a module one level below, and so on.
        let up = vec!["super"; modules.len()].join("::");
        used.extend(
            paths_below("super", code)
                .into_iter()
                .filter_map(|(at, path)| {
                    let rest = path.strip_prefix(&up)?.strip_prefix("::")?;
                    Some((at, format!("crate::{rest}")))
                }),
        );
        let edges = self
            .uses
            .entry((short.to_owned(), (*module).to_owned()))
            .or_default();
        for (at, used) in used {
            let name = used.split("::").nth(1).unwrap_or_default();
            if name != *module {
                edges
                    .entry(name.to_owned())
                    .or_insert_with(|| format!("{path}:{}", line_of(code, at)));
            }
        }
    }

    /// One finding for each two modules that reach each other, the shortest way there and back in it.
    pub(super) fn circles(&self) -> Vec<String> {
        let mut found = BTreeSet::new();
        for (short, module) in self.uses.keys() {
            if let Some(circle) = self.way_back(short, module) {
                found.insert((short.clone(), normalized(circle)));
            }
        }
        let findings = found.into_iter().map(|(short, circle)| {
            let steps = circle.iter().zip(circle.iter().cycle().skip(1));
            let places: Vec<String> = steps
                .map(|(from, to)| {
                    let place = &self.uses[&(short.clone(), from.clone())][to];
                    format!("{from} uses {to} ({place})")
                })
                .collect();
            format!(
                "crates/{short}: modules form a circle: {}",
                places.join(", ")
            )
        });
        findings.collect()
    }

    /// The modules on the shortest way from a module back to it.
    fn way_back(&self, short: &str, module: &str) -> Option<Vec<String>> {
        let next = |name: &str| self.uses.get(&(short.to_owned(), name.to_owned()));
        let mut ways = vec![vec![module.to_owned()]];
        let mut reached = BTreeSet::new();
        while !ways.is_empty() {
            let mut longer = Vec::new();
            for way in ways {
                for name in next(way.last()?).into_iter().flat_map(BTreeMap::keys) {
                    if name == module {
                        return Some(way);
                    }
                    if next(name).is_some() && reached.insert(name.clone()) {
                        longer.push([way.as_slice(), std::slice::from_ref(name)].concat());
                    }
                }
            }
            ways = longer;
        }
        None
    }
}

/// The same circle, begun at its first name by the alphabet.
fn normalized(mut circle: Vec<String>) -> Vec<String> {
    let first = (0..circle.len()).min_by_key(|at| &circle[*at]).unwrap_or(0);
    circle.rotate_left(first);
    circle
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(files: &[(&str, &str)]) -> Vec<String> {
        let mut graph = ModuleGraph::default();
        for (path, source) in files {
            graph.add(path, source);
        }
        graph.circles()
    }

    #[test]
    fn a_circle_is_named_once_with_every_use_in_it() {
        let found = graph(&[
            ("crates/service/src/a.rs", "use crate::b::B;\n"),
            (
                "crates/service/src/b/deep.rs",
                "\nuse crate::{d, c::{self, C}};\n",
            ),
            ("crates/service/src/b.rs", "mod deep;\n"),
            ("crates/service/src/c.rs", "fn f() { super::a::f() }\n"),
            ("crates/service/src/d.rs", ""),
        ]);
        assert_eq!(
            found,
            [
                "crates/service: modules form a circle: a uses b (crates/service/src/a.rs:1), \
              b uses c (crates/service/src/b/deep.rs:2), c uses a (crates/service/src/c.rs:1)"
            ]
        );
    }

    #[test]
    fn a_tree_of_modules_has_none() {
        let files = [
            (
                "crates/service/src/lib.rs",
                "mod a; mod b; use crate::a::A;",
            ),
            ("crates/service/src/a.rs", "use crate::b; // crate::a\n"),
            // Its own parent, words in text, and tests are free.
            (
                "crates/service/src/b/c.rs",
                "use super::D; const T: &str = \"crate::a\";\n#[cfg(test)]\nmod tests { use crate::a; }",
            ),
            ("crates/service/src/b.rs", "mod c; struct D;"),
            // Not one of the crates that are checked.
            ("crates/core/src/a.rs", "use crate::b;"),
            ("crates/core/src/b.rs", "use crate::a;"),
        ];
        assert_eq!(graph(&files), Vec::<String>::new());
    }
}
