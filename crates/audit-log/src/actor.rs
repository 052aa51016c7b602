//! The actor: the user of the operating system, the machine and the process.

use std::fs;

use rustix::process::{getpid, getuid};
use serde::Serialize;

use crate::operation::bounded;

/// The user, machine and process that act.
#[derive(Debug, Serialize)]
pub struct Actor {
    host: String,
    user: User,
    pid: i32,
    version: &'static str,
    environment: String,
}

#[derive(Debug, Serialize)]
struct User {
    /// The name in `/etc/passwd`; a user of another directory is known by the number alone.
    name: Option<String>,
    uid: u32,
    /// The user who ran `sudo`, according to the environment: a claim, not a proof.
    #[serde(skip_serializing_if = "Option::is_none")]
    sudo_user: Option<String>,
}

impl Actor {
    /// The actor of this process, in an environment such as `production`. `sudo_user` is what
    /// `SUDO_USER` holds.
    #[must_use]
    pub fn of_this_process(environment: &str, sudo_user: Option<&str>) -> Self {
        let uid = getuid().as_raw();
        Self {
            host: host_name(),
            user: User {
                name: user_name(uid),
                uid,
                sudo_user: sudo_user.filter(|name| !name.is_empty()).map(bounded),
            },
            pid: getpid().as_raw_nonzero().get(),
            version: env!("CARGO_PKG_VERSION"),
            environment: bounded(environment),
        }
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }
}

fn host_name() -> String {
    let files = ["/proc/sys/kernel/hostname", "/etc/hostname"];
    let name = files.into_iter().find_map(|path| {
        let text = fs::read_to_string(path).ok()?;
        Some(bounded(text.trim())).filter(|name| !name.is_empty())
    });
    name.unwrap_or_else(|| "unknown".to_owned())
}

fn user_name(uid: u32) -> Option<String> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid_of_line: u32 = fields.nth(1)?.parse().ok()?;
        (uid_of_line == uid).then_some(name)
    });
    name.map(bounded)
}
