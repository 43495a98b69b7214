//! What stays where entries are limited: requests replayed through a store, beside the caches of the bench
//! `replay`, which are held here to counts that were worked out by hand.

use larder::FileCache;

use crate::common;

#[path = "../../benches/replay/caches.rs"]
mod caches;
#[allow(dead_code, reason = "the bench reads files, too")]
#[path = "../../benches/replay/workloads.rs"]
mod workloads;

use caches::{Lru, S3Fifo};
use workloads::Workload;

/// Requests of a workload that are replayed.
const REQUESTS: usize = 300_000;

fn hits(requests: &[u64], mut request: impl FnMut(u64) -> bool) -> u64 {
    requests.iter().filter(|&&key| request(key)).count() as u64
}

#[test]
fn the_caches_of_the_bench_hit_as_often_as_by_hand() {
    let lru = |capacity, requests: &[u64]| {
        let mut cache = Lru::new(capacity);
        hits(requests, |key| cache.request(key))
    };
    assert_eq!(lru(2, &[1, 2, 1, 3, 2, 1]), 1, "3 takes the place of 2, then 2 that of 1");
    assert_eq!(lru(3, &[1, 2, 3, 1, 2, 3, 4, 1]), 3, "4 takes the place of 1");
    assert_eq!(lru(3, &[1, 2, 3, 4].repeat(10)), 0, "a loop of one more than there is room for");
    assert_eq!(lru(4, &[1, 2, 3, 4].repeat(10)), 36);

    let s3fifo = |capacity, requests: &[u64]| {
        let mut cache = S3Fifo::new(capacity);
        hits(requests, |key| cache.request(key))
    };
    // Room for ten: one of the small queue, as soon as main has any. What is read twice goes to main.
    assert_eq!(s3fifo(10, &[1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1]), 3, "1 stays");
    assert_eq!(s3fifo(10, &[1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1]), 1, "1 was read once only");
    // Left as a ghost by 11, 1 comes to main, and stays there while others pass.
    let passing: Vec<u64> = (1..=11).chain([1]).chain(20..40).chain([1]).collect();
    assert_eq!(s3fifo(10, &passing), 1);
    let forgotten: Vec<u64> = (1..=40).chain([1]).chain(50..70).chain([1]).collect();
    assert_eq!(s3fifo(10, &forgotten), 0, "its ghost is gone by then");
}

#[test]
fn a_working_set_that_moves_is_followed_as_well_as_by_s3_fifo_whatever_the_size_of_values() {
    for (name, entries) in [("drift", 5000), ("phases", 6000)] {
        let workload = Workload::of(name).unwrap();
        // The phases are much longer than the drift needs to show.
        let each = workload.requests.len() / REQUESTS;
        let thinned = |(number, _): &(usize, &u64)| name == "drift" || number / 5000 % each == 0;
        let requests: Vec<u64> =
            workload.requests.iter().enumerate().filter(thinned).map(|(_, key)| *key).collect();
        let requests = &requests[..REQUESTS];
        let mut s3fifo = S3Fifo::new(entries);
        let expected = hits(requests, |key| s3fifo.request(key));
        for size in [100, 1000, 8000] {
            let dir = common::fast_directory();
            let builder = FileCache::builder().max_bytes(128 << 20).max_entries(entries as u64);
            let cache = builder.open(dir.path().join("cache")).unwrap();
            let value = vec![7; size];
            let found = hits(requests, |key| {
                let hit = cache.get(key.to_le_bytes()).is_some();
                if !hit {
                    cache.insert(key.to_le_bytes(), &value).unwrap();
                }
                hit
            });
            let stats = cache.stats();
            let written = (stats.bytes_put + stats.bytes_moved) * 100 / stats.bytes_put;
            println!(
                "{name}, {size} bytes: {found} hits, {expected} by S3-FIFO, {written} % written"
            );
            assert!(found + REQUESTS as u64 / 50 >= expected, "more than two points fewer");
            assert!(written <= 200, "{written} % of what was put was written");
            assert!(cache.verify().unwrap().is_sound());
        }
    }
}
