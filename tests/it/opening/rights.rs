//! Owner, group and mode of the files: what is replaced keeps them, what is new has those that were asked
//! for.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use larder::FileCache;

use crate::children::{Process, listen, say};
use crate::exercise::{NAMES, small};

/// A user without rights, and a group that root is no member of.
const USER: u32 = 65534;
const GROUP: u32 = 12345;

fn is_root() -> bool {
    // SAFETY: asks for a number.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root {
        println!("skipped: needs root, to be another user");
    }
    is_root
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Owner, group and mode.
fn rights(path: &Path) -> (u32, u32, u32) {
    let metadata = fs::metadata(path).unwrap();
    (metadata.uid(), metadata.gid(), mode(path))
}

/// Becomes that user, then opens the store with each limit that it is told, and says how that went.
pub fn as_another_user(directory: &Path) {
    // SAFETY: changes the user of this process, which is a test's child.
    unsafe {
        libc::umask(0o077);
        assert_eq!(libc::setresgid(USER, USER, USER), 0);
        assert_eq!(libc::setresuid(USER, USER, USER), 0);
    }
    while let Some(line) = listen() {
        let max_bytes = line.parse().unwrap();
        match small().max_bytes(max_bytes).open(directory) {
            Ok(cache) => {
                cache.insert("key", "value").unwrap();
                say("opened");
            }
            Err(error) => say(error),
        }
    }
}

#[test]
fn a_store_whose_limits_root_has_changed_stays_its_users_own() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let path = dir.path().join("cache");
    fs::create_dir(&path).unwrap();
    chown(&path, Some(USER), Some(USER)).unwrap();
    let mut user = Process::start("another user", &path, 0);
    user.tell("3000000");
    assert_eq!(user.hear().as_deref(), Some("opened"));
    let before = NAMES.map(|name| rights(&path.join(name)));
    assert_eq!(before, [(USER, USER, 0o600); 3]);
    drop(FileCache::builder().max_bytes(3_500_000).open(&path).unwrap());
    assert_eq!(NAMES.map(|name| rights(&path.join(name))), before);
    user.tell("4000000");
    assert_eq!(user.hear().as_deref(), Some("opened"));
    // What recovery makes anew stays the user's, too; and what a killed process of root's left is no obstacle.
    fs::remove_file(path.join("index")).unwrap();
    fs::write(path.join("store.new"), "half").unwrap();
    user.tell("3000000");
    assert_eq!(user.hear().as_deref(), Some("opened"));
    fs::write(path.join("index"), "no index").unwrap();
    drop(FileCache::open(&path).unwrap());
    user.tell("4000000");
    assert_eq!(user.hear().as_deref(), Some("opened"));
    user.finish();
}

#[test]
fn a_mode_and_a_group_set_by_hand_outlast_a_change_of_limits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    drop(small().open(&path).unwrap());
    let store = path.join("store");
    fs::set_permissions(&store, Permissions::from_mode(0o664)).unwrap();
    if is_root() {
        chown(&store, None, Some(GROUP)).unwrap();
    }
    let before = rights(&store);
    drop(small().max_bytes(3_000_000).open(&path).unwrap());
    assert_eq!(rights(&store), before);
}
