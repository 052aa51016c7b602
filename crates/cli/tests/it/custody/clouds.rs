//! Custodians that are services, from nothing to a sealed record that opens.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;
#[cfg(feature = "awskms")]
use waxseal_testing::Moto;
use waxseal_testing::{Bao, Behaviour, HttpRelay, RedisServer};

use super::{QUICK, custodians, machine};
use crate::program::Program;
use crate::proxy::Proxy;

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

    let proxy = Proxy::start_as(&program, &server, &[]);
    relay.set_behaviour(Behaviour::Down);
    let set = proxy.client().cmd(&["SET", "wa:2", "{\"n\":2}"]);
    assert_eq!(set.to_text(), "OK");
    assert_eq!(proxy.client().cmd(&["GET", "wa:1"]).to_text(), "{\"n\":1}");
    let output = program.run(&["get", "wa:1"]);
    output.failed(2, "cannot be reached");
    proxy.stop();
    let body = "{\"__type\":\"ExpiredTokenException\",\"message\":\"ana\"}";
    relay.set_behaviour(Behaviour::status(400, body));
    let output = program.run(&["get", "wa:1"]);
    let output = output.failed(2, "the credentials have expired");
    assert!(
        output.stderr.contains("docs/keys/custodians"),
        "{}",
        output.stderr
    );
    relay.set_behaviour(Behaviour::Pass);
    program.run(&["get", "wa:1"]).done();
}

#[test]
fn a_vault_from_nothing_to_sealed_and_through_an_outage() {
    let (bao, server) = (Bao::start(), RedisServer::start());
    bao.enable_transit();
    bao.create_transit_key("waxseal");
    // No more than docs/keys/custodians/vault.md gives a proxy, and rewrap for the operator.
    let rules = ["encrypt", "decrypt", "rewrap"].map(|operation| {
        format!("path \"transit/{operation}/waxseal\" {{ capabilities = [\"update\"] }}\n")
    });
    bao.write_policy("waxseal", &rules.concat());
    let (role_id, secret_id) = bao.enable_approle("waxseal", "waxseal", "1h");
    let relay = HttpRelay::start(bao.port());
    let url = "vault:transit/waxseal";
    let program = machine(&server, &[url])
        .file("secret-id", &secret_id)
        .env("VAULT_ADDR", &relay.url())
        .env("VAULT_ROLE_ID", &role_id)
        .env("VAULT_SECRET_ID_FILE", "secret-id");
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(program.path("secret-id"), mode).unwrap();
    from_nothing_to_sealed(&program, url);

    let proxy = Proxy::start_as(&program, &server, &[]);
    relay.set_behaviour(Behaviour::Stall);
    let set = proxy.client().cmd(&["SET", "wa:2", "{\"n\":2}"]);
    assert_eq!(set.to_text(), "OK");
    assert_eq!(proxy.client().cmd(&["GET", "wa:1"]).to_text(), "{\"n\":1}");
    let output = program.run(&["get", "wa:1"]);
    let output = output.failed(2, "cannot be reached: no answer in time");
    assert!(
        output.stderr.contains("--allow-offline"),
        "{}",
        output.stderr
    );
    relay.set_behaviour(Behaviour::matching("/transit/decrypt/", 403, "{}"));
    let output = program.run(&["get", "wa:1"]);
    let output = output.failed(2, "denies unwrap: permission denied");
    assert!(
        output.stderr.contains("docs/keys/custodians"),
        "{}",
        output.stderr
    );
    relay.set_behaviour(Behaviour::Pass);
    program.run(&["get", "wa:2"]).done();
    proxy.stop();

    // The key-encryption key is rotated, and the keys come under its newest version.
    bao.rotate_transit_key("waxseal");
    program.run(&["keyring", "rewrap"]).done();
    let newest = json!({"min_decryption_version": 2});
    bao.api("POST", "transit/keys/waxseal/config", &newest);
    program.run(&["get", "wa:2"]).done();
    for output in [
        program.run(&["keyring", "status"]),
        program.run(&["doctor"]),
    ] {
        let told = format!("{}{}", output.text(), output.stderr);
        assert!(!told.contains(&secret_id), "a secret shows: {told}");
    }
}
