//! Memory cgroups, of version 1 or 2: made for one cell, and removed after it.
//!
//! A group is made below this process's own where that can have children with a limit, else below the nearest
//! group above it that can. It is removed when it is dropped, and whatever still runs in it is killed: only
//! processes of this program were ever put there. What a run left that was killed itself, the next one removes.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

/// Where groups can be made.
#[derive(Debug)]
pub struct Place {
    parent: PathBuf,
    version: Version,
}

/// A group with a limit.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Version {
    One,
    Two,
}

const CANNOT: &str = "no memory cgroup can be made here (root can, or a user with a delegated group, \
                      which --cgroup names)";
/// How the name of a group begins; that of the process that made it follows.
const NAME: &str = "larder-peers-";
const PROCESSES: &str = "cgroup.procs";
/// What makes a memory group of version 1 known.
const LIMIT_ONE: &str = "memory.limit_in_bytes";
const LIMIT_TWO: &str = "memory.max";
/// Least that a group is made with, to learn whether one can be.
const TRIAL: u64 = 64 << 20;
/// How often and how long it waits for a group to become empty.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(10);

impl Place {
    /// The place that was named, or one that this process finds. The error says why there is none.
    pub fn find(named: Option<&Path>) -> Result<Self> {
        Self::tried(named).context(CANNOT)
    }

    fn tried(named: Option<&Path>) -> Result<Self> {
        let places = match named {
            Some(parent) => vec![Self::of(parent)?],
            None => own_places()?,
        };
        let mut why = None;
        for place in places {
            place.remove_left_over();
            match place.make("trial", TRIAL) {
                Ok(_) => return Ok(place),
                Err(error) => why = why.or(Some(error)),
            }
        }
        Err(why.unwrap_or_else(|| anyhow!("no memory controller is mounted")))
    }

    fn of(parent: &Path) -> Result<Self> {
        let version = match parent.join(LIMIT_ONE).exists() {
            true => Version::One,
            false if parent.join("cgroup.controllers").exists() => Version::Two,
            false => bail!("{} is no memory cgroup", parent.display()),
        };
        Ok(Self { parent: parent.to_owned(), version })
    }

    /// Makes a group of so many bytes, swap included.
    pub fn make(&self, name: &str, bytes: u64) -> Result<Cgroup> {
        let path = self.parent.join(format!("{NAME}{}-{name}", process::id()));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let group = Cgroup { path };
        match self.version {
            Version::One => {
                group.set(LIMIT_ONE, bytes)?;
                // Where swap is not counted, the file is not there.
                group.set_if_there("memory.memsw.limit_in_bytes", bytes)?;
            }
            Version::Two => {
                group.set(LIMIT_TWO, bytes)?;
                group.set_if_there("memory.swap.max", 0)?;
            }
        }
        Ok(group)
    }

    /// Removes the groups of runs that are no more.
    fn remove_left_over(&self) {
        for entry in fs::read_dir(&self.parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let maker = name.to_str().and_then(maker);
            if maker.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
                // One in which something runs stays.
                let _ = fs::remove_dir(entry.path());
            }
        }
    }
}

impl Cgroup {
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn set(&self, file: &str, value: u64) -> Result<()> {
        let path = self.path.join(file);
        fs::write(&path, value.to_string())
            .with_context(|| format!("cannot write {}", path.display()))
    }

    fn set_if_there(&self, file: &str, value: u64) -> Result<()> {
        if self.path.join(file).exists() { self.set(file, value) } else { Ok(()) }
    }

    fn kill_what_runs(&self) {
        let processes = fs::read_to_string(self.path.join(PROCESSES)).unwrap_or_default();
        for process in processes.lines().filter_map(|line| line.parse().ok()) {
            if let Some(process) = rustix::process::Pid::from_raw(process) {
                // It may have ended by itself.
                let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
            }
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for _ in 0..TRIES {
            match fs::remove_dir(&self.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => self.kill_what_runs(),
                _ => return,
            }
            sleep(PAUSE);
        }
        eprintln!("cannot remove {}", self.path.display());
    }
}

/// The process that made a group of this name; none: it is not one of ours.
fn maker(name: &str) -> Option<&str> {
    Some(name.strip_prefix(NAME)?.split_once('-')?.0)
}

/// Moves this process into a group.
pub fn join(group: &Path) -> Result<()> {
    let path = group.join(PROCESSES);
    fs::write(&path, process::id().to_string())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// How often the kernel killed a process of a group for want of memory.
pub fn kills(group: &Path) -> u64 {
    let of = |file: &str| fs::read_to_string(group.join(file)).unwrap_or_default();
    let text = of("memory.oom_control") + &of("memory.events");
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// Groups that may have children with a limit: this process's own and those above it, the nearest first.
fn own_places() -> Result<Vec<Place>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let groups = fs::read_to_string("/proc/self/cgroup")?;
    let mut places = Vec::new();
    for (version, own, mount) in [Version::One, Version::Two].into_iter().filter_map(|version| {
        own_group(version, &mounts, &groups).map(|(own, mount)| (version, own, mount))
    }) {
        let above = own.ancestors().take_while(|path| path.starts_with(&mount));
        let able = above.filter(|path| has_limited_children(version, path));
        places.extend(able.map(|parent| Place { parent: parent.to_owned(), version }));
    }
    Ok(places)
}

/// The directory of this process's group with the memory controller, and where its hierarchy is mounted.
fn own_group(version: Version, mounts: &str, groups: &str) -> Option<(PathBuf, PathBuf)> {
    let (root, mount) = mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let (name, options) = (kind.next()?, kind.nth(1)?);
        let right = match version {
            Version::One => name == "cgroup" && options.split(',').any(|option| option == "memory"),
            Version::Two => name == "cgroup2",
        };
        let mut place = place.split(' ').skip(3);
        right.then_some((place.next()?, place.next()?))
    })?;
    let own = groups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let right = match version {
            Version::One => controllers.split(',').any(|controller| controller == "memory"),
            Version::Two => controllers.is_empty(),
        };
        right.then_some(path)
    })?;
    // In a container the hierarchy may be mounted from a group within it.
    let below = Path::new(own).strip_prefix(root).unwrap_or(Path::new(""));
    let mount = PathBuf::from(mount);
    Some((mount.join(below), mount))
}

/// In version 2 a group hands the controller down to its children, or does not; and one that does has no
/// processes of its own, unless it is the root.
fn has_limited_children(version: Version, group: &Path) -> bool {
    match version {
        Version::One => true,
        Version::Two => fs::read_to_string(group.join("cgroup.subtree_control"))
            .is_ok_and(|controllers| controllers.split_whitespace().any(|name| name == "memory")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_finds_its_group_in_both_versions_and_in_a_container() {
        let mounts = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                      41 31 0:38 /pod /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate";
        let groups = "4:cpu,memory:/user/one\n1:cpu:/\n0::/pod/two";
        let found = |version| own_group(version, mounts, groups).unwrap().0;
        assert_eq!(found(Version::One), Path::new("/sys/fs/cgroup/memory/user/one"));
        assert_eq!(found(Version::Two), Path::new("/sys/fs/cgroup/unified/two"));
        assert_eq!(own_group(Version::One, "", groups), None);
    }

    #[test]
    fn only_groups_of_this_program_are_taken_for_left_over() {
        assert_eq!(maker("larder-peers-4711-cell"), Some("4711"));
        assert_eq!(maker("larder-4711-cell"), None);
        assert_eq!(maker("larder-peers-"), None);
    }

    #[test]
    fn what_is_no_group_is_named_in_the_error() {
        let directory = tempfile::tempdir().unwrap();
        let error = format!("{:#}", Place::find(Some(directory.path())).unwrap_err());
        assert!(error.contains(&directory.path().display().to_string()), "{error}");
    }
}
