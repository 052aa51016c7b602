//! Sweeps as their users see them: the tasks alone, the loop on the reference store, and both on real servers. Stores
//! alone are tested in `stores`.

mod audit;
mod changes;
mod counts;
mod excepts;
mod faults;
mod gate;
mod limits;
mod names;
mod records;
mod resume;
mod rings;
mod runs;
mod servers;
mod tasks;
mod users;

use std::sync::Arc;

use waxseal_core::{Binding, Format, KeyId, Keyring, Mode, NameMask, Sealer, SecretKey};
use waxseal_stores::{RecordPattern, RecordStore};
use waxseal_sweep::{
    Event, Keys, Migrate, Position, Report, Stop, Sweep, SweepOptions, Tally, Task,
};

/// The sealing key.
const A: &str = "6c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";
/// A key that opens.
const B: &str = "1c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";
/// A key that is not in the keyring.
const C: &str = "2c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";

fn id(key: &str) -> KeyId {
    SecretKey::from_hex(key).expect("a key").id()
}

/// A sealer under A that also opens what is under B, over the values of applications that write classic.
fn sealer(format: Format) -> Sealer {
    let keyring = Keyring::from_hex(A, B).expect("a keyring");
    Sealer::new(Arc::new(keyring), Mode::On, format).classifying_as(Mode::On, Format::Classic)
}

/// A sealer whose sealing key is B, and which also opens what is under A.
fn rotated() -> Sealer {
    let keyring = Keyring::from_hex(B, A).expect("a keyring");
    Sealer::new(Arc::new(keyring), Mode::On, Format::Sealed)
}

/// An envelope under this key.
fn envelope(key: &str, format: Format, value: &[u8], place: Binding<'_>) -> Vec<u8> {
    let keyring = Keyring::from_hex(key, "").expect("a keyring");
    let sealer = Sealer::new(Arc::new(keyring), Mode::On, format);
    sealer.seal(value, place).expect("it can be sealed")
}

/// The same envelope with a bit of its tag flipped.
fn damaged(mut envelope: Vec<u8>) -> Vec<u8> {
    *envelope.last_mut().expect("not empty") ^= 1;
    envelope
}

fn migrate() -> Arc<dyn Task> {
    Arc::new(Migrate::new(sealer(Format::Sealed)))
}

/// A sweep over `wa:*`.
fn sweep(store: Arc<dyn RecordStore>, task: Arc<dyn Task>, options: SweepOptions) -> Sweep {
    Sweep {
        store,
        pattern: RecordPattern::parse("wa:*").expect("a pattern"),
        task,
        keys: Keys::default(),
        mask: NameMask::random(),
        options,
    }
}

/// Small batches, so that a few records make many of them.
fn batches_of(batch: usize) -> SweepOptions {
    SweepOptions {
        batch,
        ..SweepOptions::default()
    }
}

/// A whole sweep, which nothing may interrupt.
async fn whole(sweep: &Sweep) -> Tally {
    let report = run(sweep, Position::default(), &mut |_| {}).await;
    assert!(report.complete);
    report.position.counts()
}

async fn run(sweep: &Sweep, from: Position, watch: &mut (dyn FnMut(Event<'_>) + Send)) -> Report {
    let report = sweep.run(from, &Stop::default(), watch).await;
    report.expect("nothing interrupts it")
}

/// Every value is in the total once, and in one of the other counts.
#[track_caller]
fn assert_adds_up(tally: &Tally) {
    let parts = [
        tally.done,
        tally.already,
        tally.empty,
        tally.erased,
        tally.raced,
        tally.failed,
        tally.streams,
    ];
    assert_eq!(parts.iter().sum::<u64>(), tally.total, "{tally:?}");
}
