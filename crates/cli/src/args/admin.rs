//! The arguments about the admin address.

use std::time::Duration;

use clap::Args;
use waxseal_service::Failure;

use super::check_host_port;

/// The port in examples.
const PORT: u16 = 9180;
/// Six hours.
const COUNT_EVERY: u64 = 21_600;

#[derive(Args)]
pub(crate) struct AdminArgs {
    /// The address of /healthz, /readyz, /metrics and the status page: HOST:PORT. The
    /// page is shown to this machine alone, unless WAXSEAL_ADMIN_TOKEN is set
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<String>,
    /// The interval at which records are counted for the status page, slowly. They are also counted
    /// after a step of a rotation, after a restart of the server, and on demand; 0: only on demand
    #[arg(long, value_name = "SECONDS", default_value_t = COUNT_EVERY, requires = "admin")]
    count_every: u64,
}

impl AdminArgs {
    /// The address, if one is given.
    pub(crate) fn address(&self) -> Result<Option<&str>, Failure> {
        if let Some(at) = &self.admin {
            check_host_port("--admin", "HOST:PORT", at, PORT)?;
        }
        Ok(self.admin.as_deref())
    }

    /// The interval at which records are counted, if they are.
    pub(crate) fn count_every(&self) -> Option<Duration> {
        (self.count_every > 0).then(|| Duration::from_secs(self.count_every))
    }
}
