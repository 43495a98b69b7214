//! Beginning anew: an empty store takes the place of one that cannot be opened any more.
//!
//! Its files are built beside the old ones and put in their place, `store` last. So a kill at any step leaves
//! the old store as damaged as it was, or files of two stores, which is damage too, or the new one. What is not
//! a file of a store is never touched, and nothing is done while anybody has the store open.

use super::build::{Place, build};
use super::create::refuse_whole;
use crate::config::Options;
use crate::directory::{OpeningLock, is_any_attached, open_index, open_log, read_identity};
use crate::error::{Error, ErrorKind, Result};
use crate::format::control::{self, CONTROL_ALIGNMENT};
use crate::format::identity::{Identity, STORE_MAGIC};
use crate::format::page::PAGE_BYTES;
use crate::format::{FORMAT_VERSION, INDEX_FILE, LOG_FILE, STORE_FILE};
use crate::request::{Request, newer, unusable};
use crate::sys::space::FileSystem;

/// Puts an empty store in place of one that is damaged; why, unless somebody else did meanwhile. The `damage`
/// itself is the error where the files are not larder's alone.
pub fn begin_anew(
    request: &Request,
    file_system: FileSystem,
    damage: Error,
) -> Result<Option<String>> {
    if !is_stores(request)? {
        return Err(damage);
    }
    let (files, path) = (request.files(), request.path(LOG_FILE));
    loop {
        // For its locks. Who creates a store, or begins one anew, holds them, too.
        files
            .open_or_create(&path, &request.rights(LOG_FILE))
            .map_err(|error| unusable(&path, error))?;
        let locks = files.open_locks(&path, true).map_err(|error| unusable(&path, error))?;
        let lock = OpeningLock::acquire(&*locks, &path, request.options.lock_timeout)?;
        if !locks.is_at(&path) {
            continue;
        }
        let Some(still) = damage_of(request)? else { return Ok(None) };
        if !is_stores(request)? {
            return Err(damage);
        }
        replace(request, file_system, &lock)?;
        return Ok(Some(still.cause()));
    }
}

/// Puts an empty store in place of one of which nothing is used any more, under the opening lock of its log.
pub fn replace(request: &Request, file_system: FileSystem, lock: &OpeningLock<'_>) -> Result<()> {
    let (path, locks) = (request.path(LOG_FILE), lock.locks());
    if !locks.is_at(&path) || is_any_attached(locks, true) {
        return Err(Error::new(
            ErrorKind::Busy,
            &path,
            "the store has to begin anew, and other processes still have it open",
            "Let them go, then try again.",
        ));
    }
    let old = read_identity(request).ok().flatten();
    let options = old.map_or_else(|| request.options.clone(), |old| keeping(request, &old));
    make_room(request)?;
    build(&Request { options, ..request.clone() }, file_system, Place::Taken, lock)
}

/// The damage for which the store cannot be opened, if there still is any.
fn damage_of(request: &Request) -> Result<Option<Error>> {
    let looked = match read_identity(request) {
        Ok(Some(identity)) => open_log(request, &identity, false)
            .and_then(|_| open_index(request, &identity, false))
            .map(|_| ()),
        Ok(None) => refuse_whole(request),
        Err(error) => Err(error),
    };
    match looked {
        Ok(()) => Ok(None),
        Err(error) if is_healed(&error) => Ok(Some(error)),
        Err(error) => Err(error),
    }
}

/// Whether an error of opening is one that goes when the store begins anew.
pub fn is_healed(error: &Error) -> bool {
    // A file `store` without its magic is not taken for a store's.
    matches!(error.kind(), ErrorKind::Damaged | ErrorKind::NotAStore)
}

/// Whether the directory is a store's: one of its files at least begins as larder's do. An error if one is of a
/// later version, or if something else than a file has its name.
fn is_stores(request: &Request) -> Result<bool> {
    let magics = [
        (STORE_FILE, STORE_MAGIC),
        (LOG_FILE, control::LOG_MAGIC.to_le_bytes()),
        (INDEX_FILE, control::INDEX_MAGIC.to_le_bytes()),
    ];
    let mut is_ours = false;
    for (name, magic) in magics {
        let path = request.path(name);
        let found = request.files().open(&path, false).map_err(|error| unusable(&path, error))?;
        let Some(file) = found else { continue };
        let head =
            file.read_small(12).map_err(|error| Error::io(&path, "cannot read it", error))?;
        let Some((found, rest)) = head.split_first_chunk().filter(|(found, _)| **found == magic)
        else {
            continue;
        };
        let _: &[u8; 8] = found;
        let version = rest.try_into().map_or(0, u32::from_le_bytes);
        if version > FORMAT_VERSION {
            return Err(newer(&path, version));
        }
        is_ours = true;
    }
    Ok(is_ours)
}

/// The options for a store in place of an old one: what the opener does not ask for stays as it was.
fn keeping(request: &Request, old: &Identity) -> Options {
    let options = request.options.clone();
    let limits = old.limits;
    let same_size = options.max_bytes.is_none_or(|bytes| bytes == limits.max_bytes);
    let segment_size = same_size.then_some(1 << old.segment_shift);
    Options {
        max_entries: options.max_entries.or(Some(limits.max_entries)),
        max_bytes: options.max_bytes.or(Some(limits.max_bytes)),
        ttl_ms: options.ttl_ms.or(Some(limits.ttl_ms)),
        min_free: options.min_free.or(Some(limits.min_free)),
        max_processes: options.max_processes.or(Some(old.max_processes)),
        segment_size: options.segment_size.or(segment_size),
        ..options
    }
}

/// Gives back the space of the old log but for its head: the limit holds while there are two, and a full disk
/// has room for the second.
fn make_room(request: &Request) -> Result<()> {
    let path = request.path(LOG_FILE);
    let found = request.files().open(&path, true).map_err(|error| unusable(&path, error))?;
    if let Some(log) = found
        && let Ok(length) = log.length()
        && length > CONTROL_ALIGNMENT
    {
        // Not every file system can.
        let _ = log.punch(PAGE_BYTES, length - PAGE_BYTES);
    }
    Ok(())
}
