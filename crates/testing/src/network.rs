//! A private network with two hosts, between which packets are dropped when a test asks for it: two
//! network namespaces and a virtual cable. Needs only the right to create namespaces. Callers
//! decide what runs on the hosts; they reach it over unix sockets, which namespaces do not
//! separate.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// The address of the far host.
const FAR: &str = "10.77.0.2";

/// Connects the namespaces, prints the process that keeps the far one, and ends with its input.
const SET_UP: &str = r#"
set -e
ip link set lo up
unshare --net sleep 3600 & far=$!
trap 'kill $far' EXIT
while [ "$(readlink /proc/$far/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
ip link add near type veth peer name far netns $far
ip addr add 10.77.0.1/24 dev near
ip link set near up
nsenter -t $far -n sh -ec 'ip link set lo up; ip addr add 10.77.0.2/24 dev far; ip link set far up'
echo $far
read -r end || true
"#;

/// Two hosts and a cable, until it is dropped.
#[derive(Debug)]
pub struct Network {
    near: Child,
    far: u32,
}

impl Network {
    /// The address of the far host.
    pub const FAR: &str = FAR;

    /// Creates two hosts that reach each other.
    ///
    /// # Panics
    ///
    /// If namespaces cannot be created.
    #[must_use]
    pub fn new() -> Self {
        let spawned = Command::new("unshare")
            .args(["--map-root-user", "--net", "sh", "-c", SET_UP])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut near = spawned.expect("unshare (util-linux) starts");
        let mut said = String::new();
        let stdout = near.stdout.take().expect("its output is piped");
        let read = BufReader::new(stdout).read_line(&mut said);
        let far = read.ok().and_then(|_| said.trim().parse().ok());
        let far = far.expect(
            "network namespaces can be made: run the tests as root, or allow users to make namespaces \
             (sysctl kernel.apparmor_restrict_unprivileged_userns=0); ip (iproute2) must be installed",
        );
        Self { near, far }
    }

    /// The prefix of a command that runs on the near host.
    #[must_use]
    pub fn near(&self) -> Vec<String> {
        within(self.near.id())
    }

    /// The prefix of a command that runs on the far host.
    #[must_use]
    pub fn far(&self) -> Vec<String> {
        within(self.far)
    }

    /// Drops packets to the far host from now on.
    pub fn cut(&self) {
        self.address("del");
    }

    /// Delivers packets again.
    pub fn restore(&self) {
        self.address("add");
    }

    fn address(&self, change: &str) {
        let far = self.far();
        let (program, arguments) = far.split_first().expect("it has words");
        let address = format!("{FAR}/24");
        let status = Command::new(program)
            .args(arguments)
            .args(["ip", "addr", change, &address, "dev", "far"])
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "the far host's address cannot be changed"
        );
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Closing its input ends the process, which ends the other.
        drop(self.near.stdin.take());
        let _ = self.near.wait();
    }
}

fn within(process: u32) -> Vec<String> {
    let process = process.to_string();
    let words = [
        "nsenter",
        "--preserve-credentials",
        "--user",
        "--net",
        "--target",
        &process,
        "--",
    ];
    words.map(str::to_owned).to_vec()
}
