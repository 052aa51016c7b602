//! The addresses that a proxy listens on, as they are typed.

use waxseal_proxy::{Listen, ListenError};
use waxseal_service::Failure;
use waxseal_service::upstream::tls_failure;

use crate::args::{ProxyArgs, check_host_port};

/// The form of --listen, and the port of examples.
const LISTEN: &str = "HOST:PORT, tls://HOST:PORT or unix:/PATH";
const PORT: u16 = 6380;

pub(super) fn listeners(args: &ProxyArgs) -> Result<Vec<Listen>, Failure> {
    let texts = args.listen.iter();
    texts.map(|text| listener(text, args.unix_mode)).collect()
}

fn listener(text: &str, unix_mode: Option<u32>) -> Result<Listen, Failure> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return if path.starts_with('/') {
            Ok(Listen::Unix(path.into(), unix_mode))
        } else {
            Err(Failure::usage(format!("--listen takes {LISTEN}"))
                .hint("for example --listen unix:/run/waxseal/redis.sock"))
        };
    }
    let (tls, address) = match text.strip_prefix("tls://") {
        Some(address) => (true, address),
        None => (false, text),
    };
    check_host_port("--listen", LISTEN, address, PORT)?;
    Ok(if tls {
        Listen::Tls(address.to_owned())
    } else {
        Listen::Tcp(address.to_owned())
    })
}

pub(super) fn listen_failure(error: ListenError) -> Failure {
    match error {
        ListenError::Tls(error) => tls_failure(error),
        ListenError::NoCertificate => {
            Failure::usage(error).hint("name them with --tls-cert and --tls-key")
        }
        ListenError::Address { .. } => Failure::failed(&error)
            .hint("stop the process that listens there, or use another address with --listen"),
    }
}
