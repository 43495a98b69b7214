//! Another boot, or a kill, at a moment when every segment is in use and copies wait for a sync: there
//! is still somewhere to move to, and nothing is evicted.

use std::path::Path;
use std::time::Instant;

use larder::FileCache;
use larder::internals::Simulated;

use crate::common::{self, Random, check, value};
use crate::copies::pass_for;

const KEYS: u64 = 1500;
const LONGEST: u64 = 2000;

fn open(directory: &Path, boot: u64) -> FileCache {
    FileCache::builder()
        .max_bytes(3 << 20)
        .max_processes(4)
        .segment_size(64 << 10)
        .environment(Simulated::default().in_boot([5, boot]).environment())
        .open(directory)
        .unwrap()
}

fn overwrite(cache: &FileCache, random: &mut Random, versions: &mut [u64], key: u64) {
    let version = versions[key as usize] + 1;
    let length = 24 + random.below(LONGEST) as usize;
    cache.insert(key.to_le_bytes(), value(key, version, length)).unwrap();
    versions[key as usize] = version;
}

#[test]
fn after_another_boot_without_a_free_segment_nothing_is_evicted() {
    after_an_end(false);
}

#[test]
fn after_a_kill_without_a_free_segment_nothing_is_evicted() {
    after_an_end(true);
}

fn after_an_end(killed: bool) {
    let (seed, begun, duration) = (common::seed(), Instant::now(), common::duration(1));
    let mut ends = 0;
    for run in 0.. {
        ends += one_store(killed, seed.wrapping_add(run));
        if begun.elapsed() >= duration {
            break;
        }
    }
    common::evidence("power", ends, "ends without a free segment");
}

/// One store with many such moments; how many.
fn one_store(killed: bool, seed: u64) -> u64 {
    let mut random = Random::new(seed);
    let root = common::fast_directory();
    let directory = root.path().join("cache");
    let cache = open(&directory, 1);
    cache.sync().unwrap();
    let mut versions = vec![0; KEYS as usize];
    let mut boots = 0;
    for step in 0..60_000 {
        let key = if step < KEYS { step } else { random.below(KEYS) };
        overwrite(&cache, &mut random, &mut versions, key);
        let stats = cache.stats();
        assert_eq!(stats.evictions, 0, "{stats:?}");
        if stats.segments_used < stats.segments || !random.one_in(4) {
            continue;
        }
        boots += 1;
        let copy = root.path().join(format!("copy {boots}"));
        std::fs::create_dir(&copy).unwrap();
        for name in ["store", "log", "index"] {
            std::fs::copy(directory.join(name), copy.join(name)).unwrap();
        }
        if killed {
            pass_for(&copy, &directory).unwrap();
        }
        let end = open(&copy, if killed { 1 } else { 2 });
        assert_eq!(end.opening().other_boot, !killed);
        go_on(&end, &mut random, versions.clone());
        drop(end);
        std::fs::remove_dir_all(copy).unwrap();
        if boots == 20 {
            return boots;
        }
    }
    panic!("only {boots} times was every segment in use");
}

fn go_on(cache: &FileCache, random: &mut Random, mut versions: Vec<u64>) {
    for _ in 0..600 {
        let key = random.below(KEYS);
        overwrite(cache, random, &mut versions, key);
    }
    let stats = cache.stats();
    assert_eq!(stats.evictions, 0, "{stats:?}");
    for (key, &version) in (0..).zip(&versions) {
        let found = cache.get(u64::to_le_bytes(key)).map(|bytes| check(key, &bytes));
        assert_eq!(found, Some(version).filter(|&version| version > 0), "key {key}");
    }
    let report = cache.verify().unwrap();
    assert_eq!((report.miscounted_segments, report.damaged), (0, 0), "{report:?}");
    assert_eq!(report.counted, report.whole, "{report:?}");
}
