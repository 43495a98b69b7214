//! The session: one process attached to a store, and the one way in which it changes shared words.
//!
//! Each change is a transaction: decided while the store's lock is held, stored as a whole. The lock keeps
//! processes apart, but not the threads of one process: a mutex of the process is taken before it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::beyond::Beyond;
use super::counters::{Count, Counters};
use super::disk::Disk;
use super::medium::Medium;
use super::pins::Pins;
use crate::error::{Error, ErrorKind, Result};
use crate::format::address::{Lsn, Millis};
use crate::format::control;
use crate::format::intent::WordAt;
use crate::format::lock::{ProcessId, process_lock_byte};
use crate::format::page::PageId;
use crate::format::{INDEX_FILE, LOG_FILE};
use crate::store::Store;
use crate::sys::door::{Boot, Clock, Files, Locks};
use crate::sys::memory::Memory;
use crate::transaction::{Changes, Liveness, Robbed, Transactions};

impl Liveness for &dyn Locks {
    fn is_dead(&self, process: ProcessId) -> bool {
        // Where the kernel does not tell, nobody is declared dead.
        let byte = process_lock_byte(process);
        !self.is_locked_elsewhere(byte..byte + 1).unwrap_or(true)
    }
}

impl Liveness for Arc<dyn Locks> {
    fn is_dead(&self, process: ProcessId) -> bool {
        (&**self).is_dead(process)
    }
}

/// What makes a process one of a store's users: a process row, and the lock that says that it is in use.
/// The attachment ends when the kernel drops the lock.
#[derive(Clone, Debug)]
pub struct Attachment<L = Arc<dyn Locks>> {
    /// Its process row.
    pub process: ProcessId,
    /// Its locks: the byte of the process, and those of fills.
    pub locks: L,
}

/// One process, attached to a store. Each handle of the process has one; what they have in common is behind `Arc`s.
#[derive(Debug)]
pub struct Session<M = Memory, L = Arc<dyn Locks>> {
    /// The store.
    pub store: Store<M>,
    /// `None` for a reader that writes nothing.
    pub attachment: Option<Attachment<L>>,
    /// Segments pinned by views.
    pub pins: Arc<Pins>,
    /// What happened.
    pub counters: Arc<Counters>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The disk.
    pub disk: Arc<Disk>,
    /// The memory.
    pub beyond: Arc<Beyond>,
    files: Arc<dyn Files>,
    directory: PathBuf,
    lock_timeout: Duration,
    /// Held through every transaction.
    gate: Arc<Mutex<()>>,
    /// The lock word at which this handle last gave up: while it is unchanged, nobody waits again.
    stuck: AtomicU64,
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

/// What a handle gives to its session.
#[derive(Debug)]
pub struct Settings {
    /// The store's directory.
    pub directory: PathBuf,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Files.
    pub files: Arc<dyn Files>,
    /// The disk.
    pub disk: Disk,
    /// How much memory there is.
    pub machine: Arc<dyn Boot>,
    /// How long to wait for the lock.
    pub lock_timeout: Duration,
}

impl Session {
    /// A session of the same process for a handle that names the store's directory so, and waits so long for the lock.
    pub fn of_handle(&self, directory: &Path, lock_timeout: Duration) -> Self {
        let Store { words, geometry } = &self.store;
        Self {
            store: Store { words: words.share(), geometry: *geometry },
            attachment: self.attachment.clone(),
            pins: Arc::clone(&self.pins),
            counters: Arc::clone(&self.counters),
            clock: Arc::clone(&self.clock),
            disk: Arc::clone(&self.disk),
            beyond: Arc::clone(&self.beyond),
            files: Arc::clone(&self.files),
            directory: directory.to_owned(),
            lock_timeout,
            gate: Arc::clone(&self.gate),
            stuck: AtomicU64::new(u64::MAX),
        }
    }
}

impl<M: Medium, L: Liveness> Session<M, L> {
    /// A session of a process that is attached, or reads alone.
    pub fn new(store: Store<M>, attachment: Option<Attachment<L>>, settings: Settings) -> Self {
        Self {
            store,
            attachment,
            pins: Arc::default(),
            counters: Arc::default(),
            clock: settings.clock,
            disk: Arc::new(settings.disk),
            beyond: Arc::new(Beyond::new(settings.machine)),
            files: settings.files,
            directory: settings.directory,
            lock_timeout: settings.lock_timeout,
            gate: Arc::default(),
            stuck: AtomicU64::new(u64::MAX),
        }
    }

    /// The store's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// How long it waits for the lock.
    pub fn lock_timeout(&self) -> Duration {
        self.lock_timeout
    }

    /// Makes the names in the directory durable.
    pub fn sync_directory(&self) -> Result<()> {
        let synced = self.files.sync_directory(&self.directory);
        synced.map_err(|error| Error::io(&self.directory, "cannot make its names durable", error))
    }

    /// This process, which must be attached.
    #[inline]
    pub fn attachment(&self) -> Result<&Attachment<L>> {
        self.attachment.as_ref().ok_or_else(|| self.read_only())
    }

    /// Takes the lock, calls `decide`, and does what that says; all of it again if the lock was robbed
    /// meanwhile. `decide` is told the LSN of what it commits.
    #[inline]
    pub fn transact<T>(
        &self,
        mut decide: impl FnMut(Lsn, &mut Changes) -> Decision<T>,
    ) -> Result<T> {
        let Attachment { process, locks } = self.attachment()?;
        let _gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let Store { words, geometry } = &self.store;
        let transactions = Transactions { words, geometry, me: *process, liveness: locks };
        loop {
            let is_stuck = self.stuck.load(Ordering::Relaxed) == self.store.load(control::LOCK);
            let deadline = if is_stuck { Duration::ZERO } else { self.lock_timeout };
            let held = transactions.hold(&mut words.patience(deadline)).map_err(|stuck| {
                self.stuck.store(stuck.0.encode(), Ordering::Relaxed);
                self.busy(
                    "a process that does not move holds the write lock",
                    "Let it go on or kill it, or allow a longer lock_timeout, and try again.",
                )
            })?;
            let mut changes = Changes::default();
            let decision = decide(held.lsn(), &mut changes);
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

    /// An error if something may have been taken for missing only because the length of a file could not
    /// be seen.
    #[inline]
    pub fn seen_whole(&self) -> Result<()> {
        match self.store.words.unseen() {
            None => Ok(()),
            Some((at, error)) => Err(self.io_error(at, "cannot see, or map, all of it", error)),
        }
    }

    /// Now.
    #[inline]
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Whether the disk counts as full, so that nothing new is allocated.
    pub fn is_disk_full(&self) -> bool {
        self.disk.is_full()
    }

    /// Notes that the disk was found full.
    #[cold]
    pub fn note_disk_full(&self) {
        self.disk.note_full(self.now(), self.store.words.free_space().unwrap_or(u64::MAX));
    }

    /// Lets a disk that counts as full count so no longer if it may have room again.
    #[cold]
    pub fn look_at_disk(&self) {
        self.disk.look_again(self.now(), self.store.words.free_space().unwrap_or(0));
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
        self.beyond.look_now_and_then(&self.store, self.clock.coarse());
        if let Some(attachment) = &self.attachment {
            self.counters.flush_own(&self.store, attachment.process);
        }
    }

    /// Adds what this process counted to what all see.
    #[cold]
    pub fn flush_counters(&self) {
        if let Some(attachment) = &self.attachment {
            self.counters.flush(&self.store, attachment.process);
        }
    }

    #[cold]
    fn read_only(&self) -> Error {
        Error::new(
            ErrorKind::ReadOnly,
            &self.directory,
            "the cache was opened for reading only",
            "Open it without read_only to change it.",
        )
    }

    /// The error of what others do not let go: what that is, and what to do.
    #[cold]
    pub fn busy(&self, what: &str, next: &str) -> Error {
        Error::new(ErrorKind::Busy, &self.directory.join(LOG_FILE), what, next)
    }

    /// The error of a store of which nobody knows how many pages its index has.
    #[cold]
    pub fn pages_lost(&self) -> Error {
        Error::new(
            ErrorKind::Damaged,
            &self.directory.join(LOG_FILE),
            "both copies of the number of the index's pages are damaged",
            "Let all users of the store go: the next opening begins with an empty cache.",
        )
    }

    /// The error of a store in which nothing at all fits.
    #[cold]
    pub fn full(&self) -> Error {
        Error::new(
            ErrorKind::Full,
            &self.directory.join(LOG_FILE),
            "there is no room for the entry, and nothing left that could be evicted",
            "Free some space on the file system, or raise max_bytes.",
        )
    }

    /// An error of the operating system about the file that a word is in.
    #[cold]
    pub fn io_error(&self, at: WordAt, what: &str, source: std::io::Error) -> Error {
        let name = if at.is_index() { INDEX_FILE } else { LOG_FILE };
        Error::io(&self.directory.join(name), what, source)
    }

    /// An error of the operating system about the log.
    #[cold]
    pub fn log_error(&self, what: &str, source: std::io::Error) -> Error {
        self.io_error(WordAt::log(0), what, source)
    }

    /// An error of the operating system about the index.
    #[cold]
    pub fn index_error(&self, what: &str, source: std::io::Error) -> Error {
        self.io_error(WordAt::index(0), what, source)
    }
}
