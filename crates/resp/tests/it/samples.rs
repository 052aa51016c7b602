//! Random requests and replies, and damage to them. Each reply has the expected elements of a walk over
//! it, built from its parts and not by parsing.

use proptest::collection::vec;
use proptest::prelude::*;
use waxseal_resp::Kind;

/// Bytes, more often those with a meaning in the protocol.
pub(crate) fn odd_byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        6 => prop::sample::select(b"*$\r\n-0123456789".to_vec()),
        2 => prop::sample::select(b" \t\x0b\x0c\"'\\xab+:_#,(=!%~>|?\0\xff".to_vec()),
        1 => any::<u8>(),
    ]
}

pub(crate) fn arguments() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(
        prop_oneof![4 => vec(odd_byte(), 0..12), 1 => vec(any::<u8>(), 0..300)],
        1..12,
    )
}

/// Positions to cut at, in order.
pub(crate) fn cuts() -> impl Strategy<Value = Vec<usize>> {
    vec(any::<prop::sample::Index>(), 0..12).prop_map(|cuts| {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(2_000)).collect();
        cuts.sort_unstable();
        cuts
    })
}

/// One change to bytes.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    Change(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Delete(prop::sample::Index),
    /// Repeats these bytes.
    Repeat(prop::sample::Index, usize),
}

pub(crate) fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let at = any::<prop::sample::Index>;
    let damage = prop_oneof![
        (at(), odd_byte()).prop_map(|(at, byte)| Damage::Change(at, byte)),
        (at(), odd_byte()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        at().prop_map(Damage::Delete),
        (at(), 1..6_usize).prop_map(|(at, len)| Damage::Repeat(at, len)),
    ];
    vec(damage, 1..4)
}

pub(crate) fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        if bytes.is_empty() {
            break;
        }
        match damage {
            Damage::Change(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Damage::Insert(at, byte) => bytes.insert(at.index(bytes.len()), *byte),
            Damage::Delete(at) => {
                bytes.remove(at.index(bytes.len()));
            }
            Damage::Repeat(at, len) => {
                let at = at.index(bytes.len());
                let end = (at + len).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
    bytes
}

/// The parts of a reply.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// `+ - : _ , # (` and a line.
    Line(u8, Vec<u8>),
    /// `$ = !` and bytes.
    Text(u8, Vec<u8>),
    /// `$-1` or `*-1`.
    Null(u8),
    /// `* ~ > %` and elements, an even number of them in a map.
    Many(u8, Vec<Node>),
    /// `|`, pairs, and the reply that they belong to.
    Attributed(Vec<Node>, Box<Node>),
}

/// The expected result of a walk for one element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) kind: Kind,
    pub(crate) raw: Vec<u8>,
    pub(crate) text: Vec<u8>,
}

impl Node {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.elements().into_iter().flat_map(|it| it.raw).collect()
    }

    /// Every element, flat, in order.
    pub(crate) fn elements(&self) -> Vec<Expected> {
        match self {
            Self::Line(first, text) => {
                let kind = match first {
                    b'+' => Kind::Simple,
                    b'-' => Kind::Error,
                    b'_' => Kind::Null,
                    _ => Kind::Other,
                };
                vec![expected(
                    kind,
                    [&[*first], &text[..], b"\r\n"].concat(),
                    text,
                )]
            }
            Self::Text(first, text) => {
                let kind = match first {
                    b'$' => Kind::Bulk,
                    b'!' => Kind::Error,
                    _ => Kind::Other,
                };
                let raw = [&head(*first, text.len())[..], text, b"\r\n"].concat();
                vec![expected(kind, raw, text)]
            }
            Self::Null(first) => vec![expected(
                Kind::Null,
                [&[*first][..], b"-1\r\n"].concat(),
                b"",
            )],
            Self::Many(first, inside) => {
                let (kind, count) = match first {
                    b'%' => (Kind::Map(inside.len() / 2), inside.len() / 2),
                    b'>' => (Kind::Push(inside.len()), inside.len()),
                    _ => (Kind::Array(inside.len()), inside.len()),
                };
                let own = expected(kind, head(*first, count), b"");
                [own]
                    .into_iter()
                    .chain(inside.iter().flat_map(Self::elements))
                    .collect()
            }
            Self::Attributed(pairs, of) => {
                let count = pairs.len() / 2;
                let own = expected(Kind::Attribute(count), head(b'|', count), b"");
                let inside = pairs.iter().flat_map(Self::elements);
                [own]
                    .into_iter()
                    .chain(inside)
                    .chain(of.elements())
                    .collect()
            }
        }
    }

    /// The elements directly inside, each with everything in it.
    pub(crate) fn inside(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Many(_, inside) => inside.iter().map(Self::bytes).collect(),
            Self::Attributed(pairs, of) => {
                pairs.iter().map(Self::bytes).chain([of.bytes()]).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The maximum number of arrays open at once.
    pub(crate) fn depth(&self) -> usize {
        let deepest = |nodes: &[Self]| nodes.iter().map(Self::depth).max();
        match self {
            Self::Many(_, inside) => deepest(inside).map_or(0, |depth| depth + 1),
            Self::Attributed(pairs, of) => 1 + of.depth().max(deepest(pairs).unwrap_or_default()),
            _ => 0,
        }
    }
}

fn expected(kind: Kind, raw: Vec<u8>, text: &[u8]) -> Expected {
    Expected {
        kind,
        raw,
        text: text.to_vec(),
    }
}

fn head(first: u8, count: usize) -> Vec<u8> {
    let mut head = vec![first];
    head.extend_from_slice(count.to_string().as_bytes());
    head.extend_from_slice(b"\r\n");
    head
}

/// Replies of both versions, some with attributes and push messages in them, some very deep.
pub(crate) fn replies() -> impl Strategy<Value = Node> {
    let shallow = leaf().prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            5 => (many(), vec(inner.clone(), 0..6)).prop_map(|(first, inside)| even(first, inside)),
            1 => (vec(inner.clone(), 0..4), inner).prop_map(|(pairs, of)| attributed(pairs, of)),
        ]
    });
    let layers = vec((many(), any::<bool>()), 0..50);
    (shallow, prop_oneof![3 => Just(Vec::new()), 1 => layers]).prop_map(|(inner, layers)| {
        layers.into_iter().fold(inner, |inner, (first, attribute)| {
            if attribute {
                attributed(Vec::new(), inner)
            } else {
                even(first, vec![inner])
            }
        })
    })
}

fn leaf() -> impl Strategy<Value = Node> {
    let line = odd_byte().prop_filter("no end of line", |byte| *byte != b'\r');
    prop_oneof![
        3 => (prop::sample::select(b"+-:,#(".to_vec()), vec(line, 0..10))
            .prop_map(|(first, text)| Node::Line(first, text)),
        1 => Just(Node::Line(b'_', Vec::new())),
        4 => (prop::sample::select(b"$$$=!".to_vec()), vec(odd_byte(), 0..14))
            .prop_map(|(first, text)| Node::Text(first, text)),
        1 => prop::sample::select(b"$*".to_vec()).prop_map(Node::Null),
    ]
}

fn many() -> impl Strategy<Value = u8> {
    prop::sample::select(b"***~>%".to_vec())
}

fn even(first: u8, mut inside: Vec<Node>) -> Node {
    if first == b'%' && inside.len() % 2 == 1 {
        inside.push(Node::Null(b'$'));
    }
    Node::Many(first, inside)
}

fn attributed(mut pairs: Vec<Node>, of: Node) -> Node {
    if pairs.len() % 2 == 1 {
        pairs.pop();
    }
    Node::Attributed(pairs, Box::new(of))
}
