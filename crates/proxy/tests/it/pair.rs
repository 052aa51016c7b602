//! A scripted conversation: what the client sends, and what the server answers. Words
//! that begin with `@` are protected values: `@name=value`, `@name/field=value` or in a stream
//! `@name>field=value` is the envelope on the server's side and the plain value on the client's. `@#group=text` is
//! a message of a group.

use std::sync::Arc;

use waxseal_core::{Binding, Format, Keyring, Mode, NameMask, PlainValues, Sealer, SecretKey};
use waxseal_policy::RecordPattern;
use waxseal_proxy::{Connection, Limits, Link, Next, Protection, RequestProgress, UnexpectedReply};
use waxseal_resp::{RequestLimits, RequestScanner, Scan, write_bulk, write_request_head};

pub(crate) const KEY: [u8; 32] = *b"0123456789abcdefghijklmnopqrstuv";
/// A key that the proxy does not have.
const FOREIGN: [u8; 32] = *b"vutsrqponmlkjihgfedcba9876543210";

pub(crate) fn sealer(key: [u8; 32], mode: Mode) -> Sealer {
    let keyring = Keyring::new(SecretKey::from_bytes(&key).unwrap()).unwrap();
    Sealer::new(Arc::new(keyring), mode, Format::Sealed).plain_values(PlainValues::Json)
}

/// A side of the proxy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// `name=value`, `name/field=value` or `name>field=value`.
pub(crate) fn envelope(location: &str, key: [u8; 32]) -> Vec<u8> {
    let (location, value) = location.split_once('=').unwrap();
    sealer(key, Mode::On)
        .seal(value.as_bytes(), binding(location))
        .unwrap()
}

/// The binding of a value at `name`, `name/field` or `name>field`, or of a message in `#group`.
fn binding(location: &str) -> Binding<'_> {
    if let Some(group) = location.strip_prefix('#') {
        return Binding::message(group.as_bytes());
    }
    if let Some((name, field)) = location.split_once('>') {
        return Binding::stream_field(name.as_bytes(), field.as_bytes());
    }
    match location.split_once('/') {
        Some((name, field)) => Binding::field(name.as_bytes(), field.as_bytes()),
        None => Binding::record(location.as_bytes()),
    }
}

/// Encodes a request of these words, as the client sends it.
pub(crate) fn request(words: &str) -> Vec<u8> {
    let words: Vec<&str> = words.split(' ').collect();
    let mut out = Vec::new();
    write_request_head(&mut out, words.len());
    for word in words {
        let text = match word.strip_prefix('@') {
            Some(location) => location.split_once('=').unwrap().1,
            None => word,
        };
        write_bulk(&mut out, text.as_bytes());
    }
    out
}

/// Encodes requests, one for each line.
pub(crate) fn requests(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| request(line)).collect()
}

/// A reply in words: `'text` is a bulk string, `@…` a protected value, `!…` an envelope under a key
/// that is unknown, everything else a literal line of RESP, with `~` for a space.
pub(crate) fn reply(words: &str, side: Side) -> Vec<u8> {
    let mut out = Vec::new();
    for word in words.split(' ') {
        if let Some(text) = word.strip_prefix('\'') {
            write_bulk(&mut out, text.as_bytes());
        } else if let Some(location) = word.strip_prefix('@') {
            match side {
                Side::Server => write_bulk(&mut out, &envelope(location, KEY)),
                Side::Client => {
                    write_bulk(&mut out, location.split_once('=').unwrap().1.as_bytes());
                }
            }
        } else if let Some(location) = word.strip_prefix('!') {
            write_bulk(&mut out, &envelope(location, FOREIGN));
        } else {
            out.extend_from_slice(word.replace('~', " ").as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
    out
}

/// Encodes a reply as the server sends it.
pub(crate) fn from_server(words: &str) -> Vec<u8> {
    reply(words, Side::Server)
}

/// Encodes a reply as the client receives it.
pub(crate) fn to_client(words: &str) -> String {
    text(&reply(words, Side::Client))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Parses complete requests into their arguments.
pub(crate) fn arguments(mut bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut actual = Vec::new();
    while !bytes.is_empty() {
        let mut scanner = RequestScanner::new(RequestLimits::default());
        let Ok(Scan::Complete { len }) = scanner.scan(bytes) else {
            panic!("no whole requests: {}", text(bytes));
        };
        let arguments = scanner.arguments(bytes);
        actual.push(arguments.iter().map(|it| it.to_vec()).collect());
        bytes = &bytes[len..];
    }
    actual
}

/// Asserts that these bytes are the requests of these lines, every `@` sealed for its record. `*` is the text of a script.
pub(crate) fn assert_sent(sent: &[u8], lines: &[&str]) {
    let sent = arguments(sent);
    assert_eq!(sent.len(), lines.len(), "requests to the server");
    for (actual, line) in sent.iter().zip(lines) {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(actual.len(), words.len(), "{line}");
        for (at, (actual, word)) in actual.iter().zip(words).enumerate() {
            if at == 1 && word == "*" {
                continue;
            }
            let Some(location) = word.strip_prefix('@') else {
                assert_eq!(text(actual), word, "{line}");
                continue;
            };
            let (location, value) = location.split_once('=').unwrap();
            let sealer = sealer(KEY, Mode::Required);
            let opened = sealer.open(actual, binding(location)).unwrap();
            assert_eq!(text(&opened.unwrap().value), value, "{line}");
        }
    }
}

/// The records `wa:*`, under the key.
pub(crate) fn protection(mode: Mode) -> Protection {
    let pattern = RecordPattern::parse("wa:*").unwrap();
    let mask = NameMask::derived_from(&SecretKey::from_bytes(&KEY).unwrap());
    Protection::new(vec![(pattern, sealer(KEY, mode))], mask)
}

/// Both queues of one conversation.
pub(crate) struct Pair {
    pub(crate) connection: Connection,
    from_client: Vec<u8>,
    from_server: Vec<u8>,
    upstream: Vec<u8>,
    client: Vec<u8>,
    pub(crate) ended: bool,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::with(Mode::On, Limits::default())
    }

    pub(crate) fn with(mode: Mode, limits: Limits) -> Self {
        Self::over(protection(mode), limits)
    }

    pub(crate) fn over(protection: Protection, limits: Limits) -> Self {
        Self {
            connection: Connection::new(Arc::new(protection), limits, Arc::new(|_| {})),
            from_client: Vec::new(),
            from_server: Vec::new(),
            upstream: Vec::new(),
            client: Vec::new(),
            ended: false,
        }
    }

    /// A conversation in RESP3.
    pub(crate) fn resp3() -> Self {
        let mut pair = Self::new();
        pair.exchange("HELLO 3", "%1 'proto :3", "%1 'proto :3");
        pair
    }

    /// Has the server permit that replies are switched off.
    pub(crate) fn with_reply_modes(mut self) -> Self {
        self.send(&["CLIENT REPLY SKIP", "PING"]);
        assert_sent(&self.sent(), &["cLIENT REPLY ON"]);
        self.answer("+OK");
        assert_sent(&self.sent(), &["PING"]);
        self.answer("+PONG");
        assert_eq!(self.got(), "");
        self
    }

    fn take(&mut self) -> RequestProgress {
        let (upstream, client) = (&mut self.upstream, &mut self.client);
        let taken = self
            .connection
            .requests(&self.from_client, Link::Dedicated, upstream, client);
        assert!(taken.used <= self.from_client.len());
        self.from_client.drain(..taken.used);
        self.ended |= taken.next == Next::End;
        taken
    }

    /// Ends the delay of a refusal.
    pub(crate) fn end_delay(&mut self) {
        self.connection.end_delay(&mut self.client);
        self.take();
    }

    /// Receives bytes from the client.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.from_client.extend_from_slice(bytes);
        self.take();
    }

    /// Receives requests from the client.
    pub(crate) fn send(&mut self, lines: &[&str]) {
        self.bytes(&requests(lines));
    }

    /// Receives bytes from the server.
    pub(crate) fn answer_bytes(&mut self, bytes: &[u8]) -> Result<(), UnexpectedReply> {
        self.from_server.extend_from_slice(bytes);
        let client = &mut self.client;
        let answered = self
            .connection
            .replies(&self.from_server, usize::MAX, client)?;
        assert!(answered.used <= self.from_server.len());
        self.from_server.drain(..answered.used);
        self.take();
        Ok(())
    }

    /// Receives a reply from the server, which must be consumed completely.
    pub(crate) fn answer(&mut self, words: &str) {
        self.answer_bytes(&from_server(words)).unwrap();
        assert!(self.from_server.is_empty());
    }

    /// Returns the bytes sent to the server since the last call.
    pub(crate) fn sent(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.upstream)
    }

    /// Returns the bytes sent to the client since the last call.
    pub(crate) fn got(&mut self) -> String {
        text(&std::mem::take(&mut self.client))
    }

    /// Exchanges one request that is sent as written for its reply, and asserts what the client gets.
    pub(crate) fn exchange(&mut self, line: &str, reply: &str, got: &str) {
        self.send(&[line]);
        assert_sent(&self.sent(), &[line]);
        self.answer(reply);
        assert_eq!(self.got(), to_client(got), "{line}");
    }

    /// Exchanges one request that is sent in another form.
    #[track_caller]
    pub(crate) fn exchange_as(&mut self, line: &str, sent: &str, reply: &str, got: &str) {
        self.send(&[line]);
        assert_sent(&self.sent(), &[sent]);
        self.answer(reply);
        assert_eq!(self.got(), to_client(got), "{line}");
    }

    /// Asserts that the connection works: one more value is exchanged.
    pub(crate) fn assert_usable(&mut self) {
        self.exchange("GET wa:next", "@wa:next=after", "@wa:next=after");
        assert!(self.connection.has_all_replies());
    }
}

/// Exchanges requests with both directions in pieces of every size: the client's `lines` are sent as
/// `sent`, and `reply` is delivered as `got`.
pub(crate) fn at_every_chunking(
    begin: fn() -> Pair,
    lines: &[&str],
    sent: &[&str],
    reply: &str,
    got: &str,
) {
    let requested = requests(lines);
    let answered = from_server(reply);
    for size in 1..=requested.len().max(answered.len()) {
        let mut pair = begin();
        requested.chunks(size).for_each(|chunk| pair.bytes(chunk));
        assert_sent(&pair.sent(), sent);
        for chunk in answered.chunks(size) {
            pair.answer_bytes(chunk).unwrap();
        }
        assert_eq!(pair.got(), to_client(got), "{lines:?} in pieces of {size}");
        assert!(pair.connection.has_all_replies());
    }
}
