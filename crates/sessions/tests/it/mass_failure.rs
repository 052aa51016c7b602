//! The guard against mass failure: a few damaged states are moved to quarantine, many are not.

use waxseal_core::{Format, OpenError};
use waxseal_sessions::{StateError, quarantine};
use waxseal_testing::RedisServer;

use crate::guards::states_of;
use crate::*;

#[tokio::test]
async fn of_many_damaged_records_five_are_quarantined_and_the_others_stay_errors() {
    let server = RedisServer::start();
    let store = connect(&server).await;
    let states = start(&server, usual_sealer()).await.unwrap();
    let mut client = server.client();
    states.set(USER, &state("confirming")).await.unwrap();
    states_of(&mut client, 30, |_, name| {
        let mut value = sealed(&KEY, Format::Sealed, name, &state_json("confirming"));
        *value.last_mut().unwrap() ^= 1;
        value
    });

    let mut errors = 0;
    for index in 0..30 {
        match states.get::<State>(&format!("52155000000{index:02}")).await {
            Ok(found) => assert_eq!((found, index < 5), (None, true)),
            Err(StateError::Open {
                error: OpenError::Refused,
                ..
            }) => errors += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(errors, 25);
    assert_eq!(quarantine::list(&*store).await.unwrap().len(), 5);

    // Values that open in between do not re-enable quarantine; a restart does.
    for _ in 0..50 {
        assert_eq!(states.get(USER).await.unwrap(), Some(state("confirming")));
    }
    let error = states.get::<State>("5215500000029").await.unwrap_err();
    assert!(matches!(error, StateError::Open { .. }), "{error:?}");
    assert_eq!(quarantine::list(&*store).await.unwrap().len(), 5);
    let left = server
        .snapshot()
        .only(|name| name.starts_with(b"wa:5215500000"));
    assert_eq!(left.len(), 25);

    let states = start(&server, usual_sealer()).await.unwrap();
    assert_eq!(states.get::<State>("5215500000029").await.unwrap(), None);
    assert_eq!(quarantine::list(&*store).await.unwrap().len(), 6);
}
