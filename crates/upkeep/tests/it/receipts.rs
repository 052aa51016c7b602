//! Receipts of erased users in a directory, over runs that are repeated.

use std::fs;

use tempfile::TempDir;
use waxseal_upkeep::{ReceiptDirectory, ReceiptError, Traces, find_traces, forget};

use crate::world::{Process, World, calm};

const USER: &[u8] = b"5215512345678";

async fn traces(process: &Process) -> Traces {
    let (ring, users) = (&process.ring, process.users.as_ref());
    find_traces(USER, ring, users, &[process.scope()])
        .await
        .unwrap()
}

#[tokio::test]
async fn the_receipt_of_an_earlier_run_is_found_until_the_user_returns() {
    let directory = TempDir::new().unwrap();
    let receipts = ReceiptDirectory::at(&directory.path().join("receipts"));
    receipts.prepare().unwrap();
    receipts.prepare().unwrap();
    let world = World::new();
    world.init(calm()).await;
    let process = world.process(true).await;
    let ring = || process.ring.ring();
    assert!(traces(&process).await.is_unknown());
    process.write_as_user("5215512345678", "a state").await;
    let before = traces(&process).await;
    assert!(before.has_key && before.records == 1 && !before.is_gone());
    assert_eq!(receipts.find(&ring(), USER, &before).unwrap(), None);

    let users = process.users.as_ref();
    let receipt = forget(USER, &process.ring, users, &[process.scope()])
        .await
        .unwrap();
    let path = receipts.write(&ring(), &receipt).unwrap();
    let after = traces(&process).await;
    assert!(after.is_gone() && !after.is_unknown() && after.erasures == 1);
    let found = receipts.find(&ring(), USER, &after).unwrap();
    assert_eq!(found.as_ref(), Some(&path));
    // Of a restored ring, which counts the erasure again.
    let other = receipts.write(&ring(), &receipt).unwrap();
    assert_ne!(other, path);
    assert_eq!(receipts.find(&ring(), USER, &after).unwrap(), Some(path));

    process.write_as_user("5215512345678", "back again").await;
    let returned = traces(&process).await;
    assert_eq!(receipts.find(&ring(), USER, &returned).unwrap(), None);
}

#[tokio::test]
async fn a_file_that_is_not_the_receipt_is_refused_and_not_replaced() {
    let directory = TempDir::new().unwrap();
    let receipts = ReceiptDirectory::at(directory.path());
    receipts.prepare().unwrap();
    let world = World::new();
    world.init(calm()).await;
    let process = world.process(true).await;
    process.write_as_user("5215512345678", "a state").await;
    let users = process.users.as_ref();
    let receipt = forget(USER, &process.ring, users, &[process.scope()])
        .await
        .unwrap();
    let ring = process.ring.ring();
    let path = receipts.write(&ring, &receipt).unwrap();
    fs::write(&path, "{}").unwrap();
    let found = receipts.find(&ring, USER, &traces(&process).await);
    assert!(matches!(found, Err(ReceiptError::NotThatReceipt(_))));
    let written = receipts.write(&ring, &receipt);
    assert!(matches!(written, Err(ReceiptError::File(_))));
    assert_eq!(fs::read_to_string(&path).unwrap(), "{}");
}
