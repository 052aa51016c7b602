//! Everything that a server is sent, as its `MONITOR` tells it: also what is stored in records that are
//! gone before a program ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use waxseal_testing::RedisServer;

use super::recipe::{Recipe, matches};
use crate::planted::secrets::base64;
use crate::program::wait_until;

/// Magic and version of an envelope.
pub(super) const MAGIC: &[u8] = b"\xf5\x57\x02";
/// The last thing that a server is sent, before what it was sent is checked.
const END: &str = "the watch ends";

/// Watches a server until it is asked for what it has seen.
pub(super) struct Monitor {
    port: u16,
    stream: TcpStream,
    seen: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

/// The beginning of the proxy's prelude, which names members in every form: while plain ones are accepted, in clear too.
const PRELUDE: &[u8] = b"local is_list = ARGV[1] == 'list'";
/// What the prelude does with a member in another form: it looks for it, and removes it.
const FINDS: [&[u8]; 5] = [b"SISMEMBER", b"SREM", b"ZSCORE", b"ZREM", b"LPOS"];

/// The requests that a server received.
pub(super) struct Traffic {
    requests: Vec<Vec<Vec<u8>>>,
    /// The same for commands of scripts.
    by_scripts: Vec<Vec<Vec<u8>>>,
}

impl Monitor {
    #[track_caller]
    pub(super) fn start(server: &RedisServer) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.write_all(b"MONITOR\r\n").unwrap();
        let mut from = stream.try_clone().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = seen.clone();
        let reader = thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(read @ 1..) = from.read(&mut buffer) {
                sink.lock().unwrap().extend_from_slice(&buffer[..read]);
            }
        });
        wait_until(|| seen.lock().unwrap().starts_with(b"+OK\r\n"));
        Self {
            port: server.port(),
            stream,
            seen,
            reader,
        }
    }

    /// Everything that was sent before this call.
    pub(super) fn finish(self) -> Traffic {
        let mut client = waxseal_testing::Client::connect(self.port).unwrap();
        client.cmd(&["ECHO", END]);
        wait_until(|| {
            let seen = self.seen.lock().unwrap();
            let tail = &seen[seen.len().saturating_sub(4096)..];
            tail.windows(END.len()).any(|it| it == END.as_bytes())
        });
        self.stream.shutdown(std::net::Shutdown::Both).unwrap();
        self.reader.join().unwrap();
        let seen = self.seen.lock().unwrap();
        let lines = seen.split(|byte| *byte == b'\n').skip(1);
        let is_by_script = |line: &&[u8]| {
            let source = line.split(|byte| *byte == b'"').next();
            source.is_some_and(|it| it.ends_with(b" lua] "))
        };
        let (by_scripts, requests): (Vec<_>, Vec<_>) = lines.partition(is_by_script);
        let arguments = |lines: Vec<&[u8]>| {
            let all = lines.into_iter().map(arguments);
            all.filter(|it| !it.is_empty()).collect()
        };
        Traffic {
            requests: arguments(requests),
            by_scripts: arguments(by_scripts),
        }
    }
}

impl Traffic {
    /// Number of envelopes among the arguments.
    pub(super) fn sealed(&self) -> usize {
        let all = self.all().flatten();
        all.filter(|it| is_sealed(it)).count()
    }

    fn all(&self) -> impl Iterator<Item = &Vec<Vec<u8>>> {
        self.requests.iter().chain(&self.by_scripts)
    }

    /// The same without the preludes, where the mode lets them name members in clear.
    pub(super) fn without_preludes(mut self) -> Self {
        let is_prelude = |it: &Vec<Vec<u8>>| it.get(1).is_some_and(|it| it.starts_with(PRELUDE));
        let has_any = self.requests.iter().any(is_prelude);
        self.requests.retain(|it| !is_prelude(it));
        if has_any {
            self.by_scripts.retain(|it| !FINDS.contains(&&*it[0]));
        }
        self
    }

    /// A request with these words in an argument, as text or in Base64. What is published in other channels than
    /// those of the recipe is not sealed, and not stored: pages say so where a framework publishes values.
    pub(super) fn in_clear(&self, words: &str, recipe: &Recipe) -> Option<String> {
        let forms = forms(words);
        let holds = |argument: &Vec<u8>| {
            let has = |form: &String| argument.windows(form.len()).any(|it| it == form.as_bytes());
            forms.iter().any(has)
        };
        let is_published = |request: &&Vec<Vec<u8>>| {
            let channel = request.get(1).map_or(&b""[..], |it| it);
            request[0].to_ascii_uppercase().ends_with(b"PUBLISH")
                && !recipe.seals_messages_in(channel)
        };
        let mut stored = self.all().filter(|it| !is_published(it));
        let request = stored.find(|request| request.iter().any(holds))?;
        let shown = request.iter().map(|it| it.escape_ascii().to_string());
        Some(shown.collect::<Vec<_>>().join(" "))
    }

    /// A request that names a record in clear whose name is to be sealed.
    pub(super) fn name_in_clear(&self, recipe: &Recipe) -> Option<String> {
        let is_in_clear = |request: &&Vec<Vec<u8>>| {
            let mut names = names(request).iter();
            names.any(|it| recipe.is_name_in_clear(it))
        };
        let request = self.all().find(is_in_clear)?;
        let shown = request.iter().map(|it| it.escape_ascii().to_string());
        Some(shown.collect::<Vec<_>>().join(" "))
    }

    /// Returns whether an argument is a name that this glob matches.
    pub(super) fn names(&self, glob: &str) -> bool {
        self.all().flatten().any(|it| matches(glob, it))
    }
}

/// Commands whose arguments are all names, or numbers beside these.
const OF_NAMES: [&[u8]; 16] = [
    b"BLPOP",
    b"BRPOP",
    b"BZPOPMAX",
    b"BZPOPMIN",
    b"COPY",
    b"DEL",
    b"EXISTS",
    b"LMOVE",
    b"MGET",
    b"RENAME",
    b"RPOPLPUSH",
    b"SDIFF",
    b"SUNION",
    b"TOUCH",
    b"UNLINK",
    b"WATCH",
];
/// Commands without names of records: of channels, of globs and of the connection.
const NAMELESS: [&[u8]; 12] = [
    b"CLIENT",
    b"ECHO",
    b"KEYS",
    b"PSUBSCRIBE",
    b"PUBLISH",
    b"PUBSUB",
    b"PUNSUBSCRIBE",
    b"SCAN",
    b"SPUBLISH",
    b"SSUBSCRIBE",
    b"SUBSCRIBE",
    b"UNSUBSCRIBE",
];

/// The names of records in a request, as far as applications send such.
fn names(request: &[Vec<u8>]) -> &[Vec<u8>] {
    let command = request[0].to_ascii_uppercase();
    let count = |at: usize| {
        let text = request.get(at).and_then(|it| std::str::from_utf8(it).ok());
        text.and_then(|it| it.parse().ok()).unwrap_or(0_usize)
    };
    let range = match &command[..] {
        word if NAMELESS.contains(&word) => 0..0,
        word if OF_NAMES.contains(&word) => 1..request.len(),
        b"EVAL" | b"EVALSHA" => 3..3 + count(2),
        b"OBJECT" | b"XINFO" | b"XGROUP" | b"MEMORY" => 2..3,
        _ => 1..2,
    };
    let end = range.end.min(request.len());
    request.get(range.start..end).unwrap_or_default()
}

/// Returns whether a value begins as an envelope does.
pub(super) fn is_sealed(value: &[u8]) -> bool {
    waxseal_testing::reply_tree::is_sealed(value)
}

/// Words as they are, and as they can be in a Base64 text.
fn forms(words: &str) -> Vec<String> {
    let encoded = (0..3).map(|before| base64(before, words.as_bytes()));
    std::iter::once(words.to_owned()).chain(encoded).collect()
}

/// The arguments in a line of `MONITOR`.
fn arguments(line: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'"' {
            continue;
        }
        let mut argument = Vec::new();
        while let Some(byte) = bytes.next() {
            match byte {
                b'"' => break,
                b'\\' => argument.push(match bytes.next() {
                    Some(b'x') => {
                        let mut digit = || char::from(bytes.next().unwrap_or(b'0')).to_digit(16);
                        let (high, low) = (digit().unwrap_or(0), digit().unwrap_or(0));
                        u8::try_from(high * 16 + low).unwrap()
                    }
                    Some(b'n') => b'\n',
                    Some(b'r') => b'\r',
                    Some(b't') => b'\t',
                    Some(b'a') => 7,
                    Some(b'b') => 8,
                    Some(other) => other,
                    None => break,
                }),
                byte => argument.push(byte),
            }
        }
        found.push(argument);
    }
    found
}

#[test]
fn what_a_server_is_sent_is_seen_and_found_in_base64_too() {
    let server = RedisServer::start();
    let recipe = "[[protect]]\nrecords = \"a:*\"\n[[protect]]\nchannels = \"news:*\"\n";
    let recipe = Recipe::parse(recipe.to_owned());
    let monitor = Monitor::start(&server);
    let mut client = server.client();
    client.cmd(&[&b"SET"[..], b"a:1", b"\xf5\x57\x02\"\\\r\n\x00x"]);
    client.cmd(&[
        "EVAL",
        "return redis.call('SET', 'made:up', 'from a script')",
        "0",
    ]);
    // What is encoded: `1 amatista`, `12 amatista` and `123 amatista`.
    for encoded in ["MSBhbWF0aXN0YQ==", "MTIgYW1hdGlzdGE=", "MTIzIGFtYXRpc3Rh"] {
        let monitor = Monitor::start(&server);
        client.cmd(&["SET", "b", encoded]);
        let traffic = monitor.finish();
        assert!(traffic.in_clear("amatista", &recipe).is_some(), "{encoded}");
        assert!(
            traffic.in_clear("obsidiana", &recipe).is_none(),
            "{encoded}"
        );
        for (channel, is_protected) in [("channel", false), ("news:1", true)] {
            let monitor = Monitor::start(&server);
            client.cmd(&["publish", channel, encoded]);
            let found = monitor.finish().in_clear("amatista", &recipe);
            assert_eq!(found.is_some(), is_protected, "{channel}");
        }
    }
    let traffic = monitor.finish();
    assert!(traffic.by_scripts.iter().any(|it| it[0] == b"SET"));
    let value = b"\xf5\x57\x02\"\\\r\n\x00x".to_vec();
    assert!(
        traffic
            .requests
            .contains(&vec![b"SET".to_vec(), b"a:1".to_vec(), value])
    );
    assert_eq!(traffic.sealed(), 1);
    assert!(
        traffic.names("made:*"),
        "what a script does is seen as well"
    );
    assert!(!traffic.names("c:*"));
}

#[test]
fn a_prelude_is_left_out_and_what_a_script_stores_is_not() {
    let recipe = Recipe::parse("[[protect]]\nrecords = \"a:*\"\n".to_owned());
    let prelude = format!(
        "{} redis.call('SISMEMBER', KEYS[1], ARGV[2])",
        std::str::from_utf8(PRELUDE).unwrap()
    );
    for (script, is_found) in [
        (prelude.as_str(), false),
        ("redis.call('SADD', KEYS[1], ARGV[2])", true),
    ] {
        let server = RedisServer::start();
        let monitor = Monitor::start(&server);
        let mut client = server.client();
        client.cmd(&["EVAL", script, "1", "a:1", "set", "amatista"]);
        let traffic = monitor.finish();
        assert!(traffic.in_clear("amatista", &recipe).is_some());
        let found = traffic.without_preludes().in_clear("amatista", &recipe);
        assert_eq!(found.is_some(), is_found, "{script}");
    }
}
