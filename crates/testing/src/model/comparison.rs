//! Which differences between two replies to a request mean nothing: orders that hash tables do not
//! have, and lifetimes, which differ by the moment of the question.

use crate::ReplyTree;

/// The comparison of the replies to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// Byte for byte.
    Exact,
    /// Without regard to the order of elements.
    Unordered,
    /// Elements in pairs, without regard to the order of pairs.
    Pairs,
    /// Any positive number for any other.
    Lifetime,
    /// Exact but for figures that describe how the server stores a record.
    Layout,
    /// As many elements, and they are in the reply to this command.
    Sample(&'static str),
    /// All pages of a scan, whose elements come this many at a time.
    Pages(usize),
    /// The elements that the server took are removed by this command at the direct server.
    Taken(&'static str),
}

/// True if two replies to a request are the same as far as they can be.
pub(super) fn is_same(comparison: Comparison, one: &ReplyTree, other: &ReplyTree) -> bool {
    if one == other {
        return true;
    }
    if one.is_error() || other.is_error() {
        return names_absent_member(one) && names_absent_member(other);
    }
    match comparison {
        Comparison::Exact => false,
        Comparison::Unordered => sorted(one.clone()) == sorted(other.clone()),
        Comparison::Pairs => paired(one.clone()) == paired(other.clone()),
        Comparison::Lifetime => rounded(one.clone()) == rounded(other.clone()),
        Comparison::Layout => without_layout(one.clone()) == without_layout(other.clone()),
        Comparison::Sample(_) | Comparison::Taken(_) | Comparison::Pages(_) => {
            one.kind == other.kind && one.items.len() == other.items.len()
        }
    }
}

/// True for the error of Valkey that names the member which is not there, as it is stored.
fn names_absent_member(reply: &ReplyTree) -> bool {
    reply.is_error()
        && reply.text.starts_with(b"ERR member ")
        && reply.text.ends_with(b" does not exist")
}

/// With elements in an order of their own, at every depth.
pub(super) fn sorted(mut reply: ReplyTree) -> ReplyTree {
    reply.items = reply.items.into_iter().map(sorted).collect();
    reply.items.sort();
    reply
}

fn paired(mut reply: ReplyTree) -> ReplyTree {
    if reply.items.iter().all(|item| item.items.is_empty()) {
        let mut pairs: Vec<Vec<ReplyTree>> = reply.items.chunks(2).map(<[_]>::to_vec).collect();
        pairs.sort();
        reply.items = pairs.concat();
    } else {
        reply.items.sort();
    }
    reply
}

fn rounded(mut reply: ReplyTree) -> ReplyTree {
    reply.items = reply.items.into_iter().map(rounded).collect();
    if reply.kind == b':' && !reply.text.starts_with(b"-") {
        reply.text = b"some".to_vec();
    }
    reply
}

/// Without the numbers behind words about the tree in which a stream is stored.
fn without_layout(mut reply: ReplyTree) -> ReplyTree {
    let mut hide = false;
    for item in &mut reply.items {
        if hide {
            item.text.clear();
        }
        hide = item.text.starts_with(b"radix-tree");
    }
    reply
}

/// The strings and numbers of a reply, without its structure.
pub(super) fn leaves(reply: &ReplyTree) -> Vec<Vec<u8>> {
    let mut leaves = Vec::new();
    collect(reply, &mut leaves);
    leaves
}

fn collect(reply: &ReplyTree, leaves: &mut Vec<Vec<u8>>) {
    if matches!(reply.kind, b'*' | b'~' | b'%' | b'>') {
        reply.items.iter().for_each(|item| collect(item, leaves));
    } else if reply.kind != b'_' {
        leaves.push(reply.text.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> ReplyTree {
        ReplyTree::parse(text.as_bytes()).unwrap().unwrap().0
    }

    #[test]
    fn orders_that_mean_nothing_are_not_compared() {
        let one = reply("*4\r\n:1\r\n:2\r\n:3\r\n:4\r\n");
        let turned = reply("*4\r\n:3\r\n:4\r\n:1\r\n:2\r\n");
        let mixed = reply("*4\r\n:1\r\n:4\r\n:3\r\n:2\r\n");
        assert!(is_same(Comparison::Pairs, &one, &turned));
        assert!(!is_same(Comparison::Pairs, &one, &mixed));
        assert!(is_same(Comparison::Unordered, &one, &mixed));
        assert!(!is_same(Comparison::Exact, &one, &turned));
    }

    #[test]
    fn an_error_is_the_same_only_as_itself() {
        let (error, number) = (reply("-ERR no\r\n"), reply(":1\r\n"));
        for comparison in [
            Comparison::Pairs,
            Comparison::Unordered,
            Comparison::Lifetime,
        ] {
            assert!(!is_same(comparison, &error, &number));
            assert!(!is_same(comparison, &error, &reply("-ERR yes\r\n")));
            assert!(is_same(comparison, &error, &error));
        }
    }

    #[test]
    fn figures_about_storage_are_not_compared() {
        let one = reply("*4\r\n+length\r\n:1\r\n+radix-tree-nodes\r\n:3\r\n");
        let other = reply("*4\r\n+length\r\n:1\r\n+radix-tree-nodes\r\n:4\r\n");
        let longer = reply("*4\r\n+length\r\n:2\r\n+radix-tree-nodes\r\n:3\r\n");
        assert!(is_same(Comparison::Layout, &one, &other));
        assert!(!is_same(Comparison::Layout, &one, &longer));
    }
}
