//! A copy of the store as after a kill, in the hands of another process: what it must hold, and what
//! must go on as if nothing had been.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use larder::FileCache;

use super::role::{MAX_BYTES, builder};
use super::shadow::Shadow;
use crate::common::{Random, check, disk, value};
use crate::copies::pass_for;

/// Where the lock word stands in the log, and its phases (see `format.md`).
pub const LOCK: usize = 0x080;
pub const FREE: u64 = 0;
pub const HELD: u64 = 1;
pub const COMMIT: u64 = 2;

/// A key that no operation uses.
const PROBE: u64 = 3_000_000;

/// Keys and their versions.
pub type Contents = BTreeMap<u64, u64>;

/// What the operation may do to a store.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// Entries that the store may have; 0: no limit.
    pub entries: u64,
    /// The boot that the operation is in.
    pub boot: u64,
    /// What the operation begins with.
    pub before: Contents,
    /// What it makes of some keys, in this order.
    pub news: Vec<(u64, Option<u64>)>,
    /// So many of these, the first, may stay undone: a kill came between.
    pub unsure: usize,
    /// How many others it may evict.
    pub losses: usize,
    /// It removes all at once.
    pub clears: bool,
    /// It may find a store of another boot.
    pub recovers: bool,
    /// It may find a store that is damaged.
    pub begins_anew: bool,
}

/// What an earlier kill of the same operation has shown: a later one shows no less.
#[derive(Clone, Default)]
pub struct Progress {
    done: BTreeSet<u64>,
    gone: BTreeSet<u64>,
    cleared: bool,
}

impl Progress {
    /// Compares what was found with what may be; `except` is a key that the tester touched.
    fn judge(&mut self, rule: &Rule, found: &Contents, except: Option<u64>, what: &str) {
        if rule.clears {
            self.cleared |= found.keys().all(|key| Some(*key) == except);
            let expected = if self.cleared { &Contents::new() } else { &rule.before };
            let found = found.iter().filter(|(key, _)| Some(**key) != except);
            let expected = expected.iter().filter(|(key, _)| Some(**key) != except);
            assert!(found.eq(expected), "{what}: neither all nor nothing");
            return;
        }
        let mut before_last = true;
        for (number, (key, new)) in rule.news.iter().enumerate() {
            let (old, now) = (rule.before.get(key), found.get(key));
            if Some(*key) == except {
                continue;
            }
            let lost = now.is_none() && rule.losses > 0;
            if now == new.as_ref() {
                self.done.insert(*key);
                assert!(before_last || rule.losses > 0, "{what}: {key} is done, one before is not");
            } else if !lost {
                assert!(now == old, "{what}: key {key} is {now:?}, not {old:?} and not {new:?}");
                assert!(!self.done.contains(key), "{what}: key {key} is {now:?} again");
                before_last = number < rule.unsure && before_last;
            }
        }
        let is_new = |key: &u64| rule.news.iter().any(|(new, _)| new == key);
        for key in rule.before.keys().chain(found.keys()).filter(|key| !is_new(key)) {
            let (old, now) = (rule.before.get(key), found.get(key));
            if Some(*key) == except || now == old && !self.gone.contains(key) {
                continue;
            }
            let may_go = now.is_none() && rule.losses > 0;
            assert!(may_go, "{what}: key {key} is {now:?} and was {old:?}");
            self.gone.insert(*key);
        }
        assert!(self.gone.len() <= rule.losses, "{what}: {:?} are gone", self.gone);
    }

    /// After the operation: what it was to do is done.
    pub fn judge_end(&self, rule: &Rule, found: &Contents) {
        for (key, new) in &rule.news[rule.unsure..] {
            let lost = rule.losses > 0 && rule.news.len() > 1 && !found.contains_key(key);
            assert!(found.get(key) == new.as_ref() || lost, "key {key} is not {new:?} at the end");
        }
        assert!(!rule.clears || found.is_empty(), "not cleared at the end");
    }
}

/// What the kills of one operation have shown, by the way in which they were looked at.
#[derive(Default)]
pub struct Examiner {
    /// Read before anything was written.
    read: Progress,
    /// Read after somebody finished what was begun.
    finished: Progress,
    /// Read after another boot.
    rebooted: Progress,
    /// What was found last by the first way.
    pub found: Contents,
    /// Copies opened.
    pub opened: u64,
}

impl Examiner {
    /// Looks at a copy of the store as after a kill right now.
    pub fn kill(&mut self, shadow: &Shadow, rule: &Rule, random: &mut Random) {
        self.opened += 1;
        let root = tempfile::tempdir_in(shadow.directory.parent().unwrap()).unwrap();
        let copy = root.path().join("copy");
        shadow.copy_to(&copy);
        let reboots = !rule.recovers && random.one_in(8);
        let what = format!("kill {}, another boot: {reboots}", self.opened);
        if !reboots {
            pass_for(&copy, &shadow.directory).unwrap();
        }
        let builder = builder(rule.entries, if reboots { rule.boot + 1 } else { rule.boot });
        if copy.join("store").exists() && random.one_in(8) {
            let reader = builder.clone().read_only(true).open(&copy).unwrap();
            self.progress(reboots).clone().judge(rule, &read_all(&reader), None, &what);
        }
        let mut handles = vec![builder.open(&copy).unwrap()];
        let opening = handles[0].opening();
        assert!(opening.other_boot == reboots || rule.recovers, "{what}: {opening:?}");
        assert!(opening.began_anew.is_none() || rule.begins_anew, "{what}: {opening:?}");
        // The dead process's slot is the last that a new one takes: then that one finishes what it
        // began. Else the first who waits for the lock does.
        while random.one_in(2) && handles.len() < 3 {
            handles.push(builder.open(&copy).unwrap());
        }
        let cache = handles.last().unwrap();
        let found = read_all(cache);
        let progress = match (reboots, handles.len()) {
            (false, 3) => &mut self.finished,
            _ => self.progress(reboots),
        };
        progress.judge(rule, &found, None, &what);
        if !reboots {
            self.found.clone_from(&found);
        }
        let report = cache.verify().unwrap();
        assert!(report.is_sound(), "{what}: {report:?}");

        let first = found.keys().find(|key| rule.news.iter().all(|(new, _)| new != *key));
        let touched = match first {
            Some(key) => {
                // An eviction that was begun may have been of this one: now it is finished.
                let removed = cache.remove(key.to_le_bytes()).unwrap();
                assert!(removed || rule.losses > 0, "{what}: key {key} was there and is not");
                *key
            }
            None => {
                cache.insert(PROBE.to_le_bytes(), value(PROBE, 1, 24)).unwrap();
                PROBE
            }
        };
        let progress = if reboots { &mut self.rebooted } else { &mut self.finished };
        progress.judge(rule, &read_all(cache), Some(touched), &what);
        let mut contents = read_all(cache);
        work(cache, &copy, &mut contents, rule, random);
        if random.one_in(4) {
            turn_over(cache, &copy, rule);
        }
    }

    fn progress(&mut self, reboots: bool) -> &mut Progress {
        if reboots { &mut self.rebooted } else { &mut self.read }
    }

    /// The operation has come to its end.
    pub fn end(&self, rule: &Rule) {
        self.read.judge_end(rule, &self.found);
    }
}

/// All that a store holds; every byte is checked.
pub fn read_all(cache: &FileCache) -> Contents {
    let mut contents = Contents::new();
    for (name, bytes) in cache.iter() {
        let key = u64::from_le_bytes(name.try_into().unwrap());
        let version = check(key, &bytes);
        let single = cache.get(key.to_le_bytes()).map(|bytes| check(key, &bytes));
        assert_eq!(single, Some(version), "key {key} is met, and not found");
        assert_eq!(contents.insert(key, version), None, "key {key} is met twice");
    }
    contents
}

/// Nothing is held, nothing is miscounted, no limit is passed.
pub fn assert_in_order(cache: &FileCache, directory: &Path, entries: u64) {
    let report = cache.verify().unwrap();
    assert!(report.is_sound() && !report.disturbed, "{report:?}");
    assert_eq!(Shadow::of(directory).word(LOCK) & 3, FREE, "the lock is held");
    assert_in_bounds(cache, directory, entries);
}

pub fn assert_in_bounds(cache: &FileCache, directory: &Path, entries: u64) {
    assert!(entries == 0 || cache.len() <= entries, "{} entries", cache.len());
    assert!(disk(directory) <= MAX_BYTES, "{} bytes of disk", disk(directory));
}

/// The store is written to as if nothing had been: no operation fails or finds the lock held.
fn work(
    cache: &FileCache,
    directory: &Path,
    contents: &mut Contents,
    rule: &Rule,
    random: &mut Random,
) {
    let evictions = cache.stats().evictions;
    let known: Vec<u64> = contents.keys().copied().collect();
    for round in 0..6u64 {
        let key = if round % 2 == 0 || known.is_empty() {
            1_000_000 + round
        } else {
            known[random.below(known.len() as u64) as usize]
        };
        let length = 24 + random.below(900) as usize;
        cache.insert(key.to_le_bytes(), value(key, 900 + round, length)).unwrap();
        contents.insert(key, 900 + round);
        let found = cache.get(key.to_le_bytes()).map(|bytes| check(key, &bytes));
        assert_eq!(found, Some(900 + round), "key {key} is not as it was just put");
    }
    assert_in_order(cache, directory, rule.entries);
    cache.compact().unwrap();
    let evicted = (cache.stats().evictions - evictions) as usize;
    let found = read_all(cache);
    for (key, version) in &found {
        assert_eq!(contents.get(key), Some(version), "key {key} has another version");
    }
    let missing = contents.len() - found.len();
    assert!(missing <= evicted, "{missing} keys are missing, {evicted} were evicted");
    assert_in_order(cache, directory, rule.entries);
}

/// Every segment can be used again: none was left pinned or lost to the books.
fn turn_over(cache: &FileCache, directory: &Path, rule: &Rule) {
    for key in 0..2 * MAX_BYTES / 8192 {
        let key = 2_000_000 + key;
        cache.insert(key.to_le_bytes(), value(key, 1, 8000)).unwrap();
        assert_in_bounds(cache, directory, rule.entries);
    }
    cache.clear().unwrap();
    cache.compact().unwrap();
    let stats = cache.stats();
    assert!(cache.is_empty() && stats.live_bytes == 0, "{stats:?}");
    assert!(stats.segments_used <= 2, "{stats:?}");
    assert_in_order(cache, directory, rule.entries);
}
