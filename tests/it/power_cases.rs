//! Power cuts by hand: states that chance builds seldom, each against one rule of the barrier.
//!
//! `base` is what the last sync has made durable, `now` what the kernel may have written since.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::FileCache;
use larder::internals::{Flush, Simulated};

use crate::common::{self, Random, check, value};

const PAGE: usize = 4096;
/// Bytes of the control block of a store for four processes.
const CONTROL: usize = 0xF0000;

/// Both files at a moment.
#[derive(Clone, Default)]
struct Files {
    log: Vec<u8>,
    index: Vec<u8>,
}

impl Files {
    fn read(directory: &Path) -> Self {
        let read = |name| std::fs::read(directory.join(name)).unwrap();
        Self { log: read("log"), index: read("index") }
    }

    /// With a part of the log as of another moment.
    fn with_log(mut self, part: std::ops::Range<usize>, of: &Self) -> Self {
        self.log.resize(self.log.len().max(of.log.len()), 0);
        let part = part.start..part.end.min(of.log.len());
        self.log[part.clone()].copy_from_slice(&of.log[part]);
        self
    }

    /// With a page of the index as of another moment: 0 is its header.
    fn with_page(mut self, page: usize, of: &Self) -> Self {
        self.index.resize(self.index.len().max(of.index.len()), 0);
        let part = page * PAGE..(page + 1) * PAGE;
        match of.index.get(part.clone()) {
            Some(bytes) => self.index[part].copy_from_slice(bytes),
            None => self.index[part].fill(0),
        }
        self
    }
}

/// Where the stores of a test are, and how many there were.
struct Place {
    root: tempfile::TempDir,
    opened: AtomicU64,
}

impl Place {
    fn new() -> Self {
        Self { root: common::fast_directory(), opened: AtomicU64::new(0) }
    }

    fn first(&self) -> PathBuf {
        self.root.path().join("first")
    }

    fn create(&self, system: &Simulated) -> FileCache {
        let builder = FileCache::builder().max_bytes(3 << 20).segment_size(64 << 10);
        builder.max_processes(4).environment(system.environment()).open(self.first()).unwrap()
    }

    /// Looks at what a cut left, as after another boot.
    fn after<T>(
        &self,
        files: &Files,
        system: &Simulated,
        look: impl FnOnce(&FileCache, &Path) -> T,
    ) -> T {
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let directory = self.root.path().join(number.to_string());
        std::fs::create_dir(&directory).unwrap();
        std::fs::copy(self.first().join("store"), directory.join("store")).unwrap();
        std::fs::write(directory.join("log"), &files.log).unwrap();
        std::fs::write(directory.join("index"), &files.index).unwrap();
        let environment = system.clone().in_boot([3, number]).environment();
        let cache = FileCache::builder().environment(environment).open(&directory).unwrap();
        assert!(cache.opening().other_boot, "{:?}", cache.opening());
        let answer = look(&cache, &directory);
        drop(cache);
        std::fs::remove_dir_all(directory).unwrap();
        answer
    }

    fn evidence(&self, what: &str) {
        common::evidence("power", self.opened.load(Ordering::Relaxed), what);
    }
}

fn version(cache: &FileCache, key: u64) -> Option<u64> {
    cache.get(key.to_le_bytes()).map(|bytes| check(key, &bytes))
}

fn insert(cache: &FileCache, key: u64, version: u64, length: usize) {
    cache.insert(key.to_le_bytes(), value(key, version, length)).unwrap();
}

/// An index that grows, and what of it the syncs have covered.
struct Growth {
    place: Place,
    random: Random,
    base: Files,
    /// Keys from 0 that are stored, and those that the last sync covered.
    stored: u64,
    covered: u64,
}

impl Growth {
    /// Cuts before each flush of a sync, and after it.
    fn flush(&mut self, path: &Path, flush: Flush) {
        if flush == Flush::Done {
            let now = Files::read(&self.place.first());
            match path.file_name().is_some_and(|name| name == "log") {
                true => self.base.log = now.log,
                false => self.base.index = now.index,
            }
        }
        if self.covered > 0 {
            self.cut();
        }
    }

    /// Cuts with any one page of the index old or new against all others, and each part of the log
    /// old or new.
    fn cut(&mut self) {
        let now = Files::read(&self.place.first());
        let pages = (now.index.len() / PAGE) as u64;
        for variant in 0..24 {
            // The first page, from which most were split off, more often than the others.
            let page = if variant < 8 { 1 } else { self.random.below(pages) as usize };
            let one = self.random.one_in(2);
            let (most, other) = if one { (&self.base, &now) } else { (&now, &self.base) };
            let mut files = most.clone().with_page(page, other);
            for part in [0..PAGE, PAGE..CONTROL, CONTROL..now.log.len()] {
                let of = if self.random.one_in(2) { &now } else { &self.base };
                files = files.with_log(part, of);
            }
            self.place.after(&files, &Simulated::default(), |cache, _| {
                let lost = |key: &u64| version(cache, *key).is_none() && *key < self.covered;
                let lost: Vec<u64> = (0..self.stored).filter(lost).collect();
                assert!(lost.is_empty(), "of {} keys, page {page} {one}: {lost:?}", self.covered);
            });
        }
    }
}

#[test]
fn a_split_that_no_sync_covers_loses_nothing_whichever_pages_were_written() {
    let growth = Arc::new(Mutex::new(Growth {
        place: Place::new(),
        random: Random::new(common::seed()),
        base: Files::default(),
        stored: 0,
        covered: 0,
    }));
    let told = growth.clone();
    let system = Simulated::default();
    let cache = growth.lock().unwrap().place.create(&system);
    let first = Files::read(&growth.lock().unwrap().place.first());
    growth.lock().unwrap().base = first;
    system.on_flush(move |path, flush| told.lock().unwrap().flush(path, flush));
    let mut syncs = 0;
    // Page 0 fills up with what later splits left behind, until puts want those slots.
    for key in 0..3500 {
        insert(&cache, key, 1, 24);
        let done = cache.stats().syncs;
        let mut known = growth.lock().unwrap();
        if done > syncs {
            // A put that found no slot but foreign ones: all before it is covered.
            (known.covered, syncs) = (known.stored, done);
        }
        known.stored = key + 1;
        if key > 2000 && key % 300 == 0 {
            known.cut();
        }
        drop(known);
        if key == 180 {
            cache.sync().unwrap();
            (growth.lock().unwrap().covered, syncs) = (key + 1, cache.stats().syncs);
        }
    }
    assert!(cache.stats().syncs > 1, "no put found foreign slots alone: {:?}", cache.stats());
    assert_eq!(cache.stats().evictions, 0);
    growth.lock().unwrap().place.evidence("cuts between a split and its sync");
}

#[test]
fn what_a_cut_took_back_is_not_taken_for_what_is_written_at_the_same_place_later() {
    let place = Place::new();
    let cache = place.create(&Simulated::default());
    let put = |cache: &FileCache, version| insert(cache, 7, version, 1000);
    // One key, so that every record fits every place; the log used up, so that segments are reused.
    (0..4000).for_each(|version| put(&cache, version));
    cache.sync().unwrap();
    let base = Files::read(&place.first());
    (4000..6000).for_each(|version| put(&cache, version));
    let now = Files::read(&place.first());
    // The records reached the disk, and nothing that names them.
    let cut = base.with_log(CONTROL..now.log.len(), &now);
    place.after(&cut, &Simulated::default(), |cache, directory| {
        assert_eq!(version(cache, 7), Some(3999));
        cache.sync().unwrap();
        let base = Files::read(directory);
        for newest in 10_000..10_300 {
            put(cache, newest);
            if newest % 7 != 0 {
                continue;
            }
            // Now all that names records reached it, and they did not.
            let now = Files::read(directory);
            let cut = now.with_log(CONTROL..base.log.len(), &base);
            let found = place.after(&cut, &Simulated::default(), |cache, _| version(cache, 7));
            let may_be = |version| version == 3999 || (10_000..=newest).contains(&version);
            assert!(found.is_none_or(may_be), "version {found:?} is back");
        }
    });
    place.evidence("cuts of records where older ones were cut");
}

#[test]
fn an_older_version_that_a_split_left_does_not_outlive_the_newer() {
    let place = Place::new();
    let system = Simulated::default().at(1_700_000_000_000);
    let cache = place.create(&system);
    (0..150).for_each(|key| insert(&cache, key, 1, 24));
    cache.sync().unwrap();
    (1000..1800).for_each(|key| insert(&cache, key, 1, 24));
    for key in 0..150u64 {
        cache.remove(key.to_le_bytes()).unwrap();
    }
    // Stored again, and not where they were.
    for key in (0..150u64).rev() {
        let new = value(key, 2, 24);
        cache.insert_with_ttl(key.to_le_bytes(), new, Duration::from_secs(60)).unwrap();
    }
    let now = Files::read(&place.first());
    let stored = system.clock();
    // Upkeep comes to some of them sooner than to the decision which of two versions it is.
    let put = |cache: &FileCache| (5000..5030).for_each(|key| insert(cache, key, 1, 10_000));
    let maintain = |cache: &FileCache| assert!(cache.maintain().is_ok());
    for collect in [&maintain as &dyn Fn(&FileCache), &put] {
        system.set_clock(stored);
        place.after(&now, &system, |cache, _| {
            let newer: Vec<u64> = (0..150).filter(|&key| version(cache, key) == Some(2)).collect();
            assert!(newer.len() > 100, "{newer:?}");
            system.advance(3_600_000);
            for &key in &newer {
                assert_eq!(version(cache, key), None, "key {key}");
            }
            // The newer ones are collected.
            collect(cache);
            for &key in &newer {
                assert_eq!(version(cache, key), None, "key {key} is back");
            }
        });
    }
    place.evidence("cuts that leave two versions of a key");
}

#[test]
fn upkeep_beside_the_first_sync_of_a_store_evicts_nothing() {
    let place = Place::new();
    let shared: Arc<Mutex<Option<FileCache>>> = Arc::default();
    let (told, done) = (shared.clone(), AtomicBool::new(false));
    // No free segment can be taken now: they wait for this sync.
    let system = Simulated::default();
    let cache = place.create(&system);
    system.on_flush(move |_, _| {
        if !done.swap(true, Ordering::Relaxed) {
            let cache = told.lock().unwrap().take().unwrap();
            cache.maintain().unwrap();
            (50..60).for_each(|key| insert(&cache, key, 1, 500));
        }
    });
    *shared.lock().unwrap() = Some(cache.clone());
    (0..50).for_each(|key| insert(&cache, key, 1, 500));
    cache.sync().unwrap();
    assert_eq!(cache.stats().evictions, 0);
    assert!((0..60).all(|key| version(&cache, key) == Some(1)));
}

/// A word of the index, and the word before it.
const WORD: usize = 8;
/// Bytes of a group of slots.
const GROUP: usize = 16 * WORD;

/// A cut that leaves so many versions of a key, from 1, each in a slot of its own: the older ones come first. (Of
/// sectors of one page that are of different times, and of the copies that a split brings back, each
/// may have one.)
fn versions_of_a_key(place: &Place, versions: u64) -> (u64, Files) {
    let cache = place.create(&Simulated::default());
    (0..600).for_each(|key| insert(&cache, key, 1, 24));
    let words = |files: &Files| files.index.as_chunks::<WORD>().0.to_vec();
    let read = || Files::read(&place.first());
    let changed = |before: &Files, after: &Files| {
        let both = words(before).into_iter().zip(words(after));
        both.enumerate().find(|(_, (before, after))| before != after).map(|(at, _)| at * WORD)
    };
    // One on the last page: the decision which version is the newest comes there last.
    let mut key = 1000;
    let at = loop {
        let before = read();
        insert(&cache, key, 1, 24);
        let at = changed(&before, &read()).unwrap();
        let after = read();
        if before.index.len() == after.index.len() && at / PAGE == last_page(&after) {
            break at;
        }
        key += 1;
    };
    let slot = |files: &Files| <[u8; WORD]>::try_from(&files.index[at..at + WORD]).unwrap();
    let mut slots = vec![slot(&read())];
    for newer in 2..=versions {
        insert(&cache, key, newer, 24);
        slots.push(slot(&read()));
    }
    let mut files = read();
    let group = at / GROUP * GROUP;
    let free = |index: &[u8], at: usize| index[at..at + WORD] == [0; WORD];
    let of_group = (group..group + GROUP).step_by(WORD);
    let places = of_group.filter(|&slot| slot == at || free(&files.index, slot));
    let places: Vec<usize> = places.take(slots.len()).collect();
    assert_eq!(places.len(), slots.len());
    files.index[at..at + WORD].fill(0);
    for (at, slot) in places.into_iter().zip(slots) {
        files.index[at..at + WORD].copy_from_slice(&slot);
    }
    (key, files)
}

/// The last page of the index that slots are on.
fn last_page(files: &Files) -> usize {
    files.index.iter().rposition(|&byte| byte != 0).unwrap() / PAGE
}

#[test]
fn no_version_that_a_cut_left_comes_back_when_its_key_is_put_again_or_removed() {
    for versions in [2, 3, 5] {
        let place = Place::new();
        let (key, cut) = versions_of_a_key(&place, versions);
        for clears in [false, true] {
            place.after(&cut, &Simulated::default(), |cache, _| {
                assert_eq!(version(cache, key), Some(versions));
                if clears {
                    cache.clear().unwrap();
                    assert_eq!(version(cache, key), None);
                }
                insert(cache, key, 100, 24);
                // Upkeep decides which versions are the newest, a page with each put.
                for other in 0..40 {
                    let found = version(cache, key);
                    assert_eq!(
                        found,
                        Some(100),
                        "of {versions}, clear {clears}, after {other} puts"
                    );
                    insert(cache, 5000 + other, 1, 24);
                }
                cache.maintain().unwrap();
                assert_eq!(version(cache, key), Some(100));
                assert!(cache.remove(key.to_le_bytes()).unwrap());
                assert_eq!(version(cache, key), None);
                assert!(cache.verify().unwrap().is_sound());
            });
        }
        place.after(&cut, &Simulated::default(), |cache, _| {
            assert!(cache.remove(key.to_le_bytes()).unwrap());
            assert_eq!(version(cache, key), None);
            (5000..5040).for_each(|other| insert(cache, other, 1, 24));
            assert_eq!(version(cache, key), None);
            assert!(cache.verify().unwrap().is_sound());
        });
        place.evidence("cuts that leave several versions of a key");
    }
}
