//! What an opener asks for, what opening tells it, and the errors of opening that several rooms have.

use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::config::{OnDamage, Options};
use crate::error::{Error, ErrorKind, Result};
use crate::format::{DRAFT_DIRECTORY, FORMAT_VERSION, INDEX_FILE, LOG_FILE, STORE_FILE};
use crate::sys::clock::BOOT_ID_FILE;
use crate::sys::door::{Environment, Files};
use crate::sys::rights::Rights;

/// What opening found and did: [`crate::FileCache::opening`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opening {
    /// There was no store, and one was created.
    pub created: bool,
    /// The store was recovered: it was last used in another boot, its files were copied or put back, or damage
    /// was met when it was last used.
    pub other_boot: bool,
    /// There was a store, and it begins anew without its entries: why.
    pub began_anew: Option<String>,
    /// Which options do not hold, because only a new store takes them and this one was made with others.
    pub not_applied: Option<String>,
    /// Why the store has other limits than those that were asked for.
    pub limits_kept: Option<LimitsKept>,
}

/// Limits that an opener asked for and that the store was not given: it has those that it had. What else was
/// asked for holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitsKept {
    /// `InvalidOption`: the files of this store are not cut for what was asked for, and
    /// [`crate::Builder::relimit`] makes others. Else what went wrong this time, so that nothing was changed:
    /// `Busy`, `Full`, `Io`.
    pub kind: ErrorKind,
    /// Why, and what to do.
    pub reason: String,
    /// What `max_bytes` can be brought to in the files of this store.
    pub max_bytes: RangeInclusive<u64>,
}

/// Where a store is and how it was asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The directory.
    pub directory: PathBuf,
    /// The options.
    pub options: Options,
    /// Who answers what is asked of the operating system.
    pub environment: Environment,
    /// Whether the handle may share what this process has of the store.
    pub shares: bool,
    /// Whether somebody wrote to the files since a reader first opened them: then they are of no lower layer.
    pub is_written: bool,
}

impl Request {
    /// The path of a file of the store.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The rights of a file of the store that is made: those of the one that it replaces, or of the others; in a
    /// draft those of the store that it is to replace.
    pub fn rights(&self, name: &str) -> Rights {
        let replaced = match self.directory.parent() {
            Some(parent) if self.directory.ends_with(DRAFT_DIRECTORY) => parent,
            _ => &self.directory,
        };
        let like = [name, STORE_FILE, LOG_FILE, INDEX_FILE].map(|name| replaced.join(name));
        Rights { like: like.into(), mode: self.options.file_mode }
    }

    /// Its files.
    pub fn files(&self) -> &dyn Files {
        &*self.environment.files
    }

    /// The boot that this is.
    pub fn boot_id(&self) -> Result<[u64; 2]> {
        let path = Path::new(BOOT_ID_FILE);
        self.environment.boot.id().map_err(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                return Error::io(path, "cannot read it", error);
            }
            Error::new(
                ErrorKind::Unsupported,
                path,
                format!("cannot read the boot id ({error})"),
                "Mount /proc where the program runs.",
            )
        })
    }

    /// The request to open the store as it is by now: the limits are the store's, not this opener's
    /// any more.
    pub fn again(&self) -> Self {
        let mut request = self.clone();
        request.options.max_entries = None;
        request.options.max_bytes = None;
        request.options.ttl_ms = None;
        request.options.min_free = None;
        request.options.max_processes = None;
        request.options.segment_size = None;
        request.options.create = false;
        request.options.on_damage = OnDamage::Refuse;
        request
    }

    /// The error of a directory that holds no store.
    pub fn not_a_store(&self, what: &str, next: &str) -> Error {
        Error::new(ErrorKind::NotAStore, &self.directory, what, next)
    }
}

/// A file of the store of a version that is not known here.
pub fn newer(path: &Path, version: u32) -> Error {
    Error::new(
        ErrorKind::NewerVersion,
        path,
        format!("format version {version} is newer than {FORMAT_VERSION}, the newest known here"),
        "Use a newer larder, or another directory.",
    )
}

/// A file of the store that is not what it should be.
pub fn damaged(path: &Path, what: &str) -> Error {
    Error::new(
        ErrorKind::Damaged,
        path,
        what,
        "Put the right file back, or start with an empty cache: open it with OnDamage::BeginAnew, or delete the \
         directory.",
    )
}

/// Something stands where a file of the store should be, or it cannot be opened.
pub fn unusable(path: &Path, error: io::Error) -> Error {
    match error.raw_os_error() {
        None if error.kind() == io::ErrorKind::InvalidInput => damaged(path, &error.to_string()),
        Some(libc::EISDIR) => damaged(path, "it is a directory"),
        Some(libc::ELOOP) => damaged(path, "it is a symbolic link that leads nowhere"),
        Some(libc::ENXIO | libc::ENODEV) => damaged(path, "it is no regular file"),
        _ => Error::io(path, "cannot open it", error),
    }
}
