//! The kernel's side of files: their names, their bytes and their mappings.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{
    DirBuilderExt, FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt,
};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use memmap2::{MmapOptions, MmapRaw};

use super::door::{Access, DiskFile, Files, Locks, SharedFile};
use super::lock::LockFile;
use super::rights::{self, Rights};
use super::space::{self, FileSystem};
use crate::error::MissingCall;

/// The kernel's files.
#[derive(Clone, Copy, Debug)]
pub struct KernelFiles;

/// Times of last use and change within this are left as they are.
const YOUNG: Duration = Duration::from_secs(3600);

/// Bytes of a page of memory.
const PAGE: usize = 4096;

const WHO_HAS_POPULATE: &str =
    "Use Linux 5.14 or later; in a container, let its seccomp filter allow that.";
const WHO_HAS_STATX: &str =
    "Use a container runtime whose seccomp filter allows it, such as Docker 18.04 or later.";

/// One of them.
#[derive(Debug)]
pub struct KernelFile(File);

impl KernelFile {
    fn shared(file: File) -> SharedFile {
        Arc::new(Self(file))
    }
}

impl Files for KernelFiles {
    fn make_directory(&self, path: &Path, mode: Option<u32>) -> io::Result<bool> {
        if path.is_dir() {
            return Ok(false);
        }
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(|error| match error.kind() {
                // Something above is a file.
                io::ErrorKind::AlreadyExists => io::Error::from_raw_os_error(libc::ENOTDIR),
                _ => error,
            })?;
        }
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        if let Some(mode) = mode {
            // Whatever the umask says: it was asked for.
            fs::set_permissions(path, Permissions::from_mode(rights::mode_of_directory(mode)))?;
        }
        Ok(true)
    }

    fn file_system(&self, directory: &Path) -> io::Result<Option<FileSystem>> {
        let opened = File::open(directory)?;
        let is_directory = opened.metadata()?.is_dir();
        is_directory.then(|| FileSystem::of(&opened)).transpose()
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn open(&self, path: &Path, write: bool) -> io::Result<Option<SharedFile>> {
        let found = OpenOptions::new()
            .read(true)
            .write(write)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path);
        match found {
            Ok(file) => {
                refuse_irregular(&file)?;
                Ok(Some(KernelFile::shared(file)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn open_directory(&self, path: &Path) -> io::Result<SharedFile> {
        File::open(path).map(KernelFile::shared)
    }

    fn open_or_create(&self, path: &Path, rights: &Rights) -> io::Result<SharedFile> {
        let file = match rights::make(path, rights) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let mut options = OpenOptions::new();
                // Made all the same where it is a link that leads to no file yet, or vanished.
                options.read(true).write(true).create(true).truncate(false).mode(0o600);
                options.open(path)
            }
            made => made,
        };
        file.map(KernelFile::shared)
    }

    fn make(&self, path: &Path, rights: &Rights) -> io::Result<SharedFile> {
        make_anew(path, rights).map(KernelFile::shared)
    }

    fn open_locks(&self, path: &Path, write: bool) -> io::Result<Box<dyn Locks>> {
        Ok(Box::new(LockFile::open(path, write)?))
    }

    fn replace(
        &self,
        directory: &Path,
        name: &str,
        bytes: &[u8],
        rights: &Rights,
    ) -> io::Result<()> {
        space::check_length(bytes.len() as u64)?;
        let (new, old) = (directory.join(format!("{name}.new")), directory.join(name));
        let mut file = make_anew(&new, rights)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &old)?;
        self.sync_directory(directory)
    }

    fn put_in_place(&self, path: &Path, directory: &Path, name: &str) -> io::Result<()> {
        fs::rename(path, directory.join(name))?;
        self.sync_directory(directory)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }
}

/// Makes a file where a process that was killed may have left one, perhaps another user's.
fn make_anew(path: &Path, rights: &Rights) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => rights::make(path, rights),
    }
}

/// An error that says what it is, if it is no regular file.
fn refuse_irregular(file: &File) -> io::Result<()> {
    let kind = file.metadata()?.file_type();
    let what = match kind {
        _ if kind.is_file() => return Ok(()),
        _ if kind.is_dir() => "it is a directory",
        _ if kind.is_fifo() => "it is a pipe",
        _ => "it is no regular file",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

impl DiskFile for KernelFile {
    fn length(&self) -> io::Result<u64> {
        self.0.metadata().map(|metadata| metadata.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        space::check_length(length)?;
        self.0.set_len(length)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(bytes, offset)
    }

    fn read_small(&self, limit: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&self.0).take(limit as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn allocate(&self, offset: u64, length: u64) -> io::Result<()> {
        space::allocate(&self.0, offset, length)
    }

    fn extend(&self, offset: u64, length: u64) -> io::Result<()> {
        space::check_length(offset.saturating_add(length))?;
        space::allocate(&self.0, offset, length)
    }

    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        space::punch(&self.0, offset, length)
    }

    fn sync(&self, all: bool) -> io::Result<()> {
        if all { self.0.sync_all() } else { self.0.sync_data() }
    }

    fn file_id(&self) -> io::Result<[u64; 2]> {
        file_id(&self.0)
    }

    fn device(&self) -> io::Result<u64> {
        self.0.metadata().map(|metadata| metadata.dev())
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        let own = self.0.metadata()?;
        match fs::metadata(path) {
            Ok(there) => Ok(there.ino() == own.ino() && there.dev() == own.dev()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn hold(&self) -> io::Result<()> {
        // SAFETY: a system call on an open descriptor with plain numbers.
        let status = unsafe { libc::flock(self.0.as_raw_fd(), libc::LOCK_SH | libc::LOCK_NB) };
        if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn keep_young(&self) -> io::Result<()> {
        let found = self.0.metadata()?;
        let is_young = |time: io::Result<SystemTime>| {
            // A time to come has no age.
            time.is_ok_and(|time| time.elapsed().unwrap_or_default() < YOUNG)
        };
        if is_young(found.modified()) && is_young(found.accessed()) {
            return Ok(());
        }
        // SAFETY: the descriptor is open; without times the call sets both to now.
        let status = unsafe { libc::futimens(self.0.as_raw_fd(), std::ptr::null()) };
        if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn file_system(&self) -> io::Result<FileSystem> {
        FileSystem::of(&self.0)
    }

    fn map(&self, length: usize, access: Access) -> io::Result<MmapRaw> {
        let mut options = MmapOptions::new();
        options.len(length).no_reserve_swap();
        match access {
            Access::Shared => options.map_raw(&self.0),
            Access::ReadOnly => options.map_raw_read_only(&self.0),
            // SAFETY: the map is turned into a raw one at once and only read through atomics, so
            // that it does not matter that other processes change the file.
            Access::Private => unsafe { options.map_copy(&self.0) }.map(MmapRaw::from),
        }
    }

    /// By `MADV_POPULATE_WRITE`, Linux 5.14.
    fn populate(&self, mapping: &MmapRaw, offset: usize, length: usize) -> io::Result<()> {
        const MADV_POPULATE_WRITE: libc::c_int = 23;
        let start = offset / PAGE * PAGE;
        check_range(mapping, offset, length)?;
        // SAFETY: the range is inside the mapping, begins at a page, and the call changes no byte.
        let status = unsafe {
            let start_address = mapping.as_mut_ptr().add(start);
            libc::madvise(start_address.cast(), offset + length - start, MADV_POPULATE_WRITE)
        };
        if status == 0 {
            return Ok(());
        }
        Err(refused_to_populate(io::Error::last_os_error()))
    }

    fn resident(&self, mapping: &MmapRaw, offset: usize, pages: usize) -> io::Result<Vec<bool>> {
        let length = pages.saturating_mul(PAGE);
        check_range(mapping, offset, length)?;
        let mut found = vec![0u8; pages];
        // SAFETY: the range is inside the mapping and begins at a page; the buffer has a byte for each of its
        // pages, or more where pages are larger.
        let status = unsafe {
            let start = mapping.as_mut_ptr().add(offset);
            libc::mincore(start.cast(), length, found.as_mut_ptr())
        };
        if status != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(found.into_iter().map(|page| page & 1 != 0).collect())
    }

    /// By `POSIX_FADV_WILLNEED`, which reads the range as it is; `readahead(2)` is the same.
    fn read_ahead(&self, offset: u64, length: u64) -> io::Result<()> {
        self.advise(offset, length, libc::POSIX_FADV_WILLNEED)
    }

    fn let_go(&self, mapping: &MmapRaw, offset: usize, length: usize) -> io::Result<()> {
        check_range(mapping, offset, length)?;
        // SAFETY: the range is inside the mapping, which is shared: its bytes stay those of the file.
        let status = unsafe {
            let start = mapping.as_mut_ptr().add(offset);
            libc::madvise(start.cast(), length, libc::MADV_DONTNEED)
        };
        if status != 0 {
            return Err(io::Error::last_os_error());
        }
        self.advise(offset as u64, length as u64, libc::POSIX_FADV_DONTNEED)
    }
}

impl KernelFile {
    fn advise(&self, offset: u64, length: u64, advice: i32) -> io::Result<()> {
        let (offset, length) = (offset as libc::off_t, length as libc::off_t);
        // SAFETY: a system call on an open descriptor with plain numbers.
        match unsafe { libc::posix_fadvise(self.0.as_raw_fd(), offset, length, advice) } {
            0 => Ok(()),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }
}

fn check_range(mapping: &MmapRaw, offset: usize, length: usize) -> io::Result<()> {
    let is_inside = offset.checked_add(length).is_some_and(|end| end <= mapping.len());
    if is_inside { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

/// What an error of `MADV_POPULATE_WRITE` means.
fn refused_to_populate(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        // What cannot be allocated under a shared mapping is reported as a bad address.
        Some(libc::EFAULT) => io::Error::from_raw_os_error(libc::ENOSPC),
        Some(libc::EINVAL | libc::ENOSYS | libc::EPERM | libc::EACCES) => {
            MissingCall::error("madvise(2) with MADV_POPULATE_WRITE", WHO_HAS_POPULATE, error)
        }
        _ => error,
    }
}

/// Inode number and birth time in nanoseconds: what a copy does not have. (A file system without
/// birth times gives 0 for them.)
///
/// The call itself: the C library makes up an answer without a birth time where there is none, and to others, who have
/// it, the file would be another one.
fn file_id(file: &File) -> io::Result<[u64; 2]> {
    let mut found = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the descriptor is open, the path empty and terminated, the buffer of the right type.
    let status = unsafe {
        libc::syscall(
            libc::SYS_statx,
            file.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            libc::STATX_INO | libc::STATX_BTIME,
            found.as_mut_ptr(),
        )
    };
    if status != 0 {
        let error = io::Error::last_os_error();
        return Err(match error.raw_os_error() {
            Some(libc::ENOSYS | libc::EPERM) => {
                MissingCall::error("statx(2)", WHO_HAS_STATX, error)
            }
            _ => error,
        });
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
