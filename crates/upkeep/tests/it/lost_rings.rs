//! Rings that are removed, damaged, rolled back or replaced in their store. Each process keeps its last
//! good ring, values stay readable and writable, and the ring is restored if that is right, and only
//! then.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use waxseal_core::SecretKey;
use waxseal_keys::{Change, LocalCustodian, ProtectedScope, Ring};
use waxseal_sweep::Stop;
use waxseal_testing::{Lines, RedisServer};

use crate::world::{Process, RING, World, calm, compressed_once, now_ms, until};

const PUT_BACK: &str = "THE KEYRING WAS PUT BACK";
const STAYS: &str = "stays in use";

/// The stored bytes of the ring.
fn stored_ring(server: &RedisServer) -> Option<Vec<u8>> {
    server.client().cmd(&["GET", RING]).bytes()
}

fn put_stored(server: &RedisServer, bytes: &[u8]) {
    let reply = server
        .client()
        .cmd(&[b"SET".as_slice(), RING.as_bytes(), bytes]);
    assert_eq!(reply.error(), None);
}

/// A document with a byte changed at an offset after the first occurrence of a text.
fn changed(bytes: &[u8], after: &str, by: usize) -> Vec<u8> {
    let text = std::str::from_utf8(bytes).unwrap();
    let at = text.find(after).expect(after) + after.len() + by;
    let mut changed = bytes.to_vec();
    changed[at] = if changed[at] == b'1' { b'7' } else { b'1' };
    assert_ne!(changed, bytes);
    changed
}

/// The ways to lose the document of the ring, by name. `old` is an older version.
fn losses(good: &[u8], old: &[u8]) -> Vec<(&'static str, Option<Vec<u8>>)> {
    let part = |len| Some(good[..len].to_vec());
    vec![
        ("deleted", None),
        ("emptied", part(0)),
        ("cut to one byte", part(1)),
        ("cut in half", part(good.len() / 2)),
        ("cut by its last three bytes", part(good.len() - 3)),
        ("filled with something else", Some(b"\0\xff hello".to_vec())),
        (
            "changed in its version",
            Some(changed(good, "\"version\": ", 0)),
        ),
        (
            "changed in its ring",
            Some(changed(good, "\"ring\": \"", 3)),
        ),
        (
            "changed in its environment",
            Some(changed(good, "\"environment\": \"", 1)),
        ),
        (
            "changed in a state",
            Some(changed(good, "\"state\": \"", 2)),
        ),
        ("changed in a date", Some(changed(good, "\"created\": ", 4))),
        (
            "changed in a key's id",
            Some(changed(good, "\"id\": \"", 5)),
        ),
        (
            "changed in the names' wrap",
            Some(changed(good, "\"wrapped\": \"", 9)),
        ),
        (
            "changed in its settings",
            Some(changed(good, "\"rest_ms\": ", 0)),
        ),
        ("changed in its code", Some(changed(good, "\"mac\": \"", 7))),
        ("rolled back", Some(old.to_vec())),
    ]
}

/// Foreign documents, which no process of this ring may replace.
async fn of_others(world: &World) -> Vec<(&'static str, Vec<u8>)> {
    let custodians = [world.custodian()];
    let secret = SecretKey::generate().unwrap();
    let stranger = [Arc::new(LocalCustodian::new("env:TEST", &secret).unwrap()) as _];
    let document = async |environment, custodians| {
        let ring = Ring::create(environment, calm(), custodians, &[], now_ms());
        ring.await.unwrap().to_bytes()
    };
    let newer = b"{\"format\": 3, \"something\": [1, 2]}".to_vec();
    vec![
        (
            "of another environment",
            document("other", &custodians).await,
        ),
        ("another ring", document("test", &custodians).await),
        (
            "another ring of another custodian",
            document("test", &stranger).await,
        ),
        ("of a newer format", newer),
    ]
}

fn damage(server: &RedisServer, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => put_stored(server, bytes),
        None => assert_eq!(server.cli(&["DEL", RING]), "1"),
    }
}

fn protected_scope(records: &str) -> ProtectedScope {
    ProtectedScope::new("redis://somewhere", records)
}

/// A ring that was changed twice: the bytes in between, and those now.
async fn grown(process: &Process) -> (Vec<u8>, Vec<u8>) {
    let register = |records| Change::Register(vec![protected_scope(records)]);
    process.ring.change(&register("a:*")).await.unwrap();
    let old = process.ring.ring().to_bytes();
    process.ring.change(&register("b:*")).await.unwrap();
    (old, process.ring.ring().to_bytes())
}

/// Reads the stored values, writes new ones, and reads those.
async fn use_values(processes: &[Process], round: &str) {
    for (index, writer) in processes.iter().enumerate() {
        for reader in processes {
            assert_eq!(reader.read("first").await, "a state", "{round}");
            let user = format!("{round} {index}");
            writer.write(&user, round).await;
            assert_eq!(reader.read(&user).await, round);
        }
    }
}

#[tokio::test]
async fn a_ring_that_is_lost_under_running_processes_is_restored_and_reported() {
    let world = World::new();
    world.init(calm()).await;
    let processes = [world.process(false).await, world.process(false).await];
    processes[0].write("first", "a state").await;
    let (old, good) = grown(&processes[0]).await;
    processes[1].ring.refresh().await.unwrap();
    let (lines, _guard) = Lines::capture(tracing::Level::INFO);
    for (what, bytes) in losses(&good, &old) {
        damage(&world.server, bytes.as_deref());
        use_values(&processes, what).await;
        until(what, async || {
            stored_ring(&world.server).as_deref() == Some(&good)
        })
        .await;
        use_values(&processes, what).await;
        until("it has recovered", async || {
            processes.iter().all(|it| it.ring.degraded().is_none())
        })
        .await;
        for process in &processes {
            assert_eq!(process.ring.ring().to_bytes(), good, "{what}");
        }
        let text = lines.take();
        let said = text.lines().filter(|line| line.contains(PUT_BACK));
        let said: Vec<_> = said.collect();
        // One of the processes did it.
        assert_eq!(said.len(), 1, "{what}: {text}");
        assert!(
            said[0].contains("ERROR") && said[0].contains("(version 3)"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_foreign_document_in_place_of_a_ring_is_kept_and_reported() {
    let world = World::new();
    world.init(calm()).await;
    let processes = [world.process(false).await, world.process(false).await];
    processes[0].write("first", "a state").await;
    let (_, good) = grown(&processes[0]).await;
    processes[1].ring.refresh().await.unwrap();
    let (lines, _guard) = Lines::capture(tracing::Level::INFO);
    for (what, bytes) in of_others(&world).await {
        put_stored(&world.server, &bytes);
        until(what, async || {
            processes.iter().all(|it| it.ring.degraded().is_some())
        })
        .await;
        use_values(&processes, what).await;
        for process in &processes {
            assert!(process.ring.refresh().await.is_err(), "{what}");
            let register = Change::Register(vec![protected_scope("c:*")]);
            assert!(process.ring.change(&register).await.is_err(), "{what}");
            assert_eq!(process.ring.ring().to_bytes(), good, "{what}");
        }
        assert_eq!(stored_ring(&world.server), Some(bytes), "{what}");
        put_stored(&world.server, &good);
        until("it has recovered", async || {
            processes.iter().all(|it| it.ring.degraded().is_none())
        })
        .await;
        let text = lines.take();
        let loud = |line: &&str| line.contains("ERROR") && line.contains(STAYS);
        assert_eq!(text.lines().filter(loud).count(), 2, "{what}: {text}");
        assert!(!text.contains(PUT_BACK), "{what}: {text}");
        assert!(text.contains("keyring recovered"), "{what}: {text}");
    }
}

/// A directory with the cached copy of a ring that was changed twice, and its bytes.
async fn with_copy(world: &World) -> (TempDir, PathBuf, Vec<u8>, Vec<u8>) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("copy");
    let process = world.process_with(world.start().copy(&path)).await;
    process.write("first", "a state").await;
    let (old, good) = grown(&process).await;
    assert_eq!(std::fs::read(&path).unwrap(), good);
    (directory, path, old, good)
}

#[tokio::test]
async fn a_ring_that_was_lost_before_a_start_is_restored_from_the_cached_copy() {
    let world = World::new();
    world.init(calm()).await;
    let (_directory, path, old, good) = with_copy(&world).await;
    let (lines, _guard) = Lines::capture(tracing::Level::INFO);
    for (what, bytes) in losses(&good, &old) {
        damage(&world.server, bytes.as_deref());
        let process = world.process_with(world.start().copy(&path)).await;
        assert_eq!(
            stored_ring(&world.server).as_deref(),
            Some(&*good),
            "{what}"
        );
        use_values(&[process], what).await;
        assert!(lines.take().contains(PUT_BACK), "{what}");
        assert_eq!(std::fs::read(&path).unwrap(), good);
    }
}

#[tokio::test]
async fn a_process_does_not_start_over_a_foreign_document_and_keeps_it_and_its_copy() {
    let world = World::new();
    world.init(calm()).await;
    let (_directory, path, _, good) = with_copy(&world).await;
    for (what, bytes) in of_others(&world).await {
        put_stored(&world.server, &bytes);
        let started = world.try_process(world.start().copy(&path)).await;
        assert!(started.is_err(), "{what}");
        assert_eq!(stored_ring(&world.server), Some(bytes), "{what}");
        assert_eq!(std::fs::read(&path).unwrap(), good, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_processes_that_start_with_copies_at_once_one_restores_the_ring_and_all_start() {
    const MANY: usize = 12;
    let world = Arc::new(World::new());
    world.init(calm()).await;
    let (_directory, path, _, good) = with_copy(&world).await;
    for _ in 0..5 {
        damage(&world.server, None);
        let barrier = Arc::new(Barrier::new(MANY));
        let mut starting = JoinSet::new();
        for _ in 0..MANY {
            let (world, path, barrier) = (world.clone(), path.clone(), barrier.clone());
            starting.spawn(async move {
                barrier.wait().await;
                world.try_process(world.start().copy(&path)).await.map(drop)
            });
        }
        for started in starting.join_all().await {
            assert_eq!(started, Ok(()));
        }
        assert_eq!(stored_ring(&world.server).as_deref(), Some(&*good));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_by_many_processes_at_once_succeed_although_the_ring_was_just_lost() {
    const MANY: usize = 12;
    let world = World::new();
    world.init(calm()).await;
    let mut processes = Vec::new();
    for _ in 0..MANY {
        processes.push(world.process(false).await);
    }
    damage(&world.server, None);
    let barrier = Arc::new(Barrier::new(MANY));
    let mut changing = JoinSet::new();
    for (index, process) in processes.iter().enumerate() {
        let (ring, barrier) = (process.ring.clone(), barrier.clone());
        changing.spawn(async move {
            barrier.wait().await;
            let register = Change::Register(vec![protected_scope(&format!("{index}:*"))]);
            ring.change(&register).await.map(drop)
        });
    }
    for changed in changing.join_all().await {
        assert_eq!(changed, Ok(()));
    }
    let ring = processes[0].ring.refresh().await.unwrap();
    assert_eq!(ring.protected_scopes().len(), MANY);
}

#[tokio::test]
async fn a_server_that_restarts_empty_gets_its_ring_from_a_running_process() {
    let mut world = World::new();
    world.init(calm()).await;
    let process = world.process(false).await;
    let (_, good) = grown(&process).await;
    let (lines, _guard) = Lines::capture(tracing::Level::INFO);
    world.server.restart();
    until("it is restored", async || {
        stored_ring(&world.server).as_deref() == Some(&good)
    })
    .await;
    until("it has recovered", async || {
        process.ring.degraded().is_none()
    })
    .await;
    assert!(lines.take().contains(PUT_BACK));
    process.write("someone", "a state").await;
    assert_eq!(world.process(false).await.read("someone").await, "a state");
}

#[tokio::test]
async fn a_server_that_restarts_empty_gets_its_ring_from_a_process_that_starts_with_a_copy() {
    let mut world = World::new();
    world.init(calm()).await;
    let (_directory, path, _, good) = with_copy(&world).await;
    world.server.restart();
    assert!(
        world.try_process(world.start()).await.is_err(),
        "without a copy"
    );
    let (lines, _guard) = Lines::capture(tracing::Level::INFO);
    let process = world.process_with(world.start().copy(&path)).await;
    assert_eq!(stored_ring(&world.server), Some(good));
    assert!(lines.take().contains(PUT_BACK));
    process.write("someone", "a state").await;
    assert_eq!(world.process(false).await.read("someone").await, "a state");
}

#[tokio::test]
async fn a_rotation_continues_after_the_server_lost_the_ring_and_the_lease() {
    let mut world = World::new();
    world.init(compressed_once()).await;
    let stop = Stop::default();
    // Three leaders in turn: the token of the last one is 3.
    for _ in 0..3 {
        let leader = world.process(false).await;
        leader.upkeep.once(true, &stop, &mut |_| {}).await.unwrap();
        until("the new key seals", async || {
            let plan = leader.upkeep.once(false, &stop, &mut |_| {}).await;
            plan.unwrap();
            leader
                .ring
                .ring()
                .in_state(waxseal_keys::KeyState::Pending)
                .count()
                == 0
        })
        .await;
    }
    let process = world.process(false).await;
    let before = process.ring.ring();
    assert!(before.fence() >= 3);
    world.server.restart();
    until("it is restored", async || {
        stored_ring(&world.server).is_some()
    })
    .await;
    let sealing = before.sealing().id;
    process.upkeep.once(true, &stop, &mut |_| {}).await.unwrap();
    until("another key seals", async || {
        process
            .upkeep
            .once(false, &stop, &mut |_| {})
            .await
            .unwrap();
        process.ring.ring().sealing().id != sealing
    })
    .await;
    assert!(process.ring.ring().fence() > before.fence());
}

#[tokio::test]
async fn a_ring_that_a_full_server_evicts_is_restored_and_remaining_values_open() {
    let server = RedisServer::builder()
        .arg("--maxmemory", "4mb")
        .arg("--maxmemory-policy", "allkeys-lru")
        .start();
    let world = World::on(server);
    world.init(calm()).await;
    let process = world.process(false).await;
    let (_, good) = grown(&process).await;
    let (lines, _guard) = Lines::capture(tracing::Level::INFO);
    let mut client = world.server.client();
    let filler = vec![b'x'; 20_000];
    // Atomically, so that no poll of the ring comes between.
    for round in 0..1_000 {
        for record in 0..50 {
            let name = format!("filler:{round}:{record}").into_bytes();
            client.cmd(&[b"SET".as_slice(), &name, &filler]);
        }
        if client.cmd(&["EXISTS", RING]).int() == 0 {
            break;
        }
    }
    assert_eq!(client.cmd(&["EXISTS", RING]).int(), 0, "it was evicted");
    until("it is restored", async || {
        stored_ring(&world.server).as_deref() == Some(&good)
    })
    .await;
    until("it has recovered", async || {
        process.ring.degraded().is_none()
    })
    .await;
    assert!(lines.take().contains(PUT_BACK));
    for user in 0..50 {
        process.write(&user.to_string(), "a state").await;
    }
    let other = world.process(false).await;
    let mut left = 0;
    for user in 0..50 {
        let name = crate::world::name(&user.to_string());
        let slot = waxseal_stores::Slot::Whole;
        if let Some(stored) = other.store.get(&name, &slot).await.unwrap() {
            let opened = other.open(&user.to_string(), &stored).await;
            assert_eq!(opened.as_deref(), Ok("a state"));
            left += 1;
        }
    }
    assert!(left > 0);
}
