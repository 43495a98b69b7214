//! Space on the disk: what the file system is, allocation, and giving space back.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

use crate::error::MissingCall;

/// What matters of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// `f_type` of statfs(2).
    pub kind: i64,
    /// All its bytes.
    pub bytes: u64,
    /// Bytes that this user may still take.
    pub free: u64,
}

const TMPFS: i64 = 0x0102_1994;
const OVERLAYFS: i64 = 0x794C_7630;

const WHO_HAS_FALLOCATE: &str =
    "Choose a directory on ext4, xfs, btrfs or tmpfs: ext2 and ext3, for example, do not have it.";

/// File systems on which a mapping is not coherent between its users, by `f_type`.
const REFUSED: [(i64, &str); 8] = [
    (0x6969, "NFS"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB"),
    (0x517B, "SMB"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "FUSE or virtiofs"),
    (0x0BD0_0BD0, "Lustre"),
    (0x00C3_6400, "Ceph"),
];

impl FileSystem {
    /// The file system that holds a file or directory.
    pub fn of(file: &File) -> io::Result<Self> {
        let mut found = MaybeUninit::<libc::statfs>::zeroed();
        // SAFETY: the descriptor is open, the buffer of the right type.
        if unsafe { libc::fstatfs(file.as_raw_fd(), found.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: zeroed at first and filled in by the call; all its fields are numbers.
        let found = unsafe { found.assume_init() };
        let block = found.f_bsize as u64;
        Ok(Self {
            kind: found.f_type,
            bytes: found.f_blocks.saturating_mul(block),
            free: found.f_bavail.saturating_mul(block),
        })
    }

    /// The name of a file system that cannot carry a store.
    pub fn refused(self) -> Option<&'static str> {
        REFUSED.iter().find(|(kind, _)| *kind == self.kind).map(|(_, name)| *name)
    }

    /// Whether a file may be copied before the first write to it: those who have the old one mapped then see no
    /// change.
    pub fn copies_up(self) -> bool {
        self.kind == OVERLAYFS
    }

    /// Whether even reading a hole allocates.
    pub fn allocates_on_read(self) -> bool {
        self.kind == TMPFS
    }
}

/// Allocates a range of a file, which may reach beyond its end. Bytes that are there stay.
pub fn allocate(file: &File, offset: u64, length: u64) -> io::Result<()> {
    fallocate(file, 0, offset, length)
}

/// An error where a file may not become so long (RLIMIT_FSIZE): the kernel's own comes with a signal
/// (SIGXFSZ) that ends the process.
pub fn check_length(length: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call fills in what it is given.
    if unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if length > limit.rlim_cur {
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    Ok(())
}

/// Gives the disk space of a range back; it then reads as zeros. The file keeps its length.
pub fn punch(file: &File, offset: u64, length: u64) -> io::Result<()> {
    fallocate(file, libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE, offset, length)
}

fn fallocate(file: &File, mode: libc::c_int, offset: u64, length: u64) -> io::Result<()> {
    if length == 0 {
        return Ok(());
    }
    loop {
        // SAFETY: a system call on an open descriptor with plain numbers.
        let status = unsafe {
            libc::fallocate(file.as_raw_fd(), mode, offset as libc::off_t, length as libc::off_t)
        };
        if status == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EOPNOTSUPP | libc::ENOSYS) => {
                return Err(MissingCall::error("fallocate(2)", WHO_HAS_FALLOCATE, error));
            }
            _ => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn allocated_space_comes_back_when_punched() {
        let file = tempfile::tempfile().unwrap();
        allocate(&file, 0, 1 << 20).unwrap();
        assert!(file.metadata().unwrap().blocks() * 512 >= 1 << 20);
        punch(&file, 0, 1 << 20).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 1 << 20);
        assert!(file.metadata().unwrap().blocks() * 512 < 1 << 18);
    }

    #[test]
    fn network_file_systems_are_refused_and_local_ones_not() {
        let here = FileSystem::of(&tempfile::tempfile().unwrap()).unwrap();
        assert_eq!(here.refused(), None);
        assert_eq!(FileSystem { kind: 0x6969, ..here }.refused(), Some("NFS"));
        assert!(here.bytes >= here.free);
    }
}
