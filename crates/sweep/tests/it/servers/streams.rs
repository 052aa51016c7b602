//! Values of streams: they are judged and counted, and stay as they are.

use std::sync::Arc;

use waxseal_core::{Binding, Format};
use waxseal_sweep::{Audit, Class, Decrypt, Rotate, SweepOptions, Task, ValueLocation};
use waxseal_testing::Flavor;

use super::super::{A, assert_adds_up, id, migrate, rotated, sealer, sweep, whole};
use super::{connect, send, server};

const ENTRIES: u64 = 1_000;

#[tokio::test]
async fn values_of_streams_are_counted_and_left_as_they_are() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        let sealer = sealer(Format::Sealed);
        let mut commands: Vec<Vec<Vec<u8>>> = Vec::new();
        for n in 1..=ENTRIES {
            let mut add = vec![b"XADD".to_vec(), b"wa:stream".to_vec()];
            add.extend([format!("{n}-0").into_bytes(), b"plain".to_vec()]);
            add.extend([b"{}".to_vec(), b"sealed".to_vec()]);
            let place = Binding::stream_field(b"wa:stream", b"sealed");
            add.push(sealer.seal(b"{}", place).unwrap());
            add.extend([b"empty".to_vec(), Vec::new()]);
            commands.push(add);
        }
        send(&server, &commands);
        let before = server.snapshot();
        let tasks: [(Arc<dyn Task>, u64); 3] = [
            (migrate(), ENTRIES),
            (Arc::new(Rotate::new(rotated())), 2 * ENTRIES),
            (Arc::new(Decrypt::new(sealer.clone())), ENTRIES),
        ];
        for (task, streams) in tasks {
            let sweep = sweep(connect(&server).await, task, SweepOptions::default());
            let tally = whole(&sweep).await;
            assert_adds_up(&tally);
            let found = (tally.total, tally.streams, tally.empty);
            assert_eq!(found, (3 * ENTRIES, streams, ENTRIES), "{flavor:?}");
            assert_eq!(before.changed_names(&server.snapshot()).len(), 0);
        }
        let audit = Arc::new(Audit::new(sealer, true));
        let audit = sweep(connect(&server).await, audit, SweepOptions::default());
        let tally = whole(&audit).await;
        for class in [Class::Plain, Class::Empty, Class::Sealed(id(A))] {
            let group = tally.groups[&(class, ValueLocation::StreamField)];
            assert_eq!(group.values, ENTRIES, "{flavor:?} {class:?}");
        }
    }
}
