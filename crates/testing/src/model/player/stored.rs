//! What both servers hold in the end: the same, and the protected part sealed.

use super::super::Scope;
use super::super::comparison::{Comparison, is_same, leaves};
use super::super::pair::Pair;
use super::{Outcome, number};
use crate::link::{REPLY_TIMEOUT, encode};
use crate::reply_tree::is_sealed;
use crate::{Link, ReplyTree};

/// What follows the prefix in a sealed name.
const SEALED_NAME: &[u8] = b"~9VcDE";

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

/// The request for the values of a record of this type, and for their number where members are to be stored once.
fn of_kind(kind: &[u8]) -> Option<(&'static [&'static str], &'static [&'static str])> {
    Some(match kind {
        b"string" => (&["GET"], &[]),
        b"hash" => (&["HVALS"], &[]),
        b"list" => (&["LRANGE", "0", "-1"], &[]),
        b"set" => (&["SMEMBERS"], &["SCARD"]),
        b"zset" => (&["ZRANGE", "0", "-1"], &["ZCARD"]),
        _ => return None,
    })
}

/// Members are stored once, in one form, and unless values were there in clear, all are sealed.
pub(super) fn check_sealed(pair: &mut Pair, names: &[Vec<u8>], in_clear: bool) -> Outcome {
    for name in names {
        let one = std::slice::from_ref(name);
        let kind = all(&mut pair.behind, one, &["TYPE"]).remove(0);
        let Some((words, count)) = of_kind(&kind.text) else {
            continue;
        };
        let failed = |what: &str, stored: &ReplyTree, direct: &str| {
            Err((
                format!("in the end, {what}: {}", name.escape_ascii()),
                format!("{stored:?}"),
                direct.to_owned(),
            ))
        };
        let stored = all(&mut pair.behind, one, words).remove(0);
        if !count.is_empty() {
            let direct = all(&mut pair.observer.direct, one, count).remove(0);
            if number(&direct.text) != stored.items.len() {
                return failed("members", &stored, &format!("{direct:?}"));
            }
        }
        if in_clear || name.starts_with(b"o:") {
            continue;
        }
        if !holds_envelopes(&stored) {
            return failed("stored in clear", &stored, "");
        }
    }
    Ok(())
}

fn holds_envelopes(stored: &ReplyTree) -> bool {
    let values = if stored.items.is_empty() {
        std::slice::from_ref(stored)
    } else {
        &stored.items
    };
    values.iter().all(|value| is_sealed(&value.text))
}

/// Behind each prefix there are as many records of each type and size as at the direct server, their names and values are
/// sealed, and there is no other protected record.
pub(super) fn check_sealed_names(pair: &mut Pair, names: &[Vec<u8>]) -> Outcome {
    let stored = pair.behind.ask(&["KEYS", "*"]);
    let stored = stored.map(|reply| leaves(&reply)).unwrap_or_default();
    let is_open = |name: &Vec<u8>| name.starts_with(b"o:") || name.starts_with(b"waxseal:");
    let stored: Vec<_> = stored.into_iter().filter(|it| !is_open(it)).collect();
    let failed = |what: &str, name: &[u8]| {
        let shown = name.escape_ascii().to_string();
        Err((
            format!("in the end, {what}: {shown}"),
            String::new(),
            String::new(),
        ))
    };
    for name in &stored {
        let one = std::slice::from_ref(name);
        if scope_of_sealed(name).is_none() {
            return failed("a name in clear", name);
        }
        let kind = all(&mut pair.behind, one, &["TYPE"]).remove(0);
        if let Some((words, _)) = of_kind(&kind.text) {
            let values = all(&mut pair.behind, one, words).remove(0);
            if !holds_envelopes(&values) {
                return failed("stored in clear", name);
            }
        }
    }
    let protected: Vec<_> = names.iter().filter(|it| !is_open(it)).cloned().collect();
    let behind = summary(&mut pair.behind, &stored, scope_of_sealed);
    let scope = |name: &[u8]| {
        let scope = Scope::ALL.into_iter();
        scope
            .map(Scope::prefix)
            .find(|it| name.starts_with(it.as_bytes()))
    };
    let direct = summary(&mut pair.observer.direct, &protected, scope);
    match behind == direct {
        true => Ok(()),
        false => Err((
            "in the end, records by prefix, type and members".to_owned(),
            format!("{behind:?}"),
            format!("{direct:?}"),
        )),
    }
}

/// The prefix of a sealed name.
fn scope_of_sealed(name: &[u8]) -> Option<&'static str> {
    let mut scopes = Scope::ALL.into_iter().map(Scope::prefix);
    scopes.find(|prefix| {
        // A pattern that names the user has the part before the user's name for a prefix.
        let prefix = prefix.strip_suffix("ana:").unwrap_or(prefix).as_bytes();
        let part = name.strip_prefix(prefix);
        part.is_some_and(|part| part.starts_with(SEALED_NAME))
    })
}

/// For each record that exists the prefix, the type and the number of members, in order.
fn summary(
    link: &mut Link,
    names: &[Vec<u8>],
    scope: impl Fn(&[u8]) -> Option<&'static str>,
) -> Vec<(Option<&'static str>, String, usize)> {
    let kinds = all(link, names, &["TYPE"]);
    let mut summary = Vec::new();
    for (name, kind) in names.iter().zip(kinds) {
        if kind.text == b"none" {
            continue;
        }
        let count = match of_kind(&kind.text) {
            Some((_, count)) if !count.is_empty() => {
                number(&all(link, std::slice::from_ref(name), count).remove(0).text)
            }
            _ => 0,
        };
        let kind = String::from_utf8_lossy(&kind.text).into_owned();
        summary.push((scope(name), kind, count));
    }
    summary.sort_unstable();
    summary
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
