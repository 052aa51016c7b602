//! The suite that every store must pass: the contract of [`RecordStore`], sentence by sentence. It
//! knows no store in particular; what a store's own clients do besides is asked of the
//! [`Subject`].
//!
//! Every check works under names of its own, and every run too, so that one server serves them all
//! and is not emptied first. A check panics with the sentence that was broken.

mod conditions;
mod lifetimes;
mod moves;
mod pages;
mod scans;
mod sharing;
mod values;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::generation;
use crate::record::{Expiry, Lifetime, Record, RecordName, Slot};
use crate::store::RecordStore;

/// A store to be checked, and what its own clients can do that the trait does not.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The store.
    fn store(&self) -> Arc<dyn RecordStore>;

    /// Makes a list record of these elements. It does not expire.
    async fn make_list(&self, name: &RecordName, elements: Vec<Vec<u8>>);

    /// Makes a set record, where the store can hold one; whether it did.
    async fn make_set(&self, name: &RecordName) -> bool {
        let _ = name;
        false
    }

    /// Lets this much time pass by the store's clock.
    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// One check of the suite.
#[derive(Clone, Copy)]
pub struct Check {
    /// What it checks, in a few words.
    pub about: &'static str,
    run: for<'a> fn(&'a Bench<'a>) -> BoxFuture<'a, ()>,
}

/// Runs the whole suite.
///
/// # Panics
///
/// With the sentence of the contract that the store breaks.
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
    /// With the sentence of the contract that the store breaks.
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
        any_bytes_come_back_as_they_were_given
        an_empty_value_is_a_value
        a_value_of_a_mebibyte_comes_back
        what_is_absent_holds_nothing
        a_put_replaces_what_the_slot_held
        a_whole_value_replaces_a_record_of_any_type
        slots_of_another_type_are_refused
        an_element_that_is_not_there_cannot_be_written
        deleting_takes_a_record_of_any_type_and_says_whether_it_was_there;
    lifetimes:
        a_new_record_lives_as_long_as_it_was_told
        keep_leaves_the_end_to_the_millisecond
        slots_do_not_change_how_long_a_record_lives
        an_expired_record_is_absent_for_every_reading
        an_expired_record_is_absent_for_every_write
        an_expired_record_is_absent_for_every_removal
        a_time_that_is_past_leaves_nothing_behind
        lifetimes_come_in_the_order_of_the_names;
    conditions:
        a_change_is_made_only_where_the_expected_bytes_are
        a_change_of_an_absent_record_needs_its_absence
        a_change_of_a_slot_needs_the_slot_and_its_bytes
        a_change_keeps_or_sets_the_end_of_the_record
        a_thousand_changes_are_each_judged_by_themselves;
    moves:
        a_record_is_deleted_only_with_the_expected_bytes
        a_record_moves_only_with_the_expected_bytes
        a_record_moves_only_to_a_free_name
        a_record_that_moves_keeps_or_gets_its_end;
    scans:
        a_scan_finds_five_thousand_records
        a_scan_gives_only_names_of_the_pattern
        a_scan_takes_names_with_odd_characters_literally
        a_scan_finds_names_of_our_own
        a_scan_without_a_match_ends_empty
        a_scan_survives_writes_in_between
        a_scan_gives_nothing_that_has_expired;
    pages:
        records_of_all_types_are_read_in_one_call
        a_record_that_comes_twice_is_read_twice
        three_thousand_fields_come_in_pages
        three_thousand_elements_come_in_pages
        pages_of_other_records;
    sharing:
        concurrent_increments_lose_none
        one_of_many_moves_wins
        one_of_many_creations_wins
        a_store_tells_about_itself;
}

/// The store on the bench, and names that belong to one check of one run.
struct Bench<'a> {
    subject: &'a dyn Subject,
    store: Arc<dyn RecordStore>,
    prefix: String,
}

impl Bench<'_> {
    /// A name of this check.
    fn name(&self, end: impl AsRef<[u8]>) -> RecordName {
        RecordName::from([self.prefix.as_bytes(), end.as_ref()].concat())
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

    async fn get(&self, name: &RecordName) -> Option<Vec<u8>> {
        self.slot(name, &Slot::Whole).await
    }

    async fn slot(&self, name: &RecordName, slot: &Slot) -> Option<Vec<u8>> {
        let got = self.store.get(name, slot).await;
        got.unwrap_or_else(|error| panic!("a slot of the record's type can be read: {error}"))
    }

    async fn held(&self, name: &RecordName) -> Option<Record> {
        let held = self.store.read(std::slice::from_ref(name)).await;
        let mut held = held.unwrap_or_else(|error| panic!("any record can be read: {error}"));
        assert_eq!(held.len(), 1, "a read answers once for each name");
        held.pop().flatten()
    }

    /// What kind of record there is: no value gets into a message by it.
    async fn kind(&self, name: &RecordName) -> Option<String> {
        let kind = self.store.kind(name).await;
        let kind = kind.unwrap_or_else(|error| panic!("any type can be asked for: {error}"));
        let held = self.held(name).await;
        let read = held.as_ref().map(Record::kind);
        assert_eq!(
            kind.as_deref(),
            read,
            "a record has the type that it is read with"
        );
        kind
    }

    async fn lifetime(&self, name: &RecordName) -> Lifetime {
        let all = self.store.lifetimes(std::slice::from_ref(name)).await;
        let all = all.unwrap_or_else(|error| panic!("any lifetime can be asked for: {error}"));
        assert_eq!(all.len(), 1, "lifetimes answer once for each name");
        all.first().copied().unwrap_or(Lifetime::Absent)
    }

    /// The end of a record that has one.
    async fn end(&self, name: &RecordName) -> u64 {
        match self.lifetime(name).await {
            Lifetime::Until(end) => end,
            other => panic!("a record that was given an end has one, not {other:?}"),
        }
    }
}
