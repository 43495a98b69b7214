//! quick_cache: in memory, S3-FIFO, bounded by a weight
//! (<https://docs.rs/quick_cache/latest/quick_cache/sync/struct.Cache.html#method.with_weighter>).

use std::sync::Arc;

use anyhow::Result;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::data::Key;
use crate::peer::{About, Peer, Setup};

pub const ABOUT: About = About {
    persists: false,
    bounded: true,
    views: true,
    ..About::new("quick_cache", "sync::Cache of Arc<[u8]>, weighed by bytes", open)
};

struct Quick(Cache<Key, Arc<[u8]>, Bytes>);

#[derive(Clone)]
struct Bytes;

impl Weighter<Key, Arc<[u8]>> for Bytes {
    fn weight(&self, key: &Key, value: &Arc<[u8]>) -> u64 {
        (key.len() + value.len()) as u64
    }
}

fn open(setup: &Setup) -> Result<Box<dyn Peer>> {
    // Weighed without what the cache itself takes: so as many entries fit as are to fit.
    let capacity = if setup.max_bytes.is_some() { setup.payload() } else { setup.ample() };
    let entries = capacity / (size_of::<Key>() + setup.size) as u64;
    let entries = entries.min(setup.entries) as usize;
    Ok(Box::new(Quick(Cache::with_weighter(entries, capacity, Bytes))))
}

impl Peer for Quick {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        self.0.insert(*key, value.into());
        Ok(())
    }

    fn get_into(&self, key: &Key, value: &mut Vec<u8>) -> Result<bool> {
        value.clear();
        self.view(key, &mut |bytes| value.extend_from_slice(bytes))
    }

    fn view(&self, key: &Key, read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.0.get(key).map(|bytes| read(&bytes)).is_some())
    }

    fn remove(&self, key: &Key) -> Result<()> {
        self.0.remove(key);
        Ok(())
    }
}
