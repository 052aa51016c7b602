//! Requests of very many protected names: what the proxy remembers of them until the reply comes is
//! little, or they are refused.

use std::time::Duration;

use super::counts::{happens, metric};
use super::wire::request;
use super::{Pair, UPSTREAMS, memory};

const NAMES: usize = 150_000;
/// Largest growth of the process.
const GROWTH_KIB: u64 = 12 * 1024;

#[test]
fn a_request_of_many_protected_names_holds_little_memory_until_it_is_answered() {
    let mut words = vec!["MGET".to_owned()];
    words.extend((0..NAMES).map(|number| format!("wa:{:03}", number % 1000)));
    let bytes = request(&words);
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--max-value", "1MiB", "--workers", "1"]);
        let mut wire = pair.wire();
        assert_eq!(wire.ask(&["SET", "wa:none", "amatista"]), "+OK\r\n");
        assert_eq!(wire.ask(&["MGET", "wa:none"]), "*1\r\n$8\r\namatista\r\n");
        let rss = || memory(pair.proxy.pid(), "VmRSS:");
        let received = || metric(&pair.proxy, "waxseal_received_bytes_total");
        let (before, received_before) = (rss(), received());
        pair.redis.stop_process();
        wire.send(&bytes);
        let arrived = happens(|| received() - received_before >= bytes.len() as f64);
        // It is taken right after it has arrived; a refusal comes at once.
        let mut most = 0;
        for _ in 0..50 {
            most = most.max(rss());
            std::thread::sleep(Duration::from_millis(10));
        }
        pair.redis.continue_process();
        assert!(arrived, "{upstream}");
        let reply = wire.reply();
        let growth = most.saturating_sub(before);
        let refused = reply.starts_with("-SEALREFUSED ");
        assert!(refused || reply.starts_with("*150000\r\n"), "{reply:?}");
        assert!(refused || growth <= GROWTH_KIB, "{upstream}: {growth} KiB");
        assert_eq!(wire.ask(&["GET", "wa:none"]), "$8\r\namatista\r\n");
    }
}
