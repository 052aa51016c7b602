//! Expiries, to the millisecond: swaps preserve them, and they are reported exactly.

use waxseal_stores::{
    Change, Expiry, Lifetime, Move, MoveOutcome, Outcome, RecordName, RecordStore, Slot, StoreError,
};
use waxseal_testing::{Flavor, RedisServer};

use super::{connect, generous_limits, server, swap, try_connect};

/// A time far in the future.
const FAR: u64 = 4_102_444_800_000;

/// Records that expire a millisecond after each other, and every tenth never.
fn fill(server: &RedisServer, count: u64) -> Vec<(RecordName, Lifetime)> {
    let mut commands = Vec::new();
    let mut filled = Vec::new();
    for n in 0..count {
        let name = format!("wa:{n}");
        let mut set = vec!["SET".to_owned(), name.clone(), "old".to_owned()];
        let lifetime = if n % 10 == 0 {
            Lifetime::Persistent
        } else {
            set.extend(["PXAT".to_owned(), (FAR + n).to_string()]);
            Lifetime::Until(FAR + n)
        };
        commands.push(set);
        filled.push((RecordName::from(name), lifetime));
    }
    for reply in server.client().pipeline(&commands) {
        assert_eq!(reply.error(), None);
    }
    filled
}

#[tokio::test]
async fn an_expiry_is_reported_to_the_millisecond() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        let store = connect(&server).await;
        let (mut names, mut expected): (Vec<_>, Vec<_>) = fill(&server, 3_000).into_iter().unzip();
        names.push(RecordName::from("wa:absent"));
        expected.push(Lifetime::Absent);
        // Several times: a server that only reports the remaining time is read across many of its
        // ticks.
        for _ in 0..10 {
            assert!(store.lifetimes(&names).await.unwrap() == expected);
        }
        assert_eq!(store.lifetimes(&[]).await, Ok(Vec::new()));
    }
}

#[tokio::test]
async fn a_swap_keeps_the_expiry_to_the_millisecond() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        let store = connect(&server).await;
        let filled = fill(&server, 1_000);
        let before = server.snapshot();
        for (old, new) in [("old", "new"), ("new", "old")] {
            let changes: Vec<_> = filled
                .iter()
                .map(|(name, _)| swap(name, old.as_bytes(), new.as_bytes()))
                .collect();
            let outcomes = store.replace_if_unchanged(&changes).await.unwrap();
            assert_eq!(outcomes, vec![Outcome::Done; 1_000]);
            let after = server.snapshot();
            for (name, record) in before.records() {
                let after = after.get(name).expect("it is still there");
                assert_eq!(after.expires_at_ms, record.expires_at_ms);
            }
        }
        assert_eq!(server.snapshot(), before);
    }
}

/// Redis 6.2 reports only the remaining time: there the result may be a millisecond off, which the
/// suite allows.
#[tokio::test]
async fn a_move_keeps_the_expiry_to_the_millisecond() {
    for flavor in [Flavor::System, Flavor::Valkey] {
        let server = server(flavor);
        let store = connect(&server).await;
        for (from, lifetime) in fill(&server, 500) {
            let to = RecordName::from([from.as_bytes(), b":moved"].concat());
            let step = Move {
                from: &from,
                expected: b"old",
                to: &to,
                value: b"new",
                expiry: Expiry::Keep,
            };
            assert_eq!(store.move_if_unchanged(step).await, Ok(MoveOutcome::Done));
            assert_eq!(
                store.lifetimes(&[from, to]).await,
                Ok(vec![Lifetime::Absent, lifetime])
            );
        }
    }
}

/// Valkey 9 supports expiring fields of a hash, and removes the expiry of a field that is written.
/// It can also write one and keep it; Redis 7.4 cannot, and without that command Valkey behaves the
/// same.
fn servers_with_expiring_fields(more: &str) -> [(RedisServer, &'static str); 2] {
    let builder = RedisServer::builder().flavor(Flavor::Valkey).user_acl(more);
    let as_redis_7_4 = builder.clone().without(&["HSETEX"]);
    [
        (builder.start(), "+hsetex"),
        (as_redis_7_4.start(), "+hpexpiretime +hpexpireat"),
    ]
}

#[tokio::test]
async fn a_swap_keeps_the_expiry_of_a_field() {
    for (server, _) in servers_with_expiring_fields("") {
        let store = connect(&server).await;
        let mut client = server.client();
        client.cmd(&["HSET", "wa:1", "ending", "old", "lasting", "old"]);
        let end = (FAR + 123).to_string();
        let set = client.cmd(&["HPEXPIREAT", "wa:1", &end, "FIELDS", "1", "ending"]);
        assert_eq!(set.to_text(), "1");
        client.cmd(&["PEXPIREAT", "wa:1", &(FAR + 456).to_string()]);

        let name = RecordName::from("wa:1");
        for field in ["ending", "lasting"] {
            let slot = Slot::Field(field.into());
            let change = |expected| Change {
                name: &name,
                slot: &slot,
                expected: Some(expected),
                value: b"new",
                expiry: Expiry::Keep,
            };
            let outcomes = store.replace_if_unchanged(&[change(&b"other"[..])]).await;
            assert_eq!(outcomes, Ok(vec![Outcome::Changed]));
            let outcomes = store.replace_if_unchanged(&[change(b"old")]).await;
            assert_eq!(outcomes, Ok(vec![Outcome::Done]));
            assert_eq!(store.get(&name, &slot).await, Ok(Some(b"new".to_vec())));
        }
        let expiries = client.cmd(&["HPEXPIRETIME", "wa:1", "FIELDS", "2", "ending", "lasting"]);
        assert_eq!(expiries.to_text(), format!("{end}\n-1"));
        let lifetimes = store.lifetimes(&[name]).await;
        assert_eq!(lifetimes, Ok(vec![Lifetime::Until(FAR + 456)]));
    }
}

/// Without the rights to preserve the expiry the field is not written at all.
#[tokio::test]
async fn the_expiry_of_a_field_is_not_lost_when_rights_are_missing() {
    let user = "user waxseal on >s3cret ~* +ping +hget +hset +eval +evalsha";
    for (server, rights) in servers_with_expiring_fields(user) {
        let mut client = server.client();
        client.cmd(&["HSET", "wa:1", "ending", "old"]);
        let end = FAR.to_string();
        client.cmd(&["HPEXPIREAT", "wa:1", &end, "FIELDS", "1", "ending"]);
        let before = server.snapshot();
        let url = format!("redis://waxseal:s3cret@127.0.0.1:{}", server.port());
        let store = try_connect(&url, generous_limits()).await.unwrap();
        let change = Change {
            name: &RecordName::from("wa:1"),
            slot: &Slot::Field(b"ending".to_vec()),
            expected: Some(b"old"),
            value: b"new",
            expiry: Expiry::Keep,
        };
        for right in rights.split_whitespace() {
            let outcomes = store.replace_if_unchanged(&[change]).await;
            let denied = matches!(outcomes, Err(StoreError::Denied { .. }));
            assert!(denied, "before {right}: {outcomes:?}");
            assert_eq!(server.snapshot(), before, "before {right}");
            server.cli(&["ACL", "SETUSER", "waxseal", right]);
        }
        let outcomes = store.replace_if_unchanged(&[change]).await;
        assert_eq!(outcomes, Ok(vec![Outcome::Done]));
        let expiries = client.cmd(&["HPEXPIRETIME", "wa:1", "FIELDS", "1", "ending"]);
        assert_eq!(expiries.to_text(), end);
    }
}

#[tokio::test]
async fn a_full_server_leaves_a_field_and_its_expiry_unchanged() {
    let [(server, _), _] = servers_with_expiring_fields("");
    let store = connect(&server).await;
    let mut client = server.client();
    client.cmd(&["HSET", "wa:1", "ending", "old"]);
    client.cmd(&[
        "HPEXPIREAT",
        "wa:1",
        &FAR.to_string(),
        "FIELDS",
        "1",
        "ending",
    ]);
    client.cmd(&["CONFIG", "SET", "maxmemory", "1"]);
    let before = server.snapshot();
    let change = Change {
        name: &RecordName::from("wa:1"),
        slot: &Slot::Field(b"ending".to_vec()),
        expected: Some(b"old"),
        value: b"new",
        expiry: Expiry::Keep,
    };
    let outcomes = store.replace_if_unchanged(&[change]).await;
    assert!(
        matches!(outcomes, Err(StoreError::Full { .. })),
        "{outcomes:?}"
    );
    assert_eq!(server.snapshot(), before);
}

#[tokio::test]
async fn extreme_expiries_do_no_harm() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        let store = connect(&server).await;
        let name = RecordName::from("wa:1");
        for expiry in [Expiry::At(0), Expiry::At(1)] {
            store
                .put(&name, &Slot::Whole, b"a", Expiry::Persistent)
                .await
                .unwrap();
            store.put(&name, &Slot::Whole, b"b", expiry).await.unwrap();
            assert_eq!(
                store.lifetimes(std::slice::from_ref(&name)).await,
                Ok(vec![Lifetime::Absent])
            );
        }
        store
            .put(&name, &Slot::Whole, b"a", Expiry::Persistent)
            .await
            .unwrap();
        let before = server.snapshot();
        let endless = Expiry::After(std::time::Duration::MAX);
        for expiry in [Expiry::At(u64::MAX), endless] {
            let put = store.put(&name, &Slot::Whole, b"b", expiry).await;
            assert!(put.is_err(), "{put:?}");
            assert_eq!(server.snapshot(), before);
        }
    }
}
