//! Access rights: passwords, and users of the server's access lists.

use std::time::Duration;

use waxseal_stores::{
    Change, Cursor, Expiry, Lifetime, Move, MoveOutcome, Outcome, Record, RecordName,
    RecordPattern, RecordStore, RedisStore, Slot, StoreError,
};
use waxseal_testing::{Flavor, RedisServer};

use super::{generous_limits, put, refusal, retry_until_ok, server, try_connect};

/// The rights that sweeps and `StateManager` need for string records named `wa:…`, on Redis 7.0 and
/// newer and on Valkey. `waxseal:*` is for Waxseal's own records: its canary and quarantine.
const RIGHTS: &str = "resetchannels ~wa:* ~waxseal:* -@all +ping +info +dbsize +scan +strlen \
                      +get +mget +type +set +del +exists +eval +evalsha +pexpiretime";

/// Needed by Redis 6.2 instead of `+pexpiretime`, which it does not have.
const INSTEAD_ON_62: &str = "+time +pttl";

/// Needed in addition for values in hash records.
const HASHES: &str = "+hget +hset +hscan";

/// Needed in addition for hash records on servers that can write a field and keep its expiry (Redis
/// 8, Valkey 9). Redis 7.4 needs `+hpexpiretime +hpexpireat` instead.
const EXPIRING_FIELDS: &str = "+hsetex";

/// Needed in addition for values in list records.
const LISTS: &str = "+lindex +lset +lrange";

/// Needed in addition for set and sorted set records.
const MEMBERS: &str = "+sscan +sismember +sadd +srem +zscan +zscore +zadd +zrem";

/// Needed in addition for stream records.
const STREAMS: &str = "+xrange";

/// Needed in addition by what gives records other names.
pub(super) const NAMES: &str = "+renamenx";

/// The rights for string records.
fn rights(flavor: Flavor) -> String {
    match flavor {
        Flavor::Redis62 => RIGHTS.replace("+pexpiretime", INSTEAD_ON_62),
        Flavor::System | Flavor::Redis80 | Flavor::Valkey => RIGHTS.to_owned(),
    }
}

/// The rights for records of all types.
pub(super) fn all_rights(flavor: Flavor) -> String {
    let fields = match flavor {
        Flavor::Redis80 | Flavor::Valkey => EXPIRING_FIELDS,
        Flavor::System | Flavor::Redis62 => "",
    };
    let rights = rights(flavor);
    format!("{rights} {HASHES} {LISTS} {MEMBERS} {STREAMS} {fields}")
}

fn without(rights: &str, taken: &[&str]) -> String {
    let kept = rights.split_whitespace().filter(|it| !taken.contains(it));
    kept.collect::<Vec<_>>().join(" ")
}

fn url_of_user(server: &RedisServer) -> String {
    format!("redis://waxseal:s3cret@127.0.0.1:{}", server.port())
}

fn set_user(server: &RedisServer, rules: &str) {
    let mut command = vec!["ACL", "SETUSER", "waxseal", "reset", "on", ">s3cret"];
    command.extend(rules.split_whitespace());
    assert_eq!(server.cli(&command), "OK");
}

/// Everything that a sweep and a `StateManager` do with string records, as the server's user. Ends
/// at the first refusal.
async fn work_with_strings(server: &RedisServer) -> Result<(), StoreError> {
    // A store that has just connected, and a server with an empty script cache.
    server.cli(&["SCRIPT", "FLUSH"]);
    server.cli(&["FLUSHALL"]);
    let store = try_connect(&url_of_user(server), generous_limits()).await?;
    let hour = Expiry::After(Duration::from_secs(3600));
    let [one, two, three] = ["wa:1", "wa:2", "wa:3"].map(RecordName::from);
    let parcel = RecordName::from("waxseal:quarantine:1");
    store.put(&one, &Slot::Whole, b"a", hour).await?;
    assert_eq!(store.get(&one, &Slot::Whole).await?, Some(b"a".to_vec()));
    let records = store.read(&[one.clone(), two.clone()]).await?;
    assert!(records[0] == Some(Record::String(b"a".to_vec())) && records[1].is_none());
    let pattern = RecordPattern::parse("wa:*").unwrap();
    let page = store.scan(&pattern, &Cursor::start(), 100).await?;
    assert!(page.names == std::slice::from_ref(&one));
    let lifetimes = store.lifetimes(std::slice::from_ref(&one)).await?;
    assert!(matches!(lifetimes[..], [Lifetime::Until(_)]));

    let change = |name, expected, expiry| Change {
        name,
        slot: &Slot::Whole,
        expected,
        value: b"a",
        expiry,
    };
    let old = Some(&b"a"[..]);
    for change in [
        change(&one, old, Expiry::Keep),
        change(&two, None, hour),
        change(&two, old, hour),
    ] {
        let outcomes = store.replace_if_unchanged(&[change]).await?;
        assert_eq!(outcomes, [Outcome::Done]);
    }
    for (from, to, expiry) in [(&one, &parcel, hour), (&parcel, &three, Expiry::Keep)] {
        let step = Move {
            from,
            expected: b"a",
            to,
            value: b"a",
            expiry,
        };
        assert_eq!(store.move_if_unchanged(step).await?, MoveOutcome::Done);
    }
    let deleted = store.delete_if_unchanged(&two, b"a").await?;
    assert_eq!(deleted, Outcome::Done);
    assert!(store.delete(&three).await?);
    Ok(())
}

#[tokio::test]
async fn the_documented_rights_are_sufficient_and_necessary() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        let rights = rights(flavor);
        set_user(&server, &rights);
        assert_eq!(work_with_strings(&server).await, Ok(()), "{flavor:?}");
        // Nothing that would be denied is even tried: an operator may alert on that.
        assert_eq!(server.cli(&["ACL", "LOG"]), "", "{flavor:?}");
        for right in rights.split_whitespace().filter(|it| it.starts_with('+')) {
            set_user(&server, &without(&rights, &[right]));
            let worked = work_with_strings(&server).await;
            // Three are for information only; without MGET, each record is read with GET.
            if ["+info", "+dbsize", "+strlen", "+mget"].contains(&right) {
                assert_eq!(worked, Ok(()), "{flavor:?} without {right}");
            } else {
                let denied = matches!(worked, Err(StoreError::Denied { .. }));
                assert!(denied, "{flavor:?} without {right}: {worked:?}");
            }
        }
    }
}

/// A script without the right to read must not report a changed record: a sweep would count all
/// records as changed by others.
#[tokio::test]
async fn a_denied_read_is_not_taken_for_a_change() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        let name = RecordName::from("wa:1");
        server.cli(&["SET", "wa:1", "old"]);
        let before = server.snapshot();
        // Deny its own comparison too, so that Valkey uses the script.
        set_user(&server, &without(&rights(flavor), &["+get", "+set"]));
        let store = try_connect(&url_of_user(&server), generous_limits())
            .await
            .unwrap();
        for expiry in [Expiry::Keep, Expiry::Persistent] {
            let change = Change {
                name: &name,
                slot: &Slot::Whole,
                expected: Some(b"old"),
                value: b"new",
                expiry,
            };
            let outcomes = store.replace_if_unchanged(&[change]).await;
            let denied = matches!(outcomes, Err(StoreError::Denied { .. }));
            assert!(denied, "{flavor:?} {expiry:?}: {outcomes:?}");
        }
        let deleted = store.delete_if_unchanged(&name, b"old").await;
        let denied = matches!(deleted, Err(StoreError::Denied { .. }));
        assert!(denied, "{flavor:?}: {deleted:?}");
        assert_eq!(server.snapshot(), before);
    }
}

/// The other operations on hash and list records. Ends at the first refusal.
async fn work_with_slots(server: &RedisServer) -> Result<(), StoreError> {
    server.cli(&["SCRIPT", "FLUSH"]);
    server.cli(&["FLUSHALL"]);
    server.cli(&["RPUSH", "wa:list", "a"]);
    let store = try_connect(&url_of_user(server), generous_limits()).await?;
    let (hash, list) = (RecordName::from("wa:hash"), RecordName::from("wa:list"));
    let field = Slot::Field(b"field".to_vec());
    store.put(&hash, &field, b"a", Expiry::Keep).await?;
    for (name, slot) in [(&hash, &field), (&list, &Slot::Element(0))] {
        let page = store.read_slots(name, &Cursor::start(), 10).await?;
        assert!(page.slots == [(slot.clone(), b"a".to_vec())]);
        let change = Change {
            name,
            slot,
            expected: Some(b"a"),
            value: b"b",
            expiry: Expiry::Keep,
        };
        let outcomes = store.replace_if_unchanged(&[change]).await?;
        assert_eq!(outcomes, [Outcome::Done]);
        assert_eq!(store.get(name, slot).await?, Some(b"b".to_vec()));
        store.put(name, slot, b"c", Expiry::Keep).await?;
    }
    work_with_members(server, &store).await
}

/// The other operations on set, sorted set and stream records. Ends at the first refusal, before
/// anything is changed.
async fn work_with_members(server: &RedisServer, store: &RedisStore) -> Result<(), StoreError> {
    server.cli(&["SADD", "wa:set", "a"]);
    server.cli(&["ZADD", "wa:zset", "1", "a"]);
    server.cli(&["XADD", "wa:stream", "*", "field", "a"]);
    for name in ["wa:set", "wa:zset"].map(RecordName::from) {
        let before = server.snapshot();
        let slot = Slot::Member(b"a".to_vec());
        let page = store.read_slots(&name, &Cursor::start(), 10).await?;
        assert!(page.slots == [(slot.clone(), b"a".to_vec())]);
        assert_eq!(store.get(&name, &slot).await?, Some(b"a".to_vec()));
        let change = Change {
            name: &name,
            slot: &slot,
            expected: Some(b"a"),
            value: b"b",
            expiry: Expiry::Keep,
        };
        match store.replace_if_unchanged(&[change]).await {
            Ok(outcomes) => assert_eq!(outcomes, [Outcome::Done]),
            Err(error) => {
                assert_eq!(server.snapshot(), before, "{error}");
                return Err(error);
            }
        }
    }
    let stream = RecordName::from("wa:stream");
    let page = store.read_slots(&stream, &Cursor::start(), 10).await?;
    let [(slot, value)] = &page.slots[..] else {
        panic!("the stream has one value");
    };
    assert_eq!(value, b"a");
    assert_eq!(store.get(&stream, slot).await?, Some(b"a".to_vec()));
    Ok(())
}

#[tokio::test]
async fn records_of_other_types_need_the_additional_documented_rights() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        let all = all_rights(flavor);
        set_user(&server, &all);
        assert_eq!(work_with_slots(&server).await, Ok(()), "{flavor:?}");
        let added = without(&all, &rights(flavor).split_whitespace().collect::<Vec<_>>());
        for right in added.split_whitespace() {
            set_user(&server, &without(&all, &[right]));
            let worked = work_with_slots(&server).await;
            let denied = matches!(worked, Err(StoreError::Denied { .. }));
            assert!(denied, "{flavor:?} without {right}: {worked:?}");
        }
    }
}

#[tokio::test]
async fn a_status_reports_what_the_user_may_read() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        server.cli(&["SET", "wa:1", "value"]);
        let status = async || {
            let store = try_connect(&url_of_user(&server), generous_limits()).await;
            let store = store.unwrap();
            let (first, second) = (store.status().await.unwrap(), store.status().await.unwrap());
            assert_eq!(first.generation, second.generation);
            first
        };
        set_user(&server, &rights(flavor));
        let known = status().await;
        assert_eq!(known.records, 1);
        let program = if flavor == Flavor::Valkey {
            "Valkey "
        } else {
            "Redis "
        };
        assert!(known.server.starts_with(program), "{}", known.server);
        assert_eq!(status().await.generation, known.generation);
        let setting = |key| known.settings.iter().find(|(name, _)| name == key).cloned();
        let policy = ("maxmemory_policy".to_owned(), "noeviction".to_owned());
        assert_eq!(setting("maxmemory_policy"), Some(policy));
        let has_run = async |command| {
            let store = try_connect(&url_of_user(&server), generous_limits()).await;
            store.unwrap().has_run(command).await.unwrap()
        };
        assert_eq!(has_run("geoadd").await, Some(false));
        server.cli(&["GEOADD", "geo", "1", "2", "three"]);
        assert_eq!(has_run("geoadd").await, Some(true));

        set_user(&server, &without(&rights(flavor), &["+info", "+dbsize"]));
        assert_eq!(has_run("geoadd").await, None);
        let unknown = status().await;
        assert_eq!((unknown.records, unknown.server.as_str()), (0, "unknown"));
        // A store that cannot tell whether the server was restarted must not continue with an old
        // cursor.
        assert_ne!(unknown.generation, known.generation);
        assert_ne!(status().await.generation, unknown.generation);
    }
}

#[tokio::test]
async fn a_record_outside_the_users_names_is_denied_and_untouched() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        set_user(&server, &all_rights(flavor));
        server.cli(&["SET", "sess:1", "old"]);
        server.cli(&["HSET", "sess:2", "field", "old"]);
        let before = server.snapshot();
        let store = try_connect(&url_of_user(&server), generous_limits())
            .await
            .unwrap();
        let (mine, foreign) = (RecordName::from("wa:1"), RecordName::from("sess:1"));
        put(&store, &mine, b"mine").await;
        let mine_before = server.snapshot();

        let change = |name, expected, expiry| Change {
            name,
            slot: &Slot::Whole,
            expected: Some(expected),
            value: b"new",
            expiry,
        };
        let answers = [
            store.get(&foreign, &Slot::Whole).await.map(drop),
            store
                .put(&foreign, &Slot::Whole, b"new", Expiry::Keep)
                .await,
            store.read(&[mine.clone(), foreign.clone()]).await.map(drop),
            store
                .lifetimes(&[mine.clone(), foreign.clone()])
                .await
                .map(drop),
            store.delete(&foreign).await.map(drop),
            store.delete_if_unchanged(&foreign, b"old").await.map(drop),
            store
                .replace_if_unchanged(&[change(&foreign, b"old", Expiry::Keep)])
                .await
                .map(drop),
            store
                .replace_if_unchanged(&[change(&foreign, b"old", Expiry::Persistent)])
                .await
                .map(drop),
            store
                .move_if_unchanged(Move {
                    from: &mine,
                    expected: b"mine",
                    to: &foreign,
                    value: b"new",
                    expiry: Expiry::Keep,
                })
                .await
                .map(drop),
        ];
        for (n, answer) in answers.into_iter().enumerate() {
            let code = match answer {
                Err(StoreError::Denied { code, .. }) => code,
                other => panic!("{flavor:?}, call {n}: {other:?}"),
            };
            assert_eq!(code, "NOPERM");
        }
        assert_eq!(server.snapshot(), mine_before);
        assert_eq!(before.changed_names(&mine_before), [b"wa:1".to_vec()]);
    }
}

#[tokio::test]
async fn reports_that_a_password_is_missing_or_wrong() {
    let denied = |error: &StoreError, expected: &str| match error {
        StoreError::Denied { code, .. } => assert_eq!(code, expected),
        other => panic!("{other:?}"),
    };
    for flavor in Flavor::ALL {
        let builder = RedisServer::builder().flavor(flavor).password("s3cret");
        let server = builder.start();
        let at = format!("127.0.0.1:{}", server.port());
        denied(&refusal(&format!("redis://{at}")).await, "NOAUTH");
        denied(&refusal(&format!("redis://{at}/2")).await, "NOAUTH");
        denied(&refusal(&format!("redis://:wrong@{at}")).await, "WRONGPASS");
        denied(
            &refusal(&format!("redis://nobody:s3cret@{at}")).await,
            "WRONGPASS",
        );
        let error = refusal(&format!("redis://:wr0ng-canary@{at}")).await;
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

#[tokio::test]
async fn reports_that_a_user_has_no_rights() {
    for flavor in Flavor::ALL {
        let server = server(flavor);
        set_user(&server, "-@all");
        for database in ["", "/2"] {
            let error = refusal(&format!("{}{database}", url_of_user(&server))).await;
            let denied = matches!(&error, StoreError::Denied { code, .. } if code == "NOPERM");
            assert!(denied, "{flavor:?} {error:?}");
        }
    }
}

#[tokio::test]
async fn reports_that_a_database_does_not_exist() {
    let server = server(Flavor::System);
    let error = refusal(&format!("{}99", server.url())).await;
    assert!(error.to_string().contains("no such database"), "{error}");
}

#[tokio::test]
async fn reconnects_when_a_user_is_admitted_again() {
    let server = server(Flavor::System);
    set_user(&server, RIGHTS);
    let store = try_connect(&url_of_user(&server), generous_limits())
        .await
        .unwrap();
    let name = RecordName::from("wa:1");
    put(&store, &name, b"value").await;

    // Deleting a user closes its connections.
    server.cli(&["ACL", "DELUSER", "waxseal"]);
    let mut last = store.get(&name, &Slot::Whole).await;
    while super::is_unavailable(&last) {
        last = store.get(&name, &Slot::Whole).await;
    }
    assert!(matches!(last, Err(StoreError::Denied { .. })), "{last:?}");
    assert!(store.ping().await.is_err());

    set_user(&server, RIGHTS);
    let back = async || match store.get(&name, &Slot::Whole).await {
        Err(StoreError::Denied { .. }) => Err(StoreError::NotReady {
            code: String::new(),
        }),
        other => other,
    };
    assert_eq!(retry_until_ok(back).await, Some(b"value".to_vec()));
}
