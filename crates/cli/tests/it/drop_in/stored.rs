//! The content of a server's databases, as a connection sees it: straight, or through a proxy. Tells
//! sealed from plain by the bytes alone and does not use Waxseal's own code for it; values of the
//! classic format are opened by Node.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use waxseal_testing::{Client, RedisServer, Reply, node};

use super::{Format, PREFIXES};
use crate::program::KEY;

/// The databases that the clients use.
const DATABASES: [&str; 2] = ["0", "1"];
/// Records that Waxseal keeps for itself.
const OWN: &[u8] = b"waxseal:";
/// Magic and version of an envelope.
const MAGIC: &[u8] = b"\xf5\x57\x02";
/// The same of one beside a sealed name.
const MAGIC_3: &[u8] = b"\xf5\x57\x03";
/// The beginning of what is sealed of a name.
const SEALED_NAME: &[u8] = b"~9VcDE";
/// The overhead of an envelope.
const OVERHEAD: usize = 48;

/// All records of a server.
pub(super) struct Stored {
    records: BTreeMap<(&'static str, Name), Record>,
}

/// A record's name; shown as text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name(Vec<u8>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    content: Content,
    expires: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Text(Reply),
    Fields(BTreeMap<Vec<u8>, Reply>),
    Elements(Vec<Reply>),
    Members(BTreeSet<Vec<u8>>),
    Scores(Vec<Reply>),
    Stream(Vec<Reply>),
}

impl Stored {
    /// Reads everything over connections of its own.
    pub(super) fn read(connect: impl Fn() -> Client) -> Self {
        let mut records = BTreeMap::new();
        for database in DATABASES {
            let mut client = connect();
            assert_eq!(client.cmd(&["SELECT", database]).to_text(), "OK");
            for name in names(&mut client) {
                if let Some(record) = Record::read(&mut client, &name) {
                    records.insert((database, Name(name)), record);
                }
            }
        }
        Self { records }
    }

    /// Fails unless there are records of both sorts, and none of them is sealed.
    #[track_caller]
    pub(super) fn assert_proves_something(&self) {
        let protected = self
            .records
            .iter()
            .filter(|((_, name), _)| name.is_protected());
        let values: Vec<_> = protected.flat_map(|(_, record)| record.values()).collect();
        assert!(!values.is_empty(), "the client stored nothing protected");
        assert!(values.iter().all(|value| !value.starts_with(MAGIC)));
        let others = self.records.keys().any(|(_, name)| !name.is_protected());
        assert!(others, "the client stored nothing but protected records");
    }

    /// Fails unless every protected value is an envelope around what is in `plain`, and
    /// everything else is as it is there.
    #[track_caller]
    pub(super) fn assert_sealed(
        &self,
        way: &str,
        plain: &Self,
        format: Format,
        varies: fn(&[u8]) -> bool,
    ) {
        self.assert_same_names(way, plain, varies);
        let mut classic = Vec::new();
        for (place, record) in &self.records {
            let (_, name) = place;
            if varies(&name.0) {
                continue;
            }
            let wanted = &plain.records[place];
            if !name.is_protected() {
                assert_eq!(record, wanted, "{way}: {name:?}");
                continue;
            }
            assert_eq!(record.expires, wanted.expires, "{way}: expiry of {name:?}");
            let (values, wanted) = (record.values(), wanted.values());
            assert_eq!(values.len(), wanted.len(), "{way}: {name:?}");
            for (value, wanted) in values.into_iter().zip(wanted) {
                match format {
                    Format::Sealed => {
                        assert!(value.starts_with(MAGIC), "{way}: {name:?} is not sealed");
                        assert_eq!(value.len(), wanted.len() + OVERHEAD, "{way}: {name:?}");
                    }
                    Format::SealedNames => panic!("{way}: by its name nothing is found"),
                    Format::Classic => classic.push((name.clone(), value, wanted)),
                }
            }
        }
        assert_open_in_node(way, &classic);
    }

    /// Fails unless there are as many records behind each prefix as in `plain`, of these kinds and with values of these
    /// lengths, all sealed as their names are.
    #[track_caller]
    pub(super) fn assert_sealed_names(&self, way: &str, plain: &Self) {
        type Description = (&'static str, &'static [u8], &'static str, bool, Vec<usize>);
        let mut all: [Vec<Description>; 2] = [Vec::new(), Vec::new()];
        for (described, (stored, is_sealed)) in all.iter_mut().zip([(self, true), (plain, false)]) {
            for ((database, name), record) in &stored.records {
                let Some(prefix) = name.prefix() else {
                    continue;
                };
                let rest = &name.0[prefix.len()..];
                assert_eq!(rest.starts_with(SEALED_NAME), is_sealed, "{way}: {name:?}");
                let values = record.values();
                let is_envelope = |value: &Vec<u8>| value.starts_with(MAGIC_3) == is_sealed;
                assert!(values.iter().all(is_envelope), "{way}: {name:?}");
                let overhead = if is_sealed { OVERHEAD } else { 0 };
                let mut lengths: Vec<_> = values.iter().map(|it| it.len() - overhead).collect();
                lengths.sort_unstable();
                let kind = record.content.kind();
                described.push((database, prefix, kind, record.expires, lengths));
            }
            described.sort();
        }
        let [stored, plain] = all;
        assert_eq!(stored, plain, "{way}");
    }

    /// Fails unless the two look the same.
    #[track_caller]
    pub(super) fn assert_same(&self, way: &str, wanted: &Self, varies: fn(&[u8]) -> bool) {
        self.assert_same_names(way, wanted, varies);
        for (place, record) in &self.records {
            if !varies(&place.1.0) {
                assert_eq!(record, &wanted.records[place], "{way}: {:?}", place.1);
            }
        }
    }

    /// Names and kinds.
    #[track_caller]
    fn assert_same_names(&self, way: &str, wanted: &Self, varies: fn(&[u8]) -> bool) {
        let (seen, wanted) = (self.kinds(varies), wanted.kinds(varies));
        let difference: Vec<_> = seen.symmetric_difference(&wanted).collect();
        assert!(difference.is_empty(), "{way}: only one has {difference:?}");
    }

    fn kinds(&self, varies: fn(&[u8]) -> bool) -> BTreeSet<(&'static str, String, &'static str)> {
        let kind = |((database, name), record): (&(&'static str, Name), &Record)| {
            let shown = String::from_utf8_lossy(&name.0).into_owned();
            let shown = if varies(&name.0) {
                without_numbers(&shown)
            } else {
                shown
            };
            (*database, shown, record.content.kind())
        };
        self.records.iter().map(kind).collect()
    }
}

/// True if a fresh dump of the server holds these bytes.
pub(super) fn dump_contains(server: &RedisServer, marker: &str) -> bool {
    assert_eq!(server.cli(&["SAVE"]), "OK");
    let directory = server.cli(&["CONFIG", "GET", "dir"]);
    let directory = directory.lines().nth(1).expect("a directory");
    let dump = std::fs::read(format!("{directory}/dump.rdb")).expect("read the dump");
    assert!(dump.starts_with(b"REDIS"));
    dump.windows(marker.len())
        .any(|window| window == marker.as_bytes())
}

fn names(client: &mut Client) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    let mut cursor = b"0".to_vec();
    loop {
        let mut page = client
            .cmd(&[&b"SCAN"[..], &cursor, b"COUNT", b"100"])
            .array();
        let names = page.pop().expect("names").array();
        cursor = page.pop().and_then(Reply::bytes).expect("a cursor");
        let names = names.into_iter().filter_map(Reply::bytes);
        found.extend(names.filter(|name| !name.starts_with(OWN)));
        if cursor == b"0" {
            return found;
        }
    }
}

impl Record {
    /// Nothing if it has expired meanwhile.
    fn read(client: &mut Client, name: &[u8]) -> Option<Self> {
        let mut ask = |words: &[&[u8]]| client.cmd(words);
        let content = match ask(&[b"TYPE", name]).to_text().as_str() {
            "none" => return None,
            "string" => Content::Text(ask(&[b"GET", name])),
            "list" => Content::Elements(ask(&[b"LRANGE", name, b"0", b"-1"]).array()),
            "hash" => Content::Fields(pairs(ask(&[b"HGETALL", name]).array())),
            "set" => {
                let members = ask(&[b"SMEMBERS", name]).array().into_iter();
                Content::Members(members.filter_map(Reply::bytes).collect())
            }
            "zset" => {
                let all = ask(&[b"ZRANGE", name, b"0", b"-1", b"WITHSCORES"]);
                Content::Scores(all.array())
            }
            "stream" => Content::Stream(ask(&[b"XRANGE", name, b"-", b"+"]).array()),
            other => panic!("no client here writes a {other}"),
        };
        let expires = ask(&[b"PTTL", name]).int() >= 0;
        Some(Self { content, expires })
    }

    /// The sealed values of a protected record.
    fn values(&self) -> Vec<Vec<u8>> {
        let replies: Vec<&Reply> = match &self.content {
            Content::Text(value) => vec![value],
            Content::Fields(fields) => fields.values().collect(),
            Content::Elements(elements) => elements.iter().collect(),
            other => panic!("a protected {}", other.kind()),
        };
        let bytes = |reply: &Reply| reply.clone().bytes().expect("a value");
        replies.into_iter().map(bytes).collect()
    }
}

impl Content {
    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::Fields(_) => "hash",
            Self::Elements(_) => "list",
            Self::Members(_) => "set",
            Self::Scores(_) => "zset",
            Self::Stream(_) => "stream",
        }
    }
}

impl Name {
    /// By the patterns that every proxy of these tests is given.
    fn is_protected(&self) -> bool {
        self.prefix().is_some()
    }

    /// The part of a protected name that stays readable.
    fn prefix(&self) -> Option<&'static [u8]> {
        let mut prefixes = PREFIXES.into_iter().map(str::as_bytes);
        prefixes.find(|prefix| self.0.starts_with(prefix))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

fn pairs(flat: Vec<Reply>) -> BTreeMap<Vec<u8>, Reply> {
    let mut flat = flat.into_iter();
    let mut pairs = BTreeMap::new();
    while let (Some(field), Some(value)) = (flat.next(), flat.next()) {
        pairs.insert(field.bytes().expect("a field"), value);
    }
    pairs
}

/// Times, running and random numbers in names.
fn without_numbers(name: &str) -> String {
    let is_random = |part: &str| {
        part.len() >= 32 && part.bytes().all(|it| it.is_ascii_hexdigit() || it == b'-')
    };
    let is_number = |part: &str| part.bytes().all(|it| it.is_ascii_digit());
    let part = |part| {
        if is_random(part) || is_number(part) {
            "N"
        } else {
            part
        }
    };
    name.split(':').map(part).collect::<Vec<_>>().join(":")
}

/// Each value of the classic format must open, by Node's own cryptography, to what was written.
#[track_caller]
fn assert_open_in_node(way: &str, values: &[(Name, Vec<u8>, Vec<u8>)]) {
    let byte = |at| u8::from_str_radix(&KEY[2 * at..2 * at + 2], 16).expect("hex");
    let key = std::array::from_fn(byte);
    let stored: Vec<String> = values
        .iter()
        .map(|(name, value, _)| match String::from_utf8(value.clone()) {
            Ok(text) => text,
            Err(_) => panic!("{way}: {name:?} is not in the classic format"),
        })
        .collect();
    if stored.is_empty() {
        return;
    }
    for ((name, _, wanted), opened) in values.iter().zip(node::classic_open(&key, &stored)) {
        assert_eq!(opened.as_ref(), Some(wanted), "{way}: {name:?}");
    }
}
