//! What an operation costs, beside the least it could cost:
//!
//! ```text
//! cargo bench --bench engine              # everything, some three minutes
//! cargo bench --bench engine -- get       # what has "get" in its name
//! ```
//!
//! Beside each `larder` stands a `raw`: a mapped file whose pages are in memory already, and a table of
//! hashes, offsets and lengths in private memory; the value is copied. It checks no bytes, compares no
//! keys, knows no other process, evicts nothing and forgets everything. So the quotient of the two is
//! what larder's promises cost, on whatever machine it is measured.
//!
//! Stores are made in the temporary directory: set TMPDIR to measure another file system.

#![allow(clippy::unwrap_used, reason = "a benchmark that fails should stop")]

use std::fs::File;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use larder::FileCache;
use memmap2::{Advice, MmapMut, MmapOptions};
use tempfile::TempDir;

const SIZES: [(usize, &str); 4] =
    [(100, "100 B"), (1 << 10, "1 KiB"), (16 << 10, "16 KiB"), (1 << 20, "1 MiB")];
/// More than the processor's caches hold, and less than the kernel begins to throttle at.
const PAYLOAD_BYTES: usize = 64 << 20;
const MOST_ENTRIES: usize = 200_000;
/// Room for the payload several times over.
const MAX_BYTES: u64 = 256 << 20;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    put(&mut criterion);
    replace(&mut criterion);
    read(&mut criterion);
    remove(&mut criterion);
    churn(&mut criterion);
    open(&mut criterion);
    criterion.final_summary();
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(1));
    group
}

fn entries(size: usize) -> usize {
    (PAYLOAD_BYTES / size).min(MOST_ENTRIES)
}

/// New entries into a new store. Here larder also allocates disk, and meets each page first.
fn put(criterion: &mut Criterion) {
    let mut group = group(criterion, "put");
    for (size, name) in SIZES {
        let (value, count) = (vec![7; size], entries(size));
        group.bench_function(format!("larder/{name}"), |bencher| {
            bencher.iter_custom(|rounds| {
                in_batches(rounds, count, |batch| {
                    let store = Store::new(MAX_BYTES);
                    timed(|| (0..batch).for_each(|i| store.put(i, &value)))
                })
            });
        });
        // Made once, when it is first needed: what a bench does itself is done again for each sample.
        let mut raw = None;
        group.bench_function(format!("raw/{name}"), |bencher| {
            let raw = raw.get_or_insert_with(|| Raw::new(count, count * size));
            bencher.iter_custom(|rounds| {
                in_batches(rounds, count, |batch| {
                    raw.clear();
                    timed(|| (0..batch).for_each(|i| raw.put(&key(i), &value)))
                })
            });
        });
    }
    group.finish();
}

/// Puts of random keys that are there, into space that was used before.
fn replace(criterion: &mut Criterion) {
    let mut group = group(criterion, "replace");
    for (size, name) in SIZES {
        let (value, count) = (vec![7; size], entries(size));
        let mut keys = Random::new(count);
        let mut store = None;
        group.bench_function(format!("larder/{name}"), |bencher| {
            let store = store.get_or_insert_with(|| {
                let store = Store::new(MAX_BYTES);
                let rounds = 2 * MAX_BYTES / (size as u64 * count as u64);
                (0..rounds * count as u64).for_each(|i| store.put(i % count as u64, &value));
                store
            });
            bencher.iter(|| store.cache.insert(black_box(keys.next()), &value).unwrap());
        });
        let mut raw = None;
        group.bench_function(format!("raw/{name}"), |bencher| {
            let raw = raw.get_or_insert_with(|| {
                let mut raw = Raw::new(count, count * size);
                (0..count as u64).for_each(|i| raw.put(&key(i), &value));
                raw
            });
            bencher.iter(|| raw.put(&black_box(keys.next()), &value));
        });
    }
    group.finish();
}

/// Reads of random keys.
fn read(criterion: &mut Criterion) {
    for (size, name) in SIZES {
        let (value, count) = (vec![7; size], entries(size));
        let store = Store::new(MAX_BYTES);
        let mut raw = Raw::new(count, count * size);
        for i in 0..count as u64 {
            store.put(i, &value);
            raw.put(&key(i), &value);
        }
        let (cache, raw) = (&store.cache, &raw);
        let mut buffer = Vec::with_capacity(size);

        let mut hits = group(criterion, "get");
        let mut keys = Random::new(count);
        hits.bench_function(format!("larder/{name}"), |bencher| {
            bencher.iter(|| cache.get(black_box(keys.next())).unwrap());
        });
        hits.bench_function(format!("raw/{name}"), |bencher| {
            bencher.iter(|| raw.get(&black_box(keys.next())).unwrap().to_vec());
        });
        hits.finish();

        let mut into = group(criterion, "get_into");
        into.bench_function(format!("larder/{name}"), |bencher| {
            bencher.iter(|| assert!(cache.get_into(black_box(keys.next()), &mut buffer)));
        });
        into.bench_function(format!("raw/{name}"), |bencher| {
            bencher.iter(|| {
                buffer.clear();
                buffer.extend_from_slice(raw.get(&black_box(keys.next())).unwrap());
            });
        });
        into.finish();

        // The raw one copies here, too: a view that is used is read once.
        let mut views = group(criterion, "view");
        views.bench_function(format!("larder/{name}"), |bencher| {
            bencher.iter(|| black_box(&cache.view(black_box(keys.next())).unwrap()[..]).len());
        });
        views.bench_function(format!("raw/{name}"), |bencher| {
            bencher.iter(|| {
                buffer.clear();
                buffer.extend_from_slice(raw.get(&black_box(keys.next())).unwrap());
                black_box(&buffer[..]).len()
            });
        });
        views.finish();

        if size == SIZES[0].0 {
            let mut misses = group(criterion, "miss");
            let absent = |mut key: [u8; 16]| {
                key[15] = 1;
                key
            };
            misses.bench_function(format!("larder/{name}"), |bencher| {
                bencher.iter(|| assert!(cache.get(black_box(absent(keys.next()))).is_none()));
            });
            misses.bench_function(format!("raw/{name}"), |bencher| {
                bencher.iter(|| assert!(raw.get(&black_box(absent(keys.next()))).is_none()));
            });
            misses.finish();
        }
    }
}

fn remove(criterion: &mut Criterion) {
    let mut group = group(criterion, "remove");
    for (size, name) in &SIZES[..2] {
        let (value, count) = (vec![7; *size], entries(*size));
        let mut store = None;
        group.bench_function(format!("larder/{name}"), |bencher| {
            let store = store.get_or_insert_with(|| Store::new(MAX_BYTES));
            bencher.iter_custom(|rounds| {
                in_batches(rounds, count, |batch| {
                    (0..batch).for_each(|i| store.put(i, &value));
                    timed(|| (0..batch).for_each(|i| assert!(store.cache.remove(key(i)).unwrap())))
                })
            });
        });
        let mut raw = None;
        group.bench_function(format!("raw/{name}"), |bencher| {
            let raw = raw.get_or_insert_with(|| Raw::new(count, count * size));
            bencher.iter_custom(|rounds| {
                in_batches(rounds, count, |batch| {
                    raw.clear();
                    (0..batch).for_each(|i| raw.put(&key(i), &value));
                    timed(|| (0..batch).for_each(|i| assert!(raw.remove(&key(i)))))
                })
            });
        });
    }
    group.finish();
}

/// New entries into a full store, so that each put has an old entry evicted; beside a ring.
fn churn(criterion: &mut Criterion) {
    let mut group = group(criterion, "churn");
    for (size, name) in SIZES {
        let value = vec![7; size];
        // Twice what fits, and keys go on from there.
        let filled = 2 * MAX_BYTES / (size as u64 + 60);
        let mut next = filled;
        let mut store = None;
        group.bench_function(format!("larder/{name}"), |bencher| {
            let store = store.get_or_insert_with(|| {
                let store = Store::new(MAX_BYTES);
                (0..filled).for_each(|i| store.put(i, &value));
                store
            });
            bencher.iter(|| {
                store.put(next, &value);
                next += 1;
            });
        });
        let mut raw = None;
        group.bench_function(format!("raw/{name}"), |bencher| {
            let raw = raw.get_or_insert_with(|| {
                let mut raw = Raw::new(MAX_BYTES as usize / size, MAX_BYTES as usize);
                // What the ring has overwritten stays in the table until something comes in its place.
                raw.probes = 1;
                (0..filled).for_each(|i| raw.put(&key(i), &value));
                raw
            });
            bencher.iter(|| {
                raw.put(&key(next), &value);
                next += 1;
            });
        });
    }
    group.finish();
}

/// Opening what was closed; beside it, opening and mapping one file.
fn open(criterion: &mut Criterion) {
    let mut group = group(criterion, "open");
    for (count, name) in [(1_000u64, "1,000 entries"), (1_000_000, "1,000,000 entries")] {
        let Store { cache, directory } = Store::new(2 * MAX_BYTES);
        for i in 0..count {
            cache.insert(key(i), [7; 100]).unwrap();
        }
        assert_eq!(cache.len(), count);
        drop(cache);
        let path = Store::path(&directory);
        group.bench_function(format!("larder/{name}"), |bencher| {
            bencher.iter(|| FileCache::open(&path).unwrap());
        });
        let log = path.join("log");
        group.bench_function(format!("raw/{name}"), |bencher| {
            bencher.iter(|| {
                let file = File::options().read(true).write(true).open(&log).unwrap();
                MmapOptions::new().map_raw(&file).unwrap()
            });
        });
    }
    group.finish();
}

/// A cache in a directory of its own.
struct Store {
    cache: FileCache,
    directory: TempDir,
}

impl Store {
    fn new(max_bytes: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cache = FileCache::builder().max_bytes(max_bytes).open(Self::path(&directory)).unwrap();
        Self { cache, directory }
    }

    fn path(directory: &TempDir) -> std::path::PathBuf {
        directory.path().join("cache")
    }

    fn put(&self, i: u64, value: &[u8]) {
        self.cache.insert(key(i), value).unwrap();
    }
}

/// The floor: a ring in a mapped file, and a table that says where what is.
struct Raw {
    map: MmapMut,
    tail: usize,
    /// Hash, offset, length. Empty: length 0.
    table: Vec<(u64, u32, u32)>,
    /// Places in the table that are looked at for a hash.
    probes: usize,
    _file: tempfile::NamedTempFile,
}

impl Raw {
    fn new(count: usize, bytes: usize) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        let map = Self::map(file.path(), bytes);
        let table = vec![(0, 0, 0); (count * 4).next_power_of_two()];
        Self { map, tail: 0, table, probes: 64, _file: file }
    }

    #[allow(unsafe_code, reason = "the floor is a plain mapping")]
    fn map(path: &Path, bytes: usize) -> MmapMut {
        let file = File::options().read(true).write(true).open(path).unwrap();
        file.set_len(bytes as u64).unwrap();
        // SAFETY: the file was made a moment ago, and nobody else knows it.
        let map = unsafe { MmapMut::map_mut(&file) }.unwrap();
        map.advise(Advice::PopulateWrite).unwrap();
        map
    }

    fn clear(&mut self) {
        self.tail = 0;
        self.table.fill((0, 0, 0));
    }

    fn places(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let mask = self.table.len() - 1;
        (0..self.probes).map(move |step| (hash as usize + step) & mask)
    }

    fn find(&self, key: &[u8]) -> Option<usize> {
        let hash = xxhash_rust::xxh3::xxh3_64(key);
        self.places(hash).find(|&at| self.table[at].0 == hash && self.table[at].2 > 0)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        if self.tail + value.len() > self.map.len() {
            self.tail = 0;
        }
        self.map[self.tail..][..value.len()].copy_from_slice(value);
        let hash = xxhash_rust::xxh3::xxh3_64(key);
        let free = |&at: &usize| self.table[at].2 == 0 || self.table[at].0 == hash;
        let at = self.places(hash).find(free).or_else(|| self.places(hash).next()).unwrap();
        self.table[at] = (hash, self.tail as u32, value.len() as u32);
        self.tail += value.len();
    }

    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let (_, offset, length) = self.table[self.find(key)?];
        Some(&self.map[offset as usize..][..length as usize])
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        let at = self.find(key);
        at.is_some_and(|at| std::mem::take(&mut self.table[at]).2 > 0)
    }
}

/// Keys of 16 bytes, the last of which is 0.
fn key(i: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&i.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
    key[8..15].copy_from_slice(&i.to_le_bytes()[..7]);
    key
}

/// Keys of entries, at random (xorshift64*).
struct Random {
    state: u64,
    count: u64,
}

impl Random {
    fn new(count: usize) -> Self {
        Self { state: 0x9E37_79B9_7F4A_7C15, count: count as u64 }
    }

    fn next(&mut self) -> [u8; 16] {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        key(((self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) * self.count) >> 32)
    }
}

/// The time of `rounds`, as whole batches of `size` take it: what the first put into a new store costs is
/// shared by as many each time.
fn in_batches(rounds: u64, size: usize, mut batch: impl FnMut(u64) -> Duration) -> Duration {
    let batches = rounds.div_ceil(size as u64);
    let total: Duration = (0..batches).map(|_| batch(size as u64)).sum();
    total.mul_f64(rounds as f64 / (batches * size as u64) as f64)
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}
