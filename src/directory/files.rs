//! Log and index: opened, checked that they are this store's, and mapped.

use super::draft::open_to_read;
use super::header::{Header, read_header};
use crate::capacity;
use crate::error::{Error, Result};
use crate::format::control::{self, Geometry};
use crate::format::identity::Identity;
use crate::format::page::{PAGE_BYTES, page_limit};
use crate::format::{INDEX_FILE, LOG_FILE};
use crate::request::{Request, damaged, newer, unusable};
use crate::store::Store;
use crate::sys::door::{Access, SharedFile};
use crate::sys::mapping::Mapping;
use crate::sys::memory::Memory;

/// A log that is to take the place of another, until it is whole.
pub const LOG_NEW: &str = "log.new";
/// Such an index.
pub const INDEX_NEW: &str = "index.new";

/// A file of the store, if it is there.
fn open_own(
    request: &Request,
    identity: &Identity,
    name: &str,
    write: bool,
) -> Result<Option<SharedFile>> {
    let path = request.path(name);
    let found = match write {
        true => request.files().open(&path, true),
        false => open_to_read(request, identity, name),
    };
    found.map_err(|error| unusable(&path, error))
}

/// The log, whose header says that it is this store's.
pub fn open_log(request: &Request, identity: &Identity, write: bool) -> Result<SharedFile> {
    let path = request.path(LOG_FILE);
    let found = open_own(request, identity, LOG_FILE, write)?;
    let Some(file) = found else { return Err(damaged(&path, "the file is missing")) };
    let io = |error| Error::io(&path, "cannot read it", error);
    if file.length().map_err(io)? < identity.geometry().control_bytes() {
        return Err(damaged(&path, "the file is cut short"));
    }
    match read_header(&*file, control::LOG_MAGIC).map_err(io)? {
        Header::Of(id) if id == identity.store_id => Ok(file),
        Header::Of(_) => Err(damaged(&path, "the file belongs to another store")),
        Header::Newer(version) => Err(newer(&path, version)),
        Header::None => Err(damaged(&path, "the file's header is damaged")),
    }
}

/// The file of the index, or why it is of no use.
#[derive(Debug)]
pub enum IndexFile {
    /// It is this store's.
    Whole(SharedFile),
    /// It has to be made anew.
    Unusable(&'static str),
}

/// The index. Another store's is refused, so that it is not lost; what is no index is made anew.
pub fn open_index(request: &Request, identity: &Identity, write: bool) -> Result<IndexFile> {
    let path = request.path(INDEX_FILE);
    let found = open_own(request, identity, INDEX_FILE, write)?;
    let Some(file) = found else { return Ok(IndexFile::Unusable("its index was missing")) };
    let io = |error| Error::io(&path, "cannot read it", error);
    if file.length().map_err(io)? < PAGE_BYTES {
        return Ok(IndexFile::Unusable("its index was cut short"));
    }
    match read_header(&*file, control::INDEX_MAGIC).map_err(io)? {
        Header::Of(id) if id == identity.store_id => Ok(IndexFile::Whole(file)),
        Header::Of(_) => Err(damaged(&path, "the file belongs to another store")),
        Header::Newer(version) => Err(newer(&path, version)),
        Header::None => Ok(IndexFile::Unusable("its index was damaged")),
    }
}

/// A file is mapped for so many times the bytes that it has, so that little has to be mapped later.
const ROOM: u64 = 2;

/// The store in both files: what they have, some room to grow, and later what they grow to.
pub fn map(
    request: &Request,
    geometry: Geometry,
    log: SharedFile,
    index: SharedFile,
    access: Access,
) -> Result<Store> {
    let error = |name, error| Error::io(&request.path(name), "cannot map it", error);
    let length = |name, file: &SharedFile| {
        file.length().map_err(|error| Error::io(&request.path(name), "cannot look at it", error))
    };
    let (log_bytes, index_bytes) = (length(LOG_FILE, &log)?, length(INDEX_FILE, &index)?);
    let log_limit = geometry.mapped_bytes();
    let index_limit = (page_limit(geometry.level) + 1) * PAGE_BYTES;
    let map = |file, bytes: u64, room: u64, limit: u64| match access {
        // It is as the files were once, and what it has changed must stay.
        Access::Private => Mapping::new(file, bytes.min(limit), access),
        Access::Shared | Access::ReadOnly => {
            Mapping::growing(file, room.clamp(PAGE_BYTES, limit), limit, access)
        }
    };
    let log_room = log_bytes.saturating_mul(ROOM);
    // Room for an entry in each 48 bytes of log, which is the smallest record, at the usual load.
    let index_room = (log_bytes / 2).max(index_bytes).max(capacity::first_index_bytes(&geometry));
    let words = Memory {
        log: map(log, log_bytes, log_room, log_limit).map_err(|e| error(LOG_FILE, e))?,
        index: map(index, index_bytes, index_room, index_limit)
            .map_err(|e| error(INDEX_FILE, e))?,
    };
    Ok(Store { words, geometry })
}
