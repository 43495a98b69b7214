//! Fork: a child uses inherited handles, and takes nothing from its parent.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use larder::FileCache;

use crate::children::{Process, listen, say};

/// Runs `work` in a forked child; the child's exit code.
pub fn in_child(work: impl FnOnce()) -> libc::pid_t {
    // SAFETY: the child runs Rust code and leaves by `_exit`, in a process of one thread.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_ok();
        // SAFETY: leaves at once, without running what is the parent's.
        unsafe { libc::_exit(i32::from(!done)) };
    }
    pid
}

pub fn exit_of(pid: libc::pid_t) -> i32 {
    let mut status = 0;
    // SAFETY: waits for a child of this process.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert!(libc::WIFEXITED(status), "status {status}");
    libc::WEXITSTATUS(status)
}

/// Forks with a handle and a view in use; children use, drop and ignore what they inherit.
pub fn forker(directory: &Path) {
    let cache = FileCache::open(directory).unwrap();
    cache.insert("parent", "p").unwrap();
    let view = cache.view("parent").unwrap();
    assert!(view.is_in_place());

    let uses = in_child(|| {
        assert_eq!(cache.get("parent").as_deref(), Some(&b"p"[..]));
        cache.insert("child", "c").unwrap();
        let grandchild = in_child(|| {
            cache.insert("grandchild", "g").unwrap();
            assert_eq!(cache.get("child").as_deref(), Some(&b"c"[..]));
        });
        assert_eq!(exit_of(grandchild), 0);
        let own = cache.view("parent").unwrap();
        assert_eq!(&own[..], b"p");
    });
    assert_eq!(exit_of(uses), 0);
    let inherited = in_child(|| {
        std::panic::set_hook(Box::new(|_| {}));
        let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| view.len()));
        assert!(read.is_err(), "an inherited view panics");
    });
    assert_eq!(exit_of(inherited), 0);
    let other = FileCache::open(directory).unwrap();
    let drops = in_child(move || drop(other));
    assert_eq!(exit_of(drops), 0);
    // What the children did to their copies changed nothing here.
    assert_eq!(&view[..], b"p");
    cache.insert("after", "a").unwrap();
    assert_eq!(cache.get("child").as_deref(), Some(&b"c"[..]));
    assert_eq!(cache.get("grandchild").as_deref(), Some(&b"g"[..]));

    // A child that idles, with the inherited handle, while the parent is killed.
    let idle = in_child(|| std::thread::sleep(Duration::from_secs(60)));
    say(idle);
    listen();
    loop {
        cache.insert("busy", "b").unwrap();
    }
}

/// Leaves the store as a process does that is killed between COMMIT and its stores, with a forked child
/// that idles on: the lock word and the intent are written through the file, as format.md has them.
pub fn dies_in_commit(directory: &Path) {
    const LOCK: u64 = 0x80;
    const ENTRIES: u64 = 0x88;
    const PROCESSES: u64 = larder::internals::control::PROCESSES_OFFSET;
    const SLOT: u64 = 1; // The test has slot 0.
    let cache = FileCache::open(directory).unwrap();
    cache.insert("before", "b").unwrap();
    let idle = in_child(|| std::thread::sleep(Duration::from_secs(60)));
    let log = OpenOptions::new().read(true).write(true).open(directory.join("log")).unwrap();
    let read = |at| {
        let mut word = [0; 8];
        log.read_exact_at(&mut word, at).unwrap();
        u64::from_le_bytes(word)
    };
    let write = |at, word: u64| log.write_all_at(&word.to_le_bytes(), at).unwrap();
    let intent = PROCESSES + SLOT * larder::internals::control::PROCESS_ROW_BYTES;
    write(intent + 8, ENTRIES);
    write(intent + 16, read(ENTRIES) + 5);
    write(intent, 1 | 1 << 8);
    write(LOCK, 2 | SLOT << 2 | read(LOCK) >> 12 << 12);
    say(idle);
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_parent_killed_inside_a_transaction_is_taken_over_from_while_its_child_idles() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let cache = FileCache::builder().max_bytes(64 << 20).open(&path).unwrap();
    let mut parent = Process::start("dies in commit", &path, 0);
    let idle: libc::pid_t = parent.hear().unwrap().parse().unwrap();
    assert_eq!(cache.get("before").as_deref(), Some(&b"b"[..]), "readers need no lock");
    let error = cache.insert("alive", "a").unwrap_err();
    assert_eq!(error.kind(), larder::ErrorKind::Busy, "a living owner is waited for");
    parent.kill();
    cache.insert("next", "n").unwrap();
    // The dead owner's intent was carried out (it added five), and then the insert.
    assert_eq!(cache.len(), 1 + 5 + 1);
    // SAFETY: a grandchild that this test made.
    unsafe { libc::kill(idle, libc::SIGKILL) };
}

#[test]
fn children_use_drop_and_ignore_inherited_handles_and_a_killed_parent_leaves_no_slot() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    // Three slots: this process, the forker, and one for its children in turn.
    let cache = FileCache::builder().max_bytes(64 << 20).max_processes(4).open(&path).unwrap();
    let mut idle: Vec<libc::pid_t> = Vec::new();
    for _ in 0..6 {
        let mut parent = Process::start("forker", &path, 0);
        idle.push(parent.hear().unwrap().parse().unwrap());
        parent.tell("go");
        std::thread::sleep(Duration::from_millis(20));
        parent.kill();
        // Killed perhaps inside a transaction: the next write goes on all the same.
        cache.insert("next", "n").unwrap();
    }
    let report = cache.verify().unwrap();
    assert!(report.is_sound(), "{report:?}");
    for pid in idle {
        // SAFETY: a grandchild that this test made.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
}
