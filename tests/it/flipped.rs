//! Every bit of every checked word, flipped: in one copy that costs nothing, in both never more than misses or a
//! clear error. The stores are those in which a wrong word would bring back what is outdated: with slots that a
//! split left behind, with two versions of a key after a power cut, and with entries that a clear took.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use larder::internals::Simulated;
use larder::internals::address::SegmentId;
use larder::internals::checked::CheckedAt;
use larder::internals::control;
use larder::{Builder, FileCache};

use crate::common::{self, Random, check, value};
use crate::exercise::assert_is_clear;
use crate::fuzz::files::Files;
use crate::fuzz::sample::{BOOT, Sample};

/// Keys that are not in the stores.
const FREE_KEYS: std::ops::Range<u64> = 90_000..90_040;

/// What each key holds: its version, or nothing.
type Versions = BTreeMap<u64, Option<u64>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    InUse,
    InUseByReader,
    Closed,
    OtherBoot,
}

fn builder(system: &Simulated) -> Builder {
    let small = FileCache::builder().max_bytes(3 << 20).segment_size(64 << 10).max_processes(4);
    small.environment(system.environment())
}

fn insert(cache: &FileCache, keys: impl IntoIterator<Item = u64>, version: u64) {
    for key in keys {
        cache.insert(key.to_le_bytes(), value(key, version, 40)).unwrap();
    }
}

fn system() -> Simulated {
    Simulated::default().at(1_700_000_000_000).in_boot(BOOT)
}

/// Slots of version 1 that a split left behind, and the same keys in version 2 elsewhere.
fn with_foreign_slots(path: &Path) -> (Sample, Versions) {
    let system = system();
    let cache = builder(&system).open(path).unwrap();
    insert(&cache, 0..150, 1);
    cache.sync().unwrap();
    insert(&cache, 1000..1800, 1);
    for key in 0..150u64 {
        cache.remove(key.to_le_bytes()).unwrap();
    }
    insert(&cache, (0..150).rev(), 2);
    drop(cache);
    let mut versions: Versions = (0..150).map(|key| (key, Some(2))).collect();
    versions.extend((1000..1800).map(|key| (key, Some(1))));
    (Sample::keep(path, &system), versions)
}

/// The same after a power cut, which brought version 1 back beside version 2.
fn with_two_versions(path: &Path) -> (Sample, Versions) {
    let (sample, versions) = with_foreign_slots(path);
    // Two other boots: the one of the cut, and the one in which the tests look, which finds it in order.
    for boot_id in [[9, 9], BOOT] {
        let system = sample.system.clone().in_boot(boot_id);
        drop(FileCache::builder().environment(system.environment()).open(path).unwrap());
    }
    for name in ["log", "index"] {
        std::fs::remove_file(path.with_extension(name)).unwrap();
    }
    (Sample::keep(path, &sample.system), versions)
}

/// Version 1 cleared and not collected yet, and some keys stored since.
fn with_cleared_entries(path: &Path) -> (Sample, Versions) {
    let system = system();
    let cache = builder(&system).open(path).unwrap();
    insert(&cache, 0..400, 1);
    cache.clear().unwrap();
    insert(&cache, 0..3, 2);
    drop(cache);
    let versions = (0..400).map(|key| (key, (key < 3).then_some(2)));
    (Sample::keep(path, &system), versions.collect())
}

/// Every key has its version or nothing, and so has every entry; how many have theirs.
fn read(cache: &FileCache, versions: &Versions) -> usize {
    let get = |key: u64| cache.get(key.to_le_bytes()).map(|bytes| check(key, &bytes));
    let is_right = |key: u64, found: u64| {
        let expected = versions.get(&key).copied().unwrap_or(Some(1));
        assert_eq!(Some(found), expected, "key {key} is outdated");
    };
    for (key, bytes) in cache.iter() {
        let key = u64::from_le_bytes(key.try_into().unwrap());
        is_right(key, check(key, &bytes));
    }
    let found = versions.keys().filter_map(|&key| get(key).map(|found| (key, found)));
    found.inspect(|&(key, found)| is_right(key, found)).count()
}

/// A flip of a bit, in one copy of a word or in both.
#[derive(Clone, Copy, Debug)]
struct Flip {
    at: CheckedAt,
    bit: u32,
    copies: u32,
}

impl Flip {
    fn is_of_one_copy(self) -> bool {
        self.copies != 3
    }

    fn make(self, sample: &Sample) {
        let files = Files::open(&sample.path, sample.identity.geometry());
        for (number, copy) in self.at.copies().into_iter().enumerate() {
            if self.copies >> number & 1 == 1 {
                files.set(copy, files.word(copy) ^ 1 << self.bit);
            }
        }
    }
}

/// Whether the opening finds a word lost without which the store is not in order.
fn is_recovered(flip: Flip, when: When) -> bool {
    let needed = [control::PAGES, control::CLEAR_LSN, control::EPOCH].contains(&flip.at);
    when == When::Closed && !flip.is_of_one_copy() && needed
}

/// Flips, and looks at the store in every way; whether it could be opened.
fn look(sample: &Sample, versions: &Versions, all: usize, flip: Flip, when: When) -> bool {
    sample.restore();
    let boot_id = if when == When::OtherBoot { [7, 7] } else { BOOT };
    let boot = sample.system.clone().in_boot(boot_id);
    let read_only = when == When::InUseByReader;
    let builder = || FileCache::builder().environment(boot.environment()).read_only(read_only);
    let cache = match when {
        When::InUse | When::InUseByReader => {
            let cache = builder().open(&sample.path).unwrap();
            flip.make(sample);
            Ok(cache)
        }
        When::Closed | When::OtherBoot => {
            flip.make(sample);
            builder().open(&sample.path)
        }
    };
    let cache = match cache {
        Ok(cache) => cache,
        Err(error) => {
            assert!(!flip.is_of_one_copy(), "{error}");
            assert_is_clear(&error);
            return false;
        }
    };
    assert_eq!(cache.opening().other_boot, when == When::OtherBoot || is_recovered(flip, when));
    let found = read(&cache, versions);
    assert!(found == all || !flip.is_of_one_copy(), "{found} of {all}");
    let is_told = !cache.verify().unwrap().damaged_words.is_empty();
    assert!(is_told || when != When::InUse, "verify says nothing");
    if read_only {
        return true;
    }
    let done = FREE_KEYS.map(|key| cache.insert(key.to_le_bytes(), value(key, 1, 40)));
    let done = done.collect::<Result<(), _>>().and_then(|()| cache.maintain().map(|_| ()));
    if let Err(error) = done.and_then(|()| cache.compact().map(|_| ())) {
        assert!(!flip.is_of_one_copy(), "{error}");
        assert_is_clear(&error);
    }
    let found = read(&cache, versions);
    if flip.is_of_one_copy() {
        assert_eq!(found, all);
        let verified = cache.verify().unwrap();
        assert!(verified.is_sound(), "{verified:?}");
    }
    true
}

/// Every bit of every checked word of one store, in random order, until all are done or the time is over.
fn flip_all(name: &str, (sample, versions): (Sample, Versions)) {
    let all = versions.values().flatten().count();
    let geometry = sample.identity.geometry();
    let segments = (0..4).map(|segment| geometry.state_at(SegmentId::new(segment)));
    let words = control::CHECKED.into_iter().map(|(at, _)| at).chain(segments);
    let bits =
        |at| (0..64).flat_map(move |bit| (1..=3).map(move |copies| Flip { at, bit, copies }));
    let whens = [When::InUse, When::InUseByReader, When::Closed, When::OtherBoot];
    let mut cases: Vec<(Flip, When)> =
        words.flat_map(bits).flat_map(|flip| whens.map(|when| (flip, when))).collect();
    let mut random = Random::new(common::seed());
    let (begun, all_cases) = (Instant::now(), cases.len());
    let (mut done, mut opened) = (0, 0);
    while !cases.is_empty() && begun.elapsed() < common::duration(6) {
        let (flip, when) = cases.swap_remove(random.below(cases.len() as u64) as usize);
        println!("{name}: {flip:x?}, {when:?}");
        done += 1;
        opened += u64::from(look(&sample, &versions, all, flip, when));
    }
    assert!(opened * 10 > done * 9, "only {opened} of {done} opened");
    let what = format!("of {all_cases} flipped bits of checked words, {name}");
    common::evidence("fuzz", done, &what);
}

#[test]
fn a_flipped_bit_beside_slots_that_a_split_left_brings_nothing_back() {
    let root = common::fast_directory();
    flip_all("foreign slots", with_foreign_slots(&root.path().join("store")));
}

#[test]
fn a_flipped_bit_beside_two_versions_of_a_key_brings_the_older_one_never_back() {
    let root = common::fast_directory();
    flip_all("two versions", with_two_versions(&root.path().join("store")));
}

#[test]
fn a_flipped_bit_beside_cleared_entries_brings_none_back() {
    let root = common::fast_directory();
    flip_all("cleared", with_cleared_entries(&root.path().join("store")));
}
