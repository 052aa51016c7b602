//! The configuration of a proxy for one framework, as the checks need it: which names it protects and
//! which of these it excepts. Reads it with a matcher of its own, not with Waxseal's.

use std::collections::BTreeSet;

use toml::{Table, Value};
use waxseal_testing::Application;

use super::remedies::Remedy;

/// A configuration.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    text: String,
    protected: Vec<Protected>,
    /// Globs of channels in which messages are sealed.
    channels: Vec<String>,
}

/// One `[[protect]]`.
#[derive(Debug, Clone)]
struct Protected {
    records: String,
    excepts: Vec<String>,
    /// The text before its first wildcard, if its names are sealed.
    named_behind: Option<String>,
}

/// What follows the prefix in a sealed name.
const SEALED_NAME: &[u8] = b"~9VcDE";

/// The rule of a recipe for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Sealed,
    Excepted,
    Unprotected,
}

impl Recipe {
    #[track_caller]
    pub(super) fn of(application: Application) -> Self {
        Self::parse(application.recipe())
    }

    #[track_caller]
    pub(super) fn parse(text: String) -> Self {
        let table: Table = text.parse().unwrap();
        let protected = table.get("protect").and_then(Value::as_array);
        let entries = protected.expect("a recipe protects something").iter();
        let (records, others): (Vec<_>, Vec<_>) =
            entries.partition(|entry| entry.get("records").is_some());
        let channel = |entry: &Value| entry["channels"].as_str().unwrap().to_owned();
        Self {
            text,
            protected: records.into_iter().map(Protected::read).collect(),
            channels: others.into_iter().map(channel).collect(),
        }
    }

    /// The same in version 3, with every value bound to one group of all records, and with elements that are found.
    #[track_caller]
    pub(super) fn grouped(&self) -> Self {
        self.changed(|protect| {
            for (word, value) in [
                ("group", "application"),
                ("bind", "group"),
                ("members", "deterministic"),
            ] {
                protect.insert(word.to_owned(), Value::String(value.to_owned()));
            }
            protect.insert("write_version".to_owned(), Value::Integer(3));
        })
    }

    /// The same with sealed names, where a pattern leaves something of them to be sealed.
    #[track_caller]
    pub(super) fn named(&self) -> Self {
        self.changed(|protect| {
            if prefix(protect["records"].as_str().unwrap()).is_some() {
                let sealed = Value::String("sealed".to_owned());
                protect.insert("names".to_owned(), sealed);
            }
        })
    }

    /// The same patterns, and nothing else said of them.
    #[track_caller]
    pub(super) fn bare(&self) -> Self {
        self.changed(|protect| {
            protect.remove("except");
            protect.remove("scripts");
        })
    }

    /// The same, written as what is changed is.
    #[track_caller]
    pub(super) fn without_comments(&self) -> Self {
        self.changed(|_| {})
    }

    /// The same with remedies applied.
    #[track_caller]
    pub(super) fn with(&self, remedies: &BTreeSet<Remedy>) -> Self {
        self.changed(|protect| {
            let records = protect["records"].as_str().unwrap().to_owned();
            for remedy in remedies {
                match remedy {
                    Remedy::Except { pattern, glob } if *pattern == records => {
                        let none = Value::Array(Vec::new());
                        let excepts = protect.entry("except").or_insert(none);
                        let excepts = excepts.as_array_mut().unwrap();
                        let glob = Value::String(glob.clone());
                        if !excepts.contains(&glob) {
                            excepts.push(glob);
                        }
                    }
                    Remedy::ForwardScripts { pattern } if *pattern == records => {
                        let forward = Value::String("forward".to_owned());
                        protect.insert("scripts".to_owned(), forward);
                    }
                    _ => {}
                }
            }
        })
    }

    /// Changes what is said of records.
    #[track_caller]
    fn changed(&self, change: impl Fn(&mut Table)) -> Self {
        let mut table: Table = self.text.parse().unwrap();
        let protected = table.get_mut("protect").and_then(Value::as_array_mut);
        let entries = protected.into_iter().flatten();
        let entries = entries.map(|entry| entry.as_table_mut().unwrap());
        for protect in entries.filter(|entry| entry.contains_key("records")) {
            change(protect);
        }
        Self::parse(table.to_string())
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Every glob under `except`.
    pub(super) fn excepts(&self) -> impl Iterator<Item = &str> {
        let all = self.protected.iter().flat_map(|it| &it.excepts);
        all.map(String::as_str)
    }

    /// True if messages in this channel are sealed.
    pub(super) fn seals_messages_in(&self, channel: &[u8]) -> bool {
        self.channels.iter().any(|glob| matches(glob, channel))
    }

    /// True if this is a sealed name of one of the patterns.
    pub(super) fn is_sealed_name(&self, name: &[u8]) -> bool {
        let mut prefixes = self
            .protected
            .iter()
            .filter_map(|it| it.named_behind.as_ref());
        prefixes.any(|prefix| {
            let part = name.strip_prefix(prefix.as_bytes());
            part.is_some_and(|part| part.starts_with(SEALED_NAME))
        })
    }

    /// True if this is a name in clear that is to be sealed.
    pub(super) fn is_name_in_clear(&self, name: &[u8]) -> bool {
        let is_named = |it: &&Protected| it.named_behind.is_some() && matches(&it.records, name);
        // Of patterns that overlap, one may have plain names: then nothing is said.
        let owners = self
            .protected
            .iter()
            .filter(|it| matches(&it.records, name));
        !self.is_sealed_name(name)
            && self.meaning(name) == Meaning::Sealed
            && owners.clone().count() > 0
            && owners.clone().count() == owners.filter(is_named).count()
    }

    pub(super) fn meaning(&self, name: &[u8]) -> Meaning {
        if self.is_sealed_name(name) {
            return Meaning::Sealed;
        }
        let excepts = |it: &Protected| it.excepts.iter().any(|glob| matches(glob, name));
        let owners: Vec<_> = self
            .protected
            .iter()
            .filter(|it| matches(&it.records, name))
            .collect();
        match owners.as_slice() {
            [] => Meaning::Unprotected,
            owners if owners.iter().any(|it| excepts(it)) => Meaning::Excepted,
            _ => Meaning::Sealed,
        }
    }
}

impl Protected {
    fn read(table: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("a glob").to_owned();
        let excepts = table.get("except").and_then(Value::as_array);
        Self {
            records: text(&table["records"]),
            excepts: excepts.into_iter().flatten().map(text).collect(),
            named_behind: table
                .get("names")
                .and_then(|_| prefix(&text(&table["records"]))),
        }
    }
}

/// The text before the first wildcard of a pattern, if it has one.
fn prefix(glob: &str) -> Option<String> {
    let end = glob.find(['*', '?', '[', '{', '\\'])?;
    assert!(glob.as_bytes()[end] != b'\\', "{glob} is not read");
    Some(glob[..end].to_owned())
}

/// Returns whether a glob as Redis has them matches a name; `{user}` is a wildcard.
pub(super) fn matches(glob: &str, name: &[u8]) -> bool {
    glob_matches(glob.replace("{user}", "*").as_bytes(), name)
}

fn glob_matches(glob: &[u8], name: &[u8]) -> bool {
    match (glob, name) {
        ([], []) => true,
        ([b'*', remaining @ ..], _) => {
            (0..=name.len()).any(|skipped| glob_matches(remaining, &name[skipped..]))
        }
        ([b'\\', literal, remaining @ ..], [first, name @ ..]) => {
            literal == first && glob_matches(remaining, name)
        }
        ([b'?', remaining @ ..], [_, name @ ..]) => glob_matches(remaining, name),
        ([b'[', remaining @ ..], [first, name @ ..]) => {
            let end = remaining
                .iter()
                .position(|it| *it == b']')
                .expect("a class ends");
            let (class, negated) = match &remaining[..end] {
                [b'^', class @ ..] => (class, true),
                class => (class, false),
            };
            let is_in = match class {
                [from, b'-', to] => (from..=to).contains(&first),
                class => class.contains(first),
            };
            is_in != negated && glob_matches(&remaining[end + 1..], name)
        }
        ([literal, remaining @ ..], [first, name @ ..]) => {
            literal == first && glob_matches(remaining, name)
        }
        _ => false,
    }
}

#[test]
fn a_recipe_says_what_a_name_means() {
    let recipe = Recipe::parse(
        "[[protect]]\nrecords = \"app:*\"\nexcept = [\"app:*_LOCK\", \"app:n[0-9]?\"]\n\
         [[protect]]\nrecords = '\\{wa}:{user}'\n"
            .to_owned(),
    );
    for (name, meaning) in [
        ("app:session", Meaning::Sealed),
        ("app:a_LOCK", Meaning::Excepted),
        ("app:n1x", Meaning::Excepted),
        ("app:nxx", Meaning::Sealed),
        ("app", Meaning::Unprotected),
        ("{wa}:52", Meaning::Sealed),
        ("wa:52", Meaning::Unprotected),
    ] {
        assert_eq!(recipe.meaning(name.as_bytes()), meaning, "{name}");
    }
    assert_eq!(recipe.excepts().count(), 2);
}

#[test]
fn a_grouped_recipe_excepts_the_same_and_leaves_channels_alone() {
    let text = "[[protect]]\nrecords = \"a:*\"\nexcept = [\"a:x\"]\n\
                [[protect]]\nchannels = \"c:*\"\ngroup = \"messages\"\n";
    let recipe = Recipe::parse(text.to_owned());
    let grouped = recipe.grouped();
    assert_eq!(grouped.text().matches("bind = \"group\"").count(), 1);
    assert!(grouped.text().contains("group = \"messages\""));
    assert_eq!(grouped.excepts().collect::<Vec<_>>(), ["a:x"]);
    for recipe in [recipe, grouped] {
        assert!(recipe.seals_messages_in(b"c:1") && !recipe.seals_messages_in(b"a:1"));
        assert_eq!(recipe.meaning(b"c:1"), Meaning::Unprotected);
    }
}

#[test]
fn a_named_recipe_tells_sealed_names_from_names_in_clear() {
    let text = "[[protect]]\nrecords = \"a:*:b\"\nexcept = [\"a:x:b\"]\n\
                [[protect]]\nrecords = \"one\"\n";
    let recipe = Recipe::parse(text.to_owned()).named();
    assert_eq!(recipe.text().matches("names = \"sealed\"").count(), 1);
    assert_eq!(recipe.meaning(b"a:~9VcDEabc"), Meaning::Sealed);
    assert!(recipe.is_sealed_name(b"a:~9VcDEabc") && !recipe.is_name_in_clear(b"a:~9VcDEabc"));
    for (name, is_in_clear) in [
        ("a:1:b", true),
        ("a:x:b", false),
        ("one", false),
        ("c", false),
    ] {
        assert_eq!(
            recipe.is_name_in_clear(name.as_bytes()),
            is_in_clear,
            "{name}"
        );
    }
}

#[test]
fn remedies_are_added_to_the_pattern_that_they_are_for() {
    let text = "[[protect]]\nrecords = \"a:*\"\nexcept = [\"a:x\"]\nscripts = \"forward\"\n\
                [[protect]]\nrecords = \"b:*\"\n";
    let bare = Recipe::parse(text.to_owned()).bare();
    assert_eq!(bare.excepts().count(), 0);
    assert!(!bare.text().contains("forward"), "{}", bare.text());
    let except = Remedy::Except {
        pattern: "b:*".to_owned(),
        glob: "b:*:lock".to_owned(),
    };
    let scripts = Remedy::ForwardScripts {
        pattern: "a:*".to_owned(),
    };
    let with = bare
        .with(&[except.clone(), scripts].into())
        .with(&[except].into());
    assert_eq!(with.excepts().collect::<Vec<_>>(), ["b:*:lock"]);
    assert_eq!(with.meaning(b"b:1:lock"), Meaning::Excepted);
    assert_eq!(with.meaning(b"a:1:lock"), Meaning::Sealed);
    assert!(
        with.text().contains("scripts = \"forward\""),
        "{}",
        with.text()
    );
}
