//! What handles of one store share in a process, and what belongs to each.

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder::internals::{Simulated, What};
use larder::{Builder, Durability, ErrorKind, FileCache};

use crate::children::{Process, say};
use crate::common::another_process;
use crate::fork::{exit_of, in_child};

/// Of a store that one process can be attached to.
fn alone() -> Builder {
    FileCache::builder().max_bytes(4 << 20).max_processes(1)
}

fn get(cache: &FileCache, key: &str) -> Option<String> {
    cache.get(key).map(|value| String::from_utf8(value).unwrap())
}

#[test]
fn all_handles_of_a_store_in_a_process_take_one_process_slot() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let mut handles: Vec<FileCache> = (0..50).map(|_| alone().open(&path).unwrap()).collect();
    for (number, cache) in handles.iter().enumerate() {
        cache.insert(number.to_string(), number.to_string()).unwrap();
    }
    for cache in &handles {
        assert!((0..50).all(|number| get(cache, &number.to_string()).is_some()));
    }
    let error = another_process(alone()).open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "other processes take their own: {error}");
    // Whoever opened it first is no more than the others.
    handles.remove(0);
    handles.truncate(1);
    handles[0].insert("after", "a").unwrap();
    let view = handles[0].view("after").unwrap();
    assert!(view.is_in_place());
    handles.clear();
    let again = alone().open(&path).unwrap();
    assert_eq!((&view[..], get(&again, "after").as_deref()), (&b"a"[..], Some("a")));
    drop((again, view));
    another_process(alone()).open(&path).expect("nobody is attached any more");
}

#[test]
fn a_thousand_handles_of_one_store_are_open_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let open = || FileCache::builder().max_bytes(64 << 20).open(&path).unwrap();
    let handles: Vec<FileCache> = (0..1100).map(|_| open()).collect();
    handles[0].insert("key", "value").unwrap();
    assert!(handles.iter().all(|cache| get(cache, "key").as_deref() == Some("value")));
}

#[test]
fn durability_belongs_to_the_handle() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let lazy = alone().open(&path).unwrap();
    let eager = alone().durability(Durability::EachWrite).open(&path).unwrap();
    lazy.insert("key", "1").unwrap();
    assert_eq!(lazy.stats().syncs, 0);
    eager.insert("key", "2").unwrap();
    assert_eq!(lazy.stats().syncs, 1);
    lazy.insert("key", "3").unwrap();
    assert_eq!(eager.stats().syncs, 1);
    assert_eq!(get(&eager, "key").as_deref(), Some("3"));
}

#[test]
fn the_time_to_wait_for_the_lock_belongs_to_the_handle() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let builder = FileCache::builder().max_bytes(64 << 20);
    let hasty = builder.clone().lock_timeout(Duration::ZERO).open(&path).unwrap();
    let patient = builder.lock_timeout(Duration::from_secs(3600)).open(&path).unwrap();
    // It has the write lock, in the middle of a transaction, and does not move.
    let mut holder = Process::start("dies in commit", &path, 0);
    let idle: libc::pid_t = holder.hear().unwrap().parse().unwrap();
    assert_eq!(hasty.insert("hasty", "h").unwrap_err().kind(), ErrorKind::Busy);
    let begins = Barrier::new(2);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            begins.wait();
            patient.insert("patient", "p")
        });
        begins.wait();
        std::thread::sleep(Duration::from_millis(50));
        holder.kill();
        waits.join().unwrap().unwrap();
    });
    assert!(hasty.contains_key("patient"));
    // SAFETY: a grandchild that this test made.
    unsafe { libc::kill(idle, libc::SIGKILL) };
}

#[test]
fn limits_set_by_one_handle_hold_for_the_others_of_its_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let first = alone().max_bytes(8 << 20).open(&path).unwrap();
    for key in 0..5000u64 {
        first.insert(key.to_le_bytes(), [7; 1000]).unwrap();
    }
    let second = alone().max_entries(10).open(&path).unwrap();
    assert_eq!((first.len(), second.len()), (10, 10));
    let third = alone().max_entries(1000).time_to_live(Duration::from_secs(1000)).open(&path);
    assert_eq!(first.stats().time_to_live_ms, Some(1_000_000));
    for key in 0..500u64 {
        first.insert(key.to_le_bytes(), "x").unwrap();
    }
    assert_eq!(third.unwrap().stats().max_entries, 1000);
    assert!(first.len() > 400);
    assert!(second.verify().unwrap().is_sound());
}

#[test]
fn a_reader_shares_nothing_with_writers_of_its_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let writer = alone().open(&path).unwrap();
    writer.insert("key", "1").unwrap();
    let readers = [0, 1].map(|_| FileCache::builder().read_only(true).open(&path).unwrap());
    for reader in &readers {
        assert_eq!(reader.insert("key", "2").unwrap_err().kind(), ErrorKind::ReadOnly);
        assert_eq!(get(reader, "key").as_deref(), Some("1"));
    }
    drop(writer);
    another_process(alone()).open(&path).unwrap().insert("key", "3").unwrap();
    assert!(readers.iter().all(|reader| get(reader, "key").as_deref() == Some("3")));
}

#[test]
fn handles_by_different_paths_share_and_each_looks_at_its_own_path() {
    let dir = tempfile::tempdir().unwrap();
    let [path, link, moved] = ["cache", "link", "moved"].map(|name| dir.path().join(name));
    let first = alone().open(&path).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let second = alone().open(&link).unwrap();
    assert_eq!((first.directory(), second.directory()), (&*path, &*link));
    std::fs::rename(&path, &moved).unwrap();
    let third = alone().open(&moved).unwrap();
    third.insert("key", "value").unwrap();
    assert_eq!(get(&first, "key").as_deref(), Some("value"));
    let current = [&first, &second, &third].map(|cache| cache.is_current().unwrap());
    assert_eq!(current, [false, false, true]);
    let error = third.insert([7; 70_000], "x").unwrap_err();
    assert!(error.to_string().contains("moved"), "{error}");
    // What cleaners took is put back where the handle is that looks.
    std::fs::remove_file(moved.join("store")).unwrap();
    third.sync().unwrap();
    assert!(moved.join("store").exists());
}

#[test]
fn a_directory_that_was_deleted_and_made_again_is_another_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let old = alone().open(&path).unwrap();
    old.insert("key", "old").unwrap();
    std::fs::remove_dir_all(&path).unwrap();
    let new = alone().open(&path).unwrap();
    assert_eq!((get(&old, "key").as_deref(), get(&new, "key")), (Some("old"), None));
    assert!(!old.is_current().unwrap() && new.is_current().unwrap());
    new.insert("key", "new").unwrap();
    let beside = alone().open(&path).unwrap();
    assert_eq!(get(&beside, "key").as_deref(), Some("new"));
    drop(new);
    assert_eq!(get(&old, "key").as_deref(), Some("old"));
}

#[test]
fn an_opener_never_meets_a_store_that_is_half_closed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    drop(alone().open(&path).unwrap());
    let rounds = if cfg!(debug_assertions) { 300 } else { 3000 };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let path = &path;
            scope.spawn(move || {
                for round in 0..rounds {
                    // The one slot is taken and given back all the time.
                    let cache = alone().open(path).unwrap();
                    cache.insert(format!("{thread}"), round.to_string()).unwrap();
                    assert_eq!(get(&cache, &thread.to_string()), Some(round.to_string()));
                }
            });
        }
    });
}

#[test]
fn openers_at_once_create_and_attach_once() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        let begins = Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    begins.wait();
                    let cache = alone().open(&path).unwrap();
                    cache.insert("key", "value").unwrap();
                    begins.wait();
                });
            }
        });
    }
}

#[test]
fn a_panic_while_a_store_is_opened_or_used_keeps_nobody_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let system = Simulated::default();
    let open = || alone().environment(system.environment()).open(&path);
    drop(open().unwrap());
    for what in [What::Map, What::Lock, What::FileId] {
        system.refuse(move |call| {
            assert_ne!(call.what, what, "a panic on purpose");
            None
        });
        let opened = std::panic::catch_unwind(|| open().map(drop));
        assert!(opened.is_err(), "{what:?} was not asked for");
        system.refuse_nothing();
        open().unwrap().insert("key", "value").unwrap();
    }
    let [one, other] = [open().unwrap(), open().unwrap()];
    let made = std::panic::catch_unwind(AssertUnwindSafe(|| {
        one.get_or_insert_with("made", || panic!("a panic on purpose"))
    }));
    assert!(made.is_err());
    assert_eq!(other.get_or_insert_with("made", || b"m".to_vec()).unwrap(), b"m");
    other.insert("key", "2").unwrap();
    assert_eq!(get(&one, "key").as_deref(), Some("2"));
}

#[test]
fn computations_of_all_handles_of_a_process_take_turns() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let handles = [0, 1].map(|_| alone().open(&path).unwrap());
    let is_computed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for cache in &handles {
            scope.spawn(|| {
                cache.get_or_insert_with("key", || {
                    assert!(!is_computed.swap(true, Ordering::Relaxed), "computed twice");
                    std::thread::sleep(Duration::from_millis(50));
                    b"value".to_vec()
                })
            });
        }
    });
}

/// Forks with several handles open while other threads open and close some.
pub fn forks_with_handles(directory: &Path) {
    let open = || FileCache::builder().max_processes(3).max_bytes(4 << 20).open(directory).unwrap();
    let handles = [0, 1, 2].map(|_| open());
    handles[0].insert("parent", "p").unwrap();
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !ends.load(Ordering::Relaxed) {
                    open().insert("busy", "b").unwrap();
                }
            });
        }
        for round in 0..50 {
            let child = in_child(|| {
                // All of them are one user again, and so is a new one.
                for cache in &handles {
                    assert_eq!(cache.get("parent").as_deref(), Some(&b"p"[..]));
                }
                handles[1].insert("child", round.to_string()).unwrap();
                assert_eq!(get(&open(), "child"), Some(round.to_string()));
            });
            assert_eq!(exit_of(child), 0);
        }
        ends.store(true, Ordering::Relaxed);
    });
    say("done");
}

#[test]
fn a_forked_child_with_many_handles_takes_one_slot_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let cache = FileCache::builder().max_processes(3).max_bytes(4 << 20).open(&path).unwrap();
    let parent = Process::start("forks with handles", &path, 0);
    assert_eq!(parent.finish(), ["done"]);
    assert!(cache.verify().unwrap().is_sound());
}
