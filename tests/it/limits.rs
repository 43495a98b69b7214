//! Limits: raised and lowered while the store is in use, and held at every moment.

use std::time::Duration;

use larder::{Durability, ErrorKind, FileCache};

use crate::common::{check, disk, value};

fn fill(cache: &FileCache, keys: u64, length: usize) {
    for key in 0..keys {
        cache.insert(key.to_le_bytes(), value(key, 1, length)).unwrap();
    }
}

#[test]
fn a_lowered_limit_on_bytes_holds_before_open_returns_and_for_all_users() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let first = FileCache::builder().max_bytes(16 << 20).open(&path).unwrap();
    fill(&first, 20_000, 1000);
    assert!(disk(&path) > 12 << 20);
    let second = FileCache::builder().max_bytes(8 << 20).open(&path).unwrap();
    assert!(disk(&path) <= 8 << 20, "{}", disk(&path));
    assert!(second.verify().unwrap().is_sound());
    // The first handle goes on, under the new limit.
    for key in 30_000..50_000u64 {
        first.insert(key.to_le_bytes(), value(key, 2, 1000)).unwrap();
        assert!(first.contains_key(key.to_le_bytes()));
        if key % 500 == 0 {
            assert!(disk(&path) <= 8 << 20, "{}", disk(&path));
        }
    }
    assert!(first.len() > 3000, "{:?}", first.stats());
    let stats = second.stats();
    assert_eq!(stats.max_bytes, 8 << 20);
    // And it lasts.
    drop((first, second));
    let third = FileCache::open(&path).unwrap();
    assert_eq!(third.stats().max_bytes, 8 << 20);
}

#[test]
fn a_raised_limit_on_bytes_is_used_by_handles_opened_before() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let first = FileCache::builder().max_bytes(4 << 20).open(&path).unwrap();
    fill(&first, 10_000, 1000);
    let before = first.len();
    let second = FileCache::builder().max_bytes(24 << 20).open(&path).unwrap();
    fill(&first, 18_000, 1000);
    assert!(first.len() > before * 4, "{:?}", first.stats());
    assert_eq!(first.len(), second.len());
    assert!(disk(&path) <= 24 << 20);
    for key in 0..18_000u64 {
        let seen = second.get(key.to_le_bytes());
        assert_eq!(seen.map(|bytes| check(key, &bytes)), first.get(key.to_le_bytes()).map(|_| 1));
    }
    assert!(second.verify().unwrap().is_sound());
}

#[test]
fn a_lowered_limit_on_entries_holds_before_open_returns() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let first = FileCache::builder().max_bytes(8 << 20).open(&path).unwrap();
    fill(&first, 1000, 100);
    let second = FileCache::builder().max_entries(10).open(&path).unwrap();
    assert_eq!(first.len(), 10);
    first.insert("new", "x").unwrap();
    assert_eq!(second.len(), 10);
    assert!(second.contains_key("new"));
}

#[test]
fn a_limit_too_low_or_too_high_for_the_store_is_refused_and_names_one_that_works() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let cache = FileCache::builder().max_bytes(16 << 20).open(&path).unwrap();
    fill(&cache, 100, 100);
    for (asked, word) in [(1 << 20, "at least "), (1 << 40, "at most ")] {
        let error = FileCache::builder().max_bytes(asked).open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
        let message = error.to_string();
        let named: u64 = message
            .split(word)
            .nth(1)
            .and_then(|rest| rest.split([' ', ',']).next())
            .unwrap_or_else(|| panic!("{message}"))
            .parse()
            .unwrap();
        if asked < named {
            drop(FileCache::builder().max_bytes(named).open(&path).unwrap());
        }
    }
    assert_eq!(cache.len(), 100);
}

#[test]
fn overwriting_the_same_keys_then_new_ones_keeps_the_limit_on_entries() {
    let dir = tempfile::tempdir().unwrap();
    let cache = FileCache::builder()
        .max_entries(50)
        .max_bytes(32 << 20)
        .open(dir.path().join("cache"))
        .unwrap();
    for round in 0..2000u64 {
        for key in 0..50u64 {
            cache.insert(key.to_le_bytes(), value(key, round, 24)).unwrap();
        }
    }
    assert_eq!(cache.stats().evictions, 0);
    for key in 100..400u64 {
        cache.insert(key.to_le_bytes(), value(key, 1, 24)).unwrap();
        assert_eq!(cache.len(), 50);
        assert!(cache.contains_key(key.to_le_bytes()));
    }
    assert!(cache.verify().unwrap().is_sound());
}

#[test]
fn each_durability_syncs_when_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let open = |durability| {
        FileCache::builder()
            .max_bytes(8 << 20)
            .durability(durability)
            .open(dir.path().join("cache"))
            .unwrap()
    };
    let cache = open(Durability::OsDecides);
    fill(&cache, 10, 100);
    assert_eq!(cache.stats().syncs, 0);
    let synced = cache.sync().unwrap();
    assert!(synced.syncs >= 1);
    assert_eq!(cache.stats().syncs, 1);
    let cache = open(Durability::EachWrite);
    fill(&cache, 10, 100);
    assert_eq!(cache.stats().syncs, 11);
    cache.remove(3u64.to_le_bytes()).unwrap();
    cache.clear().unwrap();
    assert_eq!(cache.stats().syncs, 13);
    let cache = open(Durability::Every(Duration::from_secs(3600)));
    fill(&cache, 10, 100);
    assert_eq!(cache.stats().syncs, 13);
    let cache = open(Durability::Every(Duration::from_millis(1)));
    std::thread::sleep(Duration::from_millis(5));
    cache.insert("k", "v").unwrap();
    assert_eq!(cache.stats().syncs, 14);
    std::thread::sleep(Duration::from_millis(5));
    cache.maintain().unwrap();
    assert_eq!(cache.stats().syncs, 15);
}

#[test]
fn in_a_store_that_syncs_each_process_evicts_for_entries_whoever_began() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let builder = FileCache::builder().max_bytes(8 << 20).max_entries(100);
    let one = builder.open(&path).unwrap();
    one.sync().unwrap();
    let other = builder.open(&path).unwrap();
    for key in 0..150u32 {
        one.insert(key.to_le_bytes(), "one").unwrap();
    }
    // The first one's walk is under way, and it does nothing more.
    for key in 1000..1500u32 {
        other.insert(key.to_le_bytes(), "other").unwrap();
    }
    assert_eq!(other.len(), 100);
}
