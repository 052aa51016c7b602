//! Reads the server's settings that limit single connections, and which server it is, over a new connection.

use std::io;
use std::time::Duration;

use tokio::time::timeout;
use waxseal_compute::Dialect;
use waxseal_resp::{Items, Kind, write_bulk, write_request_head};

use super::Upstream;
use super::exchange::Exchange;
use super::failure::UpstreamFailure;
use crate::server_limits::ServerSettings;

/// The settings. Each gets a request of its own: older servers take one name at a time.
const SETTINGS: [&str; 4] = [
    "proto-max-bulk-len",
    "client-query-buffer-limit",
    "client-output-buffer-limit",
    "maxmemory-clients",
];

impl Upstream {
    /// Reads the server's settings that limit single connections. Fails if the server cannot be used; if it only
    /// refuses to show them, [`ServerSettings::is_refused`] is set.
    pub async fn settings(&self, limit: Duration) -> Result<ServerSettings, UpstreamFailure> {
        let settings = timeout(limit, self.request_settings()).await;
        settings.unwrap_or(Err(UpstreamFailure::TimedOut))
    }

    async fn request_settings(&self) -> Result<ServerSettings, UpstreamFailure> {
        let mut requests = self.proxy_handshake.requests.clone();
        for name in SETTINGS {
            write_request_head(&mut requests, 3);
            for argument in ["cONFIG", "GET", name] {
                write_bulk(&mut requests, argument.as_bytes());
            }
        }
        write_request_head(&mut requests, 2);
        write_bulk(&mut requests, b"iNFO");
        write_bulk(&mut requests, b"server");
        let mut connected = self.connect_for_exchange().await?;
        let failure = |error: io::Error| UpstreamFailure::of_exchange(&error);
        let mut exchange = Exchange::begin(&mut connected, &requests)
            .await
            .map_err(failure)?;
        for _ in 0..self.proxy_handshake.count {
            exchange.expect_success().await?;
        }
        let mut replies = Vec::new();
        for _ in SETTINGS {
            replies.push(exchange.reply().await.map_err(failure)?);
        }
        let mut settings = read(&replies);
        settings.dialect = dialect(&exchange.reply().await.map_err(failure)?);
        Ok(settings)
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
    // Zero would let nothing pass: servers use it for "no limit".
    let positive = |text: String| text.parse().ok().filter(|number| *number > 0);
    settings.max_bulk = next().and_then(positive);
    settings.query_buffer = next().and_then(positive);
    settings.output_buffer = next().and_then(|text| normal_limits(&text));
    settings.clients_memory = next();
    settings
}

/// The server in a reply to `INFO server`; `None` if it does not say which it is.
fn dialect(reply: &[u8]) -> Option<Dialect> {
    let info = Items::of(reply).next().ok()??;
    let text = matches!(info.kind, Kind::Bulk | Kind::Other).then_some(info.text)?;
    Dialect::from_info(std::str::from_utf8(text).ok()?)
}

/// The value in a reply to `CONFIG GET`; `None` if the server does not know the setting.
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

/// The hard and the soft limit of the class `normal` in `normal 0 0 0 slave 268435456 67108864 60 …`.
fn normal_limits(text: &str) -> Option<(u64, u64)> {
    let mut fields = text.split_ascii_whitespace();
    fields.find(|field| field.eq_ignore_ascii_case("normal"))?;
    let hard = fields.next()?.parse().ok()?;
    let soft = fields.next()?.parse().ok()?;
    Some((hard, soft))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_from_the_replies_of_servers() {
        let reply = |value: &str| {
            let text = format!("*2\r\n$1\r\nx\r\n${}\r\n{value}\r\n", value.len());
            text.into_bytes()
        };
        let classes =
            "normal 4194304 1048576 60 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        let settings = read(&[reply("1048576"), reply("0"), reply(classes), reply("5%")]);
        let expected = ServerSettings {
            max_bulk: Some(1_048_576),
            query_buffer: None,
            output_buffer: Some((4_194_304, 1_048_576)),
            clients_memory: Some("5%".to_owned()),
            ..ServerSettings::default()
        };
        assert_eq!(settings, expected);
        let unknown = b"*0\r\n".to_vec();
        let settings = read(&[unknown.clone(), unknown.clone(), unknown.clone(), unknown]);
        assert_eq!(settings, ServerSettings::default());
        let refused = b"-NOPERM this user has no permissions\r\n".to_vec();
        let settings = read(&[
            reply("536870912"),
            refused.clone(),
            refused.clone(),
            refused,
        ]);
        assert!(settings.is_refused);
        assert_eq!(settings.max_bulk, Some(536_870_912));
    }
}
