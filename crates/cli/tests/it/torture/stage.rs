//! The servers of the conversations: a server behind a proxy, an equal one without, and what must be
//! known of each of the two servers.

use std::collections::BTreeMap;

use waxseal_testing::{Client, RedisServer, Reply};

use super::Setting;
use crate::proxy::Proxy;

/// Suffixes to try for a command, and for a subcommand, whose tables are small.
const COMMAND_SUFFIXES: usize = 6000;
const SUBCOMMAND_SUFFIXES: usize = 600;

/// One of the two servers.
pub(super) struct Side {
    pub(super) server: RedisServer,
    sink: RedisServer,
    aliases: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Side {
    fn start() -> Self {
        Self {
            server: RedisServer::start(),
            sink: RedisServer::start(),
            aliases: BTreeMap::new(),
        }
    }

    pub(super) fn sink_port(&self) -> u16 {
        self.sink.port()
    }

    /// A zero byte and letters behind which the server still finds this command: servers compare
    /// words up to a zero byte, but hash all of them, so a suffix must fall into the same bucket.
    pub(super) fn alias(&mut self, command: &[u8], subcommand: Option<&[u8]>) -> Vec<u8> {
        let name = match subcommand {
            Some(subcommand) => [command, b"|", subcommand].concat().to_ascii_lowercase(),
            None => command.to_ascii_lowercase(),
        };
        if let Some(suffix) = self.aliases.get(&name) {
            return suffix.clone();
        }
        let count = match subcommand {
            Some(_) => SUBCOMMAND_SUFFIXES,
            None => COMMAND_SUFFIXES,
        };
        let suffixes: Vec<Vec<u8>> = (0..count)
            .map(|number| format!("\0{number}").into_bytes())
            .collect();
        let mut words = vec![b"COMMAND".to_vec(), b"INFO".to_vec()];
        let names = suffixes.iter().map(|it| [&name[..], it].concat());
        words.extend(names);
        let replies = self.server.client().cmd(&words).array();
        let found = replies.iter().position(|reply| *reply != Reply::Nil);
        // A server that finds none answers with an error on both sides.
        let suffix = found.map_or_else(|| b"\0".to_vec(), |at| suffixes[at].clone());
        self.aliases.insert(name, suffix.clone());
        suffix
    }

    /// Empties the server and its sink.
    pub(super) fn reset(&self) {
        let mut client = self.server.client();
        for request in [
            &["FLUSHALL"][..],
            &["FUNCTION", "FLUSH"],
            &["SCRIPT", "FLUSH"],
            &["ACL", "DELUSER", "nobody"],
        ] {
            let reply = client.cmd(request);
            assert!(reply.error().is_none(), "{reply:?}");
        }
        self.sink.client().cmd(&["FLUSHALL"]);
    }

    pub(super) fn client(&self) -> Client {
        self.server.client()
    }
}

/// Both servers, and the proxy before one of them.
pub(super) struct Stage {
    pub(super) setting: Setting,
    pub(super) sealed: Side,
    pub(super) direct: Side,
    proxy: Option<Proxy>,
}

impl Stage {
    pub(super) fn start(setting: Setting) -> Self {
        let sealed = Side::start();
        let proxy = start_proxy(setting, &sealed.server);
        Self {
            setting,
            sealed,
            direct: Side::start(),
            proxy: Some(proxy),
        }
    }

    fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("it runs until the stage ends")
    }

    pub(super) fn proxy_port(&self) -> u16 {
        self.proxy().port()
    }

    pub(super) fn proxy_is_alive(&self) -> bool {
        std::net::TcpStream::connect(("127.0.0.1", self.proxy_port())).is_ok()
    }

    /// A new proxy, and no connection of the old one at the server.
    pub(super) fn restart_proxy(&mut self) {
        self.proxy = None;
        self.proxy = Some(start_proxy(self.setting, &self.sealed.server));
    }

    /// Connections of the proxy at the server.
    pub(super) fn upstream_connections(&self) -> usize {
        let list = self.sealed.server.cli(&["CLIENT", "LIST"]);
        list.lines().count().saturating_sub(1)
    }

    /// Ends the proxy as an init system does; it must not have shown a protected value.
    pub(super) fn stop(mut self) {
        if let Some(proxy) = self.proxy.take() {
            proxy.stop();
        }
    }
}

fn start_proxy(setting: Setting, server: &RedisServer) -> Proxy {
    let flags = [
        "--protect",
        "wa:*",
        "--workers",
        "1",
        "--upstream",
        setting.upstream,
        "--format",
        setting.format,
    ];
    Proxy::start(server, &flags)
}
