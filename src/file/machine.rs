//! How much memory a process may use: that of the machine, or less where a control group (as of a container) limits
//! it.

use std::fs::read_to_string;
use std::path::Path;

/// The bytes of memory that are assumed if the system does not tell.
const UNKNOWN: u64 = 1 << 30;

/// Returns how many bytes of memory this process may use.
pub fn memory() -> u64 {
    let info = read_to_string("/proc/meminfo").unwrap_or_default();
    let groups = read_to_string("/proc/self/cgroup").unwrap_or_default();
    let machine = total(&info).unwrap_or(UNKNOWN);
    limit(&groups, Path::new("/sys/fs/cgroup")).map_or(machine, |limit| limit.min(machine))
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

/// Returns the least limit of the groups listed in `groups` and of those around them, or `None` if nothing limits
/// them.
fn limit(groups: &str, root: &Path) -> Option<u64> {
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (kind, path) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let (root, file) = match kind {
            "" => (root.to_path_buf(), "memory.max"),
            _ => (root.join("memory"), "memory.limit_in_bytes"),
        };
        let counts = kind.is_empty() || kind.split(',').any(|kind| kind == "memory");
        let path = path.trim_start_matches('/').to_owned();
        let around = Path::new(&path).ancestors().filter(move |_| counts);
        // A file that contains no number says that there is no limit.
        let found = around.map(|group| read_to_string(root.join(group).join(file)).ok()?.trim().parse().ok());
        found.collect::<Vec<Option<u64>>>()
    });
    limits.flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_counts() {
        assert_eq!(
            total("MemFree: 1 kB\nMemTotal:       24641996 kB\n"),
            Some(24_641_996 << 10)
        );
        let root = std::env::temp_dir().join(format!("kv-machine-{}", std::process::id()));
        let write = |file: &str, limit: &str| {
            let file = root.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, limit).unwrap();
        };
        assert_eq!(limit("0::/\n", &root), None, "nothing is said");
        write("a/b/memory.max", "max\n");
        write("a/memory.max", "536870912\n");
        write("memory/c/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory/c/d/memory.limit_in_bytes", "1048576\n");
        assert_eq!(
            limit("0::/a/b\n", &root),
            Some(512 << 20),
            "that of the group around it"
        );
        let both = "4:cpu,memory:/c/d\n3:pids:/x\n0::/a/b\n";
        assert_eq!(limit(both, &root), Some(1 << 20));
        assert_eq!(limit("4:memory:/c\n", &root), Some(i64::MAX as u64 / 4096 * 4096));
        assert_eq!(limit("", &root), None);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
