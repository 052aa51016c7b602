//! A proxy that seals Redis for applications in any language: they connect to it instead of Redis, and nothing else
//! changes. Values of protected records are sealed in requests and opened in replies; everything else passes unchanged,
//! byte for byte.
//!
//! Between the two sockets everything is synchronous and does no I/O: [`Connection`] takes bytes of the client and of the
//! server and returns bytes for both. `net` moves the bytes.

mod answers;
mod certificates;
mod clients;
mod computations;
mod connection;
mod decoys;
mod dropped;
mod keys;
mod limits;
mod location;
mod login;
mod meters;
mod misplaced;
mod net;
mod open;
mod pending;
mod protection;
mod proxy;
mod refusals;
mod remedy;
mod scripts;
mod seal;
mod sealed_replies;
mod server_limits;
mod subscriptions;

pub use certificates::{
    CertificateExpiry, CertificateUse, Certificates, Reload, certificate_expiry,
};
pub use connection::{
    BrokenValue, Connection, Handshake, Identity, Link, Next, ReplyProgress, Report,
    RequestProgress, UnexpectedReply,
};
pub use decoys::{Alarm, OpenedDecoy};
pub use keys::{FetchedKeys, KeyRequest};
pub use limits::Limits;
pub use login::LoginError;
pub use meters::Meters;
pub use net::listener::{Listen, ListenError, ListenTls};
pub use net::tls::TlsError;
pub use net::upstream::failure::{ConnectError, UpstreamFailure};
pub use net::upstream::{Address, Upstream, UpstreamTls};
pub use pending::Protocol;
pub use protection::{NamesNoUser, Protection, Trial};
pub use proxy::{Ended, Proxy, Settings, Sharing};
pub use refusals::{ClientLabel, RefusalLine, RefusalReport, Refusals, RefusedRow};
pub use server_limits::{ConnectionLimit, MaxValue, ServerSettings};
