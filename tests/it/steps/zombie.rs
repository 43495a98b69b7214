//! A stop instead of a kill: a child stays stopped at some instruction of an operation, the tester works
//! with the store meanwhile, and then the child goes on as if nothing had been, or is killed after all.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder::{ErrorKind, FileCache};

use super::examine::{COMMIT, HELD, LOCK, assert_in_bounds, assert_in_order, read_all};
use super::role::builder;
use super::shadow::Shadow;
use super::tracee::{Stepped, Tracee};
use crate::common::{self, Random, check, value};

/// Keys in use: so few that both meet at the same ones.
const KEYS: u64 = 40;
/// A key of the tester alone.
const PROBE: u64 = 3_000_000;

/// How large the store's contents are against its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// There is room for everything: a key that is not there is a fault.
    Small,
    /// More keys than the store may have.
    ManyEntries,
    /// More bytes than the store may have.
    ManyBytes,
}

impl Size {
    fn entries(self) -> u64 {
        if self == Self::ManyEntries { 25 } else { 0 }
    }

    fn length(self, random: &mut Random) -> u64 {
        24 + match self {
            Self::ManyBytes if random.one_in(2) => random.below(40_000),
            _ => random.below(2500),
        }
    }
}

/// What a key may be: `None` is missing.
type Versions = BTreeSet<Option<u64>>;

/// A store with a child that is stopped now and then.
pub struct Zombie {
    _root: tempfile::TempDir,
    directory: PathBuf,
    size: Size,
    child: Option<Tracee>,
    cache: FileCache,
    may_be: BTreeMap<u64, Versions>,
    /// What the child may make of keys, at any moment until it goes on and has done it.
    pending: BTreeMap<u64, Option<u64>>,
    version: u64,
    /// Instructions that an operation takes, by its verb, as far as known.
    lengths: HashMap<String, u64>,
    /// Stops of a child that had committed and not stored all.
    pub stops_in_commit: u64,
}

impl Zombie {
    /// A new store; `None` where processes may not be traced.
    pub fn new(size: Size) -> Option<Self> {
        let root = common::fast_directory();
        let directory = root.path().join("store");
        let timeout = Duration::from_millis(20);
        let builder = builder(size.entries(), 1).lock_timeout(timeout);
        let cache = builder.open(&directory).unwrap();
        let zombie = Self {
            _root: root,
            directory,
            size,
            child: None,
            cache,
            may_be: (0..KEYS).map(|key| (key, [None].into())).collect(),
            pending: BTreeMap::new(),
            version: 0,
            lengths: HashMap::new(),
            stops_in_commit: 0,
        };
        Tracee::start(&zombie.directory).map(|child| Self { child: Some(child), ..zombie })
    }

    /// Stops the child in an operation, works, lets it go on, and compares.
    pub fn round(&mut self, most_steps: u64, random: &mut Random) {
        let mut child = self.child.take().unwrap();
        if child.steps == 0 {
            child.run(&format!("open {} 1", self.size.entries()));
        }
        let (command, news) = self.draw(random);
        for (key, new) in news {
            self.pending.insert(key, new);
            self.may_be.get_mut(&key).unwrap().insert(new);
        }
        let verb = command.split(' ').next().unwrap().to_owned();
        let known = self.lengths.entry(verb).or_insert(2000);
        child.begin(&command);
        let steps = child.steps;
        let at_mark = if random.one_in(2) {
            let wanted = random.below((*known).min(most_steps)) + 1;
            let at_mark = child.stride(wanted);
            *known = if at_mark { child.steps - steps } else { (*known).max(wanted * 5 / 4) };
            at_mark
        } else {
            // Some steps after it took the lock, or committed, for the first time or a later one.
            let phase = if random.one_in(2) { COMMIT } else { HELD };
            let times = 1 + random.below(3);
            (0..times).any(|_| step_into(&mut child, &self.directory, phase, most_steps))
                || child.stride(random.below(40))
        };
        let what = format!("{command} stopped after {} steps", child.steps - steps);
        let touched = self.work(&what, random);
        let is_killed = random.one_in(4);
        if is_killed {
            child.kill();
            self.child = Some(Tracee::start(&self.directory).unwrap());
        } else {
            child.finish(at_mark);
            for (key, new) in &self.pending {
                // Acknowledged: it is there, but for what the tester did, before or after it.
                if !touched.contains(key) {
                    self.may_be.insert(*key, [*new].into());
                }
            }
            self.child = Some(child);
        }
        // Whatever was begun is finished by now, or by this.
        self.cache.insert(PROBE.to_le_bytes(), value(PROBE, 1, 24)).unwrap();
        assert_in_order(&self.cache, &self.directory, self.size.entries());
        self.compare(&format!("{what}, killed: {is_killed}"));
    }

    /// A command for the child, and what it makes of which keys.
    fn draw(&mut self, random: &mut Random) -> (String, Vec<(u64, Option<u64>)>) {
        self.version += 1;
        let (key, version) = (random.below(KEYS - 3), self.version);
        let removed = |keys: std::ops::Range<u64>| keys.map(|key| (key, None)).collect();
        match random.below(16) {
            0 => ("compact".into(), Vec::new()),
            1 => ("maintain".into(), Vec::new()),
            2 => ("sync".into(), Vec::new()),
            3 => ("clear".into(), removed(0..KEYS)),
            4..=6 => (format!("remove {key} {} 1", key + 1), removed(key..key + 1)),
            7 => {
                let news = (key..key + 3).map(|key| (key, Some(version))).collect();
                (format!("put {key} {} {version} {}", key + 3, self.size.length(random)), news)
            }
            _ => {
                let length = self.size.length(random);
                let command = format!("put {key} {} {version} {length}", key + 1);
                (command, vec![(key, Some(version))])
            }
        }
    }

    /// Works with the store while the child is stopped; the keys that were touched.
    fn work(&mut self, what: &str, random: &mut Random) -> BTreeSet<u64> {
        let mut touched = BTreeSet::new();
        let report = self.cache.verify().unwrap();
        assert!(report.is_sound(), "{what}: {report:?}");
        for _ in 0..random.below(250) {
            let key = random.below(KEYS);
            let done = match random.below(60) {
                0 => self.cache.compact().map(|_| None),
                1..=5 => self.cache.remove(key.to_le_bytes()).map(|_| Some(None)),
                6..=15 => {
                    self.look(key, what);
                    Ok(None)
                }
                _ => {
                    self.version += 1;
                    let new = value(key, self.version, self.size.length(random) as usize);
                    let version = self.version;
                    self.cache.insert(key.to_le_bytes(), new).map(|()| Some(Some(version)))
                }
            };
            match done {
                Ok(None) => {}
                Ok(Some(new)) => {
                    // What was there is gone; what the child stores may come later.
                    let pending = self.pending.get(&key).copied();
                    self.may_be.insert(key, pending.into_iter().chain([new]).collect());
                    touched.insert(key);
                }
                Err(error) => {
                    let lock = Shadow::of(&self.directory).word(LOCK);
                    let is_stuck = error.kind() == ErrorKind::Busy && lock & 3 == COMMIT;
                    assert!(is_stuck, "{what}: {error}, the lock is {lock:#x}");
                    self.stops_in_commit += 1;
                    break;
                }
            }
            assert_in_bounds(&self.cache, &self.directory, self.size.entries());
        }
        touched
    }

    fn look(&self, key: u64, what: &str) {
        let found = self.cache.get(key.to_le_bytes()).map(|bytes| check(key, &bytes));
        self.judge(key, found, what);
    }

    fn judge(&self, key: u64, found: Option<u64>, what: &str) {
        let may_be = &self.may_be[&key];
        let is_lost = found.is_none() && self.size != Size::Small;
        assert!(may_be.contains(&found) || is_lost, "{what}: {key} is {found:?} of {may_be:?}");
    }

    /// All that the store holds against what it may hold; from then on it is known.
    fn compare(&mut self, what: &str) {
        self.pending.clear();
        let mut found = read_all(&self.cache);
        found.remove(&PROBE);
        assert!(found.keys().all(|key| *key < KEYS), "{what}: keys that nobody put");
        for key in 0..KEYS {
            let version = found.get(&key).copied();
            self.judge(key, version, what);
            self.may_be.insert(key, [version].into());
        }
    }
}

/// Steps until the lock comes into this phase; whether the mark at the end came first.
pub fn step_into(child: &mut Tracee, directory: &Path, phase: u64, most_steps: u64) -> bool {
    let log = File::open(directory.join("log")).unwrap();
    for _ in 0..most_steps {
        let (offset, length) = match child.step() {
            Stepped::Marked => return true,
            Stepped::Wrote { file, offset, length } if file == "log" => (offset, length),
            _ => continue,
        };
        let mut word = [0u8; 8];
        log.read_exact_at(&mut word, LOCK as u64).unwrap();
        let is_lock = (offset..offset + length).contains(&(LOCK as u64));
        if is_lock && u64::from_le_bytes(word) & 3 == phase {
            return false;
        }
    }
    false
}
