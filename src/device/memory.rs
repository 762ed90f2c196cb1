//! Memory that the host has left: what the system can hand out, and what a container's limit leaves of it.

use std::fs::read_to_string;
use std::path::Path;

/// A control group's files: its limit, what it uses, and the statistics of that.
struct Group {
    limit: &'static str,
    used: &'static str,
    stat: &'static str,
    /// The line of `stat` with the file cache that is given up for the asking, which `used` counts.
    cache: &'static str,
}

/// Version 2 and version 1, each as it looks from inside a container.
const GROUPS: [Group; 2] = [
    Group {
        limit: "/sys/fs/cgroup/memory.max",
        used: "/sys/fs/cgroup/memory.current",
        stat: "/sys/fs/cgroup/memory.stat",
        cache: "inactive_file",
    },
    Group {
        limit: "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        used: "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        stat: "/sys/fs/cgroup/memory/memory.stat",
        cache: "total_inactive_file",
    },
];

/// Bytes of memory that can still be had; `None` where nobody says.
pub(super) fn available() -> Option<u64> {
    let read = |path: &str| read_to_string(Path::new(path)).ok();
    let system = read("/proc/meminfo").and_then(|text| Some(1024 * field(&text, "MemAvailable:")?));
    let left = |group: &Group| {
        let cache = read(group.stat).and_then(|text| field(&text, group.cache)).unwrap_or(0);
        left(&read(group.limit)?, &read(group.used)?, cache)
    };
    GROUPS.iter().map(left).chain([system]).flatten().min()
}

/// The number behind a name in a table of lines.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// What a limit leaves; `None` where there is none.
fn left(limit: &str, used: &str, cache: u64) -> Option<u64> {
    let limit: u64 = limit.trim().parse().ok()?;
    let used: u64 = used.trim().parse().ok()?;
    Some(limit.saturating_sub(used.saturating_sub(cache)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_containers() {
        assert_eq!(left("1000\n", "300\n", 100), Some(800));
        assert_eq!(left("1000", "2000", 0), Some(0));
        assert_eq!(left("max\n", "300\n", 0), None, "version 2 without a limit");
        assert!(left("9223372036854771712", "300", 0).unwrap() > 1 << 62, "version 1 without a limit");
    }

    #[test]
    fn fields_of_tables() {
        let text = "MemTotal:  5 kB\nMemAvailable:   42 kB\n";
        assert_eq!(field(text, "MemAvailable:"), Some(42));
        assert_eq!(field("total_inactive_file 7\ninactive_file 3\n", "inactive_file"), Some(3));
        assert_eq!(field(text, "SwapFree:"), None);
    }
}
