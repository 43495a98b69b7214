//! Whatever stops a change of limits, a kill or what the system refuses: the old ones hold, or the new ones. Where the
//! store is copied into new files the directory has the old one or the new one, whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::internals::{Call, Simulated};
use larder::{Builder, ErrorKind, FileCache};

use crate::children::Process;
use crate::common::{self, Random, disk, fast_directory};
use crate::exercise::assert_is_clear;
use crate::relimit::{assert_no_draft, fill, keys};

/// The limits of the store that is killed, and those that it is to get.
const OLD: u64 = 3 << 20;
const NEW: u64 = 12 << 20;

fn small(directory: &Path) -> FileCache {
    let builder = FileCache::builder().max_bytes(OLD).max_processes(4).segment_size(64 << 10);
    builder.open(directory).unwrap()
}

fn to_new(system: &Simulated) -> Builder {
    FileCache::builder()
        .max_bytes(NEW)
        .segment_size(128 << 10)
        .lock_timeout(Duration::from_millis(200))
        .environment(system.environment())
}

/// A system that kills this process before the call with this number.
fn deadly(number: u64) -> Simulated {
    let system = Simulated::default();
    let mut left = number;
    system.refuse(move |_| {
        if left == 0 {
            // SAFETY: a signal to oneself.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        }
        left -= 1;
        None
    });
    system
}

/// The child's part: it is killed before its call of the door with this number.
pub fn killed(directory: &Path, number: u64) {
    to_new(&deadly(number)).relimit(directory).unwrap();
}

/// The child's part where the limits are lowered in place.
pub fn killed_in_place(directory: &Path, number: u64) {
    lower(&deadly(number)).open(directory).unwrap();
}

/// Limits that the files of the store can be given.
const LOWER: (u64, u64) = (2 << 20, 300);

fn lower(system: &Simulated) -> Builder {
    let builder = FileCache::builder().max_bytes(LOWER.0).max_entries(LOWER.1);
    builder.strict_limits(true).environment(system.environment())
}

#[test]
fn a_kill_while_limits_are_lowered_leaves_the_old_ones_or_the_new_ones() {
    let root = fast_directory();
    let mut met = BTreeSet::new();
    for number in 0.. {
        let path = root.path().join(format!("{number}"));
        let cache = small(&path);
        fill(&cache, 0..2500, 900);
        drop(cache);
        assert!(disk(&path) > LOWER.0);
        let done = Process::start("limits killed", &path, number).ends_well();
        let cache = FileCache::open(&path).unwrap();
        let stats = cache.stats();
        let what = format!("kill {number}: {stats:?}, {} bytes of disk", disk(&path));
        let limits = (stats.max_bytes, stats.max_entries);
        assert!(limits == (OLD, u64::MAX) || !met.is_empty() && limits == LOWER, "{what}");
        assert!(disk(&path) <= limits.0 && cache.len() <= limits.1, "{what}");
        assert!(!done || limits == LOWER, "{what}");
        assert!(keys(&cache).len() as u64 == cache.len() && cache.verify().unwrap().is_sound());
        fill(&cache, 0..3000, 900);
        assert!(disk(&path) <= limits.0 && cache.len() <= limits.1, "{what}");
        std::fs::remove_dir_all(&path).unwrap();
        met.insert(limits);
        if done {
            break;
        }
    }
    assert_eq!(met.len(), 2);
}

/// A store that `relimit` was stopped in is the old one or the new one; which.
fn examine(directory: &Path, expected: &BTreeSet<u64>, what: &str) -> bool {
    // A reader first: it changes nothing.
    let reader = FileCache::builder().read_only(true).open(directory).unwrap();
    assert_eq!(&keys(&reader), expected, "{what}: a reader");
    drop(reader);
    let cache = FileCache::builder().create(false).open(directory).unwrap();
    assert!(!cache.opening().other_boot && cache.opening().began_anew.is_none(), "{what}");
    assert_no_draft(directory);
    let stats = cache.stats();
    let is_new = stats.max_bytes == NEW;
    let whole = if is_new { (NEW, 128 << 10) } else { (OLD, 64 << 10) };
    assert_eq!((stats.max_bytes, stats.segment_bytes), whole, "{what}");
    assert_eq!(&keys(&cache), expected, "{what}");
    assert!(cache.verify().unwrap().is_sound(), "{what}");
    assert!(disk(directory) <= stats.max_bytes, "{what}: {} bytes of disk", disk(directory));
    fill(&cache, 0..100, 100);
    drop(cache);
    is_new
}

/// A store to be copied, and its keys.
fn prepared(path: &Path) -> BTreeSet<u64> {
    let cache = small(path);
    fill(&cache, 0..600, 900);
    keys(&cache)
}

#[test]
fn a_kill_at_any_step_leaves_the_old_store_or_the_new_one() {
    let root = fast_directory();
    let mut kills = 0;
    let mut was_new = false;
    for number in 0.. {
        let path = root.path().join(format!("{number}"));
        let expected = prepared(&path);
        let done = Process::start("relimit killed", &path, number).ends_well();
        let is_new = examine(&path, &expected, &format!("kill {number}"));
        assert!(is_new || !was_new, "kill {number}: the old one after the new one");
        // As good as before: it is done now if it was not.
        to_new(&Simulated::default()).relimit(&path).unwrap();
        assert!(examine(&path, &expected, "again"));
        std::fs::remove_dir_all(&path).unwrap();
        was_new = is_new;
        kills += u64::from(!done);
        if done {
            break;
        }
    }
    assert!(kills > 40, "{kills} kills");
}

#[test]
fn whatever_the_system_refuses_the_old_store_stays_or_the_new_one_is_there() {
    let seed = common::seed();
    let mut random = Random::new(seed);
    let root = fast_directory();
    let calls = |path: &Path| -> Vec<Call> {
        let (system, calls) = (Simulated::default(), Arc::new(Mutex::new(Vec::new())));
        let noted = calls.clone();
        system.refuse(move |call| {
            noted.lock().unwrap().push(call.clone());
            None
        });
        to_new(&system).relimit(path).unwrap();
        system.refuse_nothing();
        calls.lock().unwrap().clone()
    };
    let path = root.path().join("all");
    prepared(&path);
    let calls = calls(&path);
    let mut refused = 0;
    for (number, call) in calls.iter().enumerate() {
        let forever = random.one_in(2);
        let errno = [libc::EIO, libc::ENOSPC, libc::EACCES][random.below(3) as usize];
        let what = format!("{number}: {call}, error {errno}, for ever: {forever}");
        let path: PathBuf = root.path().join(format!("{number}"));
        let expected = prepared(&path);
        let system = Simulated::default();
        let (mut at, kind) = (0, call.what);
        system.refuse(move |call| {
            let now = call.what == kind && (at == number || forever && at > number);
            at += 1;
            now.then(|| std::io::Error::from_raw_os_error(errno))
        });
        let done = to_new(&system).relimit(&path);
        system.refuse_nothing();
        if let Err(error) = &done {
            assert_is_clear(error);
            assert!(error.kind() != ErrorKind::Damaged, "{what}: {error}");
            refused += 1;
        }
        let is_new = examine(&path, &expected, &what);
        assert!(is_new || done.is_err(), "{what}: done, and the old one is there");
        std::fs::remove_dir_all(&path).unwrap();
    }
    assert!(refused > 40, "{refused} refused");
}

#[test]
fn whoever_opens_and_closes_meanwhile_finds_all_or_waits() {
    let dir = fast_directory();
    let path = dir.path().join("cache");
    let expected = prepared(&path);
    std::thread::scope(|scope| {
        let worker = || {
            let mut opened = 0;
            while !path.join("end").exists() {
                let builder = FileCache::builder().lock_timeout(Duration::from_millis(5));
                let readers = opened % 3 == 2;
                match builder.read_only(readers).open(&path) {
                    Ok(cache) => {
                        if !readers {
                            assert_eq!(keys(&cache), expected);
                        }
                        opened += 1;
                    }
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Busy, "{error}"),
                }
                std::thread::sleep(Duration::from_millis(3));
            }
            opened
        };
        let workers = [scope.spawn(worker), scope.spawn(worker)];
        let mut done = 0;
        while done < 20 {
            let limit = if done % 2 == 0 { NEW } else { OLD };
            let builder = FileCache::builder().max_bytes(limit).segment_size(64 << 10);
            match builder.lock_timeout(Duration::from_millis(5)).relimit(&path) {
                Ok(relimited) => {
                    assert_eq!(relimited.left_out, 0);
                    done += 1;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Busy, "{error}"),
            }
        }
        std::fs::write(path.join("end"), "").unwrap();
        for worker in workers {
            assert!(worker.join().unwrap() > 0);
        }
    });
    assert_eq!(keys(&FileCache::open(&path).unwrap()), expected);
}
