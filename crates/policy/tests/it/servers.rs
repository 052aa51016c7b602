//! The commands of servers according to COMMAND: of live ones, and of others from lists in `tests/data`.

use std::collections::BTreeMap;

use waxseal_testing::{Flavor, RedisServer, Reply};

/// The positions of names according to COMMAND.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamePositions {
    None,
    Movable,
    Fixed { first: i64, last: i64, step: i64 },
}

/// All commands of one server, by name.
pub(crate) struct Commands {
    pub(crate) server: String,
    pub(crate) positions: BTreeMap<String, NamePositions>,
}

/// Every supported server, live or from its list.
pub(crate) fn all() -> Vec<Commands> {
    let mut all = vec![
        kept("Redis 8", include_str!("../data/commands-redis-8.txt")),
        kept("Valkey 9", include_str!("../data/commands-valkey-9.txt")),
    ];
    all.extend(Flavor::ALL.map(live));
    all
}

/// The commands that live servers flag as writing, each with its server.
pub(crate) fn writing() -> Vec<(String, String)> {
    let mut writing = Vec::new();
    for flavor in Flavor::ALL {
        let server = RedisServer::builder().flavor(flavor).start();
        let mut entries = server.client().cmd(&["COMMAND"]).array();
        let before = writing.len();
        while let Some(entry) = entries.pop() {
            let parts = entry.array();
            if parts[2].to_text().lines().any(|flag| flag == "write") {
                writing.push((format!("{flavor:?}"), name_of(&parts[0])));
            }
            // Redis 6.2 lists no subcommands.
            entries.extend(
                parts
                    .into_iter()
                    .nth(9)
                    .map(Reply::array)
                    .into_iter()
                    .flatten(),
            );
        }
        assert!(
            writing.len() > before + 80,
            "{flavor:?} has more writing commands than that"
        );
    }
    writing
}

fn live(flavor: Flavor) -> Commands {
    let server = RedisServer::builder().flavor(flavor).start();
    let mut positions = BTreeMap::new();
    for entry in server.client().cmd(&["COMMAND"]).array() {
        read_entry(entry, &mut positions);
    }
    assert!(
        positions.len() > 200,
        "{flavor:?} has more commands than that"
    );
    Commands {
        server: format!("{flavor:?}"),
        positions,
    }
}

fn read_entry(entry: Reply, positions: &mut BTreeMap<String, NamePositions>) {
    let mut parts = entry.array().into_iter();
    let name = name_of(&parts.next().expect("a name"));
    let flags = parts.nth(1).expect("flags").to_text();
    let mut number = || parts.next().expect("a number").int();
    let (first, last, step) = (number(), number(), number());
    let movable = flags.lines().any(|flag| flag == "movablekeys");
    positions.insert(name, read_places(movable, first, last, step));
    // Access classes, tips, specifications; subcommands last.
    for subcommand in parts.nth(3).map(Reply::array).into_iter().flatten() {
        read_entry(subcommand, positions);
    }
}

/// The name of a command. Those of modules are in capital letters.
fn name_of(reply: &Reply) -> String {
    reply.to_text().to_ascii_lowercase()
}

fn read_places(movable: bool, first: i64, last: i64, step: i64) -> NamePositions {
    match (movable, first) {
        (true, _) => NamePositions::Movable,
        (false, 0) => NamePositions::None,
        (false, _) => NamePositions::Fixed { first, last, step },
    }
}

fn kept(server: &str, text: &str) -> Commands {
    let lines = text.lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let positions = lines.map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse().expect("a number");
        let places = match words[2] {
            "none" => NamePositions::None,
            "movable" => NamePositions::Movable,
            _ => read_places(false, number(2), number(3), number(4)),
        };
        (words[0].to_owned(), places)
    });
    Commands {
        server: server.to_owned(),
        positions: positions.collect(),
    }
}
