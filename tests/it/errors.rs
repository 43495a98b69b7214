//! Every error: its kind, the path it is about, and a last sentence that says what to do. What is
//! refused stays as it was, to the byte.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder::internals::Simulated;
use larder::{Durability, Error, ErrorKind, FileCache};

use crate::children::{Process, listen, say};
use crate::common::another_process;
use crate::exercise::{NAMES, Sample, assert_is_clear, small};

fn directory() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    (dir, path)
}

#[track_caller]
fn expect(error: Error, kind: ErrorKind, path: &Path, words: &str) {
    assert_is_clear(&error);
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.path(), path, "{error}");
    assert!(error.to_string().contains(words), "{words:?} is not in: {error}");
}

#[test]
fn options_that_cannot_be_met_name_what_can_and_leave_nothing_behind() {
    let (dir, path) = directory();
    let builder = FileCache::builder;
    for (options, words) in [
        (builder().max_entries(0), "at least 1"),
        (builder().max_processes(0), "1 to 1024"),
        (builder().max_processes(1025), "1 to 1024"),
        (builder().segment_size(100_000), "power of two"),
        (builder().durability(Durability::Every(Duration::ZERO)), "EachWrite"),
        (builder().max_bytes(0), "at least"),
        (builder().max_bytes(1 << 20), "at least"),
        (builder().max_bytes(1 << 40).segment_size(64 << 10), "at most"),
        (builder().max_bytes(u64::MAX), "at most"),
    ] {
        let error = options.open(&path).unwrap_err();
        expect(error, ErrorKind::InvalidOption, &path, words);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "something was left behind");
    }
}

#[test]
fn limits_that_an_existing_store_cannot_meet_leave_it_as_it_was() {
    let (_dir, path) = directory();
    let cache = small().open(&path).unwrap();
    cache.insert("k", "v").unwrap();
    for (bytes, words) in [(1 << 19, "max_bytes from "), (1 << 40, "relimit")] {
        let builder = FileCache::builder().max_bytes(bytes).strict_limits(true);
        expect(builder.open(&path).unwrap_err(), ErrorKind::InvalidOption, &path, words);
    }
    assert_eq!(FileCache::open(&path).unwrap().stats().max_bytes, 5 << 19);
    assert_eq!(cache.get("k").as_deref(), Some(&b"v"[..]));
}

#[test]
fn a_directory_of_other_things_is_refused_and_one_with_lost_and_found_is_not() {
    let (_dir, path) = directory();
    fs::create_dir_all(path.join("lost+found")).unwrap();
    drop(small().open(&path).unwrap());
    let (_dir, path) = directory();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("letters.txt"), "dear").unwrap();
    let error = small().open(&path).unwrap_err();
    expect(error, ErrorKind::NotAStore, &path, "letters.txt");
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    for name in ["log", "index", "store"] {
        let (_dir, path) = directory();
        fs::create_dir(&path).unwrap();
        fs::write(path.join(name), "a diary").unwrap();
        let error = small().open(&path).unwrap_err();
        expect(error, ErrorKind::NotAStore, &path, name);
        assert_eq!(fs::read(path.join(name)).unwrap(), b"a diary");
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "{name}");
    }
}

#[test]
fn a_path_that_is_a_file_or_leads_nowhere_is_said_so() {
    let (dir, path) = directory();
    let error = FileCache::builder().create(false).open(&path).unwrap_err();
    expect(error, ErrorKind::NotAStore, &path, "no such directory");
    let error = FileCache::builder().read_only(true).open(&path).unwrap_err();
    expect(error, ErrorKind::NotAStore, &path, "no such directory");
    fs::write(&path, "a file").unwrap();
    for create in [true, false] {
        let error = FileCache::builder().create(create).open(&path).unwrap_err();
        expect(error, ErrorKind::NotAStore, &path, "not a directory");
    }
    let below = path.join("below");
    let error = FileCache::open(&below).unwrap_err();
    assert_is_clear(&error);
    assert_eq!(fs::read(&path).unwrap(), b"a file");
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let error = FileCache::builder().create(false).open(&empty).unwrap_err();
    expect(error, ErrorKind::NotAStore, &empty, "no larder store");
}

#[test]
fn a_newer_version_or_another_magic_is_refused_and_left_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache");
    let sample = Sample::new(&path, Default::default());
    for name in NAMES {
        for magic in [false, true] {
            sample.restore();
            let version = 99u32.to_le_bytes();
            if magic {
                sample.write(name, 0, b"ladderXY");
            } else {
                sample.write(name, 8, &version);
            }
            let before = NAMES.map(|name| fs::read(path.join(name)).unwrap());
            let result = small().open(&path);
            let (kind, at) = match (magic, name) {
                (false, _) => (ErrorKind::NewerVersion, path.join(name)),
                (true, "store" | "log") => (ErrorKind::Damaged, path.join(name)),
                (true, _) => {
                    // What is no index is made anew, and that is told.
                    let cache = result.unwrap();
                    assert!(cache.opening().began_anew.is_some() && cache.is_empty());
                    continue;
                }
            };
            let words = if magic { "" } else { "99" };
            expect(result.unwrap_err(), kind, &at, words);
            assert_eq!(NAMES.map(|name| fs::read(path.join(name)).unwrap()), before);
        }
    }
}

#[test]
fn a_file_system_on_which_processes_do_not_see_each_other_is_refused() {
    let (_dir, path) = directory();
    for (kind, name) in [(0x6969, "NFS"), (0xFF53_4D42, "CIFS"), (0x6573_5546, "FUSE")] {
        let environment = Simulated::default().on_file_system(kind).environment();
        let error = small().environment(environment).open(&path).unwrap_err();
        expect(error, ErrorKind::Unsupported, &path, name);
        assert!(!path.join("log").exists());
    }
}

#[test]
fn a_directory_that_this_user_may_not_write_is_said_so() {
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 {
        println!("skipped: needs root, to be another user");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let path = dir.path().join("cache");
    drop(small().open(&path).unwrap());
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    let said = Process::start("nobody", &path, 0).finish();
    assert_eq!(said, ["refused"]);
}

/// Becomes a user without rights, and opens what is root's.
pub fn nobody(path: &Path) {
    // SAFETY: changes the user of this process, which is a test's child.
    assert_eq!(unsafe { libc::setresuid(65534, 65534, 65534) }, 0);
    let error = small().open(path).unwrap_err();
    assert_is_clear(&error);
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("right"), "{error}");
    let new = path.parent().unwrap().join("new");
    let error = small().open(&new).unwrap_err();
    expect(error, ErrorKind::Io, &new, "right");
    say("refused");
}

#[test]
fn when_all_process_slots_are_taken_the_next_process_is_told() {
    let (_dir, path) = directory();
    let open = || another_process(small()).open(&path);
    let mut handles: Vec<FileCache> = (0..4).map(|_| open().unwrap()).collect();
    let error = open().unwrap_err();
    expect(error, ErrorKind::Busy, &path, "4 processes");
    handles.pop();
    drop(open().unwrap());
}

/// Is attached until it is told to end.
pub fn idler(path: &Path) {
    let _cache = FileCache::open(path).unwrap();
    say("ready");
    listen();
}

#[test]
fn a_write_lock_that_a_living_process_does_not_let_go_is_busy_and_reads_go_on() {
    let (_dir, path) = directory();
    let cache = small().lock_timeout(Duration::from_millis(50)).open(&path).unwrap();
    cache.insert("k", "v").unwrap();
    let mut other = Process::start("idler", &path, 0);
    assert_eq!(other.hear().as_deref(), Some("ready"));
    // COMMIT, owned by the second process row, as if it were stopped right there.
    other.signal(libc::SIGSTOP);
    let log = fs::OpenOptions::new().read(true).write(true).open(path.join("log")).unwrap();
    use std::os::unix::fs::FileExt;
    let mut word = [0u8; 8];
    log.read_exact_at(&mut word, 0x80).unwrap();
    let free = u64::from_le_bytes(word);
    let commit = (free & !0xFFF) | (1 << 2) | 2;
    log.write_all_at(&commit.to_le_bytes(), 0x80).unwrap();
    for _ in 0..2 {
        let error = cache.insert("k", "new").unwrap_err();
        expect(error, ErrorKind::Busy, &path.join("log"), "write lock");
        assert_eq!(cache.get("k").as_deref(), Some(&b"v"[..]));
    }
    assert_eq!(cache.remove("k").unwrap_err().kind(), ErrorKind::Busy);
    other.signal(libc::SIGCONT);
    other.tell("end");
    other.finish();
    cache.insert("k", "new").unwrap();
    assert_eq!(cache.get("k").as_deref(), Some(&b"new"[..]));
}

#[test]
fn what_is_too_large_or_read_only_is_refused_and_changes_nothing() {
    let (_dir, path) = directory();
    let cache = small().open(&path).unwrap();
    cache.insert("k", "v").unwrap();
    let error = cache.insert(vec![0; 1 << 16], "v").unwrap_err();
    assert_eq!(error.limit(), Some(65_535));
    expect(error, ErrorKind::TooLarge, &path, "65535");
    let error = cache.insert("k", vec![0; 64 << 10]).unwrap_err();
    let limit = error.limit().unwrap();
    expect(error, ErrorKind::TooLarge, &path, "max_bytes or segment_size");
    assert!(cache.insert("k", vec![0; limit as usize + 1]).is_err());
    cache.insert("k", vec![0; limit as usize]).unwrap();
    cache.insert("k", "v").unwrap();
    assert_eq!(cache.get("k").as_deref(), Some(&b"v"[..]));
    let reader = FileCache::builder().read_only(true).open(&path).unwrap();
    let errors = [
        reader.insert("k", "new").unwrap_err(),
        reader.remove("k").unwrap_err(),
        reader.clear().unwrap_err(),
        reader.sync().unwrap_err(),
        reader.compact().unwrap_err(),
        reader.maintain().unwrap_err(),
    ];
    for error in errors {
        expect(error, ErrorKind::ReadOnly, &path, "without read_only");
    }
    assert_eq!(reader.get("k").as_deref(), Some(&b"v"[..]));
}

#[test]
fn a_new_directory_is_private_and_an_existing_one_keeps_its_mode() {
    let (dir, path) = directory();
    drop(small().open(&path).unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&path), 0o700);
    for name in NAMES {
        assert_eq!(mode(&path.join(name)), 0o600, "{name}");
    }
    let own = dir.path().join("own");
    fs::create_dir(&own).unwrap();
    fs::set_permissions(&own, Permissions::from_mode(0o2775)).unwrap();
    drop(small().open(&own).unwrap());
    assert_eq!(mode(&own), 0o2775);
}
