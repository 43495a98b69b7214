//! The medium: shared words with a disk beneath them, and a way to wait. It is a trait, so that a model
//! checker can run writing and reuse on memory and waits of its own.

use std::io;
use std::time::Duration;

use crate::format::intent::WordAt;
use crate::sys::mapping::Mapping;
use crate::sys::memory::Memory;
use crate::sys::words::Words;
use crate::transaction::{Clocked, Patience};

/// Shared words with a disk beneath them. Each `at` says by itself in which of the two files it is.
pub trait Medium: Words {
    /// How one waits for the lock.
    type Patience: Patience;
    /// Patience for so long.
    fn patience(&self, deadline: Duration) -> Self::Patience;
    /// Allocates the space of a range. Bytes that are there stay.
    fn allocate(&self, at: WordAt, bytes: u64) -> io::Result<()>;
    /// Gives the space of a range back, which then reads as zeros.
    fn give_back(&self, at: WordAt, bytes: u64) -> io::Result<()>;
    /// Faults the pages of a range in, to write; an error rather than a signal where there is no space.
    fn populate(&self, at: WordAt, bytes: u64) -> io::Result<()>;
    /// Bytes of the file system that may still be taken.
    fn free_space(&self) -> io::Result<u64>;
    /// Copies bytes to where a word is; does nothing if there is no such word.
    fn write(&self, at: WordAt, bytes: &[u8]);
    /// A word of a file whose length could not be seen of late, and why. What lies behind the end as last
    /// seen reads as if it were not there: nothing must be changed because of that.
    fn unseen(&self) -> Option<(WordAt, io::Error)>;
}

impl Medium for Memory {
    type Patience = Clocked;

    #[inline]
    fn patience(&self, deadline: Duration) -> Clocked {
        Clocked::new(deadline)
    }

    fn allocate(&self, at: WordAt, bytes: u64) -> io::Result<()> {
        self.mapping(at).allocate(at.offset(), bytes)
    }

    fn give_back(&self, at: WordAt, bytes: u64) -> io::Result<()> {
        self.mapping(at).punch(at.offset(), bytes)
    }

    fn populate(&self, at: WordAt, bytes: u64) -> io::Result<()> {
        self.mapping(at).populate(at.offset(), bytes)
    }

    fn free_space(&self) -> io::Result<u64> {
        self.log.file_system().map(|found| found.free)
    }

    #[inline]
    fn write(&self, at: WordAt, bytes: &[u8]) {
        self.mapping(at).write(at.offset(), bytes);
    }

    // Always: each transaction asks, and twice a zero is nearly always the answer.
    #[inline(always)]
    fn unseen(&self) -> Option<(WordAt, io::Error)> {
        if self.log.is_seen_whole() && self.index.is_seen_whole() {
            return None;
        }
        let of = |mapping: &Mapping, at| mapping.seen_whole().err().map(|error| (at, error));
        of(&self.log, WordAt::log(0)).or_else(|| of(&self.index, WordAt::index(0)))
    }
}
