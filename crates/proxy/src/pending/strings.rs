//! Many short strings of one request, kept until its reply has arrived: one allocation for their bytes and one for their
//! ends, since a request may have hundreds of thousands of them.

use waxseal_policy::{PatternId, ProtectedNames};

/// Strings in order.
pub(crate) struct Strings {
    bytes: Box<[u8]>,
    /// The end of each. Requests are far shorter than 32 bits can count.
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

/// The record names of a request.
pub(crate) struct RequestNames {
    names: Strings,
    /// The pattern of each name, if they are needed.
    patterns: Box<[Option<PatternId>]>,
}

impl RequestNames {
    /// The names of a request in which every argument after the command word is one, with the pattern of each. Of names
    /// that are not protected, nothing is kept.
    #[inline(never)]
    pub(crate) fn with_patterns(protected: &ProtectedNames, arguments: &[&[u8]]) -> Self {
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

    /// All these names.
    pub(crate) fn all<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self {
            names: Strings::new(names),
            patterns: Box::default(),
        }
    }

    /// Each name with its pattern, or `None` if it is not protected.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = Option<(PatternId, &[u8])>> {
        let names = self.names.iter().zip(&self.patterns);
        names.map(|(name, pattern)| pattern.map(|pattern| (pattern, name)))
    }

    /// Each name.
    pub(crate) fn names(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.names.iter()
    }

    /// True if this is one of the names.
    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        self.names.iter().any(|other| other == name)
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
    fn returns_the_strings_in_order() {
        let strings: [&[u8]; 4] = [b"a", b"", b"bcd", b"e"];
        let kept = Strings::new(strings);
        assert_eq!(kept.iter().collect::<Vec<_>>(), strings);
        assert_eq!(kept.retained_bytes(), 5 + 16);
    }

    #[test]
    fn keeps_the_names_that_are_protected() {
        let protected = ProtectedNames::new(vec![RecordPattern::parse("wa:*").unwrap()]);
        let arguments: [&[u8]; 4] = [b"MGET", b"wa:1", b"open:1", b"wa:2"];
        let names = RequestNames::with_patterns(&protected, &arguments);
        let names: Vec<_> = names.iter().map(|it| it.map(|(_, name)| name)).collect();
        assert_eq!(names, [Some(&b"wa:1"[..]), None, Some(b"wa:2")]);
    }

    #[test]
    fn all_names_of_a_request_can_be_kept() {
        let arguments: [&[u8]; 2] = [b"wa:1", b"open:1"];
        let names = RequestNames::all(arguments);
        assert!(names.contains(b"open:1") && !names.contains(b"wa:2"));
    }
}
