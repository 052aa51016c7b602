//! Commands of a transaction that compute on one value and follow each other, without another command that names its record.
//! They are written at once, by the first of them.

use std::collections::HashMap;

use waxseal_compute::Expiry;
use waxseal_policy::table::find;

use super::journal::{ComputedEntry, Journal, Replaced};
use super::values::{Current, WatchedValues};
use crate::connection::computed::Change;
use crate::connection::stored::StoredValue;
use crate::open::{ReplayedReply, WriteGroup};
use crate::pending::Shape;

/// Commands that are written at once.
pub(super) struct Group<'j> {
    /// The position of the first one.
    pub(super) at: usize,
    /// The index of their value.
    pub(super) value: usize,
    pub(super) members: Vec<(usize, &'j ComputedEntry)>,
}

impl Group<'_> {
    /// The replies to its commands: in their places, if what the first one writes is not compared, else as that reply says.
    pub(super) fn shapes(&self, answers: Vec<Vec<u8>>, is_compared: bool) -> Vec<(usize, Shape)> {
        let members = self.members.iter().zip(answers);
        let shapes = members.map(|(&(position, entry), answer)| {
            let shape = match is_compared {
                false => Shape::Fixed(answer.into()),
                true => Shape::Replayed(Box::new(ReplayedReply::Computed {
                    answer,
                    wrong_type: entry.operation.wrong_type(),
                    is_field: entry.location.field.is_some(),
                    group: WriteGroup {
                        first: self.at,
                        is_first: position == self.at,
                    },
                })),
            };
            (position, shape)
        });
        shapes.collect()
    }

    /// The group leaves this value.
    pub(super) fn leave(
        &self,
        change: Change,
        next: Option<StoredValue>,
        values: &mut WatchedValues,
    ) {
        let Some((_, entry)) = self.members.last() else {
            return;
        };
        let name = &entry.location.name[..];
        match (change, entry.location.field.is_some()) {
            (Change::Delete, _) => values.set_all(name, Current::ABSENT),
            (Change::Put(_), true) => {
                values.set_no_string(name);
                values.set(self.value, Current::Value(next));
            }
            (Change::Put(_), false) => values.set_string(name, Current::Value(next)),
        }
        if is_alone(entry) {
            values.touch(name);
        }
    }
}

/// The commands that are written at once, by the position of the first one: those on one value that follow each other
/// without another command that names its record.
pub(super) fn groups<'j>(
    journal: &'j Journal,
    values: &WatchedValues,
) -> HashMap<usize, Group<'j>> {
    let mut groups: HashMap<usize, Group<'j>> = HashMap::new();
    // The value that was computed on last in each record, and its group.
    let mut last: HashMap<&'j [u8], (usize, usize)> = HashMap::new();
    for (position, (entry, sent)) in journal.iter().enumerate() {
        match entry.replaced.as_deref() {
            None => {
                entry.with_arguments((sent, journal.view()), |arguments| {
                    let Some(row) = find(arguments) else {
                        return last.clear();
                    };
                    for at in row.names.places(arguments) {
                        last.remove(arguments.get(at).copied().unwrap_or_default());
                    }
                });
            }
            Some(Replaced::Move(entry)) => {
                last.remove(entry.source.name());
                last.remove(&entry.destination.name[..]);
            }
            Some(Replaced::Computed(entry)) => {
                let Some(value) = values.find(&entry.location) else {
                    continue;
                };
                let name = &entry.location.name[..];
                let joins = last.get(name).filter(|(it, _)| *it == value);
                let joins = joins.map(|(_, at)| *at).filter(|_| !is_alone(entry));
                let at = joins.unwrap_or(position);
                let group = groups.entry(at).or_insert_with(|| Group {
                    at,
                    value,
                    members: Vec::new(),
                });
                group.members.push((position, entry));
                match is_alone(entry) {
                    true => last.remove(name),
                    false => last.insert(name, (value, at)),
                };
            }
        }
    }
    groups
}

/// True for a command that the server may refuse although the value is known: for the time that it sets.
fn is_alone(entry: &ComputedEntry) -> bool {
    matches!(entry.operation.expiry(), Expiry::Set(..))
}
