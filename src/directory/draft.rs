//! The draft: a whole store in a directory of its own within a store's, made to take that one's place.
//!
//! It is the store from the moment on when the file `store` has its identity. Then its index moves up, and
//! its log last: until then the opening lock that counts is that of the old log. A draft whose identity is
//! not the store's is of no use to anybody but the process that makes it.

use std::io;
use std::path::PathBuf;

use super::header::{Header, read_header};
use crate::error::{Error, Result};
use crate::format::control::{self, INDEX_MAGIC, LOG_MAGIC};
use crate::format::identity::Identity;
use crate::format::lock::LockWord;
use crate::format::page::PAGE_BYTES;
use crate::format::{DRAFT_DIRECTORY, INDEX_FILE, LOG_FILE, STORE_FILE, TAG_FILE};
use crate::request::{Request, unusable};
use crate::sys::door::{Access, SharedFile};
use crate::sys::mapping::Mapping;
use crate::sys::memory::Memory;
use crate::sys::words::Words;

/// What may be in a draft's directory.
const NAMES: [&str; 5] = [STORE_FILE, "store.new", INDEX_FILE, LOG_FILE, TAG_FILE];

/// The directory of the draft of a store.
pub fn draft_directory(request: &Request) -> PathBuf {
    request.path(DRAFT_DIRECTORY)
}

/// Whether there is a draft, or what is left of one.
pub fn is_drafted(request: &Request) -> bool {
    request.files().exists(&draft_directory(request))
}

/// A file of the store for somebody who only reads: that of the draft, if that is the store by now and was
/// not moved up.
pub fn open_to_read(
    request: &Request,
    identity: &Identity,
    name: &str,
) -> io::Result<Option<SharedFile>> {
    let own = request.path(name);
    if is_drafted(request) {
        // It may be moved up right now.
        for path in [&own, &draft_directory(request).join(name), &own] {
            let found = request.files().open(path, false)?;
            if store_of(found.as_ref(), name)? == Some(identity.store_id) {
                return Ok(found);
            }
        }
    }
    request.files().open(&own, false)
}

/// Moves the draft's files up if it is the store already, and takes away what is left of it. The caller holds
/// the opening lock of the log, and has read the identity since.
pub fn settle_draft(request: &Request, identity: &Identity) -> Result<()> {
    let mut moved = false;
    for name in [INDEX_FILE, LOG_FILE] {
        let (own, drafted) = (request.path(name), draft_directory(request).join(name));
        let found = |path| {
            let file = request.files().open(path, false);
            let id = file.and_then(|file| store_of(file.as_ref(), name));
            id.map_err(|error| unusable(path, error))
        };
        let is_of_store = |id: Option<[u64; 2]>| id == Some(identity.store_id);
        if is_of_store(found(&own)?) || !is_of_store(found(&drafted)?) {
            continue;
        }
        if !moved {
            // The file `store`: else a power cut might leave the old one beside the new files.
            let synced = request.files().sync_directory(&request.directory);
            let what = "cannot make its names durable";
            synced.map_err(|error| Error::io(&request.directory, what, error))?;
        }
        let io = |error| Error::io(&own, "cannot put the new file in its place", error);
        if name == LOG_FILE {
            let old = request.files().open(&own, true).map_err(io)?;
            old.map_or(Ok(()), clear_for_readers).map_err(io)?;
        }
        request.files().put_in_place(&drafted, &request.directory, name).map_err(io)?;
        moved = true;
    }
    remove_draft(request);
    Ok(())
}

/// Takes a draft away. What cannot be removed is in nobody's way, and is tried again by the next opener.
pub fn remove_draft(request: &Request) {
    let directory = draft_directory(request);
    for name in NAMES {
        let _ = request.files().remove_file(&directory.join(name));
    }
    let _ = request.files().remove_directory(&directory);
}

/// The store that a log or an index belongs to; `None` if there is no such file.
fn store_of(file: Option<&SharedFile>, name: &str) -> io::Result<Option<[u64; 2]>> {
    let magic = if name == LOG_FILE { LOG_MAGIC } else { INDEX_MAGIC };
    let Some(file) = file else { return Ok(None) };
    match read_header(&**file, magic) {
        Ok(Header::Of(id)) => Ok(Some(id)),
        Ok(Header::Newer(_) | Header::None) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Clears a log that is the store's no more: whoever still reads it misses, instead of finding what others
/// have overwritten or removed in the new one since.
fn clear_for_readers(log: SharedFile) -> io::Result<()> {
    let map = || Mapping::new(log.clone(), PAGE_BYTES, Access::Shared);
    let words = Memory { log: map()?, index: map()? };
    let newest = LockWord::decode(words.load(control::LOCK)).sequence;
    words.store_checked(control::CLEAR_LSN, newest.get());
    Ok(())
}
