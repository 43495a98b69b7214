//! Full disks and the limits of a process: the cache stops growing and evicts, reads go on, and no
//! signal comes.
//!
//! The file systems are mounted in a child with mounts of its own, which go when it ends.

use std::fs;
use std::path::Path;

use larder::internals::Simulated;
use larder::{ErrorKind, FileCache};

use crate::children::{Process, own_mounts, say};
use crate::common::{check, disk, value};
use crate::exercise::assert_is_clear;
use crate::mounts::Disk;

/// Puts `count` values, of which most must succeed where anything fits; how many did.
fn put(cache: &FileCache, first: u64, count: u64) -> u64 {
    let mut stored = 0;
    for key in first..first + count {
        let new = value(key, 1, 100 + (key * 91 % 6000) as usize);
        match cache.insert(key.to_le_bytes(), &new) {
            Ok(()) => {
                stored += 1;
                assert_eq!(cache.get(key.to_le_bytes()), Some(new));
            }
            Err(error) => {
                assert_is_clear(&error);
                assert_eq!(error.kind(), ErrorKind::Full, "{error}");
            }
        }
        if let Some(bytes) = cache.get((key / 2).to_le_bytes()) {
            check(key / 2, &bytes);
        }
    }
    stored
}

fn builder() -> larder::Builder {
    FileCache::builder().max_bytes(16 << 20).max_processes(4)
}

/// What holds on a file system that fills up.
fn fills_up(mounted: &Disk) {
    let store = mounted.mounted.join("cache");
    // Nothing fits: nothing is left.
    let filler = mounted.fill("filler", 0);
    let error = builder().open(&store).unwrap_err();
    assert_is_clear(&error);
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    assert!(!store.exists(), "creation left something behind");
    fs::remove_file(filler).unwrap();

    // It grows until the disk is full, and goes on.
    let cache = builder().open(&store).unwrap();
    assert_eq!(put(&cache, 0, 300), 300);
    let filler = mounted.fill("filler", 1 << 20);
    assert_eq!(put(&cache, 1000, 3000), 3000);
    let grown = disk(&store);
    let more = mounted.fill("more", 0);
    assert_eq!(put(&cache, 5000, 3000), 3000);
    assert!(cache.stats().evictions > 1000, "{:?}", cache.stats());
    assert!(cache.verify().unwrap().is_sound());
    // Another one opens, in this boot and after another, with no space at all.
    drop(cache);
    let cache = FileCache::open(&store).unwrap();
    assert_eq!(put(&cache, 9000, 500), 500);
    drop(cache);
    let environment = Simulated::default().in_boot([5, 5]).environment();
    let cache = FileCache::builder().environment(environment).open(&store).unwrap();
    assert!(cache.opening().other_boot);
    let stored = put(&cache, 10_000, 500);
    assert!(stored > 0, "{:?}", cache.stats());
    assert!(cache.verify().unwrap().damaged == 0);

    // Space that is freed is used again.
    fs::remove_file(more).unwrap();
    fs::remove_file(filler).unwrap();
    assert_eq!(put(&cache, 20_000, 4000), 4000);
    assert!(disk(&store) > grown + (1 << 20), "{} after {grown}", disk(&store));
    assert!(cache.verify().unwrap().damaged == 0);
    drop(cache);
    fs::remove_dir_all(&store).unwrap();

    // What is to stay free stays free.
    let floor = 4 << 20;
    let cache = builder().min_free_space(floor).open(&store).unwrap();
    assert_eq!(put(&cache, 0, 6000), 6000);
    assert!(mounted.free() >= floor, "{} free", mounted.free());
    assert!(cache.stats().evictions > 0);
}

/// The child's part: tmpfs (0) or ext4 (1).
pub fn filled(directory: &Path, which: u64) {
    let what = ["tmpfs 12", "ext4 24 -O ^has_journal -m 0"][which as usize];
    let mounted = own_mounts().and_then(|()| Disk::mount(directory, what));
    match mounted {
        Ok(disk) => fills_up(&disk),
        Err(why) => return say(format!("skipped: {why}")),
    }
    if which == 0 {
        for inodes in 2..=4 {
            let root = directory.join(format!("inodes {inodes}"));
            let disk = Disk::mount(&root, &format!("tmpfs 12 nr_inodes={inodes}")).unwrap();
            let store = disk.mounted.join("cache");
            let error = builder().open(&store).unwrap_err();
            assert_is_clear(&error);
            assert_eq!(error.kind(), ErrorKind::Full, "{error}");
            assert!(!store.exists(), "creation left something behind");
        }
    }
    say("done");
}

fn in_child(role: &str, seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    for line in Process::start(role, dir.path(), seed).finish() {
        println!("{line}");
    }
}

#[test]
fn on_a_full_tmpfs_puts_evict_and_reads_go_on() {
    in_child("filled", 0);
}

#[test]
fn on_a_full_ext4_puts_evict_and_reads_go_on() {
    in_child("filled", 1);
}

fn set_limit(which: libc::__rlimit_resource_t, value: u64) {
    // SAFETY: a limit of this process, which is a test's child; the calls get what they fill in or read.
    unsafe {
        let mut limit = std::mem::zeroed::<libc::rlimit>();
        assert_eq!(libc::getrlimit(which, &mut limit), 0);
        limit.rlim_cur = value.min(limit.rlim_max);
        assert_eq!(libc::setrlimit(which, &limit), 0);
    }
}

/// The child's part: limits on file sizes (0), open files (1) and address space (2).
pub fn limited(directory: &Path, which: u64) {
    let store = directory.join("cache");
    let limit = [libc::RLIMIT_FSIZE, libc::RLIMIT_NOFILE, libc::RLIMIT_AS][which as usize];
    let (kind, words) =
        [(ErrorKind::Io, "ulimit -f"), (ErrorKind::Io, "ulimit -n"), (ErrorKind::Io, "ulimit -v")]
            [which as usize];
    let values: &[u64] = match which {
        0 => &[0, 100, 4096, 1 << 20, 15 << 20],
        1 => &[0, 1, 2, 3, 4, 5, 6, 7, 8],
        _ => &[64 << 20, 512 << 20],
    };
    let whole = libc::RLIM_INFINITY;
    let mut refused = 0;
    for existing in [false, true] {
        for &value in values {
            set_limit(limit, value);
            let result = builder().open(&store);
            if result.is_err() {
                refused += 1;
            }
            let was_refused = result.is_err();
            set_limit(limit, if which == 1 { 1024 } else { whole });
            if let Err(error) = &result {
                assert_is_clear(error);
                assert_eq!(error.kind(), kind, "{value}: {error}");
                assert!(error.to_string().contains(words), "{value}: {error}");
            }
            drop(result);
            if !existing {
                assert!(!was_refused || which != 0 || !store.exists());
                let _ = fs::remove_dir_all(&store);
            }
        }
        drop(builder().open(&store).unwrap());
    }
    assert!(refused > 0);
    // In use: what cannot grow evicts.
    let cache = builder().open(&store).unwrap();
    if which == 0 {
        set_limit(limit, 8192);
        for key in 0..60_000u64 {
            cache.insert(key.to_le_bytes(), key.to_le_bytes()).unwrap();
        }
        // The index stays as it was: a page.
        assert!(cache.len() > 300, "{:?}", cache.stats());
        let builder = builder().max_bytes(32 << 20).strict_limits(true);
        let error = builder.open(&store).unwrap_err();
        assert_is_clear(&error);
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    }
    say("done");
}

#[test]
fn a_limit_on_file_sizes_is_an_error_and_no_signal() {
    in_child("limited", 0);
}

#[test]
fn a_limit_on_open_files_is_a_clear_error() {
    in_child("limited", 1);
}

#[test]
fn a_limit_on_address_space_is_a_clear_error() {
    in_child("limited", 2);
}
