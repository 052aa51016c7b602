//! `get` and `put`: one record of the store, opened or sealed.

use std::time::Duration;

use waxseal_service::resources::Resources;
use waxseal_service::values::stored::{self, Destination};
use waxseal_service::{Ended, Failure};
use waxseal_stores::Slot;

use crate::args::{GetArgs, PutArgs};
use crate::commands::value::read_value;
use crate::output;

pub(crate) async fn get(resources: &Resources, args: &GetArgs) -> Result<Ended, Failure> {
    let slot = match (args.field.field(), args.element) {
        (Some(field), _) => Slot::Field(field),
        (None, Some(index)) => Slot::Element(index),
        (None, None) => Slot::Whole,
    };
    output::bytes(&stored::get(resources, &args.name.name(), &slot).await?)?;
    if output::is_for_a_person() {
        output::line("")?;
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
