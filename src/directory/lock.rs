//! The opening lock: held by whoever creates, recovers or resizes the store.

use std::path::Path;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::format::lock::OPENING_LOCK_BYTE;
use crate::sys::door::Locks;
use crate::sys::naps::Naps;

/// Holds the opening lock until dropped.
#[derive(Debug)]
pub struct OpeningLock<'a>(&'a dyn Locks);

impl<'a> OpeningLock<'a> {
    /// Waits for the lock up to `deadline`.
    pub fn acquire(locks: &'a dyn Locks, path: &Path, deadline: Duration) -> Result<Self> {
        let mut naps = Naps::until(deadline);
        loop {
            let locked = locks
                .try_lock(OPENING_LOCK_BYTE)
                .map_err(|error| Error::io(path, "cannot lock it", error))?;
            if locked {
                return Ok(Self(locks));
            }
            if !naps.nap() {
                return Err(Error::new(
                    ErrorKind::Busy,
                    path,
                    "another process is creating, recovering or resizing the store",
                    "Wait for it, or allow a longer lock_timeout, and try again.",
                ));
            }
        }
    }
}

impl Drop for OpeningLock<'_> {
    fn drop(&mut self) {
        // A lock that cannot be let go ends with the description.
        let _ = self.0.unlock(OPENING_LOCK_BYTE);
    }
}
