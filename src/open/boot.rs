//! The first opening after another boot (or of copied files): who mends the store, and in which files.

use std::fs::File;

use super::attach::{self, Index, attached, index_in_use, map};
use super::mend::{mend, segments_in};
use super::{Opening, Request, create};
use crate::config;
use crate::error::{Error, Result};
use crate::format::control::{self, Geometry, ROWS_OFFSET, STATES_OFFSET};
use crate::format::identity::Identity;
use crate::format::intent::WordAt;
use crate::format::page::PAGE_BYTES;
use crate::format::segment::ROW_BYTES;
use crate::format::{INDEX_FILE, LOG_FILE};
use crate::sys::lock::LockFile;
use crate::sys::mapping::Access;
use crate::sys::memory::Memory;
use crate::sys::words::Words;
use crate::sys::{files, space};

/// Mends the store under the opening lock, unless somebody did meanwhile.
pub fn mend_shared(
    request: &Request,
    identity: &Identity,
    locks: &LockFile,
    boot_id: [u64; 2],
    opening: &mut Opening,
) -> Result<Memory> {
    let geometry = identity.geometry();
    let log = attach::open_log(request, identity, true)?;
    let log_io = |error| Error::io(&request.path(LOG_FILE), "cannot mend it", error);
    let index_io = |error| Error::io(&request.path(INDEX_FILE), "cannot mend it", error);
    let found = attach::open_index(request, identity, true)?;
    if let Index::Whole(index) = &found
        && attach::is_in_order(request, &geometry, &log, index, boot_id)?
    {
        let index = index.try_clone().map_err(index_io)?;
        return map(request, &geometry, log, index, Access::Shared);
    }
    let segments = config::segments_within(
        &geometry,
        identity.limits.max_bytes,
        config::first_index_bytes(&geometry),
    );
    if log.metadata().map_err(log_io)?.len() < geometry.log_bytes(segments) {
        space::set_length(&log, geometry.log_bytes(segments)).map_err(log_io)?;
    }
    // The file is longer where the limit was lowered: the rows of all its segments are looked at.
    let length = log.metadata().map_err(log_io)?.len();
    let rows = segments_in(&geometry, length);
    space::allocate(&log, 0, ROWS_OFFSET + rows * ROW_BYTES).map_err(log_io)?;
    let index = match found {
        Index::Whole(index) => index,
        Index::Unusable(why) => {
            opening.started_empty = Some(why.to_owned());
            refuse_if_used(request, &geometry, &log, locks)?;
            new_index(request, identity)?
        }
    };
    let first = config::first_index_bytes(&geometry);
    let length = index.metadata().map_err(index_io)?.len().max(first) / PAGE_BYTES * PAGE_BYTES;
    space::extend(&index, 0, length).map_err(index_io)?;
    let ids = [files::identity(&log).map_err(log_io)?, files::identity(&index).map_err(index_io)?];
    let memory = map(request, &geometry, log, index, Access::Shared)?;
    if attached(&geometry, &memory, locks, None) {
        return Err(index_in_use(request));
    }
    opening.other_boot = opening.started_empty.is_none();
    let flush = || {
        space::sync(memory.log.file()).map_err(log_io)?;
        space::sync(memory.index.file()).map_err(index_io)
    };
    mend(request, identity, &memory, length, Some(&flush))?;
    create::write_identity(&memory, boot_id, ids);
    flush()?;
    Ok(memory)
}

fn refuse_if_used(
    request: &Request,
    geometry: &Geometry,
    log: &File,
    locks: &LockFile,
) -> Result<()> {
    let clone = |file: &File| {
        file.try_clone().map_err(|error| Error::io(&request.path(LOG_FILE), "cannot open", error))
    };
    let memory = map(request, geometry, clone(log)?, clone(log)?, Access::ReadOnly)?;
    if attached(geometry, &memory, locks, None) { Err(index_in_use(request)) } else { Ok(()) }
}

/// A new index file in place of one that is of no use.
fn new_index(request: &Request, identity: &Identity) -> Result<File> {
    let path = request.path(INDEX_FILE);
    let io = |error| Error::io(&path, "cannot make it anew", error);
    let file = files::replace_with_empty(&request.directory, INDEX_FILE).map_err(io)?;
    let geometry = identity.geometry();
    space::extend(&file, 0, config::first_index_bytes(&geometry)).map_err(io)?;
    let clone = |file: &File| file.try_clone().map_err(io);
    let memory = map(request, &geometry, clone(&file)?, clone(&file)?, Access::Shared)?;
    create::write_header(&memory, WordAt::index, control::INDEX_MAGIC, identity.store_id);
    memory.store(WordAt::index(control::CREATED.offset()), 1);
    Ok(file)
}

/// Mends a private copy, for a reader that writes nothing.
pub fn mend_private(request: &Request, identity: &Identity, memory: &Memory) -> Result<()> {
    let length = memory.index.length() / PAGE_BYTES * PAGE_BYTES;
    mend(request, identity, memory, length, None)
}

const _: () = assert!(STATES_OFFSET.is_multiple_of(PAGE_BYTES));
