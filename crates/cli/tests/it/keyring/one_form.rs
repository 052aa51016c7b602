//! Members in one form: found by passes, used by the proxy, and taken back before another form is written.

use serde_json::Value;
use waxseal_testing::{Client, RedisServer};

use super::{Lies, World};
use crate::program::{Program, wait_until};
use crate::proxy::Proxy;

const SETS: &str = "[[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\n";

/// Times under which nothing has to be waited for long.
pub(super) const INIT: [&str; 11] = [
    "init",
    "--document-format",
    "2",
    "--rotate-every",
    "never",
    "--propagation",
    "400ms",
    "--refresh",
    "200ms",
    "--retain",
    "400ms",
];

impl World {
    /// A proxy over a ring of format 2, before a server with one member.
    #[track_caller]
    fn with_member() -> (Self, Proxy) {
        let world = Self::with(Lies::InAFile, SETS);
        world.ring(&INIT).done();
        let proxy = Proxy::start_configured(&world.program, &[]);
        let added = proxy.client().cmd(&["SADD", "wa:1", "ana"]);
        assert_eq!(added.int(), 1);
        (world, proxy)
    }

    /// What the ring has recorded of members.
    #[track_caller]
    fn forms(&self) -> Value {
        let protects = self.status()["protects"].clone();
        let mut protects = protects.as_array().unwrap().iter();
        let entry = protects.find(|it| it["records"] == "wa:*");
        entry.unwrap()["members"].clone()
    }

    #[track_caller]
    fn has_one_form(&self) -> bool {
        self.forms()["key"].is_string()
    }

    /// Counts until there is one form.
    #[track_caller]
    fn find_one_form(&self) {
        wait_until(|| {
            self.run(&["audit"]).done();
            self.has_one_form()
        });
    }
}

/// True if a request that names a member goes out with a script.
#[track_caller]
fn has_prelude(server: &RedisServer, client: &mut Client) -> bool {
    let scripts = |server: &RedisServer| {
        let info = server.client().cmd(&["INFO", "commandstats"]).to_text();
        let line = info.lines().find(|it| it.starts_with("cmdstat_eval:"));
        line.map(ToOwned::to_owned)
    };
    let before = scripts(server);
    assert_eq!(client.cmd(&["SISMEMBER", "wa:1", "somebody"]).int(), 0);
    scripts(server) != before
}

#[test]
fn the_prelude_ends_after_a_pass_and_is_back_before_another_form() {
    let (world, proxy) = World::with_member();
    let (server, mut client) = (&world.server, proxy.client());
    assert!(has_prelude(server, &mut client));
    world.find_one_form();
    wait_until(|| !has_prelude(server, &mut client));
    assert_eq!(client.cmd(&["SISMEMBER", "wa:1", "ana"]).int(), 1);
    let status = world.ring(&["status"]).done().text();
    assert!(status.contains("members in one form"), "{status}");

    // A new index key: known before it writes.
    let first = world.forms()["key"].clone();
    world.ring(&["rotate-index"]).done();
    assert!(!world.has_one_form());
    wait_until(|| has_prelude(server, &mut client));
    wait_until(|| {
        world.ring(&["rotate-index"]).done();
        world.status()["index_keys"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["state"] == "reading")
    });
    wait_until(|| {
        assert_eq!(client.cmd(&["SISMEMBER", "wa:1", "ana"]).int(), 1);
        world.run(&["rotate"]).done();
        world.run(&["rotate"]).done();
        world.has_one_form()
    });
    assert_ne!(world.forms()["key"], first);
    wait_until(|| !has_prelude(server, &mut client));
    assert_eq!(client.cmd(&["SISMEMBER", "wa:1", "ana"]).int(), 1);
    proxy.stop();
}

#[test]
fn a_plain_member_brings_the_prelude_back() {
    let (world, proxy) = World::with_member();
    let (server, mut client) = (&world.server, proxy.client());
    world.find_one_form();
    wait_until(|| !has_prelude(server, &mut client));
    server.client().cmd(&["SADD", "wa:1", "bob"]);
    // To this proxy once it has read it, to all after the next pass.
    assert_eq!(client.cmd(&["SMEMBERS", "wa:1"]).array().len(), 2);
    assert!(has_prelude(server, &mut client));
    assert_eq!(client.cmd(&["SISMEMBER", "wa:1", "bob"]).int(), 1);
    server.client().cmd(&["SADD", "wa:1", "eve"]);
    world.run(&["audit"]).done();
    assert!(!world.has_one_form());
    world.run(&["migrate"]).done();
    world.find_one_form();
    proxy.stop();
}

#[test]
fn a_proxy_that_writes_plain_members_is_known_to_all_before_it_serves() {
    let (world, proxy) = World::with_member();
    let (server, mut client) = (&world.server, proxy.client());
    world.find_one_form();
    wait_until(|| !has_prelude(server, &mut client));
    let program: Program = world.program.clone().env("ENABLE_REDIS_ENCRYPTION", "off");
    let off = Proxy::start_configured(&program, &[]);
    assert!(has_prelude(server, &mut client));
    assert_eq!(off.client().cmd(&["SADD", "wa:1", "bob"]).int(), 1);
    assert_eq!(client.cmd(&["SISMEMBER", "wa:1", "bob"]).int(), 1);
    // While it runs, no pass shows anything.
    world.run(&["migrate"]).done();
    wait_until(|| {
        let processes = world.status()["processes"].clone();
        processes.as_array().unwrap().len() == 2
    });
    world.run(&["audit"]).done();
    assert!(!world.has_one_form());
    off.stop();
    proxy.stop();
}

#[test]
fn a_decryption_takes_one_form_back_first() {
    let (world, proxy) = World::with_member();
    world.find_one_form();
    world.run(&["decrypt", "--yes"]).done();
    assert!(!world.has_one_form());
    let mut client = proxy.client();
    assert_eq!(client.cmd(&["SADD", "wa:1", "ana"]).int(), 0);
    proxy.stop();
}
