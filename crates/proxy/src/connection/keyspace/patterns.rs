//! The patterns of channels that a client has subscribed to, and those that the server has in place of them. A client may have
//! very many: each change takes time for itself alone.

use std::collections::{BTreeSet, HashMap, VecDeque};

/// The bytes that a subscription takes beside its patterns, about.
const OVERHEAD: usize = 128;

/// The patterns of channels that a client has subscribed to.
#[derive(Default)]
pub(in crate::connection) struct PatternTable {
    /// For each pattern of the client, the one that the server has in place of it.
    servers: HashMap<Box<[u8]>, Box<[u8]>>,
    /// For each pattern that the server has, those of the client.
    clients: HashMap<Box<[u8]>, BTreeSet<Box<[u8]>>>,
    retained_bytes: usize,
    /// What the acknowledgements that are expected say, in order.
    pub(super) steps: VecDeque<Step>,
}

/// The change of one subscription.
pub(super) enum Step {
    Begin {
        client: Box<[u8]>,
        server: Box<[u8]>,
    },
    End(Box<[u8]>),
}

impl PatternTable {
    /// Makes a change that the server has acknowledged.
    pub(super) fn apply(&mut self, step: &Step) {
        match step {
            Step::Begin { client, .. } if self.servers.contains_key(client) => {}
            Step::Begin { client, server } => {
                self.retained_bytes = self.retained_bytes.saturating_add(size(client, server));
                self.servers.insert(client.clone(), server.clone());
                let clients = self.clients.entry(server.clone()).or_default();
                clients.insert(client.clone());
            }
            Step::End(client) => {
                let Some(server) = self.servers.remove(client) else {
                    return;
                };
                self.retained_bytes = self.retained_bytes.saturating_sub(size(client, &server));
                if let Some(clients) = self.clients.get_mut(&server) {
                    clients.remove(client);
                    if clients.is_empty() {
                        self.clients.remove(&server);
                    }
                }
            }
        }
    }

    /// The number of subscriptions that the client has and the server has not, because several are one there.
    pub(super) fn additional(&self) -> usize {
        self.servers.len().saturating_sub(self.clients.len())
    }

    /// The client's patterns.
    pub(super) fn all(&self) -> impl Iterator<Item = &[u8]> {
        self.servers.keys().map(|client| &**client)
    }

    /// The client's patterns in place of which the server has this one.
    pub(super) fn clients_of(&self, server: &[u8]) -> impl Iterator<Item = &[u8]> {
        let clients = self.clients.get(server).into_iter().flatten();
        clients.map(|client| &**client)
    }

    /// True if what the server delivers through this pattern is what the client has asked for.
    pub(in crate::connection) fn is_exact(&self, server: &[u8]) -> bool {
        self.clients_of(server).eq([server])
    }
}

/// A table as it would be after some changes.
pub(super) struct PlannedPatterns<'t> {
    table: &'t PatternTable,
    /// The changed patterns of the client, with those that the server has in place of them; `None` if there is none.
    changed: HashMap<Box<[u8]>, Option<Box<[u8]>>>,
    /// By how many of them each pattern of the server has more or less.
    counts: HashMap<Box<[u8]>, i64>,
    retained_bytes: usize,
}

impl<'t> PlannedPatterns<'t> {
    pub(super) fn new(table: &'t PatternTable) -> Self {
        Self {
            table,
            changed: HashMap::new(),
            counts: HashMap::new(),
            retained_bytes: table.retained_bytes,
        }
    }

    /// Begins a subscription, unless the client has it.
    pub(super) fn begin(&mut self, client: &[u8], server: &[u8]) {
        if self.server_of(client).is_some() {
            return;
        }
        self.retained_bytes = self.retained_bytes.saturating_add(size(client, server));
        self.count(server, 1);
        self.changed.insert(client.into(), Some(server.into()));
    }

    /// Ends a subscription. Returns the pattern that the server then does not need any more.
    pub(super) fn end(&mut self, client: &[u8]) -> Option<Box<[u8]>> {
        let server: Box<[u8]> = self.server_of(client)?.into();
        self.retained_bytes = self.retained_bytes.saturating_sub(size(client, &server));
        let change = self.count(&server, -1);
        self.changed.insert(client.into(), None);
        let before = self.table.clients.get(&server).map_or(0, BTreeSet::len);
        let remaining = i64::try_from(before).unwrap_or(i64::MAX);
        (remaining.saturating_add(change) <= 0).then_some(server)
    }

    /// Bytes that the table would take.
    pub(super) fn retained_bytes(&self) -> usize {
        self.retained_bytes
    }

    fn server_of(&self, client: &[u8]) -> Option<&[u8]> {
        match self.changed.get(client) {
            Some(changed) => changed.as_deref(),
            None => self.table.servers.get(client).map(|server| &**server),
        }
    }

    fn count(&mut self, server: &[u8], change: i64) -> i64 {
        let count = self.counts.entry(server.into()).or_default();
        *count = count.saturating_add(change);
        *count
    }
}

fn size(client: &[u8], server: &[u8]) -> usize {
    let patterns = client.len().saturating_add(server.len());
    patterns.saturating_mul(2).saturating_add(OVERHEAD)
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

    #[test]
    fn patterns_that_are_one_at_the_server_are_counted_for_the_client() {
        let mut table = PatternTable::default();
        let mut apply = |step: Step| {
            table.apply(&step);
            table.additional()
        };
        assert_eq!(apply(begin("a1*", "a*")), 0);
        assert_eq!(apply(begin("a2*", "a*")), 1);
        assert_eq!(apply(begin("a2*", "a*")), 1);
        assert_eq!(apply(begin("b*", "b*")), 1);
        assert_eq!(apply(Step::End(b"a1*"[..].into())), 0);
        assert_eq!(apply(Step::End(b"a1*"[..].into())), 0);
        assert!(table.is_exact(b"b*") && !table.is_exact(b"a*"));
        assert!(table.clients_of(b"a*").eq([&b"a2*"[..]]));
        table.apply(&Step::End(b"a2*"[..].into()));
        table.apply(&Step::End(b"b*"[..].into()));
        assert_eq!((table.all().count(), table.retained_bytes), (0, 0));
    }

    #[test]
    fn a_pattern_of_the_server_ends_with_the_last_one_of_the_client() {
        let mut table = PatternTable::default();
        table.apply(&begin("a1*", "a*"));
        table.apply(&begin("a2*", "a*"));
        let mut planned = PlannedPatterns::new(&table);
        assert_eq!(planned.end(b"a1*"), None);
        assert_eq!(planned.end(b"a1*"), None);
        planned.begin(b"a3*", b"a*");
        assert_eq!(planned.end(b"a2*"), None);
        assert_eq!(planned.end(b"a3*").as_deref(), Some(&b"a*"[..]));
        assert_eq!(planned.retained_bytes(), 0);
        planned.begin(b"a1*", b"a*");
        assert_eq!(planned.end(b"a1*").as_deref(), Some(&b"a*"[..]));
    }
}
