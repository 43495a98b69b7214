//! A store that the first version of the format made, kept as it was: every later version reads it.
//!
//! `tests/golden/README.md` tells how it is kept and how it was made.
#![allow(clippy::unwrap_used, reason = "what a helper of a test unwraps fails the test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder::FileCache;
use larder::internals::{Environment, Simulated};

/// When the store was made, and when it is read, in milliseconds.
const MADE_AT: u64 = 1_700_000_000_000;
pub const READ_AT: u64 = MADE_AT + 3_600_000;
const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
const FILES: [&str; 3] = ["store", "log", "index"];
/// Names in the directory that made the store, when another boot reads it.
const BOOTS: [[u64; 2]; 2] = [[1, 2], [3, 4]];

/// The entries that are to be listed, and when they expire.
pub fn expected() -> BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)> {
    let mut entries = BTreeMap::new();
    let mut add = |key: &[u8], value: &[u8], expiry| {
        entries.insert(key.to_vec(), (value.to_vec(), expiry));
    };
    add(b"", b"the key is empty", None);
    add(b"the value is empty", b"", None);
    add(&[0, 255, 10, 13, 128], &binary(), None);
    let far = MADE_AT + CENTURY.as_millis() as u64;
    add(b"far", b"expires in a century", Some(far));
    add(b"overwritten", b"second", None);
    add(b"large", &large(), None);
    for number in 0..200 {
        let (key, value) = numbered(number);
        add(&key, &value, None);
    }
    add(b"unsynced", b"stored after the last sync", None);
    entries
}

fn binary() -> Vec<u8> {
    (0..=255).collect()
}

/// Long enough for a chunk of its own.
fn large() -> Vec<u8> {
    b"larder ".repeat(100)
}

fn numbered(number: u32) -> (Vec<u8>, Vec<u8>) {
    (format!("entry {number:03}").into_bytes(), number.to_le_bytes().to_vec())
}

fn environment(now: u64, boot_id: [u64; 2]) -> Environment {
    Simulated::default().at(now).in_boot(boot_id).environment()
}

/// Makes the store; only its id, its seed and what the file system adds differ from run to run.
fn make(directory: &Path) {
    let cache = FileCache::builder()
        .max_bytes(1 << 20)
        .max_processes(2)
        .segment_size(65_536)
        .environment(environment(MADE_AT, BOOTS[0]))
        .open(directory)
        .unwrap();
    cache.insert("cleared", "by the clear that follows").unwrap();
    cache.clear().unwrap();
    cache.insert("", "the key is empty").unwrap();
    cache.insert("the value is empty", "").unwrap();
    cache.insert([0, 255, 10, 13, 128], binary()).unwrap();
    cache.insert_with_ttl("far", "expires in a century", CENTURY).unwrap();
    cache.insert_with_ttl("expired", "lived a second", Duration::from_secs(1)).unwrap();
    cache.insert("overwritten", "first").unwrap();
    cache.insert("removed", "will be removed").unwrap();
    cache.insert("large", large()).unwrap();
    // From here on a split leaves what it moved in the old page.
    cache.sync().unwrap();
    for number in 0..200 {
        let (key, value) = numbered(number);
        cache.insert(key, value).unwrap();
    }
    cache.insert("overwritten", "second").unwrap();
    assert!(cache.remove("removed").unwrap());
    cache.sync().unwrap();
    cache.insert("unsynced", "stored after the last sync").unwrap();
}

/// A file as text: its length, then each 32 bytes that are not all zero, after their offset.
fn dump(bytes: &[u8]) -> String {
    let mut text = format!("length {:#x}\n", bytes.len());
    for (line, chunk) in bytes.chunks(32).enumerate() {
        if chunk.iter().any(|&byte| byte != 0) {
            let digits: String = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
            text.push_str(&format!("{:08x} {digits}\n", line * 32));
        }
    }
    text
}

fn undump(text: &str) -> Vec<u8> {
    let mut lines = text.lines();
    let length = lines.next().and_then(|line| line.strip_prefix("length 0x")).unwrap();
    let mut bytes = vec![0; usize::from_str_radix(length, 16).unwrap()];
    for line in lines {
        let (offset, digits) = line.split_once(' ').unwrap();
        let found = unhex(digits);
        let offset = usize::from_str_radix(offset, 16).unwrap();
        bytes[offset..offset + found.len()].copy_from_slice(&found);
    }
    bytes
}

pub fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn kept(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1");
    undump(&std::fs::read_to_string(folder.join(format!("{name}.hex"))).unwrap())
}

/// The golden store as files.
pub fn expand() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    std::fs::create_dir(&path).unwrap();
    for name in FILES {
        std::fs::write(path.join(name), kept(name)).unwrap();
    }
    (dir, path)
}

pub fn listed(cache: &FileCache) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let entries: Vec<_> = cache.iter().collect();
    let count = entries.len();
    let entries: BTreeMap<_, _> = entries.into_iter().collect();
    assert_eq!(entries.len(), count, "a key was listed twice");
    entries
}

fn expected_values() -> BTreeMap<Vec<u8>, Vec<u8>> {
    expected().into_iter().map(|(key, (value, _))| (key, value)).collect()
}

pub fn read_only(path: &Path, boot_id: [u64; 2]) -> FileCache {
    let builder = FileCache::builder().read_only(true).environment(environment(READ_AT, boot_id));
    builder.open(path).unwrap()
}

#[test]
fn the_golden_store_lists_exactly_its_entries_after_another_boot() {
    let (_dir, path) = expand();
    let cache =
        FileCache::builder().environment(environment(READ_AT, BOOTS[1])).open(&path).unwrap();
    assert!(cache.opening().other_boot && cache.opening().began_anew.is_none());
    assert_eq!(listed(&cache), expected_values());
    for (key, value) in expected_values() {
        assert_eq!(cache.get(&key), Some(value), "{key:?}");
    }
    for gone in ["expired", "removed", "cleared"] {
        assert_eq!(cache.get(gone), None, "{gone}");
    }
    // The expired one is counted until it is collected.
    assert_eq!(cache.len(), expected().len() as u64 + 1);
    assert!(cache.verify().unwrap().is_sound());
    drop(cache);
    // Recovered once, it is in order.
    let cache = read_only(&path, BOOTS[1]);
    assert!(!cache.opening().other_boot);
    assert_eq!(listed(&cache), expected_values());
}

#[test]
fn reading_alone_changes_no_byte_of_the_golden_store() {
    let (_dir, path) = expand();
    let cache = read_only(&path, BOOTS[1]);
    assert!(cache.opening().other_boot);
    assert_eq!(listed(&cache), expected_values());
    drop(cache);
    for name in FILES {
        assert_eq!(std::fs::read(path.join(name)).unwrap(), kept(name), "{name}");
    }
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), FILES.len());
}

#[test]
fn the_golden_store_takes_new_entries() {
    let (_dir, path) = expand();
    let cache =
        FileCache::builder().environment(environment(READ_AT, BOOTS[1])).open(&path).unwrap();
    cache.insert("new", "entry").unwrap();
    cache.insert("overwritten", "third").unwrap();
    let mut expected = expected_values();
    expected.insert(b"new".to_vec(), b"entry".to_vec());
    expected.insert(b"overwritten".to_vec(), b"third".to_vec());
    assert_eq!(listed(&cache), expected);
    assert!(cache.verify().unwrap().is_sound());
}

#[test]
fn the_golden_store_has_been_split_and_its_old_page_still_holds_what_moved() {
    let word = |file: &[u8], at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
    let (log, index) = (kept("log"), kept("index"));
    assert_eq!(word(&log, 0xC0), 2, "pages");
    assert_eq!(word(&log, 0xD0), 1, "syncs");
    let foreign = (0..512)
        .filter(|position| {
            let [old, new] = [4096, 8192].map(|page| word(&index, page + position * 8));
            old != 0 && old == new
        })
        .count();
    assert!(foreign > 50, "{foreign}");
}

#[test]
fn the_bytes_shown_in_the_specification_are_those_of_the_golden_store() {
    let text = include_str!("../../format.md");
    let mut shown = 0;
    for name in FILES {
        let file = kept(name);
        let fence = format!("```hex {name}\n");
        let blocks = text.split(&fence).skip(1);
        for line in blocks.flat_map(|block| block.split("```").next().unwrap().lines()) {
            let (offset, rest) = line.split_once(": ").unwrap();
            let offset = usize::from_str_radix(offset, 16).unwrap();
            let bytes = rest.split("  ").next().unwrap().replace(' ', "");
            let bytes = unhex(&bytes);
            assert_eq!(file[offset..offset + bytes.len()], bytes, "{name} at {offset:#x}");
            shown += bytes.len();
        }
    }
    assert!(shown > 200, "{shown}");
    let hash = xxhash_rust::xxh3::xxh3_64_with_seed(b"far", 0xA01A_68BD_08E3_6CB5);
    assert!(text.contains(&format!("The key \"far\" has the hash {hash:#018x}.")), "{hash:#018x}");
}

/// See `tests/golden/README.md`: with `LARDER_GOLDEN` set to a directory, the dumps go there.
#[test]
#[ignore = "makes a store, which a version does once"]
fn a_golden_store_can_be_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    make(&path);
    let cache = read_only(&path, BOOTS[0]);
    assert!(!cache.opening().other_boot);
    assert_eq!(listed(&cache), expected_values());
    drop(cache);
    let Some(target) = std::env::var_os("LARDER_GOLDEN") else { return };
    for name in FILES {
        let text = dump(&std::fs::read(path.join(name)).unwrap());
        std::fs::write(Path::new(&target).join(format!("{name}.hex")), text).unwrap();
    }
}

#[test]
fn a_dump_brings_every_byte_back() {
    let mut bytes = vec![0; 1000];
    bytes[7] = 1;
    bytes[999] = 2;
    assert_eq!(undump(&dump(&bytes)), bytes);
}
