//! What a disk refuses for ever: puts evict, or say why not; reads go on; and when it gives again, the
//! store grows again, whatever the clock did meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder::internals::Simulated;
use larder::{Durability, ErrorKind, FileCache};

use super::inject::{self, Call};
use crate::common::{check, disk, fast_directory, value};
use crate::exercise::assert_is_clear;

const START: u64 = 1_800_000_000_000;
const YEAR: u64 = 365 * 24 * 3_600_000;

/// (Faulting in what is allocated takes nothing more, so that does not fail.)
fn allocates(call: &Call) -> bool {
    call.number == libc::SYS_fallocate
}

/// Puts of keys from `first` on, each read back; how many were refused, which must be by `kind`.
fn put(cache: &FileCache, first: u64, count: u64, kind: ErrorKind) -> u64 {
    let mut refused = 0;
    for key in first..first + count {
        let new = value(key, 1, 100 + (key * 91 % 2000) as usize);
        match cache.insert(key.to_le_bytes(), &new) {
            Ok(()) => assert_eq!(cache.get(key.to_le_bytes()), Some(new)),
            Err(error) => {
                assert_is_clear(&error);
                assert_eq!(error.kind(), kind, "{error}");
                refused += 1;
            }
        }
    }
    refused
}

#[test]
fn a_disk_that_gives_nothing_more_makes_puts_evict_and_reads_go_on() {
    for errno in [libc::ENOSPC, libc::EDQUOT, libc::EIO] {
        let dir = fast_directory();
        let path = dir.path().join("cache");
        let system = Simulated::default().at(START);
        let builder = FileCache::builder()
            .max_bytes(8 << 20)
            .max_processes(4)
            .environment(system.environment());
        let cache = builder.open(&path).unwrap();
        let refuses = AtomicBool::new(false);
        let decide =
            |call: &Call| (refuses.load(Ordering::Relaxed) && allocates(call)).then_some(errno);
        let act = || {
            put(&cache, 0, 800, ErrorKind::Full);
            let taken = inject::unharmed(|| disk(&path));
            refuses.store(true, Ordering::Relaxed);
            let (kind, most) = match errno {
                // No sign of a full disk: what would have to be allocated fails.
                libc::EIO => (ErrorKind::Io, 3000),
                _ => (ErrorKind::Full, 0),
            };
            let refused = put(&cache, 1000, 3000, kind);
            assert!(refused <= most, "{refused} puts refused");
            for key in 0..800u64 {
                if let Some(bytes) = cache.get(key.to_le_bytes()) {
                    check(key, &bytes);
                }
            }
            let found = (0..800u64).filter(|key| cache.contains_key(key.to_le_bytes())).count();
            let evictions = cache.stats().evictions;
            assert!((800 - found) as u64 <= evictions);
            assert!(errno == libc::EIO || evictions > 1000);
            assert!(inject::unharmed(|| disk(&path)) <= taken, "it grew");
            // The clock went back for years, when a full disk was noted a moment ago.
            system.set_clock(START - 30 * YEAR);
            refuses.store(false, Ordering::Relaxed);
            put(&cache, 10_000, 3000, ErrorKind::Full);
            assert!(inject::unharmed(|| disk(&path)) > taken + (1 << 20), "it does not grow again");
            assert!(cache.verify().unwrap().is_sound());
        };
        match inject::run(3, decide, act) {
            Ok(result) => result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) => return println!("skipped: the kernel lets no filter ask ({error})"),
        }
    }
}

#[test]
fn a_limit_whose_lowering_failed_halfway_stays_as_it_was() {
    let dir = fast_directory();
    let path = dir.path().join("cache");
    let builder = || FileCache::builder().max_processes(4);
    let cache = builder().max_bytes(8 << 20).open(&path).unwrap();
    put(&cache, 0, 9000, ErrorKind::Full);
    let entries = cache.len();
    assert!(disk(&path) > 6 << 20);
    drop(cache);
    // Whatever is punched out of the log: the disk does not do it.
    let decide = |call: &Call| {
        (call.number == libc::SYS_fallocate && call.arguments[1] != 0).then_some(libc::EIO)
    };
    // On tmpfs, a hole is as good as on a disk while nobody reads it.
    let lower = || builder().max_bytes(4 << 20).max_entries(100).strict_limits(true);
    let error = match inject::run(3, decide, || lower().open(&path).map(|_| ())) {
        Ok(result) => result.unwrap().unwrap_err(),
        Err(error) => return println!("skipped: the kernel lets no filter ask ({error})"),
    };
    assert_is_clear(&error);
    assert!(disk(&path) > 4 << 20, "the test wants the lowering to fail");
    // What went is counted, and there is room again.
    let cache = builder().open(&path).unwrap();
    let stats = cache.stats();
    assert_eq!((stats.max_bytes, stats.max_entries), (8 << 20, u64::MAX));
    assert_eq!(stats.evictions - entries_gone_before(&cache, entries), entries - cache.len());
    put(&cache, 0, 2000, ErrorKind::Full);
    assert!(cache.len() > 1500 && disk(&path) <= 8 << 20, "{} bytes of disk", disk(&path));
    assert!(cache.verify().unwrap().is_sound());
    drop(cache);
    let cache = lower().open(&path).unwrap();
    assert!(disk(&path) <= 4 << 20 && cache.len() == 100, "{} bytes of disk", disk(&path));
}

#[test]
fn a_writer_that_cannot_see_how_long_the_files_have_become_changes_nothing() {
    let dir = fast_directory();
    let path = dir.path().join("cache");
    let builder = || FileCache::builder().max_processes(4).segment_size(64 << 10);
    let cache = builder().max_bytes(3 << 20).open(&path).unwrap();
    put(&cache, 0, 100, ErrorKind::Full);
    // Log and index grow far beyond what the first handle knows of.
    let other = builder().max_bytes(16 << 20).open(&path).unwrap();
    put(&other, 0, 6000, ErrorKind::Full);
    let version = |key: u64| other.get(key.to_le_bytes()).map_or(0, |bytes| check(key, &bytes));
    let decide = |call: &Call| {
        let asks = ["statx", "fstat", "fstatat"].contains(&call.name().as_str());
        asks.then_some(libc::EIO)
    };
    let act = || {
        let mut refused = 0;
        for key in 0..2000u64 {
            let before = version(key);
            let wanted = if key % 2 == 0 { 2 } else { 0 };
            let result = match wanted {
                0 => cache.remove(key.to_le_bytes()).map(|_| ()),
                _ => cache.insert(key.to_le_bytes(), value(key, wanted, 100)),
            };
            if let Err(error) = &result {
                assert_is_clear(error);
                refused += 1;
            }
            let expected = if result.is_ok() { wanted } else { before };
            assert_eq!(version(key), expected, "key {key} after {result:?}");
        }
        assert!(refused > 100, "{refused} refused");
    };
    match inject::run(3, decide, act) {
        Ok(result) => result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        Err(error) => return println!("skipped: the kernel lets no filter ask ({error})"),
    }
    // Once they are seen again, all is done.
    let refused = (0..2000u64)
        .filter(|key| cache.insert(key.to_le_bytes(), value(*key, 3, 100)).is_err())
        .count();
    assert!(refused <= 1, "{refused} refused");
    assert!((2..2000).all(|key| version(key) == 3));
    assert!(cache.verify().unwrap().is_sound());
}

/// What was evicted while the store was filled: all that was put but for the `entries` then left.
fn entries_gone_before(cache: &FileCache, entries: u64) -> u64 {
    cache.stats().inserts - entries
}

#[test]
fn a_clock_that_jumps_by_years_neither_stops_syncs_nor_brings_them_with_each_put() {
    let dir = fast_directory();
    let system = Simulated::default().at(START);
    let cache = FileCache::builder()
        .max_bytes(8 << 20)
        .max_processes(4)
        .environment(system.environment())
        .durability(Durability::Every(Duration::from_secs(10)))
        .open(dir.path().join("cache"))
        .unwrap();
    let puts = |now: u64| {
        system.set_clock(now);
        let before = cache.stats().syncs;
        put(&cache, 0, 50, ErrorKind::Full);
        cache.stats().syncs - before
    };
    puts(START);
    for now in [START + 50 * YEAR, START - 40 * YEAR, 0, START] {
        assert_eq!(puts(now), 1, "at {now}");
        assert_eq!(puts(now + 5_000), 0, "soon after {now}");
        assert_eq!(puts(now + 15_000), 1, "an interval after {now}");
    }
}
