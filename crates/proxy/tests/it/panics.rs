//! A panic in the task of one client: that client is disconnected, or the clients of its lane, and
//! the proxy serves all others and new clients. The panic is planted in the report about
//! a value that does not open.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use waxseal_core::Mode;
use waxseal_proxy::{Address, Handshake, Limits, Listen, Proxy, Settings, Sharing, Upstream};
use waxseal_testing::{Client, RedisServer};

use crate::keyed::RUNTIME;
use crate::pair::{KEY, envelope, protection};

#[test]
fn a_panic_ends_one_client_and_not_the_proxy() {
    let redis = RedisServer::start();
    let mut server = redis.client();
    let mut damaged = envelope("wa:1=a", KEY);
    *damaged.last_mut().unwrap() ^= 1;
    server.cmd(&[&b"SET"[..], b"wa:1", &damaged]);
    server.cmd(&[&b"SET"[..], b"wa:2", &envelope("wa:2=b", KEY)]);

    for sharing in [Sharing::Dedicated, Sharing::Shared, Sharing::Auto] {
        let (port, stop, running) = start(&redis, sharing);
        let mut bystander = Client::connect(port).unwrap();
        assert_eq!(bystander.cmd(&["GET", "wa:2"]).to_text(), "b");
        for _ in 0..3 {
            let mut client = Client::connect(port).unwrap();
            assert_eq!(client.cmd(&["GET", "wa:2"]).to_text(), "b", "{sharing:?}");
            // On a lane it gets the error that its connection to the store has ended.
            let reply = client.try_cmd(&["GET", "wa:1"]);
            assert!(
                reply.is_err() || reply.is_ok_and(|it| it.error().is_some()),
                "{sharing:?}"
            );
        }
        let mut next = Client::connect(port).unwrap();
        assert_eq!(next.cmd(&["GET", "wa:2"]).to_text(), "b", "{sharing:?}");
        if sharing == Sharing::Dedicated {
            assert_eq!(bystander.cmd(&["GET", "wa:2"]).to_text(), "b");
        }
        // No client is left that a drain would wait for.
        drop((bystander, next));
        stop.send(()).unwrap();
        let ended = RUNTIME.block_on(running).unwrap();
        assert_eq!(ended.cut, 0, "{sharing:?}");
    }
}

type Running = tokio::task::JoinHandle<waxseal_proxy::Ended>;

fn start(redis: &RedisServer, sharing: Sharing) -> (u16, oneshot::Sender<()>, Running) {
    let address = Address::Tcp {
        host: "127.0.0.1".to_owned(),
        port: redis.port(),
    };
    let upstream = Upstream::new(address, None, Handshake::default(), 0).unwrap();
    let settings = Settings {
        listen: vec![Listen::Tcp("127.0.0.1:0".to_owned())],
        listen_tls: None,
        upstream: Arc::new(upstream),
        sharing,
        lanes: 1,
        workers: 1,
        limits: Limits::default(),
        protection: Arc::new(protection(Mode::On)),
        report: Arc::new(|_| panic!("a bug, planted by a test")),
        grace: Duration::from_secs(60),
    };
    let proxy = RUNTIME.block_on(Proxy::open(settings)).unwrap();
    let at = proxy.addresses().next().unwrap();
    let port = at.rsplit_once(':').unwrap().1.parse().unwrap();
    let (stop, stopped) = oneshot::channel();
    let running = RUNTIME.spawn(proxy.run(async {
        stopped.await.ok();
    }));
    (port, stop, running)
}
