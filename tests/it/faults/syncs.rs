//! Syncs that fail. The kernel forgets what it could not write, so no later sync vouches for it: the
//! store says so until the machine starts again, and reuses nothing on the strength of it.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Instant;

use larder::internals::{Seams, SyncHook, SyncMoment};
use larder::{Builder, Durability, Error, ErrorKind, FileCache};

use super::inject;
use crate::common::{self, Random, check, fast_directory, value};
use crate::exercise::assert_is_clear;

/// The control word that names the newest sync begun of those done.
const SYNCS_DONE: u64 = 0x108;
/// The control word that is 1 once creation is complete.
const CREATED: u64 = 0x20;
const PAGE: usize = 4096;
const SECTOR: usize = 512;

fn builder() -> Builder {
    FileCache::builder().max_bytes(3 << 20).max_processes(4).segment_size(64 << 10)
}

fn after_boot(number: u64) -> Builder {
    FileCache::builder().seams(Seams { boot_id: Some([3, number]), ..Seams::default() })
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
    let hook = SyncHook(Arc::new(move |moment| {
        if std::thread::current().id() == second && moment == SyncMoment::Index {
            let _ = said.lock().unwrap().send(());
            waits.wait();
        }
    }));
    drop(builder().open(&path).unwrap());
    let seams = Seams { sync_hook: Some(hook), ..Seams::default() };
    let slow = FileCache::builder().seams(seams).open(&path).unwrap();
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

/// The bytes of both files at a moment.
type Moment = [Vec<u8>; 2];

fn moment(path: &Path) -> Moment {
    ["log", "index"].map(|name| std::fs::read(path.join(name)).unwrap())
}

/// The directory as a power cut may leave it: each page, or sector of one, as of any of the moments.
fn cut(from: &Path, to: &Path, moments: &[Moment], random: &mut Random) {
    std::fs::create_dir(to).unwrap();
    std::fs::copy(from.join("store"), to.join("store")).unwrap();
    let style = random.below(4);
    for (file, name) in ["log", "index"].into_iter().enumerate() {
        let files: Vec<&[u8]> = moments.iter().map(|moment| &moment[file][..]).collect();
        let length = files.iter().map(|bytes| bytes.len()).max().unwrap();
        let mut bytes = vec![0; length];
        for (page, target) in bytes.chunks_mut(PAGE).enumerate() {
            let mut from = match (style, file) {
                (1, 0) | (2, 1) => 0,
                (1, 1) | (2, 0) => files.len() - 1,
                _ => random.below(files.len() as u64) as usize,
            };
            let mixed = style == 3 && random.one_in(8);
            for (sector, target) in target.chunks_mut(SECTOR).enumerate() {
                if mixed {
                    from = random.below(files.len() as u64) as usize;
                }
                let at = page * PAGE + sector * SECTOR;
                if let Some(source) = files[from].get(at..at + target.len()) {
                    target.copy_from_slice(source);
                }
            }
        }
        std::fs::write(to.join(name), bytes).unwrap();
    }
}

/// Keys below are not touched after the sync that succeeds.
const UNTOUCHED: u64 = 200;
const KEYS: u64 = 700;

/// Overwrites, removes and compacts on a disk that fails every flush; the moments that pages may be
/// as of, and the first version that each touched key may have.
fn wear(path: &Path, cache: &FileCache, random: &mut Random) -> (Vec<Moment>, u64) {
    let mut moments = vec![inject::unharmed(|| moment(path))];
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
        if random.one_in(800) && moments.len() < 6 {
            moments.push(inject::unharmed(|| moment(path)));
        }
    }
    moments.push(inject::unharmed(|| moment(path)));
    (moments, refused)
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
        let cache = builder().open(&path).unwrap();
        for key in 0..KEYS {
            cache.insert(key.to_le_bytes(), value(key, 0, 500)).unwrap();
        }
        for key in 0..KEYS {
            let length = 24 + random.below(800) as usize;
            cache.insert(key.to_le_bytes(), value(key, 1, length)).unwrap();
        }
        cache.sync().unwrap();
        let broken = AtomicBool::new(true);
        let Some((moments, refused)) =
            with_a_broken_disk(&broken, 0, || wear(&path, &cache, &mut random))
        else {
            return;
        };
        assert!(refused > 0);
        let evicted = cache.stats().evictions;
        assert_eq!(evicted, 0, "there was room: {:?}", cache.stats());
        for _ in 0..8 {
            cuts += 1;
            let to = dir.path().join(cuts.to_string());
            cut(&path, &to, &moments, &mut random);
            let cache = after_boot(cuts).open(&to).unwrap();
            for key in 0..KEYS {
                let version = cache.get(key.to_le_bytes()).map(|bytes| check(key, &bytes));
                if key < UNTOUCHED {
                    assert_eq!(version, Some(1), "cut {cuts}: key {key} was synced");
                }
                assert_ne!(version, Some(0), "cut {cuts}: key {key} came back");
            }
            std::fs::remove_dir_all(&to).unwrap();
        }
    }
    common::evidence("faults", cuts, "power cuts after syncs that failed");
}
