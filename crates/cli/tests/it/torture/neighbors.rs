//! The other clients of the proxy: bystanders, which must get their own replies whatever the clients
//! under comparison do, and successors, which connect when those have left and must find their
//! connections as new.

use waxseal_testing::Client;

use super::findings::{Check, Finding};
use super::grammar::names;
use super::stage::Stage;
use crate::proxy::{OPEN_MARKER, PROTECTED_MARKER};
use waxseal_testing::ReplyTree as Reply;
use waxseal_testing::link::{Link, REPLY_TIMEOUT, Silence, encode};
use waxseal_testing::reply_tree::contains;

/// Successors of each protocol version at a time: they take this many spare connections.
const SUCCESSORS: usize = 3;

/// Clients that write and read records of their own.
pub(super) struct Neighbors {
    bystanders: Vec<Bystander>,
    direct: Client,
    requests: u64,
}

struct Bystander {
    link: Link,
    number: usize,
    round: u64,
    /// The messages that must arrive, in order.
    expected: Vec<Reply>,
    broken: bool,
}

impl Neighbors {
    /// One bystander of each protocol version.
    pub(super) fn connect(stage: &Stage) -> Self {
        let mut bystanders = Vec::new();
        for number in 0..2 {
            let mut link = Link::connect(stage.proxy_port());
            if number == 1 {
                let _ = link.ask(&["HELLO", "3"]);
            }
            bystanders.push(Bystander {
                link,
                number,
                round: 0,
                expected: Vec::new(),
                broken: false,
            });
        }
        Self {
            bystanders,
            direct: stage.direct.client(),
            requests: 0,
        }
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests
    }

    /// True if one of them did not get its replies.
    pub(super) fn are_broken(&self) -> bool {
        self.bystanders.iter().any(|it| it.broken)
    }

    /// Sends their requests; what they write is written at the direct server as well.
    pub(super) fn ask(&mut self) {
        let direct = &mut self.direct;
        for bystander in &mut self.bystanders {
            if bystander.broken {
                continue;
            }
            let [open, protected] = bystander.ask();
            self.requests += 5;
            direct.cmd(&[&b"SET"[..], &open.0, &open.1]);
            direct.cmd(&[&b"SET"[..], &protected.0, &protected.1]);
        }
    }

    /// Reads their replies.
    pub(super) fn check(&mut self, findings: &mut Vec<Finding>) {
        for bystander in self.bystanders.iter_mut().filter(|it| !it.broken) {
            if let Err(detail) = bystander.check() {
                bystander.broken = true;
                findings.push(Finding::new(Check::Bystander, "a bystander", detail));
            }
        }
    }
}

type Record = (Vec<u8>, Vec<u8>);

impl Bystander {
    fn ask(&mut self) -> [Record; 2] {
        self.round += 1;
        let (number, round) = (self.number, self.round);
        let open = format!("open:bystander{number}").into_bytes();
        let protected = format!("wa:bystander{number}").into_bytes();
        let open_value = format!("{OPEN_MARKER} {number} {round}").into_bytes();
        let protected_value = format!("{PROTECTED_MARKER} {number} {round}").into_bytes();
        let ok = Reply::simple("OK");
        let exchange: [(&[&[u8]], Reply); 5] = [
            (&[b"SET", &open, &open_value], ok.clone()),
            (&[b"SET", &protected, &protected_value], ok),
            (&[b"PING", &open_value], Reply::bulk(&open_value)),
            (&[b"GET", &protected], Reply::bulk(&protected_value)),
            (&[b"GET", &open], Reply::bulk(&open_value)),
        ];
        let mut bytes = Vec::new();
        for (request, reply) in exchange {
            bytes.extend(encode(request));
            self.expected.push(reply);
        }
        self.link.send(&bytes);
        [(open, open_value), (protected, protected_value)]
    }

    fn check(&mut self) -> Result<(), String> {
        for expected in std::mem::take(&mut self.expected) {
            let reply = self.link.reply(REPLY_TIMEOUT);
            if reply.as_ref() != Ok(&expected) {
                return Err(format!("expected {expected:?}, got {reply:?}"));
            }
        }
        Ok(())
    }
}

/// Connects when the others have left, and checks that nothing of them is left.
pub(super) fn successors(stage: &Stage) -> Vec<Finding> {
    let mut findings = Vec::new();
    for version in ["2", "3"] {
        let mut links: Vec<Link> = (0..SUCCESSORS)
            .map(|_| Link::connect(stage.proxy_port()))
            .collect();
        let steps = [arrives, transaction_begins, transaction_ends, state_is_new];
        for (number, step) in steps.into_iter().enumerate() {
            for link in &mut links {
                if let Err((what, detail)) = step(link, version) {
                    findings.push(Finding::new(Check::Successor, what, detail));
                    return findings;
                }
            }
            let mut client = stage.sealed.client();
            match number {
                0 if client.cmd(&["GET", "open:successor"]).to_text() != version => {
                    let detail = "it was written elsewhere".to_owned();
                    findings.push(Finding::new(Check::Successor, "database 0", detail));
                }
                // Not before: a spare connection that something came over is not used again.
                1 => disturb(&mut client),
                _ => {}
            }
        }
    }
    findings
}

type Step = Result<(), (&'static str, String)>;

/// Changes every record: what watches or tracks one of them is reported.
fn disturb(client: &mut Client) {
    let mut requests = Vec::new();
    for name in names() {
        requests.push(vec![b"DEL".to_vec(), name.clone()]);
        requests.push(vec![b"SET".to_vec(), name, b"disturbed".to_vec()]);
    }
    client.pipeline::<_, Vec<u8>>(&requests);
}

fn arrives(link: &mut Link, version: &str) -> Step {
    if version == "3" {
        let hello = link.ask(&["HELLO", "3"]);
        if !hello.as_ref().is_ok_and(|it| it.kind == b'%') {
            return Err(("HELLO", format!("{hello:?}")));
        }
    }
    expect(link, "replies", &["PING", "first"], &Reply::bulk(b"first"))?;
    expect(
        link,
        "no transaction",
        &["SET", "open:successor", version],
        &Reply::simple("OK"),
    )
}

fn transaction_begins(link: &mut Link, _: &str) -> Step {
    // This takes a connection for the client alone, perhaps one that another client gave back.
    expect(link, "no transaction", &["MULTI"], &Reply::simple("OK"))?;
    expect(
        link,
        "a queue of its own",
        &["PING", "second"],
        &Reply::simple("QUEUED"),
    )
}

fn transaction_ends(link: &mut Link, _: &str) -> Step {
    let reply = Reply {
        kind: b'*',
        text: Vec::new(),
        items: vec![Reply::bulk(b"second")],
    };
    expect(link, "nothing watched", &["EXEC"], &reply)?;
    expect(
        link,
        "database 0",
        &["GET", "open:s0"],
        &Reply::bulk(b"disturbed"),
    )
}

fn state_is_new(link: &mut Link, version: &str) -> Step {
    let info = link.ask(&["CLIENT", "TRACKINGINFO"]);
    let off = |info: &Reply| {
        info.items
            .get(1)
            .is_some_and(|flags| flags.begins_with("off"))
    };
    if !info.as_ref().is_ok_and(off) {
        return Err(("no tracking", format!("{info:?}")));
    }
    let hello = link.ask(&["HELLO"]);
    let speaks = |hello: &Reply| {
        let at = hello.items.iter().position(|it| it.text == b"proto");
        let proto = at.and_then(|at| hello.items.get(at + 1));
        proto.is_some_and(|it| it.text == version.as_bytes())
    };
    if !hello.as_ref().is_ok_and(speaks) {
        return Err(("protocol version", format!("{hello:?}")));
    }
    let info = link.ask(&["CLIENT", "INFO"]);
    let is_new = |info: &Reply| {
        let parts = [&b" flags=N "[..], b" name= ", b" db=0 ", b" redir=-1 "];
        parts.iter().all(|part| contains(&info.text, part))
    };
    if !info.as_ref().is_ok_and(is_new) {
        return Err(("nothing special", format!("{info:?}")));
    }
    expect(
        link,
        "default user",
        &["ACL", "WHOAMI"],
        &Reply::bulk(b"default"),
    )?;
    expect(
        link,
        "nothing unasked",
        &["PING", "last"],
        &Reply::bulk(b"last"),
    )
}

fn expect(link: &mut Link, what: &'static str, request: &[&str], expected: &Reply) -> Step {
    let reply: Result<Reply, Silence> = link.ask(request);
    if reply.as_ref() == Ok(expected) {
        return Ok(());
    }
    let request = request.join(" ");
    Err((
        what,
        format!("{request}: expected {expected:?}, got {reply:?}"),
    ))
}
