//! Keyrings on the status page: the keys are those that `keyring status` tells, their shares those that
//! an audit counts, and what goes wrong with them is a warning.

use super::{Lies, PLACES, World, text};
use crate::program::wait_until;
use crate::proxy::Proxy;
use crate::records::STATE;
use crate::status_page::Page;

impl World {
    #[track_caller]
    fn proxy(&self) -> Proxy {
        let flags = ["--protect", "wa:*", "--count-every", "1"];
        Proxy::start_as(&self.program, &self.server, &flags)
    }

    /// Waits until the page warns of this.
    #[track_caller]
    fn wait_for_warning(proxy: &Proxy, alert: &str) -> Page {
        wait_until(|| Page::of(proxy.admin_port()).warns(alert));
        Page::of(proxy.admin_port())
    }
}

#[test]
fn keys_and_their_shares_are_those_of_status_and_audit() {
    for lies in PLACES {
        let world = World::with_ring(lies);
        let proxy = world.proxy();
        let (port, old) = (proxy.admin_port(), world.sealing());
        let mut client = proxy.client();
        let mut set = |names: std::ops::Range<u32>| {
            for number in names {
                let reply = client.cmd(&["SET", &format!("wa:a{number}"), STATE]);
                assert_eq!(reply.to_text(), "OK");
            }
        };
        set(0..30);
        world.ring(&["add"]).done();
        wait_until(|| world.sealing() != old);
        let new = world.sealing();
        wait_until(|| !world.keys("archived").is_empty());
        set(30..40);
        let share =
            |page: &Page, id: &str| page.text(&format!("data-key=\"{id}\""), "data-is=\"values\"");
        wait_until(|| {
            let page = Page::of(port);
            page.has(&format!("data-key=\"{new}\""))
                && page.is_counted()
                && share(&page, &new) == "40"
        });
        let page = Page::of(port);
        for key in world.status()["keys"].as_array().unwrap() {
            let (id, state) = (text(&key["id"]), text(&key["state"]));
            assert_eq!(
                page.text(&format!("data-key=\"{id}\""), "data-is=\"state\""),
                state
            );
        }
        let audit = world
            .run(&["audit", "--protect", "wa:*", "--json"])
            .done()
            .json();
        assert_eq!(audit["patterns"][0]["groups"][0]["values"], 40);
        wait_until(|| share(&Page::of(port), &old) == "0");
        // What became of the keys, and what comes.
        assert!(page.has(&format!("key {old} is archived")), "no past");
        assert!(page.has(&format!("key {old} is destroyed")), "no future");
        assert_eq!(
            page.figure("keyring_version"),
            world.status()["version"].as_f64().unwrap()
        );
        proxy.stop();
    }
}

#[test]
fn a_step_of_a_rotation_has_records_counted_and_a_destroyed_key_shows_no_values_of_before() {
    let world = World::with_ring(Lies::InTheServer);
    let flags = ["--protect", "wa:*", "--count-every", "86400"];
    let proxy = Proxy::start_as(&world.program, &world.server, &flags);
    let (port, old) = (proxy.admin_port(), world.sealing());
    let mut client = proxy.client();
    for number in 0..30 {
        let reply = client.cmd(&["SET", &format!("wa:a{number}"), STATE]);
        assert_eq!(reply.to_text(), "OK");
    }
    let of = |page: &Page, id: &str, what: &str| {
        page.text(
            &format!("data-key=\"{id}\""),
            &format!("data-is=\"{what}\""),
        )
    };
    wait_until(|| of(&Page::of(port), &old, "values") == "30");
    world.hurry();
    world.ring(&["add"]).done();
    // In no state that it takes the key shows what was counted in another one.
    let mut seen = Vec::new();
    wait_until(|| {
        let page = Page::of(port);
        let (state, values) = (of(&page, &old, "state"), of(&page, &old, "values"));
        if state == "destroyed" || state == "archived" {
            let outdated = format!("not counted since it is {state}");
            assert!(values == "0" || values == outdated, "{state}: {values}");
        }
        if seen.last() != Some(&state) {
            seen.push(state.clone());
        }
        state == "destroyed" && values == "0"
    });
    assert_eq!(seen[0], "sealing", "{seen:?}");
    let new = world.sealing();
    wait_until(|| of(&Page::of(port), &new, "values") == "30");
    proxy.stop();
}

#[test]
fn the_shares_of_all_keys_and_of_the_keys_of_users_add_up() {
    let config = "[[protect]]\nrecords = \"u:{user}\"\nper_user_keys = true\n\
                  [[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\n";
    let world = World::with(Lies::InAFile, config);
    world.init();
    let proxy = Proxy::start_as(&world.program, &world.server, &["--count-every", "1"]);
    let port = proxy.admin_port();
    let mut client = proxy.client();
    for number in 0..8 {
        for name in [format!("wa:a{number}"), format!("u:b{number}")] {
            assert_eq!(client.cmd(&["SET", &name, STATE]).to_text(), "OK");
        }
    }
    // One that opens nowhere: moved from another record.
    world.server.client().cmd(&["COPY", "wa:a1", "wa:moved"]);
    let sealing = world.sealing();
    let rows = [
        (format!("data-key=\"{sealing}\""), "8"),
        ("data-keys=\"users\"".to_owned(), "8"),
        ("data-keys=\"unreadable\"".to_owned(), "1"),
    ];
    wait_until(|| {
        let page = Page::of(port);
        let values = |row: &str| page.text(row, "data-is=\"values\"");
        page.has("data-keys=\"unreadable\"")
            && rows
                .iter()
                .all(|(row, values_of_row)| values(row) == *values_of_row)
    });
    let page = Page::of(port);
    assert_eq!(
        page.coverage("wa:*", "sealed") + page.coverage("u:{user}", "sealed"),
        16.0
    );
    for share in [" of 17, 47.1 %", " of 17, 5.9 %"] {
        assert!(page.has(share), "{share}");
    }
    proxy.stop();
}

#[test]
fn a_keyring_that_is_out_of_reach() {
    let mut world = World::with_ring(Lies::InTheServer);
    let proxy = world.proxy();
    assert!(!Page::of(proxy.admin_port()).warns("WaxsealKeyringTrouble"));
    world.server.kill();
    let page = World::wait_for_warning(&proxy, "WaxsealKeyringTrouble");
    assert!(page.has("waxseal keyring restore"));
    world.server.restart();
    wait_until(|| !Page::of(proxy.admin_port()).warns("WaxsealKeyringTrouble"));
    proxy.stop();
}

#[test]
fn a_rotation_that_no_one_can_carry_out() {
    let world = World::with_ring(Lies::InTheServer);
    let proxy = world.proxy();
    world
        .ring(&["configure", "--rotate-every", "2s", "--at-once"])
        .done();
    // It answers reads, and takes no writes.
    let mut server = world.server.client();
    server.cmd(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let page = World::wait_for_warning(&proxy, "WaxsealRotationStalled");
    assert!(page.has("due now") && page.has("waxseal keyring status</code> names the leader"));
    server.cmd(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    wait_until(|| !Page::of(proxy.admin_port()).warns("WaxsealRotationStalled"));
    proxy.stop();
}

#[test]
fn a_keeper_has_a_page_of_its_own() {
    let world = World::with_ring(Lies::InTheServer);
    let mut keeper =
        world
            .program
            .start(&["keeper", "--admin", "127.0.0.1:0", "--count-every", "1"]);
    keeper.wait_until_it_says("keeping the keyring at ");
    let said = keeper.said();
    let (_, port) = said.split_once("waxseal: admin on 127.0.0.1:").unwrap();
    let port = port.lines().next().unwrap().parse().unwrap();
    world
        .program
        .run_with(&["put", "wa:1"], STATE.as_bytes())
        .done();
    wait_until(|| {
        let page = Page::of(port);
        let looked = page.has("data-check=\"keyring\"");
        looked && page.is_counted() && page.coverage("wa:*", "classic") == 1.0
    });
    let page = Page::of(port);
    assert!(page.has("Waxseal keeper"));
    // It has no clients.
    assert!(!page.has("id=\"refused\"") && !page.has("data-figure=\"clients\""));
    keeper.signal("TERM");
    world.assert_leaks_nothing(&keeper.end().done());
}
