//! Threads of one process: readers, writers, views and iterators side by side.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use larder::FileCache;

use crate::common::{self, Random, check, value};

/// Stops the others also when an assertion fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn an_iterator_neither_misses_nor_doubles_while_others_split_move_and_overwrite() {
    let dir = tempfile::tempdir().unwrap();
    let cache = FileCache::builder().max_bytes(24 << 20).open(dir.path().join("cache")).unwrap();
    let stays = 2000u64;
    for key in 0..stays {
        cache.insert(key.to_le_bytes(), value(key, 0, 100)).unwrap();
    }
    let stop = AtomicBool::new(false);
    let seed = common::seed();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // New keys split the index, overwriting makes dead space that is compacted.
            let mut random = Random::new(seed);
            let mut version = 1;
            while !stop.load(Ordering::Relaxed) {
                version += 1;
                let old = random.below(stays);
                cache.insert(old.to_le_bytes(), value(old, version, 400)).unwrap();
                let new = stays + random.below(20_000);
                cache.insert(new.to_le_bytes(), value(new, version, 100)).unwrap();
                if random.one_in(2) {
                    let gone = stays + random.below(20_000);
                    cache.remove(gone.to_le_bytes()).unwrap();
                }
            }
        });
        let _stop = Stop(&stop);
        for _ in 0..40 {
            let mut seen: HashMap<u64, u64> = HashMap::new();
            for (key, bytes) in cache.iter() {
                let key = u64::from_le_bytes(key.try_into().unwrap());
                check(key, &bytes);
                *seen.entry(key).or_default() += 1;
            }
            assert!(seen.values().all(|&times| times == 1), "an entry was met twice");
            let missed: Vec<u64> = (0..stays).filter(|key| !seen.contains_key(key)).collect();
            assert!(missed.is_empty(), "missed {missed:?}");
        }
    });
    assert_eq!(cache.stats().evictions, 0);
    assert!(cache.verify().unwrap().is_sound());
}

#[test]
fn a_present_key_is_never_missed_while_it_is_overwritten_and_moved() {
    let dir = tempfile::tempdir().unwrap();
    let cache = FileCache::builder().max_bytes(4 << 20).open(dir.path().join("cache")).unwrap();
    for key in 0..200u64 {
        cache.insert(key.to_le_bytes(), value(key, 0, 1000)).unwrap();
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..2u64 {
            let (cache, stop) = (&cache, &stop);
            scope.spawn(move || {
                let mut random = Random::new(thread + 1);
                for version in 1.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let key = random.below(100) * 2 + thread;
                    cache.insert(key.to_le_bytes(), value(key, version, 1500)).unwrap();
                }
            });
        }
        let _stop = Stop(&stop);
        let mut random = Random::new(99);
        let mut newest = [0; 200];
        for _ in 0..200_000 {
            let key = random.below(200);
            let bytes = cache.get(key.to_le_bytes()).expect("it is there all the time");
            let version = check(key, &bytes);
            assert!(version >= newest[key as usize], "key {key} went back");
            newest[key as usize] = version;
        }
    });
    assert_eq!(cache.stats().evictions, 0, "{:?}", cache.stats());
}

#[test]
fn what_was_removed_is_gone_though_others_move_it_meanwhile() {
    let dir = common::fast_directory();
    let path = dir.path().join("cache");
    let open = || {
        let builder = FileCache::builder().max_bytes(5 << 19).segment_size(64 << 10);
        common::another_process(builder.max_processes(8)).open(&path).unwrap()
    };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..5u64 {
            let (cache, stop) = (open(), &stop);
            scope.spawn(move || {
                // Handles of their own, as processes have: all they share is in the files.
                let mut random = Random::new(thread + 1);
                while !stop.load(Ordering::Relaxed) {
                    for _ in 0..200 {
                        let key = 1000 * (thread + 1) + random.below(30);
                        cache.insert(key.to_le_bytes(), value(key, 1, 1000)).unwrap();
                    }
                    cache.compact().unwrap();
                }
            });
        }
        let _stop = Stop(&stop);
        let cache = open();
        let begun = std::time::Instant::now();
        for version in 0.. {
            for key in 0..50u64 {
                cache.insert(key.to_le_bytes(), value(key, version, 100)).unwrap();
            }
            for key in 0..50u64 {
                cache.remove(key.to_le_bytes()).unwrap();
                let found = cache.get(key.to_le_bytes()).map(|bytes| check(key, &bytes));
                assert_eq!(found, None, "key {key} after {version} rounds");
            }
            if begun.elapsed() > common::duration(2) {
                break;
            }
        }
    });
}

#[test]
fn views_of_many_segments_become_copies_and_the_cache_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let cache = FileCache::builder().max_bytes(8 << 20).open(dir.path().join("cache")).unwrap();
    let mut views = Vec::new();
    for key in 0..20_000u64 {
        cache.insert(key.to_le_bytes(), value(key, 7, 1000)).unwrap();
        if key % 100 == 0 {
            views.push((key, cache.view(key.to_le_bytes()).unwrap()));
        }
    }
    let in_place = views.iter().filter(|(_, view)| view.is_in_place()).count();
    assert!(in_place > 0 && in_place < views.len());
    for (key, view) in &views {
        assert_eq!(check(*key, view), 7);
    }
    assert!(cache.stats().view_copies > 0);
    drop(views);
    for key in 0..20_000u64 {
        cache.insert(key.to_le_bytes(), value(key, 8, 1000)).unwrap();
    }
    let report = cache.verify().unwrap();
    assert!(report.is_sound(), "{report:?}");
}

#[test]
fn a_view_outlives_its_handle_and_goes_to_another_thread() {
    let dir = tempfile::tempdir().unwrap();
    let cache = FileCache::builder().max_bytes(8 << 20).open(dir.path().join("cache")).unwrap();
    cache.insert("k", "value").unwrap();
    let view = cache.view("k").unwrap();
    drop(cache);
    let read = std::thread::spawn(move || view.to_vec()).join().unwrap();
    assert_eq!(read, b"value");
}
