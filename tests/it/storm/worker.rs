//! A worker: a process that changes keys of its own and reads those of all others until it is killed.

use std::sync::atomic::Ordering;
use std::time::Duration;

use larder::{FileCache, View};

use super::board::{Board, KEYS, Kind, RANGES};
use super::form::{FILLED, Form, SHARED, builder, fork};
use crate::common::{Random, check, value};

/// Keys that all workers change.
const SHARED_KEYS: u64 = 30;

/// One thread's work.
struct Worker<'a> {
    cache: &'a FileCache,
    board: Board,
    form: Form,
    range: usize,
    random: Random,
    views: Vec<(u64, u64, View)>,
}

/// What a worker does. Some have two threads, and some fork a child that goes on with their handle.
pub fn run(cache: FileCache, board: Board, form: Form, slot: usize, seed: u64) {
    std::panic::set_hook(Box::new(move |fault| {
        board.fault();
        eprintln!("worker {slot}: {fault}");
        // SAFETY: it leaves at once, whichever thread it is.
        unsafe { libc::_exit(101) };
    }));
    let mut random = Random::new(seed);
    let threads = 1 + random.below(2) as usize;
    let supervisor = parent();
    let forks = random.one_in(3).then(|| random.below(300));
    let cache = match random.below(4) {
        // The handle of the supervisor, inherited.
        0 => cache,
        _ => builder(form).open(cache.directory()).unwrap(),
    };
    let worker = |range: usize| Worker {
        cache: &cache,
        board,
        form,
        range,
        random: Random::new(seed ^ range as u64),
        views: Vec::new(),
    };
    std::thread::scope(|scope| {
        if threads == 2 {
            scope.spawn(|| worker(3 * slot + 1).work(|_| true));
        }
        let mut first = worker(3 * slot);
        let leader = std::process::id();
        first.work(|steps| {
            if forks == Some(steps) {
                fork(|| {
                    board.child(slot).store(u64::from(std::process::id()), Ordering::SeqCst);
                    // It may outlive its parent, but not the storm.
                    worker(3 * slot + 2).work(|_| [leader, supervisor].contains(&parent()));
                });
            }
            true
        });
    });
}

fn parent() -> u32 {
    std::os::unix::process::parent_id()
}

impl Worker<'_> {
    fn work(&mut self, mut goes_on: impl FnMut(u64) -> bool) {
        let first = self.range as u64 * KEYS;
        // A transaction finishes what a dead owner of the lock had begun. So what is read afterwards
        // does not change.
        let any = SHARED + SHARED_KEYS;
        self.cache.insert(any.to_le_bytes(), value(any, 0, 24)).unwrap();
        for key in first..first + KEYS {
            if self.board.is_open(key) {
                self.board.settle(self.cache, key, self.form.roomy);
            }
        }
        for steps in 0.. {
            if !goes_on(steps) {
                return;
            }
            self.step(first);
            self.board.operations(self.range).fetch_add(1, Ordering::Relaxed);
        }
    }

    fn step(&mut self, first: u64) {
        let own = first + self.random.below(KEYS);
        let any = self.random.below(RANGES as u64 * KEYS);
        match self.random.below(100) {
            0..28 => self.put(own, Kind::Stays, 0),
            28..34 => {
                let lives_ms = 1 + self.random.below(40);
                self.put(own, Kind::Expires, lives_ms);
            }
            34..42 => self.remove(own),
            42..46 => self.fill(own),
            46..72 => self.get(any),
            72..78 => self.view(any),
            78..80 => self.let_views_go(),
            80..88 => self.shared(),
            88..91 => self.filled(),
            91..99 => self.get(own),
            _ if self.random.one_in(4) => self.burst(own),
            _ => self.upkeep(),
        }
    }

    /// Small changes, one after the other. So much of the time is spent inside a transaction, where a
    /// kill matters most.
    fn burst(&mut self, key: u64) {
        for number in 0..1000 {
            let kind = if number % 3 == 2 { Kind::Absent } else { Kind::Stays };
            let change = self.board.begin(key, kind, 0);
            match kind {
                Kind::Absent => drop(self.cache.remove(key.to_le_bytes()).unwrap()),
                _ => self.cache.insert(key.to_le_bytes(), value(key, change.version, 24)).unwrap(),
            }
            self.board.done(key, change, 0);
        }
    }

    fn length(&mut self) -> usize {
        let large = if self.random.one_in(60) { 6000 } else { 600 };
        24 + self.random.below(large) as usize
    }

    fn put(&mut self, key: u64, kind: Kind, lives_ms: u64) {
        let length = self.length();
        let change = self.board.begin(key, kind, lives_ms);
        let new = value(key, change.version, length);
        let ttl = (kind == Kind::Expires).then(|| Duration::from_millis(lives_ms));
        self.cache.insert_with_ttl(key.to_le_bytes(), new, ttl).unwrap();
        self.board.done(key, change, lives_ms);
    }

    fn remove(&mut self, key: u64) {
        let change = self.board.begin(key, Kind::Absent, 0);
        self.cache.remove(key.to_le_bytes()).unwrap();
        self.board.done(key, change, 0);
    }

    /// Computes a value of its own if there is none.
    fn fill(&mut self, key: u64) {
        let length = self.length();
        let change = self.board.begin(key, Kind::Stays, 0);
        let made = || value(key, change.version, length);
        let got = self.cache.get_or_insert_with(key.to_le_bytes(), made).unwrap();
        if check(key, &got) == change.version {
            self.board.done(key, change, 0);
        } else {
            self.board.undone(key);
        }
    }

    fn get(&self, key: u64) {
        let get = || self.cache.get(key.to_le_bytes()).map(|bytes| check(key, &bytes));
        self.board.read(key, self.form.roomy, get);
    }

    /// Holds a view for a while. It must stay what it was.
    fn view(&mut self, key: u64) {
        let mut held = None;
        self.board.read(key, self.form.roomy, || {
            let view = self.cache.view(key.to_le_bytes())?;
            let version = check(key, &view);
            held = Some((key, version, view));
            Some(version)
        });
        self.views.extend(held);
        if self.views.len() > 3 {
            self.let_views_go();
        }
    }

    fn let_views_go(&mut self) {
        for (key, version, view) in self.views.drain(..) {
            assert_eq!(check(key, &view), version, "a view of {key} changed");
        }
    }

    /// Changes or reads a key that all workers change.
    fn shared(&mut self) {
        let key = SHARED + self.random.below(SHARED_KEYS);
        let (version, length) = (self.random.next() >> 8, self.length());
        let name = key.to_le_bytes();
        match self.random.below(4) {
            0 => drop(self.cache.remove(name).unwrap()),
            1 | 2 => self.cache.insert(name, value(key, version, length)).unwrap(),
            _ => drop(self.cache.get(name).map(|bytes| check(key, &bytes))),
        }
    }

    /// Fills a key that all workers fill. One at a time computes the value, and may be killed at it.
    fn filled(&mut self) {
        let key = FILLED + self.random.below(8);
        let (version, length) = (self.random.next() >> 8, self.length());
        let made = || value(key, version, length);
        let got = self.cache.get_or_insert_with(key.to_le_bytes(), made).unwrap();
        check(key, &got);
        if self.random.one_in(3) {
            self.cache.remove(key.to_le_bytes()).unwrap();
        }
    }

    fn upkeep(&mut self) {
        match self.random.below(60) {
            0 => drop(self.cache.compact().unwrap()),
            1..5 => drop(self.cache.maintain().unwrap()),
            5..8 => {
                for (key, bytes) in self.cache.iter() {
                    check(u64::from_le_bytes(key.try_into().unwrap()), &bytes);
                }
            }
            8..20 if self.form.syncs => drop(self.cache.sync().unwrap()),
            _ => drop(self.cache.stats()),
        }
    }
}
