//! foyer: a memory cache over a disk cache, as in its README
//! (<https://docs.rs/foyer/latest/foyer/#easy-to-use-hybrid-cache>): the block engine on a directory, a memory
//! tier of a quarter of the disk tier. Its disk tier writes in the background and drops what it has no
//! buffer for, so its rows say what is left. Each entry takes a multiple of 4 KiB there
//! (<https://docs.rs/foyer/latest/foyer/struct.BlockEngineConfig.html>).

use std::ops::Range;

use anyhow::Result;
use foyer::{BlockEngineConfig, DeviceBuilder, FsDeviceBuilder, HybridCache, HybridCacheBuilder};
use tokio::runtime::Runtime;

use crate::data::{Key, Values, key};
use crate::peer::{About, Peer, Setup};

pub const ABOUT: About = About {
    bounded: true,
    least_disk: UNIT,
    views: true,
    ..About::new(
        "foyer",
        "block engine, a quarter of the payload or of --memory in memory as well",
        open,
    )
};

struct Foyer {
    cache: HybridCache<u128, Vec<u8>>,
    runtime: Runtime,
}

/// Bytes of a block, by default; it wants a few of them.
const BLOCK: u64 = 16 << 20;
const FEWEST_BLOCKS: u64 = 8;
/// What each entry on disk is rounded up to, and what it has besides its key and value.
const UNIT: u64 = 4096;
const HEADER: u64 = 48;

fn open(setup: &Setup) -> Result<Box<dyn Peer>> {
    let an_entry = (setup.size as u64 + HEADER).next_multiple_of(UNIT);
    let disk = setup.max_bytes.unwrap_or(setup.entries * an_entry * 3 / 2);
    let memory = setup.cache(setup.max_bytes.unwrap_or_else(|| setup.payload()) / 4);
    let runtime = Runtime::new()?;
    let cache = runtime.block_on(async {
        let device = FsDeviceBuilder::new(&setup.directory)
            .with_capacity(disk.max(FEWEST_BLOCKS * BLOCK) as usize)
            .build()?;
        let cache = HybridCacheBuilder::new()
            .memory(memory as usize)
            .with_weighter(|_: &u128, value: &Vec<u8>| size_of::<Key>() + value.len())
            .storage()
            .with_engine_config(BlockEngineConfig::new(device))
            .build()
            .await?;
        anyhow::Ok(cache)
    })?;
    Ok(Box::new(Foyer { cache, runtime }))
}

impl Peer for Foyer {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        self.cache.insert(u128::from_le_bytes(*key), value.to_vec());
        Ok(())
    }

    fn get_into(&self, key: &Key, value: &mut Vec<u8>) -> Result<bool> {
        value.clear();
        self.view(key, &mut |bytes| value.extend_from_slice(bytes))
    }

    fn view(&self, key: &Key, read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let key = u128::from_le_bytes(*key);
        let found = self.runtime.block_on(self.cache.get(&key))?;
        Ok(found.map(|entry| read(entry.value())).is_some())
    }

    fn remove(&self, key: &Key) -> Result<()> {
        self.cache.remove(&u128::from_le_bytes(*key));
        Ok(())
    }

    /// Waits for the disk tier after each batch, so that what is measured afterwards is there.
    fn load(&self, entries: Range<u64>, values: &mut Values) -> Result<()> {
        for i in entries {
            self.put(&key(i), values.of(i))?;
        }
        self.settle()
    }

    fn settle(&self) -> Result<()> {
        self.runtime.block_on(self.cache.storage().wait());
        Ok(())
    }
}

impl Drop for Foyer {
    fn drop(&mut self) {
        // What it could not write is seen when it is opened.
        let _ = self.runtime.block_on(self.cache.close());
    }
}
