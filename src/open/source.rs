//! What a reader watches because its mapping does not show what writers do: the store under a private copy that it
//! made, and files of a lower layer of overlayfs.
//!
//! A file of a lower layer is mapped where it is. Before somebody writes to it, overlayfs copies it up. The mapping stays
//! with the old file; reads through the descriptor go to the new one. So the lock word is read through
//! the descriptor there, by a system call with each read of the cache, until it has changed once. By then a writer has had
//! all files copied up, and what is opened from then on needs no more of this.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::format::control;
use crate::format::lock::LockWord;
use crate::format::page::PAGE_BYTES;
use crate::sys::door::{Access, SharedFile};
use crate::sys::mapping::Mapping;
use crate::sys::memory::Memory;
use crate::sys::words::Words;

/// The shared lock word behind what a reader has mapped. Recovery raises its epoch before it changes anything
/// else, and every transaction its sequence: while it is what it was, what was mapped is true.
#[derive(Debug)]
pub struct SourceWatch {
    files: Memory,
    lock: u64,
    /// Whether it is a private copy that is watched for.
    is_copied: bool,
    /// Whether the mapping may be of a file that is not written to any more.
    asks: bool,
    has_changed: AtomicBool,
}

impl SourceWatch {
    /// Watches the store in these files for a private copy of them, which is made after that.
    pub fn of_copy(log: &SharedFile, index: &SharedFile, is_settled: bool) -> io::Result<Self> {
        Self::new(log, index, true, !is_settled && log.file_system()?.copies_up())
    }

    /// Watches the store in these files, which are mapped after that, if they may be those of a lower layer.
    pub fn of_layers(
        log: &SharedFile,
        index: &SharedFile,
        is_settled: bool,
    ) -> io::Result<Option<Self>> {
        let asks = !is_settled && log.file_system()?.copies_up();
        asks.then(|| Self::new(log, index, false, true)).transpose()
    }

    fn new(log: &SharedFile, index: &SharedFile, is_copied: bool, asks: bool) -> io::Result<Self> {
        let map = |file: &SharedFile| Mapping::new(file.clone(), PAGE_BYTES, Access::ReadOnly);
        let files = Memory { log: map(log)?, index: map(index)? };
        let has_changed = AtomicBool::new(false);
        let mut watch = Self { files, lock: 0, is_copied, asks, has_changed };
        watch.lock = watch.read()?;
        Ok(watch)
    }

    /// The lock word as it is now.
    fn read(&self) -> io::Result<u64> {
        if !self.asks {
            return Ok(self.files.load(control::LOCK));
        }
        let mut word = [0; 8];
        self.files.log.file().read_at(&mut word, control::LOCK.offset())?;
        Ok(u64::from_le_bytes(word))
    }

    /// Whether nobody changed the store since.
    #[inline]
    pub fn is_unchanged(&self) -> bool {
        self.files.acquire_fence();
        if self.asks {
            self.is_unchanged_below()
        } else {
            self.files.load(control::LOCK) == self.lock
        }
    }

    #[cold]
    fn is_unchanged_below(&self) -> bool {
        // What has changed once stays so.
        if self.has_changed.load(Ordering::Relaxed) {
            return false;
        }
        let lock = self.read();
        let is_changed = lock.as_ref().is_ok_and(|lock| *lock != self.lock);
        if is_changed {
            self.has_changed.store(true, Ordering::Relaxed);
        }
        lock.is_ok() && !is_changed
    }

    /// Whether what is opened now stays true for longer: for a private copy, if somebody began to recover the store
    /// since. Who writes to it without having done so is of another boot itself.
    pub fn is_past(&self) -> bool {
        let epoch = |word| LockWord::decode(word).sequence.epoch();
        if self.is_copied {
            return self.read().is_ok_and(|lock| epoch(lock) != epoch(self.lock));
        }
        self.has_changed.load(Ordering::Relaxed)
    }
}
