//! The patterns of `BY` and `GET`: names of records, and of fields, with a star in the place of an element.

use crate::arguments::c_string;

/// Where what a pattern stands for is.
#[derive(Clone, PartialEq, Eq)]
pub enum Lookup<'e> {
    /// It is the element itself.
    Element(&'e [u8]),
    /// Nowhere: a name without a star stands for nothing.
    Nothing,
    /// In another record.
    Record {
        /// The record's name.
        name: Vec<u8>,
        /// The field of a hash; without one the record is a string.
        field: Option<&'e [u8]>,
    },
}

/// A pattern.
#[derive(Clone)]
pub(super) enum Pattern {
    /// `#`
    Element,
    Nothing,
    Record {
        before: Vec<u8>,
        after: Vec<u8>,
        field: Option<Vec<u8>>,
    },
}

impl Pattern {
    /// Reads a pattern: star and arrow up to a NUL, everything else as a whole.
    pub(super) fn parse(pattern: &[u8]) -> Self {
        let text = c_string(pattern);
        if text == b"#" {
            return Self::Element;
        }
        let star = text.iter().position(|byte| *byte == b'*');
        let Some((before, rest)) = star.and_then(|star| pattern.split_at_checked(star)) else {
            return Self::Nothing;
        };
        let rest = rest.get(1..).unwrap_or_default();
        let visible = c_string(rest);
        let arrow = visible.windows(2).position(|pair| pair == b"->");
        // An arrow at the end belongs to the name.
        let arrow = arrow.filter(|at| at.saturating_add(2) < visible.len());
        let (after, field) = match arrow.and_then(|at| rest.split_at_checked(at)) {
            Some((after, field)) => (after, Some(field.get(2..).unwrap_or_default().to_vec())),
            None => (rest, None),
        };
        Self::Record {
            before: before.to_vec(),
            after: after.to_vec(),
            field,
        }
    }

    /// True if it stands for something in another record.
    pub(super) fn is_record(&self) -> bool {
        matches!(self, Self::Record { .. })
    }

    /// Where what it stands for is, for this element.
    pub(super) fn of<'e>(&'e self, element: &'e [u8]) -> Lookup<'e> {
        match self {
            Self::Element => Lookup::Element(element),
            Self::Nothing => Lookup::Nothing,
            Self::Record {
                before,
                after,
                field,
            } => Lookup::Record {
                name: [before, element, after].concat(),
                field: field.as_deref(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_star_is_replaced_and_an_arrow_names_a_field() {
        let found = |pattern: &[u8]| match Pattern::parse(pattern).of(b"E") {
            Lookup::Element(element) => element.escape_ascii().to_string(),
            Lookup::Nothing => "nothing".to_owned(),
            Lookup::Record { name, field } => match field {
                None => name.escape_ascii().to_string(),
                Some(field) => format!("{} of {}", field.escape_ascii(), name.escape_ascii()),
            },
        };
        for (pattern, expected) in [
            (&b"#"[..], "E"),
            (b"#\0x", "E"),
            (b"", "nothing"),
            (b"nosort", "nothing"),
            (b"a->b", "nothing"),
            (b"a\0*", "nothing"),
            (b"*", "E"),
            (b"w_*", "w_E"),
            (b"a*b*c", "aEb*c"),
            (b"o_*->f", "f of o_E"),
            (b"o_*x->f", "f of o_Ex"),
            (b"o_*->f->g", "f->g of o_E"),
            (b"o_*->", "o_E->"),
            (b"o_*->->", "-> of o_E"),
            (b"a->b_*", "a->b_E"),
            (b"o_*->\0f", "o_E->\\x00f"),
            (b"o_*->f\0g", "f\\x00g of o_E"),
            (b"o_*\0->f", "o_E\\x00->f"),
        ] {
            assert_eq!(found(pattern), expected, "{}", pattern.escape_ascii());
        }
    }
}
