//! Requests that name members, and the prelude before them: what is sent, and which of the replies the client gets.

use waxseal_core::Mode;
use waxseal_proxy::Limits;

use crate::pair::{Pair, arguments, protection};

fn pair(mode: Mode) -> Pair {
    Pair::over(protection(mode), Limits::default())
}

/// The commands that were sent.
fn commands(pair: &mut Pair) -> Vec<String> {
    let requests = arguments(&pair.sent());
    let command = |request: &Vec<Vec<u8>>| String::from_utf8_lossy(&request[0]).to_uppercase();
    requests.iter().map(command).collect()
}

/// A request whose reply a script would change, behind its prelude.
const WRAPPED: [&str; 4] = ["MULTI", "EVAL", "GEOPOS", "EXEC"];

/// The words of the command that the only request runs, a script.
#[track_caller]
fn command_in_script(pair: &mut Pair) -> Vec<Vec<u8>> {
    let mut sent = arguments(&pair.sent());
    assert_eq!(sent.len(), 1, "one request");
    let script = sent.pop().unwrap();
    assert_eq!(script[0], b"eVAL");
    let names: usize = String::from_utf8_lossy(&script[2]).parse().unwrap();
    let forms = &script[3 + names..];
    let count: usize = String::from_utf8_lossy(&forms[1]).parse().unwrap();
    forms[2 + count..].to_vec()
}

#[test]
fn a_command_that_writes_members_or_reads_a_few_is_run_by_the_script() {
    for (line, words) in [
        ("SADD wa:s v w", "2 2 1 SADD wa:s 2"),
        ("SREM wa:s v", "2 2 1 SREM wa:s 1"),
        ("zadd wa:z NX CH 1 v 2 w", "2 4 2 zadd wa:z NX 5"),
        ("ZINCRBY wa:z 1 v", "2 2 1 ZINCRBY wa:z 2"),
        ("ZREM wa:z v", "2 2 1 ZREM wa:z 1"),
        ("GEOADD wa:g XX 1 2 v", "2 3 3 GEOADD wa:g XX 3"),
        ("SISMEMBER wa:s v", "2 2 0 SISMEMBER wa:s 1"),
        ("SMISMEMBER wa:s v w", "2 2 0 SMISMEMBER wa:s 2"),
        ("ZSCORE wa:z v", "2 2 0 ZSCORE wa:z 1"),
        ("ZMSCORE wa:z v w", "2 2 0 ZMSCORE wa:z 2"),
        ("ZRANK wa:z v", "2 2 0 ZRANK wa:z 1"),
    ] {
        for (reply, got) in [
            (":1", ":1\r\n"),
            ("'1.5", "$3\r\n1.5\r\n"),
            ("$-1", "$-1\r\n"),
            ("-MOVED~1~host", "-MOVED 1 host\r\n"),
            ("-OOM~x", "-OOM x\r\n"),
        ] {
            let mut pair = pair(Mode::On);
            pair.send(&[line]);
            let sent = command_in_script(&mut pair);
            let shown: Vec<_> = sent.iter().map(|it| String::from_utf8_lossy(it)).collect();
            let mut words: Vec<&str> = words.split(' ').collect();
            let rest: usize = words.pop().unwrap().parse().unwrap();
            assert_eq!(shown[..words.len()], words, "{line}");
            assert_eq!(shown.len(), words.len() + rest, "{line}");
            assert!(
                !shown.iter().any(|it| it == "v" || it == "w"),
                "{line}: sealed"
            );
            pair.answer(reply);
            assert_eq!(pair.got(), got, "{line}");
            pair.assert_usable();
        }
    }
    let mut pair = Pair::over(protection(Mode::On), Limits::default());
    pair.exchange("HELLO 3", "%1 'proto :3", "%1 'proto :3");
    pair.send(&["SADD wa:s v"]);
    assert_eq!(command_in_script(&mut pair)[0], b"3");
}

#[test]
fn a_missing_right_to_write_is_told_with_what_to_allow() {
    for reply in [
        "-NOPERM~x",
        "-ERR~The~user~executing~the~script~can't~run~this~command",
        "-ERR~ACL~failure~in~script:~User~u~has~no~permissions~to~run",
    ] {
        let mut pair = pair(Mode::On);
        pair.send(&["ZADD wa:z 1 v"]);
        pair.answer(reply);
        let got = pair.got();
        assert!(got.starts_with("-NOPERM ZADD: members may"), "{got}");
        // It is queued, and fails when it runs.
        pair.send(&["MULTI", "ZADD wa:z 1 v", "PING", "EXEC"]);
        pair.answer("+OK +QUEUED +QUEUED *2");
        pair.answer(&format!("{reply} +PONG"));
        let got = pair.got();
        assert!(got.contains("*2\r\n-NOPERM ZADD: members may"), "{got}");
        assert!(got.ends_with("+PONG\r\n"), "{got}");
    }
}

#[test]
fn the_client_gets_the_reply_to_its_request() {
    for (replies, expected) in [
        ("+OK +QUEUED +QUEUED *2 :0 :1", ":1\r\n"),
        // Refused when it was queued.
        (
            "+OK +QUEUED -MOVED~1~host -EXECABORT~x",
            "-MOVED 1 host\r\n",
        ),
        // The script is refused, and with it the transaction.
        ("+OK -ERR~eval +QUEUED -EXECABORT~x", "-ERR eval\r\n"),
        // The script fails when it runs.
        (
            "+OK +QUEUED +QUEUED *2 -OOM~x :1",
            "-OOM GEOPOS: the command was carried out, but members may still be stored in another form, and the script \
             that replaces them before it failed: OOM x\r\n",
        ),
        // There is no transaction: both were carried out at once.
        ("-NOPERM~multi :0 :1 -ERR~exec", ":1\r\n"),
        (
            "-LOADING~a -LOADING~b -LOADING~c -LOADING~d",
            "-LOADING c\r\n",
        ),
    ] {
        let mut pair = pair(Mode::On);
        pair.send(&["GEOPOS wa:s v", "GET other"]);
        assert_eq!(
            commands(&mut pair),
            [&WRAPPED[..], &["GET"]].concat(),
            "{replies}"
        );
        pair.answer(replies);
        assert_eq!(pair.got(), expected, "{replies}");
        pair.answer("'x");
        assert_eq!(pair.got(), "$1\r\nx\r\n", "{replies}");
        pair.assert_usable();
    }
}

#[test]
fn a_missing_right_is_told_with_what_to_allow() {
    for (replies, told) in [
        ("+OK -NOPERM~x +QUEUED -EXECABORT~x", "members may"),
        (
            "+OK +QUEUED +QUEUED *2 -ERR~The~user~executing~the~script~can't~run~this~command :1",
            "the command was carried out, but members may",
        ),
        (
            "+OK +QUEUED +QUEUED *2 -ERR~ACL~failure~in~script:~User~u~has~no~permissions~to~run :1",
            "the command was carried out, but members may",
        ),
        (
            "-NOPERM~x -NOPERM~x :1 -ERR~exec",
            "the command was carried out, but members may",
        ),
    ] {
        let mut pair = pair(Mode::On);
        pair.send(&["GEOPOS wa:z v"]);
        pair.answer(replies);
        let got = pair.got();
        let told = format!("-NOPERM GEOPOS: {told}");
        assert!(got.starts_with(&told), "{got}");
    }
}

#[test]
fn replies_are_cut_anywhere() {
    let replies = b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:0\r\n:1\r\n";
    for cut in 1..replies.len() {
        let mut pair = pair(Mode::On);
        pair.send(&["GEOPOS wa:s v"]);
        pair.answer_bytes(&replies[..cut]).unwrap();
        assert_eq!(pair.got(), "", "{cut}");
        pair.answer_bytes(&replies[cut..]).unwrap();
        assert_eq!(pair.got(), ":1\r\n", "{cut}");
        assert!(pair.connection.has_all_replies());
    }
}

#[test]
fn in_a_transaction_the_script_is_one_more_command() {
    let mut pair = pair(Mode::On);
    pair.send(&["MULTI", "GEOPOS wa:s v", "PING", "SREM wa:s w", "EXEC"]);
    let sent = ["MULTI", "EVAL", "GEOPOS", "PING", "EVAL", "EXEC"];
    assert_eq!(commands(&mut pair), sent);
    pair.answer("+OK +QUEUED +QUEUED +QUEUED +QUEUED");
    pair.answer("*4 :0 :1 +PONG :2");
    let queued = "+QUEUED\r\n".repeat(3);
    assert_eq!(
        pair.got(),
        format!("+OK\r\n{queued}*3\r\n:1\r\n+PONG\r\n:2\r\n")
    );
    // It is refused: so is the command, in the client's eyes.
    pair.send(&["MULTI", "GEOPOS wa:s v", "EXEC"]);
    pair.answer("+OK -NOPERM~x +QUEUED -EXECABORT~x");
    let got = pair.got();
    assert!(
        got.starts_with("+OK\r\n-NOPERM GEOPOS: ") && got.ends_with("-EXECABORT x\r\n"),
        "{got}"
    );
    // It fails when it runs: the command is not believed.
    pair.send(&["MULTI", "GEOPOS wa:s v", "EXEC"]);
    pair.answer("+OK +QUEUED +QUEUED *2 -OOM~x :1");
    let got = pair.got();
    let told = "+OK\r\n+QUEUED\r\n*1\r\n-OOM GEOPOS: the command was carried out, ";
    assert!(got.starts_with(told), "{got}");
    pair.sent();
    pair.assert_usable();
}

#[test]
fn what_the_client_watches_outlives_a_prelude() {
    let mut pair = pair(Mode::On);
    pair.send(&["WATCH a", "GEOPOS wa:s v"]);
    assert_eq!(commands(&mut pair), ["WATCH", "EVAL", "GEOPOS"]);
    pair.answer("+OK :0 :1");
    assert_eq!(pair.got(), "+OK\r\n:1\r\n");
    pair.send(&["GEOPOS wa:s v"]);
    assert_eq!(commands(&mut pair), ["EVAL", "GEOPOS"]);
    pair.answer("-NOPERM~x :1");
    assert!(pair.got().starts_with("-NOPERM GEOPOS: "));
    pair.send(&["UNWATCH"]);
    pair.sent();
    pair.answer("+OK");
    pair.got();
    pair.send(&["GEOPOS wa:s v"]);
    assert_eq!(commands(&mut pair), WRAPPED);
}

#[test]
fn asking_is_said_for_each_request() {
    let mut pair = pair(Mode::On);
    pair.send(&["ASKING", "GEOPOS wa:s v"]);
    assert_eq!(commands(&mut pair), ["ASKING", "EVAL", "ASKING", "GEOPOS"]);
    pair.answer("+OK :0 +OK :1");
    assert_eq!(pair.got(), "+OK\r\n:1\r\n");
    pair.assert_usable();
}

#[test]
fn without_another_form_there_is_no_prelude() {
    for (mode, line) in [
        (Mode::Required, "SADD wa:s v"),
        (Mode::On, "SMEMBERS wa:s"),
        (Mode::On, "RPUSH wa:l v"),
        (Mode::On, "SADD other v"),
    ] {
        let mut pair = pair(mode);
        pair.send(&[line]);
        assert_eq!(commands(&mut pair).len(), 1, "{line}");
    }
}

#[test]
fn a_request_waits_until_it_is_known_whether_a_transaction_is_open() {
    let mut pair = pair(Mode::On);
    pair.send(&["MULTI", "EXEC", "GEOPOS wa:s v"]);
    assert_eq!(commands(&mut pair), ["MULTI", "EXEC"]);
    pair.answer("+OK *0");
    assert_eq!(commands(&mut pair), WRAPPED);
    // A script is one in any case.
    pair.answer("+OK +QUEUED +QUEUED *2 :0 :1");
    pair.send(&["MULTI", "EXEC", "SADD wa:s v"]);
    assert_eq!(commands(&mut pair), ["MULTI", "EXEC", "EVAL"]);
}

#[test]
fn the_server_gets_members_sealed_alike_and_scans_without_their_glob() {
    let mut pair = pair(Mode::Required);
    pair.send(&["SADD wa:s v w", "SISMEMBER wa:s v", "SISMEMBER wa:t v"]);
    let sent = arguments(&pair.sent());
    assert_eq!(sent[0][2], sent[1][2]);
    assert_ne!(sent[0][2], sent[0][3]);
    assert_ne!(sent[1][2], sent[2][2]);
    pair.answer(":2 :1 :0");
    pair.got();
    pair.send(&["SSCAN wa:s 0 MATCH w* COUNT 5"]);
    let scan: Vec<Vec<u8>> = ["SSCAN", "wa:s", "0", "COUNT", "5"].map(Vec::from).to_vec();
    assert_eq!(arguments(&pair.sent()), [scan]);
    let mut page = b"*2\r\n$1\r\n0\r\n*2\r\n".to_vec();
    for member in &sent[0][2..] {
        page.extend(format!("${}\r\n", member.len()).bytes());
        page.extend(member);
        page.extend(b"\r\n");
    }
    pair.answer_bytes(&page).unwrap();
    assert_eq!(pair.got(), "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nw\r\n");
}

#[test]
fn what_a_script_would_change_in_the_third_version_goes_out_behind_it() {
    for line in ["ZMSCORE wa:z v", "GEOHASH wa:z v", "ZRANK wa:z v WITHSCORE"] {
        let mut pair = pair(Mode::On);
        pair.exchange("HELLO 3", "%1 'proto :3", "%1 'proto :3");
        pair.send(&[line]);
        assert_eq!(commands(&mut pair).len(), 4, "{line}");
    }
}

#[test]
fn so_many_members_that_a_script_would_hold_up_the_server_are_refused() {
    let members = |count: usize| "v ".repeat(count);
    for (mode, command, count, is_refused) in [
        (Mode::On, "SADD wa:s", 100_001, true),
        (Mode::On, "SMISMEMBER wa:s", 100_001, true),
        (Mode::On, "SADD wa:s", 100_000, false),
        (Mode::Required, "SADD wa:s", 100_001, false),
    ] {
        let mut pair = pair(mode);
        let line = format!("{command} {}", members(count));
        pair.send(&[line.trim_end()]);
        assert_eq!(commands(&mut pair).is_empty(), is_refused, "{mode:?}");
        let got = pair.got();
        assert_eq!(
            got.contains("more than 100000 members"),
            is_refused,
            "{got}"
        );
    }
}

#[test]
fn a_list_with_too_many_elements_in_another_form_is_told_with_what_to_run() {
    let mut pair = pair(Mode::On);
    pair.send(&["SREM wa:s v"]);
    pair.sent();
    pair.answer("-TOOMANYELEMENTS~x");
    let got = pair.got();
    assert!(
        got.starts_with("-SEALREFUSED SREM: nothing was changed: "),
        "{got}"
    );
    assert!(got.contains("waxseal migrate"), "{got}");
    pair.assert_usable();
}
