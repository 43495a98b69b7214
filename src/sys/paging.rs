//! The pages of a mapping: asked for before they are touched, looked for, let go, faulted in to be written.

use std::io;

use memmap2::MmapRaw;

use super::door::Access;
use super::mapping::Mapping;
use super::residency::Residency;
use crate::format::page::PAGE_BYTES;

impl Mapping {
    /// What is known of the pages that are in memory, where the file is larger than that.
    #[inline]
    pub fn residency(&self) -> &Residency {
        &self.maps.residency
    }

    /// Asks the device for what of a range is not in memory, in one go and for nothing else. It comes while the
    /// caller goes on. (An error is met again where the range is read.)
    #[cold]
    pub fn bring(&self, offset: u64, length: u64) {
        let Some((mut first, mut last)) = self.pages_of(offset, length) else { return };
        while first <= last && self.residency().is_known(first) {
            first += 1;
        }
        while first < last && self.residency().is_known(last) {
            last -= 1;
        }
        if first > last {
            return;
        }
        self.residency().note(first..=last);
        self.bring_absent(first * PAGE_BYTES, (last + 1 - first) * PAGE_BYTES);
    }

    /// The same, whatever is known of the pages; the offset and the bytes that were not in memory.
    pub fn bring_absent(&self, offset: u64, length: u64) -> Option<(u64, u64)> {
        let (offset, length) = self.absent(offset, length)?;
        if self.file().read_ahead(offset, length).is_ok() {
            self.residency().note_read(length);
        }
        Some((offset, length))
    }

    /// Whether all of a range is in memory. What cannot be found out is not.
    pub fn is_resident(&self, offset: u64, length: u64) -> bool {
        self.holds(offset, length) && self.absent(offset, length).is_none()
    }

    /// From the first to the last page of a range that is not in memory: offset and bytes. `None` if all are.
    pub fn absent(&self, offset: u64, length: u64) -> Option<(u64, u64)> {
        let (first, last) = self.pages_of(offset, length)?;
        let (offset, count) = ((first * PAGE_BYTES) as usize, (last + 1 - first) as usize);
        let end = (last + 1) * PAGE_BYTES;
        let found = self.map_of(end).and_then(|map| self.file().resident(map, offset, count));
        let (from, to) = match found {
            Ok(found) => {
                (found.iter().position(|there| !there)?, found.iter().rposition(|there| !there)?)
            }
            // What cannot be found out is not there.
            Err(_) => (0, count - 1),
        };
        Some(((first + from as u64) * PAGE_BYTES, (to + 1 - from) as u64 * PAGE_BYTES))
    }

    /// Lets the pages of a range go that no other mapping has.
    pub fn let_go(&self, offset: u64, length: u64) {
        if self.maps.access() != Access::Private
            && let Some((first, last)) = self.pages_of(offset, length)
            && let Ok(map) = self.map_of((last + 1) * PAGE_BYTES)
        {
            let (offset, length) = (first * PAGE_BYTES, (last + 1 - first) * PAGE_BYTES);
            // An error leaves them where they are.
            let _ = self.file().let_go(map, offset as usize, length as usize);
        }
    }

    /// First and last page of a range that is in the file.
    fn pages_of(&self, offset: u64, length: u64) -> Option<(u64, u64)> {
        let end = offset.checked_add(length)?.min(self.length());
        (offset < end).then(|| (offset / PAGE_BYTES, (end - 1) / PAGE_BYTES))
    }

    /// Faults the pages of a range in, to write; an error instead of a SIGBUS where the disk is full.
    pub fn populate(&self, offset: u64, length: u64) -> io::Result<()> {
        if !self.holds(offset, length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let map = self.map_of(offset + length)?;
        self.file().populate(map, offset as usize, length as usize)
    }

    /// A mapping that has all pages up to `end`.
    fn map_of(&self, end: u64) -> io::Result<&MmapRaw> {
        self.maps.up_to(end, self.length())
    }
}
