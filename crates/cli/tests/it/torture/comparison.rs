//! Compares two replies to one request, and what waits for `EXEC`, whose reply is made of
//! the replies to other requests.

use super::exceptions::{Comparison, comparison, may_say_otherwise, shows_stored_bytes};
use super::request::Request;
use waxseal_testing::ReplyTree as Reply;

/// The commands that were queued in a transaction.
#[derive(Default)]
pub(super) struct Queued {
    comparisons: Vec<Comparison>,
    shows_stored: bool,
}

impl Queued {
    /// Takes in what the server said to a request, and whether it queued the ping behind it.
    pub(super) fn note(&mut self, request: &Request, replies: &[Reply], ping_is_queued: bool) {
        if !ping_is_queued {
            *self = Self::default();
            return;
        }
        if replies.first().is_some_and(Reply::is_queued) {
            self.comparisons.push(comparison(request));
            self.shows_stored |= shows_stored_bytes(request);
        }
        self.comparisons.push(Comparison::Exact);
    }

    pub(super) fn shows_stored_bytes(&self) -> bool {
        self.shows_stored
    }
}

/// True if two replies to a request are the same as far as they can be.
pub(super) fn is_same(request: &Request, queued: &Queued, one: &Reply, other: &Reply) -> bool {
    let words_differ = request.has_alias() && one.is_error() && other.is_error();
    if words_differ || may_say_otherwise(request, one, other) {
        return first_word(one) == first_word(other);
    }
    let is_exec = request.command() == "exec" && one.kind == b'*' && !one.items.is_empty();
    if is_exec {
        let known = queued.comparisons.len() == one.items.len();
        return one.items.len() == other.items.len()
            && one
                .items
                .iter()
                .zip(&other.items)
                .enumerate()
                .all(|(at, (one, other))| {
                    let comparison = queued.comparisons.get(at).filter(|_| known);
                    is_equal(comparison.copied().unwrap_or(Comparison::Kind), one, other)
                });
    }
    is_equal(comparison(request), one, other)
}

fn is_equal(comparison: Comparison, one: &Reply, other: &Reply) -> bool {
    if one == other {
        return true;
    }
    match comparison {
        Comparison::Exact => false,
        Comparison::Kind => one.is_error() == other.is_error(),
        Comparison::Unordered => sorted(one.clone()) == sorted(other.clone()),
        Comparison::UnorderedPairs => paired(one.clone()) == paired(other.clone()),
        Comparison::Lifetime => rounded(one.clone()) == rounded(other.clone()),
    }
}

fn first_word(reply: &Reply) -> Option<&[u8]> {
    reply.text.split(|byte| *byte == b' ').next()
}

fn sorted(mut reply: Reply) -> Reply {
    reply.items = reply.items.into_iter().map(sorted).collect();
    reply.items.sort();
    reply
}

/// With pairs in an order of their own, also those of a scan, which are behind a cursor.
fn paired(mut reply: Reply) -> Reply {
    let holds_pairs =
        reply.items.len().is_multiple_of(2) && reply.items.iter().all(|it| it.items.is_empty());
    if holds_pairs {
        let mut pairs: Vec<Vec<Reply>> = reply.items.chunks(2).map(<[_]>::to_vec).collect();
        pairs.sort();
        reply.items = pairs.concat();
    } else {
        reply.items = reply.items.into_iter().map(paired).collect();
    }
    reply
}

fn rounded(mut reply: Reply) -> Reply {
    reply.items = reply.items.into_iter().map(rounded).collect();
    if reply.kind == b':' && !reply.text.starts_with(b"-") {
        reply.text = b"some".to_vec();
    }
    reply
}

#[test]
fn pairs_are_compared_without_their_order() {
    let reply = |text: &str| Reply::parse(text.as_bytes()).unwrap().unwrap().0;
    let one = reply("*4\r\n:1\r\n:2\r\n:3\r\n:4\r\n");
    let turned = reply("*4\r\n:3\r\n:4\r\n:1\r\n:2\r\n");
    let mixed = reply("*4\r\n:1\r\n:4\r\n:3\r\n:2\r\n");
    assert!(is_equal(Comparison::UnorderedPairs, &one, &turned));
    assert!(!is_equal(Comparison::UnorderedPairs, &one, &mixed));
    assert!(is_equal(Comparison::Unordered, &one, &mixed));
    assert!(!is_equal(Comparison::Exact, &one, &turned));
}

#[test]
fn replies_of_a_transaction_are_compared_each_in_its_way() {
    let reply = |text: &str| Reply::parse(text.as_bytes()).unwrap().unwrap().0;
    let mut queued = Queued::default();
    queued.note(&Request::parse("MULTI"), &[Reply::simple("OK")], true);
    queued.note(&Request::parse("TTL a"), &[Reply::simple("QUEUED")], true);
    let one = reply("*3\r\n$1\r\nx\r\n:7\r\n$1\r\ny\r\n");
    let other = reply("*3\r\n$1\r\nx\r\n:9\r\n$1\r\ny\r\n");
    let exec = Request::parse("EXEC");
    assert!(is_same(&exec, &queued, &one, &other));
    assert!(!is_same(
        &exec,
        &Queued::default(),
        &one,
        &reply("*3\r\n$1\r\nx\r\n-ERR\r\n:1\r\n")
    ));
}
