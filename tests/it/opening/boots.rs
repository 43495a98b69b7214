//! Boot ids that differ between those who use a store: containers with a `/proc` of their own.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use larder::internals::{Call, Simulated, What, control};
use larder::{ErrorKind, FileCache};

use crate::children::{Process, listen, own_mounts, say};
use crate::common::fast_directory;
use crate::exercise::{Sample, assert_is_clear, environment, small};

/// Opens the store under a boot id of its own, and does with it what it is told.
pub fn another_boot(directory: &Path, number: u64) {
    let id = directory.parent().unwrap().join(format!("boot_id_{number}"));
    fs::write(&id, format!("{number:08x}-1111-4222-8333-444444444444\n")).unwrap();
    if let Err(why) = own_mounts().and_then(|()| mount_over(&id)) {
        return say(format!("skipped: {why}"));
    }
    let mut cache = match FileCache::open(directory) {
        Ok(cache) => Some(cache),
        Err(error) => return say(error),
    };
    say("opened");
    while let Some(line) = listen() {
        let open = cache.as_ref();
        match line.as_str() {
            "put" => open.unwrap().insert(number.to_le_bytes(), "other").unwrap(),
            "verify" => assert!(open.unwrap().verify().unwrap().is_sound()),
            _ => cache = None,
        }
        say("done");
    }
}

fn mount_over(id: &Path) -> Result<(), String> {
    let from = CString::new(id.to_str().unwrap()).unwrap();
    // SAFETY: a system call with terminated strings; it changes this thread's mounts alone.
    let status = unsafe {
        let over = c"/proc/sys/kernel/random/boot_id".as_ptr();
        libc::mount(from.as_ptr(), over, std::ptr::null(), libc::MS_BIND, std::ptr::null())
    };
    if status == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().to_string()) }
}

/// A user of another boot id; `None` if this machine has no such thing.
fn other_user(path: &Path, number: u64) -> Option<Process> {
    let mut user = Process::start("another boot", path, number);
    let said = user.hear().unwrap();
    if said.starts_with("skipped") {
        println!("{said}");
        return None;
    }
    assert_eq!(said, "opened");
    Some(user)
}

fn ask(user: &mut Process, what: &str) {
    user.tell(what);
    assert_eq!(user.hear().as_deref(), Some("done"));
}

#[test]
fn users_with_different_boot_ids_share_a_store() {
    let dir = fast_directory();
    let path = dir.path().join("cache");
    let cache = FileCache::builder().max_bytes(8 << 20).open(&path).unwrap();
    cache.insert("key", "value").unwrap();
    let Some(mut other) = other_user(&path, 1) else { return };
    ask(&mut other, "put");
    assert_eq!(cache.get(1u64.to_le_bytes()).as_deref(), Some(&b"other"[..]));
    let reader = FileCache::builder().read_only(true).open(&path).unwrap();
    assert_eq!(reader.len(), 2);
    // Whoever is left keeps the store in order for those who come, of whatever id.
    drop(cache);
    let Some(mut third) = other_user(&path, 2) else { return };
    ask(&mut third, "put");
    ask(&mut other, "verify");
    other.finish();
    let cache = FileCache::open(&path).unwrap();
    assert!(!cache.opening().other_boot, "{:?}", cache.opening());
    assert_eq!(cache.len(), 3);
    // A reader of another id sees what is written from then on, and not a copy.
    let environment = environment(true);
    let reader = FileCache::builder().environment(environment).read_only(true).open(&path).unwrap();
    assert!(!reader.opening().other_boot);
    cache.insert("later", "seen").unwrap();
    assert_eq!(reader.get("later").as_deref(), Some(&b"seen"[..]));
    third.finish();
    drop((cache, reader));
    // With nobody there, another id is another boot.
    let Some(mut fourth) = other_user(&path, 3) else { return };
    ask(&mut fourth, "verify");
    fourth.finish();
    let cache = FileCache::open(&path).unwrap();
    assert!(cache.opening().other_boot);
    assert_eq!(cache.len(), 4);
}

#[test]
fn a_store_whose_epochs_are_used_up_begins_anew_and_tells() {
    let dir = fast_directory();
    let sample = Sample::new(&dir.path().join("cache"), Default::default());
    let last = (1u64 << 16) - 2;
    for copy in control::EPOCH.copies() {
        sample.write("log", copy.offset(), &control::EPOCH.seal(last).to_le_bytes());
    }
    let lock = (last << 36) << 12;
    sample.write("log", control::LOCK.offset(), &lock.to_le_bytes());
    let log = fs::File::open(sample.file("log")).unwrap();
    let max_bytes = FileCache::builder().read_only(true);
    let max_bytes = max_bytes.open(&sample.path).unwrap().stats().max_bytes;
    // A reader that may not begin it anew reads on.
    let reader = FileCache::builder().read_only(true).environment(environment(true));
    let reader = reader.open(&sample.path).unwrap();
    let entries = reader.len();
    assert!(entries > 0);
    let builder = FileCache::builder().environment(environment(true));
    let cache = builder.open(&sample.path).unwrap();
    let why = cache.opening().began_anew.as_deref().unwrap();
    assert!(why.contains("epochs"), "{why}");
    assert!(cache.is_empty() && cache.stats().max_bytes == max_bytes);
    cache.insert("key", "value").unwrap();
    assert_eq!(cache.get("key").as_deref(), Some(&b"value"[..]));
    // Who has the old files goes on with them.
    assert_eq!(reader.len(), entries);
    let mut head = [0; 8];
    log.read_exact_at(&mut head, 0).unwrap();
    drop(cache);
    let cache = builder.open(&sample.path).unwrap();
    assert!(cache.opening().began_anew.is_none() && cache.len() == 1);
}

/// A system of its own boot that does something once, before it allocates or locks a byte of the log.
fn meddled(boot: u64, at: What, meddle: impl FnOnce() + Send + 'static) -> Simulated {
    let system = Simulated::default().in_boot([7, boot]);
    let mut meddle = Some(meddle);
    system.refuse(move |call: &Call| {
        if call.what == at
            && call.path.ends_with("log")
            && let Some(meddle) = meddle.take()
        {
            meddle();
        }
        None
    });
    system
}

fn open_in(path: &Path, system: &Simulated) -> larder::Result<FileCache> {
    FileCache::builder().environment(system.environment()).open(path)
}

#[test]
fn who_finds_a_store_in_order_looks_again_once_attached() {
    let dir = fast_directory();
    let path = dir.path().join("cache");
    let first = Simulated::default().in_boot([7, 1]);
    small().environment(first.environment()).open(&path).unwrap().insert("key", "value").unwrap();
    // Between the look at the store and the lock of a row somebody of another boot id recovers it.
    let other = Simulated::default().in_boot([7, 2]);
    let recovered = path.clone();
    let system = meddled(1, What::Lock, move || {
        assert!(open_in(&recovered, &other).unwrap().opening().other_boot);
    });
    let cache = open_in(&path, &system).unwrap();
    assert!(cache.opening().other_boot, "it took what it saw before for true");
    assert_eq!(cache.get("key").as_deref(), Some(&b"value"[..]));
}

#[test]
fn who_recovers_a_store_looks_again_for_users() {
    let dir = fast_directory();
    let path = dir.path().join("cache");
    let first = Simulated::default().in_boot([7, 1]);
    small().environment(first.environment()).open(&path).unwrap().insert("key", "value").unwrap();
    // Between the look at the locks and the first change somebody attaches to whom the store is in order.
    let user = Arc::new(Mutex::new(None));
    let (attached, theirs) = (Arc::clone(&user), path.clone());
    let system = meddled(2, What::Allocate, move || {
        *attached.lock().unwrap() = Some(open_in(&theirs, &first).unwrap());
    });
    let error = open_in(&path, &system).unwrap_err();
    assert_is_clear(&error);
    assert_eq!(error.kind(), ErrorKind::Busy);
    // Whose store is as it was.
    let cache = user.lock().unwrap().take().unwrap();
    assert!(!cache.opening().other_boot);
    cache.insert("another", "value").unwrap();
    assert_eq!(open_in(&path, &system).unwrap().len(), 2);
    assert!(cache.verify().unwrap().is_sound());
}
