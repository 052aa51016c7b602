//! The location of a value, as the proxy uses it: owned while a reply is awaited, and bound to the value's envelope.

use smallvec::SmallVec;
use waxseal_core::Binding;
/// The kind of a value. Items of replies have a `Kind` of their own.
pub(crate) use waxseal_core::Kind as ValueKind;
use waxseal_policy::{Location, PatternId};

/// A record name; most are short.
pub(crate) type Name = SmallVec<[u8; 40]>;

/// A location that outlives the request which named it.
pub(crate) type OwnedLocation = Location<Name, Box<[u8]>>;

/// A location in a request or reply that is being processed.
pub(crate) type BorrowedLocation<'a> = Location<&'a [u8]>;

/// The location of values of this kind, which are in no field of a hash.
pub(crate) fn record(pattern: PatternId, name: &[u8], kind: ValueKind) -> BorrowedLocation<'_> {
    Location {
        pattern,
        kind,
        name,
        field: None,
    }
}

/// An owned copy.
pub(crate) fn owned(location: BorrowedLocation<'_>) -> OwnedLocation {
    location.map(Name::from_slice, Box::from)
}

/// The binding of a value at this location.
pub(crate) fn binding(location: BorrowedLocation<'_>) -> Binding<'_> {
    Binding::of_value(location.kind, location.name, location.field)
}

/// Bytes that an owned location holds beyond its own size.
#[inline]
pub(crate) fn retained_bytes(location: &OwnedLocation) -> usize {
    let name = match location.name.spilled() {
        true => location.name.len(),
        false => 0,
    };
    let field = location.field.as_ref().map_or(0, |field| field.len());
    name.saturating_add(field)
}
