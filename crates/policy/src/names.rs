//! Where the record names of a request stand. A rule for each way that Redis' commands have; what the
//! names mean, and whether they are protected, is not known here.
//!
//! Where the rules and a server could disagree, as with a count that is no number, a rule names too
//! many arguments rather than too few.

use crate::argument::{count, is, is_one_of};

/// Where the record names of a command stand. Argument 0 is the command word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// It has none.
    None,
    /// It is only the first word of its subcommands, which have rows of their own.
    Subcommands,
    /// At fixed places: from `first` to `last`, which counts from the end if negative, every `step`.
    At {
        /// The first name.
        first: usize,
        /// The last place that can be a name: -1 is the last argument, -2 the one before it.
        last: isize,
        /// From one name to the next.
        step: usize,
    },
    /// Behind their number.
    Counted {
        /// A name before the number: where a result is stored.
        destination: Option<usize>,
        /// Where the number stands.
        at: usize,
        /// From one name to the next.
        step: usize,
    },
    /// SORT: the first argument, what is behind `STORE`, and globs behind `BY` and `GET`.
    Sort,
    /// XREAD, XREADGROUP: the first half of what is behind `STREAMS`.
    Streams,
    /// GEORADIUS, GEORADIUSBYMEMBER: the first argument, and what is behind `STORE` and `STOREDIST`.
    Radius,
    /// MIGRATE: the third argument unless it is empty, and everything behind `KEYS`.
    Migrate,
}

/// What stands in a place that a rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A record name.
    Name,
    /// A glob that record names are made of.
    Glob,
}

/// One name, at 1.
pub(crate) const FIRST: Names = at(1, 1, 1);
/// Two names, at 1 and 2.
pub(crate) const FIRST_TWO: Names = at(1, 2, 1);
/// One name, behind the subcommand.
pub(crate) const SECOND: Names = at(2, 2, 1);
/// Every argument is a name.
pub(crate) const ALL: Names = at(1, -1, 1);
/// Every argument but the last.
pub(crate) const ALL_BUT_LAST: Names = at(1, -2, 1);

/// Names at fixed places.
pub(crate) const fn at(first: usize, last: isize, step: usize) -> Names {
    Names::At { first, last, step }
}

/// Names behind their number.
pub(crate) const fn counted(at: usize) -> Names {
    Names::Counted {
        destination: None,
        at,
        step: 1,
    }
}

impl Names {
    /// The places of all record names in a request, in the order of the rule. Globs are not among
    /// them.
    #[must_use]
    pub fn places(self, arguments: &[&[u8]]) -> Vec<usize> {
        let mut places = Vec::new();
        self.any(arguments, arguments.len(), |at, standing| {
            if standing == Standing::Name {
                places.push(at);
            }
            false
        });
        places
    }

    /// Shows every place that holds a name, until `see` says that it has seen enough. Answers
    /// whether it said so. Of a request that will have `total` arguments, these are the first.
    pub(crate) fn any(
        self,
        arguments: &[&[u8]],
        total: usize,
        mut see: impl FnMut(usize, Standing) -> bool,
    ) -> bool {
        let here = arguments.len();
        match self {
            Self::None | Self::Subcommands => false,
            Self::At { first, last, step } => {
                places(first, end(last, total).min(here), step).any(|at| see(at, Standing::Name))
            }
            Self::Counted {
                destination,
                at,
                step,
            } => {
                let before = destination.filter(|at| *at < here);
                before.is_some_and(|at| see(at, Standing::Name))
                    || counted_places(arguments, at, step).any(|at| see(at, Standing::Name))
            }
            Self::Sort => any_of_sort(arguments, &mut see),
            Self::Streams => any_of_streams(arguments, &mut see),
            Self::Radius => any_of_radius(arguments, &mut see),
            Self::Migrate => any_of_migrate(arguments, &mut see),
        }
    }

    /// Whether all names lie among the first arguments of a request that will have `total`.
    pub(crate) fn all_seen(self, arguments: &[&[u8]], total: usize) -> bool {
        if arguments.len() >= total {
            return true;
        }
        match self {
            Self::None => true,
            Self::At { first, last, step } => {
                places(first, end(last, total), step).all(|at| at < arguments.len())
            }
            Self::Counted { at, step, .. } => count(arguments, at)
                .and_then(|count| end_of_counted(at, step, count))
                .is_some_and(|end| end <= arguments.len()),
            Self::Subcommands | Self::Sort | Self::Streams | Self::Radius | Self::Migrate => false,
        }
    }
}

/// The place behind the last that can be a name.
fn end(last: isize, total: usize) -> usize {
    match usize::try_from(last) {
        Ok(last) => total.min(last.saturating_add(1)),
        Err(_) => total.saturating_add(1).saturating_sub(last.unsigned_abs()),
    }
}

fn places(first: usize, end: usize, step: usize) -> impl Iterator<Item = usize> {
    (first..end).step_by(step.max(1))
}

/// The places behind a count: as many as it says, or all that follow if it cannot be right.
fn counted_places(
    arguments: &[&[u8]],
    at: usize,
    step: usize,
) -> impl Iterator<Item = usize> + use<> {
    let total = arguments.len();
    let said = count(arguments, at).and_then(|count| end_of_counted(at, step, count));
    let (end, step) = match said {
        Some(end) if end <= total => (end, step),
        _ => (total, 1),
    };
    places(at.saturating_add(1), end, step)
}

fn end_of_counted(at: usize, step: usize, count: usize) -> Option<usize> {
    count.checked_mul(step)?.checked_add(at)?.checked_add(1)
}

type See<'s> = &'s mut dyn FnMut(usize, Standing) -> bool;

fn any_of_sort(arguments: &[&[u8]], see: See<'_>) -> bool {
    let total = arguments.len();
    if total > 1 && see(1, Standing::Name) {
        return true;
    }
    let mut at = 2_usize;
    while at < total {
        let next = at.saturating_add(1);
        if is_one_of(arguments, at, &["ASC", "DESC", "ALPHA"]) {
            at = next;
        } else if is(arguments, at, "LIMIT") {
            at = at.saturating_add(3);
        } else if is_one_of(arguments, at, &["BY", "GET"]) {
            let itself = is(arguments, next, "#");
            if next < total && !itself && see(next, Standing::Glob) {
                return true;
            }
            at = at.saturating_add(2);
        } else if is(arguments, at, "STORE") {
            if next < total && see(next, Standing::Name) {
                return true;
            }
            at = at.saturating_add(2);
        } else {
            // No option that is known: whatever follows may be a name.
            return (at..total).any(|at| see(at, Standing::Glob) || see(at, Standing::Name));
        }
    }
    false
}

fn any_of_streams(arguments: &[&[u8]], see: See<'_>) -> bool {
    let total = arguments.len();
    let mut at = 1_usize;
    while at < total {
        if is(arguments, at, "STREAMS") {
            let first = at.saturating_add(1);
            let rest = total.saturating_sub(first);
            // An odd number is an error to the server.
            let names = if rest.is_multiple_of(2) {
                rest / 2
            } else {
                rest
            };
            return (first..first.saturating_add(names)).any(|at| see(at, Standing::Name));
        }
        let taken = if is(arguments, at, "NOACK") {
            1
        } else if is_one_of(arguments, at, &["COUNT", "BLOCK", "CLAIM"]) {
            2
        } else if is(arguments, at, "GROUP") {
            3
        } else {
            return (at..total).any(|at| see(at, Standing::Name));
        };
        at = at.saturating_add(taken);
    }
    false
}

fn any_of_radius(arguments: &[&[u8]], see: See<'_>) -> bool {
    let total = arguments.len();
    if total > 1 && see(1, Standing::Name) {
        return true;
    }
    (2..total.saturating_sub(1)).any(|at| {
        is_one_of(arguments, at, &["STORE", "STOREDIST"])
            && see(at.saturating_add(1), Standing::Name)
    })
}

fn any_of_migrate(arguments: &[&[u8]], see: See<'_>) -> bool {
    let total = arguments.len();
    let single = arguments.get(3).is_some_and(|name| !name.is_empty());
    if single && see(3, Standing::Name) {
        return true;
    }
    let several = (6..total).find(|at| is(arguments, *at, "KEYS"));
    several.is_some_and(|at| (at.saturating_add(1)..total).any(|at| see(at, Standing::Name)))
}
