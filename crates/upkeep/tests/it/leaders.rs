//! Leaders that are killed: at each step of a rotation, and at any moment. Another one continues.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use waxseal_core::{KeyId, SecretKey};
use waxseal_keys::rotation::Step;
use waxseal_keys::{Custodian, KeyState, LiveRing, LocalCustodian, Ring};
use waxseal_sweep::{Stop, SweepOptions};
use waxseal_upkeep::{RotationEvent, Upkeep, UpkeepError};

use crate::world::{Process, Start, World, compressed, compressed_once, now_ms, until};

const USERS: usize = 200;

/// The end of a killed leader.
struct Killed;

/// The moment at which a leader is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Begins(fn(Step) -> bool),
    Done(fn(Step) -> bool),
    Swept,
}

const ADD: fn(Step) -> bool = |step| matches!(step, Step::Add(_));
const PROMOTE: fn(Step) -> bool = |step| matches!(step, Step::Promote(_));
const SWEEP: fn(Step) -> bool = |step| matches!(step, Step::Sweep);
const ARCHIVE: fn(Step) -> bool = |step| matches!(step, Step::Archive(_));
const DESTROY: fn(Step) -> bool = |step| matches!(step, Step::Destroy(_));

impl Moment {
    fn is(self, event: &RotationEvent) -> bool {
        match (self, event) {
            (Self::Begins(is), RotationEvent::StepStarted(step))
            | (Self::Done(is), RotationEvent::StepDone(step)) => is(*step),
            (Self::Swept, RotationEvent::Swept { .. }) => true,
            _ => false,
        }
    }
}

/// Leads repeatedly, and reports its steps.
fn lead(
    process: Process,
    begin: bool,
    mut watch: impl FnMut(&RotationEvent) + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let stop = Stop::default();
        loop {
            match process.upkeep.once(begin, &stop, &mut watch).await {
                Ok(_) | Err(UpkeepError::Led(_)) => sleep(Duration::from_millis(20)).await,
                Err(error) => panic!("{error}"),
            }
        }
    })
}

/// A process that leads until this moment, at which it is killed and releases nothing.
async fn killed_at(world: &World, moment: Moment, begin: bool) {
    let task = lead(world.process(false).await, begin, move |event| {
        if moment.is(event) {
            // At once: an abort would let it continue to its next wait.
            std::panic::resume_unwind(Box::new(Killed));
        }
    });
    let ended = timeout(Duration::from_secs(30), task).await;
    let ended = ended.unwrap_or_else(|_| panic!("never reached {moment:?}"));
    let end = ended.unwrap_err().into_panic();
    assert!(end.is::<Killed>(), "{moment:?}");
}

async fn write_all(process: &Process) {
    for user in 0..USERS {
        process
            .write(&user.to_string(), &format!("state {user}"))
            .await;
    }
}

async fn read_all(process: &Process) {
    for user in 0..USERS {
        assert_eq!(
            process.read(&user.to_string()).await,
            format!("state {user}")
        );
    }
}

fn states(ring: &LiveRing) -> Vec<KeyState> {
    ring.ring().keys().iter().map(|entry| entry.state).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_whose_leaders_all_die_at_their_step_is_finished_by_the_next_and_loses_nothing()
{
    use KeyState::{Archived, DecryptOnly, Destroyed, Pending, Sealing};
    let world = World::new();
    world.init(compressed_once()).await;
    let reader = world.process(false).await;
    write_all(&reader).await;
    let deaths: [(Moment, &[KeyState]); 11] = [
        (Moment::Begins(ADD), &[Sealing]),
        (Moment::Done(ADD), &[Sealing, Pending]),
        (Moment::Begins(PROMOTE), &[Sealing, Pending]),
        (Moment::Done(PROMOTE), &[DecryptOnly, Sealing]),
        (Moment::Begins(SWEEP), &[DecryptOnly, Sealing]),
        (Moment::Swept, &[DecryptOnly, Sealing]),
        (Moment::Done(SWEEP), &[DecryptOnly, Sealing]),
        (Moment::Begins(ARCHIVE), &[DecryptOnly, Sealing]),
        (Moment::Done(ARCHIVE), &[Archived, Sealing]),
        (Moment::Begins(DESTROY), &[Archived, Sealing]),
        (Moment::Done(DESTROY), &[Destroyed, Sealing]),
    ];
    for (moment, expected) in deaths {
        let begin = matches!(moment, Moment::Begins(is) | Moment::Done(is) if is(Step::Add(KeyId::from_u32(1))));
        killed_at(&world, moment, begin).await;
        reader.ring.refresh().await.unwrap();
        assert_eq!(states(&reader.ring), expected, "after {moment:?}");
        read_all(&reader).await;
    }
    let last = world.process(false).await;
    let stop = Stop::default();
    let plan = last.upkeep.once(false, &stop, &mut |_| {}).await.unwrap();
    assert_eq!((plan.due, plan.blocked), (None, vec![]));
    let fence = last.ring.ring().fence();
    assert!(
        fence >= 5,
        "each of those who wrote had a token of its own: {fence}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_whose_leaders_die_is_completed() {
    let world = World::new();
    let first = world.init(compressed_once()).await.sealing().id;
    let reader = world.process(false).await;
    write_all(&reader).await;
    killed_at(&world, Moment::Done(ADD), true).await;
    killed_at(&world, Moment::Done(PROMOTE), false).await;
    let mut resealed_before = 0;
    for share in [20, 80, 140] {
        let start = Start {
            sweep: SweepOptions {
                batch: 5,
                max_rate: Some(150),
                ..SweepOptions::default()
            },
            ..world.start()
        };
        let task = lead(world.process_with(start).await, false, |_| {});
        until("a share of the values is under the new key", async || {
            under_others(&reader, first).await >= share
        })
        .await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        let resealed = under_others(&reader, first).await;
        assert!(resealed < USERS, "killed in the middle");
        assert!(resealed >= resealed_before);
        resealed_before = resealed;
        read_all(&reader).await;
    }
    killed_at(&world, Moment::Done(DESTROY), false).await;
    assert_eq!(under_others(&reader, first).await, USERS);
    read_all(&reader).await;
}

/// The number of values under another key.
async fn under_others(process: &Process, id: KeyId) -> usize {
    let mut count = 0;
    for user in 0..USERS {
        count += usize::from(process.key_of(&user.to_string()).await != id);
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_carry_out_the_step_yields_to_one_that_can() {
    let world = World::new();
    let secret = SecretKey::generate().unwrap();
    let second: Arc<dyn Custodian> = Arc::new(LocalCustodian::new("env:SECOND", &secret).unwrap());
    let custodians = [world.custodian(), second.clone()];
    let made_ms = now_ms() - 60_000;
    let ring = Ring::create("test", compressed(), &custodians, &[], made_ms).await;
    world.put(&ring.unwrap()).await;
    // It opens the ring, and cannot wrap a new key for the second custodian.
    let poor = world.process(false).await;
    let stop = Stop::default();
    let run = |upkeep: Upkeep| {
        let stop = stop.clone();
        tokio::spawn(async move { upkeep.run(&stop).await })
    };
    let first = run(poor.upkeep.clone());
    until("the poor one leads", async || {
        world
            .server
            .cli(&["GET", "waxseal:keyring:leader"])
            .contains(poor.upkeep.process())
    })
    .await;
    let start = Start {
        custodians: world.custodians().with(second),
        ..world.start()
    };
    let rich = world.process_with(start).await;
    let other = run(rich.upkeep.clone());
    until("there is a new key", async || {
        rich.ring.ring().keys().len() > 1
    })
    .await;
    stop.stop();
    first.await.unwrap();
    other.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_continue_although_processes_die_at_any_moment_and_no_value_is_lost() {
    let world = World::new();
    let first = world.init(compressed()).await.sealing().id;
    let client = world.process(false).await;
    write_all(&client).await;
    let (mut written, mut killed) = (0, 0);
    let mut running: Vec<JoinHandle<()>> = Vec::new();
    let mut sealed_under = BTreeSet::new();
    until(
        "the first key is destroyed while processes die",
        async || {
            if running.len() == 2 {
                let victim = usize::from(KeyId::random().to_u32() % 2 == 1);
                let victim = running.swap_remove(victim);
                victim.abort();
                assert!(victim.await.unwrap_err().is_cancelled());
                killed += 1;
            }
            let process = world.process(false).await;
            running.push(tokio::spawn(async move {
                process.upkeep.run(&Stop::default()).await;
            }));
            // A random moment: sometimes too short to become the leader, sometimes long enough to sweep.
            let moment = KeyId::random().to_u32() % 1_500;
            sleep(Duration::from_millis(u64::from(moment))).await;
            for _ in 0..20 {
                let user = (written % USERS).to_string();
                client.write(&user, &format!("state {user}")).await;
                sealed_under.insert(client.key_of(&user).await);
                written += 1;
            }
            read_all(&client).await;
            let ring = client.ring.refresh().await.unwrap();
            killed >= 6 && ring.entry(first).unwrap().state == KeyState::Destroyed
        },
    )
    .await;
    for process in running {
        process.abort();
    }
    assert!(
        sealed_under.len() >= 2,
        "more than one key sealed meanwhile"
    );
}
