//! Names in replies: stored ones become those that clients know. A name that clients cannot use is left out of the reply
//! and counted: one record that someone has planted must not break `SCAN`, and nobody can reach it by its name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;

use waxseal_core::KeyId;
use waxseal_named::{LeftOut, NameView, Opened};
use waxseal_policy::{NameLayout, NameReply};
use waxseal_resp::{Item, Items, Kind, write_array_head, write_bulk, write_null, write_null_bulk};

use super::members::MAX_GLOB_STEPS;
use super::{OpenFailure, ReplyOpener, expect};
use crate::answers;
use crate::pending::Protocol;
use crate::pending::strings::Strings;
use crate::protection::Protection;

/// Opens the names of one reply.
pub(crate) struct NameOpener<'a> {
    protection: &'a Protection,
    /// The keys, loaded for the first name; `None` inside if all names are stored as they are.
    view: Option<Option<NameView>>,
    /// The logical name that was opened last.
    logical: Vec<u8>,
    /// The number of names that were left out, by their reason.
    left_out: [u64; LeftOut::ALL.len()],
}

/// What a stored name means.
pub(crate) enum Named<'n> {
    /// It is stored as it is.
    Same,
    /// This is the name.
    Logical(&'n [u8]),
    /// Clients cannot use it. This key is not known, if that is the reason.
    LeftOut(LeftOut, Option<KeyId>),
}

impl<'a> NameOpener<'a> {
    pub(crate) fn new(protection: &'a Protection) -> Self {
        Self {
            protection,
            view: None,
            logical: Vec::new(),
            left_out: [0; LeftOut::ALL.len()],
        }
    }

    /// Says what a stored name means.
    #[inline]
    pub(crate) fn open(&mut self, stored: &[u8]) -> Named<'_> {
        if !self.protection.names().has_managed() {
            return Named::Same;
        }
        let Some(view) = self.view.get_or_insert_with(|| self.protection.name_view()) else {
            return Named::Same;
        };
        self.logical.clear();
        match view.open(stored, &mut self.logical) {
            Opened::Same => Named::Same,
            Opened::Name { .. } => Named::Logical(&self.logical),
            Opened::LeftOut { reason, key } => Named::LeftOut(reason, key),
        }
    }

    /// A name was left out of the reply.
    pub(crate) fn leave_out(&mut self, reason: LeftOut) {
        let at = LeftOut::ALL.iter().position(|other| *other == reason);
        if let Some(count) = at.and_then(|at| self.left_out.get_mut(at)) {
            *count = count.saturating_add(1);
        }
    }

    /// Counts what was left out: the reply is passed on.
    pub(crate) fn finish(&self) {
        let Some(meters) = self.protection.metered() else {
            return;
        };
        for (reason, count) in LeftOut::ALL.into_iter().zip(self.left_out) {
            if count > 0 {
                meters.traffic.names_left_out(reason.as_str(), count);
            }
        }
    }
}

impl ReplyOpener<'_> {
    /// The logical name of a record that the request has named. `None` if it is sealed under a key that is asked for first:
    /// then the reply is not passed on.
    pub(super) fn name_of_request<'n>(
        &mut self,
        stored: &'n [u8],
    ) -> Result<Option<Cow<'n, [u8]>>, OpenFailure> {
        let protection = self.names.protection;
        match self.names.open(stored) {
            Named::Same => Ok(Some(Cow::Borrowed(stored))),
            Named::Logical(name) => Ok(Some(Cow::Owned(name.to_vec()))),
            // The request has named it, and so as it is stored: it belongs to no pattern with sealed names.
            Named::LeftOut(..) if !is_managed(protection, stored) => {
                Ok(Some(Cow::Borrowed(stored)))
            }
            Named::LeftOut(_, Some(key)) if self.values.learn(key) => Ok(None),
            Named::LeftOut(..) => Err(OpenFailure::Unexpected),
        }
    }
}

impl ReplyOpener<'_> {
    /// Appends a reply with names that the server has chosen, of which `first` was read from `start`.
    pub(super) fn found_names(
        &mut self,
        items: &mut Items<'_>,
        (mut start, first): (Items<'_>, Item<'_>),
        found: &NameReply<Box<[u8]>>,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        match found.layout {
            NameLayout::Page => {
                expect(first.kind, Kind::Array(2))?;
                out.extend_from_slice(first.raw);
                out.extend_from_slice(items.skip()?);
                let page = next(items)?;
                self.list_of_names(items, page, found, out)
            }
            NameLayout::All => self.list_of_names(items, first, found, out),
            NameLayout::One => self.one_name(first, out),
            NameLayout::Flagged => self.names_with_flags(items, first, out),
            NameLayout::Text => {
                out.extend_from_slice(start.skip()?);
                Ok(())
            }
            NameLayout::Channels => self.channels(items, first, found, out),
            NameLayout::ChannelCounts => self.channel_counts(items, first, out),
            // It has a shape of its own.
            NameLayout::Tracking => Err(OpenFailure::Unexpected),
        }
    }

    /// Appends an array of names: those that the client wants.
    fn list_of_names(
        &mut self,
        items: &mut Items<'_>,
        head: Item<'_>,
        found: &NameReply<Box<[u8]>>,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        let Kind::Array(count) = head.kind else {
            return Err(OpenFailure::Unexpected);
        };
        // Names that the request itself has said, which are not for the proxy to leave out.
        let is_echo = self.command.starts_with("command|");
        let mut written = Vec::new();
        let mut matching = 0_usize;
        let mut steps = MAX_GLOB_STEPS;
        for _ in 0..count {
            let name = next(items)?;
            expect(name.kind, Kind::Bulk)?;
            let logical = match self.names.open(name.text) {
                Named::Same => name.text,
                Named::Logical(logical) => logical,
                Named::LeftOut(..) if is_echo => name.text,
                Named::LeftOut(reason, key) => {
                    if !key.is_some_and(|key| self.values.learn(key)) {
                        self.names.leave_out(reason);
                    }
                    continue;
                }
            };
            let is_match = found.matches(logical, &mut steps);
            if is_match
                .ok_or_else(|| OpenFailure::Broken(answers::glob_too_costly(self.command)))?
            {
                write_name(name, logical, &mut written);
                matching = matching.saturating_add(1);
            }
        }
        write_array_head(out, matching);
        out.extend_from_slice(&written);
        Ok(())
    }

    /// Appends a name or null.
    fn one_name(&mut self, item: Item<'_>, out: &mut Vec<u8>) -> Result<(), OpenFailure> {
        if item.kind == Kind::Null {
            out.extend_from_slice(item.raw);
            return Ok(());
        }
        expect(item.kind, Kind::Bulk)?;
        match self.names.open(item.text) {
            Named::Same => out.extend_from_slice(item.raw),
            Named::Logical(logical) => write_bulk(out, logical),
            Named::LeftOut(reason, key) => {
                if !key.is_some_and(|key| self.values.learn(key)) {
                    self.names.leave_out(reason);
                }
                write_no_name(self.protocol, out);
            }
        }
        Ok(())
    }

    /// Appends an array of arrays, each of which begins with a name of the request.
    fn names_with_flags(
        &mut self,
        items: &mut Items<'_>,
        head: Item<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        let Kind::Array(count) = head.kind else {
            return Err(OpenFailure::Unexpected);
        };
        out.extend_from_slice(head.raw);
        for _ in 0..count {
            let of_name = next(items)?;
            let Kind::Array(parts) = of_name.kind else {
                return Err(OpenFailure::Unexpected);
            };
            out.extend_from_slice(of_name.raw);
            let name = next(items)?;
            match self.names.open(name.text) {
                Named::Logical(logical) => write_name(name, logical, out),
                Named::Same | Named::LeftOut(..) => out.extend_from_slice(name.raw),
            }
            for _ in 1..parts {
                out.extend_from_slice(items.skip()?);
            }
        }
        Ok(())
    }
}

/// True if the name is one of a pattern whose names are sealed.
fn is_managed(protection: &Protection, name: &[u8]) -> bool {
    let names = protection.names();
    names.find(name).is_some_and(|id| names.is_managed(id))
}

pub(super) fn next<'r>(items: &mut Items<'r>) -> Result<Item<'r>, OpenFailure> {
    items.next()?.ok_or(OpenFailure::Unexpected)
}

/// Appends the reply that there is no record.
pub(crate) fn write_no_name(protocol: Protocol, out: &mut Vec<u8>) {
    match protocol {
        Protocol::Resp2 => write_null_bulk(out),
        Protocol::Resp3 => write_null(out),
    }
}

/// Appends an item that is a name, as the client gets it.
pub(crate) fn write_name(item: Item<'_>, logical: &[u8], out: &mut Vec<u8>) {
    match logical == item.text {
        true => out.extend_from_slice(item.raw),
        false => write_bulk(out, logical),
    }
}

/// Stored names of which one begins with the other: there are none but by chance.
const MAX_ALIKE: usize = 4;

/// The names of a request whose errors may quote them: the stored ones, and those that the client said.
pub(crate) struct QuotedNames {
    stored: Strings,
    logical: Strings,
}

impl QuotedNames {
    pub(crate) fn new<'n>(names: impl Iterator<Item = (&'n [u8], &'n [u8])> + Clone) -> Self {
        Self {
            stored: Strings::new(names.clone().map(|(stored, _)| stored)),
            logical: Strings::new(names.map(|(_, logical)| logical)),
        }
    }

    /// Bytes that are held for them.
    pub(crate) fn retained_bytes(&self) -> usize {
        let stored = self.stored.retained_bytes();
        stored.saturating_add(self.logical.retained_bytes())
    }

    /// Appends an error, or another text, with the names that the client said.
    pub(super) fn write(&self, item: Item<'_>, out: &mut Vec<u8>) {
        let text = self.replaced(item.text, item.raw.starts_with(b"-"));
        let Cow::Owned(text) = text else {
            return out.extend_from_slice(item.raw);
        };
        match item.raw.first() {
            Some(b'-') => {
                out.push(b'-');
                out.extend_from_slice(&text);
                out.extend_from_slice(b"\r\n");
            }
            _ if item.kind == Kind::Error => {
                out.extend_from_slice(format!("!{}\r\n", text.len()).as_bytes());
                out.extend_from_slice(&text);
                out.extend_from_slice(b"\r\n");
            }
            _ => write_bulk(out, &text),
        }
    }

    /// The text with each stored name replaced. In a line, a name ends at a zero byte and has no ends of lines, as servers
    /// quote it.
    fn replaced<'t>(&self, text: &'t [u8], is_line: bool) -> Cow<'t, [u8]> {
        let mut replaced: Option<Vec<u8>> = None;
        let mut copied = 0;
        let mut at = 0;
        // A request may have many names, and quote a long text of the client.
        let names = self.stored.iter().zip(self.logical.iter());
        let names: BTreeMap<&[u8], &[u8]> = names.collect();
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            // No stored name begins as another one does, apart from those that are the beginning of others by chance: of the
            // names that are not behind the rest in order, it begins with one of the last, if with any.
            let before = names.range::<[u8], _>((Bound::Unbounded, Bound::Included(rest)));
            let mut nearest = before.rev().take(MAX_ALIKE);
            let here = nearest.find(|(stored, _)| rest.starts_with(stored));
            let Some((stored, logical)) = here else {
                at = at.saturating_add(1);
                continue;
            };
            let out = replaced.get_or_insert_default();
            out.extend_from_slice(text.get(copied..at).unwrap_or_default());
            match is_line {
                true => {
                    let quoted = logical.iter().take_while(|byte| **byte != 0);
                    out.extend(quoted.map(|byte| match byte {
                        b'\r' | b'\n' => b' ',
                        byte => *byte,
                    }));
                }
                false => out.extend_from_slice(logical),
            }
            at = at.saturating_add(stored.len().max(1));
            copied = at;
        }
        match replaced {
            None => Cow::Borrowed(text),
            Some(mut out) => {
                out.extend_from_slice(text.get(copied..).unwrap_or_default());
                Cow::Owned(out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use waxseal_resp::Items;

    use super::*;

    fn written(names: &[(&str, &str)], reply: &str) -> String {
        let names = names.iter();
        let names = names.map(|(stored, logical)| (stored.as_bytes(), logical.as_bytes()));
        let names = QuotedNames::new(names);
        let mut out = Vec::new();
        let mut items = Items::of(reply.as_bytes());
        names.write(items.next().unwrap().unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn errors_quote_the_names_that_the_client_said() {
        let names = [("wa:~a", "wa:1"), ("wa:~ab", "wa:2\r\n3\0rest")];
        for (error, expected) in [
            (
                "-NOGROUP No such key 'wa:~a' or\r\n",
                "-NOGROUP No such key 'wa:1' or\r\n",
            ),
            ("-ERR wa:~ab and wa:~a\r\n", "-ERR wa:2  3 and wa:1\r\n"),
            ("-ERR nothing\r\n", "-ERR nothing\r\n"),
            ("!9\r\nERR wa:~a\r\n", "!8\r\nERR wa:1\r\n"),
            ("$8\r\nof wa:~a\r\n", "$7\r\nof wa:1\r\n"),
        ] {
            assert_eq!(written(&names, error), expected);
        }
    }

    #[test]
    fn of_many_names_each_is_found_in_a_long_text() {
        let stored: Vec<String> = (0..2_000).map(|n| format!("wa:~{n}.")).collect();
        let names = stored.iter().map(|it| (it.as_str(), "x"));
        let names: Vec<_> = names.collect();
        let text = "wa:~ ".repeat(50_000);
        let reply = format!("-{text}wa:~7. and wa:~1999.\r\n");
        assert_eq!(written(&names, &reply), format!("-{text}x and x\r\n"));
    }
}
