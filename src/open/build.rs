//! An empty store is built: log and index first, the file `store` last, so that a store is there whole or not.

use crate::capacity;
use crate::config::Layout;
use crate::directory::{
    INDEX_NEW, LOG_NEW, OpeningLock, origin, write_header, write_identity, write_limits,
    write_origin,
};
use crate::error::{Error, Result};
use crate::format::address::{Lsn, Millis};
use crate::format::control::{self, Geometry, ROWS_OFFSET};
use crate::format::identity::Identity;
use crate::format::intent::WordAt;
use crate::format::lock::{LockWord, OPENING_LOCK_BYTE, Phase, ProcessId};
use crate::format::segment::ROW_BYTES;
use crate::format::{INDEX_FILE, LOG_FILE};
use crate::request::{Request, unusable};
use crate::sys::door::{Access, Locks, SharedFile};
use crate::sys::mapping::Mapping;
use crate::sys::memory::Memory;
use crate::sys::space::FileSystem;
use crate::sys::words::Words;

/// Where an empty store is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where none is: in its own files, which are nobody's until `store` is there.
    Free,
    /// Where there was one, whose files stay until those of the new one are whole. They are never cut:
    /// whoever still has them goes on with them.
    Taken,
}

/// Builds an empty store by the options, under the opening lock.
pub fn build(
    request: &Request,
    file_system: FileSystem,
    place: Place,
    lock: &OpeningLock<'_>,
) -> Result<()> {
    let identity = new_identity(request, file_system)?;
    let geometry = identity.geometry();
    let boot_id = request.boot_id()?;
    let index_bytes = capacity::first_index_bytes(&geometry);
    let log_io = |error| Error::io(&request.path(LOG_FILE), "cannot create it", error);
    let index_io = |error| Error::io(&request.path(INDEX_FILE), "cannot create it", error);
    let log = new_log(request, place, &geometry, identity.limits.max_bytes)?;
    let index = new_index(request, place, index_bytes)?;
    let ids = [log.file_id().map_err(log_io)?, index.file_id().map_err(index_io)?];
    let words = Memory {
        log: Mapping::new(log, control::STATES_OFFSET, Access::Shared).map_err(log_io)?,
        index: Mapping::new(index, control::STATES_OFFSET, Access::Shared).map_err(index_io)?,
    };
    write_header(&words, WordAt::log, control::LOG_MAGIC, identity.store_id);
    write_header(&words, WordAt::index, control::INDEX_MAGIC, identity.store_id);
    write_control(&words, &identity, index_bytes);
    write_origin(&words, origin(boot_id, ids));
    if place == Place::Taken {
        set_created(&words);
    }
    lock.moved();
    words.log.file().sync(true).map_err(log_io)?;
    lock.moved();
    words.index.file().sync(true).map_err(index_io)?;
    lock.moved();
    let _locks = match place {
        Place::Free => None,
        Place::Taken => Some(put_in_place(request)?),
    };
    write_identity(request, &identity)?;
    lock.moved();
    set_created(&words);
    words.log.sync().map_err(log_io)
}

fn set_created(words: &Memory) {
    words.store(control::CREATED, 1);
    words.store(WordAt::index(control::CREATED.offset()), 1);
}

/// Puts the new log and index in place of the old ones. From then on the opening lock is that of the new log;
/// it is held until the locks are dropped.
fn put_in_place(request: &Request) -> Result<Box<dyn Locks>> {
    let (files, directory) = (request.files(), &request.directory);
    let path = request.path(LOG_NEW);
    let locks = files.open_locks(&path, true).map_err(|error| unusable(&path, error))?;
    locks.try_lock(OPENING_LOCK_BYTE).map_err(|error| Error::io(&path, "cannot lock it", error))?;
    for (new, name) in [(INDEX_NEW, INDEX_FILE), (LOG_NEW, LOG_FILE)] {
        let io = |error| Error::io(&request.path(name), "cannot replace it", error);
        files.put_in_place(&request.path(new), directory, name).map_err(io)?;
    }
    Ok(locks)
}

/// Opens an empty file to build in, without a harm to whoever has the old one mapped.
fn empty_file(
    request: &Request,
    place: Place,
    [name, name_beside]: [&str; 2],
) -> Result<SharedFile> {
    let (files, rights) = (request.files(), request.rights(name));
    let path = request.path(if place == Place::Free { name } else { name_beside });
    let made = match place {
        Place::Free => {
            files.open_or_create(&path, &rights).and_then(|file| file.set_length(0).map(|()| file))
        }
        Place::Taken => files.make(&path, &rights),
    };
    made.map_err(|error| unusable(&path, error))
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

/// An empty log.
fn new_log(
    request: &Request,
    place: Place,
    geometry: &Geometry,
    max_bytes: u64,
) -> Result<SharedFile> {
    let segments =
        capacity::segments_within(geometry, max_bytes, capacity::first_index_bytes(geometry));
    let log = empty_file(request, place, [LOG_FILE, LOG_NEW])?;
    log.set_length(geometry.log_bytes(segments))
        .and_then(|()| log.allocate(0, ROWS_OFFSET + segments * ROW_BYTES))
        .map_err(|error| Error::io(&request.path(LOG_FILE), "cannot create it", error))?;
    Ok(log)
}

/// An empty index.
fn new_index(request: &Request, place: Place, bytes: u64) -> Result<SharedFile> {
    let index = empty_file(request, place, [INDEX_FILE, INDEX_NEW])?;
    index
        .extend(0, bytes)
        .map_err(|error| Error::io(&request.path(INDEX_FILE), "cannot create it", error))?;
    Ok(index)
}

/// The control words of a store with nothing in it.
fn write_control(words: &Memory, identity: &Identity, index_bytes: u64) {
    let Some(owner) = ProcessId::new(0) else { return };
    let free = LockWord { phase: Phase::Free, owner, sequence: Lsn::first_of(1) };
    words.store(control::LOCK, free.encode());
    words.store_checked(control::EPOCH, 1);
    words.store_checked(control::CLEAR_LSN, 0);
    words.store_checked(control::SYNCS, 0);
    words.store_checked(control::PAGES, 1 << identity.level);
    words.store_checked(control::PAGES_DURABLE, 1 << identity.level);
    words.store(control::INDEX_GRANTED, index_bytes);
    words.store(control::SWEEP_DUE, Millis::NEVER.get());
    write_limits(words, &identity.limits);
}
