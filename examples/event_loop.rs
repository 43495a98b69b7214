//! An event loop that never waits for the device: it answers at once what is in memory, and gives the rest to
//! threads that may wait.
//!
//! `cargo run --release --example event_loop [DIRECTORY] [MIB]` stores so much (256 MiB), drops it from memory, and
//! serves the same requests twice: by one loop that reads everything itself, and by one that asks
//! [`FileCache::is_resident`] first. It prints the longest steps of both loops.
#![allow(clippy::unwrap_used, reason = "an example ends with its first error")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use larder::FileCache;

const VALUE: usize = 16 << 10;
const REQUESTS: u64 = 4000;
const THREADS: usize = 2;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory: PathBuf = arguments.next().unwrap_or_else(|| ".larder_event_loop".into()).into();
    let mib: u64 = arguments.next().map_or(256, |mib| mib.parse().unwrap());
    let entries = (mib << 20) / VALUE as u64;
    let cache = FileCache::builder().max_bytes(mib << 21).open(&directory).unwrap();
    for key in 0..entries {
        cache.insert(key.to_le_bytes(), [key as u8; VALUE]).unwrap();
    }
    cache.sync().unwrap();
    drop(cache);
    println!(
        "{entries} entries of {VALUE} bytes; {REQUESTS} requests for some of them, by no order"
    );
    for asks_first in [false, true] {
        forget(&directory);
        let cache = FileCache::open(&directory).unwrap();
        let (mut steps, at_once) = serve(&cache, entries, asks_first);
        steps.sort_unstable();
        let part = |per_mille: usize| steps[(steps.len() - 1) * per_mille / 1000];
        println!(
            "{:<28} {:>5.1} % at once; a step takes {:?}, {:?} at p99, {:?} at most",
            if asks_first { "asks is_resident first:" } else { "reads everything itself:" },
            at_once as f64 * 100.0 / REQUESTS as f64,
            part(500),
            part(990),
            part(1000),
        );
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

/// Serves all requests; how long each step of the loop took, and how many it answered at once.
fn serve(cache: &FileCache, entries: u64, asks_first: bool) -> (Vec<Duration>, u64) {
    let (later, queue) = channel::<u64>();
    let (answers, done) = channel::<usize>();
    let queue = Arc::new(Mutex::new(queue));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| wait_for_others(cache.clone(), Arc::clone(&queue), answers.clone()))
        .collect();
    let (mut steps, mut at_once, mut answered) = (Vec::new(), 0, 0);
    for request in 0..REQUESTS {
        let key = (request.wrapping_mul(0x9E37_79B9_7F4A_7C15) % entries).to_le_bytes();
        let begun = Instant::now();
        if !asks_first || cache.is_resident(key) {
            at_once += 1;
            answered += usize::from(cache.get(key).is_some());
        } else {
            later.send(u64::from_le_bytes(key)).unwrap();
        }
        answered += done.try_iter().sum::<usize>();
        steps.push(begun.elapsed());
        thread::sleep(Duration::from_micros(50)); // the rest of the program
    }
    drop((later, answers));
    answered += done.iter().sum::<usize>();
    assert_eq!(answered as u64, REQUESTS);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    (steps, at_once)
}

/// A thread that may wait for the device.
fn wait_for_others(
    cache: FileCache,
    queue: Arc<Mutex<Receiver<u64>>>,
    answers: Sender<usize>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        loop {
            let Ok(key) = queue.lock().unwrap().recv() else { return };
            answers.send(usize::from(cache.get(key.to_le_bytes()).is_some())).unwrap();
        }
    })
}

/// Has the kernel drop what it has of the store in memory, as GNU dd does it.
fn forget(directory: &Path) {
    let log = format!("if={}", directory.join("log").display());
    let status =
        Command::new("dd").args([&log, "iflag=nocache", "count=0", "status=none"]).status();
    if !status.is_ok_and(|status| status.success()) {
        println!("dd cannot drop the log from memory: everything is answered at once");
    }
}
