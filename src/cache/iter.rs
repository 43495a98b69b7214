//! Iteration: page by page of the index, each with the pages that were split off it since.
//!
//! The keys of a page are gathered at once; values are read as they are asked for. So an entry that
//! is there from the first call to the last is met exactly once, however the index grows and the log
//! is compacted meanwhile.

use std::collections::BTreeSet;
use std::vec;

use super::{FileCache, Process};
use crate::format::page::PageId;
use crate::index::Index;
use crate::segments::read;
use crate::sys::memory::Memory;

/// A page is gathered anew this often while others change it.
const TRIES: u32 = 8;

/// The keys of a cache; see [`FileCache::keys`].
#[derive(Debug)]
pub struct Keys {
    cache: FileCache,
    pages: u64,
    next: u64,
    gathered: vec::IntoIter<Vec<u8>>,
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

    /// All keys, in no order; as [`FileCache::iter`].
    pub fn keys(&self) -> Keys {
        let pages = self.process().map_or(0, |process| process.ground.index().pages());
        Keys { cache: self.clone(), pages, next: 0, gathered: Vec::new().into_iter() }
    }
}

impl Iterator for Keys {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(key) = self.gathered.next() {
                if self.cache.contains_key(&key) {
                    return Some(key);
                }
                continue;
            }
            if self.next >= self.pages {
                return None;
            }
            let page = PageId::new(self.next);
            self.next += 1;
            let process = self.cache.process().ok()?;
            self.gathered = gather(process, page, self.pages).into_iter();
        }
    }
}

impl Iterator for Iter {
    type Item = (Vec<u8>, Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let key = self.keys.next()?;
            if let Some(value) = self.keys.cache.peek(&key) {
                return Some((key, value));
            }
        }
    }
}

/// The keys of the entries that are on a page, or were when there were `pages_then` pages.
fn gather(process: &Process, origin: PageId, pages_then: u64) -> Vec<Vec<u8>> {
    let ground = &process.ground;
    let mut keys = BTreeSet::new();
    for _ in 0..TRIES {
        let pages = ground.index().pages();
        let mut unsettled = false;
        for page in Index::<Memory>::family(origin, pages_then, pages) {
            for found in ground.index().live_on(page) {
                let record =
                    read::spot(&ground.memory, &ground.geometry, found.slot).and_then(|spot| {
                        Some((spot, read::record(&ground.memory, &ground.geometry, spot)?))
                    });
                let mut key = Vec::new();
                let read = record.is_some_and(|(spot, record)| {
                    record.read_key(&ground.memory.log, &mut key)
                        && read::is_still(&ground.memory, &ground.geometry, spot)
                });
                if read {
                    keys.insert(key);
                } else {
                    // Just moved or replaced: the next look finds it where it is now.
                    unsettled = true;
                }
            }
        }
        if !unsettled && ground.index().pages() == pages {
            break;
        }
    }
    keys.into_iter().collect()
}
