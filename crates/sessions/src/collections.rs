//! Sealed sets, sorted sets and streams, under the same prefix, keys and guards as the states. Scores, ids of entries and
//! names of fields are in clear.
//!
//! A member is sealed so that equal ones are equal, and a record holds it in one form: what is written takes the place of
//! the forms that other keys and modes have left, and what is looked up is looked up in all of them.
//!
//! A member, or a value of an entry, that does not open is left out of what is read, logged, and stays, where a state would be
//! moved to quarantine or count as absent; else it is an error.

use waxseal_core::OpenError;
use waxseal_stores::{
    Change, Collections, Cursor, Expiry, Outcome, RecordName, Slot, StoreError, StreamEntry,
};

use crate::error::StateError;
use crate::record_sealer::{MemberForms, Opened, Place};
use crate::records::SealedRecords;

/// Slots that are read at a time.
const PAGE: usize = 500;

/// Sets, sorted sets and streams of sealed values. Records are named like states: the prefix, and what is given here.
///
/// ```no_run
/// # async fn example(states: waxseal_sessions::StateManager) -> Result<(), waxseal_sessions::StateError> {
/// let collections = states.collections()?;
/// collections.add("online", b"5215512345678").await?;
/// assert!(collections.contains("online", b"5215512345678").await?);
/// collections.add_scored("waiting", b"5215512345678", 1.5).await?;
/// collections.append("events", &[(b"kind", b"login")], Some(10_000)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct SealedCollections<'a> {
    records: &'a SealedRecords,
    store: &'a dyn Collections,
}

impl<'a> SealedCollections<'a> {
    pub(crate) fn of(records: &'a SealedRecords) -> Result<Self, StateError> {
        let what = "hold sets, sorted sets and streams";
        let store = records.store().collections();
        let store = store.ok_or(StoreError::Unsupported { what })?;
        Ok(Self { records, store })
    }

    /// Adds a member to a set. Returns true if it was not there.
    pub async fn add(&self, set: &str, member: &[u8]) -> Result<bool, StateError> {
        let name = self.records.name(set);
        let forms = self.forms(&name, member).await?;
        let is_new = self.store.add(&name, &forms.written).await?;
        Ok(!self.replace_others(&name, &forms).await? && is_new)
    }

    /// Removes a member of a set. Returns true if it was there.
    pub async fn remove(&self, set: &str, member: &[u8]) -> Result<bool, StateError> {
        let name = self.records.name(set);
        let forms = self.forms(&name, member).await?;
        Ok(self.store.remove(&name, &forms.all()).await? > 0)
    }

    /// Returns true if a set has a member.
    pub async fn contains(&self, set: &str, member: &[u8]) -> Result<bool, StateError> {
        let name = self.records.name(set);
        for form in self.forms(&name, member).await?.all() {
            let slot = Slot::Member(form.to_vec());
            if self.records.store().get(&name, &slot).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns all members of a set, or of a sorted set, in no order. A damaged one is left out
    /// ([`OnRefused`](crate::OnRefused)).
    pub async fn members(&self, set: &str) -> Result<Vec<Vec<u8>>, StateError> {
        let name = self.records.name(set);
        let mut members = Vec::new();
        let mut cursor = Cursor::start();
        loop {
            let page = self.records.store().read_slots(&name, &cursor, PAGE);
            let page = page.await?;
            for (_, stored) in page.slots {
                members.extend(self.opened(Place::member(&name), stored).await?);
            }
            match page.next {
                Some(next) => cursor = next,
                None => break,
            }
        }
        // A scan may return a member twice.
        members.sort_unstable();
        members.dedup();
        Ok(members)
    }

    /// Adds a member to a sorted set, or changes its score. Returns true if it was not there.
    pub async fn add_scored(
        &self,
        set: &str,
        member: &[u8],
        score: f64,
    ) -> Result<bool, StateError> {
        let name = self.records.name(set);
        let forms = self.forms(&name, member).await?;
        let is_new = self.store.add_scored(&name, &forms.written, score).await?;
        Ok(!self.replace_others(&name, &forms).await? && is_new)
    }

    /// Removes a member of a sorted set. Returns true if it was there.
    pub async fn remove_scored(&self, set: &str, member: &[u8]) -> Result<bool, StateError> {
        let name = self.records.name(set);
        let forms = self.forms(&name, member).await?;
        Ok(self.store.remove_scored(&name, &forms.all()).await? > 0)
    }

    /// Returns the score of a member of a sorted set.
    pub async fn score(&self, set: &str, member: &[u8]) -> Result<Option<f64>, StateError> {
        let name = self.records.name(set);
        for form in self.forms(&name, member).await?.all() {
            if let Some(score) = self.store.score(&name, form).await? {
                return Ok(Some(score));
            }
        }
        Ok(None)
    }

    /// Returns members of a sorted set with their scores, by their ranks from 0 on: negative ones count from the end.
    /// Members of equal score are in no particular order. A damaged one is left out ([`OnRefused`](crate::OnRefused)).
    pub async fn range(
        &self,
        set: &str,
        ranks: (i64, i64),
    ) -> Result<Vec<(Vec<u8>, f64)>, StateError> {
        let name = self.records.name(set);
        let mut members = Vec::new();
        for (stored, score) in self.store.range(&name, ranks).await? {
            let member = self.opened(Place::member(&name), stored).await?;
            members.extend(member.map(|member| (member, score)));
        }
        Ok(members)
    }

    /// Appends an entry of these fields to a stream, and drops the oldest entries beyond about `max_len`. Returns its id.
    pub async fn append(
        &self,
        stream: &str,
        fields: &[(&[u8], &[u8])],
        max_len: Option<u64>,
    ) -> Result<String, StateError> {
        let name = self.records.name(stream);
        let mut sealed = Vec::with_capacity(fields.len());
        for (field, value) in fields {
            let place = Place::stream_field(&name, field);
            sealed.push((
                *field,
                self.records.sealer().to_store_at(place, value).await?,
            ));
        }
        let sealed: Vec<_> = sealed.iter().map(|(field, it)| (*field, &**it)).collect();
        Ok(self.store.append(&name, &sealed, max_len).await?)
    }

    /// Returns the first entries of a stream after this id, or from the beginning. A field with a damaged value is left out
    /// of its entry ([`OnRefused`](crate::OnRefused)).
    pub async fn entries(
        &self,
        stream: &str,
        after: Option<&str>,
        count: usize,
    ) -> Result<Vec<StreamEntry>, StateError> {
        let name = self.records.name(stream);
        let mut entries = self.store.entries(&name, after, count).await?;
        for entry in &mut entries {
            for (field, stored) in std::mem::take(&mut entry.fields) {
                let value = self
                    .opened(Place::stream_field(&name, &field), stored)
                    .await?;
                entry.fields.extend(value.map(|value| (field, value)));
            }
        }
        Ok(entries)
    }

    /// Deletes an entry of a stream. Returns true if it was there.
    pub async fn delete_entry(&self, stream: &str, id: &str) -> Result<bool, StateError> {
        let name = self.records.name(stream);
        Ok(self.store.delete_entry(&name, id).await?)
    }

    async fn forms(&self, name: &RecordName, member: &[u8]) -> Result<MemberForms, StateError> {
        self.records.sealer().member_forms(name, member).await
    }

    /// Removes the other forms of a member that is there as it is written. Returns true if there was one.
    async fn replace_others(
        &self,
        name: &RecordName,
        forms: &MemberForms,
    ) -> Result<bool, StateError> {
        let others = forms.others.iter();
        let slots: Vec<_> = others.map(|form| Slot::Member(form.clone())).collect();
        let changes = slots.iter().zip(&forms.others).map(|(slot, form)| Change {
            name,
            slot,
            expected: Some(form),
            value: &forms.written,
            expiry: Expiry::Keep,
        });
        let changes: Vec<_> = changes.collect();
        if changes.is_empty() {
            return Ok(false);
        }
        let outcomes = self.records.store().replace_if_unchanged(&changes).await?;
        Ok(outcomes.contains(&Outcome::Done))
    }

    /// Opens a stored value. `None` for one that is left out of what is read.
    async fn opened(
        &self,
        place: Place<'_>,
        stored: Vec<u8>,
    ) -> Result<Option<Vec<u8>>, StateError> {
        match self.records.sealer().open_at(place, &stored).await? {
            Opened::Value(value) => {
                self.records.record_success();
                Ok(Some(value))
            }
            Opened::Empty => Ok(Some(Vec::new())),
            Opened::Failed(OpenError::Erased { at }) => {
                let record = self.records.shown(place.name);
                Err(StateError::Erased { record, at })
            }
            Opened::Failed(error) => {
                let left_out = self.records.leave_out(place.name, &stored, error);
                left_out.map(|()| None)
            }
        }
    }
}
