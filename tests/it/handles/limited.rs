//! How much address space stores take: little enough for a limit on it, and for a thousand stores.

use std::path::Path;

use larder::{ErrorKind, FileCache};

use crate::children::{Process, listen, say};
use crate::common::{check, fast_directory, value};

/// Sets a limit of this process, as far as it may be raised.
fn set_limit(resource: libc::__rlimit_resource_t, soft: Option<u64>) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: system calls on a structure of the right type.
    unsafe {
        assert_eq!(libc::getrlimit(resource, &mut limit), 0);
        limit.rlim_cur = soft.unwrap_or(limit.rlim_max).min(limit.rlim_max);
        assert_eq!(libc::setrlimit(resource, &limit), 0);
    }
}

/// Bytes of address space that this process takes.
fn address_space() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096
}

/// The child's part: a store of 64 MiB, filled, where there are 2 GiB of addresses.
pub fn in_little_space(directory: &Path) {
    set_limit(libc::RLIMIT_AS, Some(2 << 30));
    let cache = FileCache::builder().max_bytes(64 << 20).open(directory).unwrap();
    for key in 0..100_000u64 {
        cache.insert(key.to_le_bytes(), value(key, 1, 1000)).unwrap();
    }
    let met: u64 = cache.iter().map(|(_, value)| u64::from(!value.is_empty())).sum();
    assert!(met > 40_000, "{met}");
    say("done");
}

#[test]
fn a_store_of_64_mib_is_used_with_2_gib_of_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let child = Process::start("in little space", &dir.path().join("cache"), 0);
    assert_eq!(child.finish(), ["done"]);
}

/// The child's part: a thousand stores at once.
pub fn thousand_stores(directory: &Path) {
    set_limit(libc::RLIMIT_NOFILE, None);
    let open = |number: u32| {
        FileCache::builder().max_bytes(1 << 30).open(directory.join(number.to_string())).unwrap()
    };
    let before = address_space();
    let stores: Vec<FileCache> = (0..1000).map(open).collect();
    let takes = (address_space() - before) / 1000;
    assert!(takes <= 8 << 30, "{takes} bytes of addresses a store");
    for (number, cache) in stores.iter().enumerate() {
        cache.insert("key", number.to_string()).unwrap();
    }
    for (number, cache) in stores.iter().enumerate() {
        assert_eq!(cache.get("key"), Some(number.to_string().into_bytes()));
    }
    say("done");
}

#[test]
fn a_thousand_stores_of_a_gib_are_open_in_one_process() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a system call on a structure of the right type.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
    if limit.rlim_max < 6000 {
        println!("skipped: only {} files may be open at once", limit.rlim_max);
        return;
    }
    let dir = fast_directory();
    let child = Process::start("thousand stores", dir.path(), 0);
    assert_eq!(child.finish(), ["done"]);
}

const KEYS: u64 = 60_000;
const LENGTH: usize = 2000;

fn fill(cache: &FileCache) {
    for key in 0..KEYS {
        cache.insert(key.to_le_bytes(), value(key, 2, LENGTH)).unwrap();
    }
}

/// The child's part: raises the limit of the store far, and fills it.
pub fn raises(directory: &Path) {
    let cache = FileCache::builder().max_bytes(200 << 20).strict_limits(true).open(directory);
    fill(&cache.unwrap());
    say("done");
}

#[test]
fn what_another_process_raises_far_beyond_is_read_and_written_and_views_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let cache = FileCache::builder().max_bytes(4 << 20).open(&path).unwrap();
    let beside = FileCache::builder().read_only(true).open(&path).unwrap();
    cache.insert("view", value(u64::MAX, 1, 500)).unwrap();
    let view = cache.view("view").unwrap();
    assert!(view.is_in_place());
    assert_eq!(Process::start("raises", &path, 0).finish(), ["done"]);
    for cache in [&cache, &beside] {
        for key in 0..KEYS {
            let found = cache.get(key.to_le_bytes()).expect("there is room for all");
            assert_eq!(check(key, &found), 2);
        }
    }
    let views: Vec<_> =
        (0..KEYS).step_by(5000).map(|key| (key, cache.view(key.to_le_bytes()))).collect();
    fill(&cache);
    assert_eq!(check(u64::MAX, &view), 1);
    for (key, view) in views {
        assert_eq!(check(key, &view.unwrap()), 2);
    }
    assert!(cache.verify().unwrap().is_sound());
}

/// The child's part: a store is open, and then there are no addresses left for more of it.
pub fn without_space_for_more(directory: &Path) {
    let cache = FileCache::open(directory).unwrap();
    cache.insert("old", "o").unwrap();
    let view = cache.view("old").unwrap();
    set_limit(libc::RLIMIT_AS, Some(address_space() + (64 << 20)));
    say("open");
    listen();
    let refused = (0..20_000u64).find_map(|key| {
        let key = key.to_le_bytes();
        assert!(cache.get(key).is_none_or(|found| check(u64::from_le_bytes(key), &found) == 2));
        cache.insert(key, value(u64::from_le_bytes(key), 2, LENGTH)).err()
    });
    let error = refused.expect("most of the store cannot be mapped");
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert!(error.to_string().contains("log") || error.to_string().contains("index"), "{error}");
    assert_eq!(&view[..], b"o");
    set_limit(libc::RLIMIT_AS, None);
    for key in 0..KEYS {
        assert_eq!(check(key, &cache.get(key.to_le_bytes()).unwrap()), 2);
    }
    // What could not be mapped at the last look is told, be it late, before anything is changed.
    cache.insert("new", "n").or_else(|_| cache.insert("new", "n")).unwrap();
    say("done");
}

#[test]
fn where_addresses_run_out_nothing_is_taken_for_missing_and_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    drop(FileCache::builder().max_bytes(4 << 20).open(&path).unwrap());
    let mut child = Process::start("without space for more", &path, 0);
    assert_eq!(child.hear().as_deref(), Some("open"));
    assert_eq!(Process::start("raises", &path, 0).finish(), ["done"]);
    child.tell("go");
    assert_eq!(child.finish(), ["done"]);
    assert!(FileCache::open(&path).unwrap().verify().unwrap().is_sound());
}
