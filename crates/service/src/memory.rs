//! The memory that this process may use: that of the machine, or what its control group allows. Defaults of
//! bounds are fractions of it; nothing is reserved.

use std::fs;
use std::path::{Path, PathBuf};

/// The memory that is assumed where neither the machine nor a control group tells.
const UNKNOWN: u64 = 4 * 1024 * 1024 * 1024;

/// The divisor of [`part`].
pub const PARTS: u64 = 4;

/// Returns a fraction of the memory that this process may use, in bytes.
pub fn part() -> usize {
    let memory = [of_machine(), of_groups()].into_iter().flatten().min();
    let part = memory.unwrap_or(UNKNOWN) / PARTS;
    usize::try_from(part).unwrap_or(usize::MAX)
}

fn of_machine() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The lowest limit of the control groups that this process is in, of either version.
fn of_groups() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let files = groups.lines().filter_map(limit_file);
    files
        .filter_map(|(root, group, file)| least(&root, &group, file))
        .min()
}

/// Parses a line of `/proc/self/cgroup`: the mount point of the tree, the group, and the file of its limit.
fn limit_file(line: &str) -> Option<(PathBuf, PathBuf, &'static str)> {
    let mut parts = line.splitn(3, ':');
    let (number, controllers, group) = (parts.next()?, parts.next()?, parts.next()?);
    let group = PathBuf::from(group.trim_start_matches('/'));
    if number == "0" && controllers.is_empty() {
        return Some(("/sys/fs/cgroup".into(), group, "memory.max"));
    }
    let counts_memory = controllers.split(',').any(|it| it == "memory");
    counts_memory.then(|| {
        let root = "/sys/fs/cgroup/memory".into();
        (root, group, "memory.limit_in_bytes")
    })
}

/// The lowest limit of a group and its ancestors. In a container only the root is visible.
fn least(root: &Path, group: &Path, file: &str) -> Option<u64> {
    let limit = |group: &Path| {
        let text = fs::read_to_string(root.join(group).join(file)).ok()?;
        text.trim().parse::<u64>().ok()
    };
    group.ancestors().filter_map(limit).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_of_a_group_and_those_around_it_counts() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("system.slice/waxseal.service");
        fs::create_dir_all(&inner).unwrap();
        let group = Path::new("system.slice/waxseal.service");
        assert_eq!(least(root.path(), group, "memory.max"), None);
        fs::write(inner.join("memory.max"), "max\n").unwrap();
        assert_eq!(least(root.path(), group, "memory.max"), None);
        fs::write(root.path().join("system.slice/memory.max"), "4096\n").unwrap();
        assert_eq!(least(root.path(), group, "memory.max"), Some(4096));
        fs::write(inner.join("memory.max"), "8192\n").unwrap();
        assert_eq!(least(root.path(), group, "memory.max"), Some(4096));
    }

    #[test]
    fn lines_of_both_versions_are_understood() {
        let file = |line| limit_file(line).map(|(root, group, file)| root.join(group).join(file));
        let of = |text: &str| Some(PathBuf::from(text));
        assert_eq!(file("0::/a/b"), of("/sys/fs/cgroup/a/b/memory.max"));
        assert_eq!(file("0::/"), of("/sys/fs/cgroup/memory.max"));
        let first = "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes";
        assert_eq!(file("9:cpu,memory:/docker"), of(first));
        assert_eq!(file("3:cpuset:/docker"), None);
        assert_eq!(file("nonsense"), None);
    }

    #[test]
    fn a_part_is_not_more_than_the_machine_has() {
        let machine = of_machine().unwrap();
        assert!((1..=machine / PARTS).contains(&(part() as u64)));
    }
}
