//! What both servers hold in the end: the same, and the protected part sealed.

use super::super::comparison::{Comparison, is_same};
use super::super::pair::Pair;
use super::{Outcome, number};
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

/// Members are stored once, in one form, and unless values were there in clear, all are sealed.
pub(super) fn check_sealed(pair: &mut Pair, names: &[Vec<u8>], in_clear: bool) -> Outcome {
    for name in names {
        let one = std::slice::from_ref(name);
        let kind = all(&mut pair.behind, one, &["TYPE"]).remove(0);
        let Some(words) = values_of(&kind) else {
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
        let count: &[&str] = match kind.text.as_slice() {
            b"set" => &["SCARD"],
            b"zset" => &["ZCARD"],
            _ => &[],
        };
        if !count.is_empty() {
            let direct = all(&mut pair.observer.direct, one, count).remove(0);
            if number(&direct.text) != stored.items.len() {
                return failed("members", &stored, &format!("{direct:?}"));
            }
        }
        if in_clear || name.starts_with(b"o:") {
            continue;
        }
        if !are_sealed(&stored) {
            return failed("stored in clear", &stored, "");
        }
    }
    Ok(())
}

/// The names of protected records are sealed, as many as there are, and so are their values.
pub(super) fn check_sealed_names(pair: &mut Pair) -> Outcome {
    let [stored, direct] = [&mut pair.behind, &mut pair.observer.direct].map(|link| {
        let all = link.ask(&["KEYS", "*"]).map(|it| it.items);
        all.unwrap_or_default()
    });
    let is_named_so = |name: &[u8]| {
        let rest = name.get(2..).unwrap_or_default();
        name.starts_with(b"o:") || rest.starts_with(b"~9VcDE")
    };
    let in_clear = stored.iter().find(|name| !is_named_so(&name.text));
    if in_clear.is_some() || stored.len() != direct.len() {
        return Err((
            "in the end, names of records".to_owned(),
            format!("{stored:?}"),
            format!("{direct:?}"),
        ));
    }
    let protected = stored.into_iter().map(|name| name.text);
    let protected: Vec<_> = protected.filter(|it| !it.starts_with(b"o:")).collect();
    check_values(&mut pair.behind, &protected)
}

/// The values of these records are sealed.
fn check_values(behind: &mut Link, names: &[Vec<u8>]) -> Outcome {
    for name in names {
        let one = std::slice::from_ref(name);
        let kind = all(behind, one, &["TYPE"]).remove(0);
        let Some(words) = values_of(&kind) else {
            continue;
        };
        let stored = all(behind, one, words).remove(0);
        if !are_sealed(&stored) {
            return Err((
                format!("in the end, stored in clear: {}", name.escape_ascii()),
                format!("{stored:?}"),
                String::new(),
            ));
        }
    }
    Ok(())
}

/// The command that reads the values of a record of this type, without what names them.
fn values_of(kind: &ReplyTree) -> Option<&'static [&'static str]> {
    Some(match kind.text.as_slice() {
        b"string" => &["GET"],
        b"hash" => &["HVALS"],
        b"list" => &["LRANGE", "0", "-1"],
        b"set" => &["SMEMBERS"],
        b"zset" => &["ZRANGE", "0", "-1"],
        _ => return None,
    })
}

fn are_sealed(stored: &ReplyTree) -> bool {
    let values = if stored.items.is_empty() {
        std::slice::from_ref(stored)
    } else {
        &stored.items
    };
    values.iter().all(|value| is_sealed(&value.text))
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
