//! A tour of the errors that the library gives: each is of the right kind, names the path that matters, and
//! says what helps. None asks for data to be deleted whose cause is not damage.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use larder::internals::{Simulated, What};
use larder::{Builder, Error, ErrorKind, FileCache, OnFillTimeout};

use crate::children::{Process, say};
use crate::common::fast_directory;
use crate::exercise::{Sample, assert_is_clear, small};

/// The place of a test: a directory with a store that was in use.
struct Place {
    _root: tempfile::TempDir,
    sample: Sample,
}

impl Place {
    fn new() -> Self {
        let root = fast_directory();
        let sample = Sample::new(&root.path().join("cache"), Default::default());
        Self { _root: root, sample }
    }

    fn path(&self) -> &Path {
        &self.sample.path
    }

    fn file(&self, name: &str) -> PathBuf {
        self.sample.file(name)
    }

    fn open(&self) -> FileCache {
        small().open(self.path()).unwrap()
    }
}

#[track_caller]
fn expect(error: Error, kind: ErrorKind, path: &Path, words: &[&str]) {
    assert_is_clear(&error);
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.path(), path, "{error}");
    for words in words {
        assert!(error.to_string().contains(words), "{words:?} is not in: {error}");
    }
}

#[track_caller]
fn refused(builder: &Builder, path: &Path) -> Error {
    builder.open(path).unwrap_err()
}

#[test]
fn a_path_that_cannot_be_made_is_to_blame_and_not_the_disk() {
    let root = fast_directory();
    let file = root.path().join("file");
    fs::write(&file, "x").unwrap();
    let long = root.path().join("n".repeat(300));
    let zero = root.path().join("a\0b");
    let absent = Path::new("/proc/no such directory");
    for (path, words) in [
        (absent.to_owned(), "Check the path"),
        (long, "shorter path"),
        (zero, "zero byte"),
        (file.join("below"), "everything above is a directory"),
    ] {
        for create in [true, false] {
            let error = refused(&small().create(create), &path);
            if create {
                expect(error, ErrorKind::Io, &path, &[words]);
            } else {
                assert_is_clear(&error);
                assert!(!error.to_string().contains("Check the disk"), "{error}");
            }
        }
    }
    let said = Process::start("nowhere", root.path(), 0).finish();
    assert_eq!(said, ["told"]);
}

/// Opens by a relative path where the working directory is gone.
pub fn nowhere(directory: &Path) {
    let gone = directory.join("gone");
    fs::create_dir(&gone).unwrap();
    std::env::set_current_dir(&gone).unwrap();
    fs::remove_dir(&gone).unwrap();
    let error = refused(&small(), Path::new("cache"));
    expect(
        error,
        ErrorKind::Io,
        Path::new("cache"),
        &["cannot tell where it is", "Check the path"],
    );
    say("told");
}

#[test]
fn a_limit_of_the_process_or_the_system_is_named() {
    for (errno, what, words) in [
        (libc::EFBIG, What::SetLength, "ulimit -f"),
        (libc::ENOMEM, What::Map, "ulimit -v"),
        (libc::EMFILE, What::Create, "ulimit -n"),
        (libc::ENFILE, What::Create, "fs.file-max"),
        (libc::ENOLCK, What::Lock, "file locks"),
        (libc::EOPNOTSUPP, What::Allocate, "another file system"),
        (libc::EIO, What::Read, "Check the disk"),
    ] {
        let root = fast_directory();
        let path = root.path().join("cache");
        let system = Simulated::default();
        system.refuse(move |call| (call.what == what).then(|| io::Error::from_raw_os_error(errno)));
        let error = refused(&small().environment(system.environment()), &path);
        assert!(error.path().starts_with(&path), "{error}");
        let file = error.path().to_owned();
        expect(error, ErrorKind::Io, &file, &[words]);
    }
}

#[test]
fn a_store_file_of_garbage_is_damage_beside_a_log_and_somebody_elses_without_one() {
    let place = Place::new();
    for garbage in [&b""[..], b"x", b"not a store at all, but long enough to be one", &[0; 64]] {
        place.sample.restore();
        fs::write(place.file("store"), garbage).unwrap();
        let error = refused(&small(), place.path());
        expect(
            error,
            ErrorKind::Damaged,
            &place.file("store"),
            &["damaged", "delete the directory"],
        );
        let root = fast_directory();
        fs::write(root.path().join("store"), garbage).unwrap();
        let error = refused(&small(), root.path());
        expect(error, ErrorKind::NotAStore, root.path(), &["\"store\" is not larder's"]);
    }
}

#[test]
fn what_has_the_name_of_a_file_and_is_none_makes_a_directory_no_damaged_store() {
    for name in ["log", "index"] {
        let root = fast_directory();
        fs::create_dir(root.path().join(name)).unwrap();
        let error = refused(&small(), root.path());
        expect(error, ErrorKind::NotAStore, root.path(), &[name, "Choose an empty"]);
        assert!(root.path().join(name).is_dir());
    }
}

#[test]
fn damage_names_its_file_and_is_the_only_cause_to_delete_anything() {
    let place = Place::new();
    let other = Place::new();
    type Harm<'a> = &'a dyn Fn(&Path);
    let damage: [(&str, Harm<'_>); 6] = [
        ("log", &|log| fs::remove_file(log).unwrap()),
        ("log", &|log| fs::write(log, "cut").unwrap()),
        ("log", &|log| _ = fs::copy(other.file("log"), log).unwrap()),
        ("log", &|_| place.sample.write("log", 3, b"?")),
        ("index", &|index| _ = fs::copy(other.file("index"), index).unwrap()),
        ("store", &|store| fs::remove_file(store).unwrap()),
    ];
    for (name, harm) in damage {
        place.sample.restore();
        harm(&place.file(name));
        let error = refused(&small(), place.path());
        expect(error, ErrorKind::Damaged, &place.file(name), &["delete the directory"]);
    }
}

#[test]
fn an_index_that_is_missing_asks_for_the_opener_that_can_make_it_anew() {
    let place = Place::new();
    fs::remove_file(place.file("index")).unwrap();
    let error = refused(&small().read_only(true), place.path());
    expect(error, ErrorKind::Damaged, &place.file("index"), &["without read_only"]);
    place.sample.restore();
    let cache = place.open();
    fs::remove_file(place.file("index")).unwrap();
    let error = refused(&small(), place.path());
    expect(error, ErrorKind::Busy, place.path(), &["index was missing", "Let them go"]);
    drop(cache);
    assert!(place.open().opening().began_anew.is_some());
}

#[test]
fn what_is_too_large_for_a_segment_tells_whether_it_is_the_key_or_the_value() {
    let place = Place::new();
    let cache = place.open();
    for (key, value, words) in [
        (1 << 16, 0, "the key has 65536 bytes"),
        (65_530, 0, "the key has 65530 bytes"),
        (9, 70_000, "the value has 70000 bytes"),
    ] {
        let error = cache.insert(vec![7; key], vec![7; value]).unwrap_err();
        assert!(error.limit().is_some());
        expect(error, ErrorKind::TooLarge, place.path(), &[words]);
    }
}

#[test]
fn a_value_that_others_compute_is_waited_for_and_asked_for_once() {
    let place = Place::new();
    let builder = small().fill_timeout(Duration::ZERO).on_fill_timeout(OnFillTimeout::Fail);
    let cache = builder.open(place.path()).unwrap();
    let errors = cache.get_or_insert_with("key", || {
        let own = cache.get_or_insert_with("key", Vec::new).unwrap_err();
        expect(own, ErrorKind::Busy, place.path(), &["its own computation"]);
        let others = || cache.get_or_insert_with("key", Vec::new).unwrap_err();
        let other = thread::scope(|scope| scope.spawn(others).join().unwrap());
        expect(other, ErrorKind::Busy, place.path(), &["fill_timeout"]);
        Vec::new()
    });
    errors.unwrap();
}

#[test]
fn after_a_sync_that_failed_nobody_is_told_to_delete_the_cache() {
    let root = fast_directory();
    let path = root.path().join("cache");
    let system = Simulated::default();
    let cache = small().environment(system.environment()).open(&path).unwrap();
    system
        .refuse(|call| (call.what == What::Sync).then(|| io::Error::from_raw_os_error(libc::EIO)));
    let error = cache.sync().unwrap_err();
    expect(error, ErrorKind::Io, &path.join("log"), &["durable", "Check the disk"]);
    system.refuse_nothing();
    let error = cache.sync().unwrap_err();
    expect(
        error,
        ErrorKind::Io,
        &path.join("log"),
        &["earlier sync failed", "restart the machine"],
    );
}

#[test]
fn a_limit_that_others_keep_from_being_lowered_says_who_has_to_let_go() {
    if !Path::new("/dev/shm").is_dir() {
        println!("skipped: there is no /dev/shm, a tmpfs");
        return;
    }
    let place = Place::new();
    let cache = place.open();
    for key in 0..3000u64 {
        cache.insert(key.to_le_bytes(), [7; 1000]).unwrap();
    }
    let smaller = || small().max_bytes(2 << 20);
    let error = refused(&smaller().strict_limits(true), place.path());
    expect(error, ErrorKind::Busy, &place.file("log"), &["tmpfs", "Let them close it"]);
    let other = smaller().open(place.path()).unwrap();
    let kept = other.opening().limits_kept.as_ref().unwrap();
    assert_eq!(kept.kind, ErrorKind::Busy);
    assert!(kept.reason.contains("Let them close it"), "{}", kept.reason);
}

#[test]
fn options_that_only_a_new_store_takes_are_told_of_where_they_do_not_hold() {
    let place = Place::new();
    assert_eq!(place.open().opening().not_applied, None);
    let cache = small().segment_size(128 << 10).max_processes(9).open(place.path()).unwrap();
    let told = cache.opening().not_applied.clone().unwrap();
    assert_eq!(told, "segment_size is 65536 here, not 131072, and max_processes is 4 here, not 9");
    assert_eq!(cache.stats().segment_bytes, 64 << 10);
}

#[test]
fn the_source_asks_for_the_directory_to_be_deleted_in_one_place_alone() {
    let mut places = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let advice = |line: &&str| {
                let line = line.to_lowercase();
                line.contains('"')
                    && !line.trim_start().starts_with("//")
                    && line.contains("delete the")
            };
            places.extend(text.lines().filter(advice).map(|_| path.clone()));
        }
    }
    assert_eq!(places.len(), 1, "{places:?}");
    assert!(places[0].ends_with("request.rs"));
}
