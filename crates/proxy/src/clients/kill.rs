//! `CLIENT KILL`: the clients of the proxy that it selects, and the request that is sent to the server.
//!
//! The proxy's clients are killed here, not by the server, which would kill a connection that others may share or that
//! another client may have by then. The server is asked first whether this user may: the same request is sent for an
//! identifier that cannot exist. A request that selects none of the proxy's clients is left to the server.

use std::sync::Arc;

use super::{Client, Clients, FIRST_ID, parse};
use crate::pending::LabelKind;

/// An identifier that no server assigns.
const UNUSED_ID: &[u8] = b"9223372036854775807";
/// The longest request that can select a client of the proxy: addresses, names and filters are short.
const MAX_ARGUMENTS: usize = 64;
const MAX_BYTES: usize = 8 * 1024;

/// The treatment of a `CLIENT KILL`.
pub(crate) enum Kill {
    /// The server executes it.
    Forward,
    /// The server executes it with these arguments: the identifier is one of the server's.
    Readdressed(Vec<Vec<u8>>),
    /// This filter matches a property that the proxy's connections share: all clients of a lane would be killed.
    Refuse(&'static str),
    /// These arguments are sent, and the proxy kills its clients when the server has allowed it.
    Here {
        request: Vec<Vec<u8>>,
        kill: KillHere,
    },
}

/// Clients that are killed here once the server has allowed it.
pub(crate) struct KillHere {
    filters: Vec<Filter>,
    /// The form with one address, which is not answered with a number.
    old_form: bool,
    /// The server has killed those with a dedicated connection.
    only_on_lanes: bool,
    skip_me: bool,
}

/// A condition that a client must meet to be killed.
enum Filter {
    Ids(Vec<u64>),
    Address(Vec<u8>),
    Name(Vec<u8>),
    User(Vec<u8>),
    Kind(Vec<u8>),
    /// Connected for at least so many seconds.
    Age(u64),
}

/// The filters of a request.
#[derive(Default)]
struct Parsed {
    filters: Vec<Filter>,
    /// The client that sent the request is spared.
    skip_me: Option<bool>,
    /// Filters that the server applies, as they were sent.
    others: Vec<Vec<u8>>,
}

impl Parsed {
    /// Parses the arguments. `None` if some are understood only by the server.
    fn of(arguments: &[&[u8]]) -> Option<Self> {
        let mut parsed = Self::default();
        let mut tail = arguments;
        while let [name, value, after @ ..] = tail {
            tail = after;
            match name.to_ascii_uppercase().as_slice() {
                b"ID" => {
                    let mut ids = vec![number(value)?];
                    // Valkey accepts several.
                    while let [id, after @ ..] = tail
                        && let Some(id) = number(id)
                    {
                        ids.push(id);
                        tail = after;
                    }
                    parsed.filters.push(Filter::Ids(ids));
                    continue;
                }
                b"ADDR" => parsed.filters.push(Filter::Address(value.to_vec())),
                b"NAME" => {
                    parsed.filters.push(Filter::Name(value.to_vec()));
                }
                b"USER" => parsed.filters.push(Filter::User(value.to_vec())),
                b"TYPE" => parsed.filters.push(Filter::Kind(value.to_vec())),
                b"MAXAGE" => parsed.filters.push(Filter::Age(number(value)?)),
                b"SKIPME" => {
                    parsed.skip_me = Some(match value.to_ascii_uppercase().as_slice() {
                        b"YES" => true,
                        b"NO" => false,
                        _ => return None,
                    });
                }
                _ => return None,
            }
            let is_address = matches!(parsed.filters.last(), Some(Filter::Address(_)))
                && name.eq_ignore_ascii_case(b"ADDR");
            if !is_address {
                parsed.others.extend([name.to_vec(), value.to_vec()]);
            }
        }
        tail.is_empty().then_some(parsed)
    }
}

impl Clients {
    /// Decides about a `CLIENT KILL` with these arguments.
    pub(crate) fn kill(&self, arguments: &[&[u8]]) -> Kill {
        if let Some(filter) = shared_filter(arguments) {
            return Kill::Refuse(filter);
        }
        let bytes: usize = arguments.iter().map(|argument| argument.len()).sum();
        if arguments.len() > MAX_ARGUMENTS || bytes > MAX_BYTES {
            return Kill::Forward;
        }
        match arguments {
            [_, _, address] if self.is_proxy_address(address) => Kill::Here {
                request: aimed_at_unused_id(Vec::new()),
                kill: KillHere {
                    filters: vec![Filter::Address(address.to_vec())],
                    old_form: true,
                    only_on_lanes: false,
                    skip_me: false,
                },
            },
            [_, _, _] => Kill::Forward,
            [_, _, filters @ ..] => match Parsed::of(filters) {
                Some(parsed) => self.kill_by_filters(arguments, parsed),
                None => Kill::Forward,
            },
            _ => Kill::Forward,
        }
    }

    fn kill_by_filters(&self, arguments: &[&[u8]], parsed: Parsed) -> Kill {
        let selects_ours = |filter: &Filter| match filter {
            Filter::Address(address) => self.is_proxy_address(address),
            Filter::Ids(ids) => ids.iter().any(|id| *id >= FIRST_ID),
            _ => false,
        };
        let is_ours = parsed.filters.iter().any(selects_ours);
        let of_server = |filter: &Filter| match filter {
            Filter::Ids(ids) => ids.iter().all(|id| *id < FIRST_ID),
            _ => false,
        };
        if is_ours && parsed.filters.iter().any(of_server) {
            return Kill::Readdressed(self.readdressed(arguments));
        }
        let names = |filter: &Filter| matches!(filter, Filter::Name(_));
        let request = match is_ours {
            true => aimed_at_unused_id(parsed.others),
            false if parsed.filters.iter().any(names) => {
                arguments.iter().map(|argument| argument.to_vec()).collect()
            }
            false => return Kill::Forward,
        };
        Kill::Here {
            request,
            kill: KillHere {
                filters: parsed.filters,
                old_form: false,
                only_on_lanes: !is_ours,
                skip_me: parsed.skip_me.unwrap_or(true),
            },
        }
    }

    /// These arguments with the addresses of clients replaced by those of their connections.
    fn readdressed(&self, arguments: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut readdressed: Vec<Vec<u8>> = arguments.iter().map(|word| word.to_vec()).collect();
        for (index, name) in arguments.iter().enumerate() {
            let of_connection = |address: &Vec<u8>| {
                let all = self.all();
                let mut clients = all
                    .iter()
                    .filter(|client| client.address.as_bytes() == address);
                let client = clients.find(|client| client.has_dedicated_connection())?;
                client.upstream_address()
            };
            if name.eq_ignore_ascii_case(b"ADDR")
                && let Some(address) = readdressed.get_mut(index.saturating_add(1))
                && let Some(own) = of_connection(address)
            {
                *address = own.to_string().into_bytes();
            }
        }
        readdressed
    }

    /// True if this is the address of a client, or of a connection that is not dedicated to one.
    fn is_proxy_address(&self, address: &[u8]) -> bool {
        self.has_address(address) || parse(address).is_some_and(|address| self.is_shared(address))
    }
}

impl KillHere {
    /// Kills the clients if the server's reply allows it, and writes the answer. Returns true if the client that sent the
    /// request is one of them: it is closed when it has its answer.
    pub(crate) fn kill(
        &self,
        clients: &Clients,
        asking: &Client,
        reply: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(by_server) = reply
            .strip_prefix(b":")
            .and_then(|count| number(count.trim_ascii()))
        else {
            out.extend_from_slice(reply);
            return false;
        };
        let all = clients.all();
        let is_spared = |client: &Client| {
            self.only_on_lanes && client.has_dedicated_connection()
                || self.skip_me && client.id == asking.id
        };
        let is_selected = |client: &Client| {
            self.filters
                .iter()
                .all(|filter| filter.matches(client, clients))
        };
        let selected: Vec<&Arc<Client>> = all
            .iter()
            .filter(|client| !is_spared(client) && is_selected(client))
            .collect();
        let mut ends_asking = false;
        for client in &selected {
            match client.id == asking.id {
                true => ends_asking = true,
                false => {
                    client.kill();
                }
            }
        }
        let killed = u64::try_from(selected.len()).unwrap_or(u64::MAX);
        match (self.old_form, by_server.saturating_add(killed)) {
            (false, killed) => out.extend_from_slice(format!(":{killed}\r\n").as_bytes()),
            (true, 0) => out.extend_from_slice(b"-ERR No such client\r\n"),
            (true, _) => out.extend_from_slice(b"+OK\r\n"),
        }
        ends_asking
    }

    /// Bytes that are held for it beyond its own size.
    pub(crate) fn retained_bytes(&self) -> usize {
        self.filters.iter().map(Filter::retained_bytes).sum()
    }
}

impl Filter {
    fn retained_bytes(&self) -> usize {
        match self {
            Self::Ids(ids) => size_of_val(&**ids),
            Self::Address(word) | Self::Name(word) | Self::User(word) | Self::Kind(word) => {
                word.len()
            }
            Self::Age(_) => 0,
        }
    }

    fn matches(&self, client: &Client, clients: &Clients) -> bool {
        match self {
            Self::Ids(ids) => ids.contains(&client.id),
            Self::Address(address) => client.address.as_bytes() == address,
            Self::Name(name) => client.label(LabelKind::Name).as_deref() == Some(name),
            Self::User(user) => clients.user.as_bytes() == user,
            Self::Kind(kind) => kind.eq_ignore_ascii_case(b"normal"),
            Self::Age(age) => client.connected_at.elapsed().as_secs() >= *age,
        }
    }
}

/// A request that kills nothing, and is answered with an error if this user may not kill.
fn aimed_at_unused_id(others: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut request = [&b"CLIENT"[..], b"KILL"].map(<[u8]>::to_vec).to_vec();
    request.extend(others);
    request.extend([b"ID".to_vec(), UNUSED_ID.to_vec()]);
    request
}

/// The filter among these arguments that all of the proxy's shared connections match, because it negates a property of
/// single clients.
fn shared_filter(arguments: &[&[u8]]) -> Option<&'static str> {
    const NEGATED: [&str; 6] = [
        "NOT-ID",
        "NOT-ADDR",
        "NOT-NAME",
        "NOT-IP",
        "NOT-LIB-NAME",
        "NOT-LIB-VER",
    ];
    let negates = |argument: &&[u8]| {
        let mut negated = NEGATED.iter();
        negated
            .find(|filter| argument.eq_ignore_ascii_case(filter.as_bytes()))
            .copied()
    };
    arguments.get(2..)?.iter().find_map(negates)
}

fn number(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_request_that_is_fully_understood_is_executed_here() {
        let clients = Arc::new(Clients::default());
        let client = clients.register("10.0.0.9:1".to_owned());
        let id = client.client.id.to_string();
        let own = "10.0.0.1:7".parse().ok();
        client
            .client
            .set_connection(super::super::Connection::Dedicated(own));
        let treatment = |words: &str| {
            let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
            match clients.kill(&words) {
                Kill::Forward => "forward".to_owned(),
                Kill::Refuse(filter) => format!("refuse {filter}"),
                Kill::Readdressed(request) => String::from_utf8(request.join(&b' ')).unwrap(),
                Kill::Here { request, .. } => String::from_utf8(request.join(&b' ')).unwrap(),
            }
        };
        let unused = "ID 9223372036854775807";
        for (request, expected) in [
            ("CLIENT KILL 10.0.0.9:1", format!("CLIENT KILL {unused}")),
            ("CLIENT KILL 10.0.0.9:2", "forward".to_owned()),
            (
                "CLIENT KILL ADDR 10.0.0.9:1",
                format!("CLIENT KILL {unused}"),
            ),
            (
                "CLIENT KILL type normal addr 10.0.0.9:1 skipme no",
                format!("CLIENT KILL type normal skipme no {unused}"),
            ),
            (
                &format!("CLIENT KILL ID {id} 7 8"),
                format!("CLIENT KILL {unused}"),
            ),
            ("CLIENT KILL ID 7", "forward".to_owned()),
            ("CLIENT KILL ADDR 10.0.0.9:1 LADDR x", "forward".to_owned()),
            ("CLIENT KILL ADDR 10.0.0.9:1 ID", "forward".to_owned()),
            (
                "CLIENT KILL ID 7 ADDR 10.0.0.9:1",
                "CLIENT KILL ID 7 ADDR 10.0.0.1:7".to_owned(),
            ),
            ("CLIENT KILL NAME me", "CLIENT KILL NAME me".to_owned()),
            ("CLIENT KILL USER default", "forward".to_owned()),
            ("CLIENT KILL not-name me", "refuse NOT-NAME".to_owned()),
            (
                "CLIENT KILL TYPE normal NOT-ID 1 2",
                "refuse NOT-ID".to_owned(),
            ),
        ] {
            assert_eq!(treatment(request), expected, "{request}");
        }
    }
}
