//! The crate with its own recorder. One test, since a recorder is installed once per process.

use waxseal_metrics::{
    Format, OpenOutcome, SealOutcome, TABLE, TrafficMetrics, ValueMetrics, before_snapshot, render,
};

fn key_name(key: u32) -> String {
    format!("name{key}")
}

#[test]
fn events_are_counted_from_the_installation_of_the_recorder_on() {
    let early = ValueMetrics::new(["states"], key_name);
    early.sealed(SealOutcome::NotSealed);
    assert_eq!(render(), None);

    waxseal_metrics::install().unwrap();
    assert!(waxseal_metrics::install().is_err());
    early.sealed(SealOutcome::NotSealed);
    let traffic = TrafficMetrics::new();
    let values = ValueMetrics::new(["states", "others"], key_name);
    for _ in 0..32 {
        let since = values.start_seal_timer();
        values.sealed(SealOutcome::Done(Format::Sealed, 7));
        values.record_seal_duration(since);
    }
    values.opened(OpenOutcome::Plain, 1, 3);
    traffic.clients.opened();
    traffic.refused(None, "unknown_command", None, false);
    let pattern = Some((1, "others"));
    for is_forwarded in [false, false, true] {
        traffic.refused(Some("incr"), "computes_on_value", pattern, is_forwarded);
    }
    before_snapshot(move || traffic.set_ready(true));

    let text = render().unwrap();
    for line in [
        "waxseal_seals_total{result=\"ok\",format=\"sealed\",key=\"name7\"} 32",
        "waxseal_seals_total{result=\"left\",format=\"plain\",key=\"none\"} 0",
        "waxseal_opens_total{result=\"ok\",format=\"plain\",key=\"none\"} 3",
        "waxseal_plain_values_total{pattern=\"others\"} 3",
        "waxseal_plain_values_total{pattern=\"states\"} 0",
        "waxseal_seal_duration_seconds_count 2",
        "waxseal_client_connections 1",
        "waxseal_client_connections_opened_total 1",
        "waxseal_refused_commands_total{command=\"other\",reason=\"unknown_command\",pattern=\"none\"} 1",
        "waxseal_refused_commands_total{command=\"incr\",reason=\"computes_on_value\",pattern=\"others\"} 2",
        "waxseal_trial_refusals_total{command=\"incr\",reason=\"computes_on_value\",pattern=\"others\"} 1",
        "waxseal_ready 1",
    ] {
        assert!(
            text.lines().any(|other| other == line),
            "{line} is not in\n{text}"
        );
    }
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    for name in types.filter_map(|line| line.split(' ').next()) {
        assert!(TABLE.iter().any(|metric| metric.name == name), "{name}");
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
    }
}
