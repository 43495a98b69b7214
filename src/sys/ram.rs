//! How much memory files may take: what the kernel says is available, within the limits of the control groups
//! that this process is in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the kernel tells how much memory is available.
pub const MEMORY_FILE: &str = "/proc/meminfo";
const GROUPS_FILE: &str = "/proc/self/cgroup";
const GROUPS: &str = "/sys/fs/cgroup";
/// A store up to this size counts as in memory: what faults read around soon holds all of it.
pub const SURELY_HELD: u64 = 8 << 20;
/// Groups within groups that are looked at.
const DEPTH: usize = 32;

/// Bytes of memory that files may take: what is free or can be freed. Costs a few reads of small files.
pub fn available() -> io::Result<u64> {
    let machine = available_in(&fs::read_to_string(MEMORY_FILE)?)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no MemAvailable"))?;
    // Without control groups, or where they are elsewhere, there is no limit to know of.
    let groups = fs::read_to_string(GROUPS_FILE).unwrap_or_default();
    Ok(folders(&groups).iter().fold(machine, |least, folder| room_in(folder, least)))
}

/// What `/proc/meminfo` says is available.
fn available_in(said: &str) -> Option<u64> {
    let line = said.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The folders of the memory groups of a process, the innermost first, by what `/proc/self/cgroup` says: a line for
/// version 2 without a controller, and one for version 1 with the controller `memory`.
fn folders(said: &str) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for line in said.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let root = match controllers {
            "" => PathBuf::from(GROUPS),
            _ if controllers.split(',').any(|one| one == "memory") => {
                Path::new(GROUPS).join("memory")
            }
            _ => continue,
        };
        let own = root.join(path.trim_start_matches('/'));
        // In a container the path may be one of the host's: its root is the container's own group.
        let above = own.ancestors().take_while(|folder| folder.starts_with(&root)).take(DEPTH);
        folders.extend(above.map(Path::to_owned));
    }
    folders
}

/// What files may still take in a group, or have already, if that is less than `least`. A group without a limit
/// has room for all; so has one that is not there.
fn room_in(folder: &Path, least: u64) -> u64 {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let number = |name: &str| -> Option<u64> { read(name)?.trim().parse().ok() };
    let limit = number("memory.max").or_else(|| number("memory.limit_in_bytes"));
    // What is in use takes the kernel long to count: it is not asked for nothing.
    let Some(limit) = limit.filter(|limit| *limit < least) else { return least };
    let usage = number("memory.current").or_else(|| number("memory.usage_in_bytes"));
    let of_files = read("memory.stat").map_or(0, |said| of_files(&said));
    limit.saturating_sub(usage.unwrap_or(0).saturating_sub(of_files))
}

/// Bytes of files in memory, by `memory.stat`: with those of the groups within, where that is told apart.
fn of_files(said: &str) -> u64 {
    let sum = |prefix: &str| -> Option<u64> {
        let names = ["inactive_file", "active_file"].map(|name| format!("{prefix}{name}"));
        let found = names.map(|name| {
            said.lines().find_map(|line| line.strip_prefix(&name)?.trim().parse::<u64>().ok())
        });
        Some(found[0]?.saturating_add(found[1]?))
    };
    sum("total_").or_else(|| sum("")).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_available_is_read_from_what_the_kernel_says() {
        let said = "MemTotal:       24606484 kB\nMemFree: 1 kB\nMemAvailable:   21000000 kB\n";
        assert_eq!(available_in(said), Some(21_000_000 * 1024));
        assert_eq!(available_in("MemTotal: 5 kB\n"), None);
        assert_eq!(available_in("MemAvailable: many kB\n"), None);
        assert!(available().unwrap() > 0);
    }

    #[test]
    fn the_groups_of_both_versions_are_found_with_those_that_they_are_in() {
        let two = folders("0::/user.slice/app.scope\n");
        assert_eq!(two[0], Path::new("/sys/fs/cgroup/user.slice/app.scope"));
        assert_eq!(two.last().unwrap(), Path::new("/sys/fs/cgroup"));
        assert_eq!(two.len(), 3);
        let one = folders("9:name=systemd:/\n4:cpu,memory:/box\nnonsense\n");
        assert_eq!(one, ["/sys/fs/cgroup/memory/box", "/sys/fs/cgroup/memory"].map(PathBuf::from));
    }

    #[test]
    fn a_group_has_room_for_its_limit_less_what_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        assert_eq!(room_in(dir.path(), 5000), 5000);
        write("memory.max", "max\n");
        write("memory.current", "700\n");
        write("memory.stat", "anon 100\ninactive_file 200\nactive_file 300\n");
        assert_eq!(room_in(dir.path(), 5000), 5000);
        write("memory.max", "1000\n");
        assert_eq!(room_in(dir.path(), 5000), 800);
        assert_eq!(room_in(dir.path(), 900), 900);
        let within = "inactive_file 1\nactive_file 1\ntotal_inactive_file 9\ntotal_active_file 1\n";
        write("memory.stat", within);
        assert_eq!(room_in(dir.path(), 5000), 310);
    }
}
