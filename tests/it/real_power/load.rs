//! The process whose disk is cut: opens a store, says what it finds, and works until it is killed.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::Duration;

use larder::FileCache;

use super::account::{ABSENT, Journal, KEYS, find_all, now};
use crate::children::{listen, say};
use crate::common::{Random, check, disk, value};

const MAX_BYTES: u64 = 4 << 20;
/// Threads that put and remove, each its own keys.
const WORKERS: u64 = 2;

/// The role.
pub fn load(directory: &Path, seed: u64) {
    let path = listen().unwrap();
    let journal = Journal::open(Path::new(&path));
    let failures = Journal::open(Path::new(&path));
    // Without a disk everything may fail: the journal tells whether it was before the cut.
    std::panic::set_hook(Box::new(move |panic| {
        failures.note(&format!("failed: {}", panic.to_string().replace('\n', " ")), &[]);
    }));
    let opened = FileCache::builder()
        .max_bytes(MAX_BYTES)
        .segment_size(64 << 10)
        .max_processes(4)
        .open(directory);
    let cache = opened.unwrap_or_else(|error| panic!("cannot open: {error}"));
    let opening = cache.opening();
    assert!(opening.created || opening.other_boot, "{opening:?}");
    let known: Vec<Mutex<Known>> = (0..KEYS).map(|_| Mutex::default()).collect();
    find_all(&cache, |key, number, before, after| {
        journal.note("found", &[key, number, before, after]);
        // When it expires is not known here, so a miss is none of this process's faults.
        *known[key as usize].lock().unwrap() = Known { number, expires: before };
    });
    let report = cache.verify().unwrap();
    assert_eq!(report.miscounted_segments, 0, "{report:?}");
    assert_eq!(report.counted, report.whole + report.damaged, "{report:?}");
    assert!(disk(directory) <= MAX_BYTES);
    journal.note("opened", &[]);
    let load = Load {
        evicted_before: cache.stats().evictions,
        cache,
        directory,
        journal: &journal,
        known,
        versions: AtomicU64::new(now() << 20),
        clearing: RwLock::new(()),
        keys: [40, 300, KEYS][Random::new(seed).below(3) as usize],
    };
    say("opened");
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let load = &load;
            scope.spawn(move || load.work(worker, Random::new(seed + worker)));
        }
        scope.spawn(|| load.write_pages(Random::new(!seed)));
    });
}

/// What the only thread that changes a key knows of it.
#[derive(Clone, Copy, Default)]
struct Known {
    number: u64,
    /// It may be gone from this moment on.
    expires: u64,
}

struct Load<'a> {
    cache: FileCache,
    directory: &'a Path,
    journal: &'a Journal,
    known: Vec<Mutex<Known>>,
    versions: AtomicU64,
    /// Held for writing while everything is cleared, so that it is known what was before.
    clearing: RwLock<()>,
    keys: u64,
    evicted_before: u64,
}

impl Load<'_> {
    fn work(&self, worker: u64, mut random: Random) {
        loop {
            let key = random.below(self.keys) / WORKERS * WORKERS + worker;
            match random.below(1000) {
                0..3 if worker == 0 => self.sync(),
                0..3 => drop(self.cache.maintain().unwrap()),
                3 if random.one_in(10) => drop(self.cache.compact().unwrap()),
                4 if random.one_in(30) => self.clear(),
                5 => assert!(disk(self.directory) <= MAX_BYTES),
                6..150 => self.remove(key),
                150..400 => self.get(key),
                _ => self.put(key, &mut random),
            }
            let evicted = self.cache.stats().evictions.saturating_sub(self.evicted_before);
            if evicted > 0 {
                self.journal.note("evicted", &[evicted]);
            }
        }
    }

    fn sync(&self) {
        self.journal.note("sync", &[]);
        self.cache.sync().unwrap();
        self.journal.note("synced", &[]);
    }

    fn clear(&self) {
        let _alone = self.clearing.write().unwrap();
        self.journal.note("clear", &[]);
        self.cache.clear().unwrap();
        self.journal.note("cleared", &[]);
        self.known.iter().for_each(|known| *known.lock().unwrap() = Known::default());
    }

    fn remove(&self, key: u64) {
        let _together = self.clearing.read().unwrap();
        self.journal.note("begun", &[key, ABSENT, u64::MAX]);
        self.cache.remove(key.to_le_bytes()).unwrap();
        self.journal.note("done", &[key, u64::MAX]);
        *self.known[key as usize].lock().unwrap() = Known::default();
    }

    fn put(&self, key: u64, random: &mut Random) {
        let _together = self.clearing.read().unwrap();
        let number = self.versions.fetch_add(1, Ordering::Relaxed);
        let new = value(key, number, 24 + random.below(600) as usize);
        let ttl = if random.one_in(8) { 1 + random.below(300) } else { u64::MAX };
        let expires = now().saturating_add(ttl);
        self.journal.note("begun", &[key, number, expires]);
        let name = key.to_le_bytes();
        if ttl == u64::MAX {
            self.cache.insert(name, new).unwrap();
        } else {
            self.cache.insert_with_ttl(name, new, Duration::from_millis(ttl)).unwrap();
        }
        self.journal.note("done", &[key, now().saturating_add(ttl)]);
        *self.known[key as usize].lock().unwrap() = Known { number, expires };
    }

    fn get(&self, key: u64) {
        let _together = self.clearing.read().unwrap();
        let known = *self.known[key as usize].lock().unwrap();
        let found = self.cache.get(key.to_le_bytes()).map_or(ABSENT, |bytes| check(key, &bytes));
        let evicted = self.cache.stats().evictions > self.evicted_before;
        let may_miss = known.expires <= now() || evicted;
        assert!(found == known.number || found == ABSENT && may_miss, "key {key}: {found}");
    }

    /// Does what the kernel may do at any time: writes some pages and not others, and commits its
    /// own journal when something else asks for it.
    fn write_pages(&self, mut random: Random) {
        let open = |name| {
            let path = self.directory.join(name);
            OpenOptions::new().read(true).write(true).open(path).unwrap()
        };
        let files = [open("log"), open("index")];
        let other = File::create(self.directory.with_extension("other")).unwrap();
        loop {
            let file = &files[random.below(2) as usize];
            match random.below(12) {
                // One file as of now, the other as of the last sync.
                0 => file.sync_data().unwrap(),
                1 => {
                    other.set_len(random.below(1 << 20)).unwrap();
                    other.sync_all().unwrap();
                }
                _ => write_back(file, &mut random),
            }
            std::thread::sleep(Duration::from_micros(random.below(2000)));
        }
    }
}

/// Writes some of a file's dirty pages, without making them durable.
fn write_back(file: &File, random: &mut Random) {
    let pages = file.metadata().unwrap().len() / 4096;
    let first = random.below(pages);
    let count = random.below(pages - first).min(random.below(64)) + 1;
    let (offset, length) = (first as i64 * 4096, count as i64 * 4096);
    let how = libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: a system call on an open descriptor with plain numbers.
    let done = unsafe { libc::sync_file_range(file.as_raw_fd(), offset, length, how) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}
