//! moka: in memory, bounded by bytes. Values behind an `Arc`, for `get` clones them
//! (<https://docs.rs/moka/latest/moka/sync/struct.Cache.html>, "Avoiding to clone the value at `get`").

use std::sync::Arc;

use anyhow::Result;
use moka::sync::Cache;

use crate::data::Key;
use crate::peer::{About, Peer, Setup};

pub const ABOUT: About = About {
    persists: false,
    bounded: true,
    views: true,
    ..About::new("moka", "sync::Cache of Arc<[u8]>, weighed by bytes", open)
};

struct Moka(Cache<Key, Arc<[u8]>>);

fn open(setup: &Setup) -> Result<Box<dyn Peer>> {
    let weigh = |key: &Key, value: &Arc<[u8]>| (key.len() + value.len()) as u32;
    // Weighed without what the cache itself takes: so as many entries fit as are to fit.
    let capacity = if setup.max_bytes.is_some() { setup.payload() } else { setup.ample() };
    Ok(Box::new(Moka(Cache::builder().weigher(weigh).max_capacity(capacity).build())))
}

impl Peer for Moka {
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
        self.0.invalidate(key);
        Ok(())
    }

    fn settle(&self) -> Result<()> {
        self.0.run_pending_tasks();
        Ok(())
    }
}
