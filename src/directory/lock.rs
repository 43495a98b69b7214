//! The opening lock: held by whoever creates, recovers or resizes the store. Who holds it shows that it moves,
//! and as long as it does those who wait go on waiting.
//!
//! Progress is shown by the lock of one byte more, taken and let go in turn: it needs no word in a file that
//! may not be there yet, or be damaged.

use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind, Result};
use crate::format::lock::{OPENING_LOCK_BYTE, PROGRESS_LOCK_BYTE};
use crate::sys::door::Locks;
use crate::sys::naps::Naps;

/// Progress is shown at most this often: longer than a nap, so that those who wait see it.
const SHOWN_EVERY: Duration = Duration::from_millis(20);

/// Holds the opening lock until dropped.
#[derive(Debug)]
pub struct OpeningLock<'a> {
    locks: &'a dyn Locks,
    shown: Cell<Instant>,
    is_marked: Cell<bool>,
}

impl<'a> OpeningLock<'a> {
    /// Waits for the lock, up to `deadline` from when its holder was last seen to move.
    pub fn acquire(locks: &'a dyn Locks, path: &Path, deadline: Duration) -> Result<Self> {
        let mut naps = Naps::until(deadline);
        let mut progress = Progress::default();
        loop {
            let locked = locks
                .try_lock(OPENING_LOCK_BYTE)
                .map_err(|error| Error::io(path, "cannot lock it", error))?;
            if locked {
                let (shown, is_marked) = (Cell::new(Instant::now()), Cell::new(false));
                return Ok(Self { locks, shown, is_marked });
            }
            if progress.is_seen(locks) {
                naps.begin_again();
            }
            if !naps.nap() {
                return Err(Error::new(
                    ErrorKind::Busy,
                    path,
                    "another process is creating, recovering or resizing the store, and does not move",
                    "Wait for it, or allow a longer lock_timeout, and try again.",
                ));
            }
        }
    }

    /// The locks of the log that it is of.
    pub fn locks(&self) -> &'a dyn Locks {
        self.locks
    }

    /// Shows those who wait that its holder moves. Costs next to nothing, so that it can be called often.
    pub fn moved(&self) {
        if self.shown.get().elapsed() < SHOWN_EVERY {
            return;
        }
        // Where it cannot be shown, the others wait for their usual time.
        let _ = match self.is_marked.get() {
            true => self.locks.unlock(PROGRESS_LOCK_BYTE),
            false => self.locks.try_lock(PROGRESS_LOCK_BYTE).map(|_| ()),
        };
        self.is_marked.set(!self.is_marked.get());
        self.shown.set(Instant::now());
    }
}

impl Drop for OpeningLock<'_> {
    fn drop(&mut self) {
        // A lock that cannot be let go ends with the description.
        if self.is_marked.get() {
            let _ = self.locks.unlock(PROGRESS_LOCK_BYTE);
        }
        let _ = self.locks.unlock(OPENING_LOCK_BYTE);
    }
}

/// The locks of an attachment: the opening byte keeps the threads of the process apart, too. (Of a byte lock the
/// kernel knows whose it is, and lets that one have it again.)
#[derive(Debug)]
pub struct AttachedLocks {
    locks: Box<dyn Locks>,
    is_opening: AtomicBool,
}

impl AttachedLocks {
    /// Those of who attaches by these locks.
    pub fn new(locks: Box<dyn Locks>) -> Self {
        Self { locks, is_opening: AtomicBool::new(false) }
    }
}

impl Locks for AttachedLocks {
    fn try_lock(&self, byte: u64) -> io::Result<bool> {
        if byte != OPENING_LOCK_BYTE {
            return self.locks.try_lock(byte);
        }
        if self.is_opening.swap(true, Ordering::Acquire) {
            return Ok(false);
        }
        let locked = self.locks.try_lock(byte);
        if !matches!(locked, Ok(true)) {
            self.is_opening.store(false, Ordering::Release);
        }
        locked
    }

    fn unlock(&self, byte: u64) -> io::Result<()> {
        let unlocked = self.locks.unlock(byte);
        if byte == OPENING_LOCK_BYTE {
            self.is_opening.store(false, Ordering::Release);
        }
        unlocked
    }

    fn is_locked_elsewhere(&self, bytes: Range<u64>) -> io::Result<bool> {
        self.locks.is_locked_elsewhere(bytes)
    }

    fn is_at(&self, path: &Path) -> bool {
        self.locks.is_at(path)
    }
}

/// What one who waits has seen of the holder's progress.
#[derive(Debug, Default)]
pub struct Progress(Option<bool>);

impl Progress {
    /// Whether the holder has moved since this was last asked.
    pub fn is_seen(&mut self, locks: &dyn Locks) -> bool {
        let look = locks.is_locked_elsewhere(PROGRESS_LOCK_BYTE..PROGRESS_LOCK_BYTE + 1).ok();
        let before = self.0;
        self.0 = look.or(before);
        before.is_some() && self.0 != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::lock::LockFile;

    #[test]
    fn progress_is_seen_once_each_time_it_is_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let [holder, waiter] = [0, 1].map(|_| LockFile::open(file.path(), true).unwrap());
        let lock = OpeningLock::acquire(&holder, file.path(), Duration::ZERO).unwrap();
        let mut progress = Progress::default();
        assert!(!progress.is_seen(&waiter));
        for _ in 0..3 {
            std::thread::sleep(SHOWN_EVERY);
            lock.moved();
            assert!(progress.is_seen(&waiter));
            assert!(!progress.is_seen(&waiter));
        }
        assert!(OpeningLock::acquire(&waiter, file.path(), Duration::ZERO).is_err());
        drop(lock);
        assert!(waiter.try_lock(PROGRESS_LOCK_BYTE).unwrap());
        OpeningLock::acquire(&waiter, file.path(), Duration::ZERO).unwrap();
    }

    #[test]
    fn the_opening_lock_of_an_attachment_keeps_its_own_threads_apart() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let locks = || Box::new(LockFile::open(file.path(), true).unwrap());
        let (own, other) = (AttachedLocks::new(locks()), locks());
        let acquire = |locks| OpeningLock::acquire(locks, file.path(), Duration::ZERO);
        let held = acquire(&own).unwrap();
        assert!(acquire(&own).is_err() && acquire(&*other).is_err());
        drop(held);
        let elsewhere = acquire(&*other).unwrap();
        assert!(acquire(&own).is_err());
        drop(elsewhere);
        assert!(acquire(&own).is_ok());
    }
}
