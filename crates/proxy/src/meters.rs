//! The meters of a proxy: values and traffic, counted through handles that are created once. A proxy without meters counts
//! nothing and spends nothing on it.

use waxseal_core::{OpenError, OpenedValue};
use waxseal_keys::instrumented;
use waxseal_metrics::{
    Counter, DecoyOpener, OpenOutcome, TrafficMetrics, ValueMetrics, decoys_opened_counter,
};
use waxseal_policy::PatternId;

use smallvec::SmallVec;

use crate::dropped::DropReason;

/// The meters of one proxy.
pub struct Meters {
    pub(crate) values: ValueMetrics,
    pub(crate) traffic: TrafficMetrics,
    pub(crate) decoys: Counter,
    /// The names of the patterns.
    patterns: Vec<String>,
}

impl Meters {
    /// Meters for a proxy with patterns of these names, in order. A recorder must have been installed before.
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

    /// Counts a request that was refused, or would have been, because of a record of this pattern.
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

    /// Counts a message in a channel of this pattern that a client did not get.
    pub(crate) fn message_dropped(&self, pattern: PatternId, reason: DropReason) {
        if let Some(name) = self.patterns.get(pattern.index()) {
            self.traffic.message_dropped(name, reason.as_str());
        }
    }
}

/// The outcomes of the values of one reply. They are counted when it is passed on: one that waits for keys is opened
/// again.
#[derive(Default)]
pub(crate) struct OpenOutcomes(SmallVec<[(OpenOutcome, PatternId, u64); 1]>);

impl OpenOutcomes {
    pub(crate) fn record(
        &mut self,
        stored: &[u8],
        opened: &Result<Option<OpenedValue<'_>>, OpenError>,
        pattern: PatternId,
    ) {
        let Some(outcome) = instrumented::open_outcome(stored, opened) else {
            return;
        };
        // Values of excepted names are expected to be plain.
        if pattern.is_excepted() && outcome == OpenOutcome::Plain {
            return;
        }
        match self.0.last_mut() {
            Some((last, of, count)) if (*last, *of) == (outcome, pattern) => {
                *count = count.saturating_add(1);
            }
            _ => self.0.push((outcome, pattern, 1)),
        }
    }

    /// Counts all of them.
    pub(crate) fn count(&self, meters: &Meters) {
        for (outcome, pattern, count) in &self.0 {
            meters.values.opened(*outcome, pattern.index(), *count);
        }
    }
}

#[cfg(test)]
mod tests {
    use waxseal_metrics::TABLE;
    use waxseal_policy::{DataKind, Reason};

    use crate::refusals::OwnReason;

    #[test]
    fn every_reason_of_a_refusal_is_a_label_value_of_the_metric() {
        let name = "waxseal_refused_commands_total";
        let metric = TABLE.iter().find(|metric| metric.name == name).unwrap();
        for reason in [
            Reason::ComputesOnValue,
            Reason::ComparesValue,
            Reason::ComparesElement,
            Reason::MovesValue,
            Reason::RunsCode,
            Reason::ScriptNamesSeveral,
            Reason::NotYetSealed(DataKind::Arrays),
            Reason::MixesRecords,
            Reason::SortsMembers,
            Reason::FieldsNotInRequest,
            Reason::EmbedsRequest,
            Reason::UnknownCommand,
            Reason::UnforeseenForm,
            Reason::Replication,
            Reason::WritesOwnRecord,
            Reason::ZeroByte,
            Reason::UnknownSubcommand,
        ] {
            assert!(metric.allows("reason", reason.as_str()), "{reason:?}");
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
            OwnReason::SealedNames,
        ] {
            assert!(metric.allows("reason", reason.as_str()), "{reason:?}");
        }
        assert!(!metric.allows("reason", "computes"));
    }
}
