//! Each call of the door to the system fails once, and for ever, in a tour; and a disk that runs full and
//! has room again. All on the simulated side: no filter, no mount, no rights.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use larder::internals::{Call, Simulated, What};
use larder::{ErrorKind, FileCache};

use super::tour::Tour;
use crate::common::{self, Random, check, disk, fast_directory, value};
use crate::exercise::assert_is_clear;

const ERRORS: [i32; 4] = [libc::EIO, libc::ENOSPC, libc::EACCES, libc::EMFILE];

/// A call of a tour that is to fail.
#[derive(Clone, Debug)]
struct Case {
    /// Its number, and what it is.
    at: usize,
    what: What,
    errno: i32,
    forever: bool,
}

/// The calls of a tour in which nothing fails.
fn calls(seed: u64) -> Vec<Call> {
    let root = fast_directory();
    let (system, calls) = (Simulated::default().with_memory(0), Arc::new(Mutex::new(Vec::new())));
    let noted = calls.clone();
    system.refuse(move |call| {
        noted.lock().unwrap().push(call.clone());
        None
    });
    let mut tour = Tour::on(system.clone(), &root.path().join("cache"), seed);
    tour.go();
    assert!(tour.errors.is_empty(), "{:?}", tour.errors);
    system.refuse_nothing();
    calls.lock().unwrap().clone()
}

/// All cases, those first of which few are like others.
fn cases(calls: &[Call], random: &mut Random) -> Vec<Case> {
    let mut cases = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        for errno in ERRORS {
            for forever in [false, true] {
                cases.push(Case { at, what: call.what, errno, forever });
            }
        }
    }
    for at in (1..cases.len()).rev() {
        cases.swap(at, random.below(at as u64 + 1) as usize);
    }
    let mut met = std::collections::HashMap::new();
    let mut ranked: Vec<(u32, Case)> = Vec::new();
    for case in cases {
        let rank = met.entry((case.what, case.errno, case.forever)).or_insert(0);
        *rank += 1;
        ranked.push((*rank, case));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, case)| case).collect()
}

fn fail(case: &Case, seed: u64) {
    let root = fast_directory();
    // Larger than memory, so that all calls are made that there are.
    let system = Simulated::default().with_memory(0);
    let (mut at, Case { at: due, what, errno, forever }) = (0, case.clone());
    system.refuse(move |call| {
        let now = call.what == what && (at == due || forever && at > due);
        at += 1;
        now.then(|| io::Error::from_raw_os_error(errno))
    });
    let mut tour = Tour::on(system.clone(), &root.path().join("cache"), seed);
    tour.is_blind = what == What::Length;
    tour.go();
    system.refuse_nothing();
    tour.check_after();
}

#[test]
fn every_call_of_the_door_may_fail_once_or_for_ever_in_a_tour() {
    let (seed, limit, begun) = (common::seed(), common::duration(6), Instant::now());
    let whole = limit >= Duration::from_secs(1800);
    let (mut tried, mut failed) = (0, Vec::new());
    // An odd seed's tour is on a store in memory, an even one's as if on a disk.
    for (number, seed) in [seed, seed ^ 1].into_iter().enumerate() {
        let until = limit / 2 * (number as u32 + 1);
        for case in cases(&calls(seed), &mut Random::new(seed)) {
            if !whole && begun.elapsed() > until {
                break;
            }
            tried += 1;
            if catch_unwind(AssertUnwindSafe(|| fail(&case, seed))).is_err() {
                failed.push(format!("{case:?}, seed {seed}"));
            }
        }
    }
    assert!(failed.is_empty(), "{} of {tried} cases failed:\n{}", failed.len(), failed.join("\n"));
    common::evidence("faults", tried, "tours with a call of the door that failed");
}

/// Puts of keys from `first` on, each read back. None fails.
fn put(cache: &FileCache, first: u64, count: u64) {
    for key in first..first + count {
        let new = value(key, 1, 100 + (key * 91 % 6000) as usize);
        cache.insert(key.to_le_bytes(), &new).unwrap();
        assert_eq!(cache.get(key.to_le_bytes()), Some(new));
        if let Some(bytes) = cache.get((key / 2).to_le_bytes()) {
            check(key / 2, &bytes);
        }
    }
}

#[test]
fn on_a_disk_that_runs_full_puts_evict_and_reads_go_on_until_it_has_room_again() {
    const START: u64 = 1_800_000_000_000;
    let dir = fast_directory();
    let path = dir.path().join("cache");
    let system = Simulated::default().at(START);
    let builder =
        FileCache::builder().max_bytes(16 << 20).max_processes(4).environment(system.environment());
    // Nothing fits: nothing is left.
    system.set_space(Some(16 << 10));
    let error = builder.open(&path).unwrap_err();
    assert_is_clear(&error);
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    assert!(!path.exists(), "creation left something behind");
    // It grows until the disk is full, and goes on.
    system.set_space(Some(8 << 20));
    let cache = builder.open(&path).unwrap();
    put(&cache, 0, 300);
    assert_eq!(cache.stats().evictions, 0);
    put(&cache, 1000, 4000);
    let full = disk(&path);
    // The simulated disk does not count the file `store`, nor holes that tmpfs fills when they are read.
    assert!(full <= (8 << 20) + (64 << 10), "{full} bytes of disk");
    assert!(cache.stats().evictions > 1000, "{:?}", cache.stats());
    assert!(cache.verify().unwrap().is_sound());
    // Another one opens, in this boot and after another, with no space at all.
    put(&FileCache::open(&path).unwrap(), 9000, 100);
    drop(cache);
    let cache = builder.clone().environment(system.clone().in_boot([5, 5]).environment());
    let cache = cache.open(&path).unwrap();
    assert!(cache.opening().other_boot);
    put(&cache, 10_000, 500);
    assert_eq!(cache.verify().unwrap().damaged, 0);
    // Space that is freed is used again.
    system.set_space(None);
    system.advance(1100);
    put(&cache, 20_000, 4000);
    assert!(disk(&path) > full + (1 << 20), "{} after {full}", disk(&path));
    assert_eq!(cache.verify().unwrap().damaged, 0);
}
