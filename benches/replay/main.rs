//! Hit ratios: requests replayed through a store whose entries are limited, beside LRU and S3-FIFO.
//!
//! ```text
//! cargo bench -p larder --bench replay -- drift phases                  # two that are made up
//! cargo bench -p larder --bench replay -- trace.csv --percent 1,10      # a file: lines of timestamp,key,…
//! zstdcat trace.csv.zst | cargo bench -p larder --bench replay -- -     # the same, by standard input
//! ```
//!
//! A key that misses is stored. `--percent` says how many entries there may be, in per cent of the keys
//! (1,10,30), `--sizes` how many bytes a value has (100,1000). Printed are hits in per cent of the requests,
//! and how many bytes were written for each byte put.

#![allow(clippy::unwrap_used, reason = "a benchmark that fails should stop")]

mod caches;
mod workloads;

use caches::{Lru, S3Fifo};
use larder::FileCache;
use workloads::Workload;

/// The limit on bytes: so much that only entries are short.
const MAX_BYTES: u64 = 256 << 20;

fn main() {
    let (mut names, mut percents, mut sizes) = (Vec::new(), vec![1, 10, 30], vec![100, 1000]);
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--percent" => percents = numbers(arguments.next()),
            "--sizes" => sizes = numbers(arguments.next()),
            _ => names.push(argument),
        }
    }
    if names.is_empty() {
        names = vec!["drift".to_owned(), "phases".to_owned()];
    }
    let columns: Vec<String> =
        sizes.iter().map(|size| format!("larder {size} B | writes")).collect();
    println!("| requests | entries | LRU | S3-FIFO | {} |", columns.join(" | "));
    println!("|---|--:|--:|--:|{}", "--:|--:|".repeat(sizes.len()));
    for name in names {
        let workload = Workload::of(&name).unwrap();
        let keys = workload.keys();
        for percent in &percents {
            row(&workload, *percent, (keys * percent / 100).max(1), &sizes);
        }
    }
}

fn numbers(list: Option<String>) -> Vec<usize> {
    list.unwrap_or_default().split(',').map(|number| number.parse().unwrap()).collect()
}

fn row(workload: &Workload, percent: usize, entries: usize, sizes: &[usize]) {
    let requests = &workload.requests;
    let (mut lru, mut s3fifo) = (Lru::new(entries), S3Fifo::new(entries));
    print!("| {}, {percent} % | {entries} ", workload.name);
    print!("| {:.1} ", ratio(requests, |key| lru.request(key)));
    print!("| {:.1} |", ratio(requests, |key| s3fifo.request(key)));
    for &size in sizes {
        let (hits, writes) = replay(requests, entries, size);
        print!(" {hits:.1} | {writes:.2} |");
    }
    println!();
}

/// Hits in per cent.
fn ratio(requests: &[u64], request: impl FnMut(u64) -> bool) -> f64 {
    let mut request = request;
    let hits = requests.iter().filter(|&&key| request(key)).count();
    100.0 * hits as f64 / requests.len() as f64
}

/// Hits of a store in per cent, and bytes written for each byte put.
fn replay(requests: &[u64], entries: usize, size: usize) -> (f64, f64) {
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let builder = FileCache::builder().max_bytes(MAX_BYTES).max_entries(entries as u64);
    let cache = builder.open(directory.path().join("cache")).unwrap();
    let (value, mut found) = (vec![7; size], Vec::new());
    let hits = ratio(requests, |key| {
        let hit = cache.get_into(key.to_le_bytes(), &mut found);
        if !hit {
            cache.insert(key.to_le_bytes(), &value).unwrap();
        }
        hit
    });
    let stats = cache.stats();
    (hits, (stats.bytes_put + stats.bytes_moved) as f64 / stats.bytes_put.max(1) as f64)
}
