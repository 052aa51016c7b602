//! Compares the content of both servers: it is the same, where the protected records of one are opened through the proxy;
//! and whether what is stored under a protected name is sealed.

use std::collections::{BTreeMap, BTreeSet};

use waxseal_testing::{Client, Reply};

use super::findings::{Check, Finding};
use super::stage::Stage;
use crate::proxy::PROTECTED_MARKER;
use waxseal_testing::reply_tree::{contains, is_sealed};

/// Names that clients which are not compared write.
const NOT_COMPARED: &[&[u8]] = &[b"waxseal:canary", b"open:successor"];

/// The content of a record, as text that can be compared and shown.
type Content = (String, Vec<String>, bool);

/// Both servers hold the same.
pub(super) fn compare(stage: &Stage) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (mut sealed, mut direct) = (stage.sealed.client(), stage.direct.client());
    let Ok(mut through) = Client::connect(stage.proxy_port()) else {
        return findings;
    };
    let databases: BTreeSet<i64> = databases(&mut sealed)
        .union(&databases(&mut direct))
        .copied()
        .collect();
    for database in databases {
        for client in [&mut sealed, &mut direct, &mut through] {
            client.cmd(&["SELECT", &database.to_string()]);
        }
        let mut here = BTreeMap::new();
        for name in all_names(&mut sealed) {
            let reader = if name.starts_with(b"wa:") {
                &mut through
            } else {
                &mut sealed
            };
            here.insert(name.clone(), content(reader, &name));
        }
        let there: BTreeMap<Vec<u8>, Content> = all_names(&mut direct)
            .into_iter()
            .map(|name| (name.clone(), content(&mut direct, &name)))
            .collect();
        let names: BTreeSet<&Vec<u8>> = here.keys().chain(there.keys()).collect();
        for name in names {
            let (sealed, direct) = (here.get(name), there.get(name));
            if sealed != direct && !NOT_COMPARED.contains(&name.as_slice()) {
                let detail = format!(
                    "database {database}, {}\n      sealed {sealed:?}\n      direct {direct:?}",
                    name.escape_ascii()
                );
                findings.push(Finding::new(Check::SameData, "records", detail));
            }
        }
    }
    findings
}

/// Whatever stands under a protected name is of a kind that can be sealed, and is sealed.
pub(super) fn sealed(stage: &Stage) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut client = stage.sealed.client();
    for database in databases(&mut client) {
        client.cmd(&["SELECT", &database.to_string()]);
        for name in all_names(&mut client) {
            if !name.starts_with(b"wa:") {
                continue;
            }
            let (kind, values) = values(&mut client, &name);
            let Some(values) = values else {
                let detail = format!("{} is a {kind}, in clear", name.escape_ascii());
                findings.push(Finding::new(Check::Sealed, &kind, detail));
                continue;
            };
            let is_sealed = |value: &[u8]| match stage.setting.format {
                "sealed" => is_sealed(value),
                _ => !contains(value, PROTECTED_MARKER.as_bytes()),
            };
            if let Some(value) = values.iter().find(|value| !is_sealed(value)) {
                let value = value.get(..80).unwrap_or(value).escape_ascii();
                let detail = format!("{} holds {value}", name.escape_ascii());
                findings.push(Finding::new(Check::Sealed, &kind, detail));
            }
        }
    }
    findings
}

/// Databases that hold something.
fn databases(client: &mut Client) -> BTreeSet<i64> {
    let info = client.cmd(&["INFO", "keyspace"]).to_text();
    let numbers = info
        .lines()
        .filter_map(|line| line.strip_prefix("db")?.split_once(':'));
    numbers
        .filter_map(|(number, _)| number.parse().ok())
        .collect()
}

fn all_names(client: &mut Client) -> Vec<Vec<u8>> {
    let names = client.cmd(&["KEYS", "*"]).array().into_iter();
    names.filter_map(Reply::bytes).collect()
}

/// The stored values of a record of a kind that is sealed.
fn values(client: &mut Client, name: &[u8]) -> (String, Option<Vec<Vec<u8>>>) {
    let kind = client.cmd(&[b"TYPE", name]).to_text();
    let reply = match kind.as_str() {
        "string" => Reply::Array(vec![client.cmd(&[b"GET", name])]),
        "hash" => client.cmd(&[b"HVALS", name]),
        "list" => client.cmd(&[&b"LRANGE"[..], name, b"0", b"-1"]),
        "set" => client.cmd(&[b"SMEMBERS", name]),
        "zset" => client.cmd(&[&b"ZRANGE"[..], name, b"0", b"-1"]),
        "stream" => Reply::Array(entry_values(client.cmd(&[
            &b"XRANGE"[..],
            name,
            b"-",
            b"+",
        ]))),
        _ => return (kind, None),
    };
    let values = reply.array().into_iter().filter_map(Reply::bytes);
    (kind, Some(values.collect()))
}

/// The values of the fields in the entries of a stream.
fn entry_values(entries: Reply) -> Vec<Reply> {
    let fields = entries
        .array()
        .into_iter()
        .filter_map(|entry| entry.array().into_iter().nth(1));
    fields
        .flat_map(|fields| fields.array().into_iter().skip(1).step_by(2))
        .collect()
}

/// The kind of a record, what it holds, and whether it expires.
fn content(client: &mut Client, name: &[u8]) -> Content {
    let kind = client.cmd(&[b"TYPE", name]).to_text();
    let request: &[&[u8]] = match kind.as_str() {
        "string" => &[b"GET", name],
        "hash" => &[b"HGETALL", name],
        "list" => &[b"LRANGE", name, b"0", b"-1"],
        "set" => &[b"SMEMBERS", name],
        "zset" => &[b"ZRANGE", name, b"0", b"-1", b"WITHSCORES"],
        "stream" => &[b"XRANGE", name, b"-", b"+"],
        _ => &[b"TYPE", name],
    };
    let mut items = match client.cmd(request) {
        Reply::Array(items) if matches!(kind.as_str(), "hash" | "zset") => {
            items.chunks(2).map(|it| format!("{it:?}")).collect()
        }
        Reply::Array(items) => items.iter().map(|item| format!("{item:?}")).collect(),
        other => vec![format!("{other:?}")],
    };
    // Members of equal score are in the order of their stored bytes.
    if matches!(kind.as_str(), "hash" | "set" | "zset") {
        items.sort();
    }
    let expires = matches!(client.cmd(&[b"PTTL", name]), Reply::Int(0..));
    (kind, items, expires)
}
