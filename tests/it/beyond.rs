//! A store larger than memory: what a read asks of the device, and what stays in memory.
//!
//! How much memory there is is said by hand; that pages are not in it is brought about by asking the kernel to drop
//! them. Where it does not (on tmpfs), the test says that it was skipped.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::{Arc, Mutex};

use larder::FileCache;
use larder::internals::{Simulated, What};

use crate::children::{Process, say};
use crate::common::value;

/// Bytes of memory, of which files may have half.
const MEMORY: u64 = 16 << 20;
/// Bytes of values.
const STORED: u64 = 24 << 20;
/// Gets before the usual length is known.
const LEARNING: u64 = 8;

/// How often what was asked of the door.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<HashMap<String, u64>>>);

impl Asked {
    fn listen(&self, system: &Simulated) {
        let asked = self.0.clone();
        system.refuse(move |call| {
            *asked.lock().unwrap().entry(format!("{:?}", call.what)).or_default() += 1;
            None
        });
    }

    fn times(&self, what: What) -> u64 {
        self.0.lock().unwrap().get(&format!("{what:?}")).copied().unwrap_or(0)
    }
}

fn builder(system: &Simulated) -> larder::Builder {
    FileCache::builder().max_bytes(64 << 20).environment(system.environment())
}

/// Drops what the kernel has of a file in memory. Nobody may have it mapped.
fn drop_from_memory(path: &Path) {
    let file = File::open(path).unwrap();
    file.sync_all().unwrap();
    // SAFETY: a system call on an open descriptor with plain numbers.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
}

/// Bytes that this process has had read from devices.
fn read_bytes() -> u64 {
    let said = fs::read_to_string("/proc/self/io").unwrap();
    said.lines().find_map(|line| line.strip_prefix("read_bytes: ")).unwrap().parse().unwrap()
}

/// A store that nobody uses, nothing of whose log is in memory; its keys are `0..count`.
fn cold_store(path: &Path, system: &Simulated, length: usize) -> u64 {
    let count = STORED / length as u64;
    let cache = builder(system).open(path).unwrap();
    for key in 0..count {
        cache.insert(key.to_le_bytes(), value(key, 1, length)).unwrap();
    }
    cache.sync().unwrap();
    drop(cache);
    drop_from_memory(&path.join("log"));
    // The index is in memory.
    fs::read(path.join("index")).unwrap();
    count
}

/// Reads cold entries in a process of its own, whose reads are counted by the kernel.
pub fn cold_reader(directory: &Path) {
    for length in [300, 16_000, 200_000] {
        let (system, asked) = (Simulated::default().with_memory(MEMORY), Asked::default());
        let path = directory.join(length.to_string());
        let count = cold_store(&path, &system, length);
        asked.listen(&system);
        let cache = builder(&system).open(&path).unwrap();
        let reads = || asked.times(What::ReadAhead);
        // So far apart that no two have a page in common; behind what opening reads around the control block.
        let keys: Vec<u64> = (count / 2..count).step_by((8192 / length).max(1) + 1).collect();
        if cache.is_resident(keys[0].to_le_bytes()) {
            say("skipped: the kernel does not drop pages of files here");
            return;
        }
        let get = |key: u64| assert_eq!(cache.get(key.to_le_bytes()), Some(value(key, 1, length)));
        keys[..LEARNING as usize].iter().for_each(|key| get(*key));
        let cold = &keys[LEARNING as usize..][..20];
        let (before, bytes) = (reads(), read_bytes());
        for key in cold {
            assert!(!cache.is_resident(key.to_le_bytes()), "{length}: {key} is there already");
            get(*key);
            assert!(cache.is_resident(key.to_le_bytes()), "{length}: {key} is not there");
        }
        // Two more, where another program takes memory away meanwhile.
        let reads_a_get = reads() - before;
        assert!(reads_a_get <= cold.len() as u64 + 2, "{length}: {reads_a_get} reads");
        let pages = (length as u64 + 100) / 4096 + 2;
        let most = cold.len() as u64 * pages * 4096;
        let bytes = read_bytes() - bytes;
        assert!(bytes > 0 && bytes <= most, "{length}: {bytes} bytes read, {most} at most");
        // What was just read is used as it is.
        let last = *cold.last().unwrap();
        get(last);
        let before = (reads(), asked.times(What::Resident));
        (0..100).for_each(|_| get(last));
        assert_eq!((reads(), asked.times(What::Resident)), before, "{length}");
        passes_over(&cache, &asked, count, length);
    }
    say("done");
}

/// Verification and iteration: they read the log once, and leave memory as it was.
fn passes_over(cache: &FileCache, asked: &Asked, count: u64, length: usize) {
    let cold = |keys: std::ops::Range<u64>| {
        keys.filter(|key| !cache.is_resident(key.to_le_bytes())).count() as u64
    };
    let half = count / 2..count;
    let before = cold(half.clone());
    let bytes = read_bytes();
    assert!(cache.verify().unwrap().is_sound());
    let bytes = read_bytes() - bytes;
    assert!(bytes < STORED + STORED / 4, "{length}: {bytes} bytes read by verify");
    let after = cold(half.clone());
    assert!(
        after + count / 50 + 2 >= before,
        "{length}: of {before} cold entries {after} are left"
    );
    assert_eq!(cache.keys().count() as u64, count);
    let after = cold(half);
    assert!(after + count / 50 + 2 >= before, "{length}: {before}, {after} after iteration");
    assert!(asked.times(What::LetGo) > 0);
}

#[test]
fn beyond_memory_a_cold_get_reads_its_record_in_one_go_and_nothing_else() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let said = Process::start("cold reader", dir.path(), 0).finish();
    println!("{said:?}");
    assert!(said.last().is_some_and(|said| said == "done" || said.starts_with("skipped")));
}

#[test]
fn a_store_that_fits_asks_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (system, asked) = (Simulated::default().with_memory(1 << 40), Asked::default());
    asked.listen(&system);
    let cache = builder(&system).open(dir.path().join("cache")).unwrap();
    for key in 0..3000u64 {
        cache.insert(key.to_le_bytes(), value(key, 1, 5000)).unwrap();
        assert!(cache.contains_key((key / 2).to_le_bytes()));
    }
    assert!(cache.verify().unwrap().is_sound());
    for what in [What::Resident, What::ReadAhead, What::LetGo] {
        assert_eq!(asked.times(what), 0, "{what:?}");
    }
}

#[test]
fn whether_an_entry_is_in_memory_is_told_of_absent_and_impossible_keys_too() {
    let dir = tempfile::tempdir().unwrap();
    let cache = FileCache::open(dir.path().join("cache")).unwrap();
    assert!(cache.is_resident("absent") && cache.is_resident([0; 100_000]));
    cache.insert("key", vec![1; 100_000]).unwrap();
    assert!(cache.is_resident("key") && cache.is_resident(""));
}
