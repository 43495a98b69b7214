//! One process, one handle: what goes in comes out.

use std::time::Duration;

use larder::{Durability, ErrorKind, FileCache, Ttl};

use crate::common::{disk, fast_directory};

fn fresh() -> (tempfile::TempDir, FileCache) {
    let dir = tempfile::tempdir().unwrap();
    let cache = FileCache::builder().max_bytes(64 << 20).open(dir.path().join("cache")).unwrap();
    (dir, cache)
}

#[test]
fn what_was_inserted_is_read_back_until_it_is_removed() {
    let (_dir, cache) = fresh();
    assert!(cache.opening().created);
    cache.insert("a", b"one").unwrap();
    assert_eq!(cache.get("a").as_deref(), Some(&b"one"[..]));
    assert!(cache.contains_key("a"));
    assert_eq!(cache.len(), 1);
    cache.insert("a", b"two").unwrap();
    assert_eq!(cache.get("a").as_deref(), Some(&b"two"[..]));
    assert_eq!(cache.len(), 1);
    assert!(cache.remove("a").unwrap());
    assert!(!cache.remove("a").unwrap());
    assert_eq!(cache.get("a"), None);
    assert!(cache.is_empty());
}

#[test]
fn entries_survive_closing_and_opening() {
    let (dir, cache) = fresh();
    for i in 0..1000u32 {
        cache.insert(i.to_le_bytes(), vec![i as u8; i as usize]).unwrap();
    }
    drop(cache);
    let cache = FileCache::open(dir.path().join("cache")).unwrap();
    assert!(!cache.opening().created && !cache.opening().other_boot);
    assert_eq!(cache.len(), 1000);
    for i in 0..1000u32 {
        assert_eq!(cache.get(i.to_le_bytes()), Some(vec![i as u8; i as usize]));
    }
    assert!(cache.verify().unwrap().is_sound());
}

#[test]
fn many_entries_split_the_index_and_are_all_found_and_iterated_once() {
    let (_dir, cache) = fresh();
    let count = 100_000u32;
    for i in 0..count {
        cache.insert(i.to_le_bytes(), (i * 7).to_le_bytes()).unwrap();
    }
    assert_eq!(cache.len(), u64::from(count));
    for i in 0..count {
        assert_eq!(cache.get(i.to_le_bytes()), Some((i * 7).to_le_bytes().to_vec()), "{i}");
    }
    let mut seen = vec![false; count as usize];
    for (key, value) in cache.iter() {
        let i = u32::from_le_bytes(key.try_into().unwrap());
        assert_eq!(value, (i * 7).to_le_bytes());
        assert!(!std::mem::replace(&mut seen[i as usize], true), "{i} twice");
    }
    assert!(seen.iter().all(|&seen| seen));
    let report = cache.verify().unwrap();
    assert!(report.is_sound(), "{report:?}");
}

#[test]
fn empty_and_longest_keys_and_values_are_stored_and_longer_ones_refused() {
    let (_dir, cache) = fresh();
    let stats = cache.stats();
    cache.insert("", "").unwrap();
    assert_eq!(cache.get(""), Some(Vec::new()));
    let key = vec![7u8; 65_535];
    cache.insert(&key, "value").unwrap();
    assert_eq!(cache.get(&key).as_deref(), Some(&b"value"[..]));
    let error = cache.insert(vec![7u8; 65_536], "value").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("65535"), "{error}");
    assert_eq!(cache.get(vec![7u8; 65_536]), None);
    let largest = stats.segment_bytes as usize - 16 - 40 - 1;
    let value = vec![9u8; largest];
    cache.insert("k", &value).unwrap();
    assert_eq!(cache.get("k"), Some(value));
    let error = cache.insert("k", vec![0u8; largest + 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains(&largest.to_string()), "{error}");
    assert_eq!(cache.get("k").map(|value| value.len()), Some(largest));
}

#[test]
fn a_key_that_does_not_fit_a_segment_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let builder = FileCache::builder().max_bytes(4 << 20).segment_size(64 << 10);
    let cache = builder.open(dir.path().join("cache")).unwrap();
    let error = cache.insert(vec![1; 65_535], "").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    cache.insert(vec![1; 65_000], "v").unwrap();
    assert_eq!(cache.get(vec![1; 65_000]).as_deref(), Some(&b"v"[..]));
}

#[test]
fn a_full_cache_evicts_and_stays_within_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let cache = FileCache::builder().max_bytes(8 << 20).open(&path).unwrap();
    for i in 0..40_000u32 {
        cache.insert(i.to_le_bytes(), vec![i as u8; 1000]).unwrap();
        assert_eq!(cache.get(i.to_le_bytes()), Some(vec![i as u8; 1000]), "{i}");
        if i % 1000 == 0 {
            assert!(disk(&path) <= 8 << 20, "{} at {i}", disk(&path));
        }
    }
    let stats = cache.stats();
    assert!(stats.evictions > 30_000, "{stats:?}");
    assert!(cache.len() > 4000, "{stats:?}");
    let report = cache.verify().unwrap();
    assert!(report.is_sound(), "{report:?}");
}

#[test]
fn limits_on_entries_are_exact_at_every_moment() {
    for limit in [1u64, 2, 7, 100] {
        let dir = tempfile::tempdir().unwrap();
        let cache = FileCache::builder()
            .max_entries(limit)
            .max_bytes(8 << 20)
            .open(dir.path().join("cache"))
            .unwrap();
        for i in 0..20_000u32 {
            cache.insert(i.to_le_bytes(), i.to_le_bytes()).unwrap_or_else(|e| {
                panic!("limit {limit} i {i} {e} {:?} {:?}", cache.stats(), cache.verify())
            });
            assert_eq!(cache.get(i.to_le_bytes()), Some(i.to_le_bytes().to_vec()));
            assert_eq!(cache.len(), u64::from(i + 1).min(limit));
            if i % 3 == 0 {
                cache.get((i / 2).to_le_bytes());
            }
        }
        assert_eq!(cache.iter().count() as u64, limit);
        assert!(cache.verify().unwrap().is_sound());
    }
}

#[test]
fn overwriting_evicts_nothing_that_has_room() {
    let dir = tempfile::tempdir().unwrap();
    let cache = FileCache::builder().max_bytes(16 << 20).open(dir.path().join("cache")).unwrap();
    let stats = cache.stats();
    // The index takes a segment of these as it grows.
    let room = (stats.segments - 3) * stats.segment_bytes * 69 / 100;
    let count = (room / 1072) as u32;
    for round in 0..10u32 {
        for i in 0..count {
            cache.insert(i.to_le_bytes(), vec![round as u8; 1000]).unwrap();
        }
    }
    let stats = cache.stats();
    assert_eq!(stats.evictions, 0, "{stats:?}");
    assert_eq!(cache.len(), u64::from(count), "{stats:?}");
    for i in 0..count {
        assert_eq!(cache.get(i.to_le_bytes()), Some(vec![9; 1000]));
    }
}

#[test]
fn times_to_live_from_zero_to_forever() {
    let (_dir, cache) = fresh();
    cache.insert_with_ttl("zero", "x", Duration::ZERO).unwrap();
    assert_eq!(cache.get("zero"), None);
    cache.insert_with_ttl("short", "x", Duration::from_millis(1)).unwrap();
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(cache.get("short"), None);
    cache.insert_with_ttl("long", "x", Duration::MAX).unwrap();
    cache.insert_with_ttl("never", "x", Ttl::Never).unwrap();
    assert!(cache.contains_key("long") && cache.contains_key("never"));
}

#[test]
fn clear_empties_at_once_and_upkeep_collects() {
    let (_dir, cache) = fresh();
    for i in 0..5000u32 {
        cache.insert(i.to_le_bytes(), "x").unwrap();
    }
    cache.clear().unwrap();
    assert_eq!(cache.len(), 0);
    assert_eq!(cache.get(7u32.to_le_bytes()), None);
    cache.insert("new", "y").unwrap();
    assert_eq!(cache.len(), 1);
    let report = cache.maintain().unwrap();
    assert!(report.collected > 4000, "{report:?}");
    assert_eq!(cache.len(), 1);
    assert_eq!(cache.get("new").as_deref(), Some(&b"y"[..]));
    assert!(cache.verify().unwrap().is_sound());
}

#[test]
fn a_view_reads_in_place_and_stays_through_removal() {
    let (_dir, cache) = fresh();
    cache.insert("k", vec![5u8; 10_000]).unwrap();
    let view = cache.view("k").unwrap();
    assert!(view.is_in_place());
    cache.remove("k").unwrap();
    for i in 0..50_000u32 {
        cache.insert(i.to_le_bytes(), vec![1u8; 2000]).unwrap();
    }
    assert_eq!(&view[..], &vec![5u8; 10_000][..]);
    assert!(cache.view("k").is_none());
}

#[test]
fn many_keys_at_once_are_as_so_many_single_ones() {
    let dir = tempfile::tempdir().unwrap();
    let cache =
        FileCache::builder().durability(Durability::EachWrite).open(dir.path().join("c")).unwrap();
    let entries: Vec<(String, Vec<u8>)> =
        (0..1000).map(|i| (format!("key {}", i % 900), vec![i as u8; i % 300])).collect();
    cache.insert_many(&entries).unwrap();
    assert_eq!(cache.stats().syncs, 1);
    assert_eq!((cache.len(), cache.stats().inserts), (900, 1000));
    let keys: Vec<String> = (0..1100).map(|i| format!("key {i}")).collect();
    let values = cache.get_many(&keys);
    for (key, value) in keys.iter().zip(&values) {
        assert_eq!(*value, cache.get(key), "{key}");
    }
    assert_eq!(values.iter().flatten().count(), 900);
    assert_eq!(cache.get_many(&[""; 0]), []);
    cache.insert_many(&[("", ""); 0]).unwrap();
    // What stands before an entry that is refused is stored.
    let large = vec![0; 300 << 20];
    let refused = cache.insert_many(&[("before", &b"x"[..]), ("large", &large), ("after", b"x")]);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::TooLarge);
    assert!(cache.contains_key("before") && !cache.contains_key("after"));
}

#[test]
fn a_cache_shows_its_directory_and_limits_and_nothing_of_its_inside() {
    let dir = fast_directory();
    let path = dir.path().join("cache");
    let cache = FileCache::builder().max_bytes(8 << 20).max_entries(5).open(&path).unwrap();
    let expected =
        format!("FileCache {{ directory: {path:?}, max_entries: 5, max_bytes: {}, .. }}", 8 << 20);
    assert_eq!(format!("{cache:?}"), expected);
}
