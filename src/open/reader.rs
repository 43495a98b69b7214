//! Opening for reading alone: the files as they are, or, where the index needs mending, a copy in the
//! memory of this process of what the mending changes.
//!
//! A reader tells nobody of itself. So it asks whether somebody mends the store (who holds the opening
//! lock), waits for that, and takes a copy of its own only where nobody does.

use std::thread;
use std::time::{Duration, Instant};

use super::attach::{self, Index};
use super::{Opening, Request, boot, damaged, unusable};
use crate::error::{Error, ErrorKind, Result};
use crate::format::identity::Identity;
use crate::format::lock::OPENING_LOCK_BYTE;
use crate::format::{INDEX_FILE, LOG_FILE};
use crate::segments::original::Original;
use crate::sys::lock::LockFile;
use crate::sys::mapping::Access;
use crate::sys::memory::Memory;

/// Naps while another process mends.
const NAPS: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(5));

/// The files for a reader; with the original, if they are a private copy.
pub fn map(
    request: &Request,
    identity: &Identity,
    opening: &mut Opening,
) -> Result<(Memory, Option<Original>)> {
    let geometry = identity.geometry();
    let boot_id = request.boot_id()?;
    let path = request.path(LOG_FILE);
    let begun = Instant::now();
    let mut nap = NAPS.0;
    loop {
        let log = attach::open_log(request, identity, false)?;
        let index = attach::open_index(request, identity, false)?;
        let index = match index {
            Index::Whole(index)
                if attach::is_in_order(request, &geometry, &log, &index, boot_id)? =>
            {
                let memory = attach::map(request, &geometry, log, index, Access::ReadOnly)?;
                return Ok((memory, None));
            }
            other => other,
        };
        let locks = LockFile::open_to_look(&path).map_err(|error| unusable(&path, error))?;
        // Where the kernel does not tell, nobody does.
        let is_mended = || locks.is_locked_elsewhere(OPENING_LOCK_BYTE).unwrap_or(false);
        if !is_mended() {
            let index = match index {
                Index::Whole(index) => index,
                Index::Unusable(what) => {
                    let what = format!("{what}, and a reader may not make it anew");
                    return Err(damaged(&request.path(INDEX_FILE), &what));
                }
            };
            let original =
                Original::new(&log, &index).map_err(|e| Error::io(&path, "cannot map it", e))?;
            let memory = attach::map(request, &geometry, log, index, Access::Private)?;
            boot::mend_private(request, identity, &memory)?;
            // Else somebody mended meanwhile, and the copy may be half of each.
            if original.is_unchanged() && !is_mended() {
                opening.other_boot = true;
                return Ok((memory, Some(original)));
            }
        }
        if begun.elapsed() >= request.options.lock_timeout {
            return Err(Error::new(
                ErrorKind::Busy,
                &path,
                "another process is mending the store, or writes to it as of another boot",
                "Wait for it, or allow a longer lock_timeout, and try again.",
            ));
        }
        thread::sleep(nap);
        nap = (nap * 2).min(NAPS.1);
    }
}
