//! Opening: from a path to the ground that a handle stands on.
//!
//! A store that was in use in this boot is opened in constant time: its counters are exact whatever
//! was killed, and nothing is read but the file `store` and a page of the control block. Creation,
//! the first opening after another boot, and changes of limits are done under the opening lock.

mod attach;
mod boot;
#[cfg(feature = "internals")]
mod copies;
mod create;
mod heads;
mod limits;
mod mend;
mod reader;
mod twins;
mod verify;

#[cfg(feature = "internals")]
pub use copies::pass_for;
pub use verify::{Verification, verify};

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use crate::config::Options;
use crate::error::{Error, ErrorKind, Result};
use crate::format::identity::{IDENTITY_LIMIT, Identity, IdentityError};
use crate::format::lock::OPENING_LOCK_BYTE;
use crate::format::{FORMAT_VERSION, STORE_FILE};
use crate::segments::Ground;
pub use crate::segments::SyncHook;
use crate::sys::clock::{self, Clock};
use crate::sys::files;
use crate::sys::lock::LockFile;
use crate::sys::space::FileSystem;

/// What tests set instead of asking the operating system.
#[derive(Clone, Debug, Default)]
pub struct Seams {
    /// Milliseconds that the clock shows.
    pub clock: Option<Arc<AtomicU64>>,
    /// The boot id.
    pub boot_id: Option<[u64; 2]>,
    /// The type of the file system, as statfs tells it.
    pub file_system: Option<i64>,
    /// Id and seed of a store that is created.
    pub random: Option<[u64; 3]>,
    /// Called around the flushes of a sync.
    pub sync_hook: Option<SyncHook>,
}

/// What opening found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opening {
    /// The store was created.
    pub created: bool,
    /// The store was last used in another boot (or was copied), and its index was mended.
    pub other_boot: bool,
    /// Why the store begins empty though there was one.
    pub started_empty: Option<String>,
}

/// Where a store is and how it was asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The directory.
    pub directory: PathBuf,
    /// The options.
    pub options: Options,
    /// What tests set.
    pub seams: Seams,
}

impl Request {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn clock(&self) -> Clock {
        self.seams.clock.clone().map_or_else(Clock::default, Clock::by_hand)
    }

    fn boot_id(&self) -> Result<[u64; 2]> {
        match self.seams.boot_id {
            Some(id) => Ok(id),
            None => clock::boot_id().map_err(|error| {
                if error.kind() != std::io::ErrorKind::NotFound {
                    return Error::io(Path::new(clock::BOOT_ID_FILE), "cannot read it", error);
                }
                Error::new(
                    ErrorKind::Unsupported,
                    Path::new(clock::BOOT_ID_FILE),
                    format!("cannot read the boot id ({error})"),
                    "Mount /proc where the program runs.",
                )
            }),
        }
    }

    fn not_a_store(&self, what: &str, next: &str) -> Error {
        Error::new(ErrorKind::NotAStore, &self.directory, what, next)
    }
}

/// Opens the store, or creates it.
pub fn open(request: &Request) -> Result<(Ground, Opening)> {
    let Request { directory, options, .. } = request;
    options.validate(directory)?;
    let creates = options.create && !options.read_only;
    let io = |what: &str, error| Error::io(directory, what, error);
    let no_directory = || request.not_a_store("it is not a directory", "Name a directory.");
    let made = creates
        && files::make_directory(directory).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => no_directory(),
            _ => io("cannot create it", error),
        })?;
    let opened = File::open(directory).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => request.not_a_store(
            "there is no such directory",
            "Check the path, or allow larder to create the store.",
        ),
        _ => io("cannot open it", error),
    })?;
    if !opened.metadata().map_err(|error| io("cannot look at it", error))?.is_dir() {
        return Err(no_directory());
    }
    let file_system = file_system(request, &opened)?;
    let mut opening = Opening::default();
    // Creation may be under way or just done by another process: then there is a store after all.
    let identity = match read_identity(request)? {
        Some(identity) => identity,
        None if creates => {
            opening.created = create::create(request, file_system).inspect_err(|_| {
                if made {
                    // Only if nothing is in it.
                    let _ = std::fs::remove_dir(directory);
                }
            })?;
            read_identity(request)?.ok_or_else(|| vanished(request))?
        }
        None => {
            return Err(request.not_a_store(
                "it holds no larder store",
                "Check the path, or allow larder to create the store.",
            ));
        }
    };
    let ground = attach::attach(request, &identity, file_system, &mut opening)?;
    limits::apply(request, &ground, identity)?;
    Ok((ground, opening))
}

fn vanished(request: &Request) -> Error {
    request.not_a_store("the store vanished while it was opened", "Try again.")
}

fn file_system(request: &Request, directory: &File) -> Result<FileSystem> {
    let mut found = FileSystem::of(directory)
        .map_err(|error| Error::io(&request.directory, "cannot ask for its file system", error))?;
    if let Some(kind) = request.seams.file_system {
        found.kind = kind;
    }
    match found.refused() {
        None => Ok(found),
        Some(name) => Err(Error::new(
            ErrorKind::Unsupported,
            &request.directory,
            format!("it is on {name}, where processes do not see each other's changes reliably"),
            "Choose a directory on a local file system, such as ext4, xfs or tmpfs.",
        )),
    }
}

/// The identity in the file `store`, if there is one.
fn read_identity(request: &Request) -> Result<Option<Identity>> {
    let path = request.path(STORE_FILE);
    let bytes = match files::open(&path, false) {
        Ok(None) => return Ok(None),
        Ok(Some(file)) => files::read_small(&file, IDENTITY_LIMIT)
            .map_err(|error| Error::io(&path, "cannot read it", error))?,
        Err(error) => return Err(unusable(&path, error)),
    };
    match Identity::decode(&bytes) {
        Ok(identity) => Ok(Some(identity)),
        Err(IdentityError::Newer(version)) => Err(newer(&path, version)),
        Err(IdentityError::Magic) => {
            Err(request
                .not_a_store("its file \"store\" is not larder's", "Choose another directory."))
        }
        Err(IdentityError::Damaged(what)) => {
            Err(damaged(&path, &format!("the file is damaged: {what}")))
        }
    }
}

fn newer(path: &Path, version: u32) -> Error {
    Error::new(
        ErrorKind::NewerVersion,
        path,
        format!("format version {version} is newer than {FORMAT_VERSION}, the newest known here"),
        "Use a newer larder, or another directory.",
    )
}

/// A file of the store that is not what it should be.
fn damaged(path: &Path, what: &str) -> Error {
    Error::new(
        ErrorKind::Damaged,
        path,
        what,
        "Put the right file back, or delete the directory to start with an empty cache.",
    )
}

/// Something stands where a file of the store should be, or it cannot be opened.
fn unusable(path: &Path, error: std::io::Error) -> Error {
    match error.raw_os_error() {
        None if error.kind() == std::io::ErrorKind::InvalidInput => {
            damaged(path, &error.to_string())
        }
        Some(libc::EISDIR) => damaged(path, "it is a directory"),
        Some(libc::ELOOP) => damaged(path, "it is a symbolic link that leads nowhere"),
        Some(libc::ENXIO | libc::ENODEV) => damaged(path, "it is no regular file"),
        _ => Error::io(path, "cannot open it", error),
    }
}

/// Holds the opening lock until dropped.
struct OpeningLock<'a>(&'a LockFile);

impl<'a> OpeningLock<'a> {
    /// Waits for the lock up to `deadline`.
    fn acquire(locks: &'a LockFile, path: &Path, deadline: Duration) -> Result<Self> {
        let begun = Instant::now();
        let mut nap = Duration::from_micros(100);
        loop {
            let locked = locks
                .try_lock(OPENING_LOCK_BYTE)
                .map_err(|error| Error::io(path, "cannot lock it", error))?;
            if locked {
                return Ok(Self(locks));
            }
            if begun.elapsed() >= deadline {
                return Err(Error::new(
                    ErrorKind::Busy,
                    path,
                    "another process is creating, mending or resizing the store",
                    "Wait for it, or allow a longer lock_timeout, and try again.",
                ));
            }
            std::thread::sleep(nap);
            nap = (nap * 2).min(Duration::from_millis(5));
        }
    }
}

impl Drop for OpeningLock<'_> {
    fn drop(&mut self) {
        // A lock that cannot be let go ends with the description.
        let _ = self.0.unlock(OPENING_LOCK_BYTE);
    }
}
