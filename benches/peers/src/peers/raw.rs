//! The lower bound of what a store could cost: a mapped file whose pages are in memory, and a table of
//! hashes and offsets in private memory. It checks no bytes, compares no keys, and forgets all that it has not been asked to
//! save. Bounded, it is a ring: the oldest is written over.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use anyhow::{Result, bail, ensure};
use memmap2::{Advice, MmapOptions, MmapRaw};
use xxhash_rust::xxh3::xxh3_64;

use crate::data::Key;
use crate::peer::{About, Peer, Processes, Setup};

pub const ABOUT: About = About {
    package: None,
    bounded: true,
    processes: Processes::Readers,
    threads: false,
    views: true,
    lower_bound: true,
    beyond_memory: false,
    ..About::new("raw", "a mapped, pre-faulted file and a table of offsets", open)
};

/// Raw with one CRC-32 pass over what it reads: the lower bound of a checked read.
pub const CHECKED: About = About {
    name: "raw+crc",
    settings: "the same, and one CRC-32 pass over each value read",
    open: open_checked,
    ..ABOUT
};

struct Raw {
    directory: PathBuf,
    map: MmapRaw,
    tail: AtomicUsize,
    /// Hash and place. An empty one ends a search; one without a place was removed.
    table: Box<[(AtomicU64, AtomicU64)]>,
    /// Whether entries are written over, those that share a place in the table among them.
    ring: bool,
    checked: bool,
    saved_tail: usize,
}

const ALIGN: usize = 16;
/// A place: an offset in units of [`ALIGN`], and a length.
const LENGTH_BITS: u32 = 28;

fn open(setup: &Setup) -> Result<Box<dyn Peer>> {
    Raw::open(setup, false)
}

fn open_checked(setup: &Setup) -> Result<Box<dyn Peer>> {
    Raw::open(setup, true)
}

impl Raw {
    fn open(setup: &Setup, checked: bool) -> Result<Box<dyn Peer>> {
        ensure!(setup.size < 1 << LENGTH_BITS, "too large for a length");
        let step = setup.size.next_multiple_of(ALIGN) as u64;
        let ring = setup.max_bytes.is_some();
        let bytes = setup.entries * step;
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(setup.directory.join("log"))?;
        file.set_len(bytes)?;
        let map = MmapOptions::new().map_raw(&file)?;
        map.advise(Advice::PopulateWrite)?;
        let places = (setup.entries * 2).next_power_of_two();
        let table = (0..places).map(|_| (AtomicU64::new(0), AtomicU64::new(0))).collect();
        let directory = setup.directory.clone();
        let tail = AtomicUsize::new(0);
        let mut raw = Self { directory, map, tail, table, ring, checked, saved_tail: 0 };
        raw.read_table()?;
        Ok(Box::new(raw))
    }

    fn read_table(&mut self) -> Result<()> {
        let Ok(saved) = std::fs::read(self.directory.join("table")) else { return Ok(()) };
        let mut words = saved.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
        self.saved_tail = words.next().unwrap_or(0) as usize;
        self.tail = self.saved_tail.into();
        for (hash, place) in &mut self.table {
            *hash.get_mut() = words.next().unwrap_or(0);
            *place.get_mut() = words.next().unwrap_or(0);
        }
        Ok(())
    }

    fn save_table(&self) -> Result<()> {
        let words = self.table.iter().flat_map(|(hash, place)| [hash, place]);
        let tail = self.tail.load(Relaxed) as u64;
        let words = std::iter::once(tail).chain(words.map(|word| word.load(Relaxed)));
        let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        Ok(std::fs::write(self.directory.join("table"), bytes)?)
    }

    /// The place in the table of a hash, and whether it is there.
    #[inline]
    fn find(&self, hash: u64) -> (usize, bool) {
        let mask = self.table.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            match self.table[at].0.load(Relaxed) {
                found if found == hash => return (at, self.table[at].1.load(Relaxed) != 0),
                0 => return (at, false),
                _ if self.ring => return (at, false),
                _ => at = (at + 1) & mask,
            }
        }
    }

    #[inline]
    fn value(&self, key: &Key) -> Option<&[u8]> {
        let (at, found) = self.find(hash(key));
        if !found {
            return None;
        }
        let place = self.table[at].1.load(Relaxed);
        let length = (place & ((1 << LENGTH_BITS) - 1)) as usize;
        let offset = (place >> LENGTH_BITS) as usize * ALIGN;
        // SAFETY: `put` has written these bytes within the map; nobody writes while others read, for
        // `About::threads` forbids it.
        Some(unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(offset), length) })
    }

    #[inline]
    fn check(&self, bytes: &[u8]) {
        if self.checked {
            std::hint::black_box(crc32fast::hash(bytes));
        }
    }
}

/// 0 means that a place is empty.
#[inline]
fn hash(key: &Key) -> u64 {
    xxh3_64(key) | 1 << 63
}

impl Peer for Raw {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        let hash = hash(key);
        let (at, found) = self.find(hash);
        let entry = &self.table[at];
        let tail = self.tail.load(Relaxed);
        let offset = match entry.1.load(Relaxed) {
            // All values are of one size: a newer one takes the place of the older.
            place if found && !self.ring => (place >> LENGTH_BITS) as usize * ALIGN,
            _ if tail + value.len() <= self.map.len() => tail,
            _ if self.ring => 0,
            _ => bail!("more entries than it was opened for"),
        };
        // SAFETY: the bytes are within the map; one thread uses it, for `About::threads` forbids others.
        unsafe {
            let target = self.map.as_mut_ptr().add(offset);
            std::ptr::copy_nonoverlapping(value.as_ptr(), target, value.len());
        }
        entry.0.store(hash, Relaxed);
        entry.1.store(((offset / ALIGN) as u64) << LENGTH_BITS | value.len() as u64, Relaxed);
        if offset == tail || self.ring {
            self.tail.store((offset + value.len()).next_multiple_of(ALIGN), Relaxed);
        }
        Ok(())
    }

    fn get_into(&self, key: &Key, value: &mut Vec<u8>) -> Result<bool> {
        value.clear();
        let found = self.value(key);
        if let Some(bytes) = found {
            value.extend_from_slice(bytes);
            self.check(value);
        }
        Ok(found.is_some())
    }

    fn view(&self, key: &Key, read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let found = self.value(key);
        if let Some(bytes) = found {
            self.check(bytes);
            read(bytes);
        }
        Ok(found.is_some())
    }

    fn remove(&self, key: &Key) -> Result<()> {
        let (at, found) = self.find(hash(key));
        if found {
            self.table[at].1.store(0, Relaxed);
        }
        Ok(())
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A process that only read has nothing to save; a table that is not saved is seen when it is opened.
        if self.tail.load(Relaxed) != self.saved_tail {
            let _ = self.save_table();
        }
    }
}
