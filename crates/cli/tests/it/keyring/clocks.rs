//! A machine whose clock is wrong, and what one wrote into the keyring.

use waxseal_testing::Skew;

use super::{Lies, World};
use crate::program::{Program, wait_until};
use crate::proxy::Proxy;
use crate::records::NAME;
use crate::status_page::Page;

fn skewed(program: &Program, skew: &Skew) -> Program {
    let variables = skew.env().into_iter();
    variables.fold(program.clone(), |program, (name, value)| {
        program.env(&name, &value)
    })
}

#[test]
fn a_machine_whose_clock_is_400_days_ahead_seals_and_changes_no_key() {
    let world = World::with_ring(Lies::InTheServer);
    let skew = Skew::of_days(400);
    let ahead = skewed(&world.program, &skew);
    ahead.run_with(&["put", NAME], b"{}").done();
    let text = "the clock of this machine is 400 days ahead of that of the server at ";
    let refused = ahead.run(&["keyring", "add"]).failed(2, text);
    assert!(
        refused.stderr.contains("waxseal keyring repair-times"),
        "{refused:?}"
    );
    // Everything else of a rotation is done.
    let rotated = ahead.run(&["rotate"]).done();
    assert!(rotated.stderr.contains(text), "{rotated:?}");
    let found = ahead.run(&["doctor", "--json"]).with_status(1).text();
    assert!(
        found.contains("this machine's clock is 400 days ahead of"),
        "{found}"
    );
    assert_eq!(world.status()["keys"].as_array().unwrap().len(), 1);
    let found = world.run(&["doctor"]).done().text();
    assert!(
        found.contains("agrees with that of the server at "),
        "{found}"
    );
    let fresh = World::new(Lies::InTheServer);
    skewed(&fresh.program, &skew)
        .run(&["keyring", "init"])
        .failed(2, text);
}

#[test]
fn a_proxy_whose_clock_is_wrong_says_so_on_its_page() {
    let world = World::with_ring(Lies::InTheServer);
    let skew = Skew::of_days(400);
    let ahead = skewed(&world.program, &skew);
    let proxy = Proxy::start_as(&ahead, &world.server, &["--protect", "wa:*"]);
    wait_until(|| Page::of(proxy.admin_port()).warns("WaxsealClockOffset"));
    let page = Page::of(proxy.admin_port());
    // 400 days, but for a few milliseconds.
    assert!(page.has("The clock of this machine is ") && page.has(" ahead of that of the keyring"));
    proxy.stop();
}

#[test]
fn times_that_a_wrong_clock_wrote_are_reported_and_set_right_by_hand() {
    // In a file: there is no other clock to compare with.
    let world = World::with_ring(Lies::InAFile);
    let skew = Skew::of_days(400);
    skewed(&world.program, &skew)
        .run(&["keyring", "add"])
        .done();
    let pending = world.keys("pending").pop().unwrap();
    let status = world.ring(&["status"]).done().text();
    for text in [
        format!("key {pending} was created "),
        format!("key {pending} may seal "),
        "waxseal keyring repair-times sets these times right".to_owned(),
    ] {
        assert!(status.contains(&text), "{text}: {status}");
    }
    let found = world.run(&["doctor"]).with_status(1).text();
    assert!(
        found.contains("from now: a clock was wrong, and rotation waits"),
        "{found}"
    );
    let before = world.document();
    let asked = world
        .ring(&["repair-times"])
        .failed(64, "3 times of the keyring would be changed");
    assert!(asked.stderr.contains("confirm with --yes"), "{asked:?}");
    assert_eq!(world.document(), before);
    world.ring(&["repair-times", "--yes"]).done();
    assert_eq!(world.status()["wrong_times"].as_array().unwrap().len(), 0);
    std::thread::sleep(std::time::Duration::from_millis(500));
    world.ring(&["promote", &pending]).done();
    assert_eq!(world.sealing(), pending);
    world.ring(&["repair-times"]).done();
}
