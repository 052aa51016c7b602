//! A conversation through the proxy, from hostile bytes on both sides: it takes no more than it got,
//! never panics, writes no more than a multiple of what it read, sends no protected value in clear, and
//! whatever it writes to the client is RESP.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use waxseal_core::{
    Binding, EnvelopeRules, EnvelopeVersion, Format, Group, Keyring, Mode, NameMask, PlainValues,
    Sealer, SecretKey,
};
use waxseal_policy::RecordPattern;
use waxseal_proxy::{Connection, Identity, Limits, Link, Next, Protection};
use waxseal_resp::ReplyScanner;

/// A protected value. It comes from [`REQUESTS`] alone.
const MARKER: &[u8] = b"canary-in-clear";

/// Whole requests with the marker in the place of a protected value, in every way to say so.
static REQUESTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    [
        "SET wa:1 @",
        "set wa:1 @ GET EX 60",
        "SETEX wa:1 60 @",
        "SETNX wa:1 @",
        "GETSET wa:1 @",
        "MSET wa:1 @ other x wa:2 @",
        "MSETEX 2 wa:1 @ wa:2 @ EX 5",
        "HSET wa:h f @ g @",
        "HSETNX wa:h f @",
        "HSETEX wa:h EX 5 FIELDS 1 f @",
        "LPUSH wa:l @ @",
        "RPUSHX wa:l @",
        "LSET wa:l 0 @",
        "SET wa:1 @ IFEQ @",
        "APPEND wa:1 @",
        "SETRANGE wa:1 3 @",
        "XADD wa:x * f @",
        "XADD wa:x MAXLEN ~ 5 1-* f @ g @",
        "EVAL return 1 wa:1 @",
        "NOSUCHCOMMAND wa:1 @",
        "COMMAND GETKEYS SET wa:1 @",
        "PUBLISH news:1 @",
        "SPUBLISH news:1 @",
    ]
    .iter()
    .flat_map(|line| both_ways(line))
    .collect()
});

/// The same for members. In mode `on` members in another form are looked for at the server, in clear.
static MEMBER_REQUESTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    [
        "SADD wa:s @ @",
        "SREM wa:s @",
        "SMISMEMBER wa:s @ @",
        "SSCAN wa:s 0 MATCH @ COUNT 5",
        "ZADD wa:z NX CH 1 @ 2 @",
        "ZADD wa:z INCR 1 @",
        "ZINCRBY wa:z 1 @",
        "ZSCORE wa:z @",
        "ZREM wa:z @",
        "GEOADD wa:g 2 41 @",
        "GEOSEARCH wa:g FROMMEMBER @ BYRADIUS 1 km ASC",
        "SMOVE wa:s wa:t @",
        "ZRANGEBYLEX wa:z [@ [@",
        "LREM wa:l 0 @",
    ]
    .iter()
    .flat_map(|line| both_ways(line))
    .collect()
});

/// Whole requests without a value, which the proxy answers with values that it moves, computes or finds, and those that
/// change the connection.
static OTHERS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    [
        "RENAME wa:1 wa:2",
        "RENAMENX wa:1 wa:2",
        "COPY wa:1 wa:2 REPLACE",
        "RENAME other wa:2",
        "LMOVE wa:l wa:k LEFT RIGHT",
        "RPOPLPUSH wa:l wa:k",
        "BLMOVE wa:l wa:k LEFT RIGHT 0",
        "INCR wa:1",
        "HINCRBY wa:h f 2",
        "GETBIT wa:1 3",
        "EVAL return(redis.call('incrby',KEYS[1],ARGV[1])) 1 wa:1 5",
        "SUBSCRIBE news:1 log",
        "PSUBSCRIBE news:*",
        "UNSUBSCRIBE",
        "HELLO 3",
        "MULTI",
        "EXEC",
        "DISCARD",
        "WATCH wa:1",
        "CLIENT REPLY SKIP",
        "RESET",
        "XREADGROUP GROUP g c COUNT 2 STREAMS wa:x >",
        "ZPOPMIN wa:z 2",
        "SUNION wa:s wa:t",
    ]
    .iter()
    .flat_map(|line| both_ways(line))
    .collect()
});

/// A line with the marker in place of `@`, as an array and as it is.
fn both_ways(line: &str) -> [Vec<u8>; 2] {
    let line = line.replace('@', std::str::from_utf8(MARKER).unwrap());
    let words: Vec<&str> = line.split(' ').collect();
    let mut array = format!("*{}\r\n", words.len()).into_bytes();
    for word in &words {
        array.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    [array, format!("{line}\r\n").into_bytes()]
}

/// Whole replies with envelopes that open in one of the setups, and some that do not.
static REPLIES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut replies: Vec<Vec<u8>> = [sealer(Mode::On), grouped(b"states")]
        .iter()
        .flat_map(replies_with)
        .collect();
    let whole = [
        "*2\r\n+string\r\n*0\r\n",
        "*2\r\n+none\r\n*0\r\n",
        "*1\r\n+OK\r\n",
        "*1\r\n:1\r\n",
        "*0\r\n",
        "*-1\r\n",
        ">3\r\n$9\r\nsubscribe\r\n$6\r\nnews:1\r\n:1\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$6\r\nnews:1\r\n:1\r\n",
        "*3\r\n$10\r\npsubscribe\r\n$6\r\nnews:*\r\n:1\r\n",
        ">3\r\n$7\r\nmessage\r\n$6\r\nnews:1\r\n$1\r\nx\r\n",
        "%1\r\n+proto\r\n:3\r\n",
        "-NOSCRIPT No matching script.\r\n",
        "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        "-NOPERM no permission\r\n",
        "-EXECABORT Transaction discarded\r\n",
        ":0\r\n",
        ":1\r\n",
        "+OK\r\n",
        "+QUEUED\r\n",
        "$-1\r\n",
        "_\r\n",
    ];
    replies.extend(whole.iter().map(|reply| reply.as_bytes().to_vec()));
    replies
});

/// Whole replies with envelopes of this sealer, and its messages.
fn replies_with(sealer: &Sealer) -> Vec<Vec<u8>> {
    let bulk = |value: &[u8]| [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat();
    let seal = |binding| bulk(&sealer.seal(b"12", binding).unwrap());
    let one = seal(Binding::record(b"wa:1"));
    let field = seal(Binding::field(b"wa:h", b"f"));
    let list = seal(Binding::element(b"wa:l"));
    let member = seal(Binding::member(b"wa:s"));
    let scored = seal(Binding::member(b"wa:z"));
    let entry = seal(Binding::stream_field(b"wa:x", b"f"));
    let message = bulk(
        &grouped(b"news")
            .seal(b"12", Binding::message(b"news"))
            .unwrap(),
    );
    vec![
        one.clone(),
        list.clone(),
        field.clone(),
        [b"*2\r\n", &one[..], b"$1\r\nx\r\n"].concat(),
        [b"*2\r\n", &list[..], &list].concat(),
        [b"*2\r\n$1\r\nf\r\n", &field[..]].concat(),
        [b"%1\r\n$1\r\nf\r\n", &field[..]].concat(),
        [b"*2\r\n$1\r\n0\r\n*2\r\n$1\r\nf\r\n", &field[..]].concat(),
        [b"*2\r\n$4\r\nwa:l\r\n", &list[..]].concat(),
        [b"*2\r\n$4\r\nwa:l\r\n*1\r\n", &list[..]].concat(),
        [b"*1\r\n*1\r\n*2\r\n$1\r\nf\r\n", &field[..]].concat(),
        [b"*1\r\n", &one[..]].concat(),
        [b"*1\r\n", &member[..]].concat(),
        [b"~1\r\n", &member[..]].concat(),
        [b"*2\r\n$1\r\n0\r\n*1\r\n", &member[..]].concat(),
        [b"*2\r\n", &scored[..], b"$1\r\n1\r\n"].concat(),
        [b"*1\r\n*2\r\n", &scored[..], b",1\r\n"].concat(),
        [b"*3\r\n$4\r\nwa:z\r\n", &scored[..], b"$1\r\n1\r\n"].concat(),
        [b"*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n", &entry[..]].concat(),
        [
            b"*1\r\n*2\r\n$4\r\nwa:x\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n",
            &entry[..],
        ]
        .concat(),
        [b"*4\r\n+OK\r\n:1\r\n:1\r\n", &member[..]].concat(),
        [b"*2\r\n$6\r\nstring\r\n*1\r\n", &one[..]].concat(),
        [b"*2\r\n$4\r\nlist\r\n*1\r\n", &list[..]].concat(),
        [b"*2\r\n$4\r\nhash\r\n*2\r\n$1\r\nf\r\n", &field[..]].concat(),
        [b">3\r\n$7\r\nmessage\r\n$6\r\nnews:1\r\n", &message[..]].concat(),
        [b"*3\r\n$7\r\nmessage\r\n$6\r\nnews:1\r\n", &message[..]].concat(),
        [
            b">4\r\n$8\r\npmessage\r\n$6\r\nnews:*\r\n$6\r\nnews:1\r\n",
            &message[..],
        ]
        .concat(),
        [b">3\r\n$7\r\nmessage\r\n$6\r\nnews:1\r\n", &one[..]].concat(),
    ]
}

/// In mode `on`, in mode `required`, and the same in groups.
static PROTECTIONS: LazyLock<[Arc<Protection>; 3]> = LazyLock::new(|| {
    let sealers = [sealer(Mode::On), sealer(Mode::Required), grouped(b"states")];
    sealers.map(|sealer| {
        let pattern = |text| RecordPattern::parse(text).unwrap();
        let key = SecretKey::from_bytes(&KEY).unwrap();
        let protection = Protection::new(
            vec![(pattern("wa:*"), sealer)],
            NameMask::derived_from(&key),
        );
        Arc::new(protection.channels(vec![(pattern("news:*"), grouped(b"news"))]))
    })
});

const KEY: [u8; 32] = *b"0123456789abcdefghijklmnopqrstuv";

fn sealer(mode: Mode) -> Sealer {
    let keyring = Keyring::new(SecretKey::from_bytes(&KEY).unwrap()).unwrap();
    Sealer::new(Arc::new(keyring), mode, Format::Sealed).plain_values(PlainValues::Any)
}

/// A sealer of a group, whose elements are found.
fn grouped(id: &[u8]) -> Sealer {
    let rules = EnvelopeRules {
        write: EnvelopeVersion::V3,
        ..EnvelopeRules::default()
    };
    let sealer = sealer(Mode::Required).rules(rules);
    let sealer = sealer.in_group(Some(Group::new(id, true)));
    sealer.deterministic_elements(true)
}

// Steps: a byte that says what comes, a byte that says how much or which, the bytes.
fuzz_target!(|input: &[u8]| {
    let [setup, steps @ ..] = input else {
        return;
    };
    let mut steps = steps;
    let mut pair = Pair::new(*setup);
    while let [step, number, rest @ ..] = steps {
        let number = usize::from(*number);
        let (bytes, after) = match step % 5 {
            0 | 1 => rest.split_at(number.min(rest.len())),
            _ => (&[][..], rest),
        };
        steps = after;
        let is_open = match step % 5 {
            0 => pair.client_sends_anything(bytes),
            1 => pair.server_sends(bytes),
            2 => pair.client_sends_a_value(request(*setup, number)),
            4 => pair.client_sends_a_value(&OTHERS[number % OTHERS.len()]),
            _ => pair.server_sends(&REPLIES[number % REPLIES.len()]),
        };
        if !is_open {
            break;
        }
    }
});

/// The index of a setup's protection.
fn protection(setup: u8) -> usize {
    match setup & 5 {
        0 | 4 => 0,
        1 => 1,
        _ => 2,
    }
}

/// A request with the marker that this setup must seal.
fn request(setup: u8, number: usize) -> &'static [u8] {
    let is_required = protection(setup) > 0;
    let members = MEMBER_REQUESTS.iter().filter(|_| is_required);
    let all = REQUESTS.len()
        + if is_required {
            MEMBER_REQUESTS.len()
        } else {
            0
        };
    let mut requests = REQUESTS.iter().chain(members);
    requests.nth(number % all).expect("a request")
}

struct Pair {
    connection: Connection,
    link: Link,
    /// All bytes that are not out of [`REQUESTS`].
    strange: Vec<u8>,
    from_client: Vec<u8>,
    from_server: Vec<u8>,
    upstream: Vec<u8>,
    client: Vec<u8>,
    read: usize,
    /// Where the client's view of the replies is.
    scanner: ReplyScanner,
    seen: usize,
}

impl Pair {
    fn new(setup: u8) -> Self {
        let limits = Limits {
            value: 256,
            request: 1024,
            pending: 64,
            ..Limits::default()
        };
        let protection = Arc::clone(&PROTECTIONS[protection(setup)]);
        Self {
            connection: Connection::new(protection, limits, Arc::new(|_| {})),
            link: if setup & 2 == 0 {
                Link::Dedicated
            } else {
                Link::Lane(Identity::default())
            },
            strange: Vec::new(),
            from_client: Vec::new(),
            from_server: Vec::new(),
            upstream: Vec::new(),
            client: Vec::new(),
            read: 0,
            scanner: ReplyScanner::new(),
            seen: 0,
        }
    }

    /// The marker among these bytes would be no protected value, or not one alone.
    fn client_sends_anything(&mut self, bytes: &[u8]) -> bool {
        let before = self.strange.len().saturating_sub(MARKER.len());
        self.strange.extend_from_slice(bytes);
        !contains_marker(&self.strange[before..]) && self.client_sends(bytes)
    }

    /// A request that must not be part of another one, whose value it would be.
    fn client_sends_a_value(&mut self, request: &[u8]) -> bool {
        let whole = self.from_client.is_empty() && !self.connection.is_in_a_request();
        !whole || self.client_sends(request)
    }

    fn client_sends(&mut self, bytes: &[u8]) -> bool {
        self.from_client.extend_from_slice(bytes);
        self.read += bytes.len();
        self.take()
    }

    fn take(&mut self) -> bool {
        for _ in 0..4 {
            let (upstream, client) = (&mut self.upstream, &mut self.client);
            let before = upstream.len().saturating_sub(MARKER.len());
            let taken = self
                .connection
                .requests(&self.from_client, self.link, upstream, client);
            assert!(taken.used <= self.from_client.len());
            self.from_client.drain(..taken.used);
            assert!(
                !contains_marker(&self.upstream[before..]),
                "a value in clear"
            );
            self.check_client();
            match taken.next {
                Next::Dedicated if self.connection.has_all_replies() => self.link = Link::Dedicated,
                Next::Lane(protocol) if self.connection.has_all_replies() => {
                    self.link = Link::Lane(Identity {
                        protocol,
                        database: 0,
                    });
                }
                Next::Delay => self.connection.end_delay(&mut self.client),
                Next::End => return false,
                _ => return true,
            }
        }
        true
    }

    fn server_sends(&mut self, bytes: &[u8]) -> bool {
        self.from_server.extend_from_slice(bytes);
        self.read += bytes.len();
        let answered = self
            .connection
            .replies(&self.from_server, usize::MAX, &mut self.client);
        self.check_client();
        let Ok(answered) = answered else {
            return false;
        };
        assert!(answered.used <= self.from_server.len());
        self.from_server.drain(..answered.used);
        self.take()
    }

    fn check_client(&mut self) {
        assert!(self.upstream.len() + self.client.len() <= 4096 + 128 * self.read);
        while self.seen < self.client.len() {
            let scanned = self.scanner.scan(&self.client[self.seen..]);
            let used = scanned.expect("the client gets RESP").used;
            self.seen += used;
            if used == 0 {
                break;
            }
        }
    }
}

fn contains_marker(bytes: &[u8]) -> bool {
    bytes.windows(MARKER.len()).any(|at| at == MARKER)
}
