//! The requests of the model: a line for each form of a command, by feature. A new command is a line
//! here; its places are in `generator`.

mod hashes;
mod lists;
mod members;
mod records;
mod streams;
mod strings;

use super::comparison::Comparison;

/// What a run asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feature {
    /// Values of strings.
    Strings,
    /// Strings on which the server computes.
    Computed,
    /// Fields of hashes.
    Hashes,
    /// Fields on which the server computes.
    ComputedFields,
    /// Fields that expire, from Redis 8.0 on.
    FieldLifetimes,
    /// Elements of lists.
    Lists,
    /// Lists whose elements are named by value.
    ListValues,
    /// Members of sets.
    Sets,
    /// Members of sorted sets.
    SortedSets,
    /// Members with a position.
    Geo,
    /// Entries of streams.
    Streams,
    /// Values that the server puts into another record of their group.
    GroupMoves,
    /// Members of several records of a group that the server compares.
    Algebra,
    /// Values that move between records they are bound to.
    RecordMoves,
    /// Elements and members that are sorted.
    Sorting,
    /// Pages of fields, members and names.
    Scans,
    /// Lifetimes, types and existence.
    Records,
    /// MULTI, EXEC and WATCH.
    Transactions,
    /// Requests that wait.
    Blocking,
    /// Messages to subscribers.
    Messages,
    /// What the server computes within transactions.
    ComputedInTransactions,
}

impl Feature {
    /// All features.
    pub const ALL: [Self; 21] = [
        Self::Strings,
        Self::Computed,
        Self::Hashes,
        Self::ComputedFields,
        Self::FieldLifetimes,
        Self::Lists,
        Self::ListValues,
        Self::Sets,
        Self::SortedSets,
        Self::Geo,
        Self::Streams,
        Self::GroupMoves,
        Self::Algebra,
        Self::RecordMoves,
        Self::Sorting,
        Self::Scans,
        Self::Records,
        Self::Transactions,
        Self::Blocking,
        Self::Messages,
        Self::ComputedInTransactions,
    ];

    /// The name on a command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strings => "strings",
            Self::Computed => "computed",
            Self::Hashes => "hashes",
            Self::ComputedFields => "computed-fields",
            Self::FieldLifetimes => "field-lifetimes",
            Self::Lists => "lists",
            Self::ListValues => "list-values",
            Self::Sets => "sets",
            Self::SortedSets => "sorted-sets",
            Self::Geo => "geo",
            Self::Streams => "streams",
            Self::GroupMoves => "group-moves",
            Self::Algebra => "algebra",
            Self::RecordMoves => "record-moves",
            Self::Sorting => "sorting",
            Self::Scans => "scans",
            Self::Records => "records",
            Self::Transactions => "transactions",
            Self::Blocking => "blocking",
            Self::Messages => "messages",
            Self::ComputedInTransactions => "computed-in-transactions",
        }
    }

    /// The feature of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }
}

/// Which names a request may name together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Names of all scopes.
    Any,
    /// Names of one group, or names that are not protected.
    Group,
    /// Names of one scope, of any.
    OneScope,
}

/// A form of a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) line: &'static str,
    pub(super) comparison: Comparison,
    pub(super) reach: Reach,
    /// How often it is chosen, compared with others.
    pub(super) weight: usize,
    /// Features without which it is not asked for.
    pub(super) needs: &'static [Feature],
}

impl Row {
    const fn new(line: &'static str) -> Self {
        Self {
            line,
            comparison: Comparison::Exact,
            reach: Reach::Any,
            weight: 4,
            needs: &[],
        }
    }

    const fn compared(mut self, comparison: Comparison) -> Self {
        self.comparison = comparison;
        self
    }

    const fn unordered(self) -> Self {
        self.compared(Comparison::Unordered)
    }

    const fn pairs(self) -> Self {
        self.compared(Comparison::Pairs)
    }

    const fn lifetime(self) -> Self {
        self.compared(Comparison::Lifetime)
    }

    const fn within(mut self, reach: Reach) -> Self {
        self.reach = reach;
        self
    }

    const fn often(mut self) -> Self {
        self.weight = 12;
        self
    }

    const fn seldom(mut self) -> Self {
        self.weight = 1;
        self
    }

    const fn needs(mut self, needs: &'static [Feature]) -> Self {
        self.needs = needs;
        self
    }
}

/// The rows of these features.
pub(super) fn rows(features: &[Feature]) -> Vec<&'static Row> {
    let tables = features.iter().map(|feature| match feature {
        Feature::Strings => strings::VALUES,
        Feature::Computed => strings::COMPUTED,
        Feature::Hashes => hashes::FIELDS,
        Feature::ComputedFields => hashes::COMPUTED,
        Feature::FieldLifetimes => hashes::LIFETIMES,
        Feature::Lists => lists::ELEMENTS,
        Feature::ListValues => lists::BY_VALUE,
        Feature::Sets => members::SETS,
        Feature::SortedSets => members::SORTED_SETS,
        Feature::Geo => members::GEO,
        Feature::Streams => streams::ENTRIES,
        Feature::GroupMoves => records::GROUP_MOVES,
        Feature::RecordMoves => records::RECORD_MOVES,
        Feature::Sorting => records::SORTED,
        Feature::Scans => records::SCANS,
        Feature::Records => records::ANY,
        Feature::Transactions
        | Feature::Algebra
        | Feature::Blocking
        | Feature::Messages
        | Feature::ComputedInTransactions => &[],
    });
    tables
        .flatten()
        .filter(|row| row.needs.iter().all(|it| features.contains(it)))
        .filter(|row| row.reach != Reach::Group || features.contains(&Feature::GroupMoves))
        .collect()
}

/// True if the server computes with the value of a record.
pub(super) fn is_computed(row: &Row) -> bool {
    let mut rows = strings::COMPUTED.iter().chain(hashes::COMPUTED);
    rows.any(|it| it.line == row.line)
}

/// The rows that write values in another form.
pub(super) fn earlier_rows(features: &[Feature]) -> Vec<&'static Row> {
    let has = |row: &&Row| row.needs.iter().all(|it| features.contains(it));
    records::EARLIER.iter().filter(has).collect()
}

/// Requests that wait, each with one that ends the wait.
pub(super) fn waits(features: &[Feature]) -> Vec<&'static (Row, Row)> {
    let has = |row: &Row| row.needs.iter().all(|it| features.contains(it));
    let rows = records::WAITS.iter();
    rows.filter(|(row, waking)| has(row) && has(waking))
        .collect()
}

#[test]
fn every_line_can_be_parsed_and_every_feature_has_a_name() {
    for row in rows(&Feature::ALL) {
        assert!(!super::template::parse(row.line).is_empty());
    }
    for feature in Feature::ALL {
        assert_eq!(Feature::parse(feature.as_str()), Some(feature));
    }
}
