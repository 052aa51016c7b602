//! The records of the demo.

use std::sync::Arc;

use waxseal_core::{Format, Keyring, Mode, Sealer, SecretKey, Shape};
use waxseal_service::demo::{self, Demo};
use waxseal_sweep::Migrate;

#[tokio::test]
async fn states_are_sealed_read_and_quarantined_when_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::in_file(&directory.path().join("states.waxseal"), 20).unwrap();
    demo.fill().await.unwrap();
    assert!(demo.stored(0).await.unwrap().starts_with(b"{"));
    assert!(demo.stored(20).await.unwrap().is_empty());

    let keyring = Keyring::new(SecretKey::generate().unwrap()).unwrap();
    let sealer = Sealer::new(Arc::new(keyring), Mode::On, Format::Sealed);
    let task = Arc::new(Migrate::new(sealer.clone()));
    let tally = demo.sweep(task, &mut |_| {}).await.unwrap();
    assert_eq!((tally.total, tally.done, tally.failed), (20, 20, 0));
    let stored = demo.stored(0).await.unwrap();
    assert!(matches!(Shape::of(&stored), Shape::Sealed { .. }));

    let manager = demo.manager(&sealer).await.unwrap();
    assert_eq!(demo.read_all(&manager).await.unwrap(), 20);
    let damaged = demo.damage(&manager).await.unwrap();
    assert!(!damaged.is_answered && damaged.quarantined.len() == 1);
    assert!(damaged.quarantined[0].record == demo.name(1));
    assert_eq!(demo.read_all(&manager).await.unwrap(), 19);
    assert!(!demo.clean_up().await.unwrap());

    let cost = demo::cost(&sealer).unwrap();
    assert!(cost.size > 500 && cost.overhead < 100 && !cost.seal.is_zero());
}

#[tokio::test]
async fn a_demo_on_a_server_removes_its_own_records_and_no_others() {
    let server = waxseal_testing::RedisServer::start();
    let url = server.url();
    let (one, other) = (
        Demo::on_server(&url, 12).await.unwrap(),
        Demo::on_server(&url, 12).await.unwrap(),
    );
    assert!(one.name(0) != other.name(0));
    one.fill().await.unwrap();
    other.fill().await.unwrap();
    assert!(one.clean_up().await.unwrap());
    for index in 0..12 {
        assert!(one.stored(index).await.unwrap().is_empty());
        assert!(!other.stored(index).await.unwrap().is_empty());
    }
}
