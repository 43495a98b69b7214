//! The device below a directory: what this process has read from it and written to it, how far it reads
//! ahead, and files of which nothing is left in memory.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{Advice, fadvise, major, minor, syncfs};

/// What a process has read from devices and written to them, and how often it had to wait for a page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic {
    pub read: u64,
    /// Counted as pages become dirty, less those that were dropped before they were written.
    pub written: u64,
    pub major_faults: u64,
}

impl Traffic {
    /// This process's, since it began.
    pub fn now() -> Result<Self> {
        let counts = fs::read_to_string("/proc/self/io")?;
        let of = |name: &str| {
            let line = counts.lines().find_map(|line| line.strip_prefix(name));
            let count = line.and_then(|count| count.trim().parse::<u64>().ok());
            count.with_context(|| format!("no {name} in /proc/self/io"))
        };
        let written = of("write_bytes:")?.saturating_sub(of("cancelled_write_bytes:")?);
        let status = fs::read_to_string("/proc/self/stat")?;
        Ok(Self { read: of("read_bytes:")?, written, major_faults: major_faults(&status) })
    }

    pub fn since(self, before: Self) -> Self {
        Self {
            read: self.read - before.read,
            // A page that was dirty before may have been dropped since.
            written: self.written.saturating_sub(before.written),
            major_faults: self.major_faults - before.major_faults,
        }
    }
}

/// The twelfth field; the second is a name that may hold anything.
fn major_faults(status: &str) -> u64 {
    let fields = status.rsplit_once(") ").map_or("", |(_, fields)| fields);
    fields.split(' ').nth(9).and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// Writes the file system of a directory to its device: all of it at once, for a sync of each of many thousand
/// files takes minutes.
pub fn sync(directory: &Path) -> Result<()> {
    Ok(syncfs(File::open(directory)?)?)
}

/// Has the kernel forget the pages of all files below a directory. It keeps those that are dirty or that a
/// process has mapped, and the places of the files.
pub fn forget(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            forget(&entry.path())?;
        } else if kind.is_file() {
            fadvise(File::open(entry.path())?, 0, None, Advice::DontNeed)?;
        }
    }
    Ok(())
}

/// Kibibytes that the device of a directory reads ahead.
pub fn read_ahead_kib(directory: &Path) -> Option<u64> {
    let device = fs::metadata(directory).ok()?.dev();
    let device = format!("/sys/dev/block/{}:{}", major(device), minor(device));
    // A partition has none of its own.
    let queue = ["queue", "../queue"].map(|queue| format!("{device}/{queue}/read_ahead_kb"));
    queue.iter().find_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_a_process_writes_is_counted() {
        let directory = tempfile::tempdir().unwrap();
        if matches!(rustix::fs::statfs(directory.path()).unwrap().f_type, 0x0102_1994) {
            println!("skipped: the temporary directory is in memory");
            return;
        }
        let before = Traffic::now().unwrap();
        let mut file = File::create(directory.path().join("file")).unwrap();
        file.write_all(&[7; 1 << 20]).unwrap();
        sync(directory.path()).unwrap();
        forget(directory.path()).unwrap();
        assert!(Traffic::now().unwrap().since(before).written >= 1 << 20);
    }

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_hide_the_faults() {
        assert_eq!(major_faults("7 (a) b) S 1 2 3 4 5 6 7 8 99 10 11"), 99);
        assert_eq!(major_faults(""), 0);
    }
}
