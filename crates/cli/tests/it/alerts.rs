//! The alert rules and the dashboard: they are valid, use existing metrics, and each rule has an entry in the runbook.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use waxseal_testing::tools::on_path;

fn document(name: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(name)).unwrap()
}

/// Every word that begins as our metrics do.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let words = text.split(|c: char| !is_part(c));
    let ours = words.filter(|word| word.starts_with("waxseal_") && word.len() > "waxseal_".len());
    // What a histogram is in Prometheus.
    ours.map(|word| word.trim_end_matches("_bucket").to_owned())
        .collect()
}

#[test]
fn each_alert_is_raised_by_what_it_is_about_and_by_nothing_before() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    for words in [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts.test.yml"],
    ] {
        let mut promtool = Command::new(on_path("promtool"));
        let output = promtool
            .args(words)
            .current_dir(&directory)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let failed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{failed}");
        assert!(said.contains("SUCCESS"), "{said}{failed}");
    }
}

#[test]
fn each_alert_has_a_test_and_an_entry_in_the_runbook() {
    let (rules, tests) = (
        document("deploy/alerts.yml"),
        document("deploy/alerts.test.yml"),
    );
    let runbook = document("docs/operate/alerts.md");
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in &alerts {
        assert!(runbook.contains(&format!("\n### {alert}\n")), "{alert}");
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert}");
        let link = format!("runbook: docs/operate/alerts.md#{}\n", alert.to_lowercase());
        assert!(rules.contains(&link), "{alert}");
    }
    let entries = runbook.lines().filter(|line| line.starts_with("### "));
    assert_eq!(entries.count(), alerts.len());
}

#[test]
fn rules_dashboard_and_runbook_name_only_existing_metrics() {
    let known = metrics_in(&document("docs/reference/metrics.md"));
    let dashboard = document("deploy/grafana-dashboard.json");
    let read: Value = serde_json::from_str(&dashboard).unwrap();
    assert!(read["panels"].as_array().unwrap().len() > 10);
    for text in [
        document("deploy/alerts.yml"),
        dashboard,
        document("docs/operate/alerts.md"),
    ] {
        let named = metrics_in(&text);
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        assert!(!named.is_empty());
    }
}
