//! Several processes on one directory.

use std::path::Path;
use std::time::{Duration, Instant};

use larder::{Durability, FileCache};

use crate::children::{Process, listen, say};
use crate::common::{self, Random, check, disk, value};

const KEYS: u64 = 20_000;

/// Puts, gets, removes, overwrites and views until told to stop; every byte of every hit is checked.
pub fn mixed(directory: &Path, seed: u64) {
    // Others may be stopped inside a transaction: then one waits.
    let timeout = Duration::from_secs(20);
    let cache = FileCache::builder().lock_timeout(timeout).open(directory).unwrap();
    let mut random = Random::new(seed);
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = stop.clone();
    std::thread::spawn(move || {
        listen();
        told.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let mut version = seed << 32;
    let mut operations = 0u64;
    let mut buffer = Vec::new();
    say("ready");
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        let key = random.below(KEYS).min(random.below(KEYS));
        let name = key.to_le_bytes();
        match random.below(20) {
            0..=6 => {
                version += 1;
                let length = match random.below(50) {
                    0 => 20_000 + random.below(20_000),
                    _ => 24 + random.below(2000),
                };
                let new = value(key, version, length as usize);
                if random.one_in(10) {
                    let ttl = Duration::from_millis(random.below(2000));
                    cache.insert_with_ttl(name, new, ttl).unwrap();
                } else {
                    cache.insert(name, new).unwrap();
                }
            }
            7 => {
                cache.remove(name).unwrap();
            }
            8 => {
                if let Some(view) = cache.view(name) {
                    check(key, &view);
                }
            }
            _ => {
                if cache.get_into(name, &mut buffer) {
                    check(key, &buffer);
                }
            }
        }
        operations += 1;
    }
    say(operations);
}

/// Inserts numbered keys and says each when it is acknowledged, until it is killed.
pub fn writer(directory: &Path, seed: u64) {
    let cache = FileCache::open(directory).unwrap();
    for number in 0.. {
        let key = (seed << 32) | number;
        cache.insert(key.to_le_bytes(), value(key, 1, 24 + (number % 500) as usize)).unwrap();
        say(number);
    }
}

/// Asks for a hundred keys and says how many it computed itself.
pub fn filler(directory: &Path, seed: u64) {
    let cache = FileCache::open(directory).unwrap();
    say("ready");
    listen();
    let fill = |_thread: u64| {
        let mut computed = 0;
        for key in 0..100u64 {
            let made = cache
                .get_or_insert_with(key.to_le_bytes(), || {
                    computed += 1;
                    std::thread::sleep(Duration::from_millis(2));
                    value(key, seed, 100)
                })
                .unwrap();
            check(key, &made);
        }
        computed
    };
    let computed: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|thread| scope.spawn(move || fill(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    say(computed);
}

/// Begins to compute a value and never ends.
pub fn stuck_filler(directory: &Path) {
    let cache = FileCache::open(directory).unwrap();
    let _ = cache.get_or_insert_with("slow", || {
        say("computing");
        std::thread::sleep(Duration::from_secs(600));
        Vec::new()
    });
}

#[test]
fn four_processes_keep_the_bounds_and_every_byte() {
    mixed_processes(None);
}

#[test]
fn four_processes_with_a_fifth_that_syncs_keep_the_bounds_and_every_byte() {
    mixed_processes(Some(Durability::Every(Duration::from_millis(20))));
}

fn mixed_processes(durability: Option<Durability>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let (max_entries, max_bytes) = (6000, 8 << 20);
    let cache = FileCache::builder()
        .max_entries(max_entries)
        .max_bytes(max_bytes)
        .durability(durability.unwrap_or_default())
        .open(&path)
        .unwrap();
    let seed = common::seed();
    let mut processes: Vec<Process> =
        (0..4).map(|i| Process::start("mixed", &path, seed.wrapping_add(i) & 0xFFFF)).collect();
    for process in &mut processes {
        assert_eq!(process.hear().as_deref(), Some("ready"));
    }
    let begun = Instant::now();
    let mut samples = 0;
    let (mut most_entries, mut most_bytes) = (0, 0);
    while begun.elapsed() < common::duration(5) {
        let (entries, bytes) = (cache.len(), disk(&path));
        assert!(entries <= max_entries, "{entries} entries");
        assert!(bytes <= max_bytes, "{bytes} bytes");
        most_entries = most_entries.max(entries);
        most_bytes = most_bytes.max(bytes);
        if durability.is_some() && samples % 10 == 0 {
            cache.insert("durable", "x").unwrap();
        }
        samples += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut operations = 0u64;
    for mut process in processes {
        process.tell("stop");
        let said = process.finish();
        operations += said.last().unwrap().parse::<u64>().unwrap();
    }
    let report = cache.verify().unwrap();
    println!(
        "{operations} operations, {samples} samples, at most {most_entries} entries and {most_bytes} bytes"
    );
    println!("{report:?}\n{:?}", cache.stats());
    assert!(report.is_sound(), "{report:?}");
    assert!(most_bytes > max_bytes / 2 && samples > 100 && operations > 10_000);
}

#[test]
fn what_a_killed_process_acknowledged_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    drop(FileCache::builder().max_bytes(256 << 20).open(&path).unwrap());
    let mut random = Random::new(common::seed());
    for round in 0..20u64 {
        let mut process = Process::start("writer", &path, round);
        let enough = random.below(300);
        let mut acknowledged = 0;
        while acknowledged < enough {
            acknowledged = 1 + process.hear().unwrap().parse::<u64>().unwrap();
        }
        process.kill();
        let cache = FileCache::open(&path).unwrap();
        assert!(!cache.opening().other_boot);
        for number in 0..acknowledged {
            let key = (round << 32) | number;
            let found = cache.get(key.to_le_bytes()).expect("acknowledged, and nothing evicted");
            assert_eq!(check(key, &found), 1);
        }
        let report = cache.verify().unwrap();
        assert!(report.is_sound(), "{report:?}");
    }
}

#[test]
fn of_two_threads_in_four_processes_one_computes_each_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    drop(FileCache::builder().max_bytes(64 << 20).open(&path).unwrap());
    let mut processes: Vec<Process> =
        (0..4).map(|seed| Process::start("filler", &path, seed)).collect();
    for process in &mut processes {
        assert_eq!(process.hear().as_deref(), Some("ready"));
    }
    for process in &mut processes {
        process.tell("go");
    }
    let computed: u64 = processes
        .into_iter()
        .map(|process| process.finish().last().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(computed, 100);
}

#[test]
fn when_a_computing_process_is_killed_another_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let cache = FileCache::builder().max_bytes(64 << 20).open(&path).unwrap();
    let mut process = Process::start("stuck filler", &path, 0);
    assert_eq!(process.hear().as_deref(), Some("computing"));
    let waiter = std::thread::spawn({
        let cache = cache.clone();
        move || cache.get_or_insert_with("slow", || b"mine".to_vec()).unwrap()
    });
    std::thread::sleep(Duration::from_millis(100));
    assert!(!waiter.is_finished(), "it waits while the other lives");
    process.kill();
    assert_eq!(waiter.join().unwrap(), b"mine");
}

#[test]
fn after_a_panic_in_the_closure_the_next_caller_computes() {
    let dir = tempfile::tempdir().unwrap();
    let cache = FileCache::builder().max_bytes(64 << 20).open(dir.path().join("cache")).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        cache.get_or_insert_with("k", || panic!("in the closure"))
    }));
    assert!(panicked.is_err());
    assert_eq!(cache.get_or_insert_with("k", || b"v".to_vec()).unwrap(), b"v");
}

#[test]
fn a_closure_that_asks_for_its_own_key_gets_an_error_and_for_another_its_value() {
    let dir = tempfile::tempdir().unwrap();
    let cache = FileCache::builder().max_bytes(64 << 20).open(dir.path().join("cache")).unwrap();
    let outer = cache
        .get_or_insert_with("outer", || {
            let error = cache.get_or_insert_with("outer", Vec::new).unwrap_err();
            assert_eq!(error.kind(), larder::ErrorKind::Busy);
            cache.get_or_insert_with("inner", || b"i".to_vec()).unwrap()
        })
        .unwrap();
    assert_eq!(outer, b"i");
    assert_eq!(cache.get("inner").as_deref(), Some(&b"i"[..]));
}

#[test]
fn a_computed_value_that_cannot_be_stored_is_returned_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let cache = FileCache::builder().max_bytes(8 << 20).open(dir.path().join("cache")).unwrap();
    let large = cache.get_or_insert_with("k", || vec![1; 4 << 20]).unwrap();
    assert_eq!(large.len(), 4 << 20);
    assert_eq!(cache.stats().unstored, 1);
    assert!(!cache.contains_key("k"));
}

#[test]
fn handles_that_write_little_and_close_leave_little_unused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    for key in 0..300u64 {
        let cache = FileCache::builder().max_bytes(64 << 20).open(&path).unwrap();
        cache.insert(key.to_le_bytes(), value(key, 1, 100)).unwrap();
    }
    let cache = FileCache::open(&path).unwrap();
    for key in 0..300u64 {
        let found = cache.get(key.to_le_bytes()).unwrap();
        assert_eq!(check(key, &found), 1);
    }
    let stats = cache.stats();
    assert!(stats.used_bytes < 2 * stats.live_bytes, "{stats:?}");
    assert!(disk(&path) < 2 << 20, "{}", disk(&path));
    // The walk goes from chunk to chunk, however short they are: all is moved.
    for key in 0..300u64 {
        cache.insert(key.to_le_bytes(), value(key, 2, 3000)).unwrap();
    }
    cache.compact().unwrap();
    assert!(cache.verify().unwrap().is_sound());
    assert_eq!(cache.iter().count(), 300);
}
