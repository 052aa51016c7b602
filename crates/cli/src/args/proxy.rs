//! The arguments of `waxseal proxy`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use waxseal_service::memory;

use super::{AdminArgs, FormatArg};

/// The largest value that can be allowed: the default limit of a server.
const MAX_VALUE: usize = 512 * 1024 * 1024;
/// The buffer of one client, unless larger values are allowed.
const CLIENT_BUFFER: usize = 512 * 1024 * 1024;
/// The smallest buffer that can be asked for.
const MIN_BUFFER: usize = 1024 * 1024;

#[derive(Args)]
pub(crate) struct ProxyArgs {
    /// The address to listen on: HOST:PORT, tls://HOST:PORT or unix:PATH; can be repeated
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:6380")]
    pub(crate) listen: Vec<String>,
    /// The octal mode of the files of unix: listeners [default: as the umask
    /// leaves it]
    #[arg(long, value_name = "MODE", value_parser = octal)]
    pub(crate) unix_mode: Option<u32>,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// The format of new values [default: that of waxseal.toml, else classic]
    #[arg(long, value_enum)]
    pub(crate) format: Option<FormatArg>,
    /// Refuse or forward unknown scripts over protected records: forwarded ones see sealed values, and what they
    /// write is plain [default: that of waxseal.toml, else refuse]
    #[arg(long, value_enum)]
    pub(crate) scripts: Option<ScriptsArg>,
    /// The sharing of upstream connections by clients
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) upstream: SharingArg,
    /// Clients must log in to Redis themselves, and do not get the user of the store's URL
    #[arg(long)]
    pub(crate) clients_authenticate: bool,
    /// Clients may write and delete records of Waxseal's own, under `waxseal:`
    #[arg(long)]
    pub(crate) allow_own_writes: bool,
    /// Seal nothing: forward everything, and report what would be refused and how to allow it
    #[arg(long)]
    pub(crate) trial: bool,
    /// With --trial: show whole record names in the report
    #[arg(long, requires = "trial")]
    pub(crate) show_names: bool,
    /// Shared upstream connections of one worker
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) lanes: u16,
    /// Threads that serve clients [default: one for every two processors, at most 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) workers: Option<u16>,
    /// The largest value of a protected record, and the largest reply with such values
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size)]
    pub(crate) max_value: usize,
    /// Replies that may wait for one client which does not read them [default: 512MiB, or four times
    /// --max-value]
    #[arg(long, value_name = "SIZE", value_parser = buffer)]
    pub(crate) max_client_buffer: Option<usize>,
    /// Replies that may wait for all clients together [default: a quarter of the memory, or four times
    /// --max-value]
    #[arg(long, value_name = "SIZE", value_parser = buffer)]
    pub(crate) max_total_buffer: Option<usize>,
    /// Client connections at one time [default: 10000, or as many as the limit of open files allows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_connections: Option<u32>,
    /// The time that a request may stay half sent before its connection is closed
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) half_request: u64,
    /// The delay of a reply at which its connection to the server is checked
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) max_stall: u64,
    /// The time that a connection to the server may be idle before the proxy sends something on it
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) keepalive: u64,
    /// The time that pending requests have after SIGTERM or Ctrl-C; a second signal ends at once
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) grace: u64,
    /// The certificate of tls:// listeners, PEM
    #[arg(long, value_name = "PATH", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "PATH", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// The authority whose certificate clients must present, PEM
    #[arg(long, value_name = "PATH", requires = "tls_cert")]
    pub(crate) tls_client_ca: Option<PathBuf>,
}

impl ProxyArgs {
    /// Replies that may wait for one client.
    pub(crate) fn client_buffer(&self) -> usize {
        let default = || CLIENT_BUFFER.max(self.least_default_buffer());
        self.max_client_buffer.unwrap_or_else(default)
    }

    /// Replies that may wait for all clients together.
    pub(crate) fn total_buffer(&self) -> usize {
        let default = || memory::part().max(self.least_default_buffer());
        self.max_total_buffer.unwrap_or_else(default)
    }

    /// The largest reply with values to open must fit, behind the most that is remembered of requests.
    fn least_default_buffer(&self) -> usize {
        self.max_value.saturating_mul(4)
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum SharingArg {
    /// Each client has a dedicated upstream connection
    Own,
    /// Clients share connections, and have a dedicated one only while they need it
    Shared,
    /// Clients share connections until they first need a dedicated one, and keep it
    Auto,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScriptsArg {
    /// They are answered with an error
    Refuse,
    /// They are sent to the server
    Forward,
}

/// Reads the mode of a file: `660`, `0660`.
fn octal(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| "write it as chmod does, for example 660".to_owned())
}

/// Reads the size of a value: `1048576`, `512KiB`, `64MiB`.
fn size(text: &str) -> Result<usize, String> {
    match bytes(text)? {
        size @ 1..=MAX_VALUE => Ok(size),
        _ => Err("it must be between 1 byte and 512MiB".to_owned()),
    }
}

/// Reads the size of a buffer: `67108864`, `64MiB`, `2GiB`.
fn buffer(text: &str) -> Result<usize, String> {
    match bytes(text)? {
        size @ MIN_BUFFER.. => Ok(size),
        _ => Err("it must be 1MiB at least".to_owned()),
    }
}

/// Reads a number of bytes.
fn bytes(text: &str) -> Result<usize, String> {
    let units = [
        ("KiB", 1024),
        ("MiB", 1024 * 1024),
        ("GiB", 1024 * 1024 * 1024),
        ("", 1),
    ];
    let read = units.into_iter().find_map(|(unit, bytes)| {
        let number: usize = text.strip_suffix(unit)?.trim().parse().ok()?;
        number.checked_mul(bytes)
    });
    read.ok_or_else(|| "write a number of bytes, or for example 512KiB or 64MiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{buffer, size};

    #[test]
    fn sizes_are_bytes_or_binary_units() {
        assert_eq!(size("1"), Ok(1));
        assert_eq!(size("2KiB"), Ok(2048));
        assert_eq!(size("64MiB"), Ok(64 * 1024 * 1024));
        for text in ["", "0", "1GiB", "-1", "64MB", "MiB", "99999999999999999999"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn buffers_are_a_mebibyte_at_least_and_may_be_large() {
        assert_eq!(buffer("1MiB"), Ok(1024 * 1024));
        assert_eq!(buffer("1048576"), Ok(1024 * 1024));
        assert_eq!(buffer("16GiB"), Ok(16 << 30));
        for text in [
            "",
            "0",
            "1023KiB",
            "-1MiB",
            "1MB",
            "99999999999999999999GiB",
        ] {
            assert!(buffer(text).is_err(), "{text}");
        }
    }
}
