//! [`FileCache`]: the order of the steps of each operation. What to do is decided below.

mod builder;
mod fill;
mod get;
mod iter;
mod many;
mod put;
mod report;
mod view;

pub use builder::Builder;
pub use iter::{Iter, Keys};
pub use report::{Maintenance, Stats, Synced};

pub use view::View;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::format::control;
use crate::open::{self, Opening, Request, Verification};
use crate::reclaim::{self, Worker};
use crate::segments::Ground;
use crate::segments::ground::Decision;
use crate::segments::original::Original;
use crate::sync;
use crate::sys::fork::PerProcess;
use crate::sys::words::Words;
use fill::Fills;

/// A cache in a directory, shared by all threads and processes that open it.
///
/// Cloning is cheap; clones are the same handle. All methods may be called from any thread. After a
/// `fork` the child uses inherited handles as it likes: it attaches anew at its first call.
///
/// Reads take no lock and cannot fail: they hit or miss. Writes return once the operating system
/// has the data, so that a killed process loses nothing; for power cuts see [`FileCache::sync`] and
/// [`crate::Durability`].
///
/// ```
/// # fn main() -> larder::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("cache");
/// use std::time::{Duration, Instant};
/// use larder::FileCache;
///
/// let cache = FileCache::builder()
///     .max_entries(100)
///     .max_bytes(64 << 20)
///     .time_to_live(Duration::from_secs(60))
///     .open(&path)?;
/// cache.insert("key", "value")?;
/// assert_eq!(cache.get("key").as_deref(), Some(&b"value"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FileCache {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    request: Request,
    opening: Opening,
    process: PerProcess<Process>,
}

/// What one process has of a handle; a forked child makes its own.
#[derive(Debug)]
struct Process {
    ground: Ground,
    worker: Mutex<Worker>,
    fills: Fills,
    /// What a reader goes on with once its private copy of the store is out of date: one a mending.
    next: OnceLock<Box<Process>>,
}

impl Process {
    fn new(ground: Ground) -> Self {
        Self { ground, worker: Mutex::default(), fills: Fills::default(), next: OnceLock::new() }
    }

    /// The process's one writer.
    fn worker(&self) -> MutexGuard<'_, Worker> {
        // A panic cannot leave shared words half changed: each change is one transaction.
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.ground.flush_counters();
        let worker = self.worker.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.ground.give_chunks_back(&mut worker.chunks);
    }
}

impl FileCache {
    /// Opens the cache in `directory` with the limits it has, or creates one with the defaults: the
    /// smaller of 1 GiB and a tenth of the file system, no limit on entries, no expiry.
    ///
    /// Costs well under a millisecond at any size, also after a kill; after a restart of the machine
    /// one pass over the index (22 bytes an entry).
    ///
    /// # Errors
    ///
    /// Those of [`Builder::open`].
    pub fn open(directory: impl AsRef<Path>) -> Result<Self> {
        Self::builder().open(directory)
    }

    /// Options before opening.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn from_request(request: Request) -> Result<Self> {
        let (ground, opening) = open::open(&request)?;
        let process = Process::new(ground);
        if opening.other_boot && process.ground.attachment.is_some() {
            // What it cannot do for want of a disk that answers, the next put will meet and tell.
            let _ = reclaim::free_first(&process.ground, &mut process.worker());
        }
        let process = PerProcess::new(process);
        Ok(Self { inner: Arc::new(Inner { request, opening, process }) })
    }

    /// This process's part; attached anew in a forked child.
    #[inline]
    fn process(&self) -> Result<&Process> {
        match self.inner.process.get() {
            Some(process) if process.ground.is_current() => Ok(process),
            Some(process) => self.overtaken(process),
            None => self.inner.process.get_or_make(|_| {
                let (ground, _) = open::open(&self.request_again())?;
                Ok(Process::new(ground))
            }),
        }
    }

    /// The request to open the store as it is by now: the limits are the store's, not this opener's
    /// any more.
    fn request_again(&self) -> Request {
        let mut request = self.inner.request.clone();
        request.options.max_entries = None;
        request.options.max_bytes = None;
        request.options.ttl_ms = None;
        request.options.min_free = None;
        request.options.create = false;
        request
    }

    /// What takes the place of a reader's private copy once others mended the store, or began to; an
    /// error, and so a miss, as long as they mend.
    #[cold]
    fn overtaken<'a>(&self, process: &'a Process) -> Result<&'a Process> {
        let next = match process.next.get() {
            Some(next) => next,
            None => {
                let ground = &process.ground;
                if !ground.original.as_ref().is_some_and(Original::is_of_past_epoch) {
                    // Another copy would soon be as old, and this one cannot go while it is read.
                    return Err(ground.busy("the store is written to as of another boot"));
                }
                let mut request = self.request_again();
                // A read does not wait.
                request.options.lock_timeout = Duration::ZERO;
                let (ground, _) = open::open(&request)?;
                process.next.get_or_init(|| Box::new(Process::new(ground)))
            }
        };
        if next.ground.is_current() { Ok(next) } else { self.overtaken(next) }
    }

    /// What opening found: whether the store was created, mended after another boot, or begun anew.
    pub fn opening(&self) -> &Opening {
        &self.inner.opening
    }

    /// The cache's directory.
    pub fn directory(&self) -> &Path {
        &self.inner.request.directory
    }

    /// Entries in the cache, over all processes. May count expired ones until they are collected;
    /// equals what [`FileCache::iter`] yields once upkeep is done. Constant time.
    pub fn len(&self) -> u64 {
        self.process().map_or(0, |process| {
            let words = &process.ground.memory;
            words.load(control::ENTRIES).saturating_sub(words.load(control::PENDING))
        })
    }

    /// Whether the cache has no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all entries, for all processes, at once. Constant time: upkeep collects them, some
    /// with each put.
    ///
    /// # Errors
    ///
    /// `Busy`, `ReadOnly`, and `Io` where durability asks for a sync.
    pub fn clear(&self) -> Result<()> {
        let process = self.process()?;
        let ground = &process.ground;
        let _worker = process.worker();
        ground.transact(|held, changes| {
            changes.set(control::CLEAR_LSN, held.lsn().get());
            changes.set(control::PENDING, ground.memory.load(control::ENTRIES));
            changes.set(control::CLEAR_CURSOR, 0);
            Decision::Commit(())
        })?;
        put::sync_after(ground)
    }

    /// Makes durable all that was stored before the call, by any process. Takes as long as the disk
    /// takes to write it; no other operation waits for it.
    ///
    /// From the first sync on the store keeps what a sync covered until the next one: a put that
    /// finds no segment to reuse may then wait for a sync.
    ///
    /// # Errors
    ///
    /// `Io` if the disk refuses; then nothing is taken for durable until the machine was restarted.
    pub fn sync(&self) -> Result<Synced> {
        let ground = &self.process()?.ground;
        let begun = Instant::now();
        sync::barrier(ground)?;
        Ok(Synced { took: begun.elapsed(), syncs: ground.memory.load(control::SYNCS_DONE) })
    }

    /// Reads every record and compares the counters; changes nothing. Takes no lock, so others may
    /// go on, but then counters may differ without being wrong.
    ///
    /// # Errors
    ///
    /// Those of attaching, in a forked child.
    pub fn verify(&self) -> Result<Verification> {
        Ok(open::verify(&self.process()?.ground))
    }
}
