//! A reply that waits for a user's key, on a connection to the server that others share.

use waxseal_testing::RedisServer;

use super::{Lies, World};
use crate::proxy::Proxy;
use crate::records::{NAME, STATE};

#[test]
fn clients_behind_a_reply_that_waits_for_a_key_get_their_own_replies() {
    let keys = RedisServer::start();
    let config = format!(
        "user_keys = \"{}\"\n[[protect]]\nrecords = \"wa:{{user}}\"\nper_user_keys = true\n",
        keys.url()
    );
    let world = World::with(Lies::InAFile, &config);
    world.init();
    for name in ["open:1", "open:2"] {
        world.server.cli(&["SET", name, name]);
    }
    let flags = ["--workers", "1", "--lanes", "1", "--upstream", "shared"];
    let flags = [&flags[..], &["--keepalive", "1"]].concat();
    let proxy = Proxy::start_as(&world.program, &world.server, &flags);
    // The proxy has not seen this user.
    let put = world.program.run_with(&["put", NAME], STATE.as_bytes());
    put.done();
    keys.stop_process();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| proxy.client().cmd(&["GET", NAME]));
        // Behind it on their lane, for longer than that is silent without a sign of the proxy's own.
        std::thread::sleep(std::time::Duration::from_millis(200));
        let others = ["open:1", "open:2"].map(|name| {
            let proxy = &proxy;
            (
                name,
                scope.spawn(move || proxy.client().cmd(&["GET", name])),
            )
        });
        let refused = waiting.join().unwrap();
        assert!(
            refused
                .error()
                .is_some_and(|it| it.starts_with("SEALNOKEY")),
            "{refused:?}"
        );
        for (name, other) in others {
            assert_eq!(other.join().unwrap().to_text(), name);
        }
    });
    keys.continue_process();
    proxy.stop();
}
