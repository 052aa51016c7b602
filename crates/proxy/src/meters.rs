//! What a proxy counts: values and traffic, through handles that are made once. A proxy without meters
//! counts nothing and spends nothing on it.

use waxseal_core::{OpenError, Opened};
use waxseal_keys::instrumented;
use waxseal_metrics::{
    Counter, DecoyOpener, OpenOutcome, TrafficMetrics, ValueMetrics, decoys_opened_counter,
};
use waxseal_policy::PatternId;

use smallvec::SmallVec;

/// The meters of one proxy.
pub struct Meters {
    pub(crate) values: ValueMetrics,
    pub(crate) traffic: TrafficMetrics,
    pub(crate) decoys: Counter,
    /// The names of the patterns.
    patterns: Vec<String>,
}

impl Meters {
    /// For a proxy that protects records of these names, in the order of its patterns. A recorder must
    /// have been installed before.
    #[must_use]
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let patterns: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let values = ValueMetrics::new(patterns.iter().map(String::as_str), instrumented::key_name);
        values.publish_last_use();
        Self {
            values,
            traffic: TrafficMetrics::new(),
            decoys: decoys_opened_counter(DecoyOpener::Proxy),
            patterns,
        }
    }

    /// Sets the metric of readiness.
    pub fn set_ready(&self, is_ready: bool) {
        self.traffic.set_ready(is_ready);
    }

    /// A request was refused, or would have been, because of a record of this pattern.
    pub(crate) fn refused(
        &self,
        command: Option<&'static str>,
        reason: &'static str,
        pattern: Option<PatternId>,
        is_forwarded: bool,
    ) {
        let index = pattern.map(PatternId::index);
        let named = index.and_then(|index| Some((index, self.patterns.get(index)?.as_str())));
        self.traffic.refused(command, reason, named, is_forwarded);
    }
}

/// What came of the values of one reply. Not counted before it is given: one that waits for keys is
/// opened again.
#[derive(Default)]
pub(crate) struct Openings(SmallVec<[(OpenOutcome, PatternId, u64); 1]>);

impl Openings {
    pub(crate) fn note(
        &mut self,
        stored: &[u8],
        opened: &Result<Option<Opened<'_>>, OpenError>,
        pattern: PatternId,
    ) {
        let Some(opening) = instrumented::open_outcome(stored, opened) else {
            return;
        };
        // A plain value is what is expected of an excepted name.
        if pattern.is_excepted() && opening == OpenOutcome::Plain {
            return;
        }
        match self.0.last_mut() {
            Some((last, of, count)) if (*last, *of) == (opening, pattern) => {
                *count = count.saturating_add(1);
            }
            _ => self.0.push((opening, pattern, 1)),
        }
    }

    pub(crate) fn count(&self, meters: &Meters) {
        for (opening, pattern, count) in &self.0 {
            meters.values.opened(*opening, pattern.index(), *count);
        }
    }
}

#[cfg(test)]
mod tests {
    use waxseal_metrics::TABLE;
    use waxseal_policy::{DataKind, Reason};

    use crate::refusals::OwnReason;

    #[test]
    fn every_reason_of_the_policy_is_a_word_of_the_table() {
        let name = "waxseal_refused_commands_total";
        let metric = TABLE.iter().find(|metric| metric.name == name).unwrap();
        for reason in [
            Reason::ComputesOnValue,
            Reason::ComparesValue,
            Reason::MovesValue,
            Reason::RunsCode,
            Reason::ScriptNamesSeveral,
            Reason::NotYetSealed(DataKind::Sets),
            Reason::FieldsElsewhere,
            Reason::QuotesRequest,
            Reason::UnknownCommand,
            Reason::UnforeseenForm,
            Reason::Replication,
            Reason::WritesOwnRecord,
            Reason::ZeroByte,
            Reason::UnknownSubcommand,
        ] {
            assert!(metric.allows("reason", reason.word()), "{reason:?}");
        }
        for reason in [
            OwnReason::Monitoring,
            OwnReason::SharedConnections,
            OwnReason::InTransaction,
            OwnReason::TransactionTooLarge,
            OwnReason::TooLarge,
            OwnReason::NotSealed,
            OwnReason::TooLargeForServer,
            OwnReason::KeysOutOfReach,
            OwnReason::ScriptChanged,
        ] {
            assert!(metric.allows("reason", reason.as_str()), "{reason:?}");
        }
        assert!(!metric.allows("reason", "computes"));
    }
}
