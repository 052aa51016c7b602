//! A build without OpenTelemetry says that it exports nothing where a collector is named.

use waxseal_testing::RedisServer;

use crate::program::Program;
use crate::proxy::Proxy;

#[test]
fn a_collector_that_is_named_to_a_build_without_opentelemetry_is_reported_at_the_start() {
    let redis = RedisServer::start();
    let program = Program::at(&redis).env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    let proxy = Proxy::start_as(&program, &redis, &["--protect", "wa:*"]);
    let told =
        "OTEL_EXPORTER_OTLP_ENDPOINT is set, and this waxseal was built without opentelemetry";
    let said = proxy.stop().stderr;
    assert_eq!(said.matches(told).count(), 1, "{said}");
}
