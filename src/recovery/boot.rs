//! Who recovers a store, and in which files: the opener that holds the opening lock, in the files
//! themselves, or a reader in a private copy.

use std::io;

use super::steps::recover;
use crate::config;
use crate::directory::{
    IndexFile, is_attached, is_in_order, map, open_index, open_log, origin, write_header,
    write_origin,
};
use crate::error::{Error, ErrorKind, Result};
use crate::format::control::{self, Geometry, ROWS_OFFSET, STATES_OFFSET};
use crate::format::identity::Identity;
use crate::format::intent::WordAt;
use crate::format::page::PAGE_BYTES;
use crate::format::segment::ROW_BYTES;
use crate::format::{INDEX_FILE, LOG_FILE};
use crate::request::{Opening, Request};
use crate::store::Store;
use crate::sys::door::{Access, DiskFile, SharedFile};
use crate::sys::words::Words;
use crate::transaction::Liveness;

/// Recovers the store under the opening lock, unless somebody did meanwhile.
pub fn recover_shared(
    request: &Request,
    identity: &Identity,
    locks: &impl Liveness,
    boot_id: [u64; 2],
    opening: &mut Opening,
) -> Result<Store> {
    let geometry = identity.geometry();
    let log_io = |error| Error::io(&request.path(LOG_FILE), "cannot recover it", error);
    let index_io = |error| Error::io(&request.path(INDEX_FILE), "cannot recover it", error);
    let log = open_log(request, identity, true)?;
    let found = open_index(request, identity, true)?;
    if let IndexFile::Whole(index) = &found
        && is_in_order(request, &geometry, &*log, &**index, boot_id)?
    {
        return map(request, geometry, log, index.clone(), Access::Shared);
    }
    back_log(&*log, identity).map_err(log_io)?;
    let index = match found {
        IndexFile::Whole(index) => index,
        IndexFile::Unusable(why) => {
            opening.started_empty = Some(why.to_owned());
            refuse_if_used(request, geometry, &log, locks)?;
            new_index(request, identity)?
        }
    };
    let index_length = back_index(&*index, &geometry).map_err(index_io)?;
    let ids = [log.file_id().map_err(log_io)?, index.file_id().map_err(index_io)?];
    let store = map(request, geometry, log, index, Access::Shared)?;
    if is_attached(&store, locks, None) {
        return Err(index_in_use(request));
    }
    opening.other_boot = opening.started_empty.is_none();
    let flush = || {
        store.words.log.sync().map_err(log_io)?;
        store.words.index.sync().map_err(index_io)
    };
    recover(request, identity, &store, index_length, Some(&flush))?;
    write_origin(&store.words, origin(boot_id, ids));
    flush()?;
    Ok(store)
}

/// Recovers a private copy, for a reader that writes nothing.
pub fn recover_private(request: &Request, identity: &Identity, store: &Store) -> Result<()> {
    let length = store.words.index.length() / PAGE_BYTES * PAGE_BYTES;
    recover(request, identity, store, length, None)
}

/// Makes the log as long as its limit says, and allocates what recovery writes of it.
fn back_log(log: &dyn DiskFile, identity: &Identity) -> io::Result<()> {
    let geometry = identity.geometry();
    let first_index = config::first_index_bytes(&geometry);
    let segments = config::segments_within(&geometry, identity.limits.max_bytes, first_index);
    if log.length()? < geometry.log_bytes(segments) {
        log.set_length(geometry.log_bytes(segments))?;
    }
    // The file is longer where the limit was lowered: the rows of all its segments are looked at.
    let rows = config::segments_in(&geometry, log.length()?);
    log.allocate(0, ROWS_OFFSET + rows * ROW_BYTES)
}

/// Allocates all of the index; its length.
fn back_index(index: &dyn DiskFile, geometry: &Geometry) -> io::Result<u64> {
    let first = config::first_index_bytes(geometry);
    let length = index.length()?.max(first) / PAGE_BYTES * PAGE_BYTES;
    index.extend(0, length)?;
    Ok(length)
}

fn refuse_if_used(
    request: &Request,
    geometry: Geometry,
    log: &SharedFile,
    locks: &impl Liveness,
) -> Result<()> {
    let store = map(request, geometry, log.clone(), log.clone(), Access::ReadOnly)?;
    if is_attached(&store, locks, None) { Err(index_in_use(request)) } else { Ok(()) }
}

fn index_in_use(request: &Request) -> Error {
    Error::new(
        ErrorKind::Damaged,
        &request.path(INDEX_FILE),
        "it is missing or damaged, or as of another boot, while the store is in use",
        "Let all who use the cache close it, and open it again: then it begins with an empty index.",
    )
}

/// A new index file in place of one that is of no use.
fn new_index(request: &Request, identity: &Identity) -> Result<SharedFile> {
    let path = request.path(INDEX_FILE);
    let io = |error| Error::io(&path, "cannot make it anew", error);
    let file = request.files().replace_with_empty(&request.directory, INDEX_FILE).map_err(io)?;
    let geometry = identity.geometry();
    file.extend(0, config::first_index_bytes(&geometry)).map_err(io)?;
    let store = map(request, geometry, file.clone(), file.clone(), Access::Shared)?;
    write_header(&store.words, WordAt::index, control::INDEX_MAGIC, identity.store_id);
    store.words.store(WordAt::index(control::CREATED.offset()), 1);
    Ok(file)
}

const _: () = assert!(STATES_OFFSET.is_multiple_of(PAGE_BYTES));
