//! Conditional changes: which mechanism they use, many at once, and many against each other.

use std::sync::Arc;

use waxseal_stores::{Outcome, RecordName, RecordStore};
use waxseal_testing::{Flavor, RedisServer};

use super::{connect, get, put, server, swap, swap_one};

fn names(count: usize) -> Vec<RecordName> {
    (0..count)
        .map(|n| RecordName::from(format!("wa:{n}")))
        .collect()
}

/// Gives every record this value.
fn fill(server: &RedisServer, names: &[RecordName], value: &[u8]) {
    let set = |name: &RecordName| [b"SET".to_vec(), name.as_bytes().to_vec(), value.to_vec()];
    let commands: Vec<_> = names.iter().map(set).collect();
    for reply in server.client().pipeline(&commands) {
        assert_eq!(reply.error(), None);
    }
}

fn counted(server: &RedisServer, command: &str) -> u64 {
    server.command_counts().get(command).copied().unwrap_or(0)
}

#[tokio::test]
async fn plain_swaps_use_the_servers_own_comparison_where_it_has_one() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        let store = connect(&server).await;
        let names = names(100);
        fill(&server, &names, b"old");
        server.cli(&["CONFIG", "RESETSTAT"]);
        let changes: Vec<_> = names
            .iter()
            .map(|name| swap(name, b"old", b"new"))
            .collect();
        for expected in [Outcome::Done, Outcome::Changed] {
            let outcomes = store.replace_if_unchanged(&changes).await.unwrap();
            assert_eq!(outcomes, vec![expected; 100]);
        }
        let scripts = counted(&server, "eval") + counted(&server, "evalsha");
        if flavor == Flavor::Valkey {
            assert_eq!(scripts, 0);
            // One more probed for it.
            assert_eq!(counted(&server, "set"), 201);
        } else {
            assert!(scripts > 0);
        }
    }
}

/// A server stores a number-like value as a number: it must still be compared byte by byte.
#[tokio::test]
async fn values_that_look_like_numbers_are_compared_as_bytes() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        let store = connect(&server).await;
        let name = RecordName::from("wa:1");
        put(&store, &name, b"12345").await;
        for other in [
            "012345", "12345.0", "12345 ", "+12345", "1.2345e4", "0x3039",
        ] {
            let swapped = swap_one(&store, &name, other.as_bytes(), b"new").await;
            assert_eq!(swapped, Ok(Outcome::Changed), "{other}");
        }
        assert_eq!(
            swap_one(&store, &name, b"12345", b"7").await,
            Ok(Outcome::Done)
        );
        assert_eq!(swap_one(&store, &name, b"7", b"").await, Ok(Outcome::Done));
        assert_eq!(swap_one(&store, &name, b"", b"0").await, Ok(Outcome::Done));
        assert_eq!(get(&store, &name).await.as_deref(), Some(&b"0"[..]));
    }
}

#[tokio::test]
async fn ten_thousand_changes_go_in_one_call() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        let store = connect(&server).await;
        let names = names(10_000);
        let (old, new) = ([b'o'; 800], [b'n'; 800]);
        fill(&server, &names, &old);
        // Every seventh was changed by another client.
        let others: Vec<_> = names.iter().step_by(7).cloned().collect();
        fill(&server, &others, b"other");
        server.cli(&["CONFIG", "RESETSTAT"]);
        let changes: Vec<_> = names.iter().map(|name| swap(name, &old, &new)).collect();
        let outcomes = store.replace_if_unchanged(&changes).await.unwrap();
        assert_eq!(outcomes.len(), names.len());
        for (n, outcome) in outcomes.into_iter().enumerate() {
            let expected = if n % 7 == 0 {
                Outcome::Changed
            } else {
                Outcome::Done
            };
            assert_eq!(outcome, expected, "record {n}");
        }
        for n in [0, 1, 6, 7, 63, 64, 4_096, 9_998, 9_999] {
            let expected = if n % 7 == 0 { &b"other"[..] } else { &new };
            assert!(get(&store, &names[n]).await.as_deref() == Some(expected));
        }
        // Other clients are served in between: no script had more than 64 records.
        if flavor != Flavor::Valkey {
            assert!(counted(&server, "evalsha") >= 10_000 / 64);
        }
    }
}

#[tokio::test]
async fn large_values_are_swapped_in_one_call() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        let store = connect(&server).await;
        let names = names(100);
        let (old, new) = (vec![b'o'; 1 << 20], vec![b'n'; 1 << 20]);
        fill(&server, &names, &old);
        let changes: Vec<_> = names.iter().map(|name| swap(name, &old, &new)).collect();
        let outcomes = store.replace_if_unchanged(&changes).await.unwrap();
        assert_eq!(outcomes, vec![Outcome::Done; 100]);
        assert!(get(&store, &names[99]).await.as_ref() == Some(&new));
    }
}

#[tokio::test]
async fn changes_of_one_record_in_one_call_follow_each_other() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        let store = connect(&server).await;
        let name = RecordName::from("wa:1");
        put(&store, &name, b"1").await;
        let steps = [("1", "2"), ("1", "9"), ("2", "3"), ("3", "3"), ("3", "4")];
        let changes = steps.map(|(old, new)| swap(&name, old.as_bytes(), new.as_bytes()));
        let outcomes = store.replace_if_unchanged(&changes).await.unwrap();
        let (done, changed) = (Outcome::Done, Outcome::Changed);
        assert_eq!(outcomes, [done, changed, done, done, done]);
        assert_eq!(get(&store, &name).await.as_deref(), Some(&b"4"[..]));
        assert_eq!(store.replace_if_unchanged(&[]).await, Ok(Vec::new()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_four_swaps_of_the_same_record_one_wins() {
    const TASKS: usize = 4;
    const RECORDS: usize = 500;
    for flavor in Flavor::ALL {
        let server = server(flavor);
        let names = Arc::new(names(RECORDS));
        fill(&server, &names, b"0");
        let mut stores = Vec::new();
        for _ in 0..TASKS {
            // Each with its own connection: a shared one would serialise the calls.
            stores.push(Arc::new(connect(&server).await));
        }
        for round in 0..10 {
            let tasks: Vec<_> = (0..TASKS)
                .map(|task| {
                    let (store, names) = (Arc::clone(&stores[task]), Arc::clone(&names));
                    tokio::spawn(async move {
                        let old = if round == 0 {
                            "0".to_owned()
                        } else {
                            format!("won {round}")
                        };
                        let new = format!("round {round} task {task}");
                        let change = |name| swap(name, old.as_bytes(), new.as_bytes());
                        let changes: Vec<_> = names.iter().map(change).collect();
                        // In small calls, so that they interleave.
                        let mut outcomes = Vec::new();
                        for part in changes.chunks(50) {
                            outcomes.extend(store.replace_if_unchanged(part).await.unwrap());
                        }
                        (new, outcomes)
                    })
                })
                .collect();
            let mut winners: Vec<Vec<String>> = vec![Vec::new(); RECORDS];
            for task in tasks {
                let (new, outcomes) = task.await.unwrap();
                assert_eq!(outcomes.len(), RECORDS);
                for (winners, outcome) in winners.iter_mut().zip(outcomes) {
                    if outcome == Outcome::Done {
                        winners.push(new.clone());
                    }
                }
            }
            for (name, winners) in names.iter().zip(winners) {
                assert_eq!(winners.len(), 1, "one of {TASKS} wins a record");
                let value = get(&stores[0], name).await;
                assert_eq!(value.as_deref(), Some(winners[0].as_bytes()));
            }
            fill(&server, &names, format!("won {}", round + 1).as_bytes());
        }
    }
}
