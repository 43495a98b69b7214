//! The door to the operating system: everything that larder asks of it, as a few traits. Behind it stands
//! the kernel, or in tests a side that refuses, runs full, forgets what was not synced, and stops the clock.
//!
//! What is not here needs no second side: loads and stores of mapped words, and naps.

use std::ffi::OsString;
use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use memmap2::MmapRaw;

use super::rights::Rights;
use super::space::FileSystem;
use crate::format::address::Millis;

/// What is asked of the operating system, by whom it is answered.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Files, their names, their space and their locks.
    pub files: Arc<dyn Files>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Which boot this is.
    pub boot: Arc<dyn Boot>,
    /// Who answers: environments of one number are one.
    pub number: usize,
}

/// A file that is open, and shared by whoever holds it.
pub type SharedFile = Arc<dyn DiskFile>;

/// Names in directories, and the files behind them.
pub trait Files: Debug + Send + Sync {
    /// Makes a directory, with its parents; `false` if it was there. It is private to its user, or open
    /// to those for whom files of this mode are.
    fn make_directory(&self, path: &Path, mode: Option<u32>) -> io::Result<bool>;
    /// The file system that a directory is on; `None` if there is something else of that name.
    fn file_system(&self, directory: &Path) -> io::Result<Option<FileSystem>>;
    /// The names in a directory.
    fn names(&self, directory: &Path) -> io::Result<Vec<OsString>>;
    /// Whether there is something of this name.
    fn exists(&self, path: &Path) -> bool;
    /// Opens a regular file; `None` if there is none of that name. Anything else in its place is an
    /// error, and never waited for.
    fn open(&self, path: &Path, write: bool) -> io::Result<Option<SharedFile>>;
    /// Opens a directory, for what can be asked of it as a whole.
    fn open_directory(&self, path: &Path) -> io::Result<SharedFile>;
    /// Opens a file, made if there is none.
    fn open_or_create(&self, path: &Path, rights: &Rights) -> io::Result<SharedFile>;
    /// Makes an empty file, open to read and write, in place of what there may be.
    fn make(&self, path: &Path, rights: &Rights) -> io::Result<SharedFile>;
    /// Opens a file, which must exist, for its locks alone; without `write` only to see what others have
    /// locked, which takes no right to write it.
    fn open_locks(&self, path: &Path, write: bool) -> io::Result<Box<dyn Locks>>;
    /// Replaces `directory/name` by `bytes` as one step that survives a power cut.
    fn replace(
        &self,
        directory: &Path,
        name: &str,
        bytes: &[u8],
        rights: &Rights,
    ) -> io::Result<()>;
    /// Puts the file `path`, whose bytes are durable, in place of `directory/name`, as such a step.
    fn put_in_place(&self, path: &Path, directory: &Path, name: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory, if nothing is in it.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
}

/// How a file is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Shared with all processes, to read and to write.
    Shared,
    /// To read; a write does nothing.
    ReadOnly,
    /// Reads see the file; writes go to memory of this process alone.
    Private,
}

/// An open file: its bytes, its space on the disk, and mappings of it.
pub trait DiskFile: Debug + Send + Sync {
    /// Its bytes.
    fn length(&self) -> io::Result<u64>;
    /// Gives it another length. (An error, and no signal, beyond the limit on file sizes.)
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Fills `bytes` from an offset on; an error of the kind `UnexpectedEof` if it has not so many.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
    /// All its bytes, or as many as `limit` if it has more.
    fn read_small(&self, limit: usize) -> io::Result<Vec<u8>>;
    /// Allocates a range, which may reach beyond its end. Bytes that are there stay.
    fn allocate(&self, offset: u64, length: u64) -> io::Result<()>;
    /// As [`DiskFile::allocate`], for a range that makes the file longer: as [`DiskFile::set_length`].
    fn extend(&self, offset: u64, length: u64) -> io::Result<()>;
    /// Gives the disk space of a range back; it then reads as zeros. The file keeps its length.
    fn punch(&self, offset: u64, length: u64) -> io::Result<()>;
    /// Makes its data durable, and what is needed to find it; with `all`, everything that is known of it.
    fn sync(&self, all: bool) -> io::Result<()>;
    /// Inode number and birth time in nanoseconds: what a copy does not have. (A file system without
    /// birth times gives 0 for them.)
    fn file_id(&self) -> io::Result<[u64; 2]>;
    /// The device that it is on: with its id, this tells which file of the machine it is.
    fn device(&self) -> io::Result<u64>;
    /// Whether it is what `path` names now.
    fn is_at(&self, path: &Path) -> io::Result<bool>;
    /// Asks programs that clean up to pass it by: a shared BSD lock, until it is closed. Fails rather than
    /// wait.
    fn hold(&self) -> io::Result<()>;
    /// Sets the times of last use and change to now, unless they are of the last hour.
    fn keep_young(&self) -> io::Result<()>;
    /// The file system that it is on.
    fn file_system(&self) -> io::Result<FileSystem>;
    /// Maps `length` bytes, of which it may have fewer.
    fn map(&self, length: usize, access: Access) -> io::Result<MmapRaw>;
    /// Advice on a mapping of it: faults the pages of a range in, to write; an error instead of a SIGBUS
    /// where the disk is full.
    fn populate(&self, mapping: &MmapRaw, offset: usize, length: usize) -> io::Result<()>;
    /// Which pages of a range of a mapping of it are in memory, one after the other. The range begins at a page.
    fn resident(&self, mapping: &MmapRaw, offset: usize, pages: usize) -> io::Result<Vec<bool>>;
    /// Begins to read a range into memory, and nothing but that.
    fn read_ahead(&self, offset: u64, length: u64) -> io::Result<()>;
    /// Lets the pages of a range go, unless others have them mapped: out of this shared mapping of it, and out of
    /// memory. The range begins at a page.
    fn let_go(&self, mapping: &MmapRaw, offset: usize, length: usize) -> io::Result<()>;
}

/// Byte locks on a file that end with the process.
pub trait Locks: Debug + Send + Sync {
    /// Locks a byte; `false` if somebody else has it locked.
    fn try_lock(&self, byte: u64) -> io::Result<bool>;
    /// Lets a byte go.
    fn unlock(&self, byte: u64) -> io::Result<()>;
    /// Whether somebody else has one of these bytes locked (one's own locks are not seen).
    fn is_locked_elsewhere(&self, bytes: Range<u64>) -> io::Result<bool>;
    /// Whether this is the file that `path` names now.
    fn is_at(&self, path: &Path) -> bool;
}

/// A wall clock.
pub trait Clock: Debug + Send + Sync {
    /// Now.
    fn now(&self) -> Millis;
    /// Now, by a clock that is some milliseconds behind, at a fifth of the cost.
    fn coarse(&self) -> Millis;
}

/// Which boot of the machine this is, its memory, and chance.
pub trait Boot: Debug + Send + Sync {
    /// The id that the kernel draws at each boot.
    fn id(&self) -> io::Result<[u64; 2]>;
    /// Bytes of memory that files may take: what is free or can be freed, within the limits of this process.
    fn memory(&self) -> io::Result<u64>;
    /// Bytes of files that any memory holds, so that nobody need ask.
    fn surely_held(&self) -> u64;
    /// Random words.
    fn random(&self) -> io::Result<[u64; 3]>;
}
