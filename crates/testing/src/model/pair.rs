//! The two sides of a model, and the connections of its clients: one that goes through a proxy, and
//! one that does not.

use super::Model;
use super::generator::CLIENTS;
use crate::{Link, ReplyTree, Silence};

/// Every second client speaks the third version of the protocol.
const RESP3: [&str; 2] = ["HELLO", "3"];

/// One client, on both sides.
pub(super) struct ClientPair {
    pub(super) through: Link,
    pub(super) direct: Link,
}

/// All connections.
pub(super) struct Pair {
    pub(super) clients: Vec<ClientPair>,
    /// Straight to the server behind the proxy.
    pub(super) behind: Link,
    /// To what writes another form.
    pub(super) before: Link,
    /// A client that is used to look.
    pub(super) observer: ClientPair,
    ports: Ports,
}

/// What clients connect to.
#[derive(Clone, Copy)]
struct Ports {
    through: u16,
    second: Option<u16>,
    direct: u16,
}

impl Ports {
    /// The proxy of a client.
    fn proxy(self, client: usize) -> u16 {
        match self.second {
            Some(second) if client / 2 % 2 == 1 => second,
            _ => self.through,
        }
    }
}

impl Pair {
    /// Connects to empty servers: what was there is deleted.
    pub(super) fn connect(model: &Model) -> Self {
        let ports = Ports {
            through: model.through,
            second: model.second,
            direct: model.direct,
        };
        let mut behind = Link::connect(model.behind);
        let mut observer = connect(ports, 0);
        for link in [&mut behind, &mut observer.direct] {
            let reply = link.ask(&["FLUSHALL"]).expect("a server answers");
            assert!(!reply.is_error(), "{reply:?}");
        }
        Self {
            clients: (0..CLIENTS).map(|client| connect(ports, client)).collect(),
            behind,
            before: Link::connect(model.before),
            observer,
            ports,
        }
    }

    /// Replaces a client.
    pub(super) fn reconnect(&mut self, client: usize) {
        self.clients[client] = connect(self.ports, client);
    }

    /// A client of its own, for as long as it is kept.
    pub(super) fn another(&self) -> ClientPair {
        connect(self.ports, 0)
    }

    /// Clients that wait, on each side.
    pub(super) fn blocked(&mut self) -> Result<(usize, usize), Silence> {
        Ok((
            blocked(&mut self.behind)?,
            blocked(&mut self.observer.direct)?,
        ))
    }
}

fn connect(ports: Ports, client: usize) -> ClientPair {
    let mut pair = ClientPair {
        through: Link::connect(ports.proxy(client)),
        direct: Link::connect(ports.direct),
    };
    if client % 2 == 1 {
        for link in [&mut pair.through, &mut pair.direct] {
            let reply = link.ask(&RESP3).expect("a server answers");
            assert!(!reply.is_error(), "{reply:?}");
        }
    }
    pair
}

fn blocked(link: &mut Link) -> Result<usize, Silence> {
    let info: ReplyTree = link.ask(&["INFO", "clients"])?;
    let info = String::from_utf8_lossy(&info.text);
    let field = info
        .lines()
        .find_map(|line| line.strip_prefix("blocked_clients:"));
    Ok(field.and_then(|it| it.trim().parse().ok()).unwrap_or(0))
}
