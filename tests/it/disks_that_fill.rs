//! Disks that are too small for a store, and disks that another program fills and empties: no put fails, and
//! what the disk can hold stays filled.
//!
//! The file systems are mounted in a child with mounts of its own, which go when it ends.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;

use larder::FileCache;
use larder::internals::{Simulated, What};

use crate::children::{Process, listen, own_mounts, say};
use crate::common::{self, Random, check, value};
use crate::mounts::Disk;

/// Bytes of a value: with its header and slot about 4 KiB.
const BYTES: usize = 4000;
/// Bytes that an entry of that size takes in the log.
const FOOTPRINT: u64 = 4048;

/// Plays a part on each of some disks, each in a process of its own.
fn on_disks(part: &str, disks: impl IntoIterator<Item = String>) {
    let seed = common::seed();
    for disk in disks {
        let dir = tempfile::tempdir().unwrap();
        let mut process = Process::start("on a disk", dir.path(), seed);
        process.tell(part);
        process.tell(&disk);
        for line in process.finish() {
            println!("{part} on {disk}: {line}");
        }
    }
}

/// The child's part.
pub fn on_a_disk(directory: &Path, seed: u64) {
    let (part, words) = (listen().unwrap(), listen().unwrap());
    let disk = match own_mounts().and_then(|()| Disk::mount(directory, &words)) {
        Ok(disk) => disk,
        Err(why) => return say(format!("skipped: {why}")),
    };
    let mut random = Random::new(seed);
    match part.as_str() {
        "too small" => too_small(&disk),
        "filled" => filled(&disk),
        "filled and emptied" => filled_and_emptied(&disk, &mut random),
        part => panic!("no such part: {part}"),
    }
}

/// Puts new keys, each of which must be there afterwards; the fewest entries that there were meanwhile.
fn put(cache: &FileCache, keys: std::ops::Range<u64>) -> u64 {
    let mut fewest = u64::MAX;
    for key in keys {
        let new = value(key, 1, BYTES);
        if let Err(error) = cache.insert(key.to_le_bytes(), &new) {
            panic!("put {key}: {error}, with {} entries: {:?}", cache.len(), cache.stats());
        }
        assert!(cache.get(key.to_le_bytes()) == Some(new), "key {key} is not there");
        fewest = fewest.min(cache.len());
        if let Some(bytes) = cache.get((key / 2).to_le_bytes()) {
            check(key / 2, &bytes);
        }
    }
    fewest
}

/// A store that may grow far beyond the disk.
fn too_small(disk: &Disk) {
    let cache = FileCache::builder().max_bytes(64 << 20).open(disk.mounted.join("cache")).unwrap();
    put(&cache, 0..10_000);
    put(&cache, 10_000..20_000);
    let fewest = put(&cache, 20_000..30_000);
    assert_filled(&cache, fewest, cache.stats().log_bytes);
    assert!(cache.verify().unwrap().is_sound());
}

/// From eight allocated segments up 70 % of what is allocated holds entries, and of fewer a part.
fn assert_filled(cache: &FileCache, fewest: u64, allocated: u64) {
    let segment = cache.stats().segment_bytes;
    let percent = fewest * FOOTPRINT * 100 / allocated.max(1);
    say(format!("{fewest} entries in {} segments: {percent} %", allocated / segment));
    if allocated >= 8 * segment {
        assert!(percent >= 70, "{percent} % of {allocated} bytes: {:?}", cache.stats());
    }
}

/// A store of some segments, whose disk another program fills to the last byte.
fn filled(disk: &Disk) {
    for segments in [1, 2, 5, 8, 10] {
        let store = disk.mounted.join(format!("cache {segments}"));
        let cache = FileCache::builder().max_bytes(150_000_000).open(&store).unwrap();
        let segment = cache.stats().segment_bytes;
        let first = segments * segment / FOOTPRINT - 40;
        put(&cache, 0..first);
        let allocated = cache.stats().log_bytes;
        let filler = disk.fill("filler", 0);
        put(&cache, 100_000..106_000);
        let mut most = 0;
        let mut fewest = u64::MAX;
        for keys in (200_000..206_000).step_by(100) {
            fewest = fewest.min(put(&cache, keys..keys + 100));
            most = most.max(cache.len());
        }
        assert_filled(&cache, fewest, cache.stats().log_bytes);
        // Even of one segment half is used.
        assert!(most > allocated / FOOTPRINT / 2, "{most} at most: {:?}", cache.stats());
        if segments > 2 {
            assert!(fewest > allocated / FOOTPRINT / 3, "{fewest}: {:?}", cache.stats());
        }
        // Room comes back: nothing goes any more.
        fs::remove_file(filler).unwrap();
        let before = cache.stats().evictions;
        put(&cache, 300_000..303_000);
        // A walk that was under way may end.
        let gone = cache.stats().evictions - before;
        assert!(gone <= segment / FOOTPRINT + 100, "{gone} went: {:?}", cache.stats());
        assert!(cache.verify().unwrap().is_sound());
        drop(cache);
        fs::remove_dir_all(&store).unwrap();
    }
}

/// Another program fills the disk and empties it, again and again.
fn filled_and_emptied(disk: &Disk, random: &mut Random) {
    let cache = FileCache::builder().max_bytes(64 << 20).open(disk.mounted.join("cache")).unwrap();
    let mut key = 500;
    put(&cache, 0..key);
    for _ in 0..6 {
        let filler = disk.fill("filler", random.below(3) << 19);
        let more = random.below(4000);
        put(&cache, key..key + more);
        fs::remove_file(filler).unwrap();
        key += more + 1000;
        put(&cache, key - 1000..key);
    }
    assert!(cache.verify().unwrap().is_sound());
}

fn sizes(blocks: &str, sizes: impl IntoIterator<Item = u64>) -> Vec<String> {
    sizes.into_iter().map(|size| format!("ext4 {size} -b {blocks}")).collect()
}

#[test]
fn no_put_fails_on_an_ext4_that_is_too_small_for_the_store() {
    on_disks("too small", sizes("1024", [22, 32]));
    on_disks("too small", sizes("4096", [24, 56]));
    // The long form: any size.
    let end = Instant::now() + common::duration(0);
    let mut random = Random::new(common::seed());
    while Instant::now() < end {
        let size = 16 + 2 * random.below(121);
        on_disks("too small", sizes(["1024", "4096"][random.below(2) as usize], [size]));
    }
}

#[test]
fn what_was_allocated_stays_filled_when_another_program_fills_the_disk() {
    on_disks("filled", ["ext4 200", "tmpfs 200"].map(str::to_owned));
}

#[test]
fn no_put_fails_while_another_program_fills_the_disk_and_empties_it() {
    let disks = ["ext4 48", "xfs 320", "tmpfs 40", "tmpfs 40 nr_inodes=9"];
    on_disks("filled and emptied", disks.map(str::to_owned));
}

#[test]
fn no_put_fails_while_a_quota_is_used_up_of_which_the_file_system_does_not_tell() {
    let dir = common::fast_directory();
    let system = Simulated::default();
    let builder = FileCache::builder().max_bytes(64 << 20).environment(system.environment());
    let cache = builder.open(dir.path().join("cache")).unwrap();
    put(&cache, 0..9000);
    system.refuse(|call| {
        (call.what == What::Allocate).then(|| io::Error::from_raw_os_error(libc::EDQUOT))
    });
    put(&cache, 10_000..16_000);
    let fewest = put(&cache, 20_000..26_000);
    let allocated = cache.stats().log_bytes;
    assert_filled(&cache, fewest, allocated);
    system.refuse_nothing();
    // Nothing but an attempt shows that there is room again.
    let mut key = 30_000;
    while cache.stats().log_bytes == allocated {
        put(&cache, key..key + 1000);
        key += 1000;
        assert!(key < 2_000_000, "it does not grow: {:?}", cache.stats());
    }
}

#[test]
#[ignore = "some twenty minutes"]
fn no_put_fails_on_any_size_of_ext4() {
    for blocks in ["1024", "4096"] {
        on_disks("too small", sizes(blocks, (16..=256).step_by(2)));
    }
}
