//! Messages in protected channels: sealed at the server, opened for each subscriber behind a proxy with the same
//! configuration, in both protocols and on every server.

use waxseal_testing::{Flavor, RedisServer};

use super::wire::{Raw, Wire, bulk, contains};
use crate::metrics::metrics;
use crate::program::{Program, wait_until};
use crate::proxy::{PROTECTED_MARKER, Proxy};

const CONFIGURATION: &str = "[[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\n\n[[protect]]\nname = \"News\"\n\
                             channels = \"news:*\"\ngroup = \"news\"\n";

fn start(redis: &RedisServer, mode: &str) -> Proxy {
    let program = Program::at(redis)
        .file("waxseal.toml", CONFIGURATION)
        .env("ENABLE_REDIS_ENCRYPTION", mode);
    Proxy::start_as(&program, redis, &[])
}

/// A subscriber to `news:1`, once by its name and once by a pattern.
fn subscriber(port: u16, resp3: bool) -> Wire {
    let mut wire = Wire::tcp(port);
    if resp3 {
        wire = wire.resp3();
    }
    for request in [["SUBSCRIBE", "news:1"], ["PSUBSCRIBE", "n*"]] {
        let acknowledged = wire.ask(&request);
        assert!(acknowledged.contains("subscribe"), "{acknowledged:?}");
    }
    wire
}

/// Both deliveries of a message to [`subscriber`].
fn deliveries(array: &str, payload: &str) -> [String; 2] {
    let news = bulk("news:1");
    let payload = bulk(payload);
    [
        format!("{array}3\r\n{}{news}{payload}", bulk("message")),
        format!(
            "{array}4\r\n{}{}{news}{payload}",
            bulk("pmessage"),
            bulk("n*")
        ),
    ]
}

#[track_caller]
fn receives(wire: &mut Wire, array: &str, payload: &str) {
    for expected in deliveries(array, payload) {
        assert_eq!(wire.reply(), *expected);
    }
}

#[test]
fn the_server_sees_sealed_messages_and_every_subscriber_opened_ones() {
    for flavor in Flavor::ALL {
        let redis = RedisServer::builder().flavor(flavor).start();
        let (publishers, subscribers) = (start(&redis, "true"), start(&redis, "true"));
        let mut two = subscriber(subscribers.port(), false);
        let mut three = subscriber(subscribers.port(), true);
        let mut direct = subscriber(redis.port(), false);
        let mut publisher = Wire::tcp(publishers.port());
        assert_eq!(publisher.ask(&["PUBLISH", "news:1", "amatista"]), ":6\r\n");
        receives(&mut two, "*", "amatista");
        receives(&mut three, ">", "amatista");
        for _ in 0..2 {
            let Raw(seen) = direct.reply();
            assert!(contains(&seen, b"\xf5\x57\x03"), "{flavor:?}");
            assert!(!contains(&seen, PROTECTED_MARKER.as_bytes()), "{flavor:?}");
        }
        // In a transaction, and in other channels.
        assert_eq!(publisher.ask(&["MULTI"]), "+OK\r\n");
        assert_eq!(
            publisher.ask(&["PUBLISH", "news:1", "amatista-2"]),
            "+QUEUED\r\n"
        );
        assert_eq!(
            publisher.ask(&["PUBLISH", "notes", "obsidiana"]),
            "+QUEUED\r\n"
        );
        assert_eq!(publisher.ask(&["EXEC"]), "*2\r\n:6\r\n:3\r\n");
        receives(&mut two, "*", "amatista-2");
        let open = [
            bulk("pmessage"),
            bulk("n*"),
            bulk("notes"),
            bulk("obsidiana"),
        ]
        .concat();
        assert_eq!(two.reply(), *format!("*4\r\n{open}"));
        // Notifications of the server about records are never protected.
        redis.cli(&["CONFIG", "SET", "notify-keyspace-events", "KEA"]);
        let mut listener = Wire::tcp(subscribers.port());
        listener.ask(&["PSUBSCRIBE", "__keyspace@0__:*"]);
        assert_eq!(publisher.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
        assert!(listener.reply().contains("__keyspace@0__:wa:1"));
        if flavor != Flavor::Redis62 {
            let mut shard = Wire::tcp(subscribers.port());
            shard.ask(&["SSUBSCRIBE", "news:1"]);
            assert_eq!(publisher.ask(&["SPUBLISH", "news:1", "amatista"]), ":1\r\n");
            let message = [bulk("smessage"), bulk("news:1"), bulk("amatista")].concat();
            assert_eq!(shard.reply(), *format!("*3\r\n{message}"));
        }
        publishers.stop();
        subscribers.stop();
    }
}

#[test]
fn a_plain_message_is_delivered_in_mode_on_and_dropped_and_counted_in_mode_required() {
    let redis = RedisServer::start();
    let (on, required) = (start(&redis, "true"), start(&redis, "required"));
    let mut here = subscriber(on.port(), true);
    let mut there = subscriber(required.port(), true);
    redis.cli(&["PUBLISH", "news:1", "obsidiana"]);
    redis.cli(&["PUBLISH", "news:1", "obsidiana-2"]);
    let mut publisher = Wire::tcp(required.port());
    assert_eq!(publisher.ask(&["PUBLISH", "news:1", "amatista"]), ":4\r\n");
    for payload in ["obsidiana", "obsidiana-2", "amatista"] {
        receives(&mut here, ">", payload);
    }
    // The dropped ones were before it.
    receives(&mut there, ">", "amatista");
    let dropped = |proxy: &Proxy, reason| {
        let labels = [("pattern", "News"), ("reason", reason)];
        metrics(proxy.admin_port()).sum("waxseal_messages_dropped_total", &labels)
    };
    assert_eq!(dropped(&required, "plaintext"), 4.0);
    assert_eq!(dropped(&on, "plaintext"), 0.0);
    // Under an envelope that was moved from a record, nothing is delivered in any mode.
    publisher.ask(&["SET", "wa:1", "amatista"]);
    let mut direct = redis.client();
    let stored = direct.cmd(&["GET", "wa:1"]).bytes().unwrap();
    direct.cmd(&[&b"PUBLISH"[..], b"news:1", &stored]);
    publisher.ask(&["PUBLISH", "news:1", "amatista-2"]);
    receives(&mut here, ">", "amatista-2");
    receives(&mut there, ">", "amatista-2");
    wait_until(|| {
        required
            .said()
            .contains("a message in a channel of news:* was not delivered: the value is plaintext")
    });
    assert!(
        on.said()
            .contains("a plain message was delivered in a channel of news:*")
    );
    assert!(!required.said().contains("obsidiana"));
    on.stop();
    required.stop();
}

#[test]
fn a_configuration_of_channels_alone_protects_no_record() {
    let redis = RedisServer::start();
    let channels = "[[protect]]\nchannels = \"news:*\"\ngroup = \"news\"\n";
    let program = Program::at(&redis).file("waxseal.toml", channels);
    let proxy = Proxy::start_as(&program, &redis, &[]);
    let mut wire = Wire::tcp(proxy.port());
    assert_eq!(wire.ask(&["SET", "wa:1", "obsidiana"]), "+OK\r\n");
    assert_eq!(redis.client().cmd(&["GET", "wa:1"]).to_text(), "obsidiana");
    assert_eq!(wire.ask(&["PUBLISH", "news:1", "amatista"]), ":0\r\n");
    proxy.stop();
    let without_group =
        Program::at(&redis).file("waxseal.toml", "[[protect]]\nchannels = \"news:*\"\n");
    without_group
        .run(&["proxy", "--listen", "127.0.0.1:0"])
        .failed(64, "channels \"news:*\": no group is named");
}
