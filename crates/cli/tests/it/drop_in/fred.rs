//! The client `fred` of Rust, with both protocol versions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fred::prelude::*;
use fred::types::RespVersion;
use futures_util::TryStreamExt as _;

use super::redis_rs::Observed;
use super::{open, proves_drop_in, secret};

#[test]
fn fred_cannot_tell_the_proxy_from_redis() {
    proves_drop_in(|port| session(port, RespVersion::RESP2));
}

#[test]
fn fred_with_resp3_cannot_tell_the_proxy_from_redis() {
    proves_drop_in(|port| session(port, RespVersion::RESP3));
}

fn session(port: u16, version: RespVersion) -> String {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(talk(port, version)).unwrap()
}

async fn connect(port: u16, database: u8, version: &RespVersion) -> Result<Client, Error> {
    let mut config = Config::from_url(&format!("redis://127.0.0.1:{port}/{database}"))?;
    config.version = version.clone();
    let client = Builder::from_config(config).build()?;
    client.init().await?;
    Ok(client)
}

async fn talk(port: u16, version: RespVersion) -> Result<String, Error> {
    let mut seen = Observed::default();
    let redis = connect(port, 0, &version).await?;
    values(&redis, &mut seen).await?;
    many_at_once(&redis, &mut seen).await?;

    // Blocking, on a connection of its own.
    let blocked = connect(port, 0, &version).await?;
    // What fred makes of "nothing came".
    let none = blocked.blpop::<Value, _>("wa:f:none", 0.01).await;
    seen.saw(none.unwrap_err().kind(), &ErrorKind::Timeout);
    let _: () = redis.rpush("wa:f:q", secret("tarea")).await?;
    let popped: (String, String) = blocked.brpop(vec!["open:f:q", "wa:f:q"], 1.0).await?;
    seen.saw(popped, ("wa:f:q".to_owned(), secret("tarea")));

    let mut messages = blocked.message_rx();
    blocked.subscribe("noticias").await?;
    // fred drops the server's confirmation, so it comes back before the server has heard it.
    let listening = || redis.pubsub_numsub::<BTreeMap<String, i64>, _>("noticias");
    while listening().await?["noticias"] == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    seen.saw(
        redis.publish::<i64, _, _>("noticias", open("hola")).await?,
        1,
    );
    let message = messages.recv().await.expect("a message");
    seen.saw(message.value.convert::<String>()?, open("hola"));
    blocked.unsubscribe("noticias").await?;

    let second = connect(port, 1, &version).await?;
    let _: () = second
        .set("wa:f:db1", secret("uno"), None, None, false)
        .await?;
    seen.saw(redis.get::<Option<String>, _>("wa:f:db1").await?, None);
    seen.saw(second.get::<String, _>("wa:f:db1").await?, secret("uno"));
    for client in [redis, blocked, second] {
        client.quit().await?;
    }
    Ok(seen.lines())
}

async fn values(redis: &Client, seen: &mut Observed) -> Result<(), Error> {
    let hour = Some(Expiration::EX(3600));
    let _: () = redis
        .set("wa:f:1", secret("uno"), hour, None, false)
        .await?;
    seen.saw(redis.get::<String, _>("wa:f:1").await?, secret("uno"));
    let nx = Some(SetOptions::NX);
    let taken: Option<String> = redis.set("wa:f:1", secret("x"), None, nx, false).await?;
    seen.saw(taken, None);
    seen.saw(
        redis.strlen::<usize, _>("wa:f:1").await?,
        secret("uno").len(),
    );
    let both = vec![("wa:f:2", secret("dos")), ("open:f:1", open("uno"))];
    let _: () = redis.mset(both).await?;
    let mixed: Vec<Option<String>> = redis.mget(vec!["open:f:1", "nobody", "wa:f:2"]).await?;
    seen.saw(mixed, [Some(open("uno")), None, Some(secret("dos"))]);
    let person = BTreeMap::from(["nombre", "domicilio"].map(|it| (it.to_owned(), secret(it))));
    let pairs: Vec<_> = person.clone().into_iter().collect();
    seen.saw(redis.hset::<i64, _, _>("wa:f:h", pairs).await?, 2);
    seen.saw(redis.hgetall::<BTreeMap<_, _>, _>("wa:f:h").await?, person);
    let wanted: Vec<_> = ["a", "b", "c"].map(secret).into();
    seen.saw(redis.rpush::<i64, _, _>("wa:f:l", wanted.clone()).await?, 3);
    seen.saw(
        redis.lrange::<Vec<String>, _>("wa:f:l", 0, -1).await?,
        wanted,
    );
    seen.saw(redis.lpop::<String, _>("wa:f:l", None).await?, secret("a"));
    seen.saw(redis.incr::<i64, _>("rate:f").await?, 1);
    let px = Some(Expiration::PX(60_000));
    let nx = Some(SetOptions::NX);
    let _: () = redis
        .set("lock:wa:f:1", open("dueño"), px, nx, false)
        .await?;
    let wrong = redis.lpush::<i64, _, _>("open:f:1", "x").await.unwrap_err();
    seen.saw(wrong.details().split(' ').next(), Some("WRONGTYPE"));
    Ok(())
}

async fn many_at_once(redis: &Client, seen: &mut Observed) -> Result<(), Error> {
    let names: BTreeSet<String> = (0..50).map(|i| format!("wa:f:p{i}")).collect();
    let pipeline = redis.pipeline();
    for name in &names {
        let _: () = pipeline.set(name, secret(name), None, None, false).await?;
        let _: () = pipeline.get(name).await?;
    }
    let replies: Vec<String> = pipeline.all().await?;
    let wanted = names.iter().flat_map(|it| ["OK".to_owned(), secret(it)]);
    seen.saw(replies, wanted.collect::<Vec<_>>());
    let found: BTreeSet<Key> = redis
        .scan_buffered("wa:f:p*", Some(7), None)
        .try_collect()
        .await?;
    let found: BTreeSet<_> = found
        .iter()
        .filter_map(Key::as_str)
        .map(str::to_owned)
        .collect();
    seen.saw(found, names);

    let transaction = redis.multi();
    let _: () = transaction
        .set("wa:f:t", secret("antes"), None, None, false)
        .await?;
    let _: () = transaction.get("wa:f:t").await?;
    let _: () = transaction.lrange("wa:f:l", 0, -1).await?;
    let result: (String, String, Vec<String>) = transaction.exec(true).await?;
    let list = vec![secret("b"), secret("c")];
    seen.saw(result, ("OK".to_owned(), secret("antes"), list));
    Ok(())
}
