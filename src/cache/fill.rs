//! Fill once: one caller, over all threads and processes, computes a missing value.

use super::handle::FileCache;
use super::process::Process;
use crate::config::{OnFillTimeout, Options, Ttl};
use crate::error::{Error, ErrorKind, Result};
use crate::format::address::Lsn;
use crate::format::lock::fill_lock_byte;
use crate::session::{Count, Filling, Turn};
use crate::sys::door::Locks;
use crate::sys::naps::Naps;

/// How the wait for one's turn ended.
enum Awaited<'a> {
    /// Another has stored the value.
    Value(Vec<u8>),
    /// It is this caller's turn.
    Turn(Filling<'a>),
}

impl FileCache {
    /// The value of a key; if there is none, `compute` makes it, and it is stored for the store's
    /// time to live. Of all threads and processes that ask at once, one computes and the others wait
    /// for it, as long as its process lives. A value that cannot be stored is returned all the same,
    /// and counted in [`crate::Stats::unstored`].
    ///
    /// Nobody waits for ever: after 60 seconds ([`crate::Builder::fill_timeout`]) a caller computes the value
    /// itself, beside the other, or fails ([`crate::Builder::on_fill_timeout`]). So a value that takes
    /// longer is computed more than once.
    ///
    /// A computed value never replaces another one. Where somebody stored a value meanwhile, that one stays and
    /// is returned, however long the computation took: also if its process was stopped and goes on hours
    /// later. Nor is a value stored whose computation began before a [`FileCache::clear`]. But one that began
    /// before a [`FileCache::remove`] is: remove the key once more when no such computation can be under way.
    ///
    /// `compute` may use the cache freely, for other keys. If it waits for another thread that asks for
    /// the same key, or for one whose computation waits for this key in turn, it waits until the deadline. In a
    /// pool of few threads, whose closures wait for a thread of the same pool, all threads may come to
    /// wait for a free one, with or without this cache: there [`crate::OnFillTimeout::Fail`] lets them go.
    ///
    /// # Errors
    ///
    /// `Busy` if `compute` asks for its own key, or after the deadline if that is to fail; those of attaching
    /// in a forked child.
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
        let _filling = match self.wait_for_turn(process, &*attachment.locks, key)? {
            Awaited::Value(value) => return Ok(value),
            Awaited::Turn(filling) => filling,
        };
        let clear = process.session.store.cleared();
        // The one before us may have stored it between our look and our turn.
        if let Some(value) = self.peek_again(key) {
            return Ok(value);
        }
        let value = compute()?;
        Ok(self.keep(key, value, clear))
    }

    /// Waits while another computes the value of a key.
    fn wait_for_turn<'a>(
        &self,
        process: &'a Process,
        locks: &'a dyn Locks,
        key: &[u8],
    ) -> Result<Awaited<'a>> {
        let Options { fill_timeout, on_fill_timeout, .. } = *self.options();
        let byte = fill_lock_byte(process.session.store.hash(key));
        let mut naps = Naps::until(fill_timeout);
        loop {
            let turn = process.shared.fills.turn(locks, byte);
            let waits = match turn
                .map_err(|error| process.session.log_error("cannot lock a key", error))?
            {
                Turn::Ours(filling) => return Ok(Awaited::Turn(filling)),
                Turn::Look => !naps.are_over(),
                Turn::Nap => naps.nap(),
                Turn::Circle => return Err(circle(process)),
            };
            if let Some(value) = self.peek_again(key) {
                return Ok(Awaited::Value(value));
            }
            match on_fill_timeout {
                _ if waits => {}
                OnFillTimeout::Compute => {
                    return Ok(Awaited::Turn(process.shared.fills.without_lock(byte)));
                }
                OnFillTimeout::Fail => return Err(overdue(process)),
            }
        }
    }

    /// Stores a value whose computation began when `clear` was the newest clear, unless it was superseded
    /// meanwhile. The value to return: the newer one, if there is one.
    fn keep(&self, key: &[u8], value: Vec<u8>, clear: Lsn) -> Vec<u8> {
        let newer = match self.insert_computed(key, &value, clear) {
            Ok(true) => return value,
            Ok(false) => self.peek_again(key),
            Err(_) => None,
        };
        newer.unwrap_or_else(|| {
            if let Ok(process) = self.process() {
                process.session.count(Count::Unstored, 1);
            }
            value
        })
    }

    /// Stores a computed value; `false` if it was superseded.
    fn insert_computed(&self, key: &[u8], value: &[u8], clear: Lsn) -> Result<bool> {
        let process = self.process()?;
        let prepared = process.prepare(key, value)?.computed_after(clear);
        let stored = process.put(&mut process.writer(), &prepared, Ttl::Default)?;
        process.sync_after_write()?;
        Ok(stored)
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

#[cold]
fn overdue(process: &Process) -> Error {
    Error::new(
        ErrorKind::Busy,
        process.session.directory(),
        "another thread or process is still computing this value when fill_timeout has passed",
        "Try again later, or allow a longer fill_timeout.",
    )
}
