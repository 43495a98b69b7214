//! Syncs that fail. The kernel forgets what it could not write, so no later sync vouches for it: the
//! store says so until the machine starts again, and reuses nothing on the strength of it.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Instant;

use larder::internals::{Flush, SECTOR, Simulated, What};
use larder::{Builder, Durability, Error, ErrorKind, FileCache};

use super::inject;
use crate::common::{self, Random, check, fast_directory, value};
use crate::exercise::assert_is_clear;

/// The control word that names the newest sync begun of those done.
const SYNCS_DONE: u64 = 0x108;
/// The control word that is 1 once creation is complete.
const CREATED: u64 = 0x20;
const PAGE: usize = 4096;

fn builder() -> Builder {
    FileCache::builder().max_bytes(3 << 20).max_processes(4).segment_size(64 << 10)
}

fn after_boot(number: u64) -> Builder {
    FileCache::builder().environment(Simulated::default().in_boot([3, number]).environment())
}

fn syncs_done(path: &Path) -> u64 {
    let mut word = [0; 8];
    let log = std::fs::File::open(path.join("log")).unwrap();
    log.read_exact_at(&mut word, SYNCS_DONE).unwrap();
    u64::from_le_bytes(word)
}

/// Runs `act` where the disk fails each flush from the `first` on, as long as it is `broken`; `None`
/// where that cannot be done.
fn with_a_broken_disk<T: Send>(
    broken: &AtomicBool,
    first: usize,
    act: impl FnOnce() -> T + Send,
) -> Option<T> {
    let mut flushes = 0;
    let decide = |call: &inject::Call| {
        let is_flush = [libc::SYS_fdatasync, libc::SYS_fsync].contains(&call.number);
        if !is_flush || !broken.load(Ordering::Relaxed) {
            return None;
        }
        flushes += 1;
        (flushes > first).then_some(libc::EIO)
    };
    match inject::run(1, decide, act) {
        Ok(result) => Some(result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))),
        Err(error) => {
            println!("skipped: the kernel lets no filter ask ({error})");
            None
        }
    }
}

fn expect_failed(error: &Error) {
    assert_is_clear(error);
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert!(error.to_string().contains("durable"), "{error}");
}

#[test]
fn after_a_sync_that_failed_every_later_one_fails_until_the_machine_starts_again() {
    for failing in 0..3 {
        let dir = fast_directory();
        let path = dir.path().join("cache");
        let cache = builder().open(&path).unwrap();
        cache.sync().unwrap();
        // So much that the index grows: then a sync flushes three times.
        for key in 0..900u64 {
            cache.insert(key.to_le_bytes(), value(key, 1, 100)).unwrap();
        }
        let done = syncs_done(&path);
        let broken = AtomicBool::new(true);
        let name = ["log", "index", "log"][failing];
        let Some(error) =
            with_a_broken_disk(&broken, failing, || cache.sync().map(|_| ()).unwrap_err())
        else {
            return;
        };
        expect_failed(&error);
        assert_eq!(error.path(), path.join(name));
        // The disk is whole again, and still what it forgot is not known.
        let other = builder().durability(Durability::EachWrite).open(&path).unwrap();
        for error in [
            cache.sync().map(|_| ()).unwrap_err(),
            other.sync().map(|_| ()).unwrap_err(),
            other.insert("k", "v").unwrap_err(),
        ] {
            expect_failed(&error);
        }
        assert_eq!(syncs_done(&path), done, "marked synced");
        for key in 0..900u64 {
            assert_eq!(cache.get(key.to_le_bytes()).map(|bytes| check(key, &bytes)), Some(1));
        }
        drop((cache, other));
        let cache = after_boot(1).open(&path).unwrap();
        assert_eq!(cache.len(), 901);
        cache.sync().unwrap();
        assert!(syncs_done(&path) > done);
    }
}

#[test]
fn a_sync_beside_one_that_fails_does_not_succeed() {
    let dir = fast_directory();
    let path = dir.path().join("cache");
    // The first flush of the second sync has gone well when the first sync fails.
    let (said, heard) = mpsc::channel();
    let failed = Arc::new(Barrier::new(2));
    let (said, heard, waits) =
        (std::sync::Mutex::new(said), std::sync::Mutex::new(heard), failed.clone());
    let second = std::thread::current().id();
    drop(builder().open(&path).unwrap());
    let system = Simulated::default();
    let slow = FileCache::builder().environment(system.environment()).open(&path).unwrap();
    system.on_flush(move |path, flush| {
        let at_index = path.ends_with("index") && flush == Flush::Begins;
        if at_index && std::thread::current().id() == second {
            let _ = said.lock().unwrap().send(());
            waits.wait();
        }
    });
    let cache = builder().open(&path).unwrap();
    cache.insert("k", "v").unwrap();
    let done = syncs_done(&path);
    let broken = AtomicBool::new(true);
    let result = std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            heard.lock().unwrap().recv().unwrap();
            let result = with_a_broken_disk(&broken, 0, || cache.sync().map(|_| ()));
            failed.wait();
            result
        });
        let result = slow.sync();
        first.join().unwrap().map(|first| (first, result))
    });
    let Some((first, result)) = result else { return };
    expect_failed(&first.unwrap_err());
    expect_failed(&result.map(|_| ()).unwrap_err());
    assert_eq!(syncs_done(&path), done, "marked synced");
}

#[test]
fn a_sync_makes_the_names_durable_that_a_failed_creation_left() {
    let dir = fast_directory();
    let path = dir.path().join("cache");
    // Whatever flush of the creation fails: the next opening has a store, and its sync all of it.
    for failing in 0..5 {
        let _ = std::fs::remove_dir_all(&path);
        let broken = AtomicBool::new(true);
        let Some(created) =
            with_a_broken_disk(&broken, failing, || builder().open(&path).map(|_| ()))
        else {
            return;
        };
        if let Err(error) = created {
            assert_is_clear(&error);
        }
        let cache = builder().open(&path).unwrap();
        let mut flushed = Vec::new();
        let note = |call: &inject::Call| {
            if [libc::SYS_fdatasync, libc::SYS_fsync].contains(&call.number) {
                flushed.push(call.file());
            }
            None
        };
        inject::run(1, note, || cache.sync().map(|_| ()).unwrap()).unwrap().unwrap();
        let mut created = [0; 8];
        let log = std::fs::File::open(path.join("log")).unwrap();
        log.read_exact_at(&mut created, CREATED).unwrap();
        assert_eq!(created, 1u64.to_le_bytes());
        // The flushes are: log, index, the new file "store", the directory, the log.
        let names = flushed.iter().filter(|file| Path::new(file) == path).count();
        assert_eq!(names, usize::from(failing == 3), "failing {failing}: {flushed:?}");
    }
}

/// The directory as a power cut may leave it: each page, or sector of one, as of any of the moments.
fn cut(system: &Simulated, from: &Path, to: &Path, random: &mut Random) {
    std::fs::create_dir(to).unwrap();
    let style = random.below(4);
    let (mut chosen, mut mixed) = (0, false);
    let choose = |name: &str, sector: usize, versions: usize| {
        let is_first = sector.is_multiple_of(PAGE / SECTOR);
        if is_first {
            mixed = style == 3 && random.one_in(8);
        }
        if is_first || mixed {
            chosen = random.below(versions as u64) as usize;
        }
        match (style, name) {
            (_, "store") | (1, "index") | (2, "log") => versions - 1,
            (1, "log") | (2, "index") => 0,
            _ => chosen,
        }
    };
    system.forget(from, to, choose).unwrap();
}

/// Keys below are not touched after the sync that succeeds.
const UNTOUCHED: u64 = 200;
const KEYS: u64 = 700;

/// Overwrites, removes and compacts on a disk that fails every flush; how often one was refused.
fn wear(system: &Simulated, cache: &FileCache, random: &mut Random) -> u64 {
    let mut refused = 0;
    for number in 0..4000u64 {
        let key = UNTOUCHED + random.below(KEYS - UNTOUCHED);
        let result = match random.below(100) {
            0 => cache.sync().map(|_| ()),
            1 => cache.compact().map(|_| ()),
            2 => cache.maintain().map(|_| ()),
            3..15 => cache.remove(key.to_le_bytes()).map(|_| ()),
            _ => {
                let length = 24 + random.below(800) as usize;
                cache.insert(key.to_le_bytes(), value(key, 2 + number, length))
            }
        };
        if let Err(error) = result {
            expect_failed(&error);
            refused += 1;
        }
        if random.one_in(800) {
            system.note_moment();
        }
    }
    refused
}

#[test]
fn a_power_cut_after_syncs_that_failed_costs_nothing_that_an_earlier_one_covered() {
    let seed = common::seed();
    let limit = common::duration(3);
    let begun = Instant::now();
    let mut cuts = 0;
    while cuts == 0 || begun.elapsed() < limit {
        let mut random = Random::new(seed.wrapping_add(cuts));
        let dir = fast_directory();
        let path = dir.path().join("cache");
        let system = Simulated::default().remembering();
        let cache = builder().environment(system.environment()).open(&path).unwrap();
        for key in 0..KEYS {
            cache.insert(key.to_le_bytes(), value(key, 0, 500)).unwrap();
        }
        for key in 0..KEYS {
            let length = 24 + random.below(800) as usize;
            cache.insert(key.to_le_bytes(), value(key, 1, length)).unwrap();
        }
        cache.sync().unwrap();
        let flushes = [What::Sync, What::SyncDirectory];
        let broken = || std::io::Error::from_raw_os_error(libc::EIO);
        system.refuse(move |call| flushes.contains(&call.what).then(broken));
        assert!(wear(&system, &cache, &mut random) > 0);
        let evicted = cache.stats().evictions;
        assert_eq!(evicted, 0, "there was room: {:?}", cache.stats());
        for _ in 0..8 {
            cuts += 1;
            let to = dir.path().join(cuts.to_string());
            cut(&system, &path, &to, &mut random);
            examine(cuts, &to);
            std::fs::remove_dir_all(&to).unwrap();
        }
    }
    common::evidence("faults", cuts, "power cuts after syncs that failed");
}

/// What the last sync that succeeded covered is there, and nothing that it had covered the end of.
fn examine(cuts: u64, directory: &Path) {
    let cache = after_boot(cuts).open(directory).unwrap();
    for key in 0..KEYS {
        let version = cache.get(key.to_le_bytes()).map(|bytes| check(key, &bytes));
        if key < UNTOUCHED {
            assert_eq!(version, Some(1), "cut {cuts}: key {key} was synced");
        }
        assert_ne!(version, Some(0), "cut {cuts}: key {key} came back");
    }
}
