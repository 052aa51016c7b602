//! `CLIENT LIST` and `CLIENT INFO`: the server's lines are replaced by those of the proxy's clients.

use std::collections::HashMap;
use std::net::SocketAddr;

use waxseal_policy::is;
use waxseal_resp::{Items, Kind};

use super::{Client, Clients, FIRST_ID, parse};
use crate::pending::LabelKind;

/// `CLIENT LIST` without a filter, which is sent if the filter has identifiers that no server knows.
pub(crate) const LIST: &[u8] = b"*2\r\n$6\r\nCLIENT\r\n$4\r\nLIST\r\n";

/// The largest number of identifiers that are searched for: more are left to the server.
const MAX_IDS: usize = 10_000;

/// The identifiers that a `CLIENT LIST ID …` asks for, in order, if one of them is of a client without a dedicated
/// connection.
pub(crate) fn asked_ids(arguments: &[&[u8]]) -> Option<Vec<u64>> {
    let [_, _, filter, ids @ ..] = arguments else {
        return None;
    };
    if !is(arguments, 1, "LIST")
        || !filter.eq_ignore_ascii_case(b"ID")
        || ids.is_empty()
        || ids.len() > MAX_IDS
    {
        return None;
    }
    let parsed = |id: &&[u8]| std::str::from_utf8(id).ok()?.parse::<u64>().ok();
    let mut ids: Vec<u64> = ids.iter().map(parsed).collect::<Option<_>>()?;
    ids.sort_unstable();
    ids.dedup();
    ids.last().is_some_and(|id| *id >= FIRST_ID).then_some(ids)
}

impl Clients {
    /// Writes what the client gets for the server's reply: the line of a lane is replaced by one for each of its clients,
    /// lines of connections without a client are left out, and the others show the client's address. A reply that is not a
    /// list is passed on.
    pub(crate) fn list(&self, reply: &[u8], ids: Option<&[u64]>, out: &mut Vec<u8>) {
        let item = Items::of(reply).next().ok().flatten();
        let verbatim = reply.first() == Some(&b'=');
        let Some(text) = item
            .filter(|item| verbatim || item.kind == Kind::Bulk)
            .map(|item| item.text)
        else {
            return out.extend_from_slice(reply);
        };
        let (prefix, text) = match verbatim {
            true => text.split_at_checked(4).unwrap_or((b"", text)),
            false => (&b""[..], text),
        };
        let clients = self.all();
        let mut by_address: HashMap<SocketAddr, Vec<&Client>> = HashMap::new();
        for client in &clients {
            if let Some(address) = client.upstream_address() {
                by_address.entry(address).or_default().push(client);
            }
        }
        let is_asked = |id: u64| ids.is_none_or(|ids| ids.binary_search(&id).is_ok());
        let mut lines = Vec::with_capacity(text.len());
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            self.line(line, &by_address, &is_asked, &mut lines);
        }
        let length = prefix.len().saturating_add(lines.len());
        let kind = if verbatim { '=' } else { '$' };
        out.extend_from_slice(format!("{kind}{length}\r\n").as_bytes());
        out.extend_from_slice(prefix);
        out.extend_from_slice(&lines);
        out.extend_from_slice(b"\r\n");
    }

    fn line(
        &self,
        line: &[u8],
        by_address: &HashMap<SocketAddr, Vec<&Client>>,
        is_asked: &dyn Fn(u64) -> bool,
        out: &mut Vec<u8>,
    ) {
        let address = field(line, "addr").and_then(parse);
        let clients = address.and_then(|address| by_address.get(&address));
        let clients = clients.map(Vec::as_slice).unwrap_or_default();
        if address.is_some_and(|address| self.is_shared(address)) {
            for client in clients.iter().filter(|client| is_asked(client.id)) {
                write_line(line, client, Some(client.id), out);
            }
            return;
        }
        let id = field(line, "id").and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
        if !id.is_none_or(is_asked) {
            return;
        }
        match clients.first() {
            Some(client) if client.has_dedicated_connection() => {
                write_line(line, client, None, out);
            }
            _ => out.extend_from_slice(line),
        }
    }
}

/// The value of a field of a line.
fn field<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut fields = line.split(u8::is_ascii_whitespace);
    fields.find_map(|field| field.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// Writes the line of a client: the server's, with the properties of the connection replaced by those of the client. The
/// other figures of a lane are shown for each of its clients.
fn write_line(line: &[u8], client: &Client, id: Option<u64>, out: &mut Vec<u8>) {
    let age = client.connected_at.elapsed().as_secs();
    for (index, part) in line.split(|byte| *byte == b' ').enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        let end = part
            .iter()
            .rposition(|byte| *byte != b'\n')
            .map_or(0, |at| at.saturating_add(1));
        let (part, line_end) = part.split_at_checked(end).unwrap_or((part, b""));
        let name = part.split(|byte| *byte == b'=').next().unwrap_or_default();
        let value: Option<Vec<u8>> = match (name, id) {
            (b"addr", _) => Some(client.address.clone().into_bytes()),
            (b"id", Some(id)) => Some(id.to_string().into_bytes()),
            (b"age", Some(_)) => Some(age.to_string().into_bytes()),
            (b"name", Some(_)) => Some(label(client, LabelKind::Name)),
            (b"lib-name", Some(_)) => Some(label(client, LabelKind::Library)),
            (b"lib-ver", Some(_)) => Some(label(client, LabelKind::Version)),
            _ => None,
        };
        match value {
            Some(value) => {
                out.extend_from_slice(name);
                out.push(b'=');
                out.extend_from_slice(&value);
            }
            None => out.extend_from_slice(part),
        }
        out.extend_from_slice(line_end);
    }
}

fn label(client: &Client, kind: LabelKind) -> Vec<u8> {
    client.label(kind).map(Vec::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, OnceLock};

    use super::*;
    use crate::clients::Connection;

    #[test]
    fn a_line_of_a_lane_is_replaced_by_those_of_its_clients() {
        let clients = Arc::new(Clients::default());
        let lane: SocketAddr = "10.0.0.1:5000".parse().unwrap();
        let own: SocketAddr = "10.0.0.1:5001".parse().unwrap();
        let spare = clients.share("10.0.0.1:5002".parse().ok());
        let shared = clients.share(Some(lane));
        let connected = Arc::new(OnceLock::from(lane));
        let first = clients.register("10.0.0.9:1".to_owned());
        let second = clients.register("10.0.0.9:2".to_owned());
        let third = clients.register("10.0.0.9:3".to_owned());
        first
            .client
            .set_connection(Connection::Lane(connected.clone()));
        second.client.set_connection(Connection::Lane(connected));
        third
            .client
            .set_connection(Connection::Dedicated(Some(own)));
        second.client.set_label(LabelKind::Name, b"worker");
        let text = "id=3 addr=10.0.0.1:5000 laddr=10.0.0.2:6379 name= age=900 db=0 cmd=get\n\
                    id=4 addr=10.0.0.1:5001 laddr=10.0.0.2:6379 name=mine age=9 db=2 cmd=client|list\n\
                    id=5 addr=10.0.0.1:5002 laddr=10.0.0.2:6379 name= age=1 db=0 cmd=NULL\n\
                    id=6 addr=10.0.0.7:4000 laddr=10.0.0.2:6379 name=other age=1 db=0 cmd=get\n";
        let (one, two) = (first.client.id, second.client.id);
        let lines = [
            format!("id={one} addr=10.0.0.9:1 laddr=10.0.0.2:6379 name= age=0 db=0 cmd=get\n"),
            format!(
                "id={two} addr=10.0.0.9:2 laddr=10.0.0.2:6379 name=worker age=0 db=0 cmd=get\n"
            ),
            "id=4 addr=10.0.0.9:3 laddr=10.0.0.2:6379 name=mine age=9 db=2 cmd=client|list\n"
                .to_owned(),
            "id=6 addr=10.0.0.7:4000 laddr=10.0.0.2:6379 name=other age=1 db=0 cmd=get\n"
                .to_owned(),
        ];
        let listed = |ids: Option<&[u64]>| {
            let mut out = Vec::new();
            clients.list(
                format!("${}\r\n{text}\r\n", text.len()).as_bytes(),
                ids,
                &mut out,
            );
            String::from_utf8(out).unwrap()
        };
        let all = lines.concat();
        assert_eq!(listed(None), format!("${}\r\n{all}\r\n", all.len()));
        let some = [lines[1].as_str(), &lines[2]].concat();
        assert_eq!(
            listed(Some(&[4, two])),
            format!("${}\r\n{some}\r\n", some.len())
        );
        let mut out = Vec::new();
        let verbatim = format!("={}\r\ntxt:{text}\r\n", text.len() + 4);
        clients.list(verbatim.as_bytes(), None, &mut out);
        let expected = format!("={}\r\ntxt:{all}\r\n", all.len() + 4);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        drop((spare, shared, third));
        assert!(listed(None).contains("addr=10.0.0.1:5001"));
    }

    #[test]
    fn only_a_filter_with_an_identifier_of_the_proxy_is_applied_here() {
        let ours = FIRST_ID.to_string();
        let list = |words: &[&str]| {
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            asked_ids(&words)
        };
        assert_eq!(list(&["CLIENT", "LIST"]), None);
        assert_eq!(list(&["CLIENT", "LIST", "ID", "7"]), None);
        assert_eq!(
            list(&["CLIENT", "LIST", "ID", "7", &ours]),
            Some(vec![7, FIRST_ID])
        );
        assert_eq!(list(&["CLIENT", "LIST", "ID", &ours, "x"]), None);
        assert_eq!(list(&["CLIENT", "LIST", "TYPE", &ours]), None);
    }
}
