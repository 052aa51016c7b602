//! Asks the server for its settings that limit single connections, on a connection of its own.

use std::io;
use std::time::Duration;

use tokio::time::timeout;
use waxseal_resp::{Items, Kind, write_bulk, write_request_head};

use super::exchange::{self, Exchange};
use super::{Upstream, cause};
use crate::login::LoginError;
use crate::server_limits::ServerSettings;

/// One request for each: older servers take one name at a time.
const SETTINGS: [&str; 4] = [
    "proto-max-bulk-len",
    "client-query-buffer-limit",
    "client-output-buffer-limit",
    "maxmemory-clients",
];

impl Upstream {
    /// The server's settings that limit single connections. An error where the server cannot be used; where it
    /// only refuses to tell, [`ServerSettings::is_refused`].
    pub async fn settings(&self, limit: Duration) -> Result<ServerSettings, &'static str> {
        match timeout(limit, self.ask_for_settings()).await {
            Ok(settings) => settings,
            Err(_) => Err("it does not answer in time"),
        }
    }

    async fn ask_for_settings(&self) -> Result<ServerSettings, &'static str> {
        let mut requests = self.proxy_handshake.requests.clone();
        for name in SETTINGS {
            write_request_head(&mut requests, 3);
            for word in ["cONFIG", "GET", name] {
                write_bulk(&mut requests, word.as_bytes());
            }
        }
        let connected = self.connect_slowly().await;
        let mut connected = connected.map_err(|error| cause(&error))?;
        let broken = |error: io::Error| exchange::broken(&error);
        let mut exchange = Exchange::begin(&mut connected, &requests)
            .await
            .map_err(broken)?;
        for _ in 0..self.proxy_handshake.count {
            let reply = exchange.reply().await.map_err(broken)?;
            if reply.first() == Some(&b'-') {
                return Err(LoginError::of(&reply).description());
            }
        }
        let mut replies = Vec::new();
        for _ in SETTINGS {
            replies.push(exchange.reply().await.map_err(broken)?);
        }
        Ok(read(&replies))
    }
}

/// Reads the replies, in the order of the requests.
fn read(replies: &[Vec<u8>]) -> ServerSettings {
    let mut settings = ServerSettings {
        is_refused: replies.iter().any(|reply| reply.first() == Some(&b'-')),
        ..ServerSettings::default()
    };
    let mut values = replies.iter().map(|reply| value(reply));
    let mut next = || values.next().flatten();
    // A limit of zero would let nothing pass: it means another thing there.
    let positive = |text: String| text.parse().ok().filter(|number| *number > 0);
    settings.max_bulk = next().and_then(positive);
    settings.query_buffer = next().and_then(positive);
    settings.output_buffer = next().and_then(|text| normal_limits(&text));
    settings.clients_memory = next();
    settings
}

/// The value in a reply to `CONFIG GET`; none where the server does not know the setting.
fn value(reply: &[u8]) -> Option<String> {
    let mut items = Items::of(reply);
    match items.next().ok()??.kind {
        Kind::Array(2) | Kind::Map(1) => {}
        _ => return None,
    }
    items.skip().ok()?;
    let value = items.next().ok()??.text;
    Some(std::str::from_utf8(value).ok()?.trim().to_owned())
}

/// Hard and soft limit of the class `normal` in `normal 0 0 0 slave 268435456 67108864 60 …`.
fn normal_limits(text: &str) -> Option<(u64, u64)> {
    let mut words = text.split_ascii_whitespace();
    words.find(|word| word.eq_ignore_ascii_case("normal"))?;
    let hard = words.next()?.parse().ok()?;
    let soft = words.next()?.parse().ok()?;
    Some((hard, soft))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_from_what_servers_answer() {
        let reply = |value: &str| {
            let text = format!("*2\r\n$1\r\nx\r\n${}\r\n{value}\r\n", value.len());
            text.into_bytes()
        };
        let classes =
            "normal 4194304 1048576 60 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        let told = read(&[reply("1048576"), reply("0"), reply(classes), reply("5%")]);
        let expected = ServerSettings {
            max_bulk: Some(1_048_576),
            query_buffer: None,
            output_buffer: Some((4_194_304, 1_048_576)),
            clients_memory: Some("5%".to_owned()),
            is_refused: false,
        };
        assert_eq!(told, expected);
        let unknown = b"*0\r\n".to_vec();
        let told = read(&[unknown.clone(), unknown.clone(), unknown.clone(), unknown]);
        assert_eq!(told, ServerSettings::default());
        let refused = b"-NOPERM this user has no permissions\r\n".to_vec();
        let told = read(&[
            reply("536870912"),
            refused.clone(),
            refused.clone(),
            refused,
        ]);
        assert!(told.is_refused);
        assert_eq!(told.max_bulk, Some(536_870_912));
    }
}
