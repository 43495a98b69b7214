//! A small store with some of its bytes changed, then opened and used: a store or an error.
//!
//! The input is a list of changes: file, offset (4 bytes), value (8 bytes). They reach the control
//! block and the first segments and pages.
//!
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none open`
#![no_main]

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use larder::FileCache;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("cache");
    let builder = FileCache::builder()
        .max_bytes(2 << 20)
        .max_processes(2)
        .segment_size(64 << 10)
        .max_entries(1000);
    let cache = builder.open(&path).expect("a new store");
    for key in 0..300u32 {
        cache.insert(key.to_le_bytes(), key.to_le_bytes()).expect("room");
    }
    drop(cache);
    for change in bytes.chunks_exact(13).take(16) {
        let name = ["store", "log", "index"][usize::from(change[0] % 3)];
        let file = OpenOptions::new().write(true).open(path.join(name)).expect("a file");
        let length = file.metadata().expect("its length").len().max(1);
        let offset = u32::from_le_bytes([change[1], change[2], change[3], change[4]]);
        file.write_all_at(&change[5..], u64::from(offset) % length).expect("a change");
    }
    let Ok(cache) = FileCache::open(&path) else { return };
    for key in 0..300u32 {
        if let Some(value) = cache.get(key.to_le_bytes()) {
            assert_eq!(value, key.to_le_bytes());
        }
    }
    for key in 300..400u32 {
        if cache.insert(key.to_le_bytes(), key.to_le_bytes()).is_err() {
            break;
        }
    }
    let _ = cache.verify();
    let _ = cache.maintain();
    let _ = cache.iter().count();
});
