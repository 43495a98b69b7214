//! Fill once: one caller, over all threads and processes, computes a missing value.

use std::time::Duration;

use super::fills::Turn;
use super::handle::FileCache;
use super::process::Process;
use crate::error::{Error, ErrorKind, Result};
use crate::format::lock::fill_lock_byte;
use crate::session::Count;
use crate::sys::naps::Naps;

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
        let Some(attachment) = &process.session.attachment else {
            let value = compute()?;
            process.session.count(Count::Unstored, 1);
            return Ok(value);
        };
        let byte = fill_lock_byte(process.session.store.hash(key));
        let mut naps = Naps::until(Duration::MAX);
        let _filling = loop {
            let turn = process.fills.turn(&*attachment.locks, byte);
            match turn.map_err(|error| process.session.log_error("cannot lock a key", error))? {
                Turn::Ours(filling) => break Some(filling),
                Turn::Free => break None,
                Turn::Look => {}
                Turn::Nap => _ = naps.nap(),
                Turn::Circle => return Err(circle(process).into()),
            }
            if let Some(value) = self.peek(key) {
                return Ok(value);
            }
        };
        // The one before us may have stored it between our look and our turn.
        if let Some(value) = self.peek(key) {
            return Ok(value);
        }
        let value = compute()?;
        if self.insert(key, &value).is_err() {
            process.session.count(Count::Unstored, 1);
        }
        Ok(value)
    }
}

#[cold]
fn circle(process: &Process) -> Error {
    Error::new(
        ErrorKind::Busy,
        process.session.directory(),
        "a value was asked for while it is being computed, by its own computation",
        "Let the closure do without the key it computes.",
    )
}
