//! Names on their way to the server: the one place where a name that a client says becomes the one that is stored.
//!
//! ```text
//! client          Connection                                      server
//! GET wa:1   ──▶  decide: argument 1 is a name                ──▶ GET wa:~9VcDE…
//!                 wire_names: its stored form
//! ```
//!
//! Everything else goes on with the names that clients say: values are bound to them, and queues, masks and limits know
//! no others. What has been written for the server is [read back](logical_arguments) with them, where a transaction is
//! sent again.

use std::borrow::Cow;
use std::ops::Range;

use waxseal_core::SealError;
use waxseal_named::{NameView, Opened};
use waxseal_policy::table::find;
use waxseal_policy::{
    Action, Decision, Effect, PatternId, RequestChange, ServerGlob, Transform, escape_glob,
};

use super::keyspace::{channels_of, store_channel};
use super::state::ConnectionState;
use crate::seal::{Request, SendError, WireNames};

/// The largest buffer for names that is kept for the next request.
const MAX_KEPT_BUFFER: usize = 4 * 1024;

/// How the names of a connection's requests are stored.
#[derive(Default)]
pub(super) struct NamesOnWire {
    /// The keys for the requests that are being read; none before the first one that has such names.
    view: Option<NameView>,
    /// For the names of the next request.
    buffer: Vec<u8>,
}

impl NamesOnWire {
    /// A chunk of requests has been read: with the next one, keys may be others.
    #[inline]
    pub(super) fn forget_view(&mut self) {
        if self.view.is_some() {
            self.view = None;
        }
    }

    /// A request has been processed.
    pub(super) fn reuse(&mut self, names: WireNames) {
        let buffer = names.into_buffer();
        if (1..=MAX_KEPT_BUFFER).contains(&buffer.capacity()) {
            self.buffer = buffer;
        }
    }
}

impl ConnectionState {
    /// The names that the server has in place of those of a request. `Err` is the reason why one cannot be made; then none
    /// of them may go out.
    #[inline]
    pub(super) fn wire_names(
        &mut self,
        decision: &Decision,
        arguments: &[&[u8]],
    ) -> Result<WireNames, SealError> {
        match self.protection.names().has_managed() {
            true => self.seal_names(decision, arguments),
            false => Ok(WireNames::default()),
        }
    }

    fn seal_names(
        &mut self,
        decision: &Decision,
        arguments: &[&[u8]],
    ) -> Result<WireNames, SealError> {
        let glob = name_in_glob(&decision.action);
        let channels = channels_of(decision.command);
        if decision.names.is_empty() && glob.is_none() && channels.is_none() {
            return Ok(WireNames::default());
        }
        let mut names = WireNames::with_buffer(std::mem::take(&mut self.names.buffer));
        let Some(view) = self.load_view() else {
            return Ok(names);
        };
        let argument = |at: usize| arguments.get(at).copied().unwrap_or_default();
        for slot in &decision.names {
            let at = usize::try_from(slot.argument).unwrap_or(usize::MAX);
            names.add(at, |out| view.seal(slot.pattern, argument(at), out))?;
        }
        if let Some(channels) = channels {
            let arguments = arguments.iter().enumerate();
            for (at, channel) in arguments.take(channels.end).skip(channels.start) {
                names.add(at, |out| store_channel(view, channel, out))?;
            }
        }
        if let Some((places, pattern)) = glob {
            let mut stored = Vec::new();
            view.seal(
                pattern,
                argument(places.last().copied().unwrap_or_default()),
                &mut stored,
            )?;
            for at in places {
                names.add(*at, |out| {
                    out.extend_from_slice(&escape_glob(&stored));
                    Ok::<_, SealError>(true)
                })?;
            }
        }
        Ok(names)
    }

    /// The keys of names, loaded if they are not yet. A transaction keeps them up to its end, so that all its names agree.
    fn load_view(&mut self) -> Option<&NameView> {
        let view = match self.transaction.open() {
            Some(transaction) => transaction.journal.view_mut(),
            None => &mut self.names.view,
        };
        if view.is_none() {
            *view = self.protection.name_view();
        }
        view.as_ref()
    }

    /// A name that the proxy has made, as it is stored.
    pub(super) fn stored_name<'n>(&self, logical: &'n [u8]) -> Result<Cow<'n, [u8]>, SendError> {
        let names = self.protection.names();
        if !names.has_managed() || !names.find(logical).is_some_and(|id| names.is_managed(id)) {
            return Ok(Cow::Borrowed(logical));
        }
        let Some(view) = self
            .names
            .view
            .clone()
            .or_else(|| self.protection.name_view())
        else {
            return Ok(Cow::Borrowed(logical));
        };
        let stored = view.stored(logical)?;
        Ok(stored.map_or(Cow::Borrowed(logical), Cow::Owned))
    }

    /// Refuses a request with a name that cannot be stored. Whatever was under way for it is over.
    #[cold]
    pub(super) fn refuse_name(
        &mut self,
        (request, command, effect): (&Request<'_>, Option<&'static str>, Effect),
        error: SealError,
        client: &mut Vec<u8>,
    ) {
        let name = command.unwrap_or("this command");
        let (reason, answer) = Self::send_error(name, &SendError::NotSealed(error));
        self.refuse_under_way((command, reason), answer, (request, effect), client);
    }
}

/// The arguments that are globs which the name of one record stands for, and its pattern.
fn name_in_glob(action: &Action) -> Option<(&[usize], PatternId)> {
    let Action::Transform(Transform {
        request:
            RequestChange::Glob {
                arguments,
                glob: ServerGlob::OneName(pattern),
            },
        ..
    }) = action
    else {
        return None;
    };
    Some((arguments, *pattern))
}

/// Calls `with` with these arguments, which were written for the server, with the names that the client said.
pub(super) fn logical_arguments<T>(
    view: Option<&NameView>,
    arguments: &[&[u8]],
    with: impl FnOnce(&[&[u8]]) -> T,
) -> T {
    let row = view.and_then(|view| Some((view, find(arguments)?)));
    let Some((view, row)) = row else {
        return with(arguments);
    };
    let mut bytes = Vec::new();
    let mut opened: Vec<(usize, Range<usize>)> = Vec::new();
    for at in row.names.places(arguments) {
        let stored = arguments.get(at).copied().unwrap_or_default();
        let start = bytes.len();
        if matches!(view.open(stored, &mut bytes), Opened::Name { .. }) {
            opened.push((at, start..bytes.len()));
        }
    }
    if opened.is_empty() {
        return with(arguments);
    }
    let mut logical = arguments.to_vec();
    for (at, place) in opened {
        if let (Some(argument), Some(name)) = (logical.get_mut(at), bytes.get(place)) {
            *argument = name;
        }
    }
    with(&logical)
}
