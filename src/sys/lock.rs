//! Byte locks on the log file that end with the process: open file description (OFD) locks.
//!
//! The kernel drops them when the last descriptor of the description is closed, so a lock tells that
//! its process lives, across containers and PID namespaces. A mapping keeps its file's description
//! open, and a forked child inherits both; therefore locks have a description of their own that is
//! never mapped, and that the child closes (see [`super::fork`]).

use std::fs::{File, OpenOptions};
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::door::Locks;
use super::fork;

/// A description of the log file for locks alone.
#[derive(Debug)]
pub struct LockFile {
    /// Closed here in the process that opened it, and by the fork handler in its children.
    file: ManuallyDrop<File>,
    opened: fork::Incarnation,
}

impl LockFile {
    /// Opens `path`, which must exist; without `write` only to see what others have locked, which takes no
    /// right to write it.
    pub fn open(path: &Path, write: bool) -> io::Result<Self> {
        fork::opening(|register| {
            let file = OpenOptions::new().read(true).write(write).open(path)?;
            register(file.as_raw_fd());
            Ok(Self { file: ManuallyDrop::new(file), opened: fork::incarnation() })
        })
    }

    fn control(
        &self,
        command: libc::c_int,
        kind: libc::c_int,
        bytes: Range<u64>,
    ) -> io::Result<libc::flock> {
        // SAFETY: `flock` is plain numbers, for which zero is a value.
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        lock.l_type = kind as libc::c_short;
        lock.l_whence = libc::SEEK_SET as libc::c_short;
        lock.l_start = bytes.start as libc::off_t;
        lock.l_len = (bytes.end - bytes.start) as libc::off_t;
        loop {
            // SAFETY: the descriptor is open and `lock` is what the command reads and writes.
            let status = unsafe { libc::fcntl(self.file.as_raw_fd(), command, &mut lock) };
            if status == 0 {
                return Ok(lock);
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

impl Locks for LockFile {
    fn try_lock(&self, byte: u64) -> io::Result<bool> {
        match self.control(libc::F_OFD_SETLK, libc::F_WRLCK, byte..byte + 1) {
            Ok(_) => Ok(true),
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EACCES) => Ok(false),
                _ => Err(error),
            },
        }
    }

    fn unlock(&self, byte: u64) -> io::Result<()> {
        self.control(libc::F_OFD_SETLK, libc::F_UNLCK, byte..byte + 1).map(|_| ())
    }

    fn is_locked_elsewhere(&self, bytes: Range<u64>) -> io::Result<bool> {
        let lock = self.control(libc::F_OFD_GETLK, libc::F_WRLCK, bytes)?;
        Ok(i32::from(lock.l_type) != libc::F_UNLCK)
    }

    fn is_at(&self, path: &Path) -> bool {
        match (self.file.metadata(), std::fs::metadata(path)) {
            (Ok(own), Ok(there)) => own.ino() == there.ino() && own.dev() == there.dev(),
            _ => false,
        }
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        if self.opened != fork::incarnation() {
            return; // A forked child: its handler has closed the descriptor.
        }
        // Unlocked first: a child forked between the next two steps keeps the description open.
        let mut all: libc::flock =
            // SAFETY: as in `control`.
            unsafe { std::mem::zeroed() };
        all.l_type = libc::F_UNLCK as libc::c_short;
        // SAFETY: the descriptor is open; start 0 and length 0 are the whole file. A failure leaves
        // the locks to the close below.
        unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_OFD_SETLK, &mut all) };
        fork::unregister(self.file.as_raw_fd());
        // SAFETY: dropped once, here, in the process that opened it.
        unsafe { ManuallyDrop::drop(&mut self.file) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_locked_by_one_description_is_seen_and_refused_by_another() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let one = LockFile::open(file.path(), true).unwrap();
        let two = LockFile::open(file.path(), true).unwrap();
        assert!(one.try_lock(5).unwrap());
        assert!(one.try_lock(5).unwrap(), "one's own lock is no obstacle");
        assert!(!two.try_lock(5).unwrap());
        assert!(two.try_lock(6).unwrap());
        assert!(two.is_locked_elsewhere(5..6).unwrap());
        assert!(!two.is_locked_elsewhere(6..7).unwrap());
        let look = LockFile::open(file.path(), false).unwrap();
        assert!(look.is_locked_elsewhere(5..6).unwrap());
        assert!(!look.is_locked_elsewhere(7..8).unwrap());
        assert!(
            look.is_locked_elsewhere(0..6).unwrap() && !look.is_locked_elsewhere(0..5).unwrap()
        );
        assert!(look.try_lock(7).is_err());
        drop(one);
        assert!(two.try_lock(5).unwrap());
        two.unlock(5).unwrap();
        let high = crate::format::lock::fill_lock_byte(u64::MAX);
        assert!(two.try_lock(high).unwrap());
    }
}
