//! Values of the kinds that applications write, from the first step of switching over to the last: what was
//! written through the proxy is read, whatever it looks like.

use std::collections::BTreeMap;

use waxseal_testing::{Client, RedisServer};

use crate::program::{KEY, Program};
use crate::proxy::Proxy;

/// Values of each kind.
const EACH: usize = 160;
const SEALED: &str =
    "[[protect]]\nname = \"WhatsApp state\"\nrecords = \"wa:*\"\nformat = \"sealed\"\n";

/// Values that are the same in each run.
struct Values(u64);

impl Values {
    fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> usize {
        usize::try_from(self.number() % end).unwrap()
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.number().to_le_bytes()[3]).collect()
    }

    /// Characters of these, at random.
    fn text(&mut self, alphabet: &[u8], len: usize) -> Vec<u8> {
        let one = |values: &mut Self| alphabet[values.below(alphabet.len() as u64)];
        (0..len).map(|_| one(self)).collect()
    }

    fn base64(&mut self, url: bool, padded: bool) -> Vec<u8> {
        let raw = 30 + self.below(90);
        let mut text = self.text(&alphabet(url), (raw * 4).div_ceil(3));
        while padded && !text.len().is_multiple_of(4) {
            text.push(b'=');
        }
        text
    }

    fn of_kind(&mut self, kind: &str) -> Vec<u8> {
        let with = |start: &[u8], remaining: Vec<u8>| [start, &remaining].concat();
        let len = 50 + self.below(100);
        match kind {
            "url" => {
                let path = self.text(b"abcdefghijklmnopqrstuvwxyzABCDEF0123456789/", len);
                with(b"https://example.com/a/b/", path)
            }
            "jwt" => {
                let parts = [0, 1, 2].map(|_| self.base64(true, false));
                with(b"eyJ", parts.join(&b'.'))
            }
            "hex" => {
                let len = [32, 40, 64, 128][self.below(4)];
                self.text(b"0123456789abcdef", len)
            }
            "HEX" => self.text(b"0123456789ABCDEF", 64),
            "base64" => self.base64(false, true),
            "base64 without padding" => self.base64(false, false),
            "base64url" => self.base64(true, true),
            "base64 in quotes" => {
                let text = self.base64(false, true);
                [b"\"", &text[..], b"\""].concat()
            }
            "uuids" => {
                let uuid = |values: &mut Self| {
                    let of = |values: &mut Self, len| values.text(b"0123456789abcdef", len);
                    [8, 4, 4, 4, 12].map(|len| of(values, len)).join(&b'-')
                };
                [uuid(self), uuid(self)].join(&b',')
            }
            "pickle" => with(&[0x80, 4, 0x95], self.bytes(len)),
            "gzip" => with(&[0x1f, 0x8b, 8, 0], self.bytes(len)),
            "msgpack" => with(&[0x83, 0xa6], self.bytes(len)),
            "protobuf" => with(&[0x0a, 0x57, 0x12, 0x04], self.bytes(len)),
            "json" => format!("{{\"status\":\"{}\"}}", self.number()).into_bytes(),
            _ => {
                let len = self.below(100);
                self.bytes(len)
            }
        }
    }
}

fn alphabet(url: bool) -> Vec<u8> {
    let letters = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9');
    letters.chain(*if url { b"-_" } else { b"+/" }).collect()
}

const KINDS: [&str; 15] = [
    "url",
    "jwt",
    "hex",
    "HEX",
    "base64",
    "base64 without padding",
    "base64url",
    "base64 in quotes",
    "uuids",
    "pickle",
    "gzip",
    "msgpack",
    "protobuf",
    "json",
    "any",
];

/// Values of all kinds by record name.
fn values() -> BTreeMap<String, Vec<u8>> {
    let mut values = Values(0x5eed_0000_2026_1130);
    let mut all = BTreeMap::new();
    for kind in KINDS {
        for number in 0..EACH {
            all.insert(format!("wa:{kind}:{number}"), values.of_kind(kind));
        }
    }
    all
}

fn mode(program: Program, word: &str) -> Program {
    program.env("ENABLE_REDIS_ENCRYPTION", word)
}

fn write(client: &mut Client, values: &BTreeMap<String, Vec<u8>>) {
    let sets: Vec<_> = values
        .iter()
        .map(|(name, value)| [b"SET", name.as_bytes(), value])
        .collect();
    for reply in client.pipeline(&sets) {
        assert_eq!(reply.to_text(), "OK");
    }
    for (kind, fields) in hashes(values) {
        let mut request = vec![b"HSET".to_vec(), format!("wa:hash:{kind}").into_bytes()];
        request.extend(
            fields
                .into_iter()
                .flat_map(|(name, value)| [name.into_bytes(), value]),
        );
        assert_eq!(client.cmd(&request).int(), EACH as i64);
    }
}

/// The values of each kind, by field.
fn hashes(values: &BTreeMap<String, Vec<u8>>) -> BTreeMap<&str, BTreeMap<String, Vec<u8>>> {
    let of = |kind: &str| {
        let prefix = format!("wa:{kind}:");
        let own = values.iter().filter_map(|(name, value)| {
            Some((name.strip_prefix(&prefix)?.to_owned(), value.clone()))
        });
        own.collect()
    };
    KINDS.into_iter().map(|kind| (kind, of(kind))).collect()
}

#[track_caller]
fn read(client: &mut Client, values: &BTreeMap<String, Vec<u8>>, when: &str) {
    let gets: Vec<_> = values.keys().map(|name| ["GET", name]).collect();
    for ((name, value), reply) in values.iter().zip(client.pipeline(&gets)) {
        assert_eq!(reply.error(), None, "{when}: {name}");
        assert_eq!(reply.bytes().as_ref(), Some(value), "{when}: {name}");
    }
    let names = values.keys().map(String::as_str);
    let all = client
        .cmd(&[&["MGET"][..], &names.collect::<Vec<_>>()].concat())
        .array();
    let all: Vec<_> = all
        .into_iter()
        .filter_map(waxseal_testing::Reply::bytes)
        .collect();
    assert!(all.iter().eq(values.values()), "{when}: MGET");
    for (kind, fields) in hashes(values) {
        let reply = client.cmd(&["HGETALL", &format!("wa:hash:{kind}")]);
        assert_eq!(reply.error(), None, "{when}: {kind}");
        let flat: Vec<_> = reply
            .array()
            .into_iter()
            .filter_map(waxseal_testing::Reply::bytes)
            .collect();
        let pairs = flat
            .chunks(2)
            .map(|pair| (String::from_utf8(pair[0].clone()).unwrap(), pair[1].clone()));
        assert_eq!(pairs.collect::<BTreeMap<_, _>>(), fields, "{when}: {kind}");
    }
}

/// The values that an audit counts as sealed, plain and damaged.
fn audited(program: &Program) -> [u64; 3] {
    let report = program
        .run(&["audit", "--deep", "--json"])
        .with_status_of(&[0, 1])
        .json();
    ["sealed", "plain", "unopenable"].map(|count| report["total"][count].as_u64().unwrap())
}

#[test]
fn values_of_every_kind_are_read_at_every_step_of_switching_over() {
    let redis = RedisServer::start();
    let at = || Program::at(&redis).file("waxseal.toml", SEALED);
    let values = values();
    let empty = values.values().filter(|value| value.is_empty()).count() as u64;
    let all = 2 * (values.len() as u64 - empty);
    let off = mode(at(), "false");
    // Started again, it finds what it wrote.
    for start in ["first start", "second start"] {
        let proxy = Proxy::start_as(&off, &redis, &[]);
        let mut client = Client::connect(proxy.port()).unwrap();
        if start == "first start" {
            write(&mut client, &values);
        }
        read(&mut client, &values, start);
        proxy.stop();
    }
    assert_eq!(audited(&off), [0, all, 0]);
    let on = mode(at(), "true");
    let proxy = Proxy::start_as(&on, &redis, &[]);
    read(&mut Client::connect(proxy.port()).unwrap(), &values, "on");
    assert_eq!(audited(&on), [0, all, 0]);
    let migrated = on.run(&["migrate", "--json"]).done().json();
    assert_eq!(migrated["patterns"][0]["done"], all, "{migrated}");
    read(
        &mut Client::connect(proxy.port()).unwrap(),
        &values,
        "migrated",
    );
    proxy.stop();
    let required = mode(at(), "required");
    assert_eq!(audited(&required), [all, 0, 0]);
    let proxy = Proxy::start_as(&required, &redis, &[]);
    read(
        &mut Client::connect(proxy.port()).unwrap(),
        &values,
        "required",
    );
    proxy.stop();
}

#[test]
fn without_a_configured_format_mode_off_reads_all_and_mode_on_refuses_what_may_be_classic() {
    let redis = RedisServer::start();
    let values = values();
    let off = mode(Program::at(&redis), "false");
    let flags = ["--protect", "wa:*"];
    let proxy = Proxy::start_as(&off, &redis, &flags);
    let mut client = Client::connect(proxy.port()).unwrap();
    write(&mut client, &values);
    read(&mut client, &values, "off");
    // What would not be read again is not written.
    for value in [&b"ws2:hello"[..], b"\xf5\x57hello"] {
        let reply = client.cmd(&[b"SET", &b"wa:odd"[..], value]);
        let told = "SEALREFUSED SET: nothing was written: the value begins as a sealed envelope does and is \
                    none: written plain, it could not be read again";
        assert_eq!(reply.error(), Some(told));
    }
    proxy.stop();
    assert_eq!(audited(&off)[2], 0);
    let on = mode(Program::at(&redis), "true");
    let proxy = Proxy::start_as(&on, &redis, &flags);
    let mut client = Client::connect(proxy.port()).unwrap();
    let mut refused = 0;
    for (name, value) in &values {
        let reply = client.cmd(&["GET", name]);
        match reply.error() {
            None => assert_eq!(reply.bytes().as_ref(), Some(value), "{name}"),
            Some(error) => {
                assert!(error.starts_with("SEALBROKEN GET: "), "{error}");
                let kind = name.split(':').nth(1).unwrap();
                assert!(kind.starts_with("base64"), "{name}");
                refused += 1;
            }
        }
    }
    assert!(refused >= 2 * EACH, "{refused}");
    // The proxy and the sweeps agree.
    let report = on.run(&["audit", "--deep", "--json"]).with_status(1).json();
    assert_eq!(report["total"]["unopenable"], 2 * refused as u64);
    // A classic value under another key is what this is for.
    let other = Program::new().env(
        "REDIS_ENCRYPTION_KEY",
        &KEY.chars().rev().collect::<String>(),
    );
    let sealed = other
        .run_with(&["seal"], b"{\"status\":\"new\"}")
        .done()
        .stdout;
    let mut direct = redis.client();
    direct.cmd(&[b"SET", &b"wa:foreign"[..], &sealed]);
    let reply = client.cmd(&["GET", "wa:foreign"]);
    assert!(
        reply
            .error()
            .is_some_and(|error| error.starts_with("SEALBROKEN "))
    );
    proxy.stop();
}
