//! A store in use whose files are others by now: deleted, exchanged, or put back as they once were.

use std::fs;

use larder::FileCache;

use crate::common::fast_directory;
use crate::exercise::{KEYS, Sample, small};

#[test]
fn a_handle_tells_whether_the_directory_still_has_its_files() {
    let dir = fast_directory();
    let path = dir.path().join("cache");
    let cache = small().open(&path).unwrap();
    let reader = FileCache::builder().read_only(true).open(&path).unwrap();
    let is = |expected| {
        assert_eq!(cache.is_current().unwrap(), expected);
        assert_eq!(reader.is_current().unwrap(), expected);
    };
    is(true);
    drop(small().max_bytes(3_000_000).open(&path).unwrap());
    is(true);
    let away = dir.path().join("away");
    fs::rename(&path, &away).unwrap();
    is(false);
    let other = small().open(&path).unwrap();
    is(false);
    assert!(other.is_current().unwrap());
    drop(other);
    fs::remove_dir_all(&path).unwrap();
    fs::rename(&away, &path).unwrap();
    is(true);
    fs::remove_file(path.join("index")).unwrap();
    is(false);
    fs::remove_dir_all(&path).unwrap();
    is(false);
    // Nothing of it comes back by itself.
    cache.insert("key", "value").unwrap();
    cache.sync().unwrap();
    assert!(!path.exists());
    let other = small().open(&path).unwrap();
    cache.maintain().unwrap();
    assert!(other.is_empty() && other.is_current().unwrap());
    is(false);
}

/// What a file system leaves that was shut down and mounted again within a boot, or a snapshot: the same files,
/// each as it was at some moment.
#[test]
fn files_that_were_put_back_within_a_boot_are_recovered_once_damage_was_met() {
    for rolled_back in ["log", "index"] {
        let dir = fast_directory();
        let sample = Sample::new(&dir.path().join("cache"), Default::default());
        let cache = FileCache::open(&sample.path).unwrap();
        for key in 0..KEYS {
            cache.remove(key.to_le_bytes()).unwrap();
            cache.insert((10_000 + key).to_le_bytes(), vec![7; 1500]).unwrap();
        }
        drop(cache);
        let other = if rolled_back == "log" { "index" } else { "log" };
        let now = fs::read(sample.file(other)).unwrap();
        sample.restore();
        sample.write(other, 0, &now);

        let cache = FileCache::open(&sample.path).unwrap();
        assert!(!cache.opening().other_boot, "nothing shows yet");
        for (_, value) in cache.iter() {
            assert!(!value.is_empty());
        }
        for key in (0..KEYS).chain(10_000..10_000 + KEYS) {
            cache.get(key.to_le_bytes());
        }
        let found = cache.verify().unwrap();
        assert!(!found.is_sound(), "{rolled_back}: the test changed nothing: {found:?}");
        let second = FileCache::open(&sample.path).unwrap();
        assert!(!second.opening().other_boot, "while it is in use");
        drop((cache, second));

        let cache = FileCache::open(&sample.path).unwrap();
        assert!(cache.opening().other_boot, "{rolled_back}");
        let found = cache.verify().unwrap();
        assert_eq!(found.counted, found.whole + found.damaged, "{rolled_back}: {found:?}");
        assert_eq!(found.miscounted_segments, 0, "{rolled_back}: {found:?}");
        assert_eq!(cache.len(), found.counted);
    }
}

#[test]
fn a_failed_sync_is_not_forgotten_when_damage_has_the_store_recovered_within_a_boot() {
    use larder::internals::control::SYNC_FAILED;
    let dir = fast_directory();
    let sample = Sample::new(&dir.path().join("cache"), Default::default());
    sample.write("log", SYNC_FAILED.offset(), &1u64.to_le_bytes());
    let cache = FileCache::open(&sample.path).unwrap();
    assert!(cache.sync().is_err());
    // Any record's bytes.
    sample.write("log", fs::metadata(sample.file("log")).unwrap().len() / 3, &[0x55; 200_000]);
    (0..KEYS).for_each(|key| _ = cache.get(key.to_le_bytes()));
    assert!(cache.stats().damaged > 0);
    drop(cache);
    let cache = FileCache::open(&sample.path).unwrap();
    assert!(cache.opening().other_boot);
    assert!(cache.sync().is_err());
}
