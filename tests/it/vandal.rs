//! A process that writes random bytes into the files while others use them: reads give right bytes or
//! none, and nobody hangs or dies.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use larder::FileCache;

use crate::children::{Process, listen, say};
use crate::common::{self, Random, check, value};
use crate::exercise::{KEYS, assert_is_clear, small};
use crate::hostile::{begin, run, set_deadlines};

/// Bytes before the first segment, and before the first page of the index.
const CONTROL: u64 = 0xF0000;
const HEAD: u64 = 4096;
/// Bytes of the log that say which store it is, and those with the words that all share.
const IDENTITY: u64 = 0x40;
const SHARED: u64 = 0x1100;

/// Writes random bytes into records and slots until it is told to stop.
pub fn vandal(directory: &Path, seed: u64) {
    scribble(directory, seed, CONTROL);
}

/// Writes random bytes into everything but the words by which a store is recognised.
pub fn vandal_of_all(directory: &Path, seed: u64) {
    scribble(directory, seed, IDENTITY);
}

fn scribble(directory: &Path, seed: u64, spared: u64) {
    let mut random = Random::new(seed);
    let open = |name| OpenOptions::new().read(true).write(true).open(directory.join(name)).unwrap();
    let files = [(open("log"), spared), (open("index"), HEAD)];
    say("ready");
    let stop = std::thread::spawn(listen);
    while !stop.is_finished() {
        let (file, first) = &files[random.one_in(4) as usize];
        let length = file.metadata().unwrap().len();
        // Often where every operation looks.
        let end = if *first < SHARED && random.one_in(8) { SHARED } else { length };
        let at = first + random.below(end - first);
        let bytes: Vec<u8> = (0..=random.below(16)).map(|_| random.next() as u8).collect();
        let bytes = &bytes[..bytes.len().min((length - at) as usize)];
        file.write_all_at(bytes, at).unwrap();
        std::thread::sleep(Duration::from_micros(20));
    }
    say("stopped");
}

/// Reads and writes beside a vandal.
pub fn beside(directory: &Path, seed: u64) {
    set_deadlines();
    for round in 0..2 {
        begin(&format!("round {round}, seed {seed}"));
        let path = directory.join(round.to_string());
        let cache = small().max_entries(900).open(&path).unwrap();
        if round == 1 {
            cache.sync().unwrap();
        }
        for key in 0..KEYS {
            cache.insert(key.to_le_bytes(), value(key, 1, 24 + (key * 7 % 900) as usize)).unwrap();
        }
        let mut vandal = Process::start("vandal", &path, seed);
        assert_eq!(vandal.hear().as_deref(), Some("ready"));
        let ended = AtomicBool::new(false);
        let hits = std::thread::scope(|scope| {
            let reader = || read_until(&cache, &ended, seed);
            let readers = [scope.spawn(reader), scope.spawn(reader)];
            write_for(&cache, seed, common::duration(1));
            ended.store(true, Ordering::Relaxed);
            readers.into_iter().map(|reader| reader.join().unwrap()).sum::<u64>()
        });
        vandal.tell("stop");
        assert_eq!(vandal.finish(), ["stopped"]);
        assert!(hits > 100, "{hits} hits");
        // When it is gone, everything can be had again.
        drop(cache);
        let cache = FileCache::open(&path).unwrap();
        let _ = cache.compact().map_err(|error| assert_is_clear(&error));
        for key in 0..300u64 {
            cache.insert(key.to_le_bytes(), value(key, 5, 200)).unwrap();
            assert_eq!(cache.get(key.to_le_bytes()).map(|bytes| check(key, &bytes)), Some(5));
        }
        say(format!("{hits} hits"));
    }
}

/// Reads in every way; how often it hit.
fn read_until(cache: &FileCache, ended: &AtomicBool, seed: u64) -> u64 {
    let mut random = Random::new(seed + 7);
    let mut hits = 0;
    while !ended.load(Ordering::Relaxed) {
        let key = random.below(KEYS);
        if let Some(bytes) = cache.get(key.to_le_bytes()) {
            check(key, &bytes);
            hits += 1;
        }
        if random.one_in(3000) {
            for (key, bytes) in cache.iter() {
                check(u64::from_le_bytes(key.try_into().unwrap()), &bytes);
            }
        }
        // What a view shows may change under it here; that it can be had is enough.
        drop(cache.view(key.to_le_bytes()));
    }
    hits
}

fn write_for(cache: &FileCache, seed: u64, time: Duration) {
    let mut random = Random::new(seed);
    let begun = Instant::now();
    let mut version = 2;
    while begun.elapsed() < time {
        let key = random.below(KEYS);
        version += 1;
        let new = value(key, version, 24 + random.below(2000) as usize);
        let result = match random.below(400) {
            0 => cache.maintain().map(|_| ()),
            1 => cache.compact().map(|_| ()),
            2..20 => cache.remove(key.to_le_bytes()).map(|_| ()),
            _ => cache.insert(key.to_le_bytes(), new),
        };
        if let Err(error) = result {
            assert_is_clear(&error);
        }
    }
}

/// Reads and writes beside a vandal who spares nothing: every operation ends, with right bytes, a miss or
/// a clear error, and nothing else is asked of it. Once it and all users are gone, the store is recovered.
pub fn beside_worse(directory: &Path, seed: u64) {
    set_deadlines();
    let mut hits = 0;
    for round in 0..4 {
        begin(&format!("round {round}, seed {seed}"));
        let path = directory.join(round.to_string());
        let open = || small().max_entries(900).lock_timeout(Duration::from_millis(2)).open(&path);
        let cache = open().unwrap();
        for key in 0..KEYS {
            cache.insert(key.to_le_bytes(), value(key, 1, 24 + (key * 7 % 900) as usize)).unwrap();
        }
        let mut vandal = Process::start("vandal of all", &path, seed.wrapping_add(round));
        assert_eq!(vandal.hear().as_deref(), Some("ready"));
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| read_until(&cache, &ended, seed));
            write_for(&cache, seed, common::duration(1) / 4);
            ended.store(true, Ordering::Relaxed);
            hits += reader.join().unwrap();
        });
        vandal.tell("stop");
        assert_eq!(vandal.finish(), ["stopped"]);
        drop(cache);
        let environment = larder::internals::Simulated::default().in_boot([7, 7]).environment();
        let cache = FileCache::builder().environment(environment).open(&path).unwrap();
        let _ = cache.compact().map_err(|error| assert_is_clear(&error));
        cache.clear().unwrap();
        for key in 0..300u64 {
            cache.insert(key.to_le_bytes(), value(key, 5, 200)).unwrap();
            assert_eq!(cache.get(key.to_le_bytes()).map(|bytes| check(key, &bytes)), Some(5));
        }
    }
    say(format!("{hits} hits"));
}

#[test]
fn random_bytes_written_into_the_control_block_too_are_survived() {
    run("beside a worse vandal", common::seed() & 0xFFFF_FFFF);
}

#[test]
fn random_bytes_written_into_a_store_in_use_are_never_read_as_a_value() {
    run("beside a vandal", common::seed() & 0xFFFF_FFFF);
}
