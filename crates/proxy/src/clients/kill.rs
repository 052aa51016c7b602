//! `CLIENT KILL`: which of the proxy's clients it means, and what the server is asked.
//!
//! A client with a connection of its own is killed by the server, under that connection's address. One on a lane is
//! killed here, once the server has allowed the same request, aimed at an identifier that cannot exist.

use std::sync::Arc;

use super::{Client, Clients, Connection, FIRST_ID};

/// An identifier that no server ever gives.
const NOBODY: &[u8] = b"9223372036854775807";

/// What becomes of a `CLIENT KILL`.
pub(crate) enum Kill {
    /// The server does it all.
    Forward,
    /// The server does it all, with this argument in the place of another.
    Readdressed { argument: usize, address: String },
    /// These arguments are sent; if the server allows it, these clients are killed here.
    Here {
        request: Vec<Vec<u8>>,
        targets: Targets,
    },
}

/// Clients that are killed here once the server has allowed it.
pub(crate) struct Targets {
    clients: Vec<Arc<Client>>,
    /// In the form with one address, the answer is no number.
    old_form: bool,
}

impl Targets {
    /// The server has given this reply: kills them where it allows it, and writes what is answered.
    pub(crate) fn kill(&self, reply: &[u8], out: &mut Vec<u8>) {
        let Some(by_server) = number(reply) else {
            return out.extend_from_slice(reply);
        };
        for client in &self.clients {
            client.kill();
        }
        let killed =
            by_server.saturating_add(u64::try_from(self.clients.len()).unwrap_or(u64::MAX));
        match (self.old_form, killed) {
            (false, _) => out.extend_from_slice(format!(":{killed}\r\n").as_bytes()),
            (true, 0) => out.extend_from_slice(b"-ERR No such client\r\n"),
            (true, _) => out.extend_from_slice(b"+OK\r\n"),
        }
    }
}

/// The number that a reply is, if it is one.
fn number(reply: &[u8]) -> Option<u64> {
    let digits = reply.strip_prefix(b":")?.strip_suffix(b"\r\n")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl Clients {
    /// What becomes of a `CLIENT KILL` with these arguments.
    pub(crate) fn kill(&self, arguments: &[&[u8]]) -> Kill {
        match arguments {
            [_, _, address] => self.kill_by_address(address),
            [_, _, filters @ ..] if filters.len() % 2 == 0 => self
                .kill_by_filters(arguments, filters)
                .unwrap_or(Kill::Forward),
            _ => Kill::Forward,
        }
    }

    fn kill_by_address(&self, address: &[u8]) -> Kill {
        let clients = match self.with_address(address) {
            Some(client) => match client.connection() {
                Connection::Own(Some(own)) => {
                    let address = own.to_string();
                    return Kill::Readdressed {
                        argument: 2,
                        address,
                    };
                }
                _ => vec![client],
            },
            None if self.is_shared(address) => Vec::new(),
            None => return Kill::Forward,
        };
        let request = [&b"CLIENT"[..], b"KILL", b"ID", NOBODY];
        Kill::Here {
            request: request.map(<[u8]>::to_vec).into(),
            targets: Targets {
                clients,
                old_form: true,
            },
        }
    }

    /// `None` where the server does it all.
    fn kill_by_filters(&self, arguments: &[&[u8]], filters: &[&[u8]]) -> Option<Kill> {
        let filter = |index: usize, name: &str| {
            let word = filters.get(index)?;
            word.eq_ignore_ascii_case(name.as_bytes()).then_some(())?;
            filters.get(index.saturating_add(1)).copied()
        };
        let places: Vec<usize> = (0..filters.len()).step_by(2).collect();
        let find = |name: &str| places.iter().find_map(|at| Some((*at, filter(*at, name)?)));
        if let Some((at, address)) = find("ADDR")
            && let Some(client) = self.with_address(address)
            && let Connection::Own(Some(own)) = client.connection()
        {
            let argument = at.saturating_add(3);
            let address = own.to_string();
            return Some(Kill::Readdressed { argument, address });
        }
        let on_lanes = self
            .all()
            .into_iter()
            .filter(|client| !matches!(client.connection(), Connection::Own(_)));
        let meant: Vec<_> = on_lanes
            .filter(|client| places.iter().all(|at| self.is_meant(client, filters, *at)))
            .collect();
        let id = find("ID").and_then(|(_, id)| std::str::from_utf8(id).ok()?.parse::<u64>().ok());
        let here = id.is_some_and(|id| id >= FIRST_ID)
            || find("ADDR").is_some_and(|(_, address)| {
                self.with_address(address).is_some() || self.is_shared(address)
            });
        let named = find("NAME").is_some() && !meant.is_empty();
        if !here && !named {
            return None;
        }
        let mut request: Vec<Vec<u8>> = arguments.iter().map(|it| it.to_vec()).collect();
        if here {
            self.aim_at_nobody(&mut request, &places, filters);
        }
        Some(Kill::Here {
            request,
            targets: Targets {
                clients: meant,
                old_form: false,
            },
        })
    }

    /// The same request, aimed at an identifier that cannot exist.
    fn aim_at_nobody(&self, request: &mut Vec<Vec<u8>>, places: &[usize], filters: &[&[u8]]) {
        request.truncate(2);
        for at in places {
            let pair = filters.get(*at..at.saturating_add(2)).unwrap_or_default();
            let is = |name: &str| {
                pair.first()
                    .is_some_and(|it| it.eq_ignore_ascii_case(name.as_bytes()))
            };
            if !is("ID") && !is("ADDR") {
                request.extend(pair.iter().map(|it| it.to_vec()));
            }
        }
        request.extend([b"ID".to_vec(), NOBODY.to_vec()]);
    }

    /// Whether the filter here means this client, which has no connection of its own.
    fn is_meant(&self, client: &Client, filters: &[&[u8]], at: usize) -> bool {
        let (Some(name), Some(value)) = (filters.get(at), filters.get(at.saturating_add(1))) else {
            return false;
        };
        let number = || std::str::from_utf8(value).ok()?.parse::<u64>().ok();
        match name.to_ascii_uppercase().as_slice() {
            b"ID" => number() == Some(client.id),
            b"ADDR" => client.address.as_bytes() == *value,
            b"NAME" => {
                let name = client.label(crate::pending::LabelKind::Name);
                name.as_deref().unwrap_or_default() == *value
            }
            b"USER" => self.user.as_bytes() == *value,
            b"TYPE" => value.eq_ignore_ascii_case(b"normal"),
            b"MAXAGE" => number().is_some_and(|age| client.since.elapsed().as_secs() >= age),
            // Whoever kills has a connection of its own.
            b"SKIPME" => true,
            _ => false,
        }
    }
}
