//! Messages in protected channels: sealed when they are published, opened when they are delivered, dropped when that is
//! not possible. All other messages pass.

use waxseal_core::{Group, Mode, PlainValues};
use waxseal_policy::RecordPattern;
use waxseal_proxy::{Limits, Protocol, UnexpectedReply};

use crate::pair::{
    KEY, Pair, assert_sent, at_every_chunking, from_server, protection, sealer, to_client,
};

fn with(patterns: &[&str], mode: Mode, limits: Limits) -> Pair {
    let group = Some(Group::new(b"news", true));
    let sealer = sealer(KEY, mode)
        .plain_values(PlainValues::Any)
        .in_group(group);
    let channels = patterns.iter().map(|pattern| {
        let pattern = RecordPattern::parse(pattern).unwrap();
        (pattern, sealer.clone())
    });
    Pair::over(protection(mode).channels(channels.collect()), limits)
}

fn news() -> Pair {
    with(&["news:*"], Mode::On, Limits::default())
}

fn resp3() -> Pair {
    let mut pair = news();
    pair.exchange("HELLO 3", "%1 'proto :3", "%1 'proto :3");
    assert_eq!(pair.connection.protocol(), Protocol::Resp3);
    pair
}

#[test]
fn a_message_is_sealed_for_the_group_of_its_channel() {
    for begin in [news as fn() -> Pair, resp3] {
        for line in [
            "PUBLISH news:1 @#news=hello",
            "spublish news:2 @#news=hello",
            "PUBLISH wa:1 hello",
            "PUBLISH news hello",
            "PUBLISH news:1",
        ] {
            at_every_chunking(begin, &[line], &[line], ":2", ":2");
        }
        let lines = ["MULTI", "PUBLISH news:1 @#news=hello", "GET wa:1", "EXEC"];
        let reply = "+OK +QUEUED +QUEUED *2 :1 @wa:1=v";
        at_every_chunking(begin, &lines, &lines, reply, reply);
    }
    // More arguments than a message could be anything.
    let mut pair = news();
    pair.send(&["PUBLISH news:1 hello again"]);
    assert!(pair.sent().is_empty());
    assert!(pair.got().starts_with("-SEALREFUSED PUBLISH "));
}

#[test]
fn a_message_is_opened_for_each_subscriber() {
    let lines = [
        "SUBSCRIBE news:1 other",
        "PSUBSCRIBE n*",
        "SSUBSCRIBE news:2",
    ];
    let replies = |push: &str| {
        format!(
            "{push}3 'subscribe 'news:1 :1 {push}3 'message 'news:1 @#news=hello {push}3 'subscribe 'other :2 \
             {push}3 'message 'other 'clear {push}3 'psubscribe 'n* :3 {push}4 'pmessage 'n* 'news:1 @#news=hello \
             {push}4 'pmessage 'n* 'nothing 'clear {push}3 'ssubscribe 'news:2 :1 {push}3 'smessage 'news:2 @#news= \
             {push}3 'message 'news:1 'plain {push}3 'message 'news:1 '"
        )
    };
    at_every_chunking(news, &lines, &lines, &replies("*"), &replies("*"));
    at_every_chunking(resp3, &lines, &lines, &replies(">"), &replies(">"));
}

#[test]
fn a_message_that_does_not_open_is_dropped_and_the_next_one_delivered() {
    for (mode, dropped) in [
        (Mode::On, "!wa:1=foreign"),
        (Mode::On, "@wa:1=moved"),
        (Mode::On, "@#other=moved"),
        (Mode::On, "*1 'made-up"),
        (Mode::On, ":17"),
        (Mode::Required, "'plain"),
    ] {
        for (word, push) in [
            ("SUBSCRIBE", false),
            ("SUBSCRIBE", true),
            ("PSUBSCRIBE", true),
        ] {
            let mut pair = with(&["news:*"], mode, Limits::default());
            if push {
                pair.exchange("HELLO 3", "%1 'proto :3", "%1 'proto :3");
            }
            let array = if push { '>' } else { '*' };
            pair.send(&[&format!("{word} news:1")]);
            assert_sent(&pair.sent(), &[&format!("{word} news:1")]);
            pair.answer(&format!("{array}3 '{} 'news:1 :1", word.to_lowercase()));
            pair.got();
            let message = match word {
                "SUBSCRIBE" => format!("{array}3 'message 'news:1"),
                _ => format!("{array}4 'pmessage 'news:1 'news:1"),
            };
            pair.answer(&format!("{message} {dropped}"));
            assert_eq!(pair.got(), "", "{dropped}");
            pair.answer(&format!("{message} @#news=next"));
            assert_eq!(pair.got(), to_client(&format!("{message} @#news=next")));
        }
    }
}

#[test]
fn messages_of_servers_are_in_no_protected_channel() {
    let begin = || with(&["*"], Mode::Required, Limits::default());
    let mut pair = begin();
    let line = "SUBSCRIBE __keyspace@0__:wa:1 __redis__:invalidate";
    pair.send(&[line]);
    for message in [
        "*3 'subscribe '__keyspace@0__:wa:1 :1",
        "*3 'subscribe '__redis__:invalidate :2",
        "*3 'message '__keyspace@0__:wa:1 'set",
        "*3 'message '__redis__:invalidate *1 'wa:1",
        "*3 'message '__redis__:invalidate $-1",
    ] {
        pair.answer(message);
        assert_eq!(pair.got(), to_client(message));
    }
    pair.sent();
    let mut pair = begin();
    pair.exchange("PUBLISH __sentinel__:hello x", ":1", ":1");
}

#[test]
fn a_large_message_passes_in_other_channels_and_is_dropped_in_protected_ones() {
    let limits = Limits {
        value: 1000,
        request: 2000,
        ..Limits::default()
    };
    let large = "x".repeat(200_000);
    for (channel, passes) in [("other", true), ("news:1", false)] {
        let mut pair = with(&["news:*"], Mode::On, limits);
        pair.send(&["SUBSCRIBE news:1 other"]);
        pair.answer("*3 'subscribe 'news:1 :1 *3 'subscribe 'other :2");
        pair.got();
        let message = from_server(&format!("*3 'message '{channel} '{large}"));
        let mut got = String::new();
        for chunk in message.chunks(10_000) {
            pair.answer_bytes(chunk).unwrap();
            got.push_str(&pair.got());
        }
        assert_eq!(
            got.len(),
            if passes { message.len() } else { 0 },
            "{channel}"
        );
        pair.answer("*3 'message 'other 'small");
        assert_eq!(pair.got(), to_client("*3 'message 'other 'small"));
    }
}

#[test]
fn a_reply_is_never_taken_for_a_message() {
    let mut pair = news();
    pair.send(&["LRANGE other 0 -1"]);
    pair.answer("*3 'message 'news:1 'clear");
    assert_eq!(pair.got(), to_client("*3 'message 'news:1 'clear"));
    let result = pair.answer_bytes(&from_server("*3 'message 'news:1 'clear"));
    assert_eq!(result, Err(UnexpectedReply::Pairing));
}
