//! Servers quote the arguments of a command in their errors. No error of a store does.

use std::slice::from_ref;
use std::time::Duration;

use waxseal_stores::{
    Change, Cursor, Expiry, Move, RecordName, RecordPattern, RecordStore, RedisStore, Slot,
    StoreError,
};
use waxseal_testing::{Flavor, RedisServer};

use super::connect;

const CANARY: &str = "CANARY5215512345678";

/// Commands that the server does not have: its error quotes their arguments.
const TAKEN_AWAY: [&str; 16] = [
    "SET", "GET", "MGET", "TYPE", "SCAN", "HGET", "HSET", "HSCAN", "LINDEX", "LSET", "LRANGE",
    "DEL", "PTTL", "TIME", "EVALSHA", "EVAL",
];

/// All calls of a store, with the canary in all of the caller's bytes, and their errors.
async fn errors(store: &RedisStore) -> Vec<(&'static str, StoreError)> {
    let name = &RecordName::from(CANARY);
    let other = &RecordName::from(format!("{CANARY} 2"));
    let (canary, hour) = (CANARY.as_bytes(), Expiry::After(Duration::from_secs(3600)));
    let field = Slot::Field(canary.to_vec());
    let pattern = RecordPattern::parse(&format!("{CANARY}*")).unwrap();
    let change = |slot, expected, expiry| Change {
        name,
        slot,
        expected,
        value: canary,
        expiry,
    };
    let step = Move {
        from: name,
        expected: canary,
        to: other,
        value: canary,
        expiry: Expiry::Keep,
    };
    let (whole, element, start) = (&Slot::Whole, &Slot::Element(0), &Cursor::start());
    let replace = async |change| store.replace_if_unchanged(&[change]).await.map(drop);
    let keep = Expiry::Keep;
    let answers = [
        ("get", store.get(name, whole).await.map(drop)),
        ("get a field", store.get(name, &field).await.map(drop)),
        ("get an element", store.get(name, element).await.map(drop)),
        ("put", store.put(name, whole, canary, hour).await),
        ("put a field", store.put(name, &field, canary, keep).await),
        (
            "put an element",
            store.put(name, element, canary, keep).await,
        ),
        ("read", store.read(from_ref(name)).await.map(drop)),
        (
            "read slots",
            store.read_slots(name, start, 10).await.map(drop),
        ),
        ("scan", store.scan(&pattern, start, 10).await.map(drop)),
        ("swap", replace(change(whole, Some(canary), keep)).await),
        (
            "swap with an end",
            replace(change(whole, Some(canary), hour)).await,
        ),
        ("create", replace(change(whole, None, hour)).await),
        (
            "swap a field",
            replace(change(&field, Some(canary), keep)).await,
        ),
        (
            "swap an element",
            replace(change(element, Some(canary), keep)).await,
        ),
        ("delete", store.delete(name).await.map(drop)),
        (
            "delete unchanged",
            store.delete_if_unchanged(name, canary).await.map(drop),
        ),
        ("move", store.move_if_unchanged(step).await.map(drop)),
        ("lifetimes", store.lifetimes(from_ref(name)).await.map(drop)),
    ];
    let failed = answers.into_iter();
    failed
        .filter_map(|(what, answer)| Some((what, answer.err()?)))
        .collect()
}

fn hold_no_canary(errors: &[(&str, StoreError)]) {
    for (what, error) in errors {
        let text = format!("{error} {error:?} {error:#?}");
        // Neither the whole canary nor the digits of the phone number in it.
        assert!(
            !text.contains("CANARY") && !text.contains("5512345"),
            "{what}: {text}"
        );
    }
}

#[tokio::test]
async fn a_server_that_quotes_arguments_is_not_quoted() {
    for flavor in Flavor::ALL {
        let mut builder = RedisServer::builder().flavor(flavor).without(&TAKEN_AWAY);
        if flavor != Flavor::Redis62 {
            builder = builder.without(&["PEXPIRETIME"]);
        }
        let server = builder.start();
        let reply = server.cli(&["EVALSHA", "0", "1", CANARY]);
        assert!(
            reply.contains(CANARY),
            "this server quotes nothing: {reply}"
        );
        let errors = errors(&connect(&server).await).await;
        assert_eq!(errors.len(), 18, "{errors:?}");
        hold_no_canary(&errors);
    }
}

#[tokio::test]
async fn records_of_another_type_are_not_quoted() {
    for flavor in Flavor::ALL {
        let server = RedisServer::builder().flavor(flavor).start();
        server.cli(&["XADD", CANARY, "*", CANARY, CANARY]);
        let errors = errors(&connect(&server).await).await;
        let wrong_type = errors
            .iter()
            .filter(|(_, error)| *error == StoreError::WrongType);
        assert!(wrong_type.count() >= 3, "{errors:?}");
        hold_no_canary(&errors);
    }
}

#[tokio::test]
async fn names_that_are_denied_are_not_quoted() {
    for flavor in Flavor::ALL {
        let server = RedisServer::builder()
            .flavor(flavor)
            .user_acl(&format!("user {CANARY} on >{CANARY} ~wa:* +@all"))
            .start();
        let url = format!("redis://{CANARY}:{CANARY}@127.0.0.1:{}", server.port());
        let store = super::try_connect(&url, super::generous_limits())
            .await
            .unwrap();
        let errors = errors(&store).await;
        assert!(errors.len() >= 17, "{errors:?}");
        hold_no_canary(&errors);
        assert!(!store.location().contains(CANARY));

        server.cli(&["ACL", "SETUSER", CANARY, "-@all"]);
        let errors = self::errors(&store).await;
        assert_eq!(errors.len(), 18, "{errors:?}");
        hold_no_canary(&errors);
    }
}
