//! Replies with members: in turn with scores, as pages of a scan, popped from one of several records, or from geo records.

use waxseal_policy::{MemberScan, matches_glob};
use waxseal_resp::{Item, Items, Kind, write_array_head, write_bulk};

use super::names::write_name;
use super::{OpenFailure, ReplyOpener, begins_with_pair, expect};
use crate::answers;
use crate::location::{self, BorrowedLocation, OwnedLocation, ValueKind};
use crate::pending::strings::RequestNames;

/// Steps that matching the members of one page may take, before the client gets an error: others wait meanwhile.
pub(crate) const MAX_GLOB_STEPS: usize = 20_000_000;

impl ReplyOpener<'_> {
    /// Appends members and scores: flat, or in pairs.
    pub(super) fn scored(
        &mut self,
        items: &mut Items<'_>,
        head: Item<'_>,
        location: BorrowedLocation<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        let (pairs, is_nested) = match head.kind {
            Kind::Array(0) | Kind::Null => (0, false),
            Kind::Array(count) if begins_with_pair(items)? => (count, true),
            Kind::Array(count) if count.is_multiple_of(2) => (count.div_euclid(2), false),
            _ => return Err(OpenFailure::Unexpected),
        };
        out.extend_from_slice(head.raw);
        for _ in 0..pairs {
            let mut member = next(items)?;
            if is_nested {
                expect(member.kind, Kind::Array(2))?;
                out.extend_from_slice(member.raw);
                member = next(items)?;
            }
            match pairs {
                // One value: the error replaces the whole reply.
                1 => self.value(member, location, out)?,
                _ => self.one_of_several(member, location, out)?,
            }
            out.extend_from_slice(items.skip()?);
        }
        Ok(())
    }

    /// Appends an array of arrays, each of which begins with a member.
    pub(super) fn first_of_each(
        &mut self,
        items: &mut Items<'_>,
        head: Item<'_>,
        location: BorrowedLocation<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        let Kind::Array(count) = head.kind else {
            return Err(OpenFailure::Unexpected);
        };
        out.extend_from_slice(head.raw);
        for _ in 0..count {
            let details = next(items)?;
            let Kind::Array(parts) = details.kind else {
                return Err(OpenFailure::Unexpected);
            };
            out.extend_from_slice(details.raw);
            let member = next(items)?;
            self.value(member, location, out)?;
            for _ in 1..parts {
                out.extend_from_slice(items.skip()?);
            }
        }
        Ok(())
    }

    /// Appends a cursor and the members of a page that match the glob.
    pub(super) fn scanned_members(
        &mut self,
        items: &mut Items<'_>,
        head: Item<'_>,
        scan: &MemberScan<OwnedLocation, Box<[u8]>>,
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        expect(head.kind, Kind::Array(2))?;
        out.extend_from_slice(head.raw);
        out.extend_from_slice(items.skip()?);
        let page = next(items)?;
        let each = if scan.scored { 2 } else { 1 };
        let count = match page.kind {
            Kind::Array(count) if count.is_multiple_of(each) => count.div_euclid(each),
            _ => return Err(OpenFailure::Unexpected),
        };
        let mut matching = Vec::new();
        let mut steps = MAX_GLOB_STEPS;
        let mut written = 0_usize;
        for _ in 0..count {
            let member = next(items)?;
            expect(member.kind, Kind::Bulk)?;
            let opened = self.open(member.text, scan.location.borrowed())?;
            let glob = scan.glob.as_deref();
            let is_match = match glob {
                None => true,
                Some(glob) => matches_glob(glob, &opened, &mut steps)
                    .ok_or_else(|| OpenFailure::Broken(answers::glob_too_costly(self.command)))?,
            };
            if is_match {
                write_bulk(&mut matching, &opened);
                written = written.saturating_add(each);
            }
            if scan.scored {
                let score = items.skip()?;
                if is_match {
                    matching.extend_from_slice(score);
                }
            }
        }
        write_array_head(out, written);
        out.extend_from_slice(&matching);
        Ok(())
    }

    /// Null; or for elements `[name, value]` or `[name, [values]]`; or for members `[name, member, score]` or
    /// `[name, [[member, score]]]`.
    pub(super) fn popped(
        &mut self,
        items: &mut Items<'_>,
        head: Item<'_>,
        (names, kind): (&RequestNames, ValueKind),
        out: &mut Vec<u8>,
    ) -> Result<(), OpenFailure> {
        out.extend_from_slice(head.raw);
        let parts = match head.kind {
            Kind::Null => return Ok(()),
            Kind::Array(parts @ 2) => parts,
            Kind::Array(parts @ 3) if kind == ValueKind::Member => parts,
            _ => return Err(OpenFailure::Unexpected),
        };
        let name = next(items)?;
        expect(name.kind, Kind::Bulk)?;
        let Some(logical) = self.name_of_request(name.text)? else {
            // Its key is fetched first.
            for _ in 1..parts {
                items.skip()?;
            }
            return Ok(());
        };
        if !names.contains(&logical) {
            // Under a name that is not protected a server could make up a value.
            return Err(OpenFailure::Unexpected);
        }
        write_name(name, &logical, out);
        let Some(pattern) = self.values.protection().names().find(&logical) else {
            for _ in 1..parts {
                out.extend_from_slice(items.skip()?);
            }
            return Ok(());
        };
        let location = location::record(pattern, &logical, kind);
        let item = next(items)?;
        match (item.kind, kind) {
            (Kind::Array(_), ValueKind::Member) => self.scored(items, item, location, out),
            (Kind::Array(count), _) => self.elements(items, item, count, location, out),
            // One value: the error replaces the whole reply.
            _ => {
                self.value(item, location, out)?;
                for _ in 2..parts {
                    out.extend_from_slice(items.skip()?);
                }
                Ok(())
            }
        }
    }
}

fn next<'r>(items: &mut Items<'r>) -> Result<Item<'r>, OpenFailure> {
    items.next()?.ok_or(OpenFailure::Unexpected)
}
