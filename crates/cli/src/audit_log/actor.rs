//! Who acts: the user of the operating system, the machine and the process. Knows nothing of what is
//! done.

use std::fs;

use rustix::process::{getpid, getuid};
use serde::Serialize;

use super::entry::short;

/// Who acts.
#[derive(Serialize)]
pub(super) struct Actor {
    host: String,
    user: User,
    pid: i32,
    version: &'static str,
    environment: String,
}

#[derive(Serialize)]
struct User {
    /// As `/etc/passwd` has it; a user of another directory is known by the number alone.
    name: Option<String>,
    uid: u32,
    /// Who became that user by `sudo`, as the environment says: a claim, and no proof.
    #[serde(skip_serializing_if = "Option::is_none")]
    sudo_user: Option<String>,
}

impl Actor {
    pub(super) fn of_this_process(environment: &str) -> Self {
        let uid = getuid().as_raw();
        let sudo_user = std::env::var("SUDO_USER").ok();
        Self {
            host: host(),
            user: User {
                name: name(uid),
                uid,
                sudo_user: sudo_user.filter(|it| !it.is_empty()).map(|it| short(&it)),
            },
            pid: getpid().as_raw_nonzero().get(),
            version: env!("CARGO_PKG_VERSION"),
            environment: short(environment),
        }
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid
    }
}

fn host() -> String {
    let files = ["/proc/sys/kernel/hostname", "/etc/hostname"];
    let read = files.into_iter().find_map(|path| {
        let text = fs::read_to_string(path).ok()?;
        Some(short(text.trim())).filter(|name| !name.is_empty())
    });
    read.unwrap_or_else(|| "unknown".to_owned())
}

fn name(uid: u32) -> Option<String> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    let mut lines = text.lines();
    let named = lines.find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let of_line: u32 = fields.nth(1)?.parse().ok()?;
        (of_line == uid).then_some(name)
    });
    named.map(short)
}
