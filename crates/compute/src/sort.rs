//! `SORT` and `SORT_RO`: what is read for it, the order of elements, and which of them are returned.
//!
//! The elements come from one record, and what they are sorted by, and what is returned in their places, can come from
//! others, whose names are made of the elements. A caller therefore asks in this order: [`Sort::parse`];
//! [`Sort::weights`] of the elements; [`Sort::order`] by those; [`Sort::results`] of the elements in that order.
//!
//! Texts are compared by their bytes, as a server does whose locale is `C`. Where a server promises no order, between
//! equal weights of texts, elements keep theirs.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

use crate::arguments::{Request, c_string, is_keyword};
use crate::dialect::Dialect;
use crate::error::{Rejected, ServerError};

use self::number::Score;
pub use self::pattern::Lookup;
use self::pattern::Pattern;

mod number;
mod pattern;

/// The type of the record whose elements are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortedType {
    /// A list, from its head; or no record.
    List,
    /// A set.
    Set,
    /// A sorted set, from the lowest score.
    SortedSet,
}

/// A request that sorts.
///
/// Its debug form shows no pattern.
#[derive(Clone)]
pub struct Sort {
    is_descending: bool,
    is_alphabetic: bool,
    /// The number of elements that are left out, and the number of those that are returned; negative is all.
    limit: (i64, i64),
    /// The last `BY`.
    by: Option<Pattern>,
    /// A `BY` without a star was given: nothing is sorted.
    keeps_order: bool,
    gets: Vec<Pattern>,
    destination: Option<usize>,
    dialect: Dialect,
}

impl Sort {
    /// Reads a request, its command's name first.
    ///
    /// # Errors
    ///
    /// If it is neither of both commands, the server does not have it, or refuses it whatever its record holds.
    pub fn parse(arguments: &[&[u8]], dialect: Dialect) -> Result<Self, Rejected> {
        let request = Request::new(arguments, dialect);
        let word = request.at(0);
        let reads = word.eq_ignore_ascii_case(b"sort_ro");
        let is_known = match reads {
            true => dialect.has_read_only_sort(),
            false => word.eq_ignore_ascii_case(b"sort"),
        };
        if !is_known {
            return Err(Rejected::NotComputed);
        }
        if request.len() < 2 {
            let name = if reads { "sort_ro" } else { "sort" };
            return Err(Rejected::Arity(ServerError::Arity(name)));
        }
        let mut sort = Self {
            is_descending: false,
            is_alphabetic: false,
            limit: (0, -1),
            by: None,
            keeps_order: false,
            gets: Vec::new(),
            destination: None,
            dialect,
        };
        sort.read_options(&request, reads)
            .map_err(Rejected::Arguments)?;
        Ok(sort)
    }

    fn read_options(&mut self, request: &Request<'_>, reads: bool) -> Result<(), ServerError> {
        let mut at = 2_usize;
        while at < request.len() {
            let is = |keyword| is_keyword(request.at(at), keyword);
            let next = at.saturating_add(1);
            let operands = request.len().saturating_sub(next);
            let taken = if is("asc") {
                self.is_descending = false;
                0
            } else if is("desc") {
                self.is_descending = true;
                0
            } else if is("alpha") {
                self.is_alphabetic = true;
                0
            } else if is("limit") && operands >= 2 {
                self.limit = (
                    request.integer(next)?,
                    request.integer(next.saturating_add(1))?,
                );
                2
            } else if is("store") && operands >= 1 && !reads {
                self.destination = Some(next);
                1
            } else if is("by") && operands >= 1 {
                self.keeps_order |= !c_string(request.at(next)).contains(&b'*');
                self.by = Some(Pattern::parse(request.at(next)));
                1
            } else if is("get") && operands >= 1 {
                self.gets.push(Pattern::parse(request.at(next)));
                1
            } else {
                return Err(ServerError::Syntax);
            };
            at = next.saturating_add(taken);
        }
        Ok(())
    }

    /// The argument that names the record which the result is stored in, if it is.
    #[must_use]
    pub fn destination(&self) -> Option<usize> {
        self.destination
    }

    /// True if nothing of other records is needed: the reply depends on the elements alone.
    #[must_use]
    pub fn needs_elements_alone(&self) -> bool {
        let is_by_another = self.by.is_some() && !self.keeps_order;
        !is_by_another && self.gets.iter().all(|get| !get.is_record())
    }

    /// Where the weights of these elements are, in their order. `None` if they are sorted by themselves, or not at all.
    #[must_use]
    pub fn weights<'e>(
        &'e self,
        elements: &'e [Vec<u8>],
    ) -> Option<impl Iterator<Item = Lookup<'e>>> {
        let by = self.by.as_ref().filter(|_| !self.keeps_order)?;
        Some(elements.iter().map(|element| by.of(element)))
    }

    /// The elements that are returned, in their order, each by its place. `weights` are those that were asked for, and
    /// empty if none were.
    ///
    /// # Errors
    ///
    /// The server's error if something that is sorted as a number is none.
    pub fn order(
        &self,
        record: SortedType,
        elements: &[Vec<u8>],
        weights: &[Option<Vec<u8>>],
    ) -> Result<Vec<usize>, ServerError> {
        // Equal requests have equal results where those are stored.
        let is_forced = record == SortedType::Set && self.destination.is_some();
        let mut places: Vec<usize> = (0..elements.len()).collect();
        if !self.keeps_order || is_forced {
            let keys = Keys {
                sort: self,
                is_alphabetic: self.is_alphabetic || self.keeps_order,
                elements,
                weights: self
                    .by
                    .as_ref()
                    .filter(|_| !self.keeps_order)
                    .map(|_| weights),
            };
            keys.sort(&mut places)?;
        } else if self.is_descending && record != SortedType::Set {
            places.reverse();
        }
        let window = self.window(places.len());
        places.truncate(window.end);
        places.drain(..window.start);
        Ok(places)
    }

    /// Where the results of these elements are, in their order.
    pub fn results<'e>(
        &'e self,
        elements: impl Iterator<Item = &'e [u8]>,
    ) -> impl Iterator<Item = Lookup<'e>> {
        elements.flat_map(|element| {
            let itself = self.gets.is_empty().then_some(Lookup::Element(element));
            let gets = self.gets.iter().map(move |get| get.of(element));
            itself.into_iter().chain(gets)
        })
    }

    /// The number of results for each element.
    #[must_use]
    pub fn results_of_each(&self) -> usize {
        self.gets.len().max(1)
    }

    /// The places that are returned of so many.
    fn window(&self, len: usize) -> Range<usize> {
        let (start, count) = self.limit;
        let bounded = |number: i64| usize::try_from(number).unwrap_or_default().min(len);
        let start = bounded(start);
        let end = match count {
            ..0 => len,
            count => start.saturating_add(bounded(count)).min(len),
        };
        start..end
    }
}

impl fmt::Debug for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sort")
    }
}

/// What elements are sorted by.
struct Keys<'a> {
    sort: &'a Sort,
    is_alphabetic: bool,
    elements: &'a [Vec<u8>],
    /// The weights, if they are not the elements themselves.
    weights: Option<&'a [Option<Vec<u8>>]>,
}

impl Keys<'_> {
    fn sort(&self, places: &mut [usize]) -> Result<(), ServerError> {
        let directed = |ordering: Ordering| match self.sort.is_descending {
            true => ordering.reverse(),
            false => ordering,
        };
        if self.is_alphabetic {
            places.sort_by(|one, other| directed(self.compare_texts(*one, *other)));
            return Ok(());
        }
        let scores: Result<Vec<Score>, ServerError> =
            places.iter().map(|place| self.score(*place)).collect();
        let scores = scores?;
        let score = |place: usize| scores.get(place).copied().unwrap_or_default();
        places.sort_by(|one, other| {
            let by_score = score(*one).compare(score(*other));
            directed(by_score.then_with(|| self.element(*one).cmp(self.element(*other))))
        });
        Ok(())
    }

    fn element(&self, place: usize) -> &[u8] {
        self.elements
            .get(place)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// What the element at this place is sorted by, if that is there.
    fn key(&self, place: usize) -> Option<&[u8]> {
        match self.weights {
            None => Some(self.element(place)),
            Some(weights) => weights.get(place)?.as_deref(),
        }
    }

    fn score(&self, place: usize) -> Result<Score, ServerError> {
        match self.key(place) {
            None => Ok(Score::default()),
            Some(text) => Score::parse(text, self.sort.dialect).ok_or(ServerError::SortNotANumber),
        }
    }

    fn compare_texts(&self, one: usize, other: usize) -> Ordering {
        // What is stored is sorted by all bytes, what is returned up to a NUL.
        let text = |place: usize| -> Option<&[u8]> {
            let key = self.key(place)?;
            Some(match self.sort.destination {
                Some(_) => key,
                None => c_string(key),
            })
        };
        text(one).cmp(&text(other))
    }
}

#[cfg(test)]
mod tests;
