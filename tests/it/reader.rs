//! The second reader, `tests/reader.py`, was written from `format.md` alone: where it and the crate
//! read a store alike, the specification suffices.
#![allow(clippy::unwrap_used, reason = "what a helper of a test unwraps fails the test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use larder::FileCache;
use larder::internals::Simulated;
use larder::internals::address::SegmentId;
use larder::internals::control::{self, Geometry};

use crate::golden::{READ_AT, expand, expected, listed, read_only, unhex};

/// What the reader tells of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Read {
    value: Vec<u8>,
    expiry: Option<u64>,
    lsn: u64,
}

/// What the second reader lists; `None`, with a word about it, where there is no Python.
fn read(directory: &Path, now: u64) -> Option<BTreeMap<Vec<u8>, Read>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reader.py");
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: there is no python3 to run tests/reader.py");
        return None;
    }
    let output = Command::new("python3")
        .arg(script)
        .args(["--now", &now.to_string()])
        .arg(directory)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let mut entries = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        let bytes = |name: &str| unhex(entry[name].as_str().unwrap());
        let found = Read {
            value: bytes("value"),
            expiry: entry["expiry"].as_u64(),
            lsn: entry["lsn"].as_u64().unwrap(),
        };
        assert_eq!(entries.insert(bytes("key"), found), None, "a key was listed twice");
    }
    Some(entries)
}

fn values(entries: BTreeMap<Vec<u8>, Read>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    entries.into_iter().map(|(key, read)| (key, read.value)).collect()
}

#[test]
fn the_second_reader_lists_the_golden_store() {
    let (_dir, path) = expand();
    let Some(entries) = read(&path, READ_AT) else { return };
    let told: BTreeMap<_, _> = entries
        .iter()
        .map(|(key, read)| (key.clone(), (read.value.clone(), read.expiry)))
        .collect();
    assert_eq!(told, expected());
    let lsn = |key: &str| entries[key.as_bytes()].lsn;
    assert!(lsn("") < lsn("far") && lsn("far") < lsn("entry 000"));
    assert!(lsn("entry 199") < lsn("overwritten") && lsn("overwritten") < lsn("late 000"));
    assert!(lsn("late 099") < lsn("twin 059") && lsn("twin 059") < lsn("twin 000"));
    assert_eq!(values(entries), listed(&read_only(&path, [9, 9])));
}

#[test]
fn both_readers_put_a_page_that_was_lost_together_from_the_old_one() {
    let (_dir, path) = expand();
    let mut index = std::fs::read(path.join("index")).unwrap();
    index[8192..12288].fill(0);
    std::fs::write(path.join("index"), index).unwrap();
    let mut log = std::fs::read(path.join("log")).unwrap();
    // Pages that a sync covered: the split that made the page is no longer one of them.
    for copy in control::PAGES_DURABLE.copies() {
        let word = control::PAGES_DURABLE.seal(1).to_le_bytes();
        log[copy.offset() as usize..][..8].copy_from_slice(&word);
    }
    std::fs::write(path.join("log"), log).unwrap();
    let cache = read_only(&path, [9, 9]);
    let found = listed(&cache);
    assert!(found.len() > 180, "{}", found.len());
    let Some(entries) = read(&path, READ_AT) else { return };
    assert_eq!(values(entries), found);
}

#[test]
fn both_readers_find_what_a_segment_that_was_freed_meanwhile_still_holds() {
    let (_dir, path) = expand();
    let mut log = std::fs::read(path.join("log")).unwrap();
    // The state of segment 0.
    let at = larder::internals::control::STATES_OFFSET as usize;
    let geometry = Geometry { seed: 0, level: 0, segment_shift: 16, max_processes: 2 };
    let state_at = geometry.state_at(SegmentId::new(0));
    let word = u64::from_le_bytes(log[at..at + 8].try_into().unwrap());
    let freed = state_at.seal(state_at.unseal(word).unwrap() & !(7 << 32));
    log[at..at + 8].copy_from_slice(&freed.to_le_bytes());
    std::fs::write(path.join("log"), log).unwrap();
    let found = listed(&read_only(&path, [9, 9]));
    assert_eq!(found.len(), expected().len());
    let Some(entries) = read(&path, READ_AT) else { return };
    assert_eq!(values(entries), found);
}

#[test]
fn both_readers_skip_what_is_damaged() {
    let (_dir, path) = expand();
    let whole = std::fs::read(path.join("log")).unwrap();
    // The records stand from the end of the control block on, close together.
    let start = 0xF0000;
    for at in (start..start + 16_384).step_by(1331) {
        let mut log = whole.clone();
        log[at..at + 1200].iter_mut().step_by(97).for_each(|byte| *byte ^= 0x10);
        std::fs::write(path.join("log"), log).unwrap();
        let Some(entries) = read(&path, READ_AT) else { return };
        assert_eq!(values(entries), listed(&read_only(&path, [9, 9])), "{at:#x}");
    }
}

#[test]
fn both_readers_list_a_store_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let cache = FileCache::builder().max_bytes(4 << 20).open(&path).unwrap();
    for number in 0..3000u32 {
        cache.insert(number.to_le_bytes(), vec![number as u8; (number % 700) as usize]).unwrap();
        if number == 100 {
            cache.sync().unwrap();
        }
        if number % 3 == 0 {
            cache.remove((number / 2).to_le_bytes()).unwrap();
        }
    }
    let Some(entries) = read(&path, 0) else { return };
    let found = listed(&cache);
    assert!(found.len() > 500, "{}", found.len());
    assert_eq!(values(entries), found);
}

#[test]
fn both_readers_pass_over_what_was_stored_under_a_clock_far_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let day = Duration::from_secs(86_400);
    let system = Simulated::default().at(READ_AT);
    let cache = FileCache::builder().environment(system.environment()).open(&path).unwrap();
    cache.insert_with_ttl("in time", "a", day).unwrap();
    for (ahead, key) in [(290_000, "a little ahead"), (310_000, "far ahead")] {
        system.set_clock(READ_AT + ahead);
        cache.insert_with_ttl(key, "b", day).unwrap();
    }
    cache.insert("never expires", "c").unwrap();
    system.set_clock(READ_AT);
    let found = listed(&cache);
    assert_eq!(found.len(), 3);
    let Some(entries) = read(&path, READ_AT) else { return };
    assert_eq!(values(entries), found);
}
