//! What goes wrong around a proxy, so that one sees it counted: refused commands, values that were moved,
//! sealed twice, too large, opened by somebody who should not, and clients that hang or are too many.

use std::time::Duration;

use tokio::time::sleep;
use waxseal_service::Failure;
use waxseal_stores::{Expiry, RecordName, Slot};

use super::child::MOST_CLIENTS;
use super::wire::Wire;
use super::{Live, TTL};
use crate::output;

/// Larger than the proxy of the demo lets through.
const TOO_LARGE: usize = 200 * 1024;
/// How often a client tries to be let in, and how long it waits in between.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);
/// Longer than half a request may lie there.
const HANGS: Duration = Duration::from_millis(1_500);

/// All of it, told in a line each.
pub(super) async fn all(live: &Live, proxy: &str) -> Result<(), Failure> {
    let mut wire = Wire::connect(proxy).await?;
    let home = format!("{}s:home", live.prefix);
    ask(&mut wire, "set", &["SET", &home, "{}"]).await?;
    ask(&mut wire, "refused", &["APPEND", &home, "x"]).await?;
    ask(&mut wire, "refused", &["INCRBY", &home, "1"]).await?;
    ask(&mut wire, "script", &["EVAL", "return 1", "0"]).await?;
    let list = format!("{}open", live.prefix);
    ask(&mut wire, "list", &["LPUSH", &list, "x"]).await?;
    ask(&mut wire, "of another type", &["GET", &list]).await?;
    let decoy = format!("{}s:decoy", live.prefix);
    ask(&mut wire, "decoy", &["EXISTS", &decoy]).await?;
    wire.send(&[b"GET", decoy.as_bytes()]).await?;
    wire.reply().await?;
    moved(live, &mut wire, &home).await?;
    too_large(live, &mut wire).await?;
    crowd(proxy).await?;
    hanging(proxy).await
}

/// Asks, and tells the first word of the answer.
async fn ask(wire: &mut Wire, what: &str, words: &[&str]) -> Result<(), Failure> {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    wire.send(&words).await?;
    let answer = wire.reply().await?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let word = text.split([' ', '{']).next().unwrap_or_default();
    output::line(format!("  {what}: {word}"))
}

/// The envelope of one record in another, put there past the proxy.
async fn moved(live: &Live, wire: &mut Wire, home: &str) -> Result<(), Failure> {
    let stored = live
        .store
        .get(&RecordName::from(home.to_owned()), &Slot::Whole)
        .await?
        .ok_or_else(|| Failure::failed("the record is gone"))?;
    let away = format!("{}s:away", live.prefix);
    let name = RecordName::from(away.clone());
    live.store
        .put(&name, &Slot::Whole, &stored, Expiry::After(TTL))
        .await?;
    ask(wire, "moved", &["GET", &away]).await?;
    // As an application does that encrypts by itself.
    wire.send(&[b"SET", home.as_bytes(), &stored]).await?;
    wire.reply().await?;
    // One that does not open would keep its key in use.
    live.store.delete(&name).await?;
    Ok(())
}

async fn too_large(live: &Live, wire: &mut Wire) -> Result<(), Failure> {
    let large = format!("{}s:large", live.prefix);
    let name = RecordName::from(large.clone());
    let value = format!("{{\"v\":\"{}\"}}", "x".repeat(TOO_LARGE));
    live.store
        .put(&name, &Slot::Whole, value.as_bytes(), Expiry::After(TTL))
        .await?;
    ask(wire, "too large", &["GET", &large]).await?;
    live.store.delete(&name).await?;
    Ok(())
}

/// More clients at one time than the proxy takes.
async fn crowd(proxy: &str) -> Result<(), Failure> {
    let mut clients = Vec::new();
    let mut away = 0;
    for _ in 0..MOST_CLIENTS {
        let mut wire = Wire::connect(proxy).await?;
        wire.send(&[b"PING"]).await?;
        match wire.reply().await {
            Ok(answer) if answer == b"PONG" => clients.push(wire),
            _ => away += 1,
        }
    }
    output::line(format!("  turned away: {away} clients"))
}

/// A client that is not turned away: the crowd has to be gone.
async fn let_in(proxy: &str) -> Result<Wire, Failure> {
    for _ in 0..TRIES {
        let mut wire = Wire::connect(proxy).await?;
        wire.send(&[b"PING"]).await?;
        if wire.reply().await.is_ok_and(|answer| answer == b"PONG") {
            return Ok(wire);
        }
        sleep(PAUSE).await;
    }
    Err(Failure::failed(
        "the proxy turns clients away that are not too many",
    ))
}

/// A client that stops in the middle of a request.
async fn hanging(proxy: &str) -> Result<(), Failure> {
    let mut wire = let_in(proxy).await?;
    wire.send_raw(b"*3\r\n$3\r\nSET\r\n$4\r\n").await?;
    sleep(HANGS).await;
    let word = if wire.reply().await.is_err() {
        "cut"
    } else {
        "answered"
    };
    output::line(format!("  half a request: {word}"))
}
