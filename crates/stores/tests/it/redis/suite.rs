//! The common suite, over every kind of connection.

use std::sync::Arc;

use async_trait::async_trait;
use waxseal_stores::conformance::{self, Collection, Subject};
use waxseal_stores::{RecordName, RecordStore, RedisOptions, RedisStore};
use waxseal_testing::{Client, Flavor, RedisServer};

use super::{connect, server, try_connect};
use crate::named;

struct Subjected<'a> {
    store: Arc<RedisStore>,
    server: &'a RedisServer,
    database: u32,
}

impl Subjected<'_> {
    fn client(&self) -> Client {
        let mut client = self.server.client();
        client.cmd(&["SELECT", &self.database.to_string()]);
        client
    }
}

#[async_trait]
impl Subject for Subjected<'_> {
    fn store(&self) -> Arc<dyn RecordStore> {
        Arc::clone(&self.store) as Arc<dyn RecordStore>
    }

    async fn make_list(&self, name: &RecordName, elements: Vec<Vec<u8>>) {
        let mut push = vec![b"RPUSH".to_vec(), name.as_bytes().to_vec()];
        push.extend(elements);
        assert_eq!(self.client().cmd(&push).error(), None);
    }

    async fn make(&self, name: &RecordName, collection: Collection) -> bool {
        let mut client = self.client();
        let name = name.as_bytes().to_vec();
        match collection {
            Collection::Set(members) => {
                let mut add = vec![b"SADD".to_vec(), name];
                add.extend(members);
                assert_eq!(client.cmd(&add).error(), None);
            }
            Collection::SortedSet(members) => {
                let mut add = vec![b"ZADD".to_vec(), name];
                let pairs = members.into_iter();
                add.extend(pairs.flat_map(|(member, score)| [score.into_bytes(), member]));
                assert_eq!(client.cmd(&add).error(), None);
            }
            Collection::Stream(entries) => {
                for entry in entries {
                    let mut add = vec![b"XADD".to_vec(), name.clone(), entry.id.into_bytes()];
                    add.extend(
                        entry
                            .fields
                            .into_iter()
                            .flat_map(|(field, value)| [field, value]),
                    );
                    assert_eq!(client.cmd(&add).error(), None);
                }
            }
        }
        true
    }

    async fn score(&self, name: &RecordName, member: &[u8]) -> Option<String> {
        let score = [&b"ZSCORE"[..], name.as_bytes(), member];
        let score = self.client().cmd(&score).bytes();
        score.map(|score| String::from_utf8_lossy(&score).into_owned())
    }

    async fn expire_at(&self, name: &RecordName, time: u64) {
        let time = time.to_string();
        let expire = [&b"PEXPIREAT"[..], name.as_bytes(), time.as_bytes()];
        assert_eq!(self.client().cmd(&expire).int(), 1);
    }
}

async fn passes(server: &RedisServer, url: &str, database: u32) {
    let store = try_connect(url, RedisOptions::default()).await;
    let store = Arc::new(store.expect("the server accepts the connection"));
    let subject = Subjected {
        store,
        server,
        database,
    };
    conformance::run(&subject).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_on_the_redis_of_the_system() {
    let server = server(Flavor::System);
    passes(&server, &server.url(), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_under_logical_names() {
    let server = server(Flavor::System);
    let store = Arc::new(connect(&server).await);
    let subject = Subjected {
        store,
        server: &server,
        database: 0,
    };
    named::run_suite(subject).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_on_redis_6_2() {
    let server = server(Flavor::Redis62);
    passes(&server, &server.url(), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_on_redis_8_0() {
    let server = server(Flavor::Redis80);
    passes(&server, &server.url(), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_on_valkey() {
    let server = server(Flavor::Valkey);
    passes(&server, &server.url(), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_over_tls() {
    let server = RedisServer::builder().tls().start();
    let url = format!("{}?ca={}", server.tls_url(), server.ca_path().display());
    passes(&server, &url, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_over_tls_with_a_client_certificate() {
    let server = RedisServer::builder().tls_with_client_certificate().start();
    let url = format!(
        "{}?ca={}&cert={}&key={}",
        server.tls_url(),
        server.ca_path().display(),
        server.client_certificate_path().display(),
        server.client_key_path().display()
    );
    passes(&server, &url, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_over_a_unix_socket() {
    let server = RedisServer::builder().unix_socket().start();
    let url = format!("unix:{}?db=2", server.unix_path().display());
    passes(&server, &url, 2).await;
    assert!(server.snapshot().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_with_a_password_in_another_database() {
    let server = RedisServer::builder().password("s3cret").start();
    let url = format!("redis://:s3cret@127.0.0.1:{}/3", server.port());
    passes(&server, &url, 3).await;
    assert!(server.snapshot().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_as_a_user_with_the_documented_rights() {
    for flavor in Flavor::ALL {
        let rights = super::access::all_rights(flavor);
        let user = format!(
            "user waxseal on >s3cret ~conformance:* {rights} {}",
            super::access::NAMES
        );
        let server = RedisServer::builder()
            .flavor(flavor)
            .user_acl(&user)
            .start();
        let url = format!("redis://waxseal:s3cret@127.0.0.1:{}", server.port());
        passes(&server, &url, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_on_a_server_without_scripts_and_optional_commands() {
    let lacks = [
        "EVAL", "EVALSHA", "MGET", "STRLEN", "CONFIG", "LLEN", "SCARD",
    ];
    let server = RedisServer::builder().without(&lacks).start();
    passes(&server, &server.url(), 0).await;
}
