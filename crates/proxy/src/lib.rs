//! Redis in any language, sealed: an application connects to the proxy instead of Redis, and nothing
//! else changes. Values of protected records are sealed on the way out and opened on the way back;
//! everything else passes as it came, byte for byte.
//!
//! Between the two sockets everything is synchronous and pure: [`Connection`] takes bytes of the
//! client and of the server and gives bytes for both. `net` moves the bytes.

mod answers;
mod certificates;
mod clients;
mod connection;
mod decoys;
mod keys;
mod limits;
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
mod throttle;

pub use certificates::{
    CertificateExpiry, CertificateUse, Certificates, Reload, certificate_expiry,
};
pub use connection::{
    Answered, BrokenValue, Connection, Handshake, Identity, Link, Next, Report, Taken, Unexplained,
};
pub use decoys::{Alarm, OpenedDecoy};
pub use keys::{Fetched, KeyRequest};
pub use limits::Limits;
pub use login::LoginError;
pub use meters::Meters;
pub use net::listener::{Listen, ListenError, ListenTls};
pub use net::upstream::{Address, TlsError, Upstream, UpstreamTls};
pub use pending::Protocol;
pub use protection::{NamesNoUser, Protection, Trial};
pub use proxy::{Ended, Proxy, Settings, Sharing};
pub use refusals::{ClientLabel, RefusalLine, RefusalReport, Refusals, RefusedRow};
pub use server_limits::{ConnectionLimit, MaxValue, ServerSettings};
pub use throttle::LineLimit;
