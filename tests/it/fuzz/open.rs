//! Opening a directory whatever its files hold: raw bytes, right heads over arbitrary words, or a real
//! store in which some fields were changed and their checks made right. A store or a clear error; then
//! reads give right bytes or none, and writes go on or say why not.

use std::fs::{self, File};
use std::path::Path;

use arbitrary::{Result, Unstructured};
use larder::internals::control;
use larder::internals::identity::Identity;
use larder::internals::intent::WordAt;
use larder::internals::segment::{Queue, State, StateWord};
use larder::{Error, FileCache};

use super::damage;
use super::files::Files;
use super::sample::{BOOT, KEYS, home, sample};
use super::store;
use super::words::WORDS;
use crate::common::{check, value};
use crate::exercise::assert_is_clear;

/// Another boot than that of the samples.
const OTHER_BOOT: [u64; 2] = [7, 7];

pub fn run(input: &mut Unstructured<'_>) -> Result<()> {
    if input.ratio(1, 4)? { arbitrary_files(input) } else { changed_store(input) }
}

/// A small store with some fields changed, and files cut.
fn changed_store(input: &mut Unstructured<'_>) -> Result<()> {
    let sample = sample(input.int_in_range(0..=2)?);
    sample.restore();
    let boot_id = if input.arbitrary()? { BOOT } else { OTHER_BOOT };
    let read_only = input.ratio(1, 4)?;
    let files = Files::open(&sample.path, sample.identity.geometry());
    for _ in 0..input.int_in_range(1..=6)? {
        damage::inflict(input, &files)?;
    }
    if input.ratio(1, 8)? {
        let at = if input.arbitrary()? { WordAt::log(0) } else { WordAt::index(0) };
        files.cut(at, input.int_in_range(0..=2 << 20)?);
    }
    let thorough = input.ratio(1, 4)?;
    open_and_use(&sample.path, boot_id, [read_only, thorough], |boot_id| {
        sample.builder(boot_id).read_only(read_only).open(&sample.path)
    });
    Ok(())
}

fn open_and_use(
    path: &Path,
    boot_id: [u64; 2],
    [read_only, thorough]: [bool; 2],
    open: impl Fn([u64; 2]) -> std::result::Result<FileCache, Error>,
) {
    let before = contents(path);
    match open(boot_id) {
        Ok(cache) if read_only => {
            read_all(&cache);
            drop(cache);
            assert!(contents(path) == before, "a reader changed a file");
        }
        Ok(cache) => {
            if thorough {
                use_all(&cache);
            } else {
                use_a_little(&cache);
            }
            drop(cache);
            if let Ok(cache) = open(boot_id) {
                read_all(&cache);
            }
        }
        Err(error) => assert_is_clear(&error),
    }
}

/// Reads every key in every way.
pub fn read_all(cache: &FileCache) {
    let mut bytes = Vec::new();
    for key in 0..KEYS + 20 {
        if cache.get_into(key.to_le_bytes(), &mut bytes) {
            check(key, &bytes);
        }
    }
    for (key, bytes) in cache.iter() {
        // A key that is not ours can only be part of one, by a length whose check was made right.
        if let Ok(key) = key.try_into() {
            check(u64::from_le_bytes(key), &bytes);
        }
    }
    let _ = (cache.verify().unwrap(), cache.stats(), cache.len());
}

/// Reads, and puts a little: most faults of an opening show by then, at a tenth of the price.
fn use_a_little(cache: &FileCache) {
    read_all(cache);
    for key in 0..6u64 {
        let new = value(key, 2, 400);
        match cache.insert(key.to_le_bytes(), &new) {
            Ok(()) => {
                let found = cache.get(key.to_le_bytes());
                assert!(found.is_none_or(|found| found == new), "another value of {key}");
            }
            Err(error) => assert_is_clear(&error),
        }
    }
    let _ = cache.maintain().map_err(|error| assert_is_clear(&error));
}

/// Does everything with a store; how many puts failed.
pub fn use_all(cache: &FileCache) -> u32 {
    let mut failed = 0;
    let mut note = |result: std::result::Result<(), Error>| {
        if let Err(error) = result {
            assert_is_clear(&error);
            failed += 1;
        }
    };
    read_all(cache);
    let put = |key: u64, version: u64, length: usize| {
        let new = value(key, version, length);
        cache.insert(key.to_le_bytes(), &new)?;
        let found = cache.get(key.to_le_bytes());
        assert!(found.is_none_or(|found| found == new), "another value of {key}");
        Ok(())
    };
    for number in 0..24u64 {
        // Enough to go round the log.
        note(put(number * 7 % 60, 2 + number, if number % 2 == 0 { 58_000 } else { 300 }));
    }
    let removed = cache.remove(3u64.to_le_bytes());
    assert!(removed.is_err() || !cache.contains_key(3u64.to_le_bytes()), "removed");
    note(removed.map(|_| ()));
    cache.view(8u64.to_le_bytes()).map(|view| check(8, &view));
    note(cache.maintain().map(|_| ()));
    note(cache.compact().map(|_| ()));
    note(cache.sync().map(|_| ()));
    for number in 0..12u64 {
        note(put(number * 5 % 60, 40 + number, if number % 2 == 0 { 30_000 } else { 100 }));
    }
    note(cache.clear());
    note(put(9, 99, 500));
    note(cache.maintain().map(|_| ()));
    read_all(cache);
    failed
}

fn contents(path: &Path) -> [Option<Vec<u8>>; 3] {
    ["store", "log", "index"].map(|name| fs::read(path.join(name)).ok())
}

/// Files that never were a store's.
fn arbitrary_files(input: &mut Unstructured<'_>) -> Result<()> {
    let path = home().join("arbitrary");
    let _ = fs::remove_dir_all(&path);
    fs::create_dir(&path).unwrap();
    let mut identity = store::identity(input)?;
    // The files take what the geometry says: keep that small.
    identity.segment_shift = identity.segment_shift.min(18);
    identity.level = identity.level.min(8);
    identity.limits.max_bytes = identity.limits.max_bytes.min(8 << 20);
    let read_only = input.ratio(1, 4)?;
    match input.int_in_range(0..=7)? {
        0 => {}
        1 => {
            let length = input.int_in_range(0..=100)?.min(input.len());
            fs::write(path.join("store"), input.bytes(length)?).unwrap();
        }
        _ => fs::write(path.join("store"), identity.encode().unwrap()).unwrap(),
    }
    for name in ["log", "index"] {
        arbitrary_file(input, &path.join(name), &identity)?;
    }
    let sample = sample(0);
    let thorough = input.ratio(1, 4)?;
    open_and_use(&path, OTHER_BOOT, [read_only, thorough], |boot_id| {
        sample.builder(boot_id).read_only(read_only).open(&path)
    });
    let _ = fs::remove_dir_all(&path);
    Ok(())
}

fn arbitrary_file(input: &mut Unstructured<'_>, path: &Path, identity: &Identity) -> Result<()> {
    let is_log = path.ends_with("log");
    let kind = input.int_in_range(0..=7)?;
    if kind == 0 {
        return Ok(());
    }
    let length = input.int_in_range(0..=4u64 << 20)?;
    let file = File::create(path).unwrap();
    if kind == 1 {
        let length = (length as usize % 200).min(input.len());
        fs::write(path, input.bytes(length)?).unwrap();
        return Ok(());
    }
    file.set_len(length.max(4096)).unwrap();
    drop(file);
    let names = path.parent().unwrap();
    let whole = [names.join("log"), names.join("index")].iter().all(|path| path.exists());
    if is_log {
        // Its words are written once both files are there.
        return Ok(());
    }
    if !whole {
        return Ok(());
    }
    let geometry = identity.geometry();
    let Some(geometry) = geometry.checked() else { return Ok(()) };
    let files = Files::open(names, geometry);
    for (magic, at) in [
        (control::LOG_MAGIC, WordAt::log as fn(u64) -> WordAt),
        (control::INDEX_MAGIC, WordAt::index),
    ] {
        let at = |word: WordAt| at(word.offset());
        let version = control::encode_version(magic, 1, identity.store_id);
        files.set(at(control::MAGIC), magic);
        files.set(at(control::VERSION), version);
        files.set(at(control::STORE_ID), identity.store_id[0]);
        files.set(at(control::STORE_ID).plus(1), identity.store_id[1]);
        files.set(at(control::CREATED), 1);
    }
    for _ in 0..input.int_in_range(0..=40)? {
        let number: u64 = input.int_in_range(0..=600)?;
        let (at, value) = match input.int_in_range(0..=4)? {
            0 => (*input.choose(&WORDS)?, input.arbitrary()?),
            1 => {
                let segment = larder::internals::address::SegmentId::new(number as u16 % 64);
                let state = StateWord {
                    generation: larder::internals::address::Generation::new(input.arbitrary()?),
                    state: State::Sealed,
                    queue: Queue::Main,
                    allocated: input.int_in_range(0..=geometry.segment_bytes() / 4096)? * 4096,
                };
                files.set_checked(geometry.state_at(segment), state.encode());
                continue;
            }
            2 => {
                let (at, _) = *input.choose(&control::CHECKED)?;
                files.set_checked(at, input.arbitrary()?);
                continue;
            }
            3 => (WordAt::index(4096 + number * 8), input.arbitrary()?),
            _ => (WordAt::log(control::ROWS_OFFSET + number * 8), input.arbitrary()?),
        };
        files.set(at, value);
    }
    Ok(())
}
