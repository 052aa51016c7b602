//! `get` and `put`: one record of the store, opened or sealed.

use std::time::Duration;

use waxseal_service::resources::Resources;
use waxseal_service::values::stored::{self, Destination, Place};
use waxseal_service::{Ended, Failure};
use waxseal_stores::{RecordName, Slot};

use crate::args::{GetArgs, PutArgs};
use crate::commands::value::read_value;
use crate::output;

pub(crate) async fn get(resources: &Resources, args: &GetArgs) -> Result<Ended, Failure> {
    let name = args.name.name();
    if args.members {
        return members(resources, &name).await;
    }
    let place = match (args.field.field(), args.element, &args.entry) {
        (Some(field), _, Some(entry)) => Place::Entry {
            entry: entry.clone(),
            field,
        },
        (None, _, Some(_)) => {
            return Err(
                Failure::usage("--entry needs the field whose value is meant")
                    .hint("--field, or --field-hex; waxseal inspect shows entries and fields"),
            );
        }
        (Some(field), _, None) => Place::Slot(Slot::Field(field)),
        (None, Some(index), None) => Place::Slot(Slot::Element(index)),
        (None, None, None) => Place::Slot(Slot::Whole),
    };
    output::bytes(&stored::get(resources, &name, &place).await?)?;
    if output::is_for_a_person() {
        output::line("")?;
    }
    Ok(Ended::Done)
}

/// Prints the members of a set or sorted set, one per line.
async fn members(resources: &Resources, name: &RecordName) -> Result<Ended, Failure> {
    for member in stored::members(resources, name).await? {
        output::bytes(&member)?;
        output::bytes(b"\n")?;
    }
    Ok(Ended::Done)
}

pub(crate) async fn put(resources: &Resources, args: &PutArgs) -> Result<Ended, Failure> {
    let destination = Destination {
        name: args.name.name(),
        field: args.field.field(),
        replaces: args.replace,
        ttl: args.ttl.map(Duration::from_secs),
    };
    stored::put(resources, &destination, read_value).await
}
