//! Owner, group and mode of the files: what is replaced keeps them, what is new has those that were asked
//! for.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use larder::{ErrorKind, FileCache};

use crate::children::{Process, listen, say};
use crate::exercise::{NAMES, assert_is_clear, small};
use crate::fork::{exit_of, in_child};

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

/// Opens stores under several umasks, and says which modes their files got.
pub fn sharing(directory: &Path) {
    for (name, directory_mode, umask) in [
        ("private", 0o755, 0o022),
        ("shared", 0o2775, 0o002),
        ("as the umask has it", 0o2775, 0o022),
        ("not at all", 0o2777, 0o077),
    ] {
        let path = directory.join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(directory_mode)).unwrap();
        // SAFETY: changes a number of this process, which is a test's child.
        unsafe { libc::umask(umask) };
        let cache = small().open(&path).unwrap();
        drop(small().max_bytes(3_000_000).open(&path).unwrap());
        drop(cache);
        let modes = NAMES.map(|name| mode(&path.join(name)));
        assert!(modes.iter().all(|mode| *mode == modes[0]), "{name}: {modes:?}");
        say(format!("{name}: {:o}", modes[0]));
    }
    // SAFETY: as above.
    unsafe { libc::umask(0o077) };
    let path = directory.join("asked for");
    let cache = small().file_mode(0o664).open(&path).unwrap();
    say(format!("asked for: {:o}, in {:o}", mode(&path.join("store")), mode(&path)));
    assert_eq!(NAMES.map(|name| mode(&path.join(name))), [0o664; 3]);
    // Those that are there keep theirs, and what is made beside them is like them.
    drop(cache);
    fs::remove_file(path.join("index")).unwrap();
    drop(small().max_bytes(3_000_000).file_mode(0o600).open(&path).unwrap());
    assert_eq!(NAMES.map(|name| mode(&path.join(name))), [0o664; 3]);
}

#[test]
fn new_files_are_private_or_the_groups_that_may_write_in_the_directory_or_as_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let said = Process::start("sharing", dir.path(), 0).finish();
    assert_eq!(
        said,
        [
            "private: 600",
            "shared: 660",
            "as the umask has it: 640",
            "not at all: 600",
            "asked for: 664, in 775"
        ]
    );
    for mode in [0o060, 0o1660, 0o700] {
        let error = small().file_mode(mode).open(dir.path().join("new")).unwrap_err();
        assert_is_clear(&error);
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
    }
}

#[test]
fn a_forked_child_that_attaches_before_it_gives_up_its_rights_reads_and_else_it_learns_why_not() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let said = Process::start("dropping rights", dir.path(), 0).finish();
    assert_eq!(said, ["done"]);
}

/// Opens as root; its children give up their rights.
pub fn dropping_rights(directory: &Path) {
    let path = directory.join("cache");
    let cache = small().open(&path).unwrap();
    cache.insert("key", "value").unwrap();
    let give_up = || {
        // SAFETY: changes the user of this process, a child that leaves at the end.
        assert_eq!(unsafe { libc::setresuid(USER, USER, USER) }, 0);
    };
    let early = in_child(|| {
        cache.attach().unwrap();
        give_up();
        cache.attach().unwrap();
        assert_eq!(cache.get("key").as_deref(), Some(&b"value"[..]));
        cache.insert("child", "was here").unwrap();
    });
    assert_eq!(exit_of(early), 0);
    let late = in_child(|| {
        give_up();
        assert_eq!(cache.get("key"), None);
        for _ in 0..2 {
            let error = cache.attach().unwrap_err();
            assert_is_clear(&error);
            assert!(
                error.kind() == ErrorKind::Io && error.to_string().contains("right"),
                "{error}"
            );
        }
    });
    assert_eq!(exit_of(late), 0);
    assert_eq!(cache.get("child").as_deref(), Some(&b"was here"[..]));
    say("done");
}
