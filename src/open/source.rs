//! The store under a private copy that a reader made: the copy holds as long as nobody changes that.

use std::io;

use crate::format::control;
use crate::format::lock::LockWord;
use crate::format::page::PAGE_BYTES;
use crate::sys::door::{Access, SharedFile};
use crate::sys::mapping::Mapping;
use crate::sys::memory::Memory;
use crate::sys::words::Words;

/// The shared lock word behind a private copy. Recovery raises its epoch before it changes anything
/// else, and every transaction its sequence: while it is what it was, the copy is true.
#[derive(Debug)]
pub struct SourceWatch {
    files: Memory,
    lock: u64,
}

impl SourceWatch {
    /// The store in these files, as it is now.
    pub fn new(log: &SharedFile, index: &SharedFile) -> io::Result<Self> {
        let map = |file: &SharedFile| Mapping::new(file.clone(), PAGE_BYTES, Access::ReadOnly);
        let files = Memory { log: map(log)?, index: map(index)? };
        let lock = files.load(control::LOCK);
        Ok(Self { files, lock })
    }

    /// Whether nobody changed the store since.
    #[inline]
    pub fn is_unchanged(&self) -> bool {
        self.files.acquire_fence();
        self.files.load(control::LOCK) == self.lock
    }

    /// Whether somebody began to recover the store since. Who writes to it without having done so is of
    /// another boot itself.
    pub fn is_of_past_epoch(&self) -> bool {
        let epoch = |word| LockWord::decode(word).sequence.epoch();
        epoch(self.files.load(control::LOCK)) != epoch(self.lock)
    }
}
