//! What both servers hold in the end: the same, and the protected part sealed.

use super::super::comparison::{Comparison, is_same, leaves};
use super::super::pair::Pair;
use super::{Failure, Outcome, number};
use crate::link::{REPLY_TIMEOUT, encode};
use crate::reply_tree::is_sealed;
use crate::{Link, ReplyTree};

/// Every record is of the same type, holds the same, and expires or not.
pub(super) fn compare(pair: &mut Pair, names: &[Vec<u8>]) -> Outcome {
    let observer = &mut pair.observer;
    let types = [
        all(&mut observer.through, names, &["TYPE"]),
        all(&mut observer.direct, names, &["TYPE"]),
    ];
    let ends = [
        all(&mut observer.through, names, &["PTTL"]),
        all(&mut observer.direct, names, &["PTTL"]),
    ];
    for (at, name) in names.iter().enumerate() {
        let kind = String::from_utf8_lossy(&types[1][at].text).into_owned();
        let (words, comparison): (&[&str], _) = match kind.as_str() {
            "string" => (&["GET"], Comparison::Exact),
            "hash" => (&["HGETALL"], Comparison::Pairs),
            "list" => (&["LRANGE", "0", "-1"], Comparison::Exact),
            "set" => (&["SMEMBERS"], Comparison::Unordered),
            "zset" => (&["ZRANGE", "0", "-1", "WITHSCORES"], Comparison::Exact),
            "stream" => (&["XRANGE", "-", "+"], Comparison::Exact),
            _ => (&["TYPE"], Comparison::Exact),
        };
        let one = std::slice::from_ref(name);
        let through = all(&mut observer.through, one, words).remove(0);
        let direct = all(&mut observer.direct, one, words).remove(0);
        let same = types[0][at] == types[1][at]
            && is_same(Comparison::Lifetime, &ends[0][at], &ends[1][at])
            && is_same(comparison, &through, &direct);
        if !same {
            let shown = |side: usize, reply: &ReplyTree| {
                format!(
                    "{:?}, lifetime {:?}: {reply:?}",
                    types[side][at], ends[side][at]
                )
            };
            return Err((
                format!("in the end: {}", name.escape_ascii()),
                shown(0, &through),
                shown(1, &direct),
            ));
        }
    }
    Ok(())
}

/// The names that the server behind the proxy has: those of protected records are sealed, and there are as many as without
/// a proxy.
pub(super) fn sealed_names(pair: &mut Pair, names: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Failure> {
    let stored = pair.behind.ask(&["KEYS", "*"]);
    let stored: Vec<Vec<u8>> = stored.as_ref().map(leaves).unwrap_or_default();
    let of_records = |name: &&Vec<u8>| SCOPES.iter().any(|scope| name.starts_with(scope));
    let stored: Vec<_> = stored.iter().filter(of_records).cloned().collect();
    let existing = all(&mut pair.observer.direct, names, &["EXISTS"]);
    let expected = existing.iter().filter(|it| it.text == b"1").count();
    let is_sealed = |name: &Vec<u8>| name.starts_with(b"o:") || has_sealed_form(name);
    if stored.len() == expected && stored.iter().all(is_sealed) {
        return Ok(stored);
    }
    let shown = stored.iter().map(|name| name.escape_ascii().to_string());
    Err((
        "in the end, names".to_owned(),
        shown.collect::<Vec<_>>().join(" "),
        expected.to_string(),
    ))
}

/// The beginnings of the names of the model.
const SCOPES: [&[u8]; 4] = [b"r:", b"g:", b"u:", b"o:"];

fn has_sealed_form(name: &[u8]) -> bool {
    name.get(1..)
        .is_some_and(|name| name.starts_with(b":~9VcDE"))
}

/// Members are stored once, in one form, and unless values were there in clear, all are sealed.
pub(super) fn check_sealed(pair: &mut Pair, names: &[Vec<u8>], in_clear: bool) -> Outcome {
    for name in names {
        let one = std::slice::from_ref(name);
        let kind = all(&mut pair.behind, one, &["TYPE"]).remove(0);
        let words: &[&str] = match kind.text.as_slice() {
            b"string" => &["GET"],
            b"hash" => &["HVALS"],
            b"list" => &["LRANGE", "0", "-1"],
            b"set" => &["SMEMBERS"],
            b"zset" => &["ZRANGE", "0", "-1"],
            _ => continue,
        };
        let failed = |what: &str, stored: &ReplyTree, direct: &str| {
            Err((
                format!("in the end, {what}: {}", name.escape_ascii()),
                format!("{stored:?}"),
                direct.to_owned(),
            ))
        };
        let stored = all(&mut pair.behind, one, words).remove(0);
        let count: &[&str] = match kind.text.as_slice() {
            b"set" => &["SCARD"],
            b"zset" => &["ZCARD"],
            _ => &[],
        };
        if !count.is_empty() && !has_sealed_form(name) {
            let direct = all(&mut pair.observer.direct, one, count).remove(0);
            if number(&direct.text) != stored.items.len() {
                return failed("members", &stored, &format!("{direct:?}"));
            }
        }
        if in_clear || name.starts_with(b"o:") {
            continue;
        }
        let values = if stored.items.is_empty() {
            std::slice::from_ref(&stored)
        } else {
            &stored.items
        };
        if values.iter().any(|value| !is_sealed(&value.text)) {
            return failed("stored in clear", &stored, "");
        }
    }
    Ok(())
}

/// The replies to a command whose first argument is each of these names.
fn all(link: &mut Link, names: &[Vec<u8>], words: &[&str]) -> Vec<ReplyTree> {
    let mut bytes = Vec::new();
    for name in names {
        let mut request = vec![words[0].as_bytes(), name];
        request.extend(words[1..].iter().map(|word| word.as_bytes()));
        bytes.extend(encode(&request));
    }
    link.send(&bytes);
    let replies = names.iter().map(|_| {
        let reply = link.reply(REPLY_TIMEOUT);
        reply.unwrap_or_else(|silence| ReplyTree::simple(&format!("{silence:?}")))
    });
    replies.collect()
}
