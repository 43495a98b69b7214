//! The directory put away, exchanged or deleted while it is in use, and users that do not see each
//! other's process ids: no handle ever mixes two stores, and a dead process is told from a living one.

use std::ffi::CString;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use larder::{Builder, ErrorKind, FileCache};

use super::inject::{self, Call};
use crate::children::Process;
use crate::common::{self, Random, fast_directory};
use crate::exercise::assert_is_clear;

fn builder() -> Builder {
    FileCache::builder().max_bytes(3 << 20).max_processes(1)
}

/// A store that says in each value which it is.
fn store(path: &Path, name: &str) {
    let cache = builder().open(path).unwrap();
    for key in 0..200u64 {
        cache.insert(key.to_le_bytes(), name).unwrap();
    }
}

/// Asserts that all that is found is of store `name`, and writes more of it.
fn use_as(cache: &FileCache, name: &str) {
    let names = |cache: &FileCache| {
        for key in 0..400u64 {
            let found = cache.get(key.to_le_bytes());
            assert!(found.is_none_or(|found| found == name.as_bytes()), "key {key} in {name}");
        }
    };
    names(cache);
    for key in 100..300u64 {
        cache.insert(key.to_le_bytes(), name).unwrap();
    }
    cache.sync().unwrap();
    cache.compact().unwrap();
    names(cache);
    assert_eq!(cache.len(), 300);
    assert!(cache.verify().unwrap().is_sound());
}

#[test]
fn a_handle_whose_directory_was_put_away_stays_with_its_store() {
    let dir = fast_directory();
    let (path, away) = (dir.path().join("cache"), dir.path().join("away"));
    store(&path, "first");
    let first = builder().open(&path).unwrap();
    std::fs::rename(&path, &away).unwrap();
    store(&path, "second");
    let second = builder().open(&path).unwrap();
    use_as(&first, "first");
    use_as(&second, "second");
    // Each is in use where it is now.
    for path in [&path, &away] {
        let other = common::another_process(builder());
        assert_eq!(other.open(path).unwrap_err().kind(), ErrorKind::Busy);
    }
    drop((first, second));
    use_as(&builder().open(&away).unwrap(), "first");
    use_as(&builder().open(&path).unwrap(), "second");
}

#[test]
fn a_deleted_directory_leaves_its_users_what_they_hold_and_is_made_anew() {
    let dir = fast_directory();
    let path = dir.path().join("cache");
    for names in [&["store"][..], &["log"], &["index"], &["store", "log", "index"], &["."]] {
        store(&path, "first");
        let first = builder().open(&path).unwrap();
        for name in names {
            match *name {
                "." => std::fs::remove_dir_all(&path).unwrap(),
                name => std::fs::remove_file(path.join(name)).unwrap(),
            }
        }
        match builder().open(&path) {
            Ok(second) => {
                assert!(second.is_empty(), "{names:?}");
                for key in 0..300u64 {
                    second.insert(key.to_le_bytes(), "second").unwrap();
                }
                use_as(&first, "first");
                use_as(&second, "second");
            }
            Err(error) => {
                assert_is_clear(&error);
                // Without a log nobody knows that it is in use; else what is missing comes back.
                let kind = match names {
                    ["log"] => ErrorKind::Damaged,
                    ["store" | "index"] => ErrorKind::Busy,
                    _ => panic!("{names:?}: {error}"),
                };
                assert_eq!(error.kind(), kind, "{names:?}: {error}");
                use_as(&first, "first");
            }
        }
        drop(first);
        let _ = std::fs::remove_dir_all(&path);
    }
}

fn exchange(one: &Path, other: &Path) {
    let name = |path: &Path| CString::new(path.to_str().unwrap()).unwrap();
    let (one, other) = (name(one), name(other));
    // SAFETY: two terminated paths.
    let status = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            libc::AT_FDCWD,
            one.as_ptr(),
            libc::AT_FDCWD,
            other.as_ptr(),
            libc::RENAME_EXCHANGE,
        )
    };
    assert_eq!(status, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn an_opening_while_the_directory_is_exchanged_gives_one_store_or_an_error() {
    let dir = fast_directory();
    let (path, other) = (dir.path().join("cache"), dir.path().join("other"));
    let mut exchanges = 0;
    for at in 0.. {
        store(&path, "first");
        store(&other, "second");
        let mut calls = 0;
        let decide = |_: &Call| {
            if calls == at {
                exchange(&path, &other);
            }
            calls += 1;
            None
        };
        let opened = match inject::run(at, decide, || builder().open(&path)) {
            Ok(opened) => opened.unwrap(),
            Err(error) => return println!("skipped: the kernel lets no filter ask ({error})"),
        };
        let is_done = calls <= at;
        match opened {
            Ok(cache) => {
                let name = cache.get(0u64.to_le_bytes()).unwrap();
                let name = std::str::from_utf8(&name).unwrap();
                // Its lock is where its data is.
                let others = || common::another_process(builder());
                let taken = [&path, &other].map(|path| others().open(path).is_err());
                let is_first = (name == "first") == is_done;
                assert_eq!(taken, [is_first, !is_first], "exchanged at call {at}: {name}");
                use_as(&cache, name);
            }
            Err(error) => assert_is_clear(&error),
        }
        let names = if is_done { ["first", "second"] } else { ["second", "first"] };
        use_as(&builder().open(&path).unwrap(), names[0]);
        use_as(&builder().open(&other).unwrap(), names[1]);
        for path in [&path, &other] {
            std::fs::remove_dir_all(path).unwrap();
        }
        if is_done {
            break;
        }
        exchanges += 1;
    }
    common::evidence("faults", exchanges, "openings while the directory is exchanged");
}

/// A command that gives what it runs process ids of its own; `None` if this machine does not.
fn own_process_ids() -> Option<Vec<&'static str>> {
    let with_root = vec!["unshare", "--pid", "--fork", "--kill-child"];
    let mut with_user = with_root.clone();
    with_user.extend(["--user", "--map-root-user"]);
    [with_root, with_user].into_iter().find(|command| {
        let output = Command::new(command[0]).args(&command[1..]).arg("true").output();
        output.is_ok_and(|output| output.status.success())
    })
}

/// The store once a killed user's slot is to be had: the kernel takes its time with a namespace.
fn open_in_time(builder: &Builder, path: &Path) -> FileCache {
    let begun = Instant::now();
    loop {
        match builder.open(path) {
            Err(error) if error.kind() == ErrorKind::Busy && begun.elapsed().as_secs() < 60 => {}
            opened => return opened.unwrap(),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn users_in_different_pid_namespaces_go_on_when_one_is_killed() {
    let Some(unshare) = own_process_ids() else {
        return println!("skipped: this machine gives no process ids of one's own");
    };
    let dir = fast_directory();
    let path = dir.path().join("cache");
    let builder = FileCache::builder().max_bytes(8 << 20).max_processes(16);
    let cache = builder.open(&path).unwrap();
    let mut random = Random::new(common::seed());
    let begun = Instant::now();
    let mut kills = 0;
    while kills < 4 || begun.elapsed() < common::duration(2) {
        // Both have the same process ids.
        let start = |number| Process::start_under(&unshare, "mixed", &path, number);
        let (mut one, mut other) = (start(2 * kills + 1), start(2 * kills + 2));
        assert_eq!(one.hear().as_deref(), Some("ready"));
        assert_eq!(other.hear().as_deref(), Some("ready"));
        std::thread::sleep(Duration::from_millis(20 + random.below(60)));
        one.kill();
        // The survivor goes on, and so does this process.
        for key in 0..2000u64 {
            cache.insert(key.to_le_bytes(), common::value(key, 1, 300)).unwrap();
        }
        other.tell("stop");
        assert!(other.finish().iter().all(|operations| operations.parse::<u64>().unwrap() > 0));
        kills += 1;
    }
    // The dead ones' slots are to be had, every one.
    let slots: Vec<_> = (0..15).map(|_| open_in_time(&builder, &path)).collect();
    assert_eq!(slots[0].len(), cache.len());
    drop(slots);
    let report = cache.verify().unwrap();
    assert!(report.is_sound() && !report.disturbed, "{report:?}");
    common::evidence("faults", kills, "kills in a PID namespace");
}

#[test]
fn the_lock_of_a_user_in_another_pid_namespace_is_taken_over_when_it_is_dead_and_not_before() {
    let Some(unshare) = own_process_ids() else {
        return println!("skipped: this machine gives no process ids of one's own");
    };
    let dir = fast_directory();
    let path = dir.path().join("cache");
    let builder = FileCache::builder().max_bytes(64 << 20).lock_timeout(Duration::from_millis(50));
    let cache = builder.open(&path).unwrap();
    let mut other = Process::start_under(&unshare, "dies in commit", &path, 0);
    other.hear().unwrap();
    for _ in 0..3 {
        assert_eq!(cache.insert("k", "v").unwrap_err().kind(), ErrorKind::Busy);
    }
    other.kill();
    let begun = Instant::now();
    while let Err(error) = cache.insert("k", "v") {
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        assert!(begun.elapsed().as_secs() < 60, "nobody takes over");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(cache.get("before").as_deref(), Some(&b"b"[..]));
}
