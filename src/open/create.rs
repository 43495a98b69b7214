//! Creation: log and index first, the file `store` last, so that a store is there whole or not.
//!
//! Processes that create at once take turns by the opening lock of the log. What a creator that died
//! left behind is made anew; what is not larder's is left alone.

use std::ffi::OsStr;
use std::io;

use crate::config::{self, Layout};
use crate::directory::{
    OpeningLock, origin, write_header, write_identity, write_limits, write_origin,
};
use crate::error::{Error, ErrorKind, Result};
use crate::format::address::{Lsn, Millis};
use crate::format::control::{self, Geometry, ROWS_OFFSET};
use crate::format::identity::Identity;
use crate::format::intent::WordAt;
use crate::format::lock::{LockWord, Phase, ProcessId};
use crate::format::segment::ROW_BYTES;
use crate::format::{INDEX_FILE, LOG_FILE, STORE_FILE};
use crate::request::{Request, damaged, unusable};
use crate::sys::door::{Access, SharedFile};
use crate::sys::mapping::Mapping;
use crate::sys::memory::Memory;
use crate::sys::space::FileSystem;
use crate::sys::words::Words;

/// The file that says that a directory is a cache.
const TAG_FILE: &str = "CACHEDIR.TAG";
/// What it begins with, as <https://bford.info/cachedir/> wants it, and who made it.
const TAG: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55
# This directory is a cache, made by larder. What is in it can be made again.
# For what this file is good for see https://bford.info/cachedir/
";

/// Creates the store; `false` if another process was faster.
pub fn create(request: &Request, file_system: FileSystem) -> Result<bool> {
    let (files, path) = (request.files(), request.path(LOG_FILE));
    refuse_alien(request)?;
    refuse_whole(request)?;
    loop {
        files.open_or_create(&path).map_err(|error| in_the_way(request, LOG_FILE, error))?;
        let locks = files.open_locks(&path, true).map_err(|error| unusable(&path, error))?;
        let _lock = OpeningLock::acquire(&*locks, &path, request.options.lock_timeout)?;
        if !locks.is_at(&path) {
            continue; // A creator that failed took its log away.
        }
        if files.exists(&request.path(STORE_FILE)) {
            return Ok(false);
        }
        refuse_whole(request)?;
        let made = build(request, file_system);
        if made.is_ok() {
            write_tag(request);
        }
        if made.is_err() && !files.exists(&request.path(STORE_FILE)) {
            // What could not be finished is not left lying; errors here change nothing.
            for name in ["store.new", INDEX_FILE, LOG_FILE] {
                let _ = files.remove_file(&request.path(name));
            }
        }
        return made.map(|()| true);
    }
}

/// A directory with other things in it, but no store, is not for us.
fn refuse_alien(request: &Request) -> Result<()> {
    let io = |error| Error::io(&request.directory, "cannot list it", error);
    let names = request.files().names(&request.directory).map_err(io)?;
    for name in names {
        if !is_no_obstacle(&name) {
            return Err(request.not_a_store(
                &format!("it is not empty (there is {name:?}) and holds no larder store"),
                "Choose an empty or a new directory.",
            ));
        }
    }
    Ok(())
}

/// Whether a name does not keep a store from being made beside it: its own files, what file systems put
/// there, and what says something of the directory to other programs (`.gitkeep`, `CACHEDIR.TAG`).
fn is_no_obstacle(name: &OsStr) -> bool {
    let known =
        [LOG_FILE, INDEX_FILE, "store.new", "index.new", STORE_FILE, "lost+found", TAG_FILE];
    known.iter().any(|own| name == *own) || name.as_encoded_bytes().starts_with(b".")
}

/// Tells backups that here is a cache, by the Cache Directory Tagging Specification. A store does not need
/// it, so it is no matter if it cannot be written.
fn write_tag(request: &Request) {
    if !request.files().exists(&request.path(TAG_FILE)) {
        let _ = request.files().replace(&request.directory, TAG_FILE, TAG);
    }
}

fn build(request: &Request, file_system: FileSystem) -> Result<()> {
    let identity = new_identity(request, file_system)?;
    let geometry = identity.geometry();
    let boot_id = request.boot_id()?;
    let index_bytes = config::first_index_bytes(&geometry);
    let log_io = |error| Error::io(&request.path(LOG_FILE), "cannot create it", error);
    let index_io = |error| Error::io(&request.path(INDEX_FILE), "cannot create it", error);
    let log = new_log(request, &geometry, identity.limits.max_bytes)?;
    let index = new_index(request, index_bytes)?;
    let ids = [log.file_id().map_err(log_io)?, index.file_id().map_err(index_io)?];
    let words = Memory {
        log: Mapping::new(log, control::STATES_OFFSET, Access::Shared).map_err(log_io)?,
        index: Mapping::new(index, control::STATES_OFFSET, Access::Shared).map_err(index_io)?,
    };
    write_header(&words, WordAt::log, control::LOG_MAGIC, identity.store_id);
    write_header(&words, WordAt::index, control::INDEX_MAGIC, identity.store_id);
    write_control(&words, &identity, index_bytes);
    write_origin(&words, origin(boot_id, ids));
    words.log.file().sync(true).map_err(log_io)?;
    words.index.file().sync(true).map_err(index_io)?;
    write_identity(request, &identity)?;
    words.store(control::CREATED, 1);
    words.store(WordAt::index(control::CREATED.offset()), 1);
    words.log.sync().map_err(log_io)
}

/// What the store will be: by the options, and by chance.
fn new_identity(request: &Request, file_system: FileSystem) -> Result<Identity> {
    let [a, b, seed] = (request.environment.boot.random())
        .map_err(|error| Error::io(&request.directory, "cannot create a store", error))?;
    let Layout { geometry, limits } =
        request.options.layout(&request.directory, file_system.bytes, seed)?;
    Ok(Identity {
        store_id: [a, b],
        seed: geometry.seed,
        segment_shift: geometry.segment_shift,
        level: geometry.level,
        max_processes: geometry.max_processes,
        limits,
    })
}

/// An empty log. Nobody has it mapped: there is no store yet.
fn new_log(request: &Request, geometry: &Geometry, max_bytes: u64) -> Result<SharedFile> {
    let segments =
        config::segments_within(geometry, max_bytes, config::first_index_bytes(geometry));
    let path = request.path(LOG_FILE);
    let log = request.files().open_or_create(&path).map_err(|error| unusable(&path, error))?;
    log.set_length(0)
        .and_then(|()| log.set_length(geometry.log_bytes(segments)))
        .and_then(|()| log.allocate(0, ROWS_OFFSET + segments * ROW_BYTES))
        .map_err(|error| Error::io(&path, "cannot create it", error))?;
    Ok(log)
}

/// An empty index. Nobody has it mapped, either.
fn new_index(request: &Request, bytes: u64) -> Result<SharedFile> {
    let path = request.path(INDEX_FILE);
    let index = request.files().open_or_create(&path).map_err(|error| unusable(&path, error))?;
    index
        .set_length(0)
        .and_then(|()| index.extend(0, bytes))
        .map_err(|error| Error::io(&path, "cannot create it", error))?;
    Ok(index)
}

/// Whatever is whole is not built over: its file `store` is missing.
fn refuse_whole(request: &Request) -> Result<()> {
    if request.files().exists(&request.path(STORE_FILE)) {
        return Ok(()); // Another process was faster.
    }
    [LOG_FILE, INDEX_FILE].into_iter().try_for_each(|name| refuse_whole_file(request, name))
}

fn refuse_whole_file(request: &Request, name: &str) -> Result<()> {
    let path = request.path(name);
    let found = request.files().open(&path, false);
    let Some(file) = found.map_err(|error| in_the_way(request, name, error))? else {
        return Ok(());
    };
    let head = file.read_small(64).map_err(|error| Error::io(&path, "cannot read it", error))?;
    let word = |at: usize| {
        let bytes = head.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        u64::from_le_bytes(bytes.unwrap_or_default())
    };
    let is_ours = [control::LOG_MAGIC, control::INDEX_MAGIC].contains(&word(0));
    if is_ours && word(control::CREATED.offset() as usize) != 0 {
        return Err(damaged(
            &request.path(STORE_FILE),
            &format!("the file is missing beside {name:?}, which belongs to a store"),
        ));
    }
    if !is_ours && head.iter().any(|&byte| byte != 0) {
        return Err(request.not_a_store(
            &format!("its file {name:?} is not larder's"),
            "Choose an empty or a new directory.",
        ));
    }
    Ok(())
}

/// Something that is no file has the name of one, in a directory without a store: then it is nothing of larder's.
fn in_the_way(request: &Request, name: &str, error: io::Error) -> Error {
    let error = unusable(&request.path(name), error);
    match error.kind() {
        ErrorKind::Damaged => request.not_a_store(
            &format!("what is there by the name {name:?} is no file of larder"),
            "Choose an empty or a new directory.",
        ),
        _ => error,
    }
}

/// The control words of a store with nothing in it.
fn write_control(words: &Memory, identity: &Identity, index_bytes: u64) {
    let Some(owner) = ProcessId::new(0) else { return };
    let free = LockWord { phase: Phase::Free, owner, sequence: Lsn::first_of(1) };
    words.store(control::LOCK, free.encode());
    words.store(control::EPOCH, 1);
    words.store(control::PAGES, 1 << identity.level);
    words.store(control::PAGES_DURABLE, 1 << identity.level);
    words.store(control::INDEX_GRANTED, index_bytes);
    words.store(control::SWEEP_DUE, Millis::NEVER.get());
    write_limits(words, &identity.limits);
}
