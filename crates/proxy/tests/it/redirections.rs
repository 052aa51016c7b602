//! A server must not redirect a client past the proxy: neither at the client's request, nor by a message
//! that it sends unasked.

use crate::pair::{Pair, assert_sent, at_every_chunking, to_client};

#[test]
fn maintenance_notifications_are_not_requested() {
    let mut pair = Pair::resp3();
    pair.send(&[
        "CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type external-ip",
        "client Maint_Notifications off",
        "CLIENT FUTURE",
        "GET wa:1",
    ]);
    assert_sent(&pair.sent(), &["GET wa:1"]);
    assert_eq!(
        pair.got(),
        "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n\
         -ERR unknown subcommand 'Maint_Notifications'. Try CLIENT HELP.\r\n\
         -ERR unknown subcommand 'FUTURE'. Try CLIENT HELP.\r\n"
    );
    pair.answer("@wa:1=v");
    // Nothing was sent that leaves a trace; only the protocol was changed.
    assert!(pair.connection.is_movable());
    let mut pair = Pair::new();
    let long = format!("CLIENT {}", "x".repeat(300));
    pair.send(&[&long]);
    let shown = "x".repeat(128);
    assert_eq!(
        pair.got(),
        format!("-ERR unknown subcommand '{shown}'. Try CLIENT HELP.\r\n")
    );
    pair.bytes(b"*2\r\n$6\r\nCLIENT\r\n$5\r\na\r\nb\xff\r\n");
    assert!(pair.got().starts_with("-ERR unknown subcommand 'a  b"));
}

#[test]
fn an_unknown_subcommand_aborts_a_transaction_as_a_server_would() {
    let mut pair = Pair::new();
    pair.send(&["MULTI", "CLIENT MAINT_NOTIFICATIONS ON", "GET wa:1", "EXEC"]);
    assert_sent(&pair.sent(), &["MULTI", "GET wa:1", "DISCARD"]);
    pair.answer("+OK +QUEUED +OK");
    let got = pair.got();
    assert!(got.contains("\r\n-ERR unknown subcommand"), "{got}");
    let abort = "-EXECABORT Transaction discarded because of: ERR unknown subcommand";
    assert!(got.contains(abort), "{got}");
}

#[test]
fn a_client_cannot_offer_to_be_redirected() {
    for (line, sent) in [
        ("CLIENT CAPA redirect", "CLIENT CAPA none"),
        ("CLIENT CAPA other ReDirect", "CLIENT CAPA other none"),
        ("CLIENT CAPA redirect redirect", "CLIENT CAPA none none"),
        ("CLIENT CAPA redirect\0x", "CLIENT CAPA none"),
        ("CLIENT CAPA redirects", "CLIENT CAPA redirects"),
        ("CLIENT CAPA", "CLIENT CAPA"),
    ] {
        let mut pair = Pair::new();
        pair.send(&[line]);
        assert_sent(&pair.sent(), &[sent]);
        pair.answer("+OK");
        assert_eq!(pair.got(), "+OK\r\n");
        assert!(!pair.connection.is_traceless());
    }
}

#[test]
fn messages_that_would_redirect_a_client_are_dropped() {
    let lines = ["GET wa:1", "GET wa:2"];
    for kind in [
        "MOVING",
        "MIGRATING",
        "MIGRATED",
        "SMIGRATING",
        "SMIGRATED",
        "FAILING_OVER",
        "FAILED_OVER",
        "moving",
    ] {
        for text in [format!("'{kind}"), format!("+{kind}")] {
            let push = format!(">4 {text} :1 :5 '10.0.0.1:6379");
            let reply = format!("{push} @wa:1=a {push} @wa:2=b");
            at_every_chunking(Pair::resp3, &lines, &lines, &reply, "@wa:1=a @wa:2=b");
            let mut pair = Pair::resp3();
            pair.answer(&push);
            assert_eq!(pair.got(), "");
            pair.assert_usable();
        }
    }
    // Other messages are not.
    let push = ">2 'invalidate *1 'open:1";
    let mut pair = Pair::resp3();
    pair.answer(push);
    assert_eq!(pair.got(), to_client(push));
}
