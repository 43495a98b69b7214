//! Limits: raised and lowered while the store is in use, and held at every moment.

use std::time::Duration;

use larder::{Durability, ErrorKind, FileCache};

use crate::common::{check, disk, fast_directory, value};

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
fn a_limit_out_of_reach_is_kept_and_told_and_refused_only_to_those_who_insist() {
    for (made, asked) in [(Some(4 << 20), 2 << 30), (Some(64 << 20), 4 << 20), (None, 32 << 20)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        let first = FileCache::builder();
        let first = made.map_or(first.clone(), |made| first.max_bytes(made));
        let cache = first.open(&path).unwrap();
        let has = cache.stats().max_bytes;
        fill(&cache, 100, 100);
        drop(cache);
        let builder = FileCache::builder().max_bytes(asked).max_entries(50);
        let error = builder.clone().strict_limits(true).open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
        assert_eq!(FileCache::open(&path).unwrap().len(), 100, "refused, and changed");
        // A service whose configuration was changed, and that is started again and again.
        for _ in 0..3 {
            let cache = builder.open(&path).unwrap();
            let kept = cache.opening().limits_kept.clone().unwrap();
            assert_eq!((kept.kind, &kept.reason), (ErrorKind::InvalidOption, &error.to_string()));
            assert_eq!((cache.stats().max_bytes, cache.len()), (has, 50), "what can be had is set");
            cache.insert("key", "value").unwrap();
        }
        // Any limit that is named can be had.
        let kept = builder.open(&path).unwrap().opening().limits_kept.clone().unwrap();
        let (low, high) = (*kept.max_bytes.start(), *kept.max_bytes.end());
        assert!(!kept.max_bytes.contains(&asked) && kept.max_bytes.contains(&has));
        for word in [low.to_string(), high.to_string(), "relimit".to_owned()] {
            assert!(kept.reason.contains(&word), "{}", kept.reason);
        }
        for limit in [low, high, has] {
            let cache = FileCache::builder().max_bytes(limit).strict_limits(true).open(&path);
            assert_eq!(cache.unwrap().stats().max_bytes, limit);
        }
    }
}

#[test]
fn what_only_a_new_store_can_have_is_not_passed_over_in_silence() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let builder = FileCache::builder().max_bytes(8 << 20).segment_size(64 << 10).max_processes(4);
    drop(builder.open(&path).unwrap());
    for (option, other) in [
        ("segment_size", builder.clone().segment_size(128 << 10)),
        ("max_processes", builder.clone().max_processes(5)),
    ] {
        let cache = other.open(&path).unwrap();
        assert!(cache.opening().not_applied.as_ref().unwrap().contains(option));
        let error = other.strict_limits(true).open(&path).unwrap_err();
        assert!(error.to_string().contains(option), "{error}");
    }
    assert_eq!(builder.strict_limits(true).open(&path).unwrap().opening().limits_kept, None);
}

/// Asks for 8 MiB where that cannot be had now: 16 MiB stay, in memory and on the disk.
fn lowering_fails(path: &std::path::Path, others: &FileCache) {
    let lower = FileCache::builder().max_bytes(8 << 20).lock_timeout(Duration::from_millis(200));
    let taken = disk(path);
    assert!(taken > 8 << 20);
    let error = lower.clone().strict_limits(true).open(path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    let cache = lower.open(path).unwrap();
    let kept = cache.opening().limits_kept.clone().unwrap();
    assert_eq!((kept.kind, kept.reason), (ErrorKind::Busy, error.to_string()));
    for handle in [others, &cache, &FileCache::open(path).unwrap()] {
        assert_eq!(handle.stats().max_bytes, 16 << 20);
        assert_eq!(handle.opening().limits_kept.is_some(), std::ptr::eq(handle, &cache));
    }
    assert!(disk(path) <= 16 << 20);
    for key in 50_000..70_000u64 {
        others.insert(key.to_le_bytes(), value(key, 1, 1000)).unwrap();
    }
    assert!(disk(path) <= 16 << 20 && disk(path) > 12 << 20, "{} bytes of disk", disk(path));
    assert!(others.verify().unwrap().is_sound());
}

#[test]
fn in_memory_a_limit_that_others_keep_from_being_lowered_stays_as_it_was() {
    let dir = fast_directory();
    let path = dir.path().join("cache");
    let first = FileCache::builder().max_bytes(16 << 20).open(&path).unwrap();
    fill(&first, 20_000, 1000);
    lowering_fails(&path, &first);
    drop(first);
    let cache = FileCache::open(&path).unwrap();
    assert_eq!(cache.stats().max_bytes, 16 << 20, "after it was closed");
    drop(cache);
    let cache = FileCache::builder().max_bytes(8 << 20).strict_limits(true).open(&path).unwrap();
    assert!(disk(&path) <= 8 << 20 && cache.stats().max_bytes == 8 << 20);
}

#[test]
fn a_limit_that_views_keep_from_being_lowered_stays_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let first = FileCache::builder().max_bytes(16 << 20).open(&path).unwrap();
    // A view in each segment that there may be views in.
    let mut views = Vec::new();
    for key in 0..16_000u64 {
        first.insert(key.to_le_bytes(), value(key, 1, 1000)).unwrap();
        if key % 150 == 0 {
            views.extend(first.view(key.to_le_bytes()));
        }
    }
    let lower = FileCache::builder().max_bytes(first_in_place(&path)).strict_limits(true);
    let error = lower.open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert_eq!(first.stats().max_bytes, 16 << 20);
    assert_eq!(FileCache::open(&path).unwrap().stats().max_bytes, 16 << 20);
    assert!(first.verify().unwrap().is_sound());
    drop(views);
    lower.open(&path).unwrap();
}

/// The lowest limit that a store can be brought to.
fn first_in_place(path: &std::path::Path) -> u64 {
    let told = FileCache::builder().max_bytes(1).open(path).unwrap();
    *told.opening().limits_kept.as_ref().unwrap().max_bytes.start()
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
