//! Who recovers a store, and in which files: the opener that holds the opening lock, in the files
//! themselves, or a reader in a private copy.

use std::io;

use super::steps::{Shared, recover};
use crate::capacity;
use crate::directory::{
    Disorder, INDEX_NEW, IndexFile, OpeningLock, begin_recovery, disorder, is_any_attached,
    is_of_this_boot, map, open_index, open_log, origin, write_header, write_origin,
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

/// Recovers the store under the opening lock, unless somebody did meanwhile; `None` if its epochs are used up,
/// so that it has to begin anew.
pub fn recover_shared(
    request: &Request,
    identity: &Identity,
    lock: &OpeningLock<'_>,
    boot_id: [u64; 2],
    opening: &mut Opening,
) -> Result<Option<Store>> {
    let (geometry, locks) = (identity.geometry(), lock.locks());
    let log = open_log(request, identity, true)?;
    let index = open_index(request, identity, true)?;
    let why = match &index {
        IndexFile::Unusable(why) => *why,
        IndexFile::Whole(index) => {
            let is_attached = || is_any_attached(locks, false);
            let files: [&dyn DiskFile; 2] = [&*log, &**index];
            match disorder(request, &geometry, files, boot_id, is_attached)? {
                Some(disorder) => said(disorder),
                None => {
                    let store = map(request, geometry, log, index.clone(), Access::Shared)?;
                    return Ok(Some(store));
                }
            }
        }
    };
    if is_any_attached(locks, true) {
        return Err(in_use(request, why));
    }
    let Backed { store, ids, index_length } = back(request, identity, log, index, opening)?;
    let same_boot = is_of_this_boot(&store.words, boot_id, ids);
    let named = store.words.load(control::FILE_IDS);
    begin_recovery(&store.words);
    if is_any_attached(locks, true) {
        // Somebody under another boot id came between.
        store.words.store(control::FILE_IDS, named);
        return Err(in_use(request, why));
    }
    opening.other_boot = opening.began_anew.is_none();
    let flush = || flush(request, &store, lock);
    let shared = Shared { flush: &flush, moved: &|| lock.moved(), same_boot };
    if !recover(identity, &store, index_length, Some(shared))? {
        return Ok(None);
    }
    write_origin(&store.words, origin(boot_id, ids));
    flush()?;
    Ok(Some(store))
}

fn said(disorder: Disorder) -> &'static str {
    match disorder {
        Disorder::Boot => "it was last used under another boot id, or damage was met in it",
        Disorder::Files => "its files were copied or put back",
        Disorder::Damage => "its control words are damaged",
    }
}

/// A store with all of the disk beneath it that recovery writes to.
struct Backed {
    store: Store,
    /// Of log and index.
    ids: [[u64; 2]; 2],
    index_length: u64,
}

/// Allocates what recovery writes to; an index that is of no use is made anew.
fn back(
    request: &Request,
    identity: &Identity,
    log: SharedFile,
    index: IndexFile,
    opening: &mut Opening,
) -> Result<Backed> {
    let geometry = identity.geometry();
    let log_io = |error| Error::io(&request.path(LOG_FILE), "cannot recover it", error);
    let index_io = |error| Error::io(&request.path(INDEX_FILE), "cannot recover it", error);
    back_log(&*log, identity).map_err(log_io)?;
    let index = match index {
        IndexFile::Whole(index) => index,
        IndexFile::Unusable(why) => {
            opening.began_anew = Some(why.to_owned());
            new_index(request, identity)?
        }
    };
    let index_length = back_index(&*index, &geometry).map_err(index_io)?;
    let ids = [log.file_id().map_err(log_io)?, index.file_id().map_err(index_io)?];
    let store = map(request, geometry, log, index, Access::Shared)?;
    Ok(Backed { store, ids, index_length })
}

fn flush(request: &Request, store: &Store, lock: &OpeningLock<'_>) -> Result<()> {
    for (mapping, name) in [(&store.words.log, LOG_FILE), (&store.words.index, INDEX_FILE)] {
        let flushed = mapping.sync();
        flushed.map_err(|error| Error::io(&request.path(name), "cannot recover it", error))?;
        lock.moved();
    }
    Ok(())
}

/// Recovers a private copy, for a reader that writes nothing.
pub fn recover_private(identity: &Identity, store: &Store) -> Result<()> {
    let length = store.words.index.length() / PAGE_BYTES * PAGE_BYTES;
    recover(identity, store, length, None).map(|_| ())
}

/// Makes the log as long as its limit says, and allocates what recovery writes of it.
fn back_log(log: &dyn DiskFile, identity: &Identity) -> io::Result<()> {
    let geometry = identity.geometry();
    let first_index = capacity::first_index_bytes(&geometry);
    let segments = capacity::segments_within(&geometry, identity.limits.max_bytes, first_index);
    if log.length()? < geometry.log_bytes(segments) {
        log.set_length(geometry.log_bytes(segments))?;
    }
    // The file is longer where the limit was lowered: the rows of all its segments are looked at.
    let rows = capacity::segments_in(&geometry, log.length()?);
    log.allocate(0, ROWS_OFFSET + rows * ROW_BYTES)
}

/// Allocates all of the index; its length.
fn back_index(index: &dyn DiskFile, geometry: &Geometry) -> io::Result<u64> {
    let first = capacity::first_index_bytes(geometry);
    let length = index.length()?.max(first) / PAGE_BYTES * PAGE_BYTES;
    index.extend(0, length)?;
    Ok(length)
}

/// The error of a store that has to be recovered, and cannot be while others have it open.
fn in_use(request: &Request, why: &str) -> Error {
    Error::new(
        ErrorKind::Busy,
        &request.directory,
        format!("{why}, and it cannot be recovered while other processes have it open"),
        "Let them go, then try again.",
    )
}

/// A new index file in place of one that is of no use.
fn new_index(request: &Request, identity: &Identity) -> Result<SharedFile> {
    let path = request.path(INDEX_FILE);
    let io = |error| Error::io(&path, "cannot make it anew", error);
    let beside = request.path(INDEX_NEW);
    let file = request.files().make(&beside, &request.rights(INDEX_FILE)).map_err(io)?;
    let geometry = identity.geometry();
    file.extend(0, capacity::first_index_bytes(&geometry)).map_err(io)?;
    let store = map(request, geometry, file.clone(), file, Access::Shared)?;
    write_header(&store.words, WordAt::index, control::INDEX_MAGIC, identity.store_id);
    store.words.store(WordAt::index(control::CREATED.offset()), 1);
    store.words.index.file().sync(true).map_err(io)?;
    request.files().put_in_place(&beside, &request.directory, INDEX_FILE).map_err(io)?;
    let found = request.files().open(&path, true).map_err(io)?;
    found.ok_or_else(|| {
        Error::new(ErrorKind::Busy, &path, "the file vanished while it was made", "Try again.")
    })
}

const _: () = assert!(STATES_OFFSET.is_multiple_of(PAGE_BYTES));
