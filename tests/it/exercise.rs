//! A small store that was in use, and everything that can be done with one whose files were damaged:
//! whatever it holds, reads give right bytes or none, writes succeed or say why not, nothing hangs.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder::internals::{Environment, Simulated};
use larder::{Builder, Error, ErrorKind, FileCache};

use crate::common::{Random, check, value};

pub const NAMES: [&str; 3] = ["store", "log", "index"];
/// Keys 0..KEYS are in the store, one version each.
pub const KEYS: u64 = 700;
pub const MAX_ENTRIES: u64 = 900;
const PAGE: usize = 4096;

/// How the store came to be as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kind {
    pub synced: bool,
    pub bounded: bool,
    pub cleared: bool,
}

impl Kind {
    pub fn numbered(number: u64) -> Self {
        Self { synced: number & 1 != 0, bounded: number & 2 != 0, cleared: number & 4 != 0 }
    }
}

/// A store that nobody uses, and the bytes of its files.
pub struct Sample {
    pub path: PathBuf,
    files: [Vec<u8>; 3],
}

pub fn small() -> Builder {
    FileCache::builder().max_bytes(5 << 19).max_processes(4).segment_size(64 << 10)
}

impl Sample {
    pub fn new(path: &Path, kind: Kind) -> Self {
        let mut builder = small();
        if kind.bounded {
            builder = builder.max_entries(MAX_ENTRIES);
        }
        let cache = builder.open(path).unwrap();
        for key in KEYS..KEYS + 150 {
            cache.insert(key.to_le_bytes(), value(key, 1, 500)).unwrap();
        }
        for key in KEYS..KEYS + 150 {
            cache.remove(key.to_le_bytes()).unwrap();
        }
        if kind.cleared {
            for key in 0..200u64 {
                cache.insert(key.to_le_bytes(), value(key, 0, 100)).unwrap();
            }
            cache.clear().unwrap();
        }
        for key in 0..KEYS {
            let length = 24 + (key * 37 % 1500) as usize;
            let ttl = (key % 10 == 0).then_some(Duration::from_secs(3600));
            cache.insert_with_ttl(key.to_le_bytes(), value(key, 1, length), ttl).unwrap();
            if kind.synced && key == KEYS / 2 {
                cache.sync().unwrap();
            }
        }
        assert_eq!(cache.stats().evictions, 0);
        drop(cache);
        let files = NAMES.map(|name| fs::read(path.join(name)).unwrap());
        Self { path: path.to_owned(), files }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub fn bytes(&self, name: &str) -> &[u8] {
        &self.files[NAMES.iter().position(|own| *own == name).unwrap()]
    }

    /// Puts the files' bytes back, into the same files, so that the boot stays the same.
    pub fn restore(&self) {
        for (name, bytes) in NAMES.iter().zip(&self.files) {
            let path = self.file(name);
            let file = match OpenOptions::new().write(true).open(&path) {
                Ok(file) => file,
                Err(_) => File::create(&path).unwrap(),
            };
            file.set_len(0).unwrap();
            file.set_len(bytes.len() as u64).unwrap();
            for (number, page) in bytes.chunks(PAGE).enumerate() {
                if page.iter().any(|&byte| byte != 0) {
                    file.write_all_at(page, (number * PAGE) as u64).unwrap();
                }
            }
        }
    }

    /// The word at an offset of a file.
    pub fn word(&self, name: &str, offset: usize) -> u64 {
        u64::from_le_bytes(self.bytes(name)[offset..offset + 8].try_into().unwrap())
    }

    /// Overwrites bytes of a file in place.
    pub fn write(&self, name: &str, offset: u64, bytes: &[u8]) {
        let file = OpenOptions::new().write(true).open(self.file(name)).unwrap();
        file.write_all_at(bytes, offset).unwrap();
    }
}

pub fn environment(other_boot: bool) -> Environment {
    if other_boot {
        Simulated::default().in_boot([7, 7]).environment()
    } else {
        Environment::default()
    }
}

/// What an exercise met.
#[derive(Debug, Default)]
pub struct Report {
    /// Of the sample's keys, found when it was opened.
    pub found: u64,
    /// Puts that failed, and why the last one did.
    pub failed: u64,
    pub why: Option<String>,
}

impl Report {
    fn note<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                assert_is_clear(&error);
                self.failed += 1;
                self.why = Some(error.to_string());
                None
            }
        }
    }
}

/// An error names a path and ends with a sentence that says what to do; nothing is to be deleted for a cause that
/// is not damage.
pub fn assert_is_clear(error: &Error) {
    let message = error.to_string();
    let last = message.trim_end_matches('.').rsplit(". ").next().unwrap();
    assert!(message.ends_with('.') && last.split(' ').count() >= 2, "{message}");
    assert!(message.starts_with(&error.path().display().to_string()), "{message}");
    let verbs = [
        "Put", "Use", "Choose", "Free", "Let", "Wait", "Check", "Raise", "Give", "Open", "Allow",
        "Name", "Try", "Store", "Mount", "Delete",
    ];
    assert!(verbs.iter().any(|verb| last.starts_with(verb)), "no next step: {message}");
    let deletes = message.to_lowercase().contains("delete");
    assert!(!deletes || error.kind() == ErrorKind::Damaged, "it is no damage: {message}");
}

/// Opens the store and does everything with it.
pub fn exercise(path: &Path, environment: &Environment, seed: u64) -> Result<Report, Error> {
    let mut report = Report::default();
    let mut random = Random::new(seed);
    let cache = FileCache::builder().environment(environment.clone()).open(path)?;
    report.found = read_all(&cache);
    let _ = cache.verify().unwrap();
    // Enough to go round the log several times.
    for round in 0..2 {
        for number in 0..900u64 {
            let key = random.below(2 * KEYS);
            let name = key.to_le_bytes();
            match number % 16 {
                0 => {
                    report.note(cache.remove(name));
                }
                1 => {
                    cache.view(name).map(|view| check(key, &view));
                }
                2 => {
                    let ttl = Duration::from_millis(random.below(3));
                    report.note(cache.insert_with_ttl(name, value(key, 2, 300), ttl));
                }
                _ => {
                    let new = value(key, 3 + number, 24 + random.below(7000) as usize);
                    if report.note(cache.insert(name, &new)).is_some() {
                        let found = cache.get(name);
                        assert!(found.is_none_or(|found| found == new), "another value of {key}");
                    }
                }
            }
        }
        match round {
            0 => {
                report.note(cache.maintain());
                report.note(cache.compact());
                report.note(cache.sync());
                read_all(&cache);
            }
            _ => {
                report.note(cache.clear());
                assert_eq!(cache.get(3u64.to_le_bytes()), None);
                for key in 0..50u64 {
                    report.note(cache.insert(key.to_le_bytes(), value(key, 9, 100)));
                }
                report.note(cache.maintain());
            }
        }
    }
    let _ = (cache.stats(), cache.len(), cache.verify().unwrap());
    drop(cache);
    let cache = FileCache::builder().environment(environment.clone()).open(path)?;
    read_all(&cache);
    Ok(report)
}

/// Reads every key in every way; how many of the sample's were found.
fn read_all(cache: &FileCache) -> u64 {
    let mut found = 0;
    for key in 0..2 * KEYS {
        if let Some(bytes) = cache.get(key.to_le_bytes()) {
            check(key, &bytes);
            found += u64::from(key < KEYS);
        }
    }
    for (key, bytes) in cache.iter() {
        check(u64::from_le_bytes(key.try_into().unwrap()), &bytes);
    }
    found
}
