//! A million entries, and all users killed: what was acknowledged is there, and opening is quick.

use std::path::Path;
use std::time::Instant;

use larder::FileCache;

use crate::children::{Process, listen, say};
use crate::common::{check, value};

const ENTRIES: u64 = 1_000_000;

/// Inserts its half of a million entries, says so, and goes on overwriting until it is killed.
pub fn half(directory: &Path, seed: u64) {
    let cache = FileCache::open(directory).unwrap();
    for key in (seed..ENTRIES).step_by(2) {
        cache.insert(key.to_le_bytes(), value(key, 1, 24)).unwrap();
    }
    say("done");
    let _telling = std::thread::spawn(listen);
    for key in (seed..ENTRIES).step_by(2).cycle() {
        cache.insert(key.to_le_bytes(), value(key, 2, 24)).unwrap();
    }
}

#[test]
fn a_million_entries_are_there_after_all_users_were_killed_and_opening_is_quick() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    drop(FileCache::builder().max_bytes(1 << 30).open(&path).unwrap());
    let mut users: Vec<Process> =
        (0..2).map(|seed| Process::start("half a million", &path, seed)).collect();
    for user in &mut users {
        assert_eq!(user.hear().as_deref(), Some("done"));
    }
    for user in users {
        user.kill();
    }
    let mut times = Vec::new();
    for _ in 0..51 {
        let begun = Instant::now();
        let cache = FileCache::open(&path).unwrap();
        times.push(begun.elapsed());
        assert!(!cache.opening().other_boot);
    }
    times.sort();
    println!("opening a million entries after a kill: median {:?}", times[times.len() / 2]);
    let cache = FileCache::open(&path).unwrap();
    assert_eq!(cache.len(), ENTRIES);
    let mut buffer = Vec::new();
    for key in 0..ENTRIES {
        assert!(cache.get_into(key.to_le_bytes(), &mut buffer), "key {key}");
        check(key, &buffer);
    }
    let report = cache.verify().unwrap();
    assert!(report.is_sound(), "{report:?}");
}
