//! One client that talks to the proxy, and the same client at the direct server: sends requests first
//! through the proxy, then directly unless the proxy refused them, and compares the replies.
//!
//! Behind each request goes a `PING` with a token, so that it is known where the replies to a request
//! end. Inside a transaction the ping is queued like everything else. Where replies may be switched
//! off, the token comes only at the end, after `CLIENT REPLY ON`.

use waxseal_policy::{Action, ProtectedNames, RecordPattern, decide};

use super::comparison::{Queued, is_same};
use super::exceptions::{is_answered_twice, may_be_refused, shows_stored_bytes};
use super::findings::{Check, Finding};
use super::neighbors::Neighbors;
use super::request::{Request, Word};
use super::stage::Stage;
use waxseal_testing::ReplyTree as Reply;
use waxseal_testing::link::{Link, REPLY_TIMEOUT, Silence, encode};

/// The request that the direct server gets in place of one that the proxy refused: an error, which
/// aborts a transaction as a refusal does.
const STAND_IN: &[&str] = &["INCR"];

/// Bytes of a transaction that a proxy keeps.
const MAX_HELD: usize = 1024 * 1024;

/// The end of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The client continues.
    Open,
    /// Both connections are closed.
    Closed,
    /// The two sides are no longer in the same state; nothing more is compared in this round.
    Diverged,
    /// The same, through no fault of the proxy.
    Abandoned,
}

/// The replies to one request.
#[derive(Debug)]
struct Answer {
    replies: Vec<Reply>,
    /// Messages and invalidations, which are not replies.
    pushes: Vec<Reply>,
    /// True if the ping behind it was queued.
    ping_is_queued: bool,
    end: Option<Silence>,
}

/// One client, on both sides.
pub(super) struct Conversation {
    through: Link,
    direct: Link,
    /// The commands that wait for `EXEC`.
    queued: Queued,
    /// True if it asked for invalidations, whose order and number depend on the moment.
    tracking: bool,
    /// True if it may watch records: then the proxy queues the commands of a transaction itself.
    watching: bool,
    tokens: u64,
    protected: ProtectedNames,
}

/// The state that a step needs beside its requests.
pub(super) struct Surroundings<'a> {
    pub(super) stage: &'a mut Stage,
    pub(super) neighbors: &'a mut Neighbors,
    pub(super) findings: &'a mut Vec<Finding>,
    /// The reason why nothing more could be compared, which is not a fault of the proxy.
    pub(super) abandoned: &'a mut Vec<String>,
}

impl Conversation {
    pub(super) fn open(stage: &Stage) -> Self {
        Self {
            through: Link::connect(stage.proxy_port()),
            direct: Link::connect(stage.direct.server.port()),
            queued: Queued::default(),
            tracking: false,
            watching: false,
            tokens: 0,
            protected: ProtectedNames::new(vec![RecordPattern::parse("wa:*").unwrap()]),
        }
    }

    fn token(&mut self) -> Word {
        self.tokens += 1;
        format!("token-{}", self.tokens).into_bytes()
    }

    /// Requests in one write, then their replies, on one side after the other.
    pub(super) fn exchange(
        &mut self,
        requests: &[Request],
        around: &mut Surroundings<'_>,
    ) -> Outcome {
        let tokens: Vec<Word> = requests.iter().map(|_| self.token()).collect();
        let mut bytes = Vec::new();
        for (request, token) in requests.iter().zip(&tokens) {
            bytes.extend(request.bytes(&mut around.stage.sealed));
            bytes.extend(ping(token));
        }
        around.neighbors.ask();
        self.through.send(&bytes);
        let through: Vec<Answer> = tokens
            .iter()
            .map(|it| answer(&mut self.through, it))
            .collect();
        around.neighbors.check(around.findings);

        bytes.clear();
        for ((request, token), answer) in requests.iter().zip(&tokens).zip(&through) {
            bytes.extend(if answer.is_refused() {
                encode(STAND_IN)
            } else {
                request.bytes(&mut around.stage.direct)
            });
            bytes.extend(ping(token));
        }
        self.direct.send(&bytes);
        for ((request, token), through) in requests.iter().zip(&tokens).zip(&through) {
            let direct = answer(&mut self.direct, token);
            let outcome = self.compare(request, through, &direct, around.findings);
            if outcome == Outcome::Abandoned {
                around.abandoned.push(format!("{request}: {direct:?}"));
            }
            if outcome != Outcome::Open {
                return outcome;
            }
        }
        Outcome::Open
    }

    fn compare(
        &mut self,
        request: &Request,
        through: &Answer,
        direct: &Answer,
        findings: &mut Vec<Finding>,
    ) -> Outcome {
        let mut found = |check, detail: String| {
            let detail = format!(
                "{request}\n      through {through:?}\n      direct  {direct:?}\n      {detail}"
            );
            findings.push(Finding::new(check, request.command(), detail));
        };
        if direct.end == Some(Silence::TimedOut) {
            // The harness blocked the direct server's connection; nothing can be said.
            return Outcome::Abandoned;
        }
        if let Some(Silence::TimedOut | Silence::Malformed) = through.end {
            found(Check::Answered, "no whole reply came".to_owned());
            return Outcome::Diverged;
        }
        let both = through.replies.iter().chain(&through.pushes);
        let shows = shows_stored_bytes(request) || self.queued.shows_stored_bytes();
        // Of an unknown command servers quote the arguments, sealed ones too.
        let quotes = |reply: &Reply| reply.is_error_of("ERR unknown command");
        if !shows && both.clone().any(|it| it.holds_envelope() && !quotes(it)) {
            found(
                Check::NoEnvelope,
                "an envelope reached the client".to_owned(),
            );
        }
        if through.is_refused() {
            // What the proxy has to keep of a transaction is bounded.
            let is_too_long = self.watching && request.is_longer_than(MAX_HELD);
            if !may_be_refused(request) && !is_too_long {
                found(Check::RefusedWithReason, "no documented reason".to_owned());
            }
            let closed = through.end.is_some();
            return if closed {
                Outcome::Closed
            } else {
                Outcome::Open
            };
        }
        if is_answered_twice(request, &direct.replies) {
            return Outcome::Closed;
        }
        let accepted = through
            .replies
            .first()
            .is_some_and(|reply| !reply.is_error());
        if accepted && self.must_be_refused(request) {
            found(
                Check::RefusedWhereNeeded,
                "the server carried it out".to_owned(),
            );
        }
        self.tracking |= request.command() == "client|tracking";
        let same =
            self.is_refused_later(through, direct) || self.same_replies(request, through, direct);
        self.note_watch(request, direct);
        self.queued
            .note(request, &direct.replies, direct.ping_is_queued);
        if !same {
            found(Check::SameReply, "the replies differ".to_owned());
            return Outcome::Diverged;
        }
        if through.end.is_some() != direct.end.is_some() {
            found(Check::SameReply, "only one side was closed".to_owned());
            return Outcome::Diverged;
        }
        if direct.end.is_some() {
            Outcome::Closed
        } else {
            Outcome::Open
        }
    }

    /// True if the direct server refuses a command that the proxy has queued itself, as docs/proxy/proxy.md
    /// says of transactions of a client that watches records. Both answer `EXEC` with an error.
    fn is_refused_later(&self, through: &Answer, direct: &Answer) -> bool {
        let is_queued = matches!(through.replies.as_slice(), [reply] if reply.is_queued());
        let is_refused = matches!(direct.replies.as_slice(), [reply] if reply.is_error());
        let in_transaction = through.ping_is_queued && direct.ping_is_queued;
        self.watching && in_transaction && is_queued && is_refused
    }

    /// Takes in whether records are watched after a request.
    fn note_watch(&mut self, request: &Request, direct: &Answer) {
        let is_ok = direct.replies.first().is_some_and(|it| !it.is_error());
        let aborts = matches!(direct.replies.as_slice(), [it] if it.is_error_of("EXECABORT"));
        match request.command() {
            "watch" => self.watching |= is_ok,
            "exec" => self.watching &= !(is_ok || aborts),
            "unwatch" | "discard" | "reset" => {
                self.watching &= !is_ok || direct.ping_is_queued;
            }
            _ => {}
        }
    }

    fn same_replies(&self, request: &Request, through: &Answer, direct: &Answer) -> bool {
        let compared = |pushes: &[Reply]| {
            let kept = pushes
                .iter()
                .filter(|it| !(self.tracking && it.begins_with("invalidate")));
            in_any_order(request, kept)
        };
        let replies = |answer: &Answer| in_any_order(request, answer.replies.iter());
        let (one, other) = (replies(through), replies(direct));
        one.len() == other.len()
            && compared(&through.pushes) == compared(&direct.pushes)
            && one
                .iter()
                .zip(&other)
                .all(|(one, other)| is_same(request, &self.queued, one, other))
    }

    /// True if the policy refuses what a server reads in a request.
    fn must_be_refused(&self, request: &Request) -> bool {
        let words: Vec<Word> = (0..request.words.len())
            .map(|at| {
                let word = &request.words[at];
                // In names zero bytes are as good as any other.
                let is_name = word.starts_with(b"wa:") || word.starts_with(b"open:");
                if is_name {
                    word.clone()
                } else {
                    request.effective(at)
                }
            })
            .collect();
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        matches!(decide(&self.protected, &words).action, Action::Refuse(_))
    }

    /// Requests of which some may have no reply, then `CLIENT REPLY ON`.
    pub(super) fn silent(
        &mut self,
        requests: &[Request],
        around: &mut Surroundings<'_>,
    ) -> Outcome {
        let token = self.token();
        let end = [encode(&["CLIENT", "REPLY", "ON"]), ping(&token)].concat();
        let side = &mut around.stage.sealed;
        let mut bytes: Vec<u8> = requests.iter().flat_map(|it| it.bytes(side)).collect();
        bytes.extend(&end);
        around.neighbors.ask();
        self.through.send(&bytes);
        let through = until_token(&mut self.through, &token);
        around.neighbors.check(around.findings);

        let Some(refused) = refused(requests, &through) else {
            let detail = format!("{through:?}");
            around.abandoned.push(detail);
            return Outcome::Abandoned;
        };
        let side = &mut around.stage.direct;
        bytes.clear();
        for (request, refused) in requests.iter().zip(refused) {
            bytes.extend(if refused {
                encode(STAND_IN)
            } else {
                request.bytes(side)
            });
        }
        bytes.extend(&end);
        self.direct.send(&bytes);
        let mut direct = until_token(&mut self.direct, &token);
        for (reply, refusal) in direct.replies.iter_mut().zip(&through.replies) {
            if refusal.is_refusal() && reply.is_error() {
                *reply = refusal.clone();
            }
        }
        let outcome = self.compare(&all_in_one(requests), &through, &direct, around.findings);
        self.watching |= requests.iter().any(|it| it.command() == "watch");
        if outcome == Outcome::Abandoned {
            around.abandoned.push(format!("{direct:?}"));
        }
        outcome
    }

    /// A request that may hold up its connection or stream without end. The direct server is not asked.
    pub(super) fn unanswered(&mut self, request: &Request, around: &mut Surroundings<'_>) {
        let bytes = request.bytes(&mut around.stage.sealed);
        self.through.send(&bytes);
        if self.must_be_refused(request) {
            // What comes unasked is not an answer.
            let is_unasked = |reply: &Reply| {
                let messages = ["message", "pmessage", "smessage"];
                reply.is_push() || messages.iter().any(|it| reply.begins_with(it))
            };
            let mut reply = self.through.reply(REPLY_TIMEOUT);
            while reply.as_ref().is_ok_and(is_unasked) {
                reply = self.through.reply(REPLY_TIMEOUT);
            }
            if !reply.as_ref().is_ok_and(Reply::is_error) {
                let detail = format!("{request}\n      through {reply:?}");
                let check = Check::RefusedWhereNeeded;
                around
                    .findings
                    .push(Finding::new(check, request.command(), detail));
            }
        }
        around.neighbors.ask();
        around.neighbors.check(around.findings);
    }
}

/// Which of the requests were refused; none where that cannot be told from their replies.
fn refused(requests: &[Request], through: &Answer) -> Option<Vec<bool>> {
    let refusals: Vec<bool> = through.replies.iter().map(Reply::is_refusal).collect();
    let count = refusals.iter().filter(|it| **it).count();
    // Commands with a zero byte in their name, or options with one.
    let suspects: [Vec<bool>; 2] = [
        requests.iter().map(Request::has_alias).collect(),
        requests.iter().map(Request::has_zero_byte).collect(),
    ];
    let mut suspects = suspects.into_iter();
    if count == 0 {
        Some(vec![false; requests.len()])
    } else if refusals.len() == requests.len() + 1 {
        Some(refusals[..requests.len()].to_vec())
    } else {
        suspects.find(|suspects| suspects.iter().filter(|it| **it).count() == count)
    }
}

/// Stands for requests whose replies are compared together: exact, with nothing that explains a
/// refusal but a word of its own.
fn all_in_one(requests: &[Request]) -> Request {
    let mut words = requests[0].words.clone();
    for request in &requests[1..] {
        words.push(b";".to_vec());
        words.extend(request.words.clone());
    }
    Request::new(words)
}

fn ping(token: &[u8]) -> Vec<u8> {
    encode(&[b"PING", token])
}

impl Answer {
    fn is_refused(&self) -> bool {
        matches!(self.replies.as_slice(), [reply] if reply.is_refusal())
    }
}

/// The replies before the one to a ping.
fn answer(link: &mut Link, token: &[u8]) -> Answer {
    read(link, |reply, before| {
        // Queued, or not allowed in this state of the connection: behind the reply of the request.
        let is_last = before > 0 && (reply.is_queued() || reply.is_error());
        is_last || is_token(reply, token)
    })
}

/// The replies before the token.
fn until_token(link: &mut Link, token: &[u8]) -> Answer {
    read(link, |reply, _| is_token(reply, token))
}

fn is_token(reply: &Reply, token: &[u8]) -> bool {
    let to_subscriber =
        reply.begins_with("pong") && reply.items.get(1).is_some_and(|it| it.text == token);
    (reply.kind == b'$' && reply.text == token) || to_subscriber
}

fn read(link: &mut Link, mut is_end: impl FnMut(&Reply, usize) -> bool) -> Answer {
    let mut answer = Answer {
        replies: Vec::new(),
        pushes: Vec::new(),
        ping_is_queued: false,
        end: None,
    };
    loop {
        match link.reply(REPLY_TIMEOUT) {
            Ok(reply) if is_end(&reply, answer.replies.len()) => {
                answer.ping_is_queued = reply.is_queued();
                return answer;
            }
            Ok(reply) if reply.is_push() || is_message(&reply) => answer.pushes.push(reply),
            Ok(reply) => answer.replies.push(reply),
            Err(silence) => {
                answer.end = Some(silence);
                return answer;
            }
        }
    }
}

/// Acknowledgements that all subscriptions have ended come in the order of a hash table.
fn in_any_order<'a>(request: &Request, replies: impl Iterator<Item = &'a Reply>) -> Vec<Reply> {
    let mut replies: Vec<Reply> = replies.cloned().collect();
    let ends_all = matches!(
        request.command(),
        "unsubscribe" | "punsubscribe" | "sunsubscribe"
    );
    if ends_all && request.words.len() == 1 {
        for reply in &mut replies {
            reply.items.truncate(2);
        }
        replies.sort();
    }
    replies
}

/// A message as RESP2 has it.
fn is_message(reply: &Reply) -> bool {
    let words = ["message", "pmessage", "smessage"];
    reply.kind == b'*' && words.iter().any(|word| reply.begins_with(word))
}
