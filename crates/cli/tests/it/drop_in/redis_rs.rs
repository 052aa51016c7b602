//! The client `redis` of Rust: synchronous and asynchronous, with both protocol versions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use futures_util::StreamExt as _;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, Client, Commands as _, Connection, ExistenceCheck, SetExpiry};
use redis::{RedisResult, SetOptions};

use super::{open, proves_drop_in, secret};

#[test]
fn redis_rs_cannot_tell_the_proxy_from_redis() {
    proves_drop_in(|port| synchronous(port, "resp2").unwrap());
}

#[test]
fn redis_rs_with_resp3_cannot_tell_the_proxy_from_redis() {
    proves_drop_in(|port| synchronous(port, "resp3").unwrap());
}

#[test]
fn redis_rs_with_tokio_cannot_tell_the_proxy_from_redis() {
    proves_drop_in(|port| on_tokio(port, "resp2"));
}

#[test]
fn redis_rs_with_tokio_and_resp3_cannot_tell_the_proxy_from_redis() {
    proves_drop_in(|port| on_tokio(port, "resp3"));
}

/// One line for each thing that the client saw, checked on the way.
#[derive(Default)]
pub(super) struct Observed(String);

impl Observed {
    #[track_caller]
    pub(super) fn saw<T: Debug + PartialEq<U>, U: Debug>(&mut self, seen: T, wanted: U) {
        assert_eq!(seen, wanted);
        self.0 += &format!("{seen:?}\n");
    }

    pub(super) fn lines(self) -> String {
        self.0
    }
}

fn client(port: u16, protocol: &str, database: &str) -> Client {
    Client::open(format!(
        "redis://127.0.0.1:{port}/{database}?protocol={protocol}"
    ))
    .unwrap()
}

fn person() -> BTreeMap<String, String> {
    let pair = |field: &str| (field.to_owned(), secret(field));
    BTreeMap::from([pair("nombre"), pair("domicilio")])
}

fn synchronous(port: u16, protocol: &str) -> RedisResult<String> {
    let mut seen = Observed::default();
    let client_of = |database| client(port, protocol, database);
    let mut redis = client_of("").get_connection()?;
    strings(&mut redis, &mut seen)?;
    hashes_and_lists(&mut redis, &mut seen)?;
    others(&mut redis, &mut seen)?;
    many_at_once(&mut redis, &mut seen)?;

    let mut second = client_of("1").get_connection()?;
    let _: () = second.set("wa:r:db1", secret("uno"))?;
    seen.saw(redis.get::<_, Option<String>>("wa:r:db1")?, None);
    seen.saw(second.get::<_, String>("wa:r:db1")?, secret("uno"));
    Ok(seen.lines())
}

fn strings(redis: &mut Connection, seen: &mut Observed) -> RedisResult<()> {
    let options = SetOptions::default()
        .with_expiration(SetExpiry::EX(3600))
        .conditional_set(ExistenceCheck::NX);
    seen.saw(
        redis.set_options::<_, _, bool>("wa:r:1", secret("uno"), options.clone())?,
        true,
    );
    seen.saw(
        redis.set_options::<_, _, bool>("wa:r:1", secret("x"), options)?,
        false,
    );
    seen.saw(redis.get::<_, String>("wa:r:1")?, secret("uno"));
    seen.saw(
        redis.getset::<_, _, String>("wa:r:1", secret("dos"))?,
        secret("uno"),
    );
    seen.saw(
        redis.set_ex::<_, _, String>("wa:r:2", secret("tres"), 3600)?,
        "OK",
    );
    seen.saw(redis.strlen::<_, usize>("wa:r:2")?, secret("tres").len());
    seen.saw(redis.getrange::<_, String>("wa:r:2", 0, 7)?, "amatista");
    seen.saw(redis.get_del::<_, String>("wa:r:2")?, secret("tres"));
    seen.saw(redis.get::<_, Option<String>>("wa:r:2")?, None);
    let bytes: Vec<u8> = b"amatista ".iter().copied().chain(0..=255).collect();
    let _: () = redis.set("wa:r:bin", &bytes)?;
    seen.saw(redis.get::<_, Vec<u8>>("wa:r:bin")?, bytes);
    let _: () = redis.mset(&[("wa:r:3", secret("tres")), ("open:r:1", open("uno"))])?;
    let mixed: Vec<Option<String>> = redis.mget(&["open:r:1", "nobody", "wa:r:3"])?;
    seen.saw(mixed, [Some(open("uno")), None, Some(secret("tres"))]);
    Ok(())
}

fn hashes_and_lists(redis: &mut Connection, seen: &mut Observed) -> RedisResult<()> {
    let pairs: Vec<_> = person().into_iter().collect();
    let _: () = redis.hset_multiple("wa:r:h", &pairs)?;
    seen.saw(redis.hgetall::<_, BTreeMap<_, _>>("wa:r:h")?, person());
    seen.saw(
        redis.hget::<_, _, String>("wa:r:h", "nombre")?,
        secret("nombre"),
    );
    seen.saw(
        redis.hvals::<_, BTreeSet<_>>("wa:r:h")?,
        person().into_values().collect(),
    );
    let scanned: RedisResult<BTreeMap<String, String>> = redis.hscan("wa:r:h")?.collect();
    seen.saw(scanned?, person());
    let wanted: Vec<_> = ["a", "b", "c"].map(secret).into();
    seen.saw(redis.rpush::<_, _, usize>("wa:r:l", &wanted)?, 3);
    seen.saw(redis.lrange::<_, Vec<String>>("wa:r:l", 0, -1)?, wanted);
    seen.saw(redis.lpop::<_, String>("wa:r:l", None)?, secret("a"));
    let none: Option<(String, String)> = redis.blpop(&["wa:r:none"], 0.01)?;
    seen.saw(none, None);
    let popped: (String, String) = redis.brpop(&["wa:r:none", "wa:r:l"], 1.0)?;
    seen.saw(popped, ("wa:r:l".to_owned(), secret("c")));
    Ok(())
}

fn others(redis: &mut Connection, seen: &mut Observed) -> RedisResult<()> {
    seen.saw(
        redis.set_nx::<_, _, bool>("lock:wa:r:1", open("dueño"))?,
        true,
    );
    seen.saw(redis.incr::<_, _, i64>("rate:r", 5)?, 5);
    seen.saw(redis.zadd::<_, _, _, i64>("open:r:z", open("uno"), 1.5)?, 1);
    let scores: Vec<(String, f64)> = redis.zrange_withscores("open:r:z", 0, -1)?;
    seen.saw(scores, [(open("uno"), 1.5)]);
    let script = redis::Script::new("return redis.call('get', KEYS[1])");
    seen.saw(script.key("open:r:1").invoke::<String>(redis)?, open("uno"));
    let wrong = redis.lpush::<_, _, i64>("open:r:1", "x").unwrap_err();
    seen.saw(wrong.code(), Some("WRONGTYPE"));
    Ok(())
}

fn many_at_once(redis: &mut Connection, seen: &mut Observed) -> RedisResult<()> {
    let names: BTreeSet<String> = (0..50).map(|i| format!("wa:r:p{i}")).collect();
    let mut pipe = redis::pipe();
    for name in &names {
        pipe.set_ex(name, secret(name), 3600).ignore().get(name);
    }
    let replies: Vec<String> = pipe.query(redis)?;
    seen.saw(
        replies,
        names.iter().map(|it| secret(it)).collect::<Vec<_>>(),
    );
    let scanned: RedisResult<BTreeSet<String>> = redis.scan_match("wa:r:p*")?.collect();
    seen.saw(scanned?, names);

    let mut attempts = 0;
    let result: (String, String) = redis::transaction(redis, &["wa:r:t"], |redis, pipe| {
        attempts += 1;
        let before: Option<String> = redis.get("wa:r:t")?;
        if attempts == 1 {
            // Another connection is not needed: what is watched changes anyway.
            let _: () = redis.set("wa:r:t", secret("otro"))?;
        }
        let value = before.unwrap_or_else(|| secret("nadie"));
        pipe.set("wa:r:t", &value).ignore();
        pipe.get("wa:r:t").get("open:r:1").query(redis)
    })?;
    seen.saw(result, (secret("otro"), open("uno")));
    seen.saw(attempts, 2);
    Ok(())
}

fn on_tokio(port: u16, protocol: &str) -> String {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(asynchronous(port, protocol)).unwrap()
}

async fn asynchronous(port: u16, protocol: &str) -> RedisResult<String> {
    let mut seen = Observed::default();
    let client = client(port, protocol, "");
    let mut redis = client.get_multiplexed_async_connection().await?;
    let _: () = redis.set_ex("wa:y:1", secret("uno"), 3600).await?;
    seen.saw(redis.get::<_, String>("wa:y:1").await?, secret("uno"));
    let pairs: Vec<_> = person().into_iter().collect();
    let _: () = redis.hset_multiple("wa:y:h", &pairs).await?;
    seen.saw(
        redis.hgetall::<_, BTreeMap<_, _>>("wa:y:h").await?,
        person(),
    );
    seen.saw(redis.rpush::<_, _, i64>("wa:y:l", secret("a")).await?, 1);
    seen.saw(
        redis
            .set_nx::<_, _, bool>("lock:wa:y:1", open("dueño"))
            .await?,
        true,
    );
    seen.saw(redis.incr::<_, _, i64>("rate:y", 1).await?, 1);
    beside_each_other(&redis, &mut seen).await?;

    let (before, list): (String, Vec<String>) = redis::pipe()
        .atomic()
        .set("wa:y:t", secret("antes"))
        .ignore()
        .get("wa:y:t")
        .lrange("wa:y:l", 0, -1)
        .query_async(&mut redis)
        .await?;
    seen.saw((before, list), (secret("antes"), vec![secret("a")]));

    let mut listener = client.get_async_pubsub().await?;
    listener.subscribe("noticias").await?;
    listener.psubscribe("av*").await?;
    for channel in ["noticias", "avisos"] {
        seen.saw(redis.publish::<_, _, i64>(channel, open(channel)).await?, 1);
        let message = listener.on_message().next().await.unwrap();
        seen.saw(message.get_channel_name(), channel);
        seen.saw(message.get_payload::<String>()?, open(channel));
    }
    Ok(seen.lines())
}

/// Tasks that share one connection: each must get its own answer.
async fn beside_each_other(redis: &MultiplexedConnection, seen: &mut Observed) -> RedisResult<()> {
    let tasks = (0..60).map(|i| {
        let mut redis = redis.clone();
        async move {
            let name = format!("wa:y:p{i}");
            let _: () = redis.set(&name, secret(&name)).await?;
            let _: () = redis.set(format!("open:y:p{i}"), open(&name)).await?;
            redis.get::<_, String>(&name).await
        }
    });
    for (i, read) in futures_util::future::join_all(tasks)
        .await
        .into_iter()
        .enumerate()
    {
        seen.saw(read?, secret(&format!("wa:y:p{i}")));
    }
    Ok(())
}
