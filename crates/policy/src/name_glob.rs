//! Globs over names of records, some of which are stored sealed. The server sees stored names only, and a client means
//! logical ones: the glob that is sent matches more, and each name of the reply is compared with the client's own one.

use crate::protected::{NOTIFICATION_CHANNELS, PatternId, ProtectedNames};

/// Follows the prefix in every sealed name.
const MARK: u8 = b'~';

/// The glob that is sent in place of one over names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerGlob {
    /// This one.
    Bytes(Box<[u8]>),
    /// The argument is the name of one record with this pattern: the glob that matches its stored name and nothing else
    /// ([`escape_glob`]).
    OneName(PatternId),
}

/// What a server has to be asked for, so that its reply has all names that a glob matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WiderGlob {
    /// The glob itself. It matches no sealed name, and means none.
    Same,
    /// The glob itself: it matches every sealed name that it means, and means every one that it matches.
    Covers,
    /// This glob, of whose names some are not meant.
    Wider(Vec<u8>),
}

/// The glob for a server in place of this one, where names that begin with these prefixes may be stored sealed.
///
/// Only the literal text before the first special character decides how glob and prefix are related: the result may match
/// too many names, and never too few.
#[must_use]
pub fn widen<'p>(glob: &[u8], prefixes: impl IntoIterator<Item = &'p [u8]>) -> WiderGlob {
    let literal = literal_start(glob);
    // A star after the literal text, and nothing else.
    let is_prefix = glob.get(literal.len()..) == Some(b"*");
    let mut common: Option<&[u8]> = None;
    let mut covers = true;
    for prefix in prefixes {
        if !prefix.starts_with(literal) && !literal.starts_with(prefix) {
            continue;
        }
        covers &= is_prefix && prefix.starts_with(literal);
        let shared = shared_with_sealed(literal, prefix);
        if common.is_none_or(|common| shared < common.len()) {
            common = literal.get(..shared);
        }
    }
    match common {
        None => WiderGlob::Same,
        Some(_) if covers => WiderGlob::Covers,
        Some(common) => {
            let mut wider = escape_glob(common);
            wider.push(b'*');
            WiderGlob::Wider(wider)
        }
    }
}

/// The same for a glob over channels, of which those of keyspace notifications end with a name.
#[must_use]
pub fn widen_channels(glob: &[u8]) -> WiderGlob {
    widen(glob, NOTIFICATION_CHANNELS)
}

/// The start of this prefix of names that all sealed names have in common which begin with it before they are sealed, and with
/// one of these prefixes afterwards: the prefix itself, or a part of it.
#[must_use]
pub fn widen_prefix<'t, 'p>(
    prefix: &'t [u8],
    prefixes: impl IntoIterator<Item = &'p [u8]>,
) -> &'t [u8] {
    let longer = prefixes.into_iter().filter(|it| prefix.starts_with(it));
    let shared = longer.map(|it| shared_with_sealed(prefix, it)).min();
    shared
        .and_then(|shared| prefix.get(..shared))
        .unwrap_or(prefix)
}

/// The length of the text that this one and all sealed names with this prefix begin with.
fn shared_with_sealed(text: &[u8], prefix: &[u8]) -> usize {
    let sealed = prefix.iter().chain([&MARK]);
    let pairs = text.iter().zip(sealed);
    pairs.take_while(|(one, other)| one == other).count()
}

/// The text of a glob before its first special character.
#[must_use]
pub fn literal_start(glob: &[u8]) -> &[u8] {
    let end = glob.iter().position(is_special);
    end.and_then(|end| glob.get(..end)).unwrap_or(glob)
}

fn is_special(byte: &u8) -> bool {
    matches!(byte, b'*' | b'?' | b'[' | b'\\')
}

/// The glob that matches these bytes and nothing else.
#[must_use]
pub fn escape_glob(name: &[u8]) -> Vec<u8> {
    let mut glob = Vec::with_capacity(name.len());
    for byte in name {
        if is_special(byte) {
            glob.push(b'\\');
        }
        glob.push(*byte);
    }
    glob
}

impl ProtectedNames {
    /// The glob for a server in place of this one; `None` if it is sent as it is.
    #[must_use]
    pub fn server_glob(&self, glob: &[u8]) -> Option<ServerGlob> {
        if literal_start(glob).len() == glob.len() {
            let pattern = self.find(glob)?;
            let is_managed = self.is_managed(pattern);
            return is_managed.then_some(ServerGlob::OneName(pattern));
        }
        match widen(glob, self.managed_prefixes()) {
            WiderGlob::Same | WiderGlob::Covers => None,
            WiderGlob::Wider(glob) => Some(ServerGlob::Bytes(glob.into())),
        }
    }
}
