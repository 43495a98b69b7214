//! Handles that only read: they see what others write, and modify nothing at all.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use larder::internals::{Environment, Simulated};
use larder::{Builder, ErrorKind, FileCache};

use crate::common;
use crate::untouched::{deny_writing, is_root, on_a_read_only_mount, set_mode, unchanged};

/// Where a test that runs itself again in other circumstances finds the store.
const AGAIN: &str = "LARDER_TEST_READ_ONLY_DIRECTORY";

const COUNT: u32 = 3000;

fn store(parent: &Path) -> (PathBuf, FileCache) {
    let path = parent.join("cache");
    let cache = FileCache::builder().max_bytes(16 << 20).open(&path).unwrap();
    for i in 0..COUNT {
        cache.insert(i.to_le_bytes(), vec![i as u8; 100]).unwrap();
    }
    (path, cache)
}

fn reader() -> Builder {
    FileCache::builder().read_only(true)
}

fn other_boot(number: u64) -> Environment {
    Simulated::default().in_boot([number, 2]).environment()
}

/// Uses everything that reads.
fn read_all(cache: &FileCache) {
    for i in 0..COUNT {
        assert_eq!(cache.get(i.to_le_bytes()), Some(vec![i as u8; 100]), "{i}");
    }
    assert_eq!(cache.view(1u32.to_le_bytes()).as_deref(), Some(&[1; 100][..]));
    assert!(cache.contains_key(2u32.to_le_bytes()) && !cache.contains_key("none"));
    assert_eq!(cache.len(), u64::from(COUNT));
    assert_eq!(cache.iter().count(), COUNT as usize);
    assert_eq!(cache.keys().count(), COUNT as usize);
    assert_eq!(cache.stats().entries, u64::from(COUNT));
    let report = cache.verify().unwrap();
    assert!(report.is_sound(), "{report:?}");
}

#[test]
fn a_reader_modifies_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (path, cache) = store(dir.path());
    unchanged(&path, || read_all(&reader().open(&path).unwrap()));
    drop(cache);
    unchanged(&path, || read_all(&reader().open(&path).unwrap()));
}

#[test]
fn after_another_boot_a_private_copy_is_mended_and_the_files_stay() {
    for parent in [std::env::temp_dir(), PathBuf::from("/dev/shm")] {
        if !parent.is_dir() {
            println!("skipped: {} is not there", parent.display());
            continue;
        }
        let dir = tempfile::tempdir_in(parent).unwrap();
        let (path, cache) = store(dir.path());
        drop(cache);
        unchanged(&path, || {
            let cache = reader().environment(other_boot(1)).open(&path).unwrap();
            assert!(cache.opening().other_boot);
            read_all(&cache);
        });
        let cache = FileCache::open(&path).unwrap();
        assert!(!cache.opening().other_boot, "the reader told the store of its boot");
    }
}

#[test]
fn a_reader_sees_what_another_handle_writes_and_never_wrong_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let writer = FileCache::builder().max_bytes(4 << 20).open(&path).unwrap();
    let cache = reader().open(&path).unwrap();
    writer.insert("seen", "at once").unwrap();
    assert_eq!(cache.get("seen").as_deref(), Some(&b"at once"[..]));
    writer.remove("seen").unwrap();
    assert_eq!(cache.get("seen"), None);
    let seed = common::seed();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = common::Random::new(seed);
            for version in 0..60_000 {
                let key = random.below(8000);
                let value = common::value(key, version, random.below(2000) as usize);
                writer.insert(key.to_le_bytes(), value).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        let mut hits = 0u64;
        while !done.load(Ordering::Acquire) {
            for key in 0..8000u64 {
                if let Some(value) = cache.get(key.to_le_bytes()) {
                    common::check(key, &value);
                    hits += 1;
                }
            }
            for (key, value) in cache.iter() {
                common::check(u64::from_le_bytes(key.try_into().unwrap()), &value);
            }
            let report = cache.verify().unwrap();
            assert!(report.is_sound(), "{report:?}");
        }
        assert!(hits > 0);
    });
    assert!(writer.stats().evictions > 0);
    assert_eq!(cache.len(), writer.len());
}

#[test]
fn writes_are_refused_and_a_computed_value_is_returned_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (path, writer) = store(dir.path());
    drop(writer);
    for environment in [Environment::default(), other_boot(1)] {
        let cache =
            reader().environment(environment).max_entries(1).create(true).open(&path).unwrap();
        unchanged(&path, || {
            let results = [
                cache.insert("k", "v"),
                cache.insert_with_ttl("k", "v", Duration::ZERO),
                cache.remove("k").map(|_| ()),
                cache.remove(0u32.to_le_bytes()).map(|_| ()),
                cache.clear(),
                cache.sync().map(|_| ()),
                cache.compact().map(|_| ()),
                cache.maintain().map(|_| ()),
            ];
            for result in results {
                assert_eq!(result.unwrap_err().kind(), ErrorKind::ReadOnly);
            }
            assert_eq!(cache.get_or_insert_with("k", || b"made".to_vec()).unwrap(), b"made");
        });
        assert_eq!(cache.stats().unstored, 1);
        read_all(&cache);
    }
}

#[test]
fn a_reader_takes_no_process_slot() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let writer = FileCache::builder().max_processes(1).max_bytes(8 << 20).open(&path).unwrap();
    writer.insert("k", "v").unwrap();
    let other = common::another_process(FileCache::builder());
    assert_eq!(other.open(&path).unwrap_err().kind(), ErrorKind::Busy);
    let cache = reader().open(&path).unwrap();
    assert_eq!(cache.get("k").as_deref(), Some(&b"v"[..]));
    drop(writer);
    other.open(&path).unwrap();
}

#[test]
fn nothing_is_made_where_there_is_no_store_or_half_of_one() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    assert_eq!(reader().open(&missing).unwrap_err().kind(), ErrorKind::NotAStore);
    assert!(!missing.exists());
    let (path, cache) = store(dir.path());
    drop(cache);
    for (name, length) in [("index", 100), ("index", 0), ("log", 100), ("store", 10)] {
        let file = path.join(name);
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..length]).unwrap();
        let error = unchanged(&path, || reader().open(&path).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Damaged, "{name} {length}: {error}");
        std::fs::write(&file, &whole).unwrap();
    }
    read_all(&reader().open(&path).unwrap());
}

#[test]
fn what_a_killed_writer_left_half_done_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (path, cache) = store(dir.path());
    drop(cache);
    // As if killed when some words of its transaction were stored: the next writer stores the rest.
    let log = std::fs::OpenOptions::new().read(true).write(true).open(path.join("log")).unwrap();
    let word = |at: u64| {
        let mut bytes = [0; 8];
        std::os::unix::fs::FileExt::read_exact_at(&log, &mut bytes, at).unwrap();
        u64::from_le_bytes(bytes)
    };
    let set = |at: u64, word: u64| {
        std::os::unix::fs::FileExt::write_all_at(&log, &word.to_le_bytes(), at).unwrap();
    };
    const LOCK: u64 = 0x80;
    const ENTRIES: u64 = 0x88;
    let (lock, entries) = (word(LOCK), word(ENTRIES));
    set(ENTRIES, entries + 1);
    let report = reader().open(&path).unwrap().verify().unwrap();
    assert!(!report.is_sound() && !report.disturbed, "a wrong count is found: {report:?}");
    set(LOCK, lock & !3 | 2);
    let report = reader().open(&path).unwrap().verify().unwrap();
    assert!(report.is_sound() && report.disturbed, "{report:?}");
}

#[test]
fn what_others_do_after_mending_is_seen_by_a_reader_that_mended_a_copy_before() {
    let dir = tempfile::tempdir().unwrap();
    let (path, cache) = store(dir.path());
    drop(cache);
    let early = reader().environment(other_boot(7)).open(&path).unwrap();
    read_all(&early);
    let writer = FileCache::builder().environment(other_boot(7)).open(&path).unwrap();
    assert!(writer.opening().other_boot);
    for i in 0..COUNT {
        match i % 3 {
            0 => assert!(writer.remove(i.to_le_bytes()).unwrap()),
            1 => writer.insert(i.to_le_bytes(), "new").unwrap(),
            _ => {}
        }
    }
    for i in 0..COUNT {
        assert_eq!(early.get(i.to_le_bytes()), writer.get(i.to_le_bytes()), "{i}");
    }
    assert_eq!(early.len(), writer.len());
    assert_eq!(early.iter().count() as u64, writer.len());
    let report = early.verify().unwrap();
    assert!(report.is_sound(), "{report:?}");
    // And once more, after yet another recovery.
    drop(writer);
    let writer = FileCache::builder().environment(other_boot(8)).open(&path).unwrap();
    assert_eq!(early.get("late"), None);
    writer.insert("late", "new").unwrap();
    assert_eq!(early.len(), writer.len());
}

#[test]
fn a_reader_that_opens_while_a_writer_mends_reads_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let (path, cache) = store(dir.path());
    drop(cache);
    for round in 0..60 {
        let gone = round as u32 * 7;
        let start = Barrier::new(2);
        let environment = other_boot(100 + round);
        let (writer, cache) = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                start.wait();
                let writer =
                    FileCache::builder().environment(environment.clone()).open(&path).unwrap();
                assert!(writer.remove(gone.to_le_bytes()).unwrap());
                writer
            });
            start.wait();
            let cache = reader().environment(environment.clone()).open(&path).unwrap();
            for i in (gone + 1)..COUNT {
                // While the writer recovers it, a read may miss.
                if let Some(value) = cache.get(i.to_le_bytes()) {
                    assert_eq!(value, vec![i as u8; 100]);
                }
            }
            (writer.join().unwrap(), cache)
        });
        assert_eq!(cache.get(gone.to_le_bytes()), None, "round {round}");
        for i in 0..COUNT {
            assert_eq!(cache.get(i.to_le_bytes()), writer.get(i.to_le_bytes()), "{i}");
        }
        let report = cache.verify().unwrap();
        assert!(report.is_sound(), "{report:?}");
    }
}

/// The test of this name, run again by another command on a store.
fn again(name: &str, path: &Path, mut command: Command) {
    let output = command
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(AGAIN, path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// What the second run does: reads, as of this boot and as of another.
fn read_again(path: &Path) {
    read_all(&reader().open(path).unwrap());
    read_all(&reader().environment(other_boot(1)).open(path).unwrap());
    let error = FileCache::open(path).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Io | ErrorKind::ReadOnly), "{error}");
}

#[test]
fn a_store_without_write_permission_is_read() {
    if let Some(path) = std::env::var_os(AGAIN) {
        return read_again(Path::new(&path));
    }
    let dir = tempfile::tempdir().unwrap();
    let (path, cache) = store(dir.path());
    drop(cache);
    let program = dir.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    set_mode(dir.path(), 0o755);
    deny_writing(&path);
    let mut command = Command::new(program);
    if is_root() {
        // Modes do not stop root, so somebody else reads.
        command.uid(65534).gid(65534);
    }
    unchanged(&path, || {
        again("read_only::a_store_without_write_permission_is_read", &path, command);
    });
    set_mode(&path, 0o755);
}

#[test]
fn a_store_on_a_read_only_mount_is_read() {
    if let Some(path) = std::env::var_os(AGAIN) {
        return read_again(Path::new(&path));
    }
    let dir = tempfile::tempdir().unwrap();
    let (path, cache) = store(dir.path());
    drop(cache);
    match on_a_read_only_mount(&path, &std::env::current_exe().unwrap()) {
        Some(command) => unchanged(&path, || {
            again("read_only::a_store_on_a_read_only_mount_is_read", &path, command);
        }),
        None => println!("skipped: this machine allows no read-only bind mount"),
    }
}
