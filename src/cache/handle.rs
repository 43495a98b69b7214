//! The handle: [`FileCache`], how it is opened, and how it finds this process's part of it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::builder::Builder;
use super::process::Process;
use crate::config::Options;
use crate::error::Result;
use crate::format::control;
use crate::open;
use crate::reclaim;
use crate::request::{Opening, Request};
use crate::session::Decision;
use crate::sys::fork::PerProcess;
use crate::verify::{self, Verification};

/// A cache in a directory, shared by all threads and processes that open it.
///
/// Cloning is cheap; clones are the same handle. Opening a store that this process has open already is cheap, too: its
/// handles share one mapping (some three times `max_bytes` of address space, no memory), and together they are one of
/// [`Builder::max_processes`]. Path, durability and timeouts belong to the handle, limits and the default time to live to
/// the store. The store is closed with the last handle and view. A `read_only` handle shares nothing.
///
/// All methods may be called from any thread. After a `fork` the child uses inherited handles as it likes: it attaches anew at its first call, or by
/// [`FileCache::attach`], for which it opens the files again.
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
#[derive(Clone)]
pub struct FileCache {
    inner: Arc<Inner>,
}

struct Inner {
    request: Request,
    opening: Opening,
    process: PerProcess<Process>,
}

/// What a sync did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Synced {
    /// How long the disk took.
    pub took: Duration,
    /// The newest of the store's syncs that are done, as a number that rises.
    pub syncs: u64,
}

impl fmt::Debug for FileCache {
    /// The directory; and the limits, unless this is a forked child that has not attached yet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("FileCache");
        shown.field("directory", &self.directory());
        if let Some(process) = self.inner.process.get() {
            let store = &process.session.store;
            shown.field("max_entries", &store.load(control::MAX_ENTRIES));
            shown.field("max_bytes", &store.load(control::MAX_BYTES));
        }
        shown.finish_non_exhaustive()
    }
}

impl Builder {
    /// Opens the cache in `directory`, or creates it. A directory that larder makes is private to its
    /// user (0700); one that exists keeps its mode.
    ///
    /// # Errors
    ///
    /// - `InvalidOption`: an option that cannot be met; the message names what can.
    /// - `NotAStore`: other files are in the directory, or there is none and `create(false)`.
    /// - `NewerVersion`: a later larder wrote it. Nothing is touched.
    /// - `Damaged`: a file of a store is missing, damaged or another store's. Nothing is touched.
    /// - `Unsupported`: a network file system or FUSE; one without `fallocate` (ext2, ext3); a kernel or container
    ///   without a call that is needed, which the message names.
    /// - `Full`: the disk has no room for an empty store.
    /// - `Busy`: as many processes as may be are attached, or another process is creating, recovering or
    ///   resizing.
    /// - With [`Builder::strict_limits`], what keeps the limits from being set: `InvalidOption`, which names those
    ///   that can be, `Busy`, `Full`, `Io`.
    /// - `Io`: the operating system refuses something.
    pub fn open(&self, directory: impl AsRef<Path>) -> Result<FileCache> {
        FileCache::from_request(self.request(directory.as_ref())?)
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

    pub(super) fn from_request(request: Request) -> Result<Self> {
        let opened = open::open(&request)?;
        let opening = opened.opening.clone();
        let process = Process::new(opened, request.clone());
        if opening.other_boot && process.session.attachment.is_some() {
            // What it cannot do for want of a disk that answers, the next put will meet and tell.
            let _ = reclaim::free_first(&process.session, &mut process.writer());
        }
        let process = PerProcess::new(process);
        Ok(Self { inner: Arc::new(Inner { request, opening, process }) })
    }

    /// This process's part; attached anew in a forked child.
    #[inline]
    pub(crate) fn process(&self) -> Result<&Process> {
        match self.inner.process.get() {
            Some(process) if process.is_current() => Ok(process),
            Some(process) => process.successor(&|| self.open_changed()),
            None => {
                self.inner.process.get_or_make(|_| Self::open_again(self.inner.request.again()))
            }
        }
    }

    /// What this handle was opened with.
    pub(super) fn options(&self) -> &Options {
        &self.inner.request.options
    }

    /// Opens a store that others have changed since this reader opened it, without waiting: a read does not.
    fn open_changed(&self) -> Result<Process> {
        let mut request = self.inner.request.again();
        request.options.lock_timeout = Duration::ZERO;
        Self::open_again(Request { is_written: true, ..request })
    }

    /// Opens the store as it is by now.
    fn open_again(request: Request) -> Result<Process> {
        Ok(Process::new(open::open(&request)?, request))
    }

    /// What opening found and did: whether the store was created, was recovered after another boot, or begins anew.
    pub fn opening(&self) -> &Opening {
        &self.inner.opening
    }

    /// Attaches this process, if it is not yet: a forked child attaches at its first call. Costs next to
    /// nothing where it is attached already.
    ///
    /// Reads cannot fail, so in a child that cannot attach they miss, and never say why: this does. A child
    /// that gives up rights before it uses the cache calls it first, for it opens the files by their names:
    ///
    /// ```
    /// # fn main() -> larder::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("cache");
    /// let cache = larder::FileCache::open(&path)?;
    /// // In a child that was just forked, as root:
    /// cache.attach()?;
    /// // Only now: setgid(..), setuid(..), chroot(..).
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Builder::open`], as often as it is called, until the process is attached.
    pub fn attach(&self) -> Result<()> {
        self.process().map(|_| ())
    }

    /// Whether the directory still has the files that this handle uses. Costs two calls of the operating system.
    ///
    /// If somebody deleted or exchanged the directory, this handle goes on with the files that it holds, and
    /// whoever opens the cache from then on has others: two caches that know nothing of each other. To follow,
    /// open it again.
    ///
    /// ```
    /// # fn main() -> larder::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("cache");
    /// let mut cache = larder::FileCache::open(&path)?;
    /// std::fs::remove_dir_all(&path).unwrap();
    /// if !cache.is_current()? {
    ///     cache = larder::FileCache::open(&path)?;
    /// }
    /// assert!(cache.is_current()?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `Io` if the operating system does not tell; in a forked child those of [`FileCache::attach`].
    pub fn is_current(&self) -> Result<bool> {
        self.process()?.has_current_files()
    }

    /// The cache's directory, as an absolute path.
    pub fn directory(&self) -> &Path {
        &self.inner.request.directory
    }

    /// Entries in the cache, over all processes. Counts expired ones until they are collected: right after
    /// [`FileCache::maintain`] it is what [`FileCache::iter`] gives, unless others change the cache or something
    /// expires in between. (Entries that a clock far ahead has stored, see [`crate::Ttl`], are counted until they
    /// expire, or their space is wanted.) Constant time.
    pub fn len(&self) -> u64 {
        self.process().map_or(0, |process| {
            let store = &process.session.store;
            store.load(control::ENTRIES).saturating_sub(store.load(control::PENDING))
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
        let store = &process.session.store;
        let _writer = process.writer();
        process.session.transact(|lsn, changes| {
            changes.set_checked(control::CLEAR_LSN, lsn.get());
            changes.set(control::PENDING, store.load(control::ENTRIES));
            changes.set(control::CLEAR_CURSOR, 0);
            Decision::Commit(())
        })?;
        process.sync_after_write()
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
        let process = self.process()?;
        let begun = Instant::now();
        process.sync()?;
        if let Err(error) = process.keep_files() {
            // What was stored is durable all the same.
            process.defer(error);
        }
        let syncs = process.session.store.load(control::SYNCS_DONE);
        Ok(Synced { took: begun.elapsed(), syncs })
    }

    /// Reads every record and compares the counters; changes nothing. Takes no lock, so others may
    /// go on, but then counters may differ without being wrong.
    ///
    /// # Errors
    ///
    /// Those of attaching, in a forked child.
    pub fn verify(&self) -> Result<Verification> {
        let process = self.process()?;
        let found = verify::verify(&process.session);
        if !found.is_sound() {
            match found.disturbed {
                true => process.shared.suspicion.raise(),
                false => process.suspect(),
            }
        }
        Ok(found)
    }
}
