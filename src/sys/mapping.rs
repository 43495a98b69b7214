//! A mapped file: words as atomics, bytes copied as [`bytes`] says.
//!
//! Other processes change these bytes at any time, so nothing here makes a `&[u8]` of them but
//! [`Mapping::pinned`]. The mapping may be longer than its file: every access is checked against
//! `backed`, the length of the file as last seen, so that no access faults beyond its end. (Files
//! of a store never shrink.)
//!
//! The file may become longer than its first mapping. What is behind that is found by way of [`Maps`], which costs some
//! more instructions; `backed` never says more than the first mapping has, so that everybody else pays nothing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use super::bytes;
use super::door::{Access, SharedFile};
use super::maps::Maps;
use super::space::FileSystem;

/// A file in memory, for one handle.
#[derive(Debug)]
pub struct Mapping {
    /// Where the first mapping begins.
    base: *mut u8,
    /// Bytes of the file, as last seen, that are in the first mapping.
    backed: AtomicU64,
    /// Bytes of the file, as last seen, that may be mapped.
    seen: AtomicU64,
    /// Why the file's length could not be seen when it was last asked for; less than 0: why a part of it
    /// could not be mapped; 0: neither.
    unseen: AtomicI32,
    writable: bool,
    pub(super) maps: Arc<Maps>,
}

// SAFETY: `base` points into a mapping that lives as long as `maps`, whatever thread that is in; what is there is
// accessed as the head of this file says.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `length` bytes of `file`, which may have fewer, and never more.
    pub fn new(file: SharedFile, length: u64, access: Access) -> io::Result<Self> {
        Self::growing(file, length, length, access)
    }

    /// Maps `room` bytes of `file`, which may have fewer (only those that it has, where addresses are scarce), and
    /// what it grows to later, up to `limit` bytes.
    pub fn growing(file: SharedFile, room: u64, limit: u64, access: Access) -> io::Result<Self> {
        let mapping = Self::of(Arc::new(Maps::new(file, room, limit, access)?));
        mapping.note_length(mapping.file().length()?);
        Ok(mapping)
    }

    /// The same mappings for another handle.
    pub fn share(&self) -> Self {
        let shared = Self::of(Arc::clone(&self.maps));
        shared.note_length(self.length());
        shared
    }

    fn of(maps: Arc<Maps>) -> Self {
        Self {
            base: maps.first().as_mut_ptr(),
            backed: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            unseen: AtomicI32::new(0),
            writable: maps.access() != Access::ReadOnly,
            maps,
        }
    }

    /// The file under the mapping.
    pub fn file(&self) -> &SharedFile {
        self.maps.file()
    }

    /// Allocates a range of the file. Bytes that are there stay.
    pub fn allocate(&self, offset: u64, length: u64) -> io::Result<()> {
        self.file().allocate(offset, length)
    }

    /// As [`Mapping::allocate`], for a range that makes the file longer. It is mapped then.
    pub fn extend(&self, offset: u64, length: u64) -> io::Result<()> {
        self.file().extend(offset, length)?;
        let end = offset + length;
        self.note_length(end);
        self.maps.up_to(end, self.length()).map(|_| ())
    }

    /// Gives the disk space of a range back; it then reads as zeros. The file keeps its length.
    pub fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        self.file().punch(offset, length)
    }

    /// Makes the file's data durable, and what is needed to find it.
    pub fn sync(&self) -> io::Result<()> {
        self.file().sync(false)
    }

    /// The file system that holds the file.
    pub fn file_system(&self) -> io::Result<FileSystem> {
        self.file().file_system()
    }

    /// Bytes of the file, as last seen, that may be mapped.
    #[inline]
    pub fn length(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// Whether `length` bytes at `offset` are in the mapping and in the file.
    #[inline]
    pub fn holds(&self, offset: u64, length: u64) -> bool {
        self.at(offset, length).is_some()
    }

    /// Where `length` bytes from `offset` on are mapped, if they are in the file.
    #[inline]
    fn at(&self, offset: u64, length: u64) -> Option<*mut u8> {
        let end = offset.checked_add(length)?;
        // So that the usual way is not asked once more whether it led anywhere.
        let is_backed = end <= self.backed.load(Ordering::Relaxed);
        let base = if is_backed { self.base } else { self.base_of(end)? };
        // SAFETY: inside a mapping: the first one has all that is backed, another one all up to `end`.
        Some(unsafe { base.add(offset as usize) })
    }

    /// Where a mapping begins that has all bytes up to `end`: of what is behind the end of the file as last seen, or of
    /// the first mapping.
    #[cold]
    fn base_of(&self, end: u64) -> Option<*mut u8> {
        if end > self.length() && end > self.refresh() {
            return None;
        }
        match self.maps.up_to(end, self.length()) {
            Ok(map) => Some(map.as_mut_ptr()),
            Err(error) => {
                self.unseen.store(-error.raw_os_error().unwrap_or(libc::ENOMEM), Ordering::Relaxed);
                None
            }
        }
    }

    /// Notes that the file was just made at least so long: saves asking.
    pub fn note_length(&self, length: u64) {
        let seen = length.min(self.maps.limit());
        self.seen.fetch_max(seen, Ordering::Relaxed);
        self.backed.fetch_max(seen.min(self.maps.first().len() as u64), Ordering::Relaxed);
    }

    /// Asks how long the file is by now: bytes of it that may be mapped.
    pub fn refresh(&self) -> u64 {
        match self.file().length() {
            Ok(length) => {
                self.note_length(length);
                let _ = self.unseen.fetch_min(0, Ordering::Relaxed);
            }
            Err(error) => {
                self.unseen.store(error.raw_os_error().unwrap_or(libc::EIO), Ordering::Relaxed);
            }
        }
        self.length()
    }

    /// Whether all of the file could be seen of late.
    #[inline]
    pub fn is_seen_whole(&self) -> bool {
        self.unseen.load(Ordering::Relaxed) == 0
    }

    /// An error if a part of the file could not be seen of late, once at least: that reads as if it were not there, and nothing
    /// must be changed on the strength of that.
    #[cold]
    pub fn seen_whole(&self) -> io::Result<()> {
        match self.unseen.load(Ordering::Relaxed) {
            0 => Ok(()),
            code => {
                let _ = self.unseen.compare_exchange(code, 0, Ordering::Relaxed, Ordering::Relaxed);
                self.refresh();
                Err(io::Error::from_raw_os_error(code.abs()))
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
        let at = self.words_at(offset, 1)?;
        // SAFETY: `words_at` says that the 8 bytes are inside a mapping, which lives as long as
        // `self`; they are aligned, since the mapping begins at a page; all access to them from
        // this process is atomic.
        Some(unsafe { &*at.cast::<AtomicU64>() })
    }

    /// The words from `offset` on, a multiple of 8, if all of them are in the file.
    #[inline]
    pub(super) fn words(&self, offset: u64, count: usize) -> Option<&[AtomicU64]> {
        let at = self.words_at(offset, count as u64)?;
        // SAFETY: as in `word`, for all of them.
        Some(unsafe { std::slice::from_raw_parts(at.cast(), count) })
    }

    /// Where `count` words, at least one and few, are mapped from `offset` on, a multiple of 8, if they are in the file.
    #[inline]
    fn words_at(&self, offset: u64, count: u64) -> Option<*mut u8> {
        // What is no multiple of 8 becomes the number of a word far beyond.
        let number = offset.rotate_right(3);
        let there = self.backed.load(Ordering::Relaxed) / 8;
        let is_backed = number < there.saturating_sub(count - 1);
        let base = if is_backed { self.base } else { self.base_of_words(offset, count)? };
        // SAFETY: as in `at`.
        Some(unsafe { base.add(offset as usize) })
    }

    #[cold]
    fn base_of_words(&self, offset: u64, count: u64) -> Option<*mut u8> {
        let end = offset.checked_add(count * 8).filter(|_| offset.is_multiple_of(8))?;
        self.base_of(end)
    }

    /// Asks the processor for the lines of `length` bytes from `offset` on, which are about to be used.
    #[inline]
    pub fn prefetch(&self, offset: u64, length: u64) {
        #[cfg(target_arch = "x86_64")]
        if offset.checked_add(length).is_some_and(|end| end <= self.backed.load(Ordering::Relaxed))
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            let mut line = 0;
            // A range by steps would take five times the instructions.
            while line < length {
                // SAFETY: the line is inside the first mapping; nothing is read, and a page that is not there
                // is not fetched.
                unsafe {
                    let at = self.base.add((offset + line) as usize);
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
        let Some(source) = self.at(offset, length as u64) else { return false };
        buffer.reserve(length);
        let start = buffer.len();
        // SAFETY: the source is inside a mapping (`at`), the target inside the capacity just
        // reserved; `copy` writes all `length` bytes before the length covers them.
        unsafe {
            bytes::copy(source, buffer.as_mut_ptr().add(start), length);
            buffer.set_len(start + length);
        }
        true
    }

    /// Whether the bytes that are `wanted` stand at `offset`.
    #[inline]
    pub fn equals(&self, offset: u64, wanted: &[u8]) -> bool {
        // SAFETY: inside a mapping, as `at` says.
        self.at(offset, wanted.len() as u64).is_some_and(|at| unsafe { bytes::equal(at, wanted) })
    }

    /// Copies `data` to `offset`; `false` if there is no such place.
    #[inline]
    pub fn write(&self, offset: u64, data: &[u8]) -> bool {
        if !self.writable {
            return false;
        }
        let Some(target) = self.at(offset, data.len() as u64) else { return false };
        // SAFETY: inside a mapping, as `at` says, which may be written; `data`, which is of this
        // process's own memory, is not.
        unsafe { bytes::copy(data.as_ptr(), target, data.len()) };
        true
    }

    /// Bytes of a committed record in a segment that the caller has pinned, as a slice.
    ///
    /// Committed bytes are never written again before their segment is reused, and a pinned one is
    /// not; so the slice is stable while the pin is held, as long as everybody who writes the file
    /// follows the protocol (the README says so).
    pub fn pinned(&self, offset: u64, length: usize) -> Option<&[u8]> {
        let at = self.at(offset, length as u64)?;
        // SAFETY: inside a mapping, as `at` says, which lives as long as `self`; not written while the pin is held
        // (above).
        Some(unsafe { std::slice::from_raw_parts(at, length) })
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
