//! Decoys: any reply that holds the value of one is reported, once for each command, and the client gets
//! its reply unchanged.

use std::sync::{Arc, Mutex};

use waxseal_core::Mode;
use waxseal_proxy::{Limits, OpenedDecoy};

use crate::pair::{Pair, from_server, protection, to_client};

/// The commands that were reported.
type Reported = Arc<Mutex<Vec<&'static str>>>;

fn watched() -> (Pair, Reported) {
    let reported = Reported::default();
    let sink = reported.clone();
    let alarm = Arc::new(move |decoy: &OpenedDecoy| {
        assert!(decoy.shown.starts_with("wa:#"), "{}", decoy.shown);
        sink.lock().unwrap().push(decoy.command);
    });
    let names = ["wa:d", "wa:dh"].map(|name| name.as_bytes().to_vec());
    let protection = protection(Mode::On).decoys(names, alarm);
    (Pair::over(protection, Limits::default()), reported)
}

#[test]
fn every_reply_with_the_value_of_a_decoy_is_reported_once() {
    for (lines, reply, got, expected) in [
        (&["GET wa:d"][..], "@wa:d=x", "@wa:d=x", &["get"][..]),
        (&["GET wa:d"], "'plain", "'plain", &["get"]),
        (&["GETDEL wa:d"], "@wa:d=x", "@wa:d=x", &["getdel"]),
        (&["STRLEN wa:d"], "@wa:d=xyz", ":3", &["strlen"]),
        (&["SET wa:d @wa:d=y GET"], "@wa:d=x", "@wa:d=x", &["set"]),
        (
            &["MGET wa:1 wa:d"],
            "*2 @wa:1=x @wa:d=x",
            "*2 @wa:1=x @wa:d=x",
            &["mget"],
        ),
        (
            &["HGETALL wa:dh"],
            "*4 'f @wa:dh/f=1 'g @wa:dh/g=2",
            "*4 'f '1 'g '2",
            &["hgetall"],
        ),
        (
            &["HVALS wa:dh"],
            "%2 'f @wa:dh/f=1 'g @wa:dh/g=2",
            "*2 '1 '2",
            &["hvals"],
        ),
        (
            &["HMGET wa:dh f g"],
            "*2 @wa:dh/f=1 $-1",
            "*2 '1 $-1",
            &["hmget"],
        ),
        (
            &["LRANGE wa:d 0 -1"],
            "*2 @wa:d=a @wa:d=b",
            "*2 'a 'b",
            &["lrange"],
        ),
        (
            &["BLPOP wa:1 wa:d 0"],
            "*2 'wa:d @wa:d=a",
            "*2 'wa:d 'a",
            &["blpop"],
        ),
        (
            &["MULTI", "GET wa:d", "GET wa:1", "HGET wa:dh f", "EXEC"],
            "+OK +QUEUED +QUEUED +QUEUED *3 @wa:d=a @wa:1=b @wa:dh/f=c",
            "+OK +QUEUED +QUEUED +QUEUED *3 'a 'b 'c",
            &["get", "hget"],
        ),
        // No decoy was opened.
        (&["GET wa:1"], "@wa:1=x", "@wa:1=x", &[]),
        (&["GET wa:d"], "$-1", "$-1", &[]),
        (&["GET wa:d"], "-ERR~x", "-ERR~x", &[]),
        (&["HKEYS wa:dh"], "*1 'f", "*1 'f", &[]),
        (&["EXISTS wa:d"], ":1", ":1", &[]),
    ] {
        let (mut pair, reported) = watched();
        pair.send(lines);
        for chunk in from_server(reply).chunks(3) {
            pair.answer_bytes(chunk).unwrap();
        }
        assert_eq!(pair.got(), to_client(got), "{lines:?}");
        assert_eq!(*reported.lock().unwrap(), expected, "{lines:?} {reply}");
    }
}
