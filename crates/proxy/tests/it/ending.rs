//! The end of a proxy that counts: a client whose request does not come to its end is cut, and counted.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use waxseal_core::Mode;
use waxseal_proxy::{
    Address, Handshake, Limits, Listen, Meters, Proxy, Settings, Sharing, Upstream,
};
use waxseal_testing::RedisServer;

use crate::keyed::RUNTIME;
use crate::pair::{protection, request};

#[test]
fn what_is_cut_at_the_end_of_the_grace_period_is_counted() {
    waxseal_metrics::install().unwrap();
    let meters = Arc::new(Meters::new(["states"]));
    let redis = RedisServer::start();
    let address = Address::Tcp {
        host: "127.0.0.1".to_owned(),
        port: redis.port(),
    };
    let upstream = Upstream::new(address, None, Handshake::default(), 0).unwrap();
    let settings = Settings {
        listen: vec![Listen::Tcp("127.0.0.1:0".to_owned())],
        listen_tls: None,
        upstream: Arc::new(upstream),
        sharing: Sharing::Dedicated,
        lanes: 1,
        workers: 1,
        limits: Limits::default(),
        protection: Arc::new(protection(Mode::On).meters(meters)),
        report: Arc::new(|_| {}),
        grace: Duration::from_millis(100),
    };
    let proxy = RUNTIME.block_on(Proxy::open(settings)).unwrap();
    let mut client = TcpStream::connect(proxy.addresses().next().unwrap()).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = RUNTIME.spawn(proxy.run(async {
        stopped.await.ok();
    }));
    let count = |cause: &str| {
        let text = waxseal_metrics::render().unwrap();
        let name = format!("waxseal_client_connections_cut_total{{cause=\"{cause}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap().parse::<u64>().unwrap()
    };
    client.write_all(&request("PING")).unwrap();
    client.write_all(&request("BLPOP wa:queue 0")).unwrap();
    client.read_exact(&mut [0; 7]).unwrap();
    // The second request must have arrived before the end begins.
    let mut server = redis.client();
    while !server
        .cmd(&["CLIENT", "LIST"])
        .to_text()
        .contains("cmd=blpop")
    {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(count("stopping"), 0);
    stop.send(()).unwrap();
    assert_eq!(RUNTIME.block_on(running).unwrap().cut, 1);
    assert_eq!(count("stopping"), 1);
    assert_eq!(count("half_request") + count("not_reading"), 0);
}
