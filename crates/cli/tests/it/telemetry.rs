//! Metrics exported to an OpenTelemetry collector: a real proxy exports to a receiver in the test. The numbers are those of
//! `/metrics`, and a collector that cannot be reached delays nothing.

mod receiver;

use std::collections::BTreeMap;

use waxseal_testing::RedisServer;

use self::receiver::{Receiver, Samples};
use crate::metrics::metrics;
use crate::program::{Program, shows_phone, wait_until};
use crate::proxy::{PROTECTED_MARKER, Proxy};

const FLAGS: [&str; 2] = ["--protect", "wa:*"];
/// In everything of the collector's that may be a credential.
const CREDENTIAL: &str = "Llave8rQw3ZtKp";

fn exporting(redis: &RedisServer, port: u16, interval: &str) -> Program {
    Program::at(redis)
        .env(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            &format!("http://127.0.0.1:{port}/"),
        )
        .env("OTEL_METRIC_EXPORT_INTERVAL", interval)
        .env("OTEL_SERVICE_NAME", "a-proxy")
}

/// Whether these are the same numbers, but for the last bit that a reader of JSON may lose.
fn are_alike(exported: &Samples, shown: &Samples) -> bool {
    let both = exported.iter().zip(shown);
    let is_like = |(a, b): (&f64, &f64)| a == b || ((a - b) / b).abs() < 1e-12;
    exported.len() == shown.len()
        && both
            .into_iter()
            .all(|((name, a), (other, b))| name == other && is_like((a, b)))
}

#[track_caller]
fn load(proxy: &Proxy) {
    let mut client = proxy.client();
    let value = format!("{{\"v\":\"{PROTECTED_MARKER}\"}}");
    for number in 0..20 {
        let name = format!("wa:52155{number:04}");
        assert_eq!(client.cmd(&["SET", &name, &value]).to_text(), "OK");
        assert_eq!(client.cmd(&["GET", &name]).to_text(), value);
    }
    assert!(client.cmd(&["PFADD", "wa:1", "x"]).error().is_some());
}

#[test]
fn exported_metrics_equal_those_of_the_admin_address() {
    let (redis, receiver) = (RedisServer::start(), Receiver::start());
    let program = exporting(&redis, receiver.port(), "50").env(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "x-tenant=one%20two,authorization=abc",
    );
    let proxy = Proxy::start_as(&program, &redis, &FLAGS);
    load(&proxy);
    // Connections end a moment after their clients.
    wait_until(|| {
        let samples = metrics(proxy.admin_port()).samples.into_iter();
        let shown: BTreeMap<_, _> = samples
            .map(|(name, labels, value)| ((name, labels), value))
            .collect();
        assert!(shown.len() > 40, "{shown:?}");
        receiver
            .last()
            .is_some_and(|it| are_alike(&it.samples(), &shown))
    });
    let export = receiver.last().unwrap();
    assert_eq!(export.path, "/v1/metrics");
    assert_eq!(export.header("content-type"), "application/json");
    assert_eq!(export.header("x-tenant"), "one two");
    assert_eq!(export.header("authorization"), "abc");
    assert_eq!(export.resource("service.name"), "a-proxy");
    assert!(!export.body.contains(PROTECTED_MARKER) && !shows_phone(&export.body));
    proxy.stop();
}

#[test]
fn a_process_exports_a_last_time_at_its_end_and_needs_no_admin_address() {
    let (redis, receiver) = (RedisServer::start(), Receiver::start());
    let program = exporting(&redis, 1, "3600000").env(
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        &format!("http://127.0.0.1:{}/own/path", receiver.port()),
    );
    let mut proxy = program.start(&["proxy", "--listen", "127.0.0.1:0", "--protect", "wa:*"]);
    proxy.wait_until_it_says("waxseal: listening on ");
    let said = proxy.said();
    let line = said
        .lines()
        .find(|it| it.contains("listening on "))
        .unwrap();
    let port = line.rsplit_once(':').unwrap().1.parse().unwrap();
    let mut client = waxseal_testing::Client::connect(port).unwrap();
    assert_eq!(client.cmd(&["SET", "wa:1", "{}"]).to_text(), "OK");
    assert!(receiver.last().is_none());
    proxy.signal("TERM");
    proxy.end().done();
    let export = receiver.last().expect("it sent what it had counted");
    assert_eq!((receiver.count(), export.path.as_str()), (1, "/own/path"));
    let samples = export.samples();
    let seals = samples
        .iter()
        .filter(|((name, _), _)| name == "waxseal_seals_total");
    assert_eq!(seals.map(|(_, value)| value).sum::<f64>(), 1.0);
}

#[test]
fn a_collector_that_is_unreachable_silent_or_refuses_is_logged_once_and_delays_nothing() {
    let silent = Receiver::silent();
    let refusing = Receiver::refusing();
    for (port, told) in [
        (1, "it cannot be reached"),
        (silent.port(), "it did not answer within "),
        (refusing.port(), "it answers 401"),
    ] {
        let redis = RedisServer::start();
        let url = format!("http://{CREDENTIAL}:{CREDENTIAL}@127.0.0.1:{port}/{CREDENTIAL}");
        let program = exporting(&redis, port, "30")
            .env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", &url)
            .env(
                "OTEL_EXPORTER_OTLP_HEADERS",
                &format!("authorization={CREDENTIAL}"),
            );
        let flags = [&FLAGS[..], &["--log", "trace"]].concat();
        let proxy = Proxy::start_as(&program, &redis, &flags);
        load(&proxy);
        if port != silent.port() {
            wait_until(|| proxy.said().matches("metrics are not exported:").count() > 2);
        }
        load(&proxy);
        assert_eq!(
            metrics(proxy.admin_port()).sum("waxseal_seals_total", &[]),
            40.0
        );
        let said = proxy.stop().stderr;
        let warned = format!("metrics are not exported to http://127.0.0.1:{port}: {told}");
        assert_eq!(said.matches(&warned).count(), 1, "{said}");
        assert!(!said.contains(CREDENTIAL), "{said}");
    }
    assert!(refusing.count() > 2 && silent.count() > 0);
}

#[test]
fn a_collector_that_recovers_is_logged() {
    let redis = RedisServer::start();
    let receiver = Receiver::refusing();
    let proxy = Proxy::start_as(&exporting(&redis, receiver.port(), "30"), &redis, &FLAGS);
    wait_until(|| proxy.said().contains("metrics are not exported to "));
    receiver.accept();
    wait_until(|| proxy.said().contains("metrics are exported to "));
    proxy.stop();
}

#[test]
fn invalid_variables_are_refused_without_repeating_them() {
    let redis = RedisServer::start();
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", CREDENTIAL.to_owned()),
        (
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            format!("grpc://{CREDENTIAL}:1"),
        ),
        ("OTEL_EXPORTER_OTLP_HEADERS", CREDENTIAL.to_owned()),
        ("OTEL_EXPORTER_OTLP_HEADERS", format!("a={CREDENTIAL}%0a")),
        ("OTEL_METRIC_EXPORT_INTERVAL", format!("0{CREDENTIAL}")),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc".to_owned()),
    ] {
        let program = exporting(&redis, 1, "30").env(name, &value);
        let words = ["proxy", "--listen", "127.0.0.1:0", "--protect", "wa:*"];
        let output = program.run(&words).failed(64, name);
        assert!(!output.stderr.contains(CREDENTIAL), "{}", output.stderr);
        assert!(output.stderr.contains("hint: "), "{}", output.stderr);
    }
}
