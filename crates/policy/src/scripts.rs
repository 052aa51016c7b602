//! Known scripts: the published idioms by which locks are acquired, extended and released. Each compares the value of
//! one record with an argument, or stores an argument as that value, and does nothing else with either; some add to it. It can
//! therefore run on a sealed record: the server compares and stores envelopes instead of values. The caller creates
//! the envelopes, and keeps digests that are not published. Others are those by which schedulers take what is due from a
//! sorted set: they find members by their scores and return them, whatever bytes they have.

use std::collections::HashMap;
use std::sync::LazyLock;

mod published;
mod table;
mod tokens;

use published::PUBLISHED;
pub use table::{Addition, Taken};
use table::{IDIOMS, Idiom};

/// A known script.
#[derive(Clone, Copy)]
pub struct KnownScript(&'static Idiom);

/// The reply of a script, as far as it tells that the values differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptReply {
    /// A number.
    Integer(i64),
    /// Null: Lua's `nil` and `false`.
    Null,
    /// An error.
    Error,
    /// Anything else.
    Other,
}

impl KnownScript {
    /// The known script with this text, up to white space, comments and names of locals.
    #[must_use]
    pub fn of_text(text: &[u8]) -> Option<Self> {
        let found = SHAPES.get(tokens::normalise(text)?.as_str())?;
        Some(Self(found))
    }

    /// The known script whose published text has this SHA-1, as 40 hexadecimal digits in any case.
    #[must_use]
    pub fn of_digest(digest: &[u8]) -> Option<Self> {
        let mut digest: [u8; 40] = digest.try_into().ok()?;
        digest.make_ascii_lowercase();
        DIGESTS.get(&digest).copied().map(Self)
    }

    /// A description in a few words.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// The index in `ARGV`, from 1, of the argument that it compares with the value.
    #[must_use]
    pub fn compared(self) -> Option<usize> {
        self.0.compared
    }

    /// The index in `ARGV`, from 1, of the argument that it stores as the value.
    #[must_use]
    pub fn stored(self) -> Option<usize> {
        self.0.stored
    }

    /// What it does where there is no value, if it adds its first argument to the value.
    #[must_use]
    pub fn adds(self) -> Option<Addition> {
        self.0.adds
    }

    /// The members that it returns, if it takes them out of a sorted set by a score, its only argument.
    #[must_use]
    pub fn takes(self) -> Option<Taken> {
        self.0.takes
    }

    /// True if this reply can mean that value and argument differ, so that nothing was changed.
    #[must_use]
    pub fn is_mismatch(self, reply: ScriptReply) -> bool {
        self.0.mismatches.contains(&reply)
    }
}

impl std::fmt::Debug for KnownScript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("KnownScript").field(&self.0.name).finish()
    }
}

impl PartialEq for KnownScript {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for KnownScript {}

/// Every idiom by its normalised text.
static SHAPES: LazyLock<HashMap<String, &'static Idiom>> = LazyLock::new(|| {
    let mut shapes = HashMap::new();
    for idiom in IDIOMS {
        for text in idiom.texts() {
            if let Some(shape) = tokens::normalise(text.as_bytes()) {
                shapes.entry(shape).or_insert(idiom);
            }
        }
    }
    shapes
});

/// The idiom of each published text, by its digest.
static DIGESTS: LazyLock<HashMap<[u8; 40], &'static Idiom>> = LazyLock::new(|| {
    let mut digests = HashMap::new();
    for published in PUBLISHED {
        let Some(KnownScript(idiom)) = KnownScript::of_text(published.shape.as_bytes()) else {
            continue;
        };
        for (digest, _) in published.texts {
            if let Ok(digest) = digest.as_bytes().try_into() {
                digests.insert(digest, idiom);
            }
        }
    }
    digests
});

#[cfg(test)]
mod tests;
