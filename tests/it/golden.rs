//! A store that the first version of the format made, kept as it was: every later version reads it.
//!
//! `tests/golden/README.md` tells how it is kept and how it was made.
#![allow(clippy::unwrap_used, reason = "what a helper of a test unwraps fails the test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder::FileCache;
use larder::internals::checked::CheckedAt;
use larder::internals::slot::Slot;
use larder::internals::{Environment, Simulated, control};

/// When the store was made, and when it is read, in milliseconds.
const MADE_AT: u64 = 1_700_000_000_000;
pub const READ_AT: u64 = MADE_AT + 3_600_000;
const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
/// Entries of each kind.
const VICTIMS: u32 = 40;
const ENTRIES: u32 = 200;
const TWINS: u32 = 60;
const LATE: u32 = 100;
const FILES: [&str; 3] = ["store", "log", "index"];
/// Names in the directory that made the store, when another boot reads it.
const BOOTS: [[u64; 2]; 2] = [[1, 2], [3, 4]];

type Entries = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

/// The entries that are to be listed, and when they expire: as its maker wrote them down.
pub fn expected() -> Entries {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1");
    let text = std::fs::read_to_string(folder.join("entries.txt")).unwrap();
    let entry = |line: &str| {
        let [key, value, expiry] = line.split(',').collect::<Vec<_>>().try_into().unwrap();
        (unhex(key), (unhex(value), expiry.parse().ok()))
    };
    text.lines().map(entry).collect()
}

/// What was stored and not removed; of the victims some were evicted.
fn stored() -> Entries {
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
    let of = |kind: &'static str, count| (0..count).map(move |number| numbered(kind, number));
    let all = of("victim", VICTIMS).chain(of("entry", ENTRIES)).chain(of("late", LATE));
    for (key, value) in all {
        add(&key, &value, None);
    }
    for (key, _) in of("twin", TWINS) {
        add(&key, b"newer", None);
    }
    entries
}

fn binary() -> Vec<u8> {
    (0..=255).collect()
}

/// Long enough for a chunk of its own.
fn large() -> Vec<u8> {
    b"larder ".repeat(100)
}

fn numbered(kind: &str, number: u32) -> (Vec<u8>, Vec<u8>) {
    (format!("{kind} {number:03}").into_bytes(), number.to_le_bytes().to_vec())
}

fn environment(now: u64, boot_id: [u64; 2]) -> Environment {
    Simulated::default().at(now).in_boot(boot_id).environment()
}

/// Makes the store; only its id, its seed and what the file system adds differ from run to run.
fn make(directory: &Path) {
    let all = stored().len() as u64;
    let cache = FileCache::builder()
        .max_bytes(1 << 20)
        .max_processes(2)
        .max_entries(all - 10)
        .segment_size(65_536)
        .environment(environment(MADE_AT, BOOTS[0]))
        .open(directory)
        .unwrap();
    let insert = |kind: &str, count: u32| {
        for (key, value) in (0..count).map(|number| numbered(kind, number)) {
            cache.insert(key, value).unwrap();
        }
    };
    cache.insert("cleared", "by the clear that follows").unwrap();
    cache.clear().unwrap();
    insert("victim", VICTIMS);
    cache.insert("", "the key is empty").unwrap();
    cache.insert("the value is empty", "").unwrap();
    cache.insert([0, 255, 10, 13, 128], binary()).unwrap();
    cache.insert_with_ttl("far", "expires in a century", CENTURY).unwrap();
    cache.insert_with_ttl("expired", "lived a second", Duration::from_secs(1)).unwrap();
    cache.insert("overwritten", "first").unwrap();
    cache.insert("removed", "will be removed").unwrap();
    cache.insert("large", large()).unwrap();
    let twins: Vec<Vec<u8>> = (0..TWINS).map(|number| numbered("twin", number).0).collect();
    twins.iter().for_each(|key| cache.insert(key, "older").unwrap());
    // From here on a split leaves what it moved in the old page.
    cache.sync().unwrap();
    insert("entry", ENTRIES);
    cache.insert("overwritten", "second").unwrap();
    assert!(cache.remove("removed").unwrap());
    cache.sync().unwrap();
    // The last split is not durable: what it moved counts in the old page, too, after another boot. So there
    // the twins are found in both versions.
    insert("late", LATE);
    for key in &twins {
        assert!(cache.remove(key).unwrap());
    }
    twins.iter().rev().for_each(|key| cache.insert(key, "newer").unwrap());
}

/// A file as text: its length, then each 32 bytes that are not all zero, after their offset.
fn dump(bytes: &[u8]) -> String {
    let mut text = format!("length {:#x}\n", bytes.len());
    for (line, chunk) in bytes.chunks(32).enumerate() {
        if chunk.iter().any(|&byte| byte != 0) {
            text.push_str(&format!("{:08x} {}\n", line * 32, hex(chunk)));
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
    // The older versions that came back were more than the limit allows: so the opening has collected them.
    // The expired entry is counted until it is collected.
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
    let builder = FileCache::builder().max_entries(1000);
    let cache = builder.environment(environment(READ_AT, BOOTS[1])).open(&path).unwrap();
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
    let checked = |at: CheckedAt| at.unseal(word(&log, at.first().offset() as usize));
    assert_eq!(checked(control::PAGES), Some(3));
    assert_eq!(checked(control::PAGES_DURABLE), Some(2));
    assert_eq!(checked(control::SYNCS), Some(1));
    let foreign = (0..512)
        .filter(|position| {
            let [old, new] = [4096, 8192].map(|page| word(&index, page + position * 8));
            old != 0 && old == new
        })
        .count();
    assert!(foreign > 30, "{foreign}");
    let slots = || (512..2048).map(|slot| Slot::from_word(word(&index, slot * 8)));
    assert!(slots().filter(|slot| slot.is_ghost()).count() > 3);
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
    let hash = xxhash_rust::xxh3::xxh3_64_with_seed(b"far", 0xFF15_79D5_1F03_D50A);
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
    let (mut entries, listed) = (stored(), listed(&cache));
    assert!(listed.iter().all(|(key, value)| entries.get(key).is_some_and(|(v, _)| v == value)));
    entries.retain(|key, _| listed.contains_key(key));
    assert!(entries.len() + 20 >= stored().len(), "{}", entries.len());
    drop(cache);
    let Some(target) = std::env::var_os("LARDER_GOLDEN") else { return };
    let entries: Vec<String> = (entries.iter())
        .map(|(key, (value, expiry))| {
            let expiry = expiry.map_or("never".to_owned(), |expiry| expiry.to_string());
            format!("{},{},{expiry}\n", hex(key), hex(value))
        })
        .collect();
    std::fs::write(Path::new(&target).join("entries.txt"), entries.concat()).unwrap();
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
