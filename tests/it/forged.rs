//! Damage with right checksums: each field of a store's files, set to whatever a field could be set to,
//! through the format's own encoders, before the store is opened or while it is in use. It opens or says why
//! not; then nothing hangs, no wrong byte is read, and puts go on (after another boot at the latest).

use std::fs;
use std::path::Path;
use std::time::Instant;

use larder::FileCache;
use larder::internals::intent::WordAt;
use larder::internals::{control, segment};

use crate::children::say;
use crate::common::{self, Random, value};
use crate::exercise::assert_is_clear;
use crate::fuzz::damage::Field;
use crate::fuzz::files::Files;
use crate::fuzz::open::{read_all, use_all};
use crate::fuzz::sample::{BOOT, KEYS, Sample, home, sample};
use crate::fuzz::words::WORDS;
use crate::hostile::{begin, most_memory, run, set_deadlines};

/// Another boot than that of the samples.
const OTHER_BOOT: [u64; 2] = [9, 9];

/// The fields, and for each the ones whose values it could be confused with.
fn fields() -> Vec<(Field, Vec<Field>)> {
    let process = |word: u64| Field::Word(WordAt::log(control::PROCESSES_OFFSET + word * 8));
    let pages = || (0..2u64).flat_map(|page| [0, 7].map(|number| (page, number)));
    let segments = [0, 1, 2, 9, 19];
    let mut fields: Vec<Field> = WORDS.map(Field::Word).to_vec();
    fields.extend((0..34).chain(96..100).map(process));
    fields.extend((0..control::CHECKED.len()).map(Field::Checked));
    fields.extend((0..3).map(Field::Lock));
    fields.extend((0..3).flat_map(|walk| (0..5).map(move |part| Field::Walk(walk, part))));
    for segment in segments {
        fields.extend((0..8).map(|word| Field::Row(segment, word)));
        fields.extend((0..5).map(|part| Field::State(segment, part)));
        fields.extend((0..2).map(|number| Field::Chunk(segment, number)));
    }
    for (page, number) in pages() {
        fields.extend((0..6).map(|part| Field::Slot(page, number, part)));
        fields.extend((0..8).map(|part| Field::Record(page, number, part)));
    }
    fields.extend((0..9).map(Field::Store));
    fields.extend((0..2).flat_map(|file| (0..2).map(move |part| Field::Head(file, part))));
    let siblings = |field: Field| match field {
        Field::Row(segment, word) => {
            vec![Field::Row(segment + 1, word), Field::Row(segment, word ^ 1)]
        }
        Field::State(segment, part) => vec![Field::State(segment + 1, part)],
        Field::Chunk(segment, number) => vec![Field::Chunk(segment, number + 1)],
        Field::Slot(page, number, part) => {
            vec![Field::Slot(page, number + 1, part), Field::Slot(page ^ 1, number, part)]
        }
        Field::Record(page, number, part) => {
            vec![Field::Record(page, number + 1, part), Field::Record(page ^ 1, number, part)]
        }
        Field::Word(_) => vec![Field::Word(control::LOCK), Field::Word(control::ENTRIES)],
        other => vec![other],
    };
    fields.into_iter().map(|field| (field, siblings(field))).collect()
}

/// When a field is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// While nobody has the store open; it is opened in the same boot.
    Closed,
    /// The same, and it is opened after another boot.
    OtherBoot,
    /// While it is in use.
    InUse,
}

/// A case: sample, field, value, and when.
type Case = (usize, Field, u64, When);

fn all_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for number in 0..3 {
        let sample = sample(number);
        let files = Files::open(&sample.path, sample.identity.geometry());
        for (field, others) in fields() {
            let Some(old) = field.get(&files) else { continue };
            let others: Vec<u64> = others.iter().filter_map(|other| other.get(&files)).collect();
            for value in field.values(old, &others) {
                let whens = [When::Closed, When::OtherBoot, When::InUse];
                cases.extend(whens.map(|when| (number, field, value, when)));
            }
        }
    }
    cases
}

/// Runs the cases until all are done or the time is over: all those that could cut a record off, then
/// the others in random order.
pub fn forged(seed: u64) {
    set_deadlines();
    let mut random = Random::new(seed);
    let (mut first, mut cases): (Vec<Case>, Vec<Case>) = all_cases()
        .into_iter()
        .partition(|case| matches!(case.1, Field::Chunk(..)) && case.3 == When::OtherBoot);
    let all = first.len() + cases.len();
    let begun = Instant::now();
    let (mut done, mut opened) = (0u64, 0u64);
    let mut failures: Vec<String> = Vec::new();
    let mut next = || {
        first.pop().or_else(|| {
            let goes_on = !cases.is_empty() && begun.elapsed() < common::duration(6);
            goes_on.then(|| cases.swap_remove(random.below(cases.len() as u64) as usize))
        })
    };
    while let Some(case) = next() {
        begin(&format!("{case:x?}"));
        match std::panic::catch_unwind(|| set_and_use(case)) {
            Ok(Ok(was_opened)) => opened += u64::from(was_opened),
            Ok(Err(what)) => failures.push(format!("{case:x?}: {what}")),
            Err(_) => failures.push(format!("{case:x?}: a panic")),
        }
        done += 1;
    }
    fs::remove_dir_all(home()).unwrap();
    assert!(failures.is_empty(), "{} of {done} of {all}: {failures:#?}", failures.len());
    assert!(opened * 2 > done, "only {opened} of {done} opened");
    assert!(most_memory() < 1 << 29, "{} bytes of memory", most_memory());
    say(done);
}

/// Whether the store opened; what went wrong in it.
fn set_and_use((number, field, value, when): Case) -> Result<bool, String> {
    let sample = sample(number);
    sample.restore();
    let set = || {
        let _ = field.set(&Files::open(&sample.path, sample.identity.geometry()), value);
    };
    let open = |boot_id| sample.builder(boot_id).open(&sample.path);
    let boot_id = if when == When::OtherBoot { OTHER_BOOT } else { BOOT };
    let opened = match when {
        When::InUse => open(boot_id).inspect(|_| set()),
        When::Closed | When::OtherBoot => {
            set();
            open(boot_id)
        }
    };
    let cache = match opened {
        Ok(cache) => cache,
        Err(error) => {
            assert_is_clear(&error);
            return Ok(false);
        }
    };
    let found = (0..KEYS).filter(|key| cache.contains_key(key.to_le_bytes())).count() as u64;
    let lost = KEYS - found;
    let may_lose = match field {
        Field::Slot(..) | Field::Record(..) => 1,
        Field::Row(..) | Field::Walk(..) | Field::Chunk(..) => 0,
        _ => KEYS,
    };
    // A sync that failed is not tried again in this boot, and whoever seems to hold the lock and to live
    // is waited for: writes say so.
    let may_fail = matches!(field, Field::Store(_))
        || field == Field::Word(control::SYNC_FAILED)
        || when == When::InUse;
    let failed = use_all(&cache);
    drop(cache);
    let reopened = if when == When::InUse { OTHER_BOOT } else { boot_id };
    let failed_then = match open(reopened) {
        Ok(cache) if when == When::InUse => use_all(&cache),
        Ok(cache) => {
            read_all(&cache);
            0
        }
        Err(error) => {
            assert_is_clear(&error);
            0
        }
    };
    match () {
        () if lost > may_lose => Err(format!("{lost} entries are gone")),
        () if failed > 0 && !may_fail => Err(format!("{failed} failed")),
        () if failed_then > 0 && !matches!(field, Field::Store(_)) => {
            Err(format!("{failed_then} failed after another boot"))
        }
        () => Ok(true),
    }
}

#[test]
fn a_field_set_to_anything_with_a_right_checksum_stops_nobody() {
    let cases = run("forged", common::seed()).parse().unwrap();
    common::evidence("fuzz", cases, "fields changed with right checksums");
}

/// A sample with a field set, opened; nothing was done with it yet.
fn damaged(
    directory: &Path,
    field: impl Fn(&Files) -> Field,
    value: impl Fn(u64) -> u64,
) -> FileCache {
    let sample = Sample::new(&directory.join("cache"), 0);
    sample.restore();
    let files = Files::open(&sample.path, sample.identity.geometry());
    let field = field(&files);
    field.set(&files, value(field.get(&files).unwrap())).unwrap();
    sample.builder(BOOT).open(&sample.path).unwrap()
}

/// A segment with entries.
fn busy(files: &Files) -> u16 {
    let live = |segment: &u16| Field::Row(*segment, segment::LIVE).get(files).unwrap() > 0;
    (0..20).find(live).unwrap()
}

/// A segment that takes chunks.
fn active(files: &Files) -> u16 {
    let is_active =
        |segment: &u16| Field::State(*segment, 1).get(files) == Some(segment::State::Active as u64);
    (0..20).find(is_active).unwrap()
}

#[test]
fn an_active_segment_whose_tail_lies_beyond_its_end_takes_no_more_records() {
    let dir = common::fast_directory();
    for tail in [4097, 1 << 20] {
        let of_active = |files: &Files| Field::Row(active(files), segment::TAIL);
        let path = dir.path().join(tail.to_string());
        fs::create_dir(&path).unwrap();
        let cache = damaged(&path, of_active, |_| tail);
        for key in KEYS..KEYS + 20 {
            let new = value(key, 2, 500);
            cache.insert(key.to_le_bytes(), &new).unwrap();
            assert_eq!(cache.get(key.to_le_bytes()), Some(new));
        }
        assert!((0..KEYS).all(|key| cache.contains_key(key.to_le_bytes())));
    }
}

/// Entries are what can be read, by every count, and the whole log can be filled.
fn assert_mended(cache: &FileCache) {
    let found = cache.verify().unwrap();
    assert!(found.is_sound(), "{found:?}");
    assert_eq!(cache.iter().count() as u64, cache.len());
    for key in 0..60u64 {
        cache.insert(key.to_le_bytes(), value(key, 2, 50_000)).unwrap();
    }
    let stats = cache.stats();
    assert!(stats.segments_used + 3 >= stats.segments, "{stats:?}");
    assert!(cache.verify().unwrap().is_sound());
}

#[test]
fn a_segment_whose_state_is_damaged_is_put_to_use_again_by_upkeep() {
    // A state that there is not, and more bytes than a segment has.
    for unknown in [7 << 32, 0x1_FFFF << 36] {
        let directory = common::fast_directory();
        let state = |files: &Files| Field::State(busy(files), 4);
        let cache = damaged(directory.path(), state, |old| old | unknown);
        let before = cache.len();
        cache.maintain().unwrap();
        assert!(cache.len() < before, "{} entries of {before}", cache.len());
        assert_mended(&cache);
    }
}

#[test]
fn a_segment_that_seems_to_drain_is_free_after_upkeep() {
    let directory = common::fast_directory();
    let cache = damaged(directory.path(), |files| Field::State(busy(files), 1), |_| 4);
    read_all(&cache);
    cache.maintain().unwrap();
    assert_mended(&cache);
}

#[test]
fn counts_that_are_off_by_a_little_are_mended_by_upkeep_after_a_verification() {
    let live = |files: &Files| Field::Row(busy(files), segment::LIVE);
    let entries = |_: &Files| Field::Word(control::ENTRIES);
    for difference in [-3i64, 3] {
        let directory = common::fast_directory();
        let cache = damaged(directory.path(), entries, |old| old.wrapping_add_signed(difference));
        assert!(!cache.verify().unwrap().is_sound());
        cache.maintain().unwrap();
        assert_mended(&cache);
        let directory = common::fast_directory();
        let cache =
            damaged(directory.path(), live, |old| old.wrapping_add_signed(difference << 32));
        assert!(!cache.verify().unwrap().is_sound());
        cache.maintain().unwrap();
        assert_mended(&cache);
    }
}
