//! Plays a history on both sides and compares every reply, and in the end everything that is stored.

use std::fmt;
use std::time::{Duration, Instant};

use super::Model;
use super::comparison::{Comparison, is_same, leaves, sorted};
use super::generator::{CLIENTS, names};
use super::pair::Pair;
use super::request::Request;
use super::step::Step;
use crate::link::{REPLY_TIMEOUT, encode};
use crate::{Link, ReplyTree, Silence};

mod stored;

/// A waiting request is at both servers within this time, or answered.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// Pages of a scan are not more than this.
const MAX_PAGES: usize = 1000;

/// What was not the same.
#[derive(Clone, Debug)]
pub(super) struct Difference {
    /// The number of the step; that of steps where it was found in the end.
    pub(super) step: usize,
    request: String,
    through: String,
    direct: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}\n    through {}\n    direct  {}",
            self.request, self.through, self.direct
        )
    }
}

/// One played history.
pub(super) struct Player<'a> {
    pair: Pair,
    model: &'a Model,
    /// The requests that each client has queued in its transaction, if it is in one.
    queued: Vec<Option<Vec<Comparison>>>,
    requests: usize,
    transactions: usize,
    errors: usize,
}

type Outcome = Result<(), (String, String, String)>;

impl<'a> Player<'a> {
    pub(super) fn new(pair: Pair, model: &'a Model) -> Self {
        Self {
            pair,
            model,
            queued: vec![None; CLIENTS],
            requests: 0,
            transactions: 0,
            errors: 0,
        }
    }

    pub(super) fn requests(&self) -> usize {
        self.requests
    }

    pub(super) fn transactions(&self) -> usize {
        self.transactions
    }

    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    pub(super) fn play(&mut self, history: &[Step]) -> Result<(), Difference> {
        let difference = |step, (request, through, direct)| Difference {
            step,
            request,
            through,
            direct,
        };
        for (number, step) in history.iter().enumerate() {
            self.step(step).map_err(|it| difference(number, it))?;
        }
        let end = history.len() - 1;
        self.finish().map_err(|it| difference(end, it))
    }

    fn step(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Exchange { client, requests } => self.exchange(*client, requests),
            Step::Scan { client, request } => self.scan(*client, request),
            Step::Chosen { client, request } => self.chosen(*client, request),
            Step::Blocked {
                client,
                request,
                other,
                waking,
            } => self.blocked(*client, request, *other, waking),
            Step::Reconnect { client } => {
                self.queued[*client] = None;
                self.pair.reconnect(*client);
                Ok(())
            }
            Step::Message {
                subscription,
                client,
                publication,
            } => self.message(subscription, *client, publication),
            Step::Earlier { request } => {
                let bytes = encode(&request.words);
                for link in [&mut self.pair.before, &mut self.pair.observer.direct] {
                    link.send(&bytes);
                    // Refused or not, it is what both sides begin with.
                    let _ = link.reply(REPLY_TIMEOUT);
                }
                Ok(())
            }
        }
    }

    fn exchange(&mut self, client: usize, requests: &[Request]) -> Outcome {
        self.requests += requests.len();
        let bytes: Vec<u8> = requests.iter().flat_map(|it| encode(&it.words)).collect();
        let pair = &mut self.pair.clients[client];
        pair.through.send(&bytes);
        pair.direct.send(&bytes);
        let mut outcome = Ok(());
        for request in requests {
            let pair = &mut self.pair.clients[client];
            let direct = pair.direct.reply(REPLY_TIMEOUT);
            let through = pair.through.reply(REPLY_TIMEOUT);
            let silent = through.is_err() || direct.is_err();
            // Behind a difference the replies are only awaited: no request is under way when the next history begins.
            if outcome.is_ok() {
                outcome = self.compare(client, request, through, direct);
            }
            if silent {
                break;
            }
        }
        outcome
    }

    fn compare(
        &mut self,
        client: usize,
        request: &Request,
        through: Result<ReplyTree, Silence>,
        direct: Result<ReplyTree, Silence>,
    ) -> Outcome {
        let shown = (
            format!("client {client}: {request}"),
            format!("{through:?}"),
            format!("{direct:?}"),
        );
        let (Ok(through), Ok(direct)) = (through, direct) else {
            return Err(shown);
        };
        self.errors += usize::from(direct.is_error());
        let command = request.command();
        let queued = &mut self.queued[client];
        let same = match (command.as_str(), queued.as_ref()) {
            ("EXEC", Some(queued)) if direct.items.len() == queued.len() => {
                let replies = through.items.iter().zip(&direct.items).zip(queued);
                self.transactions += 1;
                through.kind == direct.kind
                    && through.items.len() == direct.items.len()
                    && replies
                        .into_iter()
                        .all(|((one, other), comparison)| is_same(*comparison, one, other))
            }
            // Both sides said that it is queued, or that it is wrong.
            (_, Some(_)) => through == direct,
            (_, None) => is_same(request.comparison, &through, &direct),
        };
        match command.as_str() {
            "MULTI" if !direct.is_error() => *queued = Some(Vec::new()),
            "EXEC" | "DISCARD" => *queued = None,
            _ => {
                if let Some(queued) = queued.as_mut().filter(|_| direct.is_queued()) {
                    queued.push(request.comparison);
                }
            }
        }
        if same { Ok(()) } else { Err(shown) }
    }

    /// All pages on each side, in whichever order their elements come.
    fn scan(&mut self, client: usize, request: &Request) -> Outcome {
        let Comparison::Pages(size) = request.comparison else {
            return Ok(());
        };
        if self.queued[client].is_some() {
            return Ok(());
        }
        self.requests += 1;
        let pair = &mut self.pair.clients[client];
        let through = pages(&mut pair.through, request, size);
        let direct = pages(&mut pair.direct, request, size);
        if through == direct {
            return Ok(());
        }
        Err((
            format!("client {client}, all pages: {request}"),
            format!("{through:?}"),
            format!("{direct:?}"),
        ))
    }

    /// Lets the server behind the proxy choose, and checks what it chose at the direct one.
    fn chosen(&mut self, client: usize, request: &Request) -> Outcome {
        if self.queued[client].is_some() {
            return Ok(());
        }
        self.requests += 1;
        let pair = &mut self.pair.clients[client];
        let through = pair.through.ask(&request.words);
        let chosen = through.as_ref().map(leaves).unwrap_or_default();
        let failed = through.as_ref().is_ok_and(ReplyTree::is_error);
        let (direct, same) = match (request.comparison, &through) {
            (_, Err(_)) => (Err(Silence::Closed), false),
            (Comparison::Taken(removal), Ok(through)) if !failed => {
                let name = request.words[1].as_slice();
                let before = pair.direct.ask(&[b"SCARD", name]);
                let wanted = request.words.get(2).map_or(1, |it| number(it));
                let expected = before.as_ref().map_or(0, |it| number(&it.text)).min(wanted);
                let taken: Vec<Vec<u8>> =
                    chosen.into_iter().filter(|_| !is_null(through)).collect();
                let mut same = taken.len() == expected;
                if !taken.is_empty() {
                    let mut words = vec![removal.as_bytes(), name];
                    words.extend(taken.iter().map(Vec::as_slice));
                    let removed = pair.direct.ask(&words);
                    same &= removed.is_ok_and(|it| number(&it.text) == expected);
                }
                (before, same)
            }
            (comparison, Ok(through)) => {
                let direct = pair.direct.ask(&request.words);
                let mut same = direct
                    .as_ref()
                    .is_ok_and(|direct| is_same(comparison, through, direct));
                if let (Comparison::Sample(query), false) = (comparison, failed) {
                    let name = request.words[1].as_slice();
                    let mut words = vec![query.as_bytes(), name];
                    if query == "ZRANGE" {
                        words.extend([&b"0"[..], b"-1", b"WITHSCORES"]);
                    }
                    let all = pair
                        .direct
                        .ask(&words)
                        .as_ref()
                        .map(leaves)
                        .unwrap_or_default();
                    same &= is_null(through) || chosen.iter().all(|it| all.contains(it));
                }
                (direct, same)
            }
        };
        if same {
            return Ok(());
        }
        Err((
            format!("client {client}, any: {request}"),
            format!("{through:?}"),
            format!("{direct:?}"),
        ))
    }

    fn blocked(
        &mut self,
        client: usize,
        request: &Request,
        other: usize,
        waking: &Request,
    ) -> Outcome {
        if self.queued[client].is_some() || self.queued[other].is_some() {
            return Ok(());
        }
        self.requests += 1;
        let bytes = encode(&request.words);
        let pair = &mut self.pair.clients[client];
        pair.through.send(&bytes);
        pair.direct.send(&bytes);
        let deadline = Instant::now() + BLOCK_TIMEOUT;
        let (mut through, mut direct) = (None, None);
        loop {
            let pair = &mut self.pair.clients[client];
            for (link, reply) in [
                (&mut pair.through, &mut through),
                (&mut pair.direct, &mut direct),
            ] {
                if reply.is_none() {
                    *reply = Some(link.reply(Duration::from_millis(1)))
                        .filter(|it| !matches!(it, Err(Silence::TimedOut)));
                }
            }
            let blocked = self.pair.blocked().unwrap_or_default();
            let settled =
                (blocked.0 > 0 || through.is_some()) && (blocked.1 > 0 || direct.is_some());
            if settled || Instant::now() > deadline {
                break;
            }
        }
        self.exchange(other, std::slice::from_ref(waking))?;
        let pair = &mut self.pair.clients[client];
        let direct = direct.unwrap_or_else(|| pair.direct.reply(REPLY_TIMEOUT));
        let through = through.unwrap_or_else(|| pair.through.reply(REPLY_TIMEOUT));
        self.compare(client, request, through, direct)
    }

    fn message(&mut self, subscription: &Request, client: usize, publication: &Request) -> Outcome {
        if self.queued[client].is_some() {
            return Ok(());
        }
        let mut subscriber = self.pair.another();
        let subscribed = [&mut subscriber.through, &mut subscriber.direct]
            .map(|link| link.ask(&subscription.words));
        self.exchange(client, std::slice::from_ref(publication))?;
        let received =
            [&mut subscriber.through, &mut subscriber.direct].map(|link| link.reply(REPLY_TIMEOUT));
        let is_same = |[one, other]: &[Result<ReplyTree, Silence>; 2]| one.is_ok() && one == other;
        if is_same(&subscribed) && is_same(&received) {
            return Ok(());
        }
        Err((
            format!("a subscriber: {subscription}; client {client}: {publication}"),
            format!("{:?}, {:?}", subscribed[0], received[0]),
            format!("{:?}, {:?}", subscribed[1], received[1]),
        ))
    }

    /// No reply is left over, and both sides hold the same.
    fn finish(&mut self) -> Outcome {
        for client in 0..CLIENTS {
            let end = ["DISCARD", "PING"].map(|word| Request::exact(&[word]));
            self.exchange(client, &end)?;
        }
        let names = names(&self.model.scopes);
        stored::compare(&mut self.pair, &names)?;
        match self.model.sealed_names {
            true => stored::check_sealed_names(&mut self.pair),
            false => stored::check_sealed(&mut self.pair, &names, self.model.in_clear),
        }
    }
}

fn is_null(reply: &ReplyTree) -> bool {
    reply.kind == b'_'
        || (matches!(reply.kind, b'$' | b'*') && reply.text == b"-1" && reply.items.is_empty())
}

fn number(text: &[u8]) -> usize {
    let text = std::str::from_utf8(text).ok();
    text.and_then(|it| it.parse().ok()).unwrap_or(0)
}

/// The elements of all pages, each once, sorted.
fn pages(
    link: &mut Link,
    request: &Request,
    size: usize,
) -> Result<Vec<Vec<ReplyTree>>, ReplyTree> {
    let mut cursor = b"0".to_vec();
    let mut elements = Vec::new();
    for _ in 0..MAX_PAGES {
        let words = request.words.iter().map(|word| match word.as_slice() {
            b"{cursor}" => cursor.clone(),
            word => word.to_vec(),
        });
        let words: Vec<Vec<u8>> = words.collect();
        let reply = link
            .ask(&words)
            .map_err(|silence| ReplyTree::simple(&format!("{silence:?}")))?;
        let [next, page] = reply.items.as_slice() else {
            return Err(reply);
        };
        let page = sorted_pairs(page, size);
        elements.extend(page);
        cursor.clone_from(&next.text);
        if cursor == b"0" {
            elements.sort();
            elements.dedup();
            return Ok(elements);
        }
    }
    Err(ReplyTree::simple("a scan without end"))
}

fn sorted_pairs(page: &ReplyTree, size: usize) -> Vec<Vec<ReplyTree>> {
    let page = if size == 1 {
        sorted(page.clone())
    } else {
        page.clone()
    };
    page.items.chunks(size).map(<[_]>::to_vec).collect()
}
