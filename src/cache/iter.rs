//! Iteration: page by page of the index, each with the pages that were split off it since.
//!
//! The keys of a page are gathered at once; values are read as they are asked for. So an entry that
//! is there from the first call to the last is met exactly once, however the index grows and the log
//! is compacted meanwhile.

use std::collections::BTreeSet;
use std::vec;

use super::handle::FileCache;
use super::process::Process;
use crate::format::page::PageId;
use crate::format::record::HEADER_BYTES;
use crate::index::{Found, Index};
use crate::store::{Passing, Store};
use crate::sys::memory::Memory;

/// Of a record in a log larger than memory so much is read with its header: most keys, and small values.
const AHEAD: u64 = 1024;
/// A page is gathered anew this often while others change it.
const TRIES: u32 = 8;

/// The keys of a cache; see [`FileCache::keys`].
#[derive(Debug)]
pub struct Keys {
    cache: FileCache,
    pages: u64,
    next: u64,
    gathered: vec::IntoIter<Vec<u8>>,
    /// What was read of the page's entries.
    passing: Passing,
}

/// The entries of a cache; see [`FileCache::iter`].
#[derive(Debug)]
pub struct Iter {
    keys: Keys,
}

impl FileCache {
    /// All entries, as owned pairs of key and value, in no order. An entry that is there all the
    /// time is met exactly once; one that comes or goes meanwhile, at most once. Does not count as use.
    pub fn iter(&self) -> Iter {
        Iter { keys: self.keys() }
    }

    /// All keys, in no order; as [`FileCache::iter`]. Their values are not read: so a key may be among them whose
    /// value is damaged.
    pub fn keys(&self) -> Keys {
        let pages = self.process().map_or(0, |process| process.session.store.index().pages());
        let (gathered, passing) = (Vec::new().into_iter(), Passing::default());
        Keys { cache: self.clone(), pages, next: 0, gathered, passing }
    }
}

impl Keys {
    /// The next key that was gathered, though its entry may be gone by now.
    fn next_gathered(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(key) = self.gathered.next() {
                return Some(key);
            }
            if self.next >= self.pages {
                return None;
            }
            let page = PageId::new(self.next);
            self.next += 1;
            let process = self.cache.process().ok()?;
            self.passing.let_go(&process.session.store);
            self.gathered = gather(process, page, self.pages, &mut self.passing).into_iter();
        }
    }

    /// Of a log larger than memory: asks for the record of a key, and notes that it has to go again.
    fn ask_for_value(&mut self, key: &[u8]) {
        let Ok(process) = self.cache.process() else { return };
        let store = &process.session.store;
        if !store.is_beyond_memory() {
            return;
        }
        let _ = store.index().find(store.hash(key), |found| {
            let spot = store.spot(found.slot)?;
            let bytes = store.shape(spot)?.bytes();
            self.passing.ask_for(store, spot.address.bytes(), bytes);
            None::<()>
        });
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Ok(process) = self.cache.process() {
            self.passing.let_go(&process.session.store);
        }
    }
}

impl Iterator for Keys {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let key = self.next_gathered()?;
            let process = self.cache.process().ok()?;
            if process.has_entry(&key) {
                return Some(key);
            }
        }
    }
}

impl Iterator for Iter {
    type Item = (Vec<u8>, Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let key = self.keys.next_gathered()?;
            self.keys.ask_for_value(&key);
            if let Some(value) = self.keys.cache.peek(&key) {
                return Some((key, value));
            }
        }
    }
}

/// The keys of the entries that are on a page, or were when there were `pages_then` pages.
fn gather(
    process: &Process,
    origin: PageId,
    pages_then: u64,
    passing: &mut Passing,
) -> Vec<Vec<u8>> {
    let store = &process.session.store;
    let mut keys = BTreeSet::new();
    for _ in 0..TRIES {
        let pages = store.index().pages();
        let before = store.lsn();
        let mut unsettled = false;
        for page in Index::<Memory>::family(origin, pages_then, pages) {
            ask_for_all(store, page, passing);
            for found in store.index().live_on(page) {
                match key_of(store, found) {
                    Some(key) => _ = keys.insert(key),
                    // Just moved or replaced: the next look finds it where it is now.
                    None => unsettled = true,
                }
            }
        }
        if !unsettled && store.index().pages() == pages {
            break;
        }
        if unsettled && store.lsn() == before {
            // Nobody moved or replaced anything.
            process.suspect();
            break;
        }
    }
    keys.into_iter().collect()
}

/// Asks for the beginnings of all records that a page names, in the order of the log: all at once.
fn ask_for_all(store: &Store, page: PageId, passing: &mut Passing) {
    if !store.is_beyond_memory() {
        return;
    }
    let live = store.index().live_on(page);
    let mut offsets: Vec<u64> = live.map(|found| found.slot.address().bytes()).collect();
    offsets.sort_unstable();
    offsets.into_iter().for_each(|offset| passing.ask_for(store, offset, HEADER_BYTES + AHEAD));
}

/// The key of the record that a slot names, if that was there all the while it was read.
fn key_of(store: &Store, found: Found) -> Option<Vec<u8>> {
    let record = store.record(found.slot)?;
    let mut key = Vec::new();
    (record.read_key(store, &mut key) && store.is_still(record.spot)).then_some(key)
}
