//! The positions of record names in a request: one rule for each layout that Redis commands have.
//!
//! Where a rule and a server could disagree, such as about a count that is not a number, the rule takes too
//! many arguments for names rather than too few.

use crate::argument::{count, is, is_any_keyword};

/// The positions of the record names of a command. Argument 0 is the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// It has none.
    None,
    /// A container: its subcommands have rows of their own.
    Subcommands,
    /// At fixed positions: from `first` to `last`, which counts from the end if negative, every `step`.
    At {
        /// The first name.
        first: usize,
        /// The last position that can be a name: -1 is the last argument, -2 the one before it.
        last: isize,
        /// The distance from one name to the next.
        step: usize,
    },
    /// After their count.
    Counted {
        /// A name before the count: the destination of the result.
        destination: Option<usize>,
        /// The position of the count.
        at: usize,
        /// The distance from one name to the next.
        step: usize,
    },
    /// SORT: the first argument, the one after `STORE`, and the globs after `BY` and `GET`.
    Sort,
    /// XREAD, XREADGROUP: the first half of the arguments after `STREAMS`.
    Streams,
    /// GEORADIUS, GEORADIUSBYMEMBER: the first argument, and those after `STORE` and `STOREDIST`.
    Radius,
    /// MIGRATE: the third argument unless it is empty, and all arguments after `KEYS`.
    Migrate,
}

/// The kind of an argument at a position of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArgumentKind {
    /// A record name.
    Name,
    /// A glob that record names are made of.
    Glob,
}

/// One name, at position 1.
pub(crate) const FIRST: Names = at(1, 1, 1);
/// Two names, at positions 1 and 2.
pub(crate) const FIRST_TWO: Names = at(1, 2, 1);
/// One name, after the subcommand.
pub(crate) const SECOND: Names = at(2, 2, 1);
/// Every argument is a name.
pub(crate) const ALL: Names = at(1, -1, 1);
/// Every argument but the last.
pub(crate) const ALL_BUT_LAST: Names = at(1, -2, 1);

/// Names at fixed positions.
pub(crate) const fn at(first: usize, last: isize, step: usize) -> Names {
    Names::At { first, last, step }
}

/// Names after their count.
pub(crate) const fn counted(at: usize) -> Names {
    Names::Counted {
        destination: None,
        at,
        step: 1,
    }
}

impl Names {
    /// The positions of all record names in a request, in the order of the rule, without globs.
    #[must_use]
    pub fn places(self, arguments: &[&[u8]]) -> Vec<usize> {
        let mut places = Vec::new();
        self.any(arguments, arguments.len(), |at, kind| {
            if kind == ArgumentKind::Name {
                places.push(at);
            }
            false
        });
        places
    }

    /// Calls `found` with each position of a name until it returns true, and returns whether it did. `arguments`
    /// are the first of a request that will have `total`.
    pub(crate) fn any(
        self,
        arguments: &[&[u8]],
        total: usize,
        mut found: impl FnMut(usize, ArgumentKind) -> bool,
    ) -> bool {
        let here = arguments.len();
        match self {
            Self::None | Self::Subcommands => false,
            Self::At { first, last, step } => places(first, end(last, total).min(here), step)
                .any(|at| found(at, ArgumentKind::Name)),
            Self::Counted {
                destination,
                at,
                step,
            } => {
                let before = destination.filter(|at| *at < here);
                before.is_some_and(|at| found(at, ArgumentKind::Name))
                    || counted_places(arguments, at, step).any(|at| found(at, ArgumentKind::Name))
            }
            Self::Sort => any_of_sort(arguments, &mut found),
            Self::Streams => any_of_streams(arguments, &mut found),
            Self::Radius => any_of_radius(arguments, &mut found),
            Self::Migrate => any_of_migrate(arguments, &mut found),
        }
    }

    /// The position of the count, if what stands there is none: an error to the server, and perhaps a name.
    pub(crate) fn miscounted(self, arguments: &[&[u8]]) -> Option<usize> {
        match self {
            Self::Counted { at, .. } if at < arguments.len() => {
                count(arguments, at).is_none().then_some(at)
            }
            _ => None,
        }
    }

    /// True if all names are among these first arguments of a request that will have `total`.
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

/// The position after the last one that can be a name.
fn end(last: isize, total: usize) -> usize {
    match usize::try_from(last) {
        Ok(last) => total.min(last.saturating_add(1)),
        Err(_) => total.saturating_add(1).saturating_sub(last.unsigned_abs()),
    }
}

fn places(first: usize, end: usize, step: usize) -> impl Iterator<Item = usize> {
    (first..end).step_by(step.max(1))
}

/// The positions after a count: as many as it says, or all that follow if the count cannot be right.
fn counted_places(
    arguments: &[&[u8]],
    at: usize,
    step: usize,
) -> impl Iterator<Item = usize> + use<> {
    let total = arguments.len();
    let counted_end = count(arguments, at).and_then(|count| end_of_counted(at, step, count));
    let (end, step) = match counted_end {
        Some(end) if end <= total => (end, step),
        _ => (total, 1),
    };
    places(at.saturating_add(1), end, step)
}

fn end_of_counted(at: usize, step: usize, count: usize) -> Option<usize> {
    count.checked_mul(step)?.checked_add(at)?.checked_add(1)
}

type Visitor<'s> = &'s mut dyn FnMut(usize, ArgumentKind) -> bool;

fn any_of_sort(arguments: &[&[u8]], found: Visitor<'_>) -> bool {
    let total = arguments.len();
    if total > 1 && found(1, ArgumentKind::Name) {
        return true;
    }
    let mut at = 2_usize;
    while at < total {
        let next = at.saturating_add(1);
        if is_any_keyword(arguments, at, &["ASC", "DESC", "ALPHA"]) {
            at = next;
        } else if is(arguments, at, "LIMIT") {
            at = at.saturating_add(3);
        } else if is_any_keyword(arguments, at, &["BY", "GET"]) {
            let itself = is(arguments, next, "#");
            if next < total && !itself && found(next, ArgumentKind::Glob) {
                return true;
            }
            at = at.saturating_add(2);
        } else if is(arguments, at, "STORE") {
            if next < total && found(next, ArgumentKind::Name) {
                return true;
            }
            at = at.saturating_add(2);
        } else {
            // An unknown option: any argument that follows may be a name.
            return (at..total)
                .any(|at| found(at, ArgumentKind::Glob) || found(at, ArgumentKind::Name));
        }
    }
    false
}

fn any_of_streams(arguments: &[&[u8]], found: Visitor<'_>) -> bool {
    let total = arguments.len();
    let mut at = 1_usize;
    while at < total {
        if is(arguments, at, "STREAMS") {
            let first = at.saturating_add(1);
            let operands = total.saturating_sub(first);
            // An odd number is an error to the server.
            let names = if operands.is_multiple_of(2) {
                operands / 2
            } else {
                operands
            };
            return (first..first.saturating_add(names)).any(|at| found(at, ArgumentKind::Name));
        }
        let taken = if is(arguments, at, "NOACK") {
            1
        } else if is_any_keyword(arguments, at, &["COUNT", "BLOCK", "CLAIM"]) {
            2
        } else if is(arguments, at, "GROUP") {
            3
        } else {
            return (at..total).any(|at| found(at, ArgumentKind::Name));
        };
        at = at.saturating_add(taken);
    }
    false
}

fn any_of_radius(arguments: &[&[u8]], found: Visitor<'_>) -> bool {
    let total = arguments.len();
    if total > 1 && found(1, ArgumentKind::Name) {
        return true;
    }
    // Before that are places and a member, which may be called `store`.
    (5..total.saturating_sub(1)).any(|at| {
        is_any_keyword(arguments, at, &["STORE", "STOREDIST"])
            && found(at.saturating_add(1), ArgumentKind::Name)
    })
}

fn any_of_migrate(arguments: &[&[u8]], found: Visitor<'_>) -> bool {
    let total = arguments.len();
    let single = arguments.get(3).is_some_and(|name| !name.is_empty());
    if single && found(3, ArgumentKind::Name) {
        return true;
    }
    let several = (6..total).find(|at| is(arguments, *at, "KEYS"));
    several.is_some_and(|at| (at.saturating_add(1)..total).any(|at| found(at, ArgumentKind::Name)))
}
