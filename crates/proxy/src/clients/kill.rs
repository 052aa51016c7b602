//! `CLIENT KILL`: which of the proxy's clients it means, and what the server is asked.
//!
//! The proxy's clients are killed here, once the server has allowed the same to this user, aimed at an identifier
//! that cannot exist: a server would kill the connection, which others may share, or another client may have by then.
//! What names none of them is the server's to do.

use std::sync::Arc;

use super::{Client, Clients, FIRST_ID, parse};
use crate::pending::LabelKind;

/// An identifier that no server ever gives.
const NOBODY: &[u8] = b"9223372036854775807";
/// The longest request that can mean a client of the proxy's: addresses, names and filters are short.
const MAX_ARGUMENTS: usize = 64;
const MAX_BYTES: usize = 8 * 1024;

/// What becomes of a `CLIENT KILL`.
pub(crate) enum Kill {
    /// The server does it all.
    Forward,
    /// The server does it all, with these arguments: the identifier is one of its own.
    Readdressed(Vec<Vec<u8>>),
    /// This filter tells connections by what the proxy's have in common: all clients of a lane would be hit.
    Refuse(&'static str),
    /// These arguments are sent, and the proxy does its part when the server has allowed it.
    Here {
        request: Vec<Vec<u8>>,
        kill: KillHere,
    },
}

/// Clients that are killed here once the server has allowed it.
pub(crate) struct KillHere {
    filters: Vec<Filter>,
    /// In the form with one address, the answer is no number.
    old_form: bool,
    /// The server has killed those with a connection of their own.
    only_on_lanes: bool,
    skip_me: bool,
}

/// What a client must be to be killed.
enum Filter {
    Ids(Vec<u64>),
    Address(Vec<u8>),
    Name(Vec<u8>),
    User(Vec<u8>),
    Kind(Vec<u8>),
    /// Seconds, at least.
    Age(u64),
}

/// A request, taken apart.
#[derive(Default)]
struct Parsed {
    filters: Vec<Filter>,
    /// Whether the one who asks is spared.
    skip_me: Option<bool>,
    /// Filters that do not tell the proxy's clients apart, as they came.
    others: Vec<Vec<u8>>,
}

impl Parsed {
    /// `None` where something is in it that only the server understands.
    fn of(arguments: &[&[u8]]) -> Option<Self> {
        let mut parsed = Self::default();
        let mut rest = arguments;
        while let [name, value, after @ ..] = rest {
            rest = after;
            match name.to_ascii_uppercase().as_slice() {
                b"ID" => {
                    let mut ids = vec![number(value)?];
                    // Valkey takes several.
                    while let [id, after @ ..] = rest
                        && let Some(id) = number(id)
                    {
                        ids.push(id);
                        rest = after;
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
            let is_aim = matches!(parsed.filters.last(), Some(Filter::Address(_)))
                && name.eq_ignore_ascii_case(b"ADDR");
            if !is_aim {
                parsed.others.extend([name.to_vec(), value.to_vec()]);
            }
        }
        rest.is_empty().then_some(parsed)
    }
}

impl Clients {
    /// What becomes of a `CLIENT KILL` with these arguments.
    pub(crate) fn kill(&self, arguments: &[&[u8]]) -> Kill {
        if let Some(filter) = shared_filter(arguments) {
            return Kill::Refuse(filter);
        }
        let bytes: usize = arguments.iter().map(|argument| argument.len()).sum();
        if arguments.len() > MAX_ARGUMENTS || bytes > MAX_BYTES {
            return Kill::Forward;
        }
        match arguments {
            [_, _, address] if self.means_ours(address) => Kill::Here {
                request: aimed_at_nobody(Vec::new()),
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
        let aims = |filter: &Filter| match filter {
            Filter::Address(address) => self.means_ours(address),
            Filter::Ids(ids) => ids.iter().any(|id| *id >= FIRST_ID),
            _ => false,
        };
        let is_aimed = parsed.filters.iter().any(aims);
        let of_server = |filter: &Filter| match filter {
            Filter::Ids(ids) => ids.iter().all(|id| *id < FIRST_ID),
            _ => false,
        };
        if is_aimed && parsed.filters.iter().any(of_server) {
            return Kill::Readdressed(self.readdressed(arguments));
        }
        let names = |filter: &Filter| matches!(filter, Filter::Name(_));
        let request = match is_aimed {
            true => aimed_at_nobody(parsed.others),
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
                only_on_lanes: !is_aimed,
                skip_me: parsed.skip_me.unwrap_or(true),
            },
        }
    }

    /// These arguments with the addresses of connections in the place of those of clients.
    fn readdressed(&self, arguments: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut readdressed: Vec<Vec<u8>> = arguments.iter().map(|it| it.to_vec()).collect();
        for (index, name) in arguments.iter().enumerate() {
            let of_connection = |address: &Vec<u8>| {
                let all = self.all();
                let mut clients = all.iter().filter(|it| it.address.as_bytes() == address);
                let client = clients.find(|it| it.has_own_connection())?;
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

    /// Whether this is the address of a client, or of a connection that belongs to no one client.
    fn means_ours(&self, address: &[u8]) -> bool {
        self.has_address(address) || parse(address).is_some_and(|address| self.is_shared(address))
    }
}

impl KillHere {
    /// The server has given this reply to the request: kills the clients where it allows it, and writes what is
    /// answered. Whether the one who asked is one of them: it is closed when it has its answer.
    pub(crate) fn kill(
        &self,
        clients: &Clients,
        asking: &Client,
        reply: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(by_server) = reply
            .strip_prefix(b":")
            .and_then(|it| number(it.trim_ascii()))
        else {
            out.extend_from_slice(reply);
            return false;
        };
        let all = clients.all();
        let is_spared = |client: &Client| {
            self.only_on_lanes && client.has_own_connection()
                || self.skip_me && client.id == asking.id
        };
        let is_meant = |client: &Client| {
            self.filters
                .iter()
                .all(|filter| filter.means(client, clients))
        };
        let meant: Vec<&Arc<Client>> = all
            .iter()
            .filter(|client| !is_spared(client) && is_meant(client))
            .collect();
        let mut ends_asking = false;
        for client in &meant {
            match client.id == asking.id {
                true => ends_asking = true,
                false => {
                    client.kill();
                }
            }
        }
        let killed = u64::try_from(meant.len()).unwrap_or(u64::MAX);
        match (self.old_form, by_server.saturating_add(killed)) {
            (false, killed) => out.extend_from_slice(format!(":{killed}\r\n").as_bytes()),
            (true, 0) => out.extend_from_slice(b"-ERR No such client\r\n"),
            (true, _) => out.extend_from_slice(b"+OK\r\n"),
        }
        ends_asking
    }

    /// Bytes that are held for it beyond a constant.
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

    fn means(&self, client: &Client, clients: &Clients) -> bool {
        match self {
            Self::Ids(ids) => ids.contains(&client.id),
            Self::Address(address) => client.address.as_bytes() == address,
            Self::Name(name) => client.label(LabelKind::Name).as_deref() == Some(name),
            Self::User(user) => clients.user.as_bytes() == user,
            Self::Kind(kind) => kind.eq_ignore_ascii_case(b"normal"),
            Self::Age(age) => client.since.elapsed().as_secs() >= *age,
        }
    }
}

/// A request that asks only for the right.
fn aimed_at_nobody(others: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut request = [&b"CLIENT"[..], b"KILL"].map(<[u8]>::to_vec).to_vec();
    request.extend(others);
    request.extend([b"ID".to_vec(), NOBODY.to_vec()]);
    request
}

/// The filter among these arguments that all of the proxy's shared connections match, because it negates what
/// tells clients apart.
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
            .find(|it| argument.eq_ignore_ascii_case(it.as_bytes()))
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
    fn only_a_request_that_is_understood_as_a_whole_is_carried_out_here() {
        let clients = Arc::new(Clients::default());
        let client = clients.register("10.0.0.9:1".to_owned());
        let id = client.client.id.to_string();
        let own = "10.0.0.1:7".parse().ok();
        client
            .client
            .moved_to(super::super::Connection::Dedicated(own));
        let what = |words: &str| {
            let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
            match clients.kill(&words) {
                Kill::Forward => "forward".to_owned(),
                Kill::Refuse(filter) => format!("refuse {filter}"),
                Kill::Readdressed(request) => String::from_utf8(request.join(&b' ')).unwrap(),
                Kill::Here { request, .. } => String::from_utf8(request.join(&b' ')).unwrap(),
            }
        };
        let nobody = "ID 9223372036854775807";
        for (request, expected) in [
            ("CLIENT KILL 10.0.0.9:1", format!("CLIENT KILL {nobody}")),
            ("CLIENT KILL 10.0.0.9:2", "forward".to_owned()),
            (
                "CLIENT KILL ADDR 10.0.0.9:1",
                format!("CLIENT KILL {nobody}"),
            ),
            (
                "CLIENT KILL type normal addr 10.0.0.9:1 skipme no",
                format!("CLIENT KILL type normal skipme no {nobody}"),
            ),
            (
                &format!("CLIENT KILL ID {id} 7 8"),
                format!("CLIENT KILL {nobody}"),
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
            assert_eq!(what(request), expected, "{request}");
        }
    }
}
