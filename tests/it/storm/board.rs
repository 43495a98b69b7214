//! What the store must hold. The board is outside the store, in memory that all processes of a storm
//! share.
//!
//! Each thread has keys of its own, which it alone changes. Before a change it notes what it is about
//! to do, and afterwards that it is done. So whatever is killed, a key is as the last finished change
//! left it, or as the change under way makes it. Nothing else is allowed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use larder::FileCache;

use super::form::WORKERS;
use crate::common::check;

/// Threads and children with keys of their own.
pub const RANGES: usize = 3 * WORKERS;
/// Keys of each.
pub const KEYS: u64 = 40;

const WORDS_A_KEY: usize = 5;
/// The words of a key: what is under way, what was done, the newest version ever given, and when it
/// expires at the earliest and at the latest.
const INTENT: usize = 0;
const DONE: usize = 1;
const NEWEST: usize = 2;
const EARLIEST: usize = 3;
const LATEST: usize = 4;

/// What a change makes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Absent,
    Stays,
    Expires,
}

/// A change: its version, and what it makes of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub version: u64,
    pub kind: Kind,
    /// When it was begun. Known only to the process that carries it out.
    begun_ms: u64,
}

impl Change {
    fn encode(self) -> u64 {
        self.version << 2 | self.kind as u64
    }

    fn decode(word: u64) -> Self {
        let kind = [Kind::Absent, Kind::Stays, Kind::Expires][word as usize & 3];
        Self { version: word >> 2, kind, begun_ms: 0 }
    }
}

/// The shared memory.
#[derive(Clone, Copy)]
pub struct Board(&'static [AtomicU64]);

/// Words that belong to no key: the child of each worker, a count of operations, one of faults.
const CHILDREN: usize = RANGES * KEYS as usize * WORDS_A_KEY;
const OPERATIONS: usize = CHILDREN + WORKERS;
const FAULTS: usize = OPERATIONS + RANGES;
const WORDS: usize = FAULTS + 1;

impl Board {
    /// A board on which every key is absent. It lasts as long as the process, as its forks need it.
    pub fn new() -> Self {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: new memory, zeroed, never unmapped, used as atomic words alone.
        unsafe {
            let memory = libc::mmap(std::ptr::null_mut(), WORDS * 8, protection, flags, -1, 0);
            assert!(memory != libc::MAP_FAILED);
            Self(std::slice::from_raw_parts(memory.cast(), WORDS))
        }
    }

    /// Notes that a worker found a fault, which its death must not hide.
    pub fn fault(&self) {
        self.0[FAULTS].fetch_add(1, Ordering::SeqCst);
    }

    pub fn has_faults(&self) -> bool {
        self.0[FAULTS].load(Ordering::SeqCst) > 0
    }

    fn word(&self, key: u64, word: usize) -> &AtomicU64 {
        &self.0[key as usize * WORDS_A_KEY + word]
    }

    fn load(&self, key: u64, word: usize) -> u64 {
        self.word(key, word).load(Ordering::SeqCst)
    }

    fn store(&self, key: u64, word: usize, value: u64) {
        self.word(key, word).store(value, Ordering::SeqCst);
    }

    /// Where a worker notes the process that it forked.
    pub fn child(&self, worker: usize) -> &AtomicU64 {
        &self.0[CHILDREN + worker]
    }

    pub fn operations(&self, range: usize) -> &AtomicU64 {
        &self.0[OPERATIONS + range]
    }

    pub fn all_operations(&self) -> u64 {
        (0..RANGES).map(|range| self.operations(range).load(Ordering::Relaxed)).sum()
    }

    /// Notes that a change of a key begins.
    pub fn begin(&self, key: u64, kind: Kind, lives_ms: u64) -> Change {
        let change = Change { version: self.load(key, NEWEST) + 1, kind, begun_ms: now_ms() };
        self.store(key, NEWEST, change.version);
        if kind == Kind::Expires {
            // Until this change is done, the entry may be the old one, which may expire earlier.
            let old = match self.changes(key).0.kind {
                Kind::Expires => self.load(key, EARLIEST),
                Kind::Absent | Kind::Stays => u64::MAX,
            };
            self.store(key, EARLIEST, old.min(change.begun_ms + lives_ms));
            self.store(key, LATEST, u64::MAX);
        }
        self.store(key, INTENT, change.encode());
        change
    }

    /// Notes that it was done.
    pub fn done(&self, key: u64, change: Change, lives_ms: u64) {
        if change.kind == Kind::Expires {
            self.store(key, EARLIEST, change.begun_ms + lives_ms);
            self.store(key, LATEST, now_ms() + lives_ms);
        }
        self.store(key, DONE, change.encode());
    }

    /// Notes that the change was not made: the store said so, and the key is as it was before.
    pub fn undone(&self, key: u64) {
        self.store(key, INTENT, self.load(key, DONE));
    }

    fn changes(&self, key: u64) -> (Change, Change) {
        let done = self.load(key, DONE);
        (Change::decode(done), Change::decode(self.load(key, INTENT)))
    }

    /// Whether a change that was begun is not known to be done.
    pub fn is_open(&self, key: u64) -> bool {
        self.load(key, DONE) != self.load(key, INTENT)
    }

    /// Reads a key that no process is changing, and notes what it is. `all` says that there is room
    /// for everything, so that nothing may be missing.
    pub fn settle(&self, cache: &FileCache, key: u64, all: bool) -> Option<u64> {
        let (done, intent) = self.changes(key);
        let before = now_ms();
        let found = cache.get(key.to_le_bytes()).map(|bytes| check(key, &bytes));
        let after = now_ms();
        let may_miss = |change: Change| match change.kind {
            Kind::Absent => true,
            Kind::Stays => !all,
            Kind::Expires => !all || after >= self.load(key, EARLIEST),
        };
        let may_hit = |change: Change, version| {
            let lives = change.kind == Kind::Stays
                || change.kind == Kind::Expires && before < self.load(key, LATEST);
            lives && change.version == version
        };
        let right = [done, intent].into_iter().find(|&change| match found {
            Some(version) => may_hit(change, version),
            None => may_miss(change),
        });
        let Some(right) = right else {
            panic!("key {key} is {found:?}, after {done:?} was done and {intent:?} begun");
        };
        let kind = if found.is_some() { right.kind } else { Kind::Absent };
        let version = found.unwrap_or(intent.version);
        let settled = Change { version, kind, begun_ms: 0 }.encode();
        self.store(key, INTENT, settled);
        self.store(key, DONE, settled);
        found
    }

    /// Reads a key by `read` while others may be changing it. What is found is never older than what
    /// was done before and never newer than what was begun, and exact where nothing was under way.
    pub fn read(&self, key: u64, all: bool, read: impl FnOnce() -> Option<u64>) {
        let (done, begun) = self.changes(key);
        let times = (self.load(key, EARLIEST), self.load(key, LATEST));
        let before = now_ms();
        let found = read();
        let after = now_ms();
        let (_, last) = self.changes(key);
        if let Some(version) = found {
            assert!(
                (done.version..=last.version).contains(&version),
                "key {key} is {version}, after {done:?} was done and {last:?} begun"
            );
        }
        if done != begun || done != last {
            return;
        }
        // Nothing was under way from before the read to its end.
        let right = match (done.kind, found.is_some()) {
            (Kind::Absent, hit) => !hit,
            (Kind::Stays, hit) => hit || !all,
            (Kind::Expires, true) => before < times.1,
            (Kind::Expires, false) => !all || after >= times.0,
        };
        assert!(
            right,
            "key {key} is {found:?}, after {done:?} {times:?}, from {before} to {after}"
        );
    }

    /// Notes that every key is absent.
    pub fn cleared(&self) {
        for key in 0..RANGES as u64 * KEYS {
            let version = self.load(key, NEWEST);
            let absent = Change { version, kind: Kind::Absent, begun_ms: 0 }.encode();
            self.store(key, INTENT, absent);
            self.store(key, DONE, absent);
        }
    }
}

pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}
