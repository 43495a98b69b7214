//! One error: what went wrong, in which file, and what to do.
//!
//! The last sentence of every message says what the reader can do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system refused something; [`std::error::Error::source`] says why.
    Io,
    /// The directory is no larder store (or there is none, and none was to be created).
    NotAStore,
    /// The store was written by a newer version of the format.
    NewerVersion,
    /// A file of the store is missing, damaged, or another store's.
    Damaged,
    /// A key or value is larger than the store takes.
    TooLarge,
    /// There is no room, and nothing that could be evicted to make some.
    Full,
    /// Another process or thread has what is needed and did not let go in time.
    Busy,
    /// The store was opened for reading only.
    ReadOnly,
    /// An option of the builder cannot be met.
    InvalidOption,
    /// The platform, the file system or a container cannot carry a store; the message says what is missing.
    Unsupported,
}

/// Why an operation failed.
///
/// The message names the file and ends with the next step:
///
/// ```
/// let error = larder::FileCache::builder()
///     .create(false)
///     .open("/nowhere/cache")
///     .unwrap_err();
/// assert_eq!(error.kind(), larder::ErrorKind::NotAStore);
/// assert_eq!(error.path(), std::path::Path::new("/nowhere/cache"));
/// ```
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    path: PathBuf,
    what: String,
    next: String,
    limit: Option<u64>,
    source: Option<io::Error>,
}

impl Error {
    /// An error about `path`: `what` happened, and the `next` step as a sentence.
    pub(crate) fn new(
        kind: ErrorKind,
        path: &Path,
        what: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self(Box::new(Inner {
            kind,
            path: path.to_owned(),
            what: what.into(),
            next: next.into(),
            limit: None,
            source: None,
        }))
    }

    /// With the limit that was met.
    pub(crate) fn with_limit(mut self, limit: u64) -> Self {
        self.0.limit = Some(limit);
        self
    }

    /// A refusal of the operating system while doing `what` with `path`.
    pub(crate) fn io(path: &Path, what: impl Into<String>, source: io::Error) -> Self {
        let (kind, next) = advice(&source);
        let mut error = Self::new(kind, path, what, next);
        error.0.source = Some(source);
        error
    }

    /// Whether it says that no more space can be had: the disk is full, or the file as long as this process
    /// may make it.
    pub(crate) fn stops_growth(&self) -> bool {
        let source = self.0.source.as_ref().map(io::Error::kind);
        self.kind() == ErrorKind::Full || source == Some(io::ErrorKind::FileTooLarge)
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The limit that was met, where there is one: for `TooLarge` the most bytes of a key or value.
    pub fn limit(&self) -> Option<u64> {
        self.0.limit
    }

    /// The message without the next step.
    pub(crate) fn cause(&self) -> String {
        let Inner { path, what, source, .. } = &*self.0;
        let place = match path.as_os_str().is_empty() {
            true => String::new(),
            false => format!("{}: ", path.display()),
        };
        let source = source.as_ref().map_or(String::new(), |source| format!(" ({source})"));
        format!("{place}{what}{source}")
    }

    /// The file or directory it is about.
    pub fn path(&self) -> &Path {
        &self.0.path
    }
}

/// A call that larder needs and does not have here: what is in an [`io::Error`] that says so.
#[derive(Debug)]
pub(crate) struct MissingCall {
    call: &'static str,
    who_has_it: &'static str,
    source: io::Error,
}

impl MissingCall {
    /// An error that says that `call` is missing, as `source` shows, and who has it.
    pub(crate) fn error(
        call: &'static str,
        who_has_it: &'static str,
        source: io::Error,
    ) -> io::Error {
        io::Error::new(io::ErrorKind::Unsupported, Self { call, who_has_it, source })
    }
}

impl fmt::Display for MissingCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {}: {}", self.call, self.source)
    }
}

impl std::error::Error for MissingCall {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// What kind of error a refusal of the operating system is, and what to do about it.
fn advice(source: &io::Error) -> (ErrorKind, &'static str) {
    if let Some(missing) = source.get_ref().and_then(|inner| inner.downcast_ref::<MissingCall>()) {
        return (ErrorKind::Unsupported, missing.who_has_it);
    }
    match source.kind() {
        io::ErrorKind::NotFound => (
            ErrorKind::Io,
            "Check the path, and that no other program takes files away there; then try again.",
        ),
        io::ErrorKind::PermissionDenied => (
            ErrorKind::Io,
            "Give this user the right to read and write it, or choose another directory.",
        ),
        io::ErrorKind::NotADirectory => {
            (ErrorKind::Io, "Name a path on which everything above is a directory.")
        }
        io::ErrorKind::InvalidFilename => (ErrorKind::Io, "Choose a shorter path."),
        io::ErrorKind::InvalidInput if source.raw_os_error().is_none() => {
            (ErrorKind::Io, "Name a path without a zero byte.")
        }
        io::ErrorKind::ReadOnlyFilesystem => (
            ErrorKind::ReadOnly,
            "Choose a directory on a file system that can be written, or open it with read_only.",
        ),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (ErrorKind::Full, "Free some space on the file system, or lower max_bytes.")
        }
        io::ErrorKind::FileTooLarge => {
            (ErrorKind::Io, "Raise the limit on file sizes (ulimit -f), or lower max_bytes.")
        }
        io::ErrorKind::OutOfMemory => (
            ErrorKind::Io,
            "Raise the limit on address space (ulimit -v), or create the cache with a lower max_bytes.",
        ),
        _ => (ErrorKind::Io, advice_by_number(source.raw_os_error().unwrap_or(0))),
    }
}

/// What to do about a refusal for which `std` has no kind.
fn advice_by_number(number: i32) -> &'static str {
    match number {
        libc::EMFILE => "Raise the limit on open files (ulimit -n).",
        libc::ENFILE => {
            "Let other programs close files, or raise the limit of the system (fs.file-max)."
        }
        libc::ELOOP => "Check the symbolic links on the path: they lead round in a circle.",
        libc::ENOLCK => "Let other programs give file locks back: the kernel has no more.",
        libc::EOPNOTSUPP | libc::ENOSYS => {
            "Choose a directory on another file system, such as ext4, xfs or tmpfs."
        }
        _ => "Check the disk and the kernel's log, then try again.",
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}", self.cause(), self.0.next)
    }
}

impl From<Error> for io::Error {
    /// An error of the kind that `std` has for it, with all of this one inside.
    fn from(error: Error) -> Self {
        let kind = match (error.kind(), &error.0.source) {
            (_, Some(source)) => source.kind(),
            (ErrorKind::Full, _) => io::ErrorKind::StorageFull,
            (ErrorKind::Busy, _) => io::ErrorKind::ResourceBusy,
            (ErrorKind::ReadOnly, _) => io::ErrorKind::PermissionDenied,
            (ErrorKind::TooLarge | ErrorKind::InvalidOption, _) => io::ErrorKind::InvalidInput,
            (ErrorKind::Damaged, _) => io::ErrorKind::InvalidData,
            (ErrorKind::NewerVersion | ErrorKind::Unsupported, _) => io::ErrorKind::Unsupported,
            (ErrorKind::NotAStore, _) => io::ErrorKind::NotFound,
            (ErrorKind::Io, _) => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_file_and_ends_with_the_next_step() {
        let error = Error::new(ErrorKind::Full, Path::new("/a/log"), "it is full", "Empty it.");
        assert_eq!(error.to_string(), "/a/log: it is full. Empty it.");
    }

    #[test]
    fn an_error_without_a_path_begins_with_what_happened() {
        let error = Error::new(ErrorKind::InvalidOption, Path::new(""), "it is empty", "Name one.");
        assert_eq!(error.to_string(), "it is empty. Name one.");
    }

    #[test]
    fn as_an_error_of_std_it_keeps_kind_message_and_limit() {
        let error = Error::new(ErrorKind::TooLarge, Path::new("/a"), "it is long", "Cut it.");
        let text = error.to_string();
        let error = io::Error::from(error.with_limit(7));
        assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::InvalidInput, text));
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).unwrap();
        assert_eq!((inner.kind(), inner.limit()), (ErrorKind::TooLarge, Some(7)));
        let source = io::Error::from_raw_os_error(libc::EACCES);
        let error = io::Error::from(Error::io(Path::new("/a"), "cannot open it", source));
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_full_disk_is_full_and_a_limit_on_files_is_none_though_both_stop_growth() {
        let of = |code| Error::io(Path::new("x"), "writing", io::Error::from_raw_os_error(code));
        for code in [libc::ENOSPC, libc::EDQUOT] {
            assert!(of(code).kind() == ErrorKind::Full && of(code).stops_growth());
        }
        assert!(of(libc::EFBIG).kind() == ErrorKind::Io && of(libc::EFBIG).stops_growth());
        let error = of(libc::EIO);
        assert!(error.kind() == ErrorKind::Io && !error.stops_growth());
        assert!(std::error::Error::source(&error).is_some());
    }

    #[test]
    fn only_what_may_be_the_disk_is_blamed_on_it_and_nothing_asks_for_data_to_be_deleted() {
        let others = [
            libc::ENOENT,
            libc::EACCES,
            libc::EPERM,
            libc::ENOTDIR,
            libc::ENAMETOOLONG,
            libc::EROFS,
            libc::ENOSPC,
            libc::EDQUOT,
            libc::EFBIG,
            libc::ENOMEM,
            libc::EMFILE,
            libc::ENFILE,
            libc::ELOOP,
            libc::ENOLCK,
            libc::EOPNOTSUPP,
            libc::ENOSYS,
        ];
        for code in 1..134 {
            let source = io::Error::from_raw_os_error(code);
            let text = Error::io(Path::new("/a"), "cannot read it", source).to_string();
            assert_eq!(text.contains("Check the disk"), !others.contains(&code), "{text}");
            assert!(text.starts_with("/a: cannot read it (") && text.ends_with('.'), "{text}");
            assert!(!text.to_lowercase().contains("delete"), "{text}");
        }
    }
}
