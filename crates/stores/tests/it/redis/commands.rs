//! Servers that lack commands: renamed, disabled, or denied to the user.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use waxseal_stores::{
    Change, Cursor, Effect, Expiry, Lifetime, Move, MoveOutcome, Outcome, RecordName,
    RecordPattern, RecordStore, Slot, StoreError,
};
use waxseal_testing::{Client, Flavor, RedisServer};

use super::{connect, generous_limits, get, put, server, swap, swap_one, try_connect};

/// A server without these commands.
fn without(flavor: Flavor, commands: &[&str]) -> RedisServer {
    let builder = RedisServer::builder().flavor(flavor);
    builder.without(commands).start()
}

#[tokio::test]
async fn a_missing_command_is_named_and_the_status_works_without_informational_ones() {
    for flavor in Flavor::ALL {
        let server = without(flavor, &["SCAN", "INFO", "DBSIZE", "SET"]);
        let store = connect(&server).await;
        let status = store.status().await.unwrap();
        assert_eq!((status.records, &*status.server), (0, "unknown"));
        let pattern = RecordPattern::parse("wa:*").unwrap();
        let scanned = store.scan(&pattern, &Cursor::start(), 10).await.map(drop);
        assert_eq!(scanned, Err(StoreError::NoCommand { command: "SCAN" }));
        let name = RecordName::from("wa:1");
        let put = store
            .put(&name, &Slot::Whole, b"x", Expiry::Persistent)
            .await;
        let error = put.unwrap_err();
        assert_eq!(error, StoreError::NoCommand { command: "SET" });
        assert!(!error.is_transient() && error.remedy().unwrap().contains("rename-command"));
    }
}

#[tokio::test]
async fn without_scripts_and_transactions_the_script_is_reported_missing() {
    let server = without(Flavor::System, &["EVALSHA", "WATCH"]);
    server.cli(&["SET", "wa:1", "old"]);
    let store = connect(&server).await;
    let swapped = swap_one(&store, &RecordName::from("wa:1"), b"old", b"new").await;
    assert_eq!(swapped, Err(StoreError::NoCommand { command: "EVALSHA" }));
    assert_eq!(server.cli(&["GET", "wa:1"]), "old");
}

#[tokio::test]
async fn a_user_without_the_right_to_scripts_can_replace_values() {
    let server = server(Flavor::System);
    server.cli(&[
        "ACL",
        "SETUSER",
        "app",
        "on",
        ">s3cret",
        "~*",
        "+@all",
        "-@scripting",
    ]);
    let url = format!("redis://app:s3cret@127.0.0.1:{}", server.port());
    let store = try_connect(&url, generous_limits()).await.unwrap();
    let name = RecordName::from("wa:1");
    put(&store, &name, b"old").await;
    assert_eq!(
        swap_one(&store, &name, b"old", b"new").await,
        Ok(Outcome::Done)
    );
    assert_eq!(
        swap_one(&store, &name, b"old", b"newer").await,
        Ok(Outcome::Changed)
    );
    // Scripts are tried once.
    assert_eq!(
        server.cli(&["ACL", "LOG"]).matches("client-info").count(),
        1
    );
}

/// Stored values are not text. A server that lacks a command quotes its arguments.
#[tokio::test]
async fn without_scripts_binary_values_are_replaced_moved_and_deleted() {
    let (old, new) = (&b"\x00\xff\xfe old"[..], &b"\x01\xff\xc0 new"[..]);
    for flavor in Flavor::ALL {
        for missing in [&["EVAL", "EVALSHA"][..], &["EVAL"], &["EVALSHA"]] {
            let server = without(flavor, missing);
            let store = connect(&server).await;
            let [one, two] = [&b"wa:1\xff"[..], b"wa:2"].map(RecordName::from);
            put(&store, &one, old).await;
            let hour = Change {
                expiry: Expiry::At(4_000_000_000_000),
                ..swap(&one, old, new)
            };
            let done = store.replace_if_unchanged(&[hour]).await;
            assert_eq!(done, Ok(vec![Outcome::Done]), "{flavor:?} {missing:?}");
            assert_eq!(swap_one(&store, &one, new, old).await, Ok(Outcome::Done));
            let step = Move {
                from: &one,
                expected: old,
                to: &two,
                value: new,
                expiry: Expiry::Keep,
            };
            assert_eq!(store.move_if_unchanged(step).await, Ok(MoveOutcome::Done));
            let deleted = store.delete_if_unchanged(&two, new).await;
            assert_eq!(deleted, Ok(Outcome::Done));
            assert!(server.snapshot().is_empty());
        }
    }
}

/// This must not be taken for a lost connection: the error that quotes the arguments cannot be
/// parsed as text.
#[tokio::test]
async fn a_missing_command_is_named_even_if_its_arguments_are_binary() {
    for flavor in Flavor::ALL {
        let server = without(flavor, &["SET", "GET", "MGET", "HSET"]);
        let store = connect(&server).await;
        let name = RecordName::from(&b"wa:\xff\xfe"[..]);
        let missing = |command: &'static str| Err(StoreError::NoCommand { command });
        let field = Slot::Field(b"\xff".to_vec());
        for (slot, command) in [(Slot::Whole, "SET"), (field, "HSET")] {
            let put = store.put(&name, &slot, b"\xfe", Expiry::Persistent).await;
            assert_eq!(put, missing(command), "{flavor:?}");
        }
        let got = store.get(&name, &Slot::Whole).await;
        assert_eq!(got.map(drop), missing("GET"), "{flavor:?}");
        let read = store.read(&[name.clone(), name]).await;
        assert_eq!(read.map(drop), missing("GET"), "{flavor:?}");
    }
}

/// Redis 6.2 has no `PEXPIRETIME`, and quotes the names in its error.
#[tokio::test]
async fn missing_commands_are_replaced_whatever_bytes_names_contain() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        let store = connect(&server).await;
        let name = RecordName::from(&b"wa:\xff\xfe"[..]);
        put(&store, &name, b"value").await;
        let lifetimes = store.lifetimes(&[name]).await;
        assert_eq!(lifetimes, Ok(vec![Lifetime::Persistent]), "{flavor:?}");

        let missing = ["MGET", "STRLEN", "HLEN", "EVAL", "EVALSHA"];
        let server = without(flavor, &missing);
        let store = connect(&server).await;
        let names = [&b"wa:\xff"[..], b"wa:hash\xff"].map(RecordName::from);
        let field = Slot::Field(b"\xff\xfe".to_vec());
        put(&store, &names[0], b"value").await;
        let written = store.put(&names[1], &field, b"old", Expiry::Keep).await;
        assert_eq!(written, Ok(()));
        let records = store.read_within(&names, 1000).await.unwrap();
        assert!(records.iter().all(Option::is_some), "{flavor:?}");
        assert_eq!(store.slot_count(&names[1]).await, Ok(None));
        let change = Change {
            slot: &field,
            ..swap(&names[1], b"old", b"new")
        };
        let swapped = store.replace_if_unchanged(&[change]).await;
        assert_eq!(swapped, Ok(vec![Outcome::Done]), "{flavor:?}");
    }
}

/// In turn, each of a transaction's commands is denied to the user, or missing on the server.
#[tokio::test]
async fn nothing_is_written_where_transactions_are_refused() {
    let (one, two) = (RecordName::from("wa:1"), RecordName::from("wa:2"));
    for flavor in Flavor::ALL {
        for word in ["watch", "multi", "exec"] {
            let allowed = server(flavor);
            let lacks = without(flavor, &[word, "EVALSHA"]);
            let rules = format!("ACL SETUSER app on >s3cret ~* +@all -eval -evalsha -{word}");
            allowed.cli(&rules.split(' ').collect::<Vec<_>>());
            let url = format!("redis://app:s3cret@127.0.0.1:{}", allowed.port());
            for (server, url) in [(&allowed, url), (&lacks, lacks.url())] {
                server.cli(&["SET", "wa:1", "old"]);
                let store = try_connect(&url, generous_limits()).await.unwrap();
                // Twice: state that the first attempt left on the connection must not matter.
                for _ in 0..2 {
                    let swapped = Change {
                        expiry: Expiry::Persistent,
                        ..swap(&one, b"old", b"new")
                    };
                    let step = Move {
                        from: &one,
                        expected: b"old",
                        to: &two,
                        value: b"new",
                        expiry: Expiry::Keep,
                    };
                    let refusals = [
                        store.replace_if_unchanged(&[swapped]).await.map(drop),
                        store.move_if_unchanged(step).await.map(drop),
                        store.delete_if_unchanged(&one, b"old").await.map(drop),
                    ];
                    for refused in refusals {
                        let error = refused.unwrap_err();
                        let named = match &error {
                            StoreError::NoCommand { command } => *command == "EVALSHA",
                            StoreError::Denied { right, .. } => {
                                right.as_deref() == Some("+evalsha")
                            }
                            _ => false,
                        };
                        assert!(named, "{flavor:?} {word}: {error:?}");
                    }
                }
                assert_eq!(server.cli(&["KEYS", "*"]), "wa:1", "{flavor:?} {word}");
                assert_eq!(server.cli(&["GET", "wa:1"]), "old", "{flavor:?} {word}");
                // Once transactions are possible, the change is carried out.
                if server.port() == allowed.port() {
                    server.cli(&["ACL", "SETUSER", "app", "+@all", "-@scripting"]);
                    let swapped = swap_one(&store, &one, b"old", b"new").await;
                    assert_eq!(swapped, Ok(Outcome::Done), "{flavor:?} {word}");
                }
            }
        }
    }
}

/// Many tasks increment one record, and one replaces many others at once, with expiries.
#[tokio::test(flavor = "multi_thread")]
async fn without_scripts_no_change_is_lost_and_expiries_are_kept() {
    let server = without(Flavor::System, &["EVAL", "EVALSHA"]);
    let names: Vec<_> = (0..200)
        .map(|n| RecordName::from(format!("wa:{n}")))
        .collect();
    for name in &names {
        let name = std::str::from_utf8(name.as_bytes()).unwrap();
        server.cli(&["SET", name, "0", "PX", "3600000"]);
    }
    let before: Vec<_> = connect(&server).await.lifetimes(&names).await.unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let mut counters = Vec::new();
    for _ in 0..4 {
        let (store, ended) = (connect(&server).await, ended.clone());
        counters.push(tokio::spawn(async move {
            let (name, mut done) = (RecordName::from("wa:0"), 0_u64);
            while !ended.load(Ordering::Relaxed) || done < 5 {
                let old = get(&store, &name).await.unwrap();
                let number: u64 = std::str::from_utf8(&old).unwrap().parse().unwrap();
                let new = (number + 1).to_string();
                if swap_one(&store, &name, &old, new.as_bytes()).await.unwrap() == Outcome::Done {
                    done += 1;
                }
            }
            done
        }));
    }
    let store = connect(&server).await;
    let changes: Vec<_> = names[1..]
        .iter()
        .map(|name| swap(name, b"0", b"1"))
        .collect();
    let outcomes = store.replace_if_unchanged(&changes).await.unwrap();
    assert_eq!(outcomes, vec![Outcome::Done; 199]);
    ended.store(true, Ordering::Relaxed);
    let mut counted = 0;
    for counter in counters {
        counted += counter.await.unwrap();
    }
    assert_eq!(
        get(&store, &names[0]).await,
        Some(counted.to_string().into_bytes())
    );
    assert!(store.lifetimes(&names).await.unwrap() == before);
    let change = Change {
        expiry: Expiry::At(4_000_000_000_000),
        ..swap(&names[1], b"1", b"2")
    };
    assert_eq!(
        store.replace_if_unchanged(&[change]).await,
        Ok(vec![Outcome::Done])
    );
}

#[tokio::test]
async fn missing_commands_are_reported_beforehand_and_nothing_is_changed() {
    for flavor in Flavor::ALL {
        let whole = server(flavor);
        assert_eq!(
            connect(&whole).await.missing_commands().await,
            Ok(Vec::new()),
            "{flavor:?}"
        );
        let server = without(flavor, &["EVAL", "SCAN", "HSET", "DBSIZE"]);
        server.cli(&["SET", "wa:1", "a"]);
        let missing = connect(&server).await.missing_commands().await.unwrap();
        let reported: Vec<_> = missing
            .iter()
            .map(|it| {
                (
                    it.command,
                    matches!(it.effect, Effect::Replaced(_)),
                    it.is_denied,
                )
            })
            .collect();
        let expected = [
            ("SCAN", false, false),
            ("DBSIZE", true, false),
            ("HSET", false, false),
            ("EVAL", true, false),
        ];
        assert_eq!(reported, expected, "{flavor:?}");
        assert_eq!(server.cli(&["KEYS", "*"]), "wa:1");
    }
    let server = server(Flavor::System);
    server.cli(&[
        "ACL",
        "SETUSER",
        "app",
        "on",
        ">s3cret",
        "~wa:*",
        "~waxseal:*",
        "+@all",
        "-scan",
        "-hset",
    ]);
    let url = format!("redis://app:s3cret@127.0.0.1:{}", server.port());
    let store = try_connect(&url, generous_limits()).await.unwrap();
    let missing = store.missing_commands().await.unwrap();
    assert!(
        matches!(missing[..], [it] if it.command == "SCAN" && it.is_denied),
        "{missing:?}"
    );
}

#[tokio::test]
async fn denied_commands_are_replaced_like_missing_ones() {
    let server = RedisServer::start();
    let rules = "on >s3cret ~wa:* +@all -mget -pexpiretime";
    let words = ["ACL", "SETUSER", "app"].into_iter();
    let words: Vec<_> = words.chain(rules.split(' ')).collect();
    assert_eq!(server.cli(&words), "OK");
    let url = format!("redis://app:s3cret@127.0.0.1:{}", server.port());
    let store = try_connect(&url, generous_limits()).await.unwrap();
    server.cli(&["SET", "wa:1", "a", "EX", "1000"]);
    server.cli(&["SET", "wa:2", "b"]);
    let names = ["wa:1", "wa:2"].map(RecordName::from);
    let read = store.read(&names).await.unwrap();
    assert!(read.iter().all(Option::is_some));
    let expiries = store.lifetimes(&names).await.unwrap();
    assert!(
        matches!(expiries[..], [Lifetime::Until(_), Lifetime::Persistent]),
        "{expiries:?}"
    );
}

#[tokio::test]
async fn a_value_over_the_servers_limit_is_refused_before_it_ends_the_connection() {
    for flavor in Flavor::ALL {
        let server = RedisServer::builder()
            .flavor(flavor)
            .arg("proto-max-bulk-len", "1mb")
            .start();
        let store = connect(&server).await;
        let (name, large) = (RecordName::from("wa:1"), vec![b'x'; (1 << 20) + 1]);
        put(&store, &name, b"old").await;
        let mut admin = server.client();
        let connected = connections(&mut admin);
        let refused = [
            store
                .put(&name, &Slot::Whole, &large, Expiry::Persistent)
                .await,
            swap_one(&store, &name, b"old", &large).await.map(drop),
        ];
        for refused in refused {
            let error = refused.unwrap_err();
            let limit = Some(("proto-max-bulk-len", 1 << 20));
            assert!(
                matches!(error, StoreError::TooLarge { limit: reported, .. } if reported == limit),
                "{error}"
            );
        }
        assert_eq!(get(&store, &name).await.as_deref(), Some(&b"old"[..]));
        // One more for requesting several settings at once.
        assert!(connections(&mut admin) <= connected + 1, "{flavor:?}");
        server.cli(&["CONFIG", "SET", "proto-max-bulk-len", "2mb"]);
        put(&store, &name, &large).await;
    }
}

/// The number of connections the server has had.
fn connections(admin: &mut Client) -> u64 {
    let info = admin.cmd(&["INFO", "stats"]).to_text();
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("total_connections_received:"));
    line.unwrap().trim().parse().unwrap()
}

/// A demoted primary may be reached under an address that meanwhile leads elsewhere.
#[tokio::test]
async fn the_store_reconnects_after_its_server_became_a_replica() {
    let server = server(Flavor::System);
    let store = connect(&server).await;
    let name = RecordName::from("wa:1");
    put(&store, &name, b"old").await;
    server.cli(&["CONFIG", "SET", "replica-read-only", "yes"]);
    server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    let mut admin = server.client();
    let before = connections(&mut admin);
    for _ in 0..200 {
        let refused = store.put(&name, &Slot::Whole, b"new", Expiry::Keep).await;
        assert!(
            matches!(refused, Err(StoreError::ReadOnly { .. })),
            "{refused:?}"
        );
    }
    // Only occasionally: a server that stays a replica reports it every time.
    let opened = connections(&mut admin) - before;
    assert!((1..100).contains(&opened), "{opened}");
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    put(&store, &name, b"new").await;
}

/// Reads of many large values stay below the limit of unread replies that the server sets for a
/// client.
#[tokio::test]
async fn large_records_are_read_a_few_at_a_time() {
    for flavor in Flavor::ALL {
        let server = RedisServer::builder()
            .flavor(flavor)
            .arg("client-output-buffer-limit", "normal 4mb 0 0")
            .start();
        let names: Vec<_> = (0..100)
            .map(|n| RecordName::from(format!("wa:{n}")))
            .collect();
        let store = connect(&server).await;
        for name in &names {
            put(&store, name, &vec![b'x'; 200_000]).await;
        }
        let records = store.read(&names).await.unwrap();
        assert!(records.iter().all(Option::is_some), "{flavor:?}");
        let some = store.read_within(&names, 1_000_000).await.unwrap();
        assert!((2..=5).contains(&some.len()), "{flavor:?}: {}", some.len());
    }
}
