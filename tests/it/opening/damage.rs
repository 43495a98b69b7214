//! A store that is damaged so that it cannot be opened begins anew, if that was asked for: nothing is lost
//! that is not a store's, nobody who uses it is harmed, and a kill at any step leaves it openable or as it was.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use larder::internals::{Call, Simulated, What};
use larder::{Builder, ErrorKind, FileCache, OnDamage};

use crate::common::{disk, fast_directory};
use crate::exercise::{NAMES, Sample, assert_is_clear, small};

fn healing() -> Builder {
    FileCache::builder().on_damage(OnDamage::BeginAnew)
}

/// Ways to damage a store so that it cannot be opened.
const WAYS: [&str; 9] = [
    "store is missing",
    "store is damaged",
    "store is garbage",
    "store is empty",
    "log is missing",
    "log is damaged",
    "log is short",
    "log is another's",
    "index is another's",
];

fn harm(path: &Path, way: &str) {
    let (name, how) = way.split_once(" is ").unwrap();
    let file = path.join(name);
    let bytes = fs::read(&file).unwrap();
    match how {
        "missing" => fs::remove_file(&file).unwrap(),
        "empty" => fs::write(&file, "").unwrap(),
        "garbage" => fs::write(&file, "a diary").unwrap(),
        "short" => fs::write(&file, &bytes[..5000]).unwrap(),
        "another's" => {
            let other = path.with_file_name("other");
            drop(small().open(&other).unwrap());
            fs::copy(other.join(name), &file).unwrap();
        }
        _ => {
            let mut bytes = bytes;
            bytes[20] ^= 1;
            fs::write(&file, bytes).unwrap();
        }
    }
}

/// A store with entries, a limit of its own and a file that is not the store's; damaged.
fn damaged(dir: &Path, way: &str) -> PathBuf {
    let path = dir.join("cache");
    let cache = small().max_bytes(2_700_000).max_entries(900).open(&path).unwrap();
    for key in 0..400u64 {
        cache.insert(key.to_le_bytes(), [7; 3000]).unwrap();
    }
    drop(cache);
    fs::write(path.join("letters.txt"), "dear").unwrap();
    harm(&path, way);
    path
}

fn is_usable(cache: &FileCache) {
    cache.insert("key", "value").unwrap();
    assert_eq!(cache.get("key").as_deref(), Some(&b"value"[..]));
    assert!(cache.verify().unwrap().is_sound());
}

#[test]
fn a_damaged_store_begins_anew_if_asked_for_and_stays_as_it_was_if_not() {
    for way in WAYS {
        let dir = fast_directory();
        let path = damaged(dir.path(), way);
        let before = NAMES.map(|name| fs::read(path.join(name)).ok());
        let error = FileCache::open(&path).unwrap_err();
        assert_is_clear(&error);
        assert!(
            matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotAStore),
            "{way}: {error}"
        );
        assert!(healing().read_only(true).open(&path).is_err(), "{way}");
        assert!(NAMES.map(|name| fs::read(path.join(name)).ok()) == before, "{way}");

        let cache = healing().open(&path).unwrap();
        let opening = cache.opening();
        assert!(opening.began_anew.is_some() && !opening.created, "{way}: {opening:?}");
        assert!(cache.is_empty(), "{way}");
        is_usable(&cache);
        if !way.starts_with("store") {
            // What was asked for when it was made, and is still known.
            let stats = cache.stats();
            assert_eq!((stats.max_bytes, stats.max_entries), (2_700_000, 900), "{way}");
            assert_eq!(stats.segment_bytes, 64 << 10, "{way}");
        }
        drop(cache);
        assert_eq!(fs::read(path.join("letters.txt")).unwrap(), b"dear");
        let again = healing().open(&path).unwrap();
        assert!(again.opening().began_anew.is_none() && again.len() == 1, "{way}");
        let mut names: Vec<_> =
            fs::read_dir(&path).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["CACHEDIR.TAG", "index", "letters.txt", "log", "store"], "{way}");
    }
}

#[test]
fn what_is_not_a_store_of_a_known_version_never_begins_anew() {
    let refused = |path: &Path, kind| {
        let all = |path: &Path| {
            let mut all: Vec<_> = fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .map(|path| (fs::read(&path).ok(), path))
                .collect();
            all.sort();
            all
        };
        let before = all(path);
        let error = healing().open(path).unwrap_err();
        assert_is_clear(&error);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(all(path) == before, "{error}");
    };
    for name in NAMES {
        let dir = fast_directory();
        fs::write(dir.path().join(name), "a diary").unwrap();
        refused(dir.path(), ErrorKind::NotAStore);
    }
    let dir = fast_directory();
    let sample = Sample::new(&dir.path().join("cache"), Default::default());
    for (newer, way) in [("log", "store is missing"), ("index", "log is missing")] {
        sample.restore();
        sample.write(newer, 8, &99u32.to_le_bytes());
        harm(&sample.path, way);
        refused(&sample.path, ErrorKind::NewerVersion);
    }
    // Nor what has the name of a file and is none.
    for name in NAMES {
        sample.restore();
        harm(&sample.path, if name == "log" { "store is damaged" } else { "log is damaged" });
        fs::remove_file(sample.file(name)).unwrap();
        fs::create_dir(sample.file(name)).unwrap();
        refused(&sample.path, ErrorKind::Damaged);
        fs::remove_dir(sample.file(name)).unwrap();
    }
    // Of a link, the file that it leads to stays.
    sample.restore();
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(sample.file("index"), &elsewhere).unwrap();
    symlink(&elsewhere, sample.file("index")).unwrap();
    let bytes = fs::read(&elsewhere).unwrap();
    harm(&sample.path, "log is damaged");
    is_usable(&healing().open(&sample.path).unwrap());
    assert!(fs::read(&elsewhere).unwrap() == bytes);
}

#[test]
fn a_store_in_use_does_not_begin_anew() {
    for way in WAYS {
        let dir = fast_directory();
        let path = dir.path().join("cache");
        let cache = small().open(&path).unwrap();
        let reader = FileCache::builder().read_only(true).open(&path).unwrap();
        cache.insert("key", "value").unwrap();
        if way.ends_with("damaged") || way.ends_with("short") || way.ends_with("another's") {
            // What is mapped must not be cut: the file is exchanged.
            let file = path.join(way.split_once(' ').unwrap().0);
            let bytes = fs::read(&file).unwrap();
            fs::remove_file(&file).unwrap();
            fs::write(&file, bytes).unwrap();
        }
        harm(&path, way);
        let users_are_known = !way.starts_with("log");
        match healing().open(&path) {
            // Nobody knows who uses a log that is there no more.
            Ok(second) => {
                assert!(!users_are_known, "{way}");
                is_usable(&second);
            }
            Err(error) => {
                assert_is_clear(&error);
                assert_eq!(error.kind(), ErrorKind::Busy, "{way}: {error}");
                assert!(users_are_known, "{way}: {error}");
            }
        }
        for key in 0..2000u64 {
            cache.insert(key.to_le_bytes(), [1; 2000]).unwrap();
        }
        assert_eq!(reader.get(1999u64.to_le_bytes()).as_deref(), Some(&[1; 2000][..]));
        assert!(cache.verify().unwrap().is_sound(), "{way}");
        drop((cache, reader));
        let cache = healing().open(&path).unwrap();
        assert_eq!(cache.opening().began_anew.is_some(), users_are_known, "{way}");
    }
}

#[test]
fn a_store_that_begins_anew_stays_within_its_limit_and_needs_no_more_room_than_it_has() {
    let dir = fast_directory();
    let path = dir.path().join("cache");
    // As ext4 does it: on tmpfs holes are allocated when they are read.
    let system = Simulated::default().on_file_system(0xEF53);
    let builder = small().environment(system.environment()).on_damage(OnDamage::BeginAnew);
    system.set_space(Some(5 << 19));
    let cache = builder.open(&path).unwrap();
    let mut full = None;
    for key in 0..2000u64 {
        full = full.or(cache.insert(key.to_le_bytes(), [7; 3000]).err());
    }
    drop(cache);
    let before = disk(&path);
    system.set_space(Some(before));
    harm(&path, "index is another's");
    is_usable(&builder.open(&path).unwrap());
    assert!(disk(&path) <= 5 << 19);
}

/// The calls by which a store begins anew, each of which may be the last before a kill or a power cut.
fn begin_until(at: usize, path: &Path) -> (bool, usize) {
    let count = Arc::new(AtomicUsize::new(0));
    let system = Simulated::default();
    let counted = Arc::clone(&count);
    system.refuse(move |call: &Call| {
        let changes = !matches!(call.what, What::Open | What::Length | What::Read | What::FileId);
        let number = if changes { counted.fetch_add(1, Ordering::Relaxed) } else { 0 };
        // From then on nothing works: as if it had been killed.
        (changes && number >= at).then(|| io::ErrorKind::Interrupted.into())
    });
    let opened = healing().environment(system.environment()).open(path);
    (opened.is_ok(), count.load(Ordering::Relaxed))
}

#[test]
fn a_store_that_is_stopped_at_any_step_of_beginning_anew_begins_anew_the_next_time() {
    for way in WAYS {
        for at in 0.. {
            let dir = fast_directory();
            let path = damaged(dir.path(), way);
            let (done, _) = begin_until(at, &path);
            if !done {
                // Whoever did not ask for it is refused, or finds a whole store.
                match FileCache::open(&path) {
                    Ok(cache) => is_usable(&cache),
                    Err(error) => assert_is_clear(&error),
                }
            }
            is_usable(&healing().open(&path).unwrap_or_else(|error| {
                panic!("{way}, stopped at step {at}: {error}");
            }));
            assert_eq!(fs::read(path.join("letters.txt")).unwrap(), b"dear");
            if done {
                break;
            }
        }
    }
}
