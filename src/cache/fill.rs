//! Fill once: one caller, over all threads and processes, computes a missing value.
//!
//! The caller who computes holds a byte lock that ends with its process, so a killed one is taken
//! over from; within the process a table stands before it, since byte locks do not part threads. A
//! thread that is computing already only tries a second fill, and computes without it if it cannot
//! have it: so no circle of waiting threads can close.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use super::{FileCache, Process};
use crate::error::{Error, ErrorKind, Result};
use crate::format::lock::fill_lock_byte;
use crate::segments::statistics::Count;
use crate::sys::lock::LockFile;

/// Naps while another process computes: byte locks cannot be waited for with a deadline.
const NAPS: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(5));

/// The fills of this process: lock bytes, and the threads that compute for them.
#[derive(Debug, Default)]
pub struct Fills {
    computing: Mutex<HashMap<u64, ThreadId>>,
    ended: Condvar,
}

thread_local! {
    /// Lock bytes for which this thread computes.
    static COMPUTING: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

impl Fills {
    fn computing(&self) -> MutexGuard<'_, HashMap<u64, ThreadId>> {
        self.computing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fill under way; ends when dropped, also by a panic of the closure.
struct Filling<'a> {
    fills: &'a Fills,
    locks: &'a LockFile,
    byte: u64,
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        // A lock that cannot be let go ends with the process.
        let _ = self.locks.unlock(self.byte);
        COMPUTING.with(|own| own.borrow_mut().retain(|byte| *byte != self.byte));
        self.fills.computing().remove(&self.byte);
        self.fills.ended.notify_all();
    }
}

/// Whose turn it is.
enum Turn<'a> {
    /// Ours: compute.
    Ours(Filling<'a>),
    /// Nobody's: compute without a lock.
    Free,
    /// Another's, who may have stored the value by now.
    Look,
}

impl FileCache {
    /// The value of a key; if there is none, `compute` makes it, and it is stored for the store's
    /// time to live. Of all threads and processes that ask at once, one computes and the others wait
    /// for it, as long as its process lives. A value that cannot be stored is returned all the same,
    /// and counted in [`crate::Stats::unstored`].
    ///
    /// `compute` may use the cache freely, for other keys.
    ///
    /// # Errors
    ///
    /// `Busy` if `compute` asks for its own key; those of attaching in a forked child.
    ///
    /// ```
    /// # fn main() -> larder::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let cache = larder::FileCache::open(dir.path().join("cache"))?;
    /// let page = cache.get_or_insert_with("page", || b"rendered".to_vec())?;
    /// assert_eq!(page, b"rendered");
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_or_insert_with(
        &self,
        key: impl AsRef<[u8]>,
        compute: impl FnOnce() -> Vec<u8>,
    ) -> Result<Vec<u8>> {
        self.try_get_or_insert_with(key, || Ok(compute()))
    }

    /// As [`FileCache::get_or_insert_with`], for a computation that can fail: then nothing is stored,
    /// the error is returned, and the next caller computes.
    ///
    /// # Errors
    ///
    /// The closure's; and as [`FileCache::get_or_insert_with`].
    pub fn try_get_or_insert_with<E: From<Error>>(
        &self,
        key: impl AsRef<[u8]>,
        compute: impl FnOnce() -> std::result::Result<Vec<u8>, E>,
    ) -> std::result::Result<Vec<u8>, E> {
        let key = key.as_ref();
        if let Some(value) = self.get(key) {
            return Ok(value);
        }
        let process = self.process()?;
        let Some(attachment) = &process.ground.attachment else {
            let value = compute()?;
            process.ground.count(Count::Unstored, 1);
            return Ok(value);
        };
        let byte = fill_lock_byte(process.ground.hash(key));
        let mut nap = NAPS.0;
        let _filling = loop {
            match process.turn(&attachment.locks, byte, nap)? {
                Turn::Ours(filling) => break Some(filling),
                Turn::Free => break None,
                Turn::Look => {
                    if let Some(value) = self.peek(key) {
                        return Ok(value);
                    }
                    nap = (nap * 2).min(NAPS.1);
                }
            }
        };
        // The one before us may have stored it between our look and our turn.
        if let Some(value) = self.peek(key) {
            return Ok(value);
        }
        let value = compute()?;
        if self.insert(key, &value).is_err() {
            process.ground.count(Count::Unstored, 1);
        }
        Ok(value)
    }
}

impl Process {
    fn turn<'a>(&'a self, locks: &'a LockFile, byte: u64, nap: Duration) -> Result<Turn<'a>> {
        let me = thread::current().id();
        let nested = COMPUTING.with(|own| !own.borrow().is_empty());
        let mut computing = self.fills.computing();
        if computing.get(&byte) == Some(&me) {
            return Err(Error::new(
                ErrorKind::Busy,
                &self.ground.directory,
                "a value was asked for while it is being computed, by its own computation",
                "Let the closure do without the key it computes.",
            ));
        }
        if computing.contains_key(&byte) {
            if nested {
                return Ok(Turn::Free);
            }
            let waited = self.fills.ended.wait_timeout(computing, NAPS.1);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            return Ok(Turn::Look);
        }
        let locked = locks
            .try_lock(byte)
            .map_err(|error| self.ground.log_error("cannot lock a key", error))?;
        if locked {
            computing.insert(byte, me);
            COMPUTING.with(|own| own.borrow_mut().push(byte));
            return Ok(Turn::Ours(Filling { fills: &self.fills, locks, byte }));
        }
        drop(computing);
        if nested {
            return Ok(Turn::Free);
        }
        thread::sleep(nap);
        Ok(Turn::Look)
    }
}
