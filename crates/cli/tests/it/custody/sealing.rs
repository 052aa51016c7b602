//! The requests to a token while values are sealed: to open the keyring, and nothing more.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use super::World;
use crate::program::wait_until;
use crate::proxy::{PROTECTED_MARKER, Proxy};

const VALUES: usize = 100_000;
/// The first bytes of the sealed format.
const SEALED: [u8; 2] = [0xF5, b'W'];
/// Sent before the first reply is read.
const AT_ONCE: usize = 1_000;

#[test]
fn sealing_a_hundred_thousand_values_asks_the_token_no_more_than_starting_does() {
    let world = World::sealed_by_the_token();
    let log = world.program.path("calls");
    let mut spied = world.program.clone();
    for (name, value) in world.token.spy_env(&log) {
        spied = spied.env(&name, &value);
    }
    let spied = spied.env("PKCS11_MODULE_PATH", world.token.spy().to_str().unwrap());

    let proxy = Proxy::start_as(&spied, &world.server, &[]);
    let at_start = calls(&log);
    // The ring's own secret and one key; SoftHSM is asked for the length of each first.
    assert_eq!(at_start.decrypt, 2 * 2);
    assert_eq!(at_start.login, 1);

    let mut client = proxy.client();
    for start in (0..VALUES).step_by(AT_ONCE) {
        let commands: Vec<[String; 3]> = (start..start + AT_ONCE)
            .map(|index| {
                let value = format!("{{\"n\":{index},\"c\":\"{PROTECTED_MARKER}\"}}");
                ["SET".to_owned(), format!("wa:{index}"), value]
            })
            .collect();
        let replies = client.pipeline(&commands);
        assert!(replies.iter().all(|reply| reply.to_text() == "OK"));
    }
    // Several checks of the keyring's document happen meanwhile, every 200 ms.
    sleep(Duration::from_secs(1));
    for index in [0, 1, VALUES / 2, VALUES - 1] {
        let stored = world.server.client().cmd(&["GET", &format!("wa:{index}")]);
        let stored = stored.bytes().unwrap();
        assert!(stored.starts_with(&SEALED) && !contains(&stored, PROTECTED_MARKER));
        let opened = client.cmd(&["GET", &format!("wa:{index}")]).to_text();
        assert!(opened.contains(&format!("\"n\":{index},")), "{index}");
    }
    assert_eq!(
        world.server.client().cmd(&["DBSIZE"]).int(),
        100_000 + canaries(&world)
    );
    assert_eq!(calls(&log), at_start, "sealing asked the token");

    // A new key is asked for once: the ring's secret and the other key are known.
    world.run(&["keyring", "add"]).done();
    wait_until(|| calls(&log).decrypt > at_start.decrypt);
    sleep(Duration::from_secs(1));
    let after = calls(&log);
    assert_eq!(after.decrypt, at_start.decrypt + 2);
    assert_eq!(after.login, 1);
    proxy.stop();
}

/// The proxy's own records in the store.
fn canaries(world: &World) -> i64 {
    let names = world.server.client().cmd(&["KEYS", "waxseal:*"]).array();
    i64::try_from(names.len()).unwrap()
}

fn contains(bytes: &[u8], word: &str) -> bool {
    bytes
        .windows(word.len())
        .any(|part| part == word.as_bytes())
}

/// The number of calls of each.
#[derive(Debug, PartialEq, Eq)]
struct Calls {
    login: usize,
    encrypt: usize,
    decrypt: usize,
    all: usize,
}

fn calls(log: &Path) -> Calls {
    let log = fs::read_to_string(log).unwrap();
    let of = |name: &str| log.matches(&format!(": C_{name}\n")).count();
    Calls {
        login: of("Login"),
        encrypt: of("Encrypt"),
        decrypt: of("Decrypt"),
        all: log.matches(": C_").count(),
    }
}
