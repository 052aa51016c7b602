//! The suite that every store must pass: the contract of [`RecordStore`], sentence by sentence. It
//! knows no particular store; operations outside the trait are provided by the [`Subject`].
//!
//! Every check uses names of its own, and so does every run: one server serves them all and need
//! not be emptied first. A check panics with the sentence that was violated.

mod conditions;
mod lifetimes;
mod members;
mod moves;
mod pages;
mod renames;
mod scans;
mod sharing;
mod streams;
mod values;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::generation;
use crate::record::{Cursor, Expiry, Lifetime, Record, RecordName, Slot, StreamEntry};
use crate::store::RecordStore;

/// More pages than any read here may take.
const MAX_PAGES: usize = 100_000;

/// A store to be checked, and operations of its own clients that the trait does not have.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The store.
    fn store(&self) -> Arc<dyn RecordStore>;

    /// Creates a list record of these elements, without expiry.
    async fn make_list(&self, name: &RecordName, elements: Vec<Vec<u8>>);

    /// Creates a record of a type that only some stores can hold, without expiry. Returns whether
    /// it did.
    async fn make(&self, name: &RecordName, collection: Collection) -> bool {
        let _ = (name, collection);
        false
    }

    /// The score of a member of a sorted set record, as the store writes it.
    async fn score(&self, name: &RecordName, member: &[u8]) -> Option<String> {
        let _ = (name, member);
        None
    }

    /// Lets a record that was made here expire at this time, in milliseconds since the Unix epoch.
    async fn expire_at(&self, name: &RecordName, time: u64) {
        let _ = (name, time);
    }

    /// Advances the store's clock by this much.
    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// A record of a type that only some stores can hold.
#[derive(Clone, Debug)]
pub enum Collection {
    /// A set of these members.
    Set(Vec<Vec<u8>>),
    /// A sorted set of these members and their scores.
    SortedSet(Vec<(Vec<u8>, String)>),
    /// A stream of these entries.
    Stream(Vec<StreamEntry>),
}

/// One check of the suite.
#[derive(Clone, Copy)]
pub struct Check {
    /// A short description.
    pub about: &'static str,
    run: for<'a> fn(&'a Bench<'a>) -> BoxFuture<'a, ()>,
}

/// Runs the whole suite.
///
/// # Panics
///
/// With the sentence of the contract that the store violates.
pub async fn run(subject: &dyn Subject) {
    for check in CHECKS {
        check.run(subject).await;
    }
}

impl Check {
    /// Runs this check alone.
    ///
    /// # Panics
    ///
    /// With the sentence of the contract that the store violates.
    pub async fn run(&self, subject: &dyn Subject) {
        let prefix = format!("conformance:{}:{}:", generation::fresh(), self.about);
        let bench = Bench {
            subject,
            store: subject.store(),
            prefix,
        };
        (self.run)(&bench).await;
    }
}

macro_rules! checks {
    ($($module:ident: $($name:ident)+;)+) => {
        /// Every check, in the order in which [`run`] runs them.
        pub const CHECKS: &[Check] = &[$($(Check {
            about: stringify!($name),
            run: |bench| Box::pin($module::$name(bench)),
        },)+)+];
    };
}

checks! {
    values:
        any_bytes_are_returned_unchanged
        an_empty_value_is_a_value
        a_value_of_one_mebibyte_is_stored
        an_absent_slot_has_no_value
        a_put_replaces_what_the_slot_held
        a_whole_value_replaces_a_record_of_any_type
        slots_of_another_type_are_refused
        a_missing_element_cannot_be_written
        deleting_removes_a_record_of_any_type_and_returns_whether_it_existed;
    lifetimes:
        a_new_record_gets_the_requested_expiry
        keep_preserves_the_expiry_to_the_millisecond
        writing_a_slot_does_not_change_the_expiry
        an_expired_record_is_absent_for_every_read
        an_expired_record_is_absent_for_every_write
        an_expired_record_is_absent_for_every_removal
        an_expiry_in_the_past_leaves_no_record
        lifetimes_are_in_the_order_of_the_names;
    conditions:
        a_change_needs_the_expected_bytes
        a_creation_needs_an_absent_record
        a_change_of_a_slot_needs_the_slot_and_its_bytes
        a_change_keeps_or_sets_the_expiry
        a_thousand_changes_are_judged_individually;
    moves:
        a_record_is_deleted_only_with_the_expected_bytes
        a_record_moves_only_with_the_expected_bytes
        a_record_moves_only_to_a_free_name
        a_moved_record_keeps_or_gets_its_expiry;
    renames:
        a_record_of_any_type_is_renamed_as_it_is
        a_renamed_record_keeps_its_expiry
        a_record_is_renamed_only_to_a_free_name
        an_absent_record_is_not_renamed
        a_thousand_records_are_renamed_individually
        one_of_many_renamings_wins;
    scans:
        a_scan_finds_five_thousand_records
        a_scan_returns_only_names_of_the_pattern
        a_scan_takes_names_with_odd_characters_literally
        a_scan_finds_names_of_our_own
        a_scan_without_a_match_ends_empty
        a_scan_survives_writes_in_between
        a_scan_omits_expired_records;
    pages:
        records_of_all_types_are_read_in_one_call
        a_repeated_name_is_read_twice
        three_thousand_fields_come_in_pages
        three_thousand_elements_come_in_pages
        pages_of_other_records;
    members:
        members_come_in_pages_and_one_by_one
        a_member_is_replaced_only_if_it_is_there
        a_replaced_member_keeps_its_score_and_the_record_its_expiry
        a_member_that_is_there_in_both_forms_is_left_in_the_new_one
        a_thousand_members_are_judged_individually
        a_member_is_not_written_in_its_place;
    streams:
        values_of_a_stream_come_in_pages_and_one_by_one
        values_of_a_stream_are_not_written;
    sharing:
        concurrent_increments_lose_none
        one_of_many_moves_wins
        one_of_many_creations_wins
        a_store_reports_its_status;
}

/// The store under test, and names that belong to one check of one run.
struct Bench<'a> {
    subject: &'a dyn Subject,
    store: Arc<dyn RecordStore>,
    prefix: String,
}

impl Bench<'_> {
    /// A name of this check.
    fn name(&self, suffix: impl AsRef<[u8]>) -> RecordName {
        RecordName::from([self.prefix.as_bytes(), suffix.as_ref()].concat())
    }

    async fn put(&self, name: &RecordName, value: &[u8], expiry: Expiry) {
        let put = self.store.put(name, &Slot::Whole, value, expiry).await;
        assert_eq!(put, Ok(()), "a whole value can be put");
    }

    async fn put_field(&self, name: &RecordName, field: &[u8], value: &[u8]) {
        let slot = Slot::Field(field.to_vec());
        let put = self.store.put(name, &slot, value, Expiry::Keep).await;
        assert_eq!(
            put,
            Ok(()),
            "a field can be put where there is a hash record, or none"
        );
    }

    /// Creates a set record, if the store can hold one. Returns whether it did.
    async fn make_set(&self, name: &RecordName) -> bool {
        let set = Collection::Set(vec![b"member".to_vec()]);
        self.subject.make(name, set).await
    }

    /// The slots of a record and their values, read in pages of about this many.
    async fn slots(&self, name: &RecordName, count: usize) -> Vec<(Slot, Vec<u8>)> {
        let (mut all, mut cursor) = (Vec::new(), Cursor::start());
        for _ in 0..MAX_PAGES {
            let page = self.store.read_slots(name, &cursor, count).await;
            let page = page.unwrap_or_else(|error| panic!("a page of slots can be read: {error}"));
            all.extend(page.slots);
            match page.next {
                Some(next) => cursor = Cursor::from_text(next.as_str().to_owned()),
                None => return all,
            }
        }
        panic!("reading slots ends");
    }

    async fn get(&self, name: &RecordName) -> Option<Vec<u8>> {
        self.slot(name, &Slot::Whole).await
    }

    async fn slot(&self, name: &RecordName, slot: &Slot) -> Option<Vec<u8>> {
        let got = self.store.get(name, slot).await;
        got.unwrap_or_else(|error| panic!("a slot of the record's type can be read: {error}"))
    }

    async fn record(&self, name: &RecordName) -> Option<Record> {
        let record = self.store.read(std::slice::from_ref(name)).await;
        let mut record = record.unwrap_or_else(|error| panic!("any record can be read: {error}"));
        assert_eq!(record.len(), 1, "a read returns one result for each name");
        record.pop().flatten()
    }

    /// The type of a record: keeps values out of messages.
    async fn kind(&self, name: &RecordName) -> Option<String> {
        let kind = self.store.kind(name).await;
        let kind = kind.unwrap_or_else(|error| panic!("any type can be read: {error}"));
        let record = self.record(name).await;
        let read = record.as_ref().map(Record::kind);
        assert_eq!(
            kind.as_deref(),
            read,
            "a record has the type that it is read with"
        );
        kind
    }

    async fn lifetime(&self, name: &RecordName) -> Lifetime {
        let all = self.store.lifetimes(std::slice::from_ref(name)).await;
        let all = all.unwrap_or_else(|error| panic!("any lifetime can be read: {error}"));
        assert_eq!(all.len(), 1, "one lifetime is returned for each name");
        all.first().copied().unwrap_or(Lifetime::Absent)
    }

    /// The expiry of a record that has one.
    async fn expires_at(&self, name: &RecordName) -> u64 {
        match self.lifetime(name).await {
            Lifetime::Until(time) => time,
            other => panic!("a record written with an expiry has one, not {other:?}"),
        }
    }
}
