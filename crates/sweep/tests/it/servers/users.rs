//! Values of users on real servers: what was classic comes under the key of its user, and stays there
//! when the ring changes.

use waxseal_core::{Binding, Format, Shape};
use waxseal_sweep::{Audit, Class, Migrate, Rotate};
use waxseal_testing::{Flavor, RedisServer};

use super::{connect, send, server};
use crate::rings::{Process, Shared};
use crate::{A, assert_adds_up, envelope, whole};

const COUNT: u64 = 120;

fn name(i: u64) -> String {
    format!("wa:52155000000{i:03}")
}

fn value(i: u64) -> Vec<u8> {
    format!("{{\"record\":{i}}}").into_bytes()
}

/// Records in the classic format, which expire, and hashes of one classic field.
fn fill(server: &RedisServer) {
    let set = |i: u64| {
        let (name, value) = (name(i), value(i));
        let place = Binding::record(name.as_bytes());
        let classic = envelope(A, Format::Classic, &value, place);
        match i % 3 {
            0 => vec![b"HSET".to_vec(), name.into_bytes(), b"f".to_vec(), classic],
            _ => {
                let until = b"4102444800000".to_vec();
                let name = name.into_bytes();
                vec![b"SET".to_vec(), name, classic, b"PXAT".to_vec(), until]
            }
        }
    };
    send(server, &(0..COUNT).map(set).collect::<Vec<_>>());
}

/// Asserts that every value opens under the key of its user, and under nothing else.
async fn assert_under_users(server: &RedisServer, process: &Process) {
    let mut client = server.client();
    for i in 0..COUNT {
        let name = name(i);
        let (place, stored) = match i % 3 {
            0 => (
                Binding::field(name.as_bytes(), b"f"),
                client.cmd(&["HGET", &name, "f"]).bytes(),
            ),
            _ => (
                Binding::record(name.as_bytes()),
                client.cmd(&["GET", &name]).bytes(),
            ),
        };
        let stored = stored.expect("it is there");
        let header = Shape::of_header(&stored).expect("it is sealed");
        assert!(header.flags.per_user_key(), "{i}");
        let user = name.trim_start_matches("wa:").as_bytes();
        let key = process.users.read(&[user]).await.unwrap().remove(0);
        let ring = process.sealer(Format::Sealed);
        assert!(ring.open(&stored, place).is_err(), "{i}");
        let opened = ring.for_user(key.expect("a key")).open(&stored, place);
        assert!(*opened.unwrap().unwrap().value == *value(i), "{i}");
        if i % 3 != 0 {
            let until = client.cmd(&["PEXPIRETIME", &name]).int();
            assert_eq!(until, 4_102_444_800_000, "{i}");
        }
    }
}

#[tokio::test]
async fn classic_values_come_under_the_keys_of_their_users_and_stay_when_the_ring_changes() {
    for flavor in [Flavor::System, Flavor::Valkey] {
        let (server, shared) = (server(flavor), Shared::default());
        let (process, store) = (shared.first().await, connect(&server).await);
        fill(&server);
        let migrate = Migrate::new(process.sealer(Format::Classic));
        let tally = whole(&process.sweep(store.clone(), migrate)).await;
        assert_adds_up(&tally);
        assert_eq!((tally.total, tally.done), (COUNT, COUNT));
        assert_under_users(&server, &process).await;

        process.rotate().await;
        let before = server.snapshot();
        let another = shared.another().await;
        let rotate = Rotate::new(another.sealer(Format::Sealed));
        let tally = whole(&another.sweep(store.clone(), rotate)).await;
        assert_eq!((tally.total, tally.already), (COUNT, COUNT));
        assert_eq!(server.snapshot(), before);

        process.erase(&name(1).as_bytes()[3..]).await;
        let auditor = shared.another().await;
        let audit = Audit::new(auditor.sealer(Format::Sealed), true);
        let tally = whole(&auditor.sweep(store, audit)).await;
        let of_users = tally.count(|class| class == Class::OfUser);
        assert_eq!((of_users, tally.erased, tally.failed), (COUNT - 1, 1, 0));
    }
}
