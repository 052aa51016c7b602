//! Servers that accept no writes: full, read-only, or unable to save.

use std::fs;
use std::os::unix::fs::symlink;

use waxseal_stores::{
    Lifetime, Outcome, Record, RecordStore, RedisOptions, RedisStore, StoreError,
};
use waxseal_testing::{Flavor, RedisServer};

use super::{Prepared, connect, get, retry_until_ok, server, swap, swap_one, try_connect};

/// Every write is refused in the same way, and changes nothing.
async fn refuses_writes(
    server: &RedisServer,
    store: &RedisStore,
    prepared: &Prepared,
    expected: impl Fn(&StoreError) -> bool,
) {
    let before = server.snapshot();
    for (what, answer) in prepared.write(store).await {
        let refused = matches!(&answer, Err(error) if expected(error));
        assert!(refused, "{what}: {answer:?}");
    }
    assert_eq!(server.snapshot(), before);
}

async fn still_reads(store: &RedisStore, prepared: &Prepared) {
    let old = get(store, &prepared.whole).await;
    assert_eq!(old.as_deref(), Some(&b"old"[..]));
    let names = [prepared.whole.clone(), prepared.hash.clone()];
    let records = store.read(&names).await.unwrap();
    assert!(records == [Some(Record::String(b"old".to_vec())), Some(Record::Hash)]);
    let lifetimes = store.lifetimes(&names).await.unwrap();
    assert!(matches!(
        lifetimes[..],
        [Lifetime::Until(_), Lifetime::Persistent]
    ));
    assert_eq!(store.status().await.unwrap().records, Prepared::COUNT);
}

#[tokio::test]
async fn a_full_server_refuses_writes_and_nothing_is_changed() {
    for flavor in Flavor::ALL {
        let builder = RedisServer::builder().flavor(flavor);
        let server = builder.arg("maxmemory-policy", "noeviction").start();
        let prepared = Prepared::new(&server);
        let full = |error: &StoreError| matches!(error, StoreError::Full { .. });
        let worked_before = connect(&server).await;
        let other = "wa:other".into();
        let swapped = swap_one(&worked_before, &other, b"old", b"new").await;
        assert_eq!(swapped, Ok(Outcome::Changed));
        let never_worked = connect(&server).await;

        server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
        assert!(server.cli(&["SET", "wa:other", "value"]).starts_with("OOM"));
        for store in [&worked_before, &never_worked] {
            refuses_writes(&server, store, &prepared, full).await;
            still_reads(store, &prepared).await;
        }
        // Deletions are allowed.
        assert_eq!(never_worked.delete(&prepared.list).await, Ok(true));

        // With free memory again, both stores work: also the one that first saw a full server.
        server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
        server.cli(&["CONFIG", "RESETSTAT"]);
        for (store, old, new) in [
            (&worked_before, "old", "new"),
            (&never_worked, "new", "old"),
        ] {
            let swapped = swap_one(store, &prepared.whole, old.as_bytes(), new.as_bytes()).await;
            assert_eq!(swapped, Ok(Outcome::Done));
        }
        let scripted = server.command_counts().contains_key("evalsha");
        assert_eq!(scripted, flavor != Flavor::Valkey);
    }
}

#[tokio::test]
async fn a_replica_can_be_read_but_not_written() {
    for flavor in Flavor::ALL {
        let primary = server(flavor);
        let prepared = Prepared::new(&primary);
        let builder = RedisServer::builder().flavor(flavor);
        let replica = builder.replica_of(&primary).start();
        replica.wait_for_replica_link(&primary);
        let store = connect(&replica).await;
        let read_only = |error: &StoreError| match error {
            StoreError::ReadOnly { code, .. } => code == "READONLY",
            _ => false,
        };
        refuses_writes(&replica, &store, &prepared, read_only).await;
        let deleted = store.delete(&prepared.whole).await;
        assert!(
            matches!(&deleted, Err(error) if read_only(error)),
            "{deleted:?}"
        );
        still_reads(&store, &prepared).await;

        // It becomes the primary: the same store writes.
        replica.cli(&["REPLICAOF", "NO", "ONE"]);
        let change = [swap(&prepared.whole, b"old", b"new")];
        let outcomes = retry_until_ok(async || store.replace_if_unchanged(&change).await).await;
        assert_eq!(outcomes, [Outcome::Done]);
    }
}

#[tokio::test]
async fn a_store_follows_its_address_to_a_new_primary() {
    for flavor in Flavor::ALL {
        let builder = || RedisServer::builder().flavor(flavor).unix_socket();
        let old = builder().start();
        let prepared = Prepared::new(&old);
        let new = builder().replica_of(&old).start();
        new.wait_for_replica_link(&old);
        let directory = tempfile::tempdir().unwrap();
        let address = directory.path().join("redis.sock");
        symlink(old.unix_path(), &address).unwrap();
        let url = format!("unix:{}", address.display());
        let store = try_connect(&url, RedisOptions::default()).await.unwrap();
        let swapped = swap_one(&store, &prepared.whole, b"old", b"new").await;
        assert_eq!(swapped, Ok(Outcome::Done));
        new.wait_for_replica_link(&old);

        new.cli(&["REPLICAOF", "NO", "ONE"]);
        fs::remove_file(&address).unwrap();
        symlink(new.unix_path(), &address).unwrap();
        let port = new.port().to_string();
        old.cli(&["REPLICAOF", "127.0.0.1", &port]);
        old.wait_for_replica_link(&new);
        // Both connections of a store learn of it by a refusal.
        let refused = [
            swap_one(&store, &prepared.whole, b"new", b"newer")
                .await
                .map(drop),
            store.delete(&prepared.list).await.map(drop),
        ];
        let is_role = |error: &StoreError| matches!(error, StoreError::ReadOnly { .. });
        assert!(refused.iter().any(|it| it.as_ref().is_err_and(is_role)));
        let swapped = swap_one(&store, &prepared.whole, b"new", b"newer").await;
        let is_done = matches!(swapped, Ok(Outcome::Done | Outcome::Changed));
        assert!(is_done, "{flavor:?}: {swapped:?}");
        let deleted = store.delete(&prepared.list).await;
        assert!(deleted.is_ok(), "{flavor:?}: {deleted:?}");
        let newest = get(&store, &prepared.whole).await;
        assert_eq!(newest.as_deref(), Some(&b"newer"[..]), "{flavor:?}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_save_refuses_to_write() {
    for flavor in Flavor::ALL {
        let directory = tempfile::tempdir().unwrap();
        let builder = RedisServer::builder()
            .flavor(flavor)
            .arg("dir", &directory.path().display().to_string())
            .arg("save", "3600 100000");
        let server = builder.start();
        let prepared = Prepared::new(&server);
        let store = connect(&server).await;
        drop(directory);
        server.cli(&["BGSAVE"]);
        while !server
            .cli(&["INFO", "persistence"])
            .contains("rdb_last_bgsave_status:err")
        {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let misconf = |error: &StoreError| match error {
            StoreError::ReadOnly { code, .. } => code == "MISCONF",
            _ => false,
        };
        refuses_writes(&server, &store, &prepared, misconf).await;
        still_reads(&store, &prepared).await;
        let settings = store.status().await.unwrap().settings;
        let status = ("rdb_last_bgsave_status".to_owned(), "err".to_owned());
        assert!(settings.contains(&status));
    }
}

#[tokio::test]
async fn a_server_without_enough_replicas_refuses_to_write() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        let prepared = Prepared::new(&server);
        let store = connect(&server).await;
        server.cli(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
        let lonely = |error: &StoreError| match error {
            StoreError::ReadOnly { code, .. } => code == "NOREPLICAS",
            _ => false,
        };
        refuses_writes(&server, &store, &prepared, lonely).await;
        still_reads(&store, &prepared).await;
    }
}
