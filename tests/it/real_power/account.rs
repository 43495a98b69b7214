//! The journal of what was done to a store, and what may be found in it after a cut.
//!
//! A line is noted before a call and after it. Once a sync that began after a change is done, that
//! change is the oldest thing that may be found; what was begun later may be there or not.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use larder::FileCache;

use crate::common::check;

/// Keys of a store.
pub const KEYS: u64 = 1200;
/// The version of a key that is not there.
pub const ABSENT: u64 = 0;

/// Bytes of a line of the journal, or a multiple.
const LINE: usize = 64;

/// Milliseconds since the epoch.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Lines of words and numbers, in the order in which they were noted.
pub struct Journal(File);

impl Journal {
    /// Opens it, to note more.
    pub fn open(path: &Path) -> Self {
        Self(OpenOptions::new().create(true).append(true).open(path).unwrap())
    }

    /// Notes a line, in one call and so long that no page ends within it: whole, whoever else notes
    /// and whoever is killed.
    pub fn note(&self, word: &str, numbers: &[u64]) {
        let mut line = word.to_owned();
        for number in numbers {
            line.push_str(&format!(" {number}"));
        }
        let length = (line.len() + 1).next_multiple_of(LINE);
        (&self.0).write_all(format!("{line:<0$}\n", length - 1).as_bytes()).unwrap();
    }
}

/// A version of a key, and when it expires at the earliest and at the latest.
#[derive(Clone, Copy, Debug)]
struct Version {
    number: u64,
    earliest: u64,
    latest: u64,
}

const GONE: Version = Version { number: ABSENT, earliest: u64::MAX, latest: u64::MAX };

/// What is known of a key.
#[derive(Clone, Debug)]
struct Key {
    /// What it may be, oldest first.
    may_be: Vec<Version>,
    /// The newest of them whose call has returned.
    done: usize,
    /// The newest whose call had returned when the sync under way began.
    covered: usize,
}

impl Key {
    fn only(version: Version) -> Self {
        Self { may_be: vec![version], done: 0, covered: 0 }
    }

    fn begin(&mut self, version: Version) {
        self.may_be.push(version);
    }

    fn end(&mut self, latest: u64) {
        self.done = self.may_be.len() - 1;
        self.may_be[self.done].latest = latest;
    }

    fn synced(&mut self) {
        self.may_be.drain(..self.covered);
        self.done -= self.covered;
        self.covered = 0;
    }
}

/// What all keys may be.
#[derive(Default)]
pub struct Account {
    keys: HashMap<u64, Key>,
    /// Live entries that the store says it evicted, and so are no loss.
    evicted: u64,
    lost: Vec<String>,
    cut: bool,
}

impl Account {
    /// Takes in what was noted in one life of the store, from its opening to the cut.
    pub fn read(&mut self, journal: &Path) {
        self.cut = false;
        self.lost.clear();
        for line in std::fs::read_to_string(journal).unwrap_or_default().lines() {
            let line = line.trim_end();
            let mut words = line.split(' ');
            let word = words.next().unwrap();
            let numbers: Vec<u64> = words.map_while(|number| number.parse().ok()).collect();
            self.take(word, &numbers, line);
        }
        self.settle_losses();
    }

    fn take(&mut self, word: &str, numbers: &[u64], line: &str) {
        match (word, numbers) {
            ("found", &[key, number, before, after]) => {
                let found = self.judge(key, number, before, after).unwrap_or(GONE);
                self.keys.insert(key, Key::only(found));
            }
            ("opened", []) => {
                self.settle_losses();
                self.evicted = 0;
            }
            ("begun", &[key, number, earliest]) => {
                self.key(key).begin(Version { number, earliest, latest: u64::MAX });
            }
            ("done", &[key, latest]) => self.key(key).end(latest),
            ("clear", []) => (0..KEYS).for_each(|key| self.key(key).begin(GONE)),
            ("cleared", []) => (0..KEYS).for_each(|key| self.key(key).end(u64::MAX)),
            ("sync", []) => self.keys.values_mut().for_each(|key| key.covered = key.done),
            ("synced", []) => self.keys.values_mut().for_each(Key::synced),
            ("evicted", &[count]) => self.evicted = self.evicted.max(count),
            ("cut", []) => self.cut = true,
            // Without a disk everything may fail.
            ("failed:", _) if self.cut => {}
            _ => panic!("before the cut: {line}"),
        }
    }

    fn key(&mut self, key: u64) -> &mut Key {
        self.keys.entry(key).or_insert_with(|| Key::only(GONE))
    }

    fn settle_losses(&self) {
        let (lost, evicted) = (&self.lost, self.evicted);
        assert!(lost.len() as u64 <= evicted, "{evicted} evicted, and lost: {lost:#?}");
    }

    /// Promise 3 for a key that was looked up between two moments: its version, if it is there.
    fn judge(&mut self, key: u64, number: u64, before: u64, after: u64) -> Option<Version> {
        let known = self.key(key).clone();
        let version = known.may_be.iter().find(|version| version.number == number);
        if number != ABSENT {
            let Some(version) = version else {
                panic!("key {key} is {number}, and may only be one of {:?}", known.may_be)
            };
            assert!(
                before <= version.latest,
                "key {key} is back, expired: {version:?}, at {before}"
            );
            return Some(*version);
        }
        let untouched = known.may_be.len() == 1;
        if version.is_none() && untouched && after < known.may_be[0].earliest {
            self.lost.push(format!("key {key}, {:?}, at {after}", known.may_be));
        }
        None
    }

    /// Looks at all keys of a store, which stay as uncertain as they are.
    pub fn examine(&self, cache: &FileCache) {
        let mut copy = Self { keys: self.keys.clone(), evicted: self.evicted, ..Self::default() };
        find_all(cache, |key, number, before, after| {
            copy.judge(key, number, before, after);
        });
        copy.settle_losses();
    }
}

/// Looks all keys up: their version, and the moments before and after.
pub fn find_all(cache: &FileCache, mut found: impl FnMut(u64, u64, u64, u64)) {
    for key in 0..KEYS {
        let before = now();
        let number = cache.get(key.to_le_bytes()).map_or(ABSENT, |bytes| check(key, &bytes));
        found(key, number, before, now());
    }
}
