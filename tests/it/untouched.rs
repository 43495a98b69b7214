//! Directories that must not be changed: seeing that they are not, and making it impossible. The tests
//! of the program use this file, too.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// All that a reader could change of a directory, by name: inode, length, blocks, times and bytes.
fn snapshot(directory: &Path) -> BTreeMap<PathBuf, (Vec<i64>, Vec<u8>)> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let all = entries.chain([directory.to_owned()]).map(|path| {
        let found = std::fs::metadata(&path).unwrap();
        let numbers = vec![
            found.ino() as i64,
            found.len() as i64,
            found.blocks() as i64,
            found.mtime(),
            found.mtime_nsec(),
            found.ctime(),
            found.ctime_nsec(),
        ];
        let bytes = if found.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        (path, (numbers, bytes))
    });
    all.collect()
}

/// Asserts that `act` changes nothing in a directory.
pub fn unchanged<T>(directory: &Path, act: impl FnOnce() -> T) -> T {
    let before = snapshot(directory);
    let result = act();
    let after = snapshot(directory);
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (path, (numbers, bytes)) in &before {
        assert_eq!(numbers, &after[path].0, "{}", path.display());
        assert!(bytes == &after[path].1, "{} has other bytes", path.display());
    }
    result
}

/// Whether this process is root, whom modes do not stop.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A command that runs `program` where `directory` is mounted read-only, for it alone; `None` if this
/// machine does not allow that.
pub fn on_a_read_only_mount(directory: &Path, program: &Path) -> Option<Command> {
    const SCRIPT: &str = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && \
                          ! touch \"$0/log\" 2> /dev/null && exec \"$@\"";
    let command = |program: &Path| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", SCRIPT]).arg(directory).arg(program);
        command
    };
    let works = command(Path::new("true")).output().is_ok_and(|output| output.status.success());
    works.then(|| command(program))
}

pub fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Makes a store readable for all and writable for none.
pub fn deny_writing(path: &Path) {
    for name in ["store", "log", "index"] {
        set_mode(&path.join(name), 0o444);
    }
    set_mode(path, 0o555);
}
