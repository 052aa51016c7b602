//! The work of the clients of one round, decided before it begins, so that a round can be repeated and made
//! smaller.

use std::fmt;

use super::directed::DIRECTED;
use super::exceptions::{FOREVER, skipped};
use super::grammar;
use super::mutation::mutate;
use super::request::Request;
use waxseal_testing::Chance;

/// Clients whose replies are compared.
pub(super) const CLIENTS: usize = 2;

/// Steps of a random round.
const STEPS: usize = 60;

/// The initial records of every round, of each kind.
const PREPARATION: &[&str] = &[
    "SET wa:s0 amatista0",
    "SET open:s0 obsidiana0",
    "SET wa:s1 ''",
    "SET open:s0n 7",
    "HSET wa:h0 f0 amatista1 f1 amatista2",
    "HSET open:h0 f0 obsidiana1 1 5",
    "RPUSH wa:l0 amatista3 amatista4",
    "RPUSH open:l0 obsidiana2 obsidiana3 3",
    "SADD open:t0 1 2 3",
    "ZADD open:z0 1 a 2 b 3 amatista0",
    "XADD open:x0 1-1 f0 v",
    "XGROUP CREATE open:x0 gr 0",
    "XGROUP CREATE open:quiet gr $ MKSTREAM",
    "GEOADD open:g0 13.361389 38.115556 amatista0 15.08 37.5 amatista1",
    "PFADD open:p0 a b",
    "SETBIT open:b0 3 1",
];

/// The work of one client.
#[derive(Clone)]
pub(super) enum Action {
    /// Sends requests together and reads their replies.
    Exchange(Vec<Request>),
    /// Sends requests of which one may switch replies off, then switches them on.
    Silent(Vec<Request>),
    /// Sends a request without waiting for the reply, and leaves. Only through the proxy.
    Unanswered(Request),
    /// Closes the connection and opens another.
    Reconnect,
}

#[derive(Clone)]
pub(super) struct Step {
    pub(super) client: usize,
    pub(super) action: Action,
}

#[derive(Clone)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
}

/// The initial records of every round.
pub(super) fn preparation() -> Step {
    let requests = PREPARATION.iter().map(|line| Request::parse(line));
    Step {
        client: 0,
        action: Action::Exchange(requests.collect()),
    }
}

impl Plan {
    /// Entries of the directed list, each request by request, all requests at once, or both in turn.
    pub(super) fn directed(entries: &[&str], modes: &[bool], chance: &mut Chance) -> Self {
        let mut plan = Self { steps: Vec::new() };
        for entry in entries {
            for together in modes.iter().copied() {
                if !plan.steps.is_empty() {
                    plan.add(0, Action::Reconnect);
                }
                plan.add_directed(0, entry, together, chance);
                plan.add_probes(chance);
            }
        }
        plan
    }

    pub(super) fn random(chance: &mut Chance) -> Self {
        let mut plan = Self { steps: Vec::new() };
        for client in 0..CLIENTS {
            if chance.one_in(2) {
                plan.add(client, Action::Exchange(vec![Request::parse("HELLO 3")]));
            }
        }
        for _ in 0..STEPS {
            let client = chance.below(CLIENTS);
            match chance.below(40) {
                0..30 => plan.add_groups(client, chance),
                30..33 => plan.add_transaction(client, chance),
                33..36 => plan.add_silence(client, chance),
                36..39 => {
                    let line = chance.pick(DIRECTED);
                    let together = chance.one_in(2);
                    plan.add_directed(client, line, together, chance);
                }
                _ => plan.add(client, Action::Reconnect),
            }
        }
        plan
    }

    fn add(&mut self, client: usize, action: Action) {
        if matches!(action, Action::Silent(_)) {
            // In a transaction nothing would switch replies on again.
            let discard = Action::Exchange(vec![Request::parse("DISCARD")]);
            self.steps.push(Step {
                client,
                action: discard,
            });
        }
        self.steps.push(Step { client, action });
    }

    /// Requests as lines have them, with mutations, one by one or together.
    fn add_groups(&mut self, client: usize, chance: &mut Chance) {
        let count = if chance.one_in(2) {
            1
        } else {
            1 + chance.below(8)
        };
        let mut requests = Vec::new();
        for _ in 0..count {
            requests.extend(grammar::group(chance));
        }
        let together = chance.one_in(2);
        self.add_requests(client, requests, together, chance);
    }

    /// A transaction of requests of every kind.
    fn add_transaction(&mut self, client: usize, chance: &mut Chance) {
        let mut requests = vec![Request::parse("MULTI")];
        for _ in 0..1 + chance.below(4) {
            requests.push(grammar::simple(chance));
        }
        let end = if chance.one_in(4) { "DISCARD" } else { "EXEC" };
        requests.push(Request::parse(end));
        let together = chance.one_in(2);
        self.add_requests(client, requests, together, chance);
        self.add(client, Action::Exchange(vec![Request::parse("DISCARD")]));
    }

    fn add_requests(
        &mut self,
        client: usize,
        mut requests: Vec<Request>,
        together: bool,
        chance: &mut Chance,
    ) {
        for request in &mut requests {
            if chance.one_in(2) {
                mutate(request, chance);
            }
        }
        let waits = |it: &Request| it.command() == "xread" && skipped(it) == Some(FOREVER);
        let waiting = requests.iter().find(|it| waits(it)).cloned();
        requests.retain(|request| skipped(request).is_none());
        self.add_sent(client, requests, together);
        if let Some(waiting) = waiting {
            self.add(client, Action::Unanswered(waiting));
        }
    }

    /// Requests that say that no reply comes are in a step of their own.
    fn add_sent(&mut self, client: usize, requests: Vec<Request>, together: bool) {
        let mut batch = Vec::new();
        for request in requests {
            let silent = request.command() == "client|reply";
            if silent {
                if !batch.is_empty() {
                    self.add(client, Action::Exchange(std::mem::take(&mut batch)));
                }
                self.add(client, Action::Silent(vec![request]));
                continue;
            }
            batch.push(request);
            if !together {
                self.add(client, Action::Exchange(std::mem::take(&mut batch)));
            }
        }
        if !batch.is_empty() {
            self.add(client, Action::Exchange(batch));
        }
    }

    /// Replies switched off or skipped, with requests of which none is refused.
    fn add_silence(&mut self, client: usize, chance: &mut Chance) {
        let mode = chance.pick(&["OFF", "SKIP", "ON", "MAYBE"]);
        let mut first = Request::parse(&format!("CLIENT REPLY {mode}"));
        if chance.one_in(2) {
            mutate(&mut first, chance);
        }
        let mut requests = vec![first];
        for _ in 0..chance.below(4) {
            let line = chance.pick(&[
                "GET {s}",
                "SET {s} {v}",
                "PING",
                "LRANGE {l} 0 -1",
                "HGET {h} {f}",
                "ECHO {v}",
                "CLIENT REPLY SKIP",
                "CLIENT REPLY OFF\0",
                "HGET wa:h0 f0",
                "GET wa:s0",
            ]);
            requests.extend(grammar::from_line(line, chance));
        }
        self.add(client, Action::Silent(requests));
    }

    /// One entry of the directed list: see there.
    fn add_directed(&mut self, client: usize, line: &str, together: bool, chance: &mut Chance) {
        if let Some(line) = line.strip_prefix('~') {
            let requests = grammar::from_line(line, chance);
            return self.add(client, Action::Silent(requests));
        }
        let (line, last) = match line.split_once('!') {
            Some((before, last)) => (before.trim_end_matches(';'), Some(last)),
            None => (line, None),
        };
        if !line.is_empty() {
            let requests = grammar::from_line(line, chance);
            self.add_sent(client, requests, together);
        }
        if let Some(last) = last {
            for request in grammar::from_line(last, chance) {
                self.add(client, Action::Unanswered(request));
            }
        }
    }

    /// Requests whose replies show whether pairing and state are still right.
    fn add_probes(&mut self, chance: &mut Chance) {
        for client in 0..CLIENTS {
            let line =
                "GET wa:s0;SET open:s1 obsidiana;HGETALL wa:h0;LRANGE wa:l0 0 -1;GET open:s1";
            let requests = grammar::from_line(line, chance);
            self.add_sent(client, requests, client == 0);
        }
    }

    /// Requests in it.
    pub(super) fn len(&self) -> usize {
        self.steps.iter().map(|step| step.action.len()).sum()
    }
}

impl Action {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Exchange(requests) | Self::Silent(requests) => requests.len(),
            Self::Unanswered(_) | Self::Reconnect => 1,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Step { client, action } in &self.steps {
            let (how, requests) = match action {
                Action::Exchange(requests) if requests.len() == 1 => ("", requests.as_slice()),
                Action::Exchange(requests) => (" pipelined", requests.as_slice()),
                Action::Silent(requests) => (" perhaps without replies", requests.as_slice()),
                Action::Unanswered(request) => (" without waiting", std::slice::from_ref(request)),
                Action::Reconnect => (" reconnects", &[][..]),
            };
            writeln!(f, "    client {client}{how}:")?;
            for request in requests {
                writeln!(f, "        {request}")?;
            }
        }
        Ok(())
    }
}

#[test]
fn a_round_is_the_same_for_the_same_seed() {
    let plan = |seed| Plan::random(&mut Chance::seeded(seed)).to_string();
    assert_eq!(plan(5), plan(5));
    assert_ne!(plan(5), plan(6));
}
