//! Opening for reading alone: the files as they are, or, where the index needs recovery, a copy in the
//! memory of this process of what recovery changes.
//!
//! A reader tells nobody of itself. So it asks whether somebody recovers the store (who holds the opening
//! lock), waits for that, and takes a copy of its own only where nobody does.

use std::io;

use super::source::SourceWatch;
use crate::directory::{IndexFile, Progress, disorder, is_in_use, map, open_index, open_log};
use crate::error::{Error, ErrorKind, Result};
use crate::format::identity::Identity;
use crate::format::lock::OPENING_LOCK_BYTE;
use crate::format::{INDEX_FILE, LOG_FILE};
use crate::recovery::recover_private;
use crate::request::{Opening, Request, unusable};
use crate::store::Store;
use crate::sys::door::{Access, SharedFile};
use crate::sys::naps::Naps;

/// The store for a reader; with what is to be watched where its mapping does not show what writers do.
pub fn read(
    request: &Request,
    identity: &Identity,
    opening: &mut Opening,
) -> Result<(Store, Option<SourceWatch>)> {
    let geometry = identity.geometry();
    let boot_id = request.boot_id()?;
    let mut naps = Naps::until(request.options.lock_timeout);
    let mut progress = Progress::default();
    loop {
        let log = open_log(request, identity, false)?;
        let index = open_index(request, identity, false)?;
        if let IndexFile::Whole(index) = &index
            && disorder(request, &geometry, [&*log, &**index], boot_id, || is_in_use(request))?
                .is_none()
        {
            let layers = SourceWatch::of_layers(&log, index, request.is_written);
            let layers = layers.map_err(|error| unmapped(request, error))?;
            let store = map(request, geometry, log, index.clone(), Access::ReadOnly)?;
            return Ok((store, layers));
        }
        if let Some((store, source)) = copy(request, identity, log, index)? {
            opening.other_boot = true;
            return Ok((store, Some(source)));
        }
        let locks = request.files().open_locks(&request.path(LOG_FILE), false);
        if locks.is_ok_and(|locks| progress.is_seen(&*locks)) {
            naps.begin_again();
        }
        if !naps.nap() {
            return Err(Error::new(
                ErrorKind::Busy,
                &request.path(LOG_FILE),
                "another process is recovering the store, or writes to it as of another boot",
                "Wait for it, or allow a longer lock_timeout, and try again.",
            ));
        }
    }
}

/// A private copy, recovered; `None` while somebody recovers the store itself.
fn copy(
    request: &Request,
    identity: &Identity,
    log: SharedFile,
    index: IndexFile,
) -> Result<Option<(Store, SourceWatch)>> {
    let path = request.path(LOG_FILE);
    let locks = request.files().open_locks(&path, false).map_err(|error| unusable(&path, error))?;
    // Where the kernel does not tell, nobody does.
    let is_recovered = || {
        let byte = OPENING_LOCK_BYTE..OPENING_LOCK_BYTE + 1;
        locks.is_locked_elsewhere(byte).unwrap_or(false)
    };
    if is_recovered() {
        return Ok(None);
    }
    let index = match index {
        IndexFile::Whole(index) => index,
        IndexFile::Unusable(what) => {
            return Err(Error::new(
                ErrorKind::Damaged,
                &request.path(INDEX_FILE),
                format!("{what}, and a reader may not make it anew"),
                "Open the cache once without read_only: then it begins with an empty index.",
            ));
        }
    };
    let source = SourceWatch::of_copy(&log, &index, request.is_written);
    let source = source.map_err(|error| unmapped(request, error))?;
    let store = map(request, identity.geometry(), log, index, Access::Private)?;
    recover_private(identity, &store)?;
    // Else somebody recovered it meanwhile, and the copy may be half of each.
    Ok((source.is_unchanged() && !is_recovered()).then_some((store, source)))
}

fn unmapped(request: &Request, error: io::Error) -> Error {
    Error::io(&request.path(LOG_FILE), "cannot map it", error)
}
