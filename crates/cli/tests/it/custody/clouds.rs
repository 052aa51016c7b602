//! Custodians that are services, from nothing to a sealed record that opens.

use waxseal_testing::{Behaviour, HttpRelay, Moto, RedisServer};

use super::{QUICK, custodians, machine};
use crate::program::Program;

/// Makes a keyring, seals a record, opens it again, and moves the keys to the newest key-encryption key.
#[track_caller]
fn from_nothing_to_sealed(program: &Program, url: &str) {
    let words = [&["keyring", "init"], &QUICK[..]].concat();
    program.run(&words).done();
    assert_eq!(custodians(program), [url]);
    program.run_with(&["put", "wa:1"], b"{\"n\":1}").done();
    let output = program.run(&["get", "wa:1"]).done();
    assert_eq!(output.text().trim(), "{\"n\":1}");
    let document = || std::fs::read(program.path("ring.json")).unwrap();
    let before = document();
    program.run(&["keyring", "rewrap"]).done();
    assert_ne!(document(), before);
    program.run(&["get", "wa:1"]).done();
    let doctor = program.run(&["doctor"]);
    assert!(doctor.text().contains(url), "{}", doctor.text());
}

#[cfg(feature = "awskms")]
#[test]
fn aws_kms_from_nothing_to_sealed_and_through_an_outage() {
    let (moto, server) = (Moto::start(), RedisServer::start());
    let url = format!("awskms:{}", moto.create_key());
    let relay = HttpRelay::start(moto.port());
    let mut program = machine(&server, &[&url]);
    for (name, value) in moto.env() {
        program = program.env(&name, &value);
    }
    let program = program.env("AWS_ENDPOINT_URL", &relay.url());
    from_nothing_to_sealed(&program, &url);

    relay.behave(Behaviour::Down);
    let output = program.run(&["get", "wa:1"]);
    output.failed(2, "cannot be reached");
    let body = "{\"__type\":\"ExpiredTokenException\",\"message\":\"ana\"}";
    relay.behave(Behaviour::status(400, body));
    let output = program.run(&["get", "wa:1"]);
    let output = output.failed(2, "the credentials have expired");
    assert!(
        output.stderr.contains("docs/custodians"),
        "{}",
        output.stderr
    );
    relay.behave(Behaviour::Pass);
    program.run(&["get", "wa:1"]).done();
}
