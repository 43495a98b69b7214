//! Why a verb could not do its work, and the exit code of that.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use larder::ErrorKind;

/// Why a verb could not do its work.
#[derive(Debug)]
pub enum Failure {
    /// The library refused; its message is the program's.
    Store(larder::Error),
    /// The command line is wrong in a way that its grammar does not show.
    Usage(String),
    /// A file that is no part of a store.
    File {
        /// Its name.
        path: PathBuf,
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The standard output.
    Output(io::Error),
}

impl Failure {
    /// A function that makes a failure of an error about the file `path`.
    pub fn file(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { path: path.to_owned(), what, source }
    }

    /// Whether nobody reads what is printed any more: `larder ls DIR | head`, which is no error.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            _ if self.is_closed_pipe() => 0,
            Self::Usage(_) => 2,
            Self::Store(error) if error.kind() == ErrorKind::Damaged => 3,
            _ => 4,
        }
    }
}

impl From<larder::Error> for Failure {
    fn from(error: larder::Error) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Usage(what) => f.write_str(what),
            Self::File { path, what, source } => {
                write!(f, "{}: {what} ({source}). Check the path and its mode.", path.display())
            }
            Self::Output(error) => write!(f, "standard output: cannot write to it ({error})."),
        }
    }
}
