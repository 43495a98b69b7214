//! The ground that operations stand on: one process's attachment to a store.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::original::Original;
use super::pins::Pins;
use super::statistics::{Count, Counters};
use crate::config::{self, Durability};
use crate::error::{Error, ErrorKind, Result};
use crate::format::control::{self, Geometry};
use crate::format::lock::{ProcessSlot, process_lock_byte};
use crate::format::page::PageId;
use crate::format::place::{Lsn, Millis, SegmentId};
use crate::format::segment::{Label, Live, StateWord};
use crate::format::{INDEX_FILE, LOG_FILE};
use crate::index::Index;
use crate::sys::clock::Clock;
use crate::sys::lock::LockFile;
use crate::sys::memory::Memory;
use crate::sys::words::Words;
use crate::transaction::{Changes, Clocked, Held, Liveness, Robbed, Transactions};

impl Liveness for LockFile {
    fn is_dead(&self, slot: ProcessSlot) -> bool {
        // Where the kernel does not tell, nobody is declared dead.
        !self.is_locked_elsewhere(process_lock_byte(slot)).unwrap_or(true)
    }
}

/// A process's place among the users of a store: gone when the lock is.
#[derive(Debug)]
pub struct Attachment {
    /// Its process slot.
    pub slot: ProcessSlot,
    /// Its locks: the byte of the slot, and those of fills.
    pub locks: LockFile,
}

/// What all operations of a handle share.
#[derive(Debug)]
pub struct Ground {
    /// The mapped files.
    pub memory: Memory,
    /// The store that they are a private copy of, in a reader that had to mend one.
    pub original: Option<Original>,
    /// Where things are in them.
    pub geometry: Geometry,
    /// The store's directory.
    pub directory: PathBuf,
    /// `None` for a reader that writes nothing.
    pub attachment: Option<Attachment>,
    /// Segments pinned by views.
    pub pins: Pins,
    /// What happened.
    pub counters: Counters,
    /// The clock.
    pub clock: Clock,
    /// How long to wait for the lock.
    pub lock_timeout: Duration,
    /// When to sync.
    pub durability: Durability,
    /// What a test wants called around flushes.
    pub sync_hook: Option<crate::segments::SyncHook>,
    /// Whether even reading a hole allocates (tmpfs).
    pub allocates_on_read: bool,
    /// Held through every transaction: the lock parts processes, not their threads.
    pub gate: Mutex<()>,
    /// Held while the files are flushed.
    pub flushing: Mutex<()>,
    /// The lock word that was last given up on: it is not waited for again while unchanged.
    pub stuck: AtomicU64,
    /// Until then (milliseconds) the disk counts as full.
    pub full_until: AtomicU64,
    /// Whether this process met damage that the next upkeep on demand should look into.
    pub suspect: AtomicBool,
}

/// What a transaction is to do, decided while the lock is held.
pub enum Decision<T> {
    /// Store the changes.
    Commit(T),
    /// Make this page of the index.
    Split(PageId, T),
    /// Nothing.
    Leave(T),
}

/// The lock, held, as [`Ground::transact`] shows it.
pub type Lock<'t, 'a> = Held<'t, 'a, Memory, LockFile>;

impl Ground {
    /// The index.
    #[inline]
    pub fn index(&self) -> Index<'_, Memory> {
        Index::new(&self.memory, &self.geometry)
    }

    /// Whether its memory shows the store as it is: a private copy does until somebody changes it.
    #[inline]
    pub fn is_current(&self) -> bool {
        self.original.as_ref().is_none_or(Original::is_unchanged)
    }

    /// This process, which must be attached.
    pub fn attachment(&self) -> Result<&Attachment> {
        self.attachment.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::ReadOnly,
                &self.directory,
                "the cache was opened for reading only",
                "Open it without read_only to change it.",
            )
        })
    }

    /// Takes the lock, asks `decide` (again, whenever the lock was lost meanwhile), and does it.
    pub fn transact<T>(
        &self,
        mut decide: impl FnMut(&Lock<'_, '_>, &mut Changes) -> Decision<T>,
    ) -> Result<T> {
        let Attachment { slot, locks } = self.attachment()?;
        let _gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let transactions = Transactions {
            words: &self.memory,
            geometry: &self.geometry,
            me: *slot,
            liveness: locks,
        };
        loop {
            let is_stuck = self.stuck.load(Ordering::Relaxed) == self.memory.load(control::LOCK);
            let deadline = if is_stuck { Duration::ZERO } else { self.lock_timeout };
            let held = transactions.hold(&mut Clocked::new(deadline)).map_err(|stuck| {
                self.stuck.store(stuck.0.encode(), Ordering::Relaxed);
                self.busy("a process that does not move holds the write lock")
            })?;
            let mut changes = Changes::default();
            let decision = decide(&held, &mut changes);
            self.seen_whole()?;
            match decision {
                Decision::Leave(answer) => return Ok(answer),
                Decision::Commit(answer) => match held.commit(&changes) {
                    Ok(()) => return Ok(answer),
                    Err(Robbed) => continue,
                },
                Decision::Split(page, answer) => match held.split(page) {
                    Ok(()) => return Ok(answer),
                    Err(Robbed) => continue,
                },
            }
        }
    }

    /// An error if something may have been taken for missing because a file's length was not to be had.
    #[inline]
    pub fn seen_whole(&self) -> Result<()> {
        const WHAT: &str = "cannot see how long it is";
        self.memory.log.seen_whole().map_err(|error| self.log_error(WHAT, error))?;
        self.memory.index.seen_whole().map_err(|error| self.index_error(WHAT, error))
    }

    /// The error of a wait that took too long.
    pub fn busy(&self, what: &str) -> Error {
        Error::new(
            ErrorKind::Busy,
            &self.directory.join(LOG_FILE),
            what,
            "Let it run or kill it, or allow a longer lock_timeout, and try again.",
        )
    }

    /// An error of the operating system about the log.
    pub fn log_error(&self, what: &str, source: std::io::Error) -> Error {
        Error::io(&self.directory.join(LOG_FILE), what, source)
    }

    /// An error of the operating system about the index.
    pub fn index_error(&self, what: &str, source: std::io::Error) -> Error {
        Error::io(&self.directory.join(INDEX_FILE), what, source)
    }

    /// The error of a store in which nothing at all fits.
    pub fn full(&self) -> Error {
        Error::new(
            ErrorKind::Full,
            &self.directory.join(LOG_FILE),
            "there is no room for the entry, and nothing left that could be evicted",
            "Free some space on the file system, or raise max_bytes.",
        )
    }

    /// Now.
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Counts something.
    #[inline]
    pub fn count(&self, count: Count, more: u64) {
        if self.counters.add(count, more) {
            self.flush_own_counters();
        }
    }

    #[cold]
    fn flush_own_counters(&self) {
        if let Some(attachment) = &self.attachment {
            self.counters.flush_own(&self.memory, &self.geometry, attachment.slot);
        }
    }

    /// Adds what this process counted to what all see.
    #[cold]
    pub fn flush_counters(&self) {
        if let Some(attachment) = &self.attachment {
            self.counters.flush(&self.memory, &self.geometry, attachment.slot);
        }
    }

    /// A segment's state word; one that does not decode is of no use to anybody.
    #[inline]
    pub fn state(&self, segment: SegmentId) -> Option<StateWord> {
        StateWord::decode(self.memory.load(self.geometry.state_at(segment)))
            .filter(|state| state.allocated <= self.geometry.segment_bytes())
    }

    /// A word of a segment's row.
    #[inline]
    pub fn row(&self, segment: SegmentId, word: u64) -> u64 {
        self.memory.load(self.geometry.row_at(segment, word))
    }

    /// What lives in a segment.
    pub fn live(&self, segment: SegmentId) -> Live {
        Live::decode(self.row(segment, crate::format::segment::LIVE))
    }

    /// Segments that the log file has room for.
    pub fn segments(&self) -> impl Iterator<Item = SegmentId> + Clone + use<> {
        (0..self.segment_count()).map(SegmentId::new)
    }

    /// How many those are.
    pub fn segment_count(&self) -> u16 {
        let limit = config::segments_limit(&self.geometry);
        let bytes = self.memory.log.length().saturating_sub(self.geometry.control_bytes());
        (bytes >> self.geometry.segment_shift).min(limit) as u16
    }

    /// The word that names a queue's head.
    pub fn head_at(label: Label) -> crate::format::intent::WordAt {
        match label {
            Label::Probation => control::HEAD_PROBATION,
            Label::Main => control::HEAD_MAIN,
        }
    }

    /// The segment that takes a queue's new chunks.
    pub fn head(&self, label: Label) -> Option<SegmentId> {
        let word = self.memory.load(Self::head_at(label));
        let number = u16::try_from(word.checked_sub(1)?).ok()?;
        if number >= self.segment_count() {
            // Another process may have raised the limit.
            self.memory.log.refresh();
        }
        (number < self.segment_count()).then_some(SegmentId::new(number))
    }

    /// Whether this store was ever synced, so that the barrier holds.
    #[inline]
    pub fn syncs(&self) -> bool {
        self.memory.load(control::SYNCS) != 0
    }

    /// The newest transaction.
    pub fn lsn(&self) -> Lsn {
        crate::format::lock::LockWord::decode(self.memory.load(control::LOCK)).sequence
    }

    /// The hash of a key.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.geometry.hash(key)
    }

    /// Bytes that segments and index may take together.
    pub fn share(&self) -> u64 {
        config::share_bytes(&self.geometry, self.memory.load(control::MAX_BYTES))
    }
}
