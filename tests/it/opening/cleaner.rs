//! Programs that remove what is old from directories, such as systemd-tmpfiles and tmpreaper.

use std::fs::{self, File, FileTimes};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::{Duration, SystemTime};

use larder::{ErrorKind, FileCache};

use crate::common::fast_directory;
use crate::exercise::{NAMES, assert_is_clear, small};

/// Whether a cleaner would take this file or directory: it asks for an exclusive BSD lock, and passes by
/// what it does not get.
fn may_be_cleaned(path: &Path) -> bool {
    let file = File::open(path).unwrap();
    // SAFETY: an open descriptor and plain numbers.
    unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) == 0 }
}

#[test]
fn a_cleaner_that_asks_for_a_lock_passes_a_store_in_use_by() {
    let dir = fast_directory();
    let path = dir.path().join("cache");
    let cache = small().open(&path).unwrap();
    let raised = small().max_bytes(3_000_000).open(&path).unwrap();
    for name in NAMES {
        assert!(!may_be_cleaned(&path.join(name)), "{name}");
    }
    assert!(!may_be_cleaned(&path));
    drop(cache);
    assert!(!may_be_cleaned(&path));
    drop(raised);
    for name in NAMES {
        assert!(may_be_cleaned(&path.join(name)), "{name}");
    }
    assert!(may_be_cleaned(&path));
}

#[test]
fn the_files_of_a_store_in_use_are_never_old() {
    let dir = fast_directory();
    let path = dir.path().join("cache");
    let old = SystemTime::now() - Duration::from_secs(40 * 24 * 3600);
    let make_old = || {
        for name in NAMES {
            let file = File::options().write(true).open(path.join(name)).unwrap();
            file.set_times(FileTimes::new().set_accessed(old).set_modified(old)).unwrap();
        }
    };
    let is_young = |name: &str| {
        let found = fs::metadata(path.join(name)).unwrap();
        let recently = SystemTime::now() - Duration::from_secs(3600);
        found.modified().unwrap() > recently && found.accessed().unwrap() > recently
    };
    drop(small().open(&path).unwrap());
    make_old();
    let cache = small().open(&path).unwrap();
    assert!(NAMES.iter().all(|name| is_young(name)), "after an opening");
    drop(cache);
}

#[test]
fn the_file_store_is_put_back_where_it_is_gone_while_the_store_is_in_use() {
    let dir = fast_directory();
    let path = dir.path().join("cache");
    let cache = small().open(&path).unwrap();
    cache.insert("key", "value").unwrap();
    drop(small().max_bytes(3_000_000).open(&path).unwrap());
    fs::remove_file(path.join("store")).unwrap();
    let opened = [
        FileCache::open(&path),
        FileCache::builder().create(false).open(&path),
        FileCache::builder().read_only(true).open(&path),
    ];
    for error in opened.map(Result::unwrap_err) {
        assert_is_clear(&error);
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        assert!(!error.to_string().to_lowercase().contains("delet"), "{error}");
    }
    cache.sync().unwrap();
    let other = FileCache::open(&path).unwrap();
    assert_eq!(other.get("key").as_deref(), Some(&b"value"[..]));
    assert_eq!(other.stats().max_bytes, 3_000_000, "the limits that were set last");
    drop(other);
    // By upkeep, too; and the store outlives its users.
    fs::remove_file(path.join("store")).unwrap();
    cache.maintain().unwrap();
    assert!(path.join("store").exists());
    drop(cache);
    assert_eq!(FileCache::open(&path).unwrap().len(), 1);
    // With nobody left to put it back, the cause is told all the same.
    fs::remove_file(path.join("store")).unwrap();
    for read_only in [false, true] {
        let error = FileCache::builder().read_only(read_only).open(&path).unwrap_err();
        assert_is_clear(&error);
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        assert!(error.to_string().contains("missing"), "{error}");
    }
}
