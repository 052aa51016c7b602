//! Known scripts: the value is read first, and the script then compares the stored bytes.

use waxseal_core::Mode;
use waxseal_proxy::Limits;

use crate::pair::{Pair, arguments, assert_sent, protection, request, text, to_client};

/// Compare and delete, without spaces.
const RELEASE: &str = "if\tredis.call('get',KEYS[1])==ARGV[1]\tthen\treturn\tredis.call('del',KEYS[1])\telse\treturn\t0\tend";
/// Acquires a free lock, or sets its expiry.
const SAVE: &str = "if\tredis.call('get',KEYS[1])==ARGV[1]\tthen\treturn\tredis.call('pexpire',KEYS[1],ARGV[2])\telse\treturn\tredis.call('set',KEYS[1],ARGV[1],'NX','PX',ARGV[2])\tend";
/// phpredis' digest of compare and delete.
const DIGEST: &str = "b70c2384248f88e6b75b9f89241a180f856ad852";

fn release(token: &str) -> String {
    format!("EVAL {RELEASE} 1 wa:1 {token}")
}

/// The SHA-1 of a text.
fn digest(text: &str) -> String {
    let digest = waxseal_core::script_digest(text.as_bytes());
    waxseal_core::hex::encode(&digest)
}

/// A proxy that forwards unknown scripts.
fn forwarding() -> Pair {
    let protection = protection(Mode::On).forward_scripts(|_| true);
    Pair::over(protection, Limits::default())
}

/// Returns the arguments of the only request that was sent.
#[track_caller]
fn only(pair: &mut Pair) -> Vec<Vec<u8>> {
    let mut sent = arguments(&pair.sent());
    assert_eq!(sent.len(), 1);
    sent.pop().unwrap()
}

#[test]
fn the_token_is_replaced_by_the_stored_bytes() {
    for command in [
        release("token"),
        format!("eval_ro {RELEASE} 1 wa:1 token"),
        format!("EVALSHA {DIGEST} 1 wa:1 token"),
        format!("evalsha_ro {DIGEST} 1 wa:1 token"),
    ] {
        let mut pair = Pair::new();
        pair.send(&[&command]);
        assert_sent(&pair.sent(), &["gET wa:1"]);
        pair.answer("@wa:1=token");
        assert_eq!(pair.got(), "");
        assert_sent(&pair.sent(), &[&command.replace(" token", " @wa:1=token")]);
        pair.answer(":1");
        assert_eq!(pair.got(), ":1\r\n");
        pair.assert_usable();
    }
}

#[test]
fn another_token_or_none_is_replaced_by_bytes_that_match_nothing() {
    for stored in ["@wa:1=other", "$-1", "'plain", "'"] {
        let mut pair = Pair::new();
        pair.send(&[&release("token")]);
        assert_sent(&pair.sent(), &["gET wa:1"]);
        pair.answer(stored);
        let sent = only(&mut pair);
        assert_eq!(sent.len(), 5);
        assert!(!text(&sent[4]).contains("token"), "{stored}");
        assert!(sent[4].len() >= 16 && !stored.contains(&text(&sent[4])));
        pair.answer(":0");
        assert_eq!(pair.got(), ":0\r\n", "{stored}");
        pair.assert_usable();
    }
}

#[test]
fn an_argument_that_the_script_stores_is_sealed() {
    let save = format!("EVAL {SAVE} 1 wa:1 token 9");
    for stored in ["@wa:1=other", "$-1", "@wa:1=token"] {
        let mut pair = Pair::new();
        pair.send(&[&save]);
        assert_sent(&pair.sent(), &["gET wa:1"]);
        pair.answer(stored);
        assert_sent(&pair.sent(), &[&save.replace(" token", " @wa:1=token")]);
        pair.answer("+OK");
        assert_eq!(pair.got(), "+OK\r\n");
        pair.assert_usable();
    }
    // Nothing is compared, so nothing is read.
    let mut pair = Pair::new();
    let take = "EVAL return\tredis.call('set',KEYS[1],ARGV[1],'NX','PX',ARGV[2]) 1 wa:1 token 9";
    pair.send(&[take]);
    assert_sent(&pair.sent(), &[&take.replace(" token", " @wa:1=token")]);
    pair.answer("$-1");
    assert_eq!(pair.got(), "$-1\r\n");
    pair.assert_usable();
}

#[test]
fn a_value_that_was_resealed_in_between_is_read_again() {
    let mut pair = Pair::new();
    pair.send(&[&release("token"), "PING"]);
    for attempt in 1..=3 {
        assert_sent(&pair.sent(), &["gET wa:1"]);
        pair.answer("@wa:1=token");
        assert_sent(&pair.sent(), &[&release("@wa:1=token")]);
        pair.answer(if attempt < 3 { ":0" } else { ":1" });
    }
    assert_eq!(pair.got(), ":1\r\n");
    assert_sent(&pair.sent(), &["PING"]);
    pair.answer("+PONG");
    assert_eq!(pair.got(), "+PONG\r\n");
    // Replaced by another value: the script's answer is about that one.
    pair.send(&[&release("token")]);
    pair.answer("@wa:1=token");
    pair.answer(":0");
    pair.answer("@wa:1=other");
    pair.sent();
    assert_eq!(pair.got(), "");
    pair.answer(":0");
    assert_eq!(pair.got(), ":0\r\n");
    pair.assert_usable();
}

#[test]
fn a_mismatch_over_a_value_that_has_not_changed_is_the_scripts_own_answer() {
    let mut pair = Pair::new();
    pair.send(&[&release("token"), "PING"]);
    pair.sent();
    let stored = crate::pair::from_server("@wa:1=token");
    pair.answer_bytes(&stored).unwrap();
    pair.answer("$-1");
    assert_eq!(pair.got(), "");
    pair.sent();
    pair.answer_bytes(&stored).unwrap();
    assert_eq!(pair.got(), "$-1\r\n");
    assert_sent(&pair.sent(), &["PING"]);
    pair.answer("+PONG");
    pair.got();
    pair.assert_usable();
}

#[test]
fn a_value_that_changes_each_time_is_an_error() {
    let mut pair = Pair::new();
    pair.send(&[&release("token")]);
    let mut attempts = 0;
    while pair.got().is_empty() {
        pair.sent();
        pair.answer("@wa:1=token");
        if arguments(&pair.sent()).is_empty() {
            break;
        }
        pair.answer(":0");
        attempts += 1;
        assert!(attempts < 100);
    }
    assert!(attempts > 3);
    let mut pair = Pair::new();
    pair.send(&[&release("token")]);
    for _ in 0..attempts {
        pair.answer("@wa:1=token");
        pair.answer(":0");
    }
    pair.answer("@wa:1=token");
    let answer = pair.got();
    assert!(answer.starts_with("-SEALREFUSED EVAL"), "{answer}");
    assert!(answer.contains("try again"), "{answer}");
    pair.sent();
    pair.assert_usable();
}

#[test]
fn the_answer_to_the_read_decides() {
    for (stored, answer) in [
        ("-MOVED~7~host:1", "-MOVED 7 host:1\r\n"),
        ("-LOADING~wait", "-LOADING wait\r\n"),
        ("-NOPERM~no~get", "-NOPERM EVAL: the value is read with GET"),
        ("!wa:1=token", "-SEAL"),
        ("@wa:2=token", "-SEALBROKEN EVAL"),
    ] {
        let mut pair = Pair::new();
        pair.send(&[&release("token")]);
        pair.sent();
        pair.answer(stored);
        let got = pair.got();
        assert!(got.starts_with(answer), "{stored}: {got}");
        assert!(pair.sent().is_empty(), "{stored}");
        pair.assert_usable();
    }
    // The script itself answers that.
    let mut pair = Pair::new();
    pair.send(&[&release("token")]);
    pair.sent();
    pair.answer("-WRONGTYPE~no~string");
    assert_eq!(only(&mut pair).len(), 5);
    pair.answer("-WRONGTYPE~in~the~script");
    assert_eq!(pair.got(), "-WRONGTYPE in the script\r\n");
    pair.assert_usable();
}

#[test]
fn replies_that_are_skipped_are_those_of_the_script() {
    let mut pair = Pair::new().with_reply_modes();
    pair.send(&["CLIENT REPLY SKIP", &release("token"), "PING"]);
    // The server is asked once more whether the client may skip.
    if arguments(&pair.sent()) == arguments(&request("cLIENT REPLY ON")) {
        pair.answer("+OK");
    }
    pair.sent();
    for reply in [":0", ":1"] {
        pair.answer("@wa:1=token");
        pair.sent();
        pair.answer(reply);
    }
    assert_eq!(pair.got(), "");
    assert_sent(&pair.sent(), &["PING"]);
    pair.answer("+PONG");
    assert_eq!(pair.got(), "+PONG\r\n");
    pair.send(&["CLIENT REPLY OFF", &release("token"), "PING"]);
    pair.sent();
    pair.answer("@wa:1=token");
    pair.answer(":1");
    pair.answer("+PONG");
    assert_eq!(pair.got(), "");
    pair.send(&["CLIENT REPLY ON"]);
    pair.answer("+OK");
    assert_eq!(pair.got(), "+OK\r\n");
    pair.sent();
    pair.assert_usable();
    // An error of the proxy is skipped as well.
    pair.send(&["CLIENT REPLY SKIP", &release("token"), "PING"]);
    pair.answer("-LOADING~wait");
    pair.answer("+PONG");
    assert_eq!(pair.got(), "+PONG\r\n");
    pair.sent();
    pair.assert_usable();
}

#[test]
fn a_prefix_command_is_sent_again_before_the_script() {
    let mut pair = Pair::new();
    pair.send(&["ASKING", &release("token")]);
    assert_sent(&pair.sent(), &["ASKING"]);
    pair.answer("+OK");
    assert_sent(&pair.sent(), &["gET wa:1"]);
    pair.answer("@wa:1=token");
    assert_sent(&pair.sent(), &["aSKING", &release("@wa:1=token")]);
    pair.answer("+OK :0");
    assert_sent(&pair.sent(), &["aSKING", "gET wa:1"]);
    pair.answer("+OK @wa:1=token");
    assert_sent(&pair.sent(), &["aSKING", &release("@wa:1=token")]);
    pair.answer("+OK :1");
    assert_eq!(pair.got(), "+OK\r\n:1\r\n");
    pair.assert_usable();
    pair.send(&["ASKING", "PING", &release("token")]);
    pair.answer("+OK +PONG");
    pair.answer("@wa:1=token");
    assert_sent(
        &pair.sent(),
        &["ASKING", "PING", "gET wa:1", &release("@wa:1=token")],
    );
    pair.answer(":1");
    pair.got();
    pair.assert_usable();
}

#[test]
fn a_known_script_waits_for_the_replies_before_it_and_is_refused_in_a_transaction() {
    let mut pair = Pair::new();
    pair.send(&["MULTI", "PING", "EXEC", &release("token")]);
    assert_sent(&pair.sent(), &["MULTI", "PING", "EXEC"]);
    pair.answer("+OK +QUEUED *1 +PONG");
    assert_sent(&pair.sent(), &["gET wa:1"]);
    pair.answer("$-1");
    pair.answer(":0");
    pair.got();
    pair.sent();
    pair.send(&["MULTI", &release("token"), "EXEC"]);
    assert_sent(&pair.sent(), &["MULTI", "DISCARD"]);
    pair.answer("+OK +OK");
    let got = pair.got();
    assert!(
        got.contains("-SEALREFUSED EVAL: the script of a lock"),
        "{got}"
    );
    assert!(got.contains("-EXECABORT"), "{got}");
    pair.assert_usable();
}

#[test]
fn an_unknown_digest_is_refused_until_its_text_was_sent() {
    let text = format!("--mine\n{RELEASE}");
    let digest = digest(&text).to_ascii_uppercase();
    let mut pair = Pair::new();
    pair.send(&[&format!("EVALSHA {digest} 1 wa:1 token")]);
    assert!(pair.sent().is_empty());
    assert_eq!(
        pair.got(),
        "-NOSCRIPT No matching script. Please use EVAL.\r\n"
    );
    // Digests over records that are not protected are forwarded.
    pair.exchange(&format!("EVALSHA {digest} 1 open token"), ":1", ":1");
    pair.exchange(&format!("SCRIPT LOAD {text}"), "'digest", "'digest");
    pair.send(&[&format!("EVALSHA {digest} 1 wa:1 token")]);
    assert_sent(&pair.sent(), &["gET wa:1"]);
    pair.answer("@wa:1=token");
    pair.answer("-NOSCRIPT~flushed");
    assert_eq!(pair.got(), "-NOSCRIPT flushed\r\n");
    pair.sent();
    // The text of an unknown script.
    let one = "4b8b1b4b9b5e8a0e2d1a1c0f4f3a0a0a0a0a0a0a";
    pair.send(&[&format!("EVALSHA {one} 1 wa:1")]);
    assert!(pair.got().starts_with("-NOSCRIPT "));
    let by_digest = format!("EVALSHA {} 1 wa:1", self::digest("return\t1"));
    // Scripts over records that are not protected need not be known.
    pair.exchange("EVAL return\t1 1 open", ":1", ":1");
    pair.send(&[&by_digest]);
    assert!(pair.got().starts_with("-NOSCRIPT "));
    pair.send(&["EVAL return\t1 1 wa:1", &by_digest]);
    let got = pair.got();
    assert_eq!(got.matches("-SEALREFUSED EVAL").count(), 2, "{got}");
    assert!(pair.sent().is_empty());
    pair.assert_usable();
}

#[test]
fn forwarded_scripts_are_unknown_ones() {
    let mut pair = forwarding();
    let by_digest = format!("EVALSHA {} 1 wa:1 token", digest("return\t1"));
    for line in [
        "EVAL return\t1 1 wa:1 token",
        &by_digest,
        "FCALL f 1 wa:1 token",
    ] {
        pair.exchange(line, ":1", ":1");
    }
    pair.send(&[&release("token")]);
    assert_sent(&pair.sent(), &["gET wa:1"]);
    pair.answer("@wa:1=token");
    pair.answer(":1");
    assert_eq!(pair.got(), ":1\r\n");
    pair.sent();
    pair.assert_usable();
}

#[test]
fn sealed_values_are_still_compared_in_mode_off() {
    let mut pair = Pair::with(Mode::Off, Limits::default());
    pair.send(&[&release("token")]);
    pair.answer("@wa:1=token");
    assert_sent(&pair.sent(), &["gET wa:1", &release("@wa:1=token")]);
    pair.answer(":1");
    pair.send(&[&release("token")]);
    pair.answer("'token");
    assert_sent(&pair.sent(), &["gET wa:1", &release("token")]);
    pair.answer(":1");
    assert_eq!(pair.got(), ":1\r\n:1\r\n");
}

#[test]
fn a_script_works_alike_in_resp3_and_in_pieces() {
    let mut pair = Pair::resp3();
    for byte in request(&release("token")) {
        pair.bytes(&[byte]);
    }
    assert_sent(&pair.sent(), &["gET wa:1"]);
    for byte in crate::pair::from_server("@wa:1=token") {
        pair.answer_bytes(&[byte]).unwrap();
    }
    assert_sent(&pair.sent(), &[&release("@wa:1=token")]);
    for byte in *b"_\r\n" {
        pair.answer_bytes(&[byte]).unwrap();
    }
    pair.answer("_");
    for byte in *b":0\r\n" {
        pair.answer_bytes(&[byte]).unwrap();
    }
    assert_eq!(pair.got(), ":0\r\n");
    pair.sent();
    pair.assert_usable();
}

#[test]
fn a_script_that_was_sent_is_not_sent_on_another_connection() {
    let mut pair = Pair::new();
    pair.send(&[&release("token")]);
    assert!(!pair.connection.has_all_replies() && !pair.connection.is_movable());
    pair.answer("@wa:1=token");
    assert!(!pair.connection.has_all_replies() && !pair.connection.is_movable());
    assert!(!pair.connection.is_idle());
    pair.answer(":1");
    assert!(pair.connection.is_movable() && pair.connection.is_idle());
    assert!(pair.connection.is_traceless());
}

#[test]
fn a_digest_may_be_that_of_a_lock_even_if_unknown_scripts_are_forwarded() {
    // The server has cached it since before the proxy was started.
    let text = format!("--mine\n{RELEASE}");
    let by_digest = format!("EVALSHA {} 1 wa:1 token", digest(&text));
    let mut pair = forwarding();
    // Several requests of one connection, before one of them has sent the text.
    pair.send(&[&by_digest, &by_digest]);
    let got = pair.got();
    assert_eq!(got.matches("-NOSCRIPT ").count(), 2, "{got}");
    assert!(pair.sent().is_empty());
    pair.exchange(&format!("SCRIPT LOAD {text}"), "'digest", "'digest");
    pair.send(&[&by_digest]);
    assert_sent(&pair.sent(), &["gET wa:1"]);
    pair.answer("@wa:1=token");
    assert_sent(
        &pair.sent(),
        &[&by_digest.replace(" token", " @wa:1=token")],
    );
    pair.answer(":1");
    assert_eq!(pair.got(), ":1\r\n");
    pair.assert_usable();
}

#[test]
fn a_script_whose_text_would_be_requested_does_not_exist() {
    let known = digest(RELEASE);
    let ask = format!("SCRIPT EXISTS {known} {DIGEST} {known} 0123");
    let mut pair = Pair::new();
    let answer = "*4 :1 :1 :1 :0";
    pair.exchange(&ask, answer, "*4 :0 :1 :0 :0");
    pair.send(&["MULTI", &ask, "EXEC"]);
    pair.answer("+OK +QUEUED");
    pair.answer(&format!("*1 {answer}"));
    pair.sent();
    assert_eq!(pair.got(), to_client("+OK +QUEUED *1 *4 :0 :1 :0 :0"));
    for answer in ["-NOPERM~no~script", "*4 :0 :0 :0 :0"] {
        pair.exchange(&ask, answer, answer);
    }
    pair.exchange(&format!("SCRIPT LOAD {RELEASE}"), "'digest", "'digest");
    pair.exchange(&ask, answer, answer);
    pair.assert_usable();
}

#[test]
fn the_text_of_a_long_script_is_remembered_as_well() {
    let text = format!("return\t1--{}", "x".repeat(2 * 1024 * 1024));
    let mut pair = Pair::new();
    pair.exchange(&format!("SCRIPT LOAD {text}"), "'digest", "'digest");
    pair.send(&[&format!("EVALSHA {} 1 wa:1", digest(&text))]);
    assert!(pair.got().starts_with("-SEALREFUSED EVALSHA "));
    pair.assert_usable();
}

#[test]
fn an_error_of_the_read_names_the_clients_command() {
    let mut pair = Pair::new();
    pair.exchange(
        "SUBSCRIBE news",
        "*3 'subscribe 'news :1",
        "*3 'subscribe 'news :1",
    );
    let only = ":~only~(P|S)SUBSCRIBE~/~QUIT~are~allowed~in~this~context";
    pair.send(&[&release("token")]);
    assert_sent(&pair.sent(), &["gET wa:1"]);
    pair.answer(&format!("-ERR~Can't~execute~'get'{only}"));
    let expected = format!("-ERR Can't execute 'eval'{}\r\n", only.replace('~', " "));
    assert_eq!(pair.got(), expected);
    assert!(pair.sent().is_empty());
}
