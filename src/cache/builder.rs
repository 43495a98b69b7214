//! The options of a cache.

use std::path::{self, Path};
use std::time::Duration;

use crate::config::{self, Durability, OnDamage, OnFillTimeout, Options};
use crate::error::{Error, ErrorKind, Result};
use crate::request::Request;
use crate::sys::door::Environment;

/// Options of a cache; see [`crate::FileCache::builder`].
///
/// Limits belong to the store and hold for all processes: the newest opener's count. Those not named
/// stay as they are. Those that the store cannot be given leave the ones that it has:
/// [`crate::Opening::limits_kept`] says why. A change that fails, or that is killed, leaves the old ones, too.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    options: Options,
    environment: Environment,
}

impl Builder {
    /// The most entries, at least 1. Exact at every moment; at the limit a put evicts an entry first.
    pub fn max_entries(mut self, entries: u64) -> Self {
        self.options.max_entries = Some(entries);
        self
    }

    /// The most bytes of disk for everything in the directory. Exact at every moment. A limit too
    /// small to work is refused with the smallest that works (some 2 MiB).
    ///
    /// A new store is cut into segments by this limit. An existing one keeps them, and takes limits from 8 to
    /// 4,096 of them: one made at 64 MiB from 18 MB to 8 GiB. A higher limit does not make the
    /// largest entry larger, which is a segment. [`Builder::relimit`] cuts it anew. A lower limit evicts before `open`
    /// returns; on tmpfs it cannot be had while others use the store.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.options.max_bytes = Some(bytes);
        self
    }

    /// How long entries live that are stored without a time of their own. Whole milliseconds, rounded
    /// up; [`Duration::MAX`] is forever.
    pub fn time_to_live(mut self, time: Duration) -> Self {
        self.options.ttl_ms = Some(Some(config::millis(time)));
        self
    }

    /// Bytes of the file system that the cache leaves free: it stops growing before, and evicts.
    pub fn min_free_space(mut self, bytes: u64) -> Self {
        self.options.min_free = Some(bytes);
        self
    }

    /// When writes by this handle become durable; the operating system decides unless said otherwise.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.options.durability = durability;
        self
    }

    /// How long to wait for a process that holds the write lock and does not move (stopped in the
    /// wrong nanoseconds): 1 second unless said otherwise. Then the write fails with `Busy`.
    pub fn lock_timeout(mut self, time: Duration) -> Self {
        self.options.lock_timeout = time;
        self
    }

    /// How long a caller of [`crate::FileCache::get_or_insert_with`] waits for another who computes the
    /// same value: 60 seconds unless said otherwise; [`Duration::MAX`] is for ever, zero hardly at all.
    /// Then it does what [`Builder::on_fill_timeout`] says. Choose more than the slowest computation takes.
    ///
    /// ```
    /// # fn main() -> larder::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("cache");
    /// use std::time::Duration;
    /// use larder::{FileCache, OnFillTimeout};
    ///
    /// let cache = FileCache::builder()
    ///     .fill_timeout(Duration::from_secs(5))
    ///     .on_fill_timeout(OnFillTimeout::Fail)
    ///     .open(&path)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn fill_timeout(mut self, time: Duration) -> Self {
        self.options.fill_timeout = time;
        self
    }

    /// What a caller does after [`Builder::fill_timeout`]: it computes the value itself unless said
    /// otherwise.
    pub fn on_fill_timeout(mut self, choice: OnFillTimeout) -> Self {
        self.options.on_fill_timeout = choice;
        self
    }

    /// Processes that may use a new store at a time, from 1 to 1,024, which is the default. Each
    /// takes 1 KiB of disk while attached, however many handles it has. An existing store keeps what it has, and
    /// [`crate::Opening::not_applied`] says so.
    pub fn max_processes(mut self, processes: u16) -> Self {
        self.options.max_processes = Some(processes);
        self
    }

    /// The rights to the cache's files when they are made, such as `0o660` for a group that shares them:
    /// exactly these, whatever the umask says. A directory that larder makes lets in who may use its files.
    /// Files that are there keep theirs, and what replaces one has its owner, group and mode.
    ///
    /// Unless said otherwise only the owner may read and write them (`0o600`), for a cache may hold
    /// secrets; in a directory in which the group may write, the group may, too, as far as the umask lets it.
    /// (Who may write there can exchange the files anyway.)
    pub fn file_mode(mut self, mode: u32) -> Self {
        self.options.file_mode = Some(mode);
        self
    }

    /// What to do where a file of the store is missing, damaged or another store's, so that the cache cannot
    /// be opened: fail (unless said otherwise), or begin anew with an empty cache.
    ///
    /// It begins anew only where nobody uses the store (else opening fails with `Busy`), where the files
    /// are larder's and of no later version than this one knows, and only with the files of a store: `store`,
    /// `log` and `index`. Others in the directory stay. It keeps the limits of the old store as far as they can
    /// still be read and this opener names no others. [`crate::FileCache::opening`] tells that it happened.
    ///
    /// Damage that is met in use is a miss, whatever is chosen here.
    ///
    /// ```
    /// # fn main() -> larder::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("cache");
    /// # drop(larder::FileCache::open(&path)?);
    /// # std::fs::write(path.join("store"), "larderST\x01\0\0\0 and then nonsense").unwrap();
    /// use larder::{FileCache, OnDamage};
    ///
    /// let cache = FileCache::builder().on_damage(OnDamage::BeginAnew).open(&path)?;
    /// if let Some(why) = &cache.opening().began_anew {
    ///     eprintln!("the cache begins anew: {why}");
    /// }
    /// # assert!(cache.opening().began_anew.is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_damage(mut self, on_damage: OnDamage) -> Self {
        self.options.on_damage = on_damage;
        self
    }

    /// Whether to create a store where there is none (yes unless said otherwise).
    pub fn create(mut self, create: bool) -> Self {
        self.options.create = create;
        self
    }

    /// For experts: bytes of a segment in a new store, a power of two from 64 KiB to 256 MiB. The
    /// largest entry is what fits one. By default the limit makes 16 to 80 segments. An existing store keeps
    /// what it has, and [`crate::Opening::not_applied`] says so. More and smaller segments let the limit be changed
    /// further, in the files that there are.
    pub fn segment_size(mut self, bytes: u64) -> Self {
        self.options.segment_size = Some(bytes);
        self
    }

    /// Whether to refuse to open a store that cannot be given what these options ask for: limits that its files
    /// are not cut for, limits that cannot be lowered now, another `segment_size` or `max_processes`. Unless
    /// said otherwise it is opened with what it has, and [`crate::Opening::limits_kept`] says why.
    pub fn strict_limits(mut self, strict: bool) -> Self {
        self.options.strict_limits = strict;
        self
    }

    /// Opens for reading alone: writes nothing at all, not even that somebody reads, takes no
    /// process row, shares nothing with other handles, and works on read-only file systems. Writes fail with `ReadOnly`. Where the index
    /// needs recovery after another boot, a private copy is recovered in memory, and used until a writer
    /// recovers the store itself; while that one is at it, reads miss.
    ///
    /// On overlayfs the files may be those of a lower layer, such as an image's, and a writer changes copies of them. There each
    /// read asks the kernel whether that has happened (a microsecond), until it has; then the copies are read.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.options.read_only = read_only;
        self
    }

    /// For tests: who answers what is asked of the operating system.
    #[cfg(feature = "internals")]
    #[doc(hidden)]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// These options for a directory. Its path counts from where the process is now: a child may attach
    /// anew when that is elsewhere.
    pub(super) fn request(&self, directory: &Path) -> Result<Request> {
        if directory.as_os_str().is_empty() {
            let next = "Name a directory, such as \".cache_directory\".";
            return Err(Error::new(ErrorKind::InvalidOption, directory, "the path is empty", next));
        }
        let directory = path::absolute(directory)
            .map_err(|error| Error::io(directory, "cannot tell where it is", error))?;
        Ok(Request {
            directory,
            options: self.options.clone(),
            environment: self.environment.clone(),
            shares: true,
            is_written: false,
        })
    }
}
