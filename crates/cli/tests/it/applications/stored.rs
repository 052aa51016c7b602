//! Compares what a server stores after a program has ended with what a recipe says. Tells sealed from plain by
//! the first bytes alone.

use waxseal_testing::{Client, RedisServer, Reply};

use super::monitor::is_sealed;
use super::recipe::{Meaning, Recipe, matches};

/// Records that Waxseal keeps for itself.
const OWN: &[u8] = b"waxseal:";

/// All records of a server.
pub(super) struct Stored {
    records: Vec<Record>,
}

struct Record {
    name: Vec<u8>,
    kind: String,
    /// Nothing for kinds that are not sealed.
    values: Vec<Vec<u8>>,
}

impl Stored {
    pub(super) fn read(server: &RedisServer) -> Self {
        let mut records = Vec::new();
        for database in databases(server) {
            let mut client = server.client();
            assert_eq!(client.cmd(&["SELECT", &database]).to_text(), "OK");
            let names = client.cmd(&["KEYS", "*"]).array();
            let names = names.into_iter().filter_map(Reply::bytes);
            let names = names.filter(|name| !name.starts_with(OWN));
            let read = names.map(|name| Record::read(&mut client, name));
            // One may have expired since it was listed.
            records.extend(read.filter(|record| record.kind != "none"));
        }
        Self { records }
    }

    /// Number of protected records that hold envelopes.
    pub(super) fn count_sealed(&self, recipe: &Recipe) -> usize {
        let protected = self
            .records
            .iter()
            .filter(|it| recipe.meaning(&it.name) == Meaning::Sealed);
        protected
            .filter(|it| it.values.iter().any(|value| is_sealed(value)))
            .count()
    }

    /// Fails unless all values are envelopes that the recipe seals, and no others.
    #[track_caller]
    pub(super) fn assert_as(&self, recipe: &Recipe) {
        for Record { name, kind, values } in &self.records {
            let shown = name.escape_ascii();
            assert!(!recipe.is_name_in_clear(name), "{shown} is a name in clear");
            if recipe.meaning(name) == Meaning::Sealed {
                let can_be =
                    ["string", "hash", "list", "set", "zset", "stream"].contains(&kind.as_str());
                assert!(
                    can_be,
                    "{shown}: a {kind} cannot be sealed and is not excepted"
                );
                assert!(values.iter().all(|it| is_sealed(it)), "{shown} is in clear");
            } else {
                assert!(!values.iter().any(|it| is_sealed(it)), "{shown} is sealed");
            }
        }
        assert!(self.count_sealed(recipe) > 0, "nothing stored is sealed");
    }

    /// Fails unless the recipe says something of every record but those that one of these globs matches.
    #[track_caller]
    pub(super) fn assert_covered<'a>(
        &self,
        recipe: &Recipe,
        unprotected: impl Iterator<Item = &'a str> + Clone,
    ) {
        for Record { name, .. } in &self.records {
            let is_known = unprotected.clone().any(|glob| matches(glob, name));
            assert!(
                is_known || recipe.meaning(name) != Meaning::Unprotected,
                "{} is under no pattern of the recipe",
                name.escape_ascii()
            );
        }
    }
}

impl Record {
    fn read(client: &mut Client, name: Vec<u8>) -> Self {
        let mut ask = |words: &[&[u8]]| client.cmd(words);
        let kind = ask(&[b"TYPE", &name]).to_text();
        let values = match kind.as_str() {
            "string" => vec![ask(&[b"GET", &name])],
            "hash" => ask(&[b"HVALS", &name]).array(),
            "list" => ask(&[b"LRANGE", &name, b"0", b"-1"]).array(),
            "set" => ask(&[b"SMEMBERS", &name]).array(),
            "zset" => ask(&[b"ZRANGE", &name, b"0", b"-1"]).array(),
            "stream" => {
                let entries = ask(&[b"XRANGE", &name, b"-", b"+"]).array().into_iter();
                let fields = entries.filter_map(|entry| entry.array().into_iter().nth(1));
                let values = fields.map(|fields| fields.array().into_iter().skip(1).step_by(2));
                values.flatten().collect()
            }
            _ => Vec::new(),
        };
        // A record can expire in between.
        let values = values.into_iter().filter_map(Reply::bytes).collect();
        Self { name, kind, values }
    }
}

/// The numbers of all databases that hold something.
fn databases(server: &RedisServer) -> Vec<String> {
    let keyspace = server.cli(&["INFO", "keyspace"]);
    let number = |line: &str| Some(line.strip_prefix("db")?.split_once(':')?.0.to_owned());
    keyspace.lines().filter_map(number).collect()
}
