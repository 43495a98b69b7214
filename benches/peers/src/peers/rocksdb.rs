//! RocksDB, as its guide begins (<https://github.com/facebook/rocksdb/wiki/Setup-Options-and-Basic-Tuning>),
//! for point lookups (`optimize_for_point_lookup`: Bloom filters and a hash index), without sync.

use anyhow::Result;
use rocksdb::{DB, Options, WriteBatch};

use crate::data::Key;
use crate::peer::{About, Peer, Setup};

pub const ABOUT: About = About {
    views: true,
    ..About::new(
        "rocksdb",
        "optimize_for_point_lookup, cache as large as the data or a quarter of --memory",
        open,
    )
};

struct Rocks(DB);

/// Bytes of a write buffer, by default.
const WRITE_BUFFER: u64 = 64 << 20;

fn open(setup: &Setup) -> Result<Box<dyn Peer>> {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_max_background_jobs(2);
    options.optimize_for_point_lookup((setup.cache(setup.payload()) >> 20).max(64));
    if let Some(memory) = setup.memory {
        // Two of them are held at a time.
        options.set_write_buffer_size(WRITE_BUFFER.min(memory / 16) as usize);
    }
    Ok(Box::new(Rocks(DB::open(&options, &setup.directory)?)))
}

impl Peer for Rocks {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        Ok(self.0.put(key, value)?)
    }

    fn get_into(&self, key: &Key, value: &mut Vec<u8>) -> Result<bool> {
        value.clear();
        self.view(key, &mut |bytes| value.extend_from_slice(bytes))
    }

    fn view(&self, key: &Key, read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.0.get_pinned(key)?.map(|bytes| read(&bytes)).is_some())
    }

    fn remove(&self, key: &Key) -> Result<()> {
        Ok(self.0.delete(key)?)
    }

    fn exchange(&self, new: &Key, value: &[u8], old: &Key) -> Result<()> {
        let mut batch = WriteBatch::default();
        batch.delete(old);
        batch.put(new, value);
        Ok(self.0.write(batch)?)
    }
}
