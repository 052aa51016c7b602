//! Server commands that a store would use and cannot: for an operator who wants to know before a
//! sweep finds out.

/// A command that the server does not have, or that the store's user may not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingCommand {
    /// Its name.
    pub command: &'static str,
    /// True if the server has it and the user may not send it.
    pub is_denied: bool,
    /// The consequence.
    pub effect: Effect,
}

/// The consequence of a missing command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The store does this instead.
    Replaced(&'static str),
    /// This does not work without it.
    Fails(&'static str),
}
