//! What was read for a command that sorts, and what is still to be.

use waxseal_compute::{Lookup, Sort};
use waxseal_lua::write_eval;

use crate::answers;
use crate::open::{LookedUp, SortedRecord, check_count, write_results};
use crate::pending::Protocol;

/// What is known.
#[derive(Default)]
pub(super) struct SortData {
    pub(super) record: Option<SortedRecord>,
    /// The digest of everything that was read.
    pub(super) digest: Vec<u8>,
    /// What the elements are sorted by, if not by themselves.
    weights: Option<Vec<Slot>>,
    /// The elements that are returned, in their order, by their places.
    order: Option<Vec<usize>>,
    /// What is returned.
    results: Option<Vec<Slot>>,
    /// What was looked up, or is being.
    lookups: Vec<LookedUp>,
    /// The number of those that were.
    known: usize,
}

/// What is to be done next.
pub(super) enum Todo {
    Read,
    LookUp,
    /// Everything is known.
    Finish,
}

/// A weight or a result.
enum Slot {
    /// The element at this place.
    Element(usize),
    Value(Option<Vec<u8>>),
    /// It is being looked up.
    Asked,
}

impl SortData {
    pub(super) fn retained_bytes(&self) -> usize {
        let elements = self.record.iter().flat_map(|record| &record.elements);
        let elements = elements.map(|element| element.len().saturating_add(size_of::<Vec<u8>>()));
        let lookups = self.lookups.iter().map(LookedUp::retained_bytes);
        let slots = self.weights.iter().chain(&self.results).flatten();
        let slots = slots.map(Slot::retained_bytes);
        elements
            .chain(lookups)
            .chain(slots)
            .fold(0, usize::saturating_add)
    }

    /// Finds what is to be done next. `Err` is the answer if the command cannot be carried out.
    pub(super) fn next(
        &mut self,
        sort: &Sort,
        (command, limit): (&'static str, usize),
    ) -> Result<Todo, Vec<u8>> {
        let Some(record) = &self.record else {
            return Ok(Todo::Read);
        };
        if self.order.is_none()
            && self.weights.is_none()
            && let Some(weights) = sort.weights(&record.elements)
        {
            let slots = slots(weights.zip(0..), &mut self.lookups);
            self.weights = Some(slots);
        }
        if self.known == self.lookups.len() && self.order.is_none() {
            let weights = self.weights.take().unwrap_or_default();
            let weights: Vec<Option<Vec<u8>>> = weights.into_iter().map(Slot::into_value).collect();
            let order = sort.order(record.kind, &record.elements, &weights);
            self.order = Some(order.map_err(answers::server_error)?);
        }
        if let (Some(order), None) = (&self.order, &self.results) {
            let element = |place: &usize| record.elements.get(*place).map(Vec::as_slice);
            let elements = order.iter().filter_map(element);
            let each = sort.results_of_each();
            check_count(command, order.len().saturating_mul(each), limit)?;
            let places = order
                .iter()
                .flat_map(|place| std::iter::repeat_n(*place, each));
            let slots = slots(sort.results(elements).zip(places), &mut self.lookups);
            self.results = Some(slots);
        }
        if self.known == self.lookups.len() {
            return Ok(Todo::Finish);
        }
        check_count(command, self.lookups.len(), limit)?;
        let lookups = self.lookups.iter().map(LookedUp::retained_bytes);
        match lookups.fold(0, usize::saturating_add) > limit {
            true => Err(answers::reply_too_large(command, limit)),
            false => Ok(Todo::LookUp),
        }
    }

    /// What is being looked up.
    pub(super) fn asked(&self) -> &[LookedUp] {
        self.lookups.get(self.known..).unwrap_or_default()
    }

    /// Takes what was found, in the order in which it was asked for.
    pub(super) fn take(&mut self, found: Vec<Option<Vec<u8>>>) {
        self.known = self.lookups.len();
        let slots = self.results.as_mut().or(self.weights.as_mut());
        let asked = slots.into_iter().flatten();
        let asked = asked.filter(|slot| matches!(slot, Slot::Asked));
        for (slot, value) in asked.zip(found) {
            *slot = Slot::Value(value);
        }
    }

    /// The names that were looked up.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.lookups.iter().map(|lookup| &lookup.name[..])
    }

    /// Appends the request that runs this script on everything that was looked up, and stores these elements there. The names
    /// are the stored ones of the source and of what was looked up.
    pub(super) fn write<'n>(
        &self,
        text: &str,
        mut names: Vec<&'n [u8]>,
        word: &[u8],
        destination: Option<(&'n [u8], &[Vec<u8>])>,
        out: &mut Vec<u8>,
    ) {
        let known = self.known.to_string();
        let fields: Vec<Vec<u8>> = self.lookups.iter().map(LookedUp::argument).collect();
        let mut arguments = vec![word, &self.digest, known.as_bytes()];
        arguments.extend(fields.iter().map(Vec::as_slice));
        if let Some((name, elements)) = destination {
            names.push(name);
            arguments.extend(elements.iter().map(Vec::as_slice));
        }
        write_eval(out, text, &names, &arguments);
    }

    fn results(&self) -> Vec<Option<&[u8]>> {
        let elements = self.record.as_ref().map(|record| &record.elements[..]);
        let elements = elements.unwrap_or_default();
        let slots = self.results.as_deref().unwrap_or_default();
        let results = slots.iter().map(|slot| match slot {
            Slot::Element(place) => elements.get(*place).map(Vec::as_slice),
            Slot::Value(value) => value.as_deref(),
            Slot::Asked => None,
        });
        results.collect()
    }

    /// The reply with the results.
    pub(super) fn reply(&self, command: &'static str, limits: (Protocol, usize)) -> Vec<u8> {
        let mut out = Vec::new();
        match write_results(&self.results(), command, limits, &mut out) {
            Ok(()) => out,
            Err(answer) => answer,
        }
    }

    /// The elements of the list that is stored: what is not there is empty. `Err` is the answer if they are too many.
    pub(super) fn to_store(
        &self,
        command: &'static str,
        limit: usize,
    ) -> Result<Vec<&[u8]>, Vec<u8>> {
        let results = self.results();
        let lengths = results.iter().flatten().map(|result| result.len());
        match lengths.fold(0, usize::saturating_add) > limit {
            true => Err(answers::too_large(command, limit)),
            false => Ok(results.into_iter().map(Option::unwrap_or_default).collect()),
        }
    }
}

/// A slot for each lookup, with the place of its element. Those that are in other records are added to `lookups`.
fn slots<'e>(
    wanted: impl Iterator<Item = (Lookup<'e>, usize)>,
    lookups: &mut Vec<LookedUp>,
) -> Vec<Slot> {
    let slot = |(lookup, place)| match lookup {
        Lookup::Element(_) => Slot::Element(place),
        Lookup::Nothing => Slot::Value(None),
        Lookup::Record { name, field } => {
            let field = field.map(<[u8]>::to_vec);
            lookups.push(LookedUp { name, field });
            Slot::Asked
        }
    };
    wanted.map(slot).collect()
}

impl Slot {
    fn retained_bytes(&self) -> usize {
        let value = match self {
            Self::Value(value) => value.as_ref().map_or(0, Vec::len),
            Self::Element(_) | Self::Asked => 0,
        };
        value.saturating_add(size_of::<Self>())
    }

    /// The value that was looked up.
    fn into_value(self) -> Option<Vec<u8>> {
        match self {
            Self::Value(value) => value,
            Self::Element(_) | Self::Asked => None,
        }
    }
}
