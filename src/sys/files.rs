//! Opening, creating and replacing the files of a store.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Makes a directory, private to its user, with its parents; `false` if it was there.
pub fn make_directory(path: &Path) -> io::Result<bool> {
    if path.is_dir() {
        return Ok(false);
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Opens a regular file; `None` if there is none of that name. Anything else in its place is an
/// error, and never waited for.
pub fn open(path: &Path, write: bool) -> io::Result<Option<File>> {
    let found = OpenOptions::new()
        .read(true)
        .write(write)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path);
    match found {
        Ok(file) => {
            let kind = file.metadata()?.file_type();
            if kind.is_file() {
                return Ok(Some(file));
            }
            let what = if kind.is_dir() {
                "it is a directory"
            } else if kind.is_fifo() {
                "it is a pipe"
            } else {
                "it is no regular file"
            };
            Err(io::Error::new(io::ErrorKind::InvalidInput, what))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens a file, made (readable for its user alone) if there is none.
pub fn open_or_create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// The bytes of a file that has at most `limit`; a longer one is cut there.
pub fn read_small(file: &File, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Replaces `directory/name` by `bytes` as one step that survives a power cut.
pub fn replace(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    super::space::check_length(bytes.len() as u64)?;
    let temporary = directory.join(format!("{name}.new"));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, directory.join(name))?;
    sync_directory(directory)
}

/// Puts an empty file, open to read and write, in place of `directory/name`.
pub fn replace_with_empty(directory: &Path, name: &str) -> io::Result<File> {
    let temporary = directory.join(format!("{name}.new"));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    fs::rename(&temporary, directory.join(name))?;
    sync_directory(directory)?;
    Ok(file)
}

/// Makes the names in a directory durable.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Inode number and birth time in nanoseconds: what a copy does not have. (A file system without
/// birth times gives 0 for them.)
pub fn identity(file: &File) -> io::Result<[u64; 2]> {
    let mut found = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the descriptor is open, the path empty and terminated, the buffer of the right type.
    let status = unsafe {
        libc::statx(
            file.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            libc::STATX_INO | libc::STATX_BTIME,
            found.as_mut_ptr(),
        )
    };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed at first and filled in by the call; all its fields are numbers.
    let found = unsafe { found.assume_init() };
    let born = if found.stx_mask & libc::STATX_BTIME == 0 {
        0
    } else {
        (found.stx_btime.tv_sec as u64)
            .wrapping_mul(1_000_000_000)
            .wrapping_add(u64::from(found.stx_btime.tv_nsec))
    };
    Ok([found.stx_ino, born])
}
