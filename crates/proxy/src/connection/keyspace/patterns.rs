//! The patterns of channels that a client has subscribed to, and those that the server has in place of them.

use std::collections::{BTreeSet, HashMap, VecDeque};

/// A pattern that nobody subscribes to: a server acknowledges the end of each subscription, whether there was one or not.
const NO_PATTERN: &[u8] = b"__waxseal@none__";

/// The patterns of channels that a client has subscribed to.
#[derive(Default)]
pub(in crate::connection) struct PatternTable {
    /// Each, with the one that the server has in place of it.
    pub(super) clients: HashMap<Box<[u8]>, Box<[u8]>>,
    /// Those that the server has, with the client's.
    servers: HashMap<Box<[u8]>, BTreeSet<Box<[u8]>>>,
    /// What the acknowledgements that are expected say, in order.
    pub(super) steps: VecDeque<Step>,
    /// The bytes of all patterns.
    pub(super) bytes: usize,
}

/// The change of one subscription.
pub(super) enum Step {
    Begin {
        client: Box<[u8]>,
        server: Box<[u8]>,
    },
    End {
        client: Box<[u8]>,
    },
}

impl Step {
    pub(super) fn into_client(self) -> Box<[u8]> {
        match self {
            Self::Begin { client, .. } | Self::End { client } => client,
        }
    }
}

impl PatternTable {
    pub(super) fn apply(&mut self, step: &Step) {
        match step {
            Step::Begin { client, .. } if self.clients.contains_key(client) => {}
            Step::Begin { client, server } => {
                let len = client.len().saturating_add(server.len());
                self.bytes = self.bytes.saturating_add(len);
                self.clients.insert(client.clone(), server.clone());
                let of_server = self.servers.entry(server.clone()).or_default();
                of_server.insert(client.clone());
            }
            Step::End { client } => {
                let Some(server) = self.clients.remove(client) else {
                    return;
                };
                let len = client.len().saturating_add(server.len());
                self.bytes = self.bytes.saturating_sub(len);
                if let Some(of_server) = self.servers.get_mut(&server) {
                    of_server.remove(client);
                    if of_server.is_empty() {
                        self.servers.remove(&server);
                    }
                }
            }
        }
    }

    /// The number of subscriptions that the client has and the server has not, because several are one there.
    pub(super) fn additional(&self) -> usize {
        self.clients.len().saturating_sub(self.servers.len())
    }

    /// The client's patterns in place of which the server has this one.
    pub(super) fn clients_of(&self, server: &[u8]) -> impl Iterator<Item = &[u8]> {
        let of_server = self.servers.get(server);
        of_server.into_iter().flatten().map(|client| &**client)
    }

    /// True if what the server delivers through this pattern is what the client has asked for.
    pub(in crate::connection) fn is_exact(&self, server: &[u8]) -> bool {
        self.clients_of(server).eq([server])
    }
}

/// What a request makes of the subscriptions, before the server has accepted it.
pub(super) struct Plan<'t> {
    table: &'t PatternTable,
    /// The client's patterns that begin or end, with those of the server; `None` for one that has ended.
    clients: HashMap<Box<[u8]>, Option<Box<[u8]>>>,
    /// By how many the client's patterns increase that are this one at the server.
    counts: HashMap<Box<[u8]>, i64>,
}

impl<'t> Plan<'t> {
    pub(super) fn new(table: &'t PatternTable) -> Self {
        Self {
            table,
            clients: HashMap::new(),
            counts: HashMap::new(),
        }
    }

    fn server_of(&self, client: &[u8]) -> Option<Box<[u8]>> {
        match self.clients.get(client) {
            Some(changed) => changed.clone(),
            None => self.table.clients.get(client).cloned(),
        }
    }

    fn count(&mut self, server: &[u8], change: i64) -> i64 {
        let known = self.table.servers.get(server).map_or(0, BTreeSet::len);
        let known = i64::try_from(known).unwrap_or(i64::MAX);
        let changed = self.counts.entry(server.into()).or_default();
        *changed = changed.saturating_add(change);
        known.saturating_add(*changed)
    }

    /// What the server is asked for in this step.
    pub(super) fn argument(&mut self, step: &Step) -> Box<[u8]> {
        match step {
            Step::Begin { client, server } => {
                if self.server_of(client).is_none() {
                    self.clients.insert(client.clone(), Some(server.clone()));
                    self.count(server, 1);
                }
                server.clone()
            }
            Step::End { client } => {
                let Some(server) = self.server_of(client) else {
                    return NO_PATTERN.into();
                };
                self.clients.insert(client.clone(), None);
                match self.count(&server, -1) {
                    0 => server,
                    _ => NO_PATTERN.into(),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(client: &str, server: &str) -> Step {
        Step::Begin {
            client: client.as_bytes().into(),
            server: server.as_bytes().into(),
        }
    }

    fn end(client: &str) -> Step {
        let client = client.as_bytes().into();
        Step::End { client }
    }

    #[test]
    fn patterns_that_are_one_at_the_server_are_counted_for_the_client() {
        let mut table = PatternTable::default();
        for (step, additional) in [
            (begin("a1*", "a*"), 0),
            (begin("a2*", "a*"), 1),
            (begin("a2*", "a*"), 1),
            (begin("b*", "b*"), 1),
            (end("none"), 1),
        ] {
            table.apply(&step);
            assert_eq!(table.additional(), additional);
        }
        assert!(!table.is_exact(b"a*") && table.is_exact(b"b*"));
        table.apply(&end("a1*"));
        assert_eq!(table.additional(), 0);
        assert!(table.clients_of(b"a*").eq([&b"a2*"[..]]));
        for client in ["a2*", "b*"] {
            table.apply(&end(client));
        }
        assert_eq!((table.bytes, table.servers.len()), (0, 0));
    }

    #[test]
    fn a_subscription_of_the_server_ends_with_the_last_of_the_client() {
        let mut table = PatternTable::default();
        table.apply(&begin("a1*", "a*"));
        let mut plan = Plan::new(&table);
        for (step, argument) in [
            (begin("a2*", "a*"), &b"a*"[..]),
            (begin("a2*", "a*"), b"a*"),
            (end("a1*"), NO_PATTERN),
            (end("a1*"), NO_PATTERN),
            // The client has none of this name.
            (end("a*"), NO_PATTERN),
            (end("a2*"), b"a*"),
            (begin("a1*", "a*"), b"a*"),
            (end("a1*"), b"a*"),
        ] {
            assert_eq!(&*plan.argument(&step), argument);
        }
    }
}
