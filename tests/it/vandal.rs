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
const CONTROL: u64 = 320 << 10;
const HEAD: u64 = 4096;

/// Writes random bytes into records and slots until it is told to stop.
pub fn vandal(directory: &Path, seed: u64) {
    let mut random = Random::new(seed);
    let open = |name| OpenOptions::new().read(true).write(true).open(directory.join(name)).unwrap();
    let files = [(open("log"), CONTROL), (open("index"), HEAD)];
    say("ready");
    let stop = std::thread::spawn(listen);
    while !stop.is_finished() {
        let (file, first) = &files[random.one_in(4) as usize];
        let length = file.metadata().unwrap().len();
        let at = first + random.below(length - first);
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
            let reader = || {
                let mut random = Random::new(seed + 7);
                let mut hits = 0u64;
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
            };
            let readers = [scope.spawn(reader), scope.spawn(reader)];
            write(&cache, seed);
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

fn write(cache: &FileCache, seed: u64) {
    let mut random = Random::new(seed);
    let begun = Instant::now();
    let mut version = 2;
    while begun.elapsed() < common::duration(1) {
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

#[test]
fn random_bytes_written_into_a_store_in_use_are_never_read_as_a_value() {
    run("beside a vandal", common::seed() & 0xFFFF_FFFF);
}
