//! A mapped file: words as atomics, bytes copied as [`bytes`] says.
//!
//! Other processes change these bytes at any time, so nothing here makes a `&[u8]` of them but
//! [`Mapping::pinned`]. The mapping may be longer than its file: every access is checked against
//! `backed`, the length of the file as last seen, so that no access faults beyond its end. (Files
//! of a store never shrink.)

use std::io;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use memmap2::MmapRaw;

use super::bytes;
use super::door::{Access, SharedFile};
use super::residency::Residency;
use super::space::FileSystem;

/// A file in memory.
#[derive(Debug)]
pub struct Mapping {
    pub(super) raw: MmapRaw,
    pub(super) file: SharedFile,
    backed: AtomicU64,
    /// Why the file's length could not be seen when it was last asked for; 0: it was.
    unseen: AtomicI32,
    writable: bool,
    /// Whether what is in memory is the file's alone, so that it can be let go.
    pub(super) shared: bool,
    pub(super) residency: Residency,
}

impl Mapping {
    /// Maps `length` bytes of `file`, which may have fewer.
    pub fn new(file: SharedFile, length: u64, access: Access) -> io::Result<Self> {
        let bytes = usize::try_from(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let raw = file.map(bytes, access)?;
        if raw.len() < bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let backed = AtomicU64::new(file.length()?.min(length));
        let unseen = AtomicI32::new(0);
        let (writable, shared) = (access != Access::ReadOnly, access != Access::Private);
        let residency = Residency::default();
        Ok(Self { raw, file, backed, unseen, writable, shared, residency })
    }

    /// The file under the mapping.
    pub fn file(&self) -> &SharedFile {
        &self.file
    }

    /// Allocates a range of the file. Bytes that are there stay.
    pub fn allocate(&self, offset: u64, length: u64) -> io::Result<()> {
        self.file.allocate(offset, length)
    }

    /// As [`Mapping::allocate`], for a range that makes the file longer.
    pub fn extend(&self, offset: u64, length: u64) -> io::Result<()> {
        self.file.extend(offset, length)?;
        self.note_length(offset + length);
        Ok(())
    }

    /// Gives the disk space of a range back; it then reads as zeros. The file keeps its length.
    pub fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        self.file.punch(offset, length)
    }

    /// Makes the file's data durable, and what is needed to find it.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync(false)
    }

    /// The file system that holds the file.
    pub fn file_system(&self) -> io::Result<FileSystem> {
        self.file.file_system()
    }

    /// Bytes of the file, as last seen, that are in the mapping.
    #[inline]
    pub fn length(&self) -> u64 {
        self.backed.load(Ordering::Relaxed)
    }

    /// Whether `length` bytes at `offset` are in the mapping and in the file.
    #[inline]
    pub fn holds(&self, offset: u64, length: u64) -> bool {
        let is_in = |end| end <= self.backed.load(Ordering::Relaxed) || self.grew_to(end);
        offset.checked_add(length).is_some_and(is_in)
    }

    #[cold]
    fn grew_to(&self, end: u64) -> bool {
        end <= self.refresh()
    }

    /// Notes that the file was just made at least so long: saves asking.
    pub fn note_length(&self, length: u64) {
        self.backed.fetch_max(length.min(self.raw.len() as u64), Ordering::Relaxed);
    }

    /// Asks how long the file is by now: bytes of it that are in the mapping.
    pub fn refresh(&self) -> u64 {
        let length = match self.file.length() {
            Ok(length) => length,
            Err(error) => {
                self.unseen.store(error.raw_os_error().unwrap_or(libc::EIO), Ordering::Relaxed);
                return self.length();
            }
        };
        let backed = length.min(self.raw.len() as u64);
        self.backed.fetch_max(backed, Ordering::Relaxed);
        self.unseen.store(0, Ordering::Relaxed);
        backed
    }

    /// Whether the length could be seen of late.
    #[inline]
    pub fn is_seen_whole(&self) -> bool {
        self.unseen.load(Ordering::Relaxed) == 0
    }

    /// An error if the length could not be seen of late: what is behind the end as last seen reads as if
    /// it were not there, and nothing must be changed on the strength of that.
    #[cold]
    pub fn seen_whole(&self) -> io::Result<()> {
        match self.unseen.load(Ordering::Relaxed) {
            0 => Ok(()),
            code => {
                self.refresh();
                Err(io::Error::from_raw_os_error(code))
            }
        }
    }

    /// As [`Mapping::word`], if it may be written.
    #[inline]
    pub(super) fn word_to_change(&self, offset: u64) -> Option<&AtomicU64> {
        if self.writable { self.word(offset) } else { None }
    }

    /// As [`Mapping::words`], if they may be written.
    #[inline]
    pub(super) fn words_to_change(&self, offset: u64, count: usize) -> Option<&[AtomicU64]> {
        if self.writable { self.words(offset, count) } else { None }
    }

    /// The word at `offset`, a multiple of 8, if it is in the file.
    #[inline]
    pub(super) fn word(&self, offset: u64) -> Option<&AtomicU64> {
        if !self.has_words(offset, 1) {
            return None;
        }
        // SAFETY: `has_words` says that the 8 bytes are inside the mapping, which lives as long as
        // `self`; they are aligned, since the mapping begins at a page; all access to them from
        // this process is atomic.
        Some(unsafe { &*self.raw.as_mut_ptr().add(offset as usize).cast::<AtomicU64>() })
    }

    /// The words from `offset` on, a multiple of 8, if all of them are in the file.
    #[inline]
    pub(super) fn words(&self, offset: u64, count: usize) -> Option<&[AtomicU64]> {
        if !self.has_words(offset, count as u64) {
            return None;
        }
        // SAFETY: as in `word`, for all of them.
        Some(unsafe {
            std::slice::from_raw_parts(self.raw.as_ptr().add(offset as usize).cast(), count)
        })
    }

    /// Whether `count` words, at least one and few, are in the file from `offset` on, a multiple of 8.
    #[inline]
    fn has_words(&self, offset: u64, count: u64) -> bool {
        // What is no multiple of 8 becomes the number of a word far beyond.
        let number = offset.rotate_right(3);
        let there = self.backed.load(Ordering::Relaxed) / 8;
        number < there.saturating_sub(count - 1) || self.grew_to_words(offset, count)
    }

    #[cold]
    fn grew_to_words(&self, offset: u64, count: u64) -> bool {
        offset.is_multiple_of(8) && self.holds(offset, count * 8)
    }

    /// Asks the processor for the lines of `length` bytes from `offset` on, which are about to be used.
    #[inline]
    pub fn prefetch(&self, offset: u64, length: u64) {
        #[cfg(target_arch = "x86_64")]
        if offset.checked_add(length).is_some_and(|end| end <= self.length()) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let mut line = 0;
            // A range by steps would take five times the instructions.
            while line < length {
                // SAFETY: the line is inside the mapping; nothing is read, and a page that is not there
                // is not fetched.
                unsafe {
                    let at = self.raw.as_ptr().add((offset + line) as usize);
                    _mm_prefetch::<_MM_HINT_T0>(at.cast());
                }
                line += 64;
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (offset, length);
    }

    /// Appends `length` bytes from `offset` to `buffer`; nothing and `false` if they are not there.
    #[inline]
    pub fn read_into(&self, offset: u64, length: usize, buffer: &mut Vec<u8>) -> bool {
        if !self.holds(offset, length as u64) {
            return false;
        }
        buffer.reserve(length);
        let start = buffer.len();
        // SAFETY: the source is inside the mapping (`holds`), the target inside the capacity just
        // reserved; `copy` writes all `length` bytes before the length covers them.
        unsafe {
            let source = self.raw.as_ptr().add(offset as usize);
            bytes::copy(source, buffer.as_mut_ptr().add(start), length);
            buffer.set_len(start + length);
        }
        true
    }

    /// Whether the bytes that are `wanted` stand at `offset`.
    #[inline]
    pub fn equals(&self, offset: u64, wanted: &[u8]) -> bool {
        if !self.holds(offset, wanted.len() as u64) {
            return false;
        }
        // SAFETY: inside the mapping, as `holds` says.
        unsafe { bytes::equal(self.raw.as_ptr().add(offset as usize), wanted) }
    }

    /// Copies `data` to `offset`; `false` if there is no such place.
    #[inline]
    pub fn write(&self, offset: u64, data: &[u8]) -> bool {
        if !self.writable || !self.holds(offset, data.len() as u64) {
            return false;
        }
        // SAFETY: inside the mapping, as `holds` says, which may be written; `data`, which is of this
        // process's own memory, is not.
        unsafe {
            bytes::copy(data.as_ptr(), self.raw.as_mut_ptr().add(offset as usize), data.len());
        }
        true
    }

    /// Bytes of a committed record in a segment that the caller has pinned, as a slice.
    ///
    /// Committed bytes are never written again before their segment is reused, and a pinned one is
    /// not; so the slice is stable while the pin is held, as long as everybody who writes the file
    /// follows the protocol (the README says so).
    pub fn pinned(&self, offset: u64, length: usize) -> Option<&[u8]> {
        if !self.holds(offset, length as u64) {
            return None;
        }
        // SAFETY: inside the mapping, as `holds` says; not written while the pin is held (above).
        Some(unsafe { std::slice::from_raw_parts(self.raw.as_ptr().add(offset as usize), length) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::door::Files;
    use crate::sys::files::KernelFiles;
    use crate::sys::rights::Rights;

    fn mapping(length: u64, mapped: u64, access: Access) -> Mapping {
        // Its name goes at once.
        let named = tempfile::NamedTempFile::new().unwrap();
        let file = KernelFiles.open_or_create(named.path(), &Rights::default()).unwrap();
        file.set_length(length).unwrap();
        Mapping::new(file, mapped, access).unwrap()
    }

    #[test]
    fn bytes_come_back_at_every_alignment_and_length() {
        let mapping = mapping(4096, 4096, Access::Shared);
        let bytes: Vec<u8> = (0..200).map(|i| (i * 7 + 1) as u8).collect();
        for offset in 0..20 {
            for length in 0..40 {
                assert!(mapping.write(offset, &bytes[..length]));
                let mut back = vec![9];
                assert!(mapping.read_into(offset, length, &mut back));
                assert_eq!(&back[1..], &bytes[..length]);
                assert!(mapping.equals(offset, &bytes[..length]));
                assert_eq!(mapping.pinned(offset, length), Some(&bytes[..length]));
                if length > 0 {
                    let mut other = bytes[..length].to_vec();
                    other[length / 2] ^= 1;
                    assert!(!mapping.equals(offset, &other));
                }
            }
        }
    }

    #[test]
    fn nothing_beyond_the_end_of_the_file_is_touched_until_it_grows() {
        let mapping = mapping(4096, 1 << 30, Access::Shared);
        assert!(!mapping.write(4090, b"12345678"));
        assert!(!mapping.read_into(u64::MAX, 8, &mut Vec::new()));
        assert!(!mapping.equals(4095, b"ab"));
        assert!(mapping.word(4096).is_none());
        assert!(mapping.word(4).is_none());
        mapping.file().set_length(8192).unwrap();
        assert!(mapping.write(4090, b"12345678"));
        assert!(mapping.equals(4090, b"12345678"));
    }

    #[test]
    fn a_read_only_mapping_ignores_writes() {
        let mapping = mapping(4096, 4096, Access::ReadOnly);
        assert!(!mapping.write(0, b"x"));
        assert!(mapping.equals(0, &[0]));
    }

    #[test]
    fn a_private_mapping_keeps_its_writes_from_the_file() {
        let private = mapping(4096, 4096, Access::Private);
        assert!(private.write(0, b"12345678"));
        let file = private.file().clone();
        let shared = Mapping::new(file, 4096, Access::Shared).unwrap();
        assert!(shared.equals(0, &[0; 8]));
        assert!(private.equals(0, b"12345678"));
    }
}
