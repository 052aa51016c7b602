//! The other databases of a server. Each database is a store of its own: an operator who finds nothing in
//! one may have named the wrong one.

/// The other databases of the server that a store is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Neighbors {
    /// The store has a single database.
    None,
    /// The server does not tell, or its user may not ask.
    Unknown,
    /// Those that hold records, in the order of their numbers.
    Known(Vec<Neighbor>),
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbor {
    /// Its number.
    pub database: u32,
    /// The number of its records.
    pub records: u64,
    /// For each pattern, in their order: records of its form.
    pub matches: Vec<Matches>,
}

/// Records of a pattern's form in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matches {
    /// At least one.
    Some,
    /// None: all of its records were looked at.
    None,
    /// Not found among those that were looked at, or the user may not look.
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
