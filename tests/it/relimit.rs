//! A store is copied into new files: nothing is lost that has room, nobody is disturbed, and what is done comes
//! in the right order.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use larder::internals::{Call, Simulated, What};
use larder::{Builder, ErrorKind, FileCache, Ttl};

use crate::common::{check, disk, value};
use crate::exercise::assert_is_clear;

const START: u64 = 1_800_000_000_000;

pub fn fill(cache: &FileCache, keys: std::ops::Range<u64>, length: usize) {
    for key in keys {
        cache.insert(key.to_le_bytes(), value(key, 1, length)).unwrap();
    }
}

/// The keys that a store holds; every byte is checked.
pub fn keys(cache: &FileCache) -> BTreeSet<u64> {
    let key = |(name, bytes): (Vec<u8>, Vec<u8>)| {
        let key = u64::from_le_bytes(name.try_into().unwrap());
        check(key, &bytes);
        assert_eq!(cache.get(key.to_le_bytes()), Some(bytes), "key {key} is met, and not found");
        key
    };
    cache.iter().map(key).collect()
}

/// Nothing beside the store's own files.
pub fn assert_no_draft(path: &Path) {
    let names = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
    let names: BTreeSet<_> = names.map(|name| name.into_string().unwrap()).collect();
    let own = ["CACHEDIR.TAG", "index", "log", "store"].map(str::to_owned);
    assert_eq!(names, BTreeSet::from(own));
}

#[test]
fn a_store_gets_a_limit_that_its_files_are_not_cut_for_and_keeps_all_that_it_has() {
    for (made, wanted) in [(4 << 20, 2 << 30), (64 << 20, 4 << 20), (1 << 30, 32 << 20)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        let system = Simulated::default().at(START);
        let builder = || FileCache::builder().environment(system.environment());
        let cache =
            builder().max_bytes(made).time_to_live(Duration::from_secs(60)).open(&path).unwrap();
        for key in 0..1500u64 {
            let ttl = match key % 3 {
                0 => Ttl::Never,
                1 => Ttl::Default,
                _ => Duration::from_secs(key).into(),
            };
            cache.insert_with_ttl(key.to_le_bytes(), value(key, 1, 700), ttl).unwrap();
        }
        cache.insert(b"", b"an empty key").unwrap();
        assert!(cache.get("missing").is_none());
        system.advance(30_000);
        let (hits, misses) = (cache.stats().hits, cache.stats().misses);
        let expires = |key: u64| if key % 3 == 1 { 60 } else { key };
        let lives = |key: &u64| key.is_multiple_of(3) || expires(*key) > 30;
        let living = (0..1500).filter(lives).count() as u64 + 1;
        drop(cache);
        let done = builder().max_bytes(wanted).relimit(&path).unwrap();
        assert_eq!((done.entries, done.left_out), (living, 0));
        assert_no_draft(&path);
        let cache = builder().open(&path).unwrap();
        assert!(!cache.opening().other_boot, "its files are those of another boot");
        let stats = cache.stats();
        assert_eq!((stats.max_bytes, stats.time_to_live_ms), (wanted, Some(60_000)));
        assert!((8..=4096).contains(&stats.segments), "{stats:?}");
        assert_eq!((stats.hits, stats.misses), (hits, misses), "statistics begin anew");
        assert!(disk(&path) <= wanted);
        for later in [0, 29_999, 1, 40_000, 2_000_000] {
            system.advance(later);
            let seconds = (system.clock() - START) / 1000;
            for key in 0..1500u64 {
                let expected = (key % 3 == 0 || expires(key) > seconds).then(|| value(key, 1, 700));
                assert!(cache.get(key.to_le_bytes()) == expected, "key {key} after {seconds} s");
            }
        }
        assert!(cache.verify().unwrap().is_sound());
        // It is a store like any other.
        fill(&cache, 0..20_000, 700);
        assert!(disk(&path) <= wanted && cache.verify().unwrap().is_sound());
    }
}

#[test]
fn what_has_no_room_is_old_and_was_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let cache = FileCache::builder().max_bytes(64 << 20).open(&path).unwrap();
    fill(&cache, 0..40_000, 1000);
    let hot: Vec<u64> = (0..40_000).step_by(40).collect();
    for _ in 0..3 {
        hot.iter().for_each(|key| assert!(cache.contains_key(key.to_le_bytes())));
        hot.iter().for_each(|key| assert!(cache.get(key.to_le_bytes()).is_some()));
    }
    let before = cache.len();
    drop(cache);
    let done = FileCache::builder().max_bytes(16 << 20).relimit(&path).unwrap();
    assert_eq!(done.entries + done.left_out, before);
    assert!(done.entries > 10_000, "{done:?}");
    let cache = FileCache::open(&path).unwrap();
    // Looking at the keys is no use of them.
    let found = cache.keys().map(|key| u64::from_le_bytes(key.try_into().unwrap()));
    let found: BTreeSet<u64> = found.collect();
    assert_eq!(found.len() as u64, done.entries);
    let lost = hot.iter().filter(|key| !found.contains(key)).count();
    assert!(lost <= hot.len() / 50, "{lost} of {} that were read are gone", hot.len());
    let newest = (32_000..40_000).filter(|key| found.contains(key)).count();
    assert!(newest > 7900, "{newest} of the newest 8000");
    assert!(disk(&path) <= 16 << 20 && cache.verify().unwrap().is_sound());
    // And by entries.
    drop(cache);
    let done = FileCache::builder().max_entries(1500).relimit(&path).unwrap();
    assert!((1400..=1500).contains(&done.entries), "{done:?}");
    let cache = FileCache::open(&path).unwrap();
    assert_eq!((cache.len(), cache.stats().max_bytes), (done.entries, 16 << 20));
    let left = hot.iter().filter(|key| cache.contains_key(key.to_le_bytes())).count();
    assert!(left >= hot.len() - hot.len() / 20, "{left} of those that were read");
}

#[test]
fn the_largest_value_follows_the_segment_and_what_no_longer_fits_one_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let cache = FileCache::builder().max_bytes(8 << 20).open(&path).unwrap();
    let large = value(1, 1, 2 << 20);
    let refused = cache.insert(1u64.to_le_bytes(), &large).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge);
    drop(cache);
    // A raised limit alone does not change it: the segments stay.
    let cache = FileCache::builder().max_bytes(64 << 20).strict_limits(true).open(&path).unwrap();
    let still = cache.insert(1u64.to_le_bytes(), &large).unwrap_err();
    assert_eq!(still.limit(), refused.limit());
    drop(cache);
    let builder = FileCache::builder().segment_size(4 << 20).max_processes(7);
    builder.relimit(&path).unwrap();
    let cache = FileCache::open(&path).unwrap();
    assert_eq!((cache.stats().segment_bytes, cache.stats().max_bytes), (4 << 20, 64 << 20));
    cache.insert(1u64.to_le_bytes(), &large).unwrap();
    cache.insert("small", "x").unwrap();
    drop(cache);
    let done = FileCache::builder().segment_size(64 << 10).relimit(&path).unwrap();
    assert_eq!((done.entries, done.left_out), (1, 1));
    let cache = FileCache::builder().max_processes(7).strict_limits(true).open(&path).unwrap();
    assert!(cache.contains_key("small") && !cache.contains_key(1u64.to_le_bytes()));
}

#[test]
fn nobody_is_disturbed_who_has_the_store_open_and_nobody_attaches_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let patience = Duration::from_millis(20);
    let cache = FileCache::builder().max_bytes(4 << 20).max_processes(5).open(&path).unwrap();
    fill(&cache, 0..100, 100);
    let error = FileCache::builder().max_bytes(1 << 30).relimit(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert_is_clear(&error);
    fill(&cache, 100..200, 100);
    assert_no_draft(&path);
    drop(cache);
    let system = Simulated::default();
    let (met, opened) = (Arc::new(Mutex::new(Vec::new())), path.clone());
    let told = met.clone();
    system.on_flush(move |_, _| {
        let open = |builder: Builder| builder.lock_timeout(patience).open(&opened);
        let error = open(FileCache::builder()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        assert!(error.to_string().contains("resizing"), "{error}");
        let again = FileCache::builder().lock_timeout(patience).relimit(&opened).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Busy, "{again}");
        let reader = open(FileCache::builder().read_only(true)).unwrap();
        told.lock().unwrap().push(keys(&reader).len());
    });
    let builder = FileCache::builder().max_bytes(1 << 30).environment(system.environment());
    builder.relimit(&path).unwrap();
    let met = met.lock().unwrap();
    assert!(!met.is_empty() && met.iter().all(|count| *count == 200), "{met:?}");
    assert_eq!(keys(&FileCache::open(&path).unwrap()).len(), 200);
}

#[test]
fn nobody_attaches_who_was_about_to_when_the_copying_began() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let cache = FileCache::builder().max_bytes(4 << 20).open(&path).unwrap();
    fill(&cache, 0..100, 100);
    drop(cache);
    let (begin, begun) = mpsc::channel();
    let (copies, copying) = mpsc::channel();
    let (opened, done) = mpsc::channel::<()>();
    let copier = Simulated::default();
    let done = Mutex::new(done);
    copier.on_flush(move |_, _| {
        copies.send(()).unwrap();
        let _ = done.lock().unwrap().recv_timeout(Duration::from_secs(60));
    });
    let opener = Simulated::default();
    opener.refuse(move |call| {
        // It has looked whether there is a draft. Only now one is made.
        if call.what == What::OpenLocks && begin.send(()).is_ok() {
            copying.recv_timeout(Duration::from_secs(60)).unwrap();
        }
        None
    });
    let attached = std::thread::scope(|scope| {
        let builder = FileCache::builder().max_bytes(1 << 30).environment(copier.environment());
        let path = &path;
        let copied = scope.spawn(move || {
            begun.recv().unwrap();
            drop(begun);
            builder.relimit(path)
        });
        let builder = FileCache::builder().environment(opener.environment());
        let attached = builder.lock_timeout(Duration::from_millis(50)).open(path);
        drop(opened);
        copied.join().unwrap().unwrap();
        attached.map(|_| ())
    });
    assert_eq!(attached.unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(keys(&FileCache::open(&path).unwrap()).len(), 100);
}

#[test]
fn a_reader_of_the_old_files_misses_rather_than_find_what_others_have_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let cache = FileCache::builder().max_bytes(4 << 20).open(&path).unwrap();
    cache.insert("key", "old").unwrap();
    drop(cache);
    let reader = FileCache::builder().read_only(true).open(&path).unwrap();
    assert!(reader.contains_key("key"));
    FileCache::builder().max_bytes(1 << 30).relimit(&path).unwrap();
    FileCache::open(&path).unwrap().insert("key", "new").unwrap();
    assert_ne!(reader.get("key").as_deref(), Some(&b"old"[..]));
    let reader = FileCache::builder().read_only(true).open(&path).unwrap();
    assert_eq!(reader.get("key").as_deref(), Some(&b"new"[..]));
}

#[test]
fn without_room_for_both_nothing_is_done_and_the_room_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let cache = FileCache::builder().max_bytes(16 << 20).open(&path).unwrap();
    fill(&cache, 0..8000, 1000);
    let before = keys(&cache);
    drop(cache);
    let refused = |builder: Builder| {
        let error = builder.relimit(&path).unwrap_err();
        assert_is_clear(&error);
        assert_eq!((error.kind(), error.path()), (ErrorKind::Full, path.as_path()), "{error}");
        assert!(error.to_string().contains("bytes of disk beside it"), "{error}");
        assert_no_draft(&path);
        let cache = FileCache::open(&path).unwrap();
        assert_eq!((keys(&cache), cache.stats().max_bytes), (before.clone(), 16 << 20));
    };
    // More is to stay free than there is.
    refused(FileCache::builder().max_bytes(1 << 30).min_free_space(1 << 60));
    // Another program takes the disk meanwhile.
    let system = Simulated::default();
    system.set_space(Some(4 << 20));
    refused(FileCache::builder().max_bytes(1 << 30).environment(system.environment()));
    FileCache::builder().max_bytes(1 << 30).relimit(&path).unwrap();
    assert_eq!(keys(&FileCache::open(&path).unwrap()), before);
}

#[test]
fn all_is_durable_before_the_copy_takes_the_place_and_that_before_a_file_moves() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    for syncs in [false, true] {
        let cache = FileCache::builder().max_bytes(4 << 20).open(&path).unwrap();
        fill(&cache, 0..1000, 1000);
        if syncs {
            cache.sync().unwrap();
        }
        drop(cache);
        let (system, calls) = (Simulated::default(), Arc::new(Mutex::new(Vec::new())));
        let noted = calls.clone();
        system.refuse(move |call| {
            noted.lock().unwrap().push(call.clone());
            None
        });
        let builder = FileCache::builder().environment(system.environment());
        builder.max_bytes(if syncs { 4 << 20 } else { 8 << 20 }).relimit(&path).unwrap();
        let calls = calls.lock().unwrap();
        let last = |what: What, path: &Path| {
            let found = calls.iter().rposition(|call| call.what == what && call.path == path);
            found.unwrap_or_else(|| panic!("no {what:?} {}", path.display()))
        };
        let draft = path.join("relimit.new");
        let [log, index] = ["log", "index"].map(|name| last(What::Sync, &draft.join(name)));
        let commit = last(What::Replace, &path.join("store"));
        let [first, second] = ["index", "log"].map(|name| last(What::Replace, &path.join(name)));
        let written = [What::Allocate, What::SetLength, What::Populate];
        let is_written =
            |call: &Call| written.contains(&call.what) && call.path.starts_with(&draft);
        assert!(calls.iter().rposition(is_written).unwrap() < log);
        assert!(log < index && index < commit && commit < first && first < second);
        let made_durable = |from: usize, until: usize| {
            let is = |call: &Call| call.what == What::SyncDirectory && call.path == path;
            calls[from..until].iter().any(is)
        };
        assert!(made_durable(index, commit), "the copy's directory");
        assert!(made_durable(commit, first), "the new identity");
        let cache = FileCache::open(&path).unwrap();
        assert_eq!(cache.len(), 1000);
        // The barrier holds in the copy if it did before.
        let stats = cache.stats();
        assert_eq!(stats.syncs > 0, syncs, "{stats:?}");
    }
}
