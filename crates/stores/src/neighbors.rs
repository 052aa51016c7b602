//! The other databases of a server. Each database is a store of its own: an operator who finds
//! nothing in one may have named the wrong one.

/// The other databases of a store's server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Neighbors {
    /// The store has a single database.
    None,
    /// The server does not report them, or its user may not ask.
    Unknown,
    /// Those that hold records, ordered by number.
    Known(Vec<Neighbor>),
}

/// One other database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// Its number.
    pub database: u32,
    /// The number of its records.
    pub records: u64,
    /// The matches of each pattern, in their order.
    pub matches: Vec<Matches>,
}

/// Whether a database holds records that match a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matches {
    /// At least one.
    Some,
    /// None: all of its records were examined.
    None,
    /// None among those that were examined, or the user may not examine any.
    Unknown,
}

impl Neighbors {
    /// The databases that are known.
    #[must_use]
    pub fn known(&self) -> &[Neighbor] {
        match self {
            Self::None | Self::Unknown => &[],
            Self::Known(databases) => databases,
        }
    }
}
