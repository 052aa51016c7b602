//! A thousand clients at once, each with names of its own so that every reply is known
//! before it comes.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::corpus::Chance;
use super::wire::request;
use super::{Pair, UPSTREAMS, bulk_of};

const CLIENTS: u64 = 1000;
/// For all ways of going upstream together.
const TIME: Duration = Duration::from_secs(24);

/// The writes of one client, as the server must have them.
struct Known {
    client: u64,
    round: u64,
    text: Option<Vec<u8>>,
    list: Vec<Vec<u8>>,
    count: u64,
}

impl Known {
    /// One request that makes sense now, and its reply.
    fn next(&mut self, chance: &mut Chance, out: &mut Vec<u8>, expected: &mut Vec<u8>) {
        self.round += 1;
        let client = self.client;
        let value = format!("amatista {client} {} ", self.round);
        let value = value.repeat(1 + chance.below(20)).into_bytes();
        let (text, list) = (format!("wa:text:{client}"), format!("wa:list:{client}"));
        let ok = b"+OK\r\n".to_vec();
        let (words, reply): (Vec<Vec<u8>>, Vec<u8>) = match chance.below(10) {
            0 | 1 => {
                self.text = Some(value.clone());
                (vec![b"SET".into(), text.into(), value], ok)
            }
            2 | 3 => (
                vec![b"GET".into(), text.into()],
                bulk_of(self.text.as_deref()),
            ),
            4 => {
                self.list.push(value.clone());
                let length = format!(":{}\r\n", self.list.len());
                (vec![b"RPUSH".into(), list.into(), value], length.into())
            }
            5 => {
                let all = self.list.iter().flat_map(|it| bulk_of(Some(it)));
                let reply = format!("*{}\r\n", self.list.len()).into_bytes();
                let words = vec![b"LRANGE".into(), list.into(), b"0".into(), b"-1".into()];
                (words, reply.into_iter().chain(all).collect())
            }
            6 => {
                let gone = (!self.list.is_empty()).then(|| self.list.remove(0));
                (vec![b"LPOP".into(), list.into()], bulk_of(gone.as_deref()))
            }
            7 => {
                self.count += 1;
                let name = format!("open:{client}");
                let reply = format!(":{}\r\n", self.count);
                (vec![b"INCR".into(), name.into()], reply.into())
            }
            8 => {
                let length = self.text.as_ref().map_or(0, Vec::len);
                let reply = format!(":{length}\r\n");
                (vec![b"STRLEN".into(), text.into()], reply.into())
            }
            _ => (vec![b"ECHO".into(), value.clone()], bulk_of(Some(&value))),
        };
        out.extend(request(&words));
        expected.extend(reply);
    }

    /// Now and then something that a lane cannot carry.
    fn away(&mut self, out: &mut Vec<u8>, expected: &mut Vec<u8>) {
        let name = format!("wa:text:{}", self.client);
        let value = format!("amatista in a transaction {}", self.round).into_bytes();
        for words in [
            vec![b"MULTI".to_vec()],
            vec![b"SET".to_vec(), name.clone().into(), value.clone()],
            vec![b"GET".to_vec(), name.into()],
            vec![b"EXEC".to_vec()],
        ] {
            out.extend(request(&words));
        }
        expected.extend(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n");
        expected.extend(bulk_of(Some(&value)));
        self.text = Some(value);
    }
}

/// The number of requests of one client that were answered.
async fn converse(port: u16, client: u64, until: Instant) -> u64 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut chance = Chance::seeded(client);
    let mut known = Known {
        client,
        round: 0,
        text: None,
        list: Vec::new(),
        count: 0,
    };
    while Instant::now() < until {
        let (mut out, mut expected) = (Vec::new(), Vec::new());
        for _ in 0..1 + chance.below(16) {
            known.next(&mut chance, &mut out, &mut expected);
        }
        if chance.below(20) == 0 {
            known.away(&mut out, &mut expected);
        }
        stream.write_all(&out).await.unwrap();
        let mut received = vec![0; expected.len()];
        let reading = stream.read_exact(&mut received);
        let read = tokio::time::timeout(Duration::from_secs(60), reading).await;
        read.expect("replies come in time").unwrap();
        assert!(
            received == expected,
            "client {client}, round {}",
            known.round
        );
    }
    // Nothing came too much.
    stream.write_all(b"PING\r\n").await.unwrap();
    let mut received = [0; 7];
    stream.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"+PONG\r\n");
    known.round
}

#[test]
fn a_thousand_clients_at_once_get_every_reply() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for upstream in UPSTREAMS {
        let pair = Pair::start(upstream);
        let port = pair.proxy.port();
        let until = Instant::now() + TIME / 3;
        let answered: u64 = runtime.block_on(async {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|client| tokio::spawn(converse(port, client, until)))
                .collect();
            let mut answered = 0;
            for client in clients {
                let own = client.await.unwrap();
                assert!(own > 0);
                answered += own;
            }
            answered
        });
        assert!(answered > 10 * CLIENTS, "{upstream}: {answered}");
        pair.proxy.stop();
    }
}
