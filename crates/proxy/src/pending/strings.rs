//! Many short strings of one request, kept until its reply has come: one allocation for their bytes and
//! one for where each ends, since a request may have hundreds of thousands of them.

use waxseal_policy::{PatternId, ProtectedNames};

/// Strings in order.
pub(crate) struct Strings {
    bytes: Box<[u8]>,
    /// Where each ends. Requests are far shorter than what 32 bits count.
    ends: Box<[u32]>,
}

impl Strings {
    /// Copies these.
    #[inline(never)]
    pub(crate) fn new<'a>(strings: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut bytes = Vec::new();
        let strings = strings.into_iter();
        let mut ends = Vec::with_capacity(strings.size_hint().0);
        for string in strings {
            bytes.extend_from_slice(string);
            ends.push(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        }
        Self {
            bytes: bytes.into_boxed_slice(),
            ends: ends.into_boxed_slice(),
        }
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let end = usize::try_from(*end).unwrap_or(usize::MAX);
            let string = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            string
        })
    }

    /// Bytes that are held for them.
    pub(crate) fn retained_bytes(&self) -> usize {
        self.bytes
            .len()
            .saturating_add(size_of_val::<[u32]>(&self.ends))
    }
}

/// The record names of a request in which every argument is one, with the pattern of each. Of names
/// that are not protected nothing is kept.
pub(crate) struct ProtectedNamesOf {
    names: Strings,
    patterns: Box<[Option<PatternId>]>,
}

impl ProtectedNamesOf {
    /// Of the arguments behind the command word.
    #[inline(never)]
    pub(crate) fn new(protected: &ProtectedNames, arguments: &[&[u8]]) -> Self {
        let names = arguments.get(1..).unwrap_or_default();
        let patterns: Box<[_]> = names.iter().map(|name| protected.find(name)).collect();
        let kept = names
            .iter()
            .zip(&patterns)
            .map(|(name, pattern)| match pattern {
                Some(_) => *name,
                None => &[][..],
            });
        Self {
            names: Strings::new(kept),
            patterns,
        }
    }

    /// Each name with its pattern, or nothing where it is not protected.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = Option<(PatternId, &[u8])>> {
        let names = self.names.iter().zip(&self.patterns);
        names.map(|(name, pattern)| pattern.map(|pattern| (pattern, name)))
    }

    /// Bytes that are held for them.
    pub(crate) fn retained_bytes(&self) -> usize {
        self.names
            .retained_bytes()
            .saturating_add(size_of_val::<[Option<PatternId>]>(&self.patterns))
    }
}

#[cfg(test)]
mod tests {
    use waxseal_policy::RecordPattern;

    use super::*;

    #[test]
    fn gives_the_strings_back_in_order() {
        let strings: [&[u8]; 4] = [b"a", b"", b"bcd", b"e"];
        let kept = Strings::new(strings);
        assert_eq!(kept.iter().collect::<Vec<_>>(), strings);
        assert_eq!(kept.retained_bytes(), 5 + 16);
    }

    #[test]
    fn keeps_the_names_that_are_protected() {
        let protected = ProtectedNames::new(vec![RecordPattern::parse("wa:*").unwrap()]);
        let names = ProtectedNamesOf::new(&protected, &[b"MGET", b"wa:1", b"open:1", b"wa:2"]);
        let names: Vec<_> = names.iter().map(|it| it.map(|(_, name)| name)).collect();
        assert_eq!(names, [Some(&b"wa:1"[..]), None, Some(b"wa:2")]);
    }
}
