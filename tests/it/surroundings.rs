//! What a cache is used in: working directories that change, threads that end, directories in which other
//! programs leave something.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use larder::{Durability, ErrorKind, FileCache};

use crate::children::{Process, say};
use crate::common::fast_directory;
use crate::exercise::assert_is_clear;
use crate::fork::{exit_of, in_child};

fn in_role(role: &str) {
    let dir = fast_directory();
    let said = Process::start(role, dir.path(), 0).finish();
    assert_eq!(said, ["done"]);
}

/// Opens by a relative path, then goes elsewhere, then forks.
pub fn moved_about(directory: &Path) {
    std::env::set_current_dir(directory).unwrap();
    let cache = FileCache::open("cache").unwrap();
    cache.insert("key", "value").unwrap();
    assert_eq!(cache.directory(), directory.canonicalize().unwrap().join("cache"));
    // There is another store of that name.
    let elsewhere = directory.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    std::env::set_current_dir(&elsewhere).unwrap();
    FileCache::open("cache").unwrap().insert("key", "another").unwrap();
    let child = in_child(|| {
        assert_eq!(cache.get("key").as_deref(), Some(&b"value"[..]));
        cache.insert("child", "was here").unwrap();
    });
    assert_eq!(exit_of(child), 0);
    assert_eq!(cache.get("child").as_deref(), Some(&b"was here"[..]));
    say("done");
}

#[test]
fn a_cache_opened_by_a_relative_path_is_the_same_after_a_change_of_directory_and_a_fork() {
    in_role("moved about");
}

/// Fills a key when its thread ends.
struct Farewell(FileCache);

impl Drop for Farewell {
    fn drop(&mut self) {
        let value = self.0.get_or_insert_with("farewell", || b"computed".to_vec()).unwrap();
        assert_eq!(value, b"computed");
    }
}

thread_local! {
    static FAREWELL: RefCell<Option<Farewell>> = const { RefCell::new(None) };
}

/// Fills in the destructor of a thread local, made before or after what fills keep of their own.
pub fn ending(directory: &Path) {
    let cache = FileCache::open(directory.join("cache")).unwrap();
    for first in [true, false] {
        let own = cache.clone();
        let ended = std::thread::spawn(move || {
            let fill = || _ = own.get_or_insert_with("greeting", || b"hello".to_vec()).unwrap();
            if !first {
                fill();
            }
            FAREWELL.with(|farewell| *farewell.borrow_mut() = Some(Farewell(own.clone())));
            if first {
                fill();
            }
        });
        ended.join().unwrap();
        assert_eq!(cache.get("farewell").as_deref(), Some(&b"computed"[..]));
        cache.clear().unwrap();
    }
    say("done");
}

#[test]
fn a_value_is_computed_in_the_destructor_of_a_thread_local_too() {
    in_role("ending");
}

#[test]
fn what_says_something_of_a_directory_does_not_keep_a_cache_out_of_it() {
    let dir = fast_directory();
    for name in [".gitkeep", ".gitignore", "CACHEDIR.TAG"] {
        fs::write(dir.path().join(name), "before").unwrap();
    }
    let cache = FileCache::open(dir.path()).unwrap();
    cache.insert("key", "value").unwrap();
    for name in [".gitkeep", ".gitignore", "CACHEDIR.TAG"] {
        assert_eq!(fs::read(dir.path().join(name)).unwrap(), b"before", "{name} is another's");
    }
}

#[test]
fn a_new_cache_tells_backups_that_it_is_one() {
    let dir = fast_directory();
    let path = dir.path().join("cache");
    drop(FileCache::open(&path).unwrap());
    let tag = fs::read(path.join("CACHEDIR.TAG")).unwrap();
    assert!(tag.starts_with(b"Signature: 8a477f597d28d172789f06886806bc55"));
    // Whoever does not want it takes it away, and it stays away.
    fs::remove_file(path.join("CACHEDIR.TAG")).unwrap();
    drop(FileCache::open(&path).unwrap());
    assert!(!path.join("CACHEDIR.TAG").exists());
}

#[test]
fn an_empty_path_is_called_empty() {
    let error = FileCache::open("").unwrap_err();
    assert_is_clear(&error);
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
    assert!(error.to_string().starts_with("the path is empty"), "{error}");
}

#[test]
fn a_put_that_is_expired_at_once_syncs_once_where_each_write_is_durable() {
    let dir = fast_directory();
    let builder = FileCache::builder().durability(Durability::EachWrite);
    let cache = builder.open(dir.path().join("cache")).unwrap();
    cache.insert("key", "value").unwrap();
    let before = cache.stats().syncs;
    cache.insert_with_ttl("key", "value", std::time::Duration::ZERO).unwrap();
    assert_eq!(cache.get("key"), None);
    assert_eq!(cache.stats().syncs, before + 1);
}
