//! Servers that are down, hang, are killed, come back, lose their scripts, or are of another kind.

use std::time::Duration;

use futures_util::future::join_all;
use waxseal_stores::{
    Change, Expiry, Outcome, RecordName, RecordStore, RedisOptions, RedisStore, Slot, StoreError,
};
use waxseal_testing::{Flavor, RedisServer};

use super::{
    Prepared, connect, get, in_time, is_unavailable, put, refusal, retry_until_ok, server,
    short_limits, swap, swap_one, try_connect,
};

#[tokio::test]
async fn a_refused_connection_is_an_unavailable_store() {
    let mut server = server(Flavor::System);
    server.kill();
    let error = refusal(&server.url()).await;
    let text = error.to_string();
    assert!(matches!(error, StoreError::Unavailable { .. }) && error.is_transient());
    assert!(
        text.contains(&server.port().to_string()) && text.contains("refused"),
        "{text}"
    );
    let error = refusal("unix:/nowhere/redis.sock").await;
    assert!(matches!(error, StoreError::Connection { .. }) && error.is_transient());
    let error = refusal("redis://no-such-host.invalid").await;
    assert!(matches!(error, StoreError::Connection { .. }) && error.is_transient());
}

/// The response timeout is far below that of the test, and nothing here measures it: a store
/// without one would wait forever.
#[tokio::test]
async fn a_frozen_server_does_not_hang_its_clients() {
    let server = server(Flavor::System);
    let limits = RedisOptions {
        response_timeout: Duration::from_millis(300),
        connect_timeout: Duration::from_millis(300),
        ..short_limits()
    };
    let store = try_connect(&server.url(), limits).await.unwrap();
    let names: Vec<_> = (0..20)
        .map(|n| RecordName::from(format!("wa:{n}")))
        .collect();
    for name in &names {
        put(&store, name, name.as_bytes()).await;
    }

    server.stop_process();
    let name = &names[0];
    let get_one = in_time(store.get(name, &Slot::Whole)).await;
    assert!(is_unavailable(&get_one), "{get_one:?}");
    let read = in_time(store.read(&names)).await.map(drop);
    assert!(is_unavailable(&read), "{read:?}");
    let swapped = in_time(store.replace_if_unchanged(&[swap(name, b"x", b"y")])).await;
    assert!(is_unavailable(&swapped), "{swapped:?}");
    let pinged = in_time(store.ping()).await;
    assert!(is_unavailable(&pinged), "{pinged:?}");
    let connected = try_connect(&server.url(), limits).await.map(drop);
    assert!(is_unavailable(&connected), "{connected:?}");

    // The late replies belong to abandoned calls: no later call receives one of them.
    server.continue_process();
    for name in &names {
        let got = retry_until_ok(async || store.get(name, &Slot::Whole).await).await;
        assert!(got.as_deref() == Some(name.as_bytes()));
    }
}

#[tokio::test]
async fn reconnects_after_the_server_was_killed() {
    for flavor in Flavor::ALL {
        let builder = RedisServer::builder().flavor(flavor).append_only();
        let mut server = builder.start();
        let store = try_connect(&server.url(), short_limits()).await.unwrap();
        let name = RecordName::from("wa:1");
        put(&store, &name, b"0").await;
        let generation = store.status().await.unwrap().generation;
        // Scripts and commands are known by now, and lost with the process.
        assert_eq!(swap_one(&store, &name, b"0", b"1").await, Ok(Outcome::Done));

        server.kill();
        for _ in 0..3 {
            let got = in_time(store.get(&name, &Slot::Whole)).await;
            assert!(is_unavailable(&got), "{got:?}");
            let swapped = in_time(swap_one(&store, &name, b"1", b"2")).await;
            assert!(is_unavailable(&swapped), "{swapped:?}");
        }

        server.restart();
        let got = retry_until_ok(async || store.get(&name, &Slot::Whole).await).await;
        assert_eq!(got.as_deref(), Some(&b"1"[..]));
        let swapped = retry_until_ok(async || swap_one(&store, &name, b"1", b"2").await).await;
        assert_eq!(swapped, Outcome::Done);
        let status = retry_until_ok(async || store.status().await).await;
        assert_ne!(status.generation, generation);
    }
}

/// One after the other they would wait for longer than the test does.
#[tokio::test]
async fn calls_that_wait_for_the_same_connection_fail_together() {
    let mut server = server(Flavor::System);
    let limits = RedisOptions {
        retries: 3,
        first_pause: Duration::from_millis(300),
        ..short_limits()
    };
    let store = try_connect(&server.url(), limits).await.unwrap();
    let names: Vec<_> = (0..100)
        .map(|n| RecordName::from(format!("wa:{n}")))
        .collect();
    server.kill();
    let calls = names.iter().map(|name| store.get(name, &Slot::Whole));
    for got in in_time(join_all(calls)).await {
        assert!(is_unavailable(&got), "{got:?}");
    }
}

/// As servers with a `timeout` setting do.
#[tokio::test]
async fn a_connection_closed_while_idle_fails_no_call() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        let store = connect(&server).await;
        let name = RecordName::from("wa:1");
        for n in 0..3_u8 {
            put(&store, &name, &[n]).await;
            let mut client = server.client();
            client.cmd(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            while !server
                .cli(&["INFO", "clients"])
                .contains("connected_clients:2\r")
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            // The notification has to arrive first; a call before that could not know.
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(get(&store, &name).await, Some(vec![n]));
            assert_eq!(store.ping().await, Ok(()));
        }
    }
}

/// Every kind of change that may need a script.
async fn change_everything(store: &RedisStore, server: &RedisServer) {
    server.cli(&["FLUSHALL"]);
    let prepared = Prepared::new(server);
    let name = RecordName::from("wa:another");
    put(store, &name, b"value").await;
    let many: Vec<_> = (0..300)
        .map(|n| RecordName::from(format!("wa:{n}")))
        .collect();
    for name in &many {
        put(store, name, b"old").await;
    }
    server.cli(&["SCRIPT", "FLUSH"]);

    let changes: Vec<_> = many.iter().map(|name| swap(name, b"old", b"new")).collect();
    let outcomes = store.replace_if_unchanged(&changes).await.unwrap();
    assert_eq!(outcomes, vec![Outcome::Done; 300]);
    let deleted = store.delete_if_unchanged(&name, b"value").await;
    assert_eq!(deleted, Ok(Outcome::Done));
    for (what, answer) in prepared.write(store).await {
        assert_eq!(answer, Ok(true), "{what}");
    }
    assert_eq!(get(store, &many[299]).await.as_deref(), Some(&b"new"[..]));
    assert_eq!(
        get(store, &prepared.absent).await.as_deref(),
        Some(&b"new"[..])
    );
}

#[tokio::test]
async fn scripts_that_the_server_lost_are_loaded_again() {
    for flavor in Flavor::ALL {
        let mut server = server(flavor);
        let store = connect(&server).await;
        change_everything(&store, &server).await;
        change_everything(&store, &server).await;
        server.restart();
        retry_until_ok(async || store.ping().await).await;
        retry_until_ok(async || store.delete(&RecordName::from("none")).await).await;
        change_everything(&store, &server).await;
    }
}

/// Several changes that need the same forgotten script, in one call.
#[tokio::test]
async fn a_script_needed_twice_in_one_call_is_loaded_once() {
    let server = server(Flavor::System);
    let store = connect(&server).await;
    let names: Vec<_> = (0..50)
        .map(|n| RecordName::from(format!("wa:{n}")))
        .collect();
    let change = |name| Change {
        name,
        slot: &Slot::Whole,
        expected: None,
        value: b"new",
        expiry: Expiry::Keep,
    };
    let changes: Vec<_> = names.iter().map(change).collect();
    let outcomes = store.replace_if_unchanged(&changes).await.unwrap();
    assert_eq!(outcomes, vec![Outcome::Done; 50]);
    let outcomes = store.replace_if_unchanged(&changes).await.unwrap();
    assert_eq!(outcomes, vec![Outcome::Changed; 50]);
    // One more probed whether the server runs scripts.
    assert_eq!(server.command_counts().get("eval"), Some(&2));
}

#[tokio::test]
async fn a_server_of_a_cluster_is_recognised() {
    for flavor in Flavor::ALL {
        let builder = RedisServer::builder().flavor(flavor);
        let server = builder.arg("cluster-enabled", "yes").start();
        let store = connect(&server).await;
        let status = store.status().await;
        assert!(
            matches!(status, Err(StoreError::Cluster { .. })),
            "{status:?}"
        );
        let name = RecordName::from("wa:1");
        let got = store.get(&name, &Slot::Whole).await;
        assert!(matches!(got, Err(StoreError::Cluster { .. })), "{got:?}");
        let swapped = swap_one(&store, &name, b"old", b"new").await;
        assert!(
            matches!(swapped, Err(StoreError::Cluster { .. })),
            "{swapped:?}"
        );
    }
}

#[tokio::test]
async fn a_server_with_too_many_clients_is_not_ready() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        let mut client = server.client();
        client.cmd(&["CONFIG", "SET", "maxclients", "1"]);
        let error = refusal(&server.url()).await;
        assert!(error.is_transient(), "{flavor:?} {error:?}");
        client.cmd(&["CONFIG", "SET", "maxclients", "100"]);
        put(&connect(&server).await, &RecordName::from("wa:1"), b"value").await;
    }
}

#[tokio::test]
async fn a_server_that_is_loading_is_not_ready() {
    let builder = RedisServer::builder()
        .arg("enable-debug-command", "yes")
        .arg("loading-process-events-interval-bytes", "1024");
    let server = builder.start();
    let store = connect(&server).await;
    let names: Vec<_> = (0..2_000)
        .map(|n| RecordName::from(format!("wa:{n}")))
        .collect();
    for name in &names {
        put(&store, name, &[b'x'; 100]).await;
    }
    let (name, mut client) = (&names[0], server.client());
    // Long enough that the checks below happen during it: 2,000 records at 2 ms each.
    client.cmd(&["CONFIG", "SET", "key-load-delay", "2000"]);
    let reload = std::thread::spawn(move || client.cmd(&["DEBUG", "RELOAD"]).to_text());
    let not_ready = async || loop {
        match store.get(name, &Slot::Whole).await {
            Err(error @ StoreError::NotReady { .. }) => return error,
            other => assert_eq!(other.map(drop), Ok(())),
        }
    };
    let error = in_time(not_ready()).await;
    assert!(error.is_transient() && error.to_string().contains("LOADING"));
    let got = retry_until_ok(async || store.get(name, &Slot::Whole).await).await;
    assert_eq!(got.as_deref(), Some(&[b'x'; 100][..]));
    assert_eq!(reload.join().unwrap(), "OK");
}
