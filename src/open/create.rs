//! Creation: log and index first, the file `store` last, so that a store is there whole or not.
//!
//! Processes that create at once take turns by the opening lock of the log. What a creator that died
//! left behind is made anew; what is not larder's is left alone.

use std::fs;

use super::{OpeningLock, Request, damaged, unusable};
use crate::config::{self, Plan};
use crate::error::{Error, Result};
use crate::format::control::{self, ROWS_OFFSET};
use crate::format::identity::Identity;
use crate::format::intent::WordAt;
use crate::format::lock::{LockWord, Phase, ProcessSlot};
use crate::format::place::{Lsn, Millis};
use crate::format::segment::ROW_BYTES;
use crate::format::{FORMAT_VERSION, INDEX_FILE, LOG_FILE, STORE_FILE};
use crate::sys::lock::LockFile;
use crate::sys::mapping::{Access, Mapping};
use crate::sys::memory::Memory;
use crate::sys::space::{self, FileSystem};
use crate::sys::words::Words;
use crate::sys::{clock, files};

/// Creates the store; `false` if another process was faster.
pub fn create(request: &Request, file_system: FileSystem) -> Result<bool> {
    let path = request.path(LOG_FILE);
    refuse_alien(request)?;
    refuse_whole(request)?;
    loop {
        files::open_or_create(&path).map_err(|error| unusable(&path, error))?;
        let locks = LockFile::open(&path).map_err(|error| unusable(&path, error))?;
        let _lock = OpeningLock::acquire(&locks, &path, request.options.lock_timeout)?;
        if !locks.is_at(&path) {
            continue; // A creator that failed took its log away.
        }
        if request.path(STORE_FILE).exists() {
            return Ok(false);
        }
        refuse_whole(request)?;
        let made = build(request, file_system);
        if made.is_err() && !request.path(STORE_FILE).exists() {
            // What could not be finished is not left lying; errors here change nothing.
            for name in ["store.new", INDEX_FILE, LOG_FILE] {
                let _ = fs::remove_file(request.path(name));
            }
        }
        return made.map(|()| true);
    }
}

/// A directory with other things in it, but no store, is not for us.
fn refuse_alien(request: &Request) -> Result<()> {
    let io = |error| Error::io(&request.directory, "cannot list it", error);
    let ours = [LOG_FILE, INDEX_FILE, "store.new", "index.new", STORE_FILE, "lost+found"];
    for entry in fs::read_dir(&request.directory).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        if !ours.iter().any(|own| name == *own) {
            return Err(request.not_a_store(
                &format!("it is not empty (there is {name:?}) and holds no larder store"),
                "Choose an empty or a new directory.",
            ));
        }
    }
    Ok(())
}

fn build(request: &Request, file_system: FileSystem) -> Result<()> {
    let io = |error| Error::io(&request.directory, "cannot create a store", error);
    let [a, b, seed] = match request.seams.random {
        Some(words) => words,
        None => clock::random::<3>().map_err(io)?,
    };
    let Plan { geometry, limits } =
        request.options.plan(&request.directory, file_system.bytes, seed)?;
    let identity = Identity {
        store_id: [a, b],
        seed: geometry.seed,
        segment_shift: geometry.segment_shift,
        level: geometry.level,
        max_processes: geometry.max_processes,
        limits,
    };
    let index_bytes = config::first_index_bytes(&geometry);
    let segments = config::segments_within(&geometry, limits.max_bytes, index_bytes);
    let boot_id = request.boot_id()?;

    // Nobody has them mapped: there is no store yet.
    let log_path = request.path(LOG_FILE);
    let log = files::open_or_create(&log_path).map_err(|error| unusable(&log_path, error))?;
    let log_io = |error| Error::io(&log_path, "cannot create it", error);
    log.set_len(0).map_err(log_io)?;
    space::set_length(&log, geometry.log_bytes(segments)).map_err(log_io)?;
    space::allocate(&log, 0, ROWS_OFFSET + segments * ROW_BYTES).map_err(log_io)?;
    let index_path = request.path(INDEX_FILE);
    let index = files::open_or_create(&index_path).map_err(|error| unusable(&index_path, error))?;
    let index_io = |error| Error::io(&index_path, "cannot create it", error);
    index.set_len(0).map_err(index_io)?;
    space::extend(&index, 0, index_bytes).map_err(index_io)?;

    let ids = [files::identity(&log).map_err(log_io)?, files::identity(&index).map_err(index_io)?];
    let memory = Memory {
        log: Mapping::new(log, control::STATES_OFFSET, Access::Shared).map_err(log_io)?,
        index: Mapping::new(index, control::STATES_OFFSET, Access::Shared).map_err(index_io)?,
    };
    write_header(&memory, WordAt::log, control::LOG_MAGIC, identity.store_id);
    write_header(&memory, WordAt::index, control::INDEX_MAGIC, identity.store_id);
    write_control(&memory, &identity, index_bytes);
    write_identity(&memory, boot_id, ids);
    memory.log.file().sync_all().map_err(log_io)?;
    memory.index.file().sync_all().map_err(index_io)?;
    write_store(request, &identity)?;
    memory.store(control::CREATED, 1);
    memory.store(WordAt::index(control::CREATED.offset()), 1);
    memory.log.file().sync_data().map_err(log_io)
}

/// Whatever is whole is not built over: its file `store` is missing.
fn refuse_whole(request: &Request) -> Result<()> {
    if request.path(STORE_FILE).exists() {
        return Ok(()); // Another process was faster.
    }
    [LOG_FILE, INDEX_FILE].into_iter().try_for_each(|name| refuse_whole_file(request, name))
}

fn refuse_whole_file(request: &Request, name: &str) -> Result<()> {
    let path = request.path(name);
    let Some(file) = files::open(&path, false).map_err(|error| unusable(&path, error))? else {
        return Ok(());
    };
    let head =
        files::read_small(&file, 64).map_err(|error| Error::io(&path, "cannot read it", error))?;
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

/// The identity at the head of log and index.
pub fn write_header(
    memory: &Memory,
    place: impl Fn(u64) -> WordAt,
    magic: u64,
    store_id: [u64; 2],
) {
    let at = |word: WordAt| place(word.offset());
    // First, so that what a creator leaves that is killed here is known to be larder's.
    memory.store(at(control::MAGIC), magic);
    memory.store(at(control::STORE_ID), store_id[0]);
    memory.store(at(control::STORE_ID).plus(1), store_id[1]);
    let version = control::encode_version(magic, FORMAT_VERSION, store_id);
    memory.store(at(control::VERSION), version);
}

/// The control words of a store with nothing in it.
fn write_control(memory: &Memory, identity: &Identity, index_bytes: u64) {
    let Some(owner) = ProcessSlot::new(0) else { return };
    let free = LockWord { phase: Phase::Free, owner, sequence: Lsn::first_of(1) };
    memory.store(control::LOCK, free.encode());
    memory.store(control::EPOCH, 1);
    memory.store(control::PAGES, 1 << identity.level);
    memory.store(control::PAGES_DURABLE, 1 << identity.level);
    memory.store(control::INDEX_GRANTED, index_bytes);
    memory.store(control::SWEEP_DUE, Millis::NEVER.get());
    super::limits::write(memory, &identity.limits);
}

/// The boot in which counters are exact, and the files that they are about.
pub fn write_identity(memory: &Memory, boot_id: [u64; 2], ids: [[u64; 2]; 2]) {
    for (word, id) in (0..).zip(ids.into_iter().flatten()) {
        memory.store(control::FILE_IDS.plus(word), id);
    }
    memory.store(control::BOOT_ID.plus(1), boot_id[1]);
    memory.store(control::BOOT_ID, boot_id[0]);
}

/// Replaces the file `store`.
pub fn write_store(request: &Request, identity: &Identity) -> Result<()> {
    let path = request.path(STORE_FILE);
    let bytes = identity
        .encode()
        .map_err(|error| damaged(&path, &format!("its content cannot be encoded: {error}")))?;
    files::replace(&request.directory, STORE_FILE, &bytes)
        .map_err(|error| Error::io(&path, "cannot write it", error))
}
