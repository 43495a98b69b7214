//! fjall, with its defaults but for what its documentation says of them: a block cache of 20 to 25 % of
//! the memory, or the data set if that fits (<https://docs.rs/fjall/latest/fjall/struct.DatabaseBuilder.html>),
//! and large values apart from their keys
//! (<https://docs.rs/fjall/latest/fjall/struct.KeyspaceCreateOptions.html#method.with_kv_separation>).

use anyhow::Result;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};

use crate::data::Key;
use crate::peer::{About, Peer, Setup};

pub const ABOUT: About = About {
    views: true,
    ..About::new(
        "fjall",
        "cache as large as the data or a quarter of --memory, blobs from 4 KiB",
        open,
    )
};

struct Fjall {
    database: Database,
    entries: Keyspace,
}

/// Bytes of a memtable, by default; several are held at a time.
const MEMTABLE: u64 = 64 << 20;

fn open(setup: &Setup) -> Result<Box<dyn Peer>> {
    let cache = setup.cache(setup.payload().max(64 << 20));
    let database = Database::builder(&setup.directory).cache_size(cache).open()?;
    let separate = (setup.size >= 4096).then(KvSeparationOptions::default);
    let memtable = setup.memory.map_or(MEMTABLE, |memory| MEMTABLE.min(memory / 16));
    let options = || {
        let options = KeyspaceCreateOptions::default().with_kv_separation(separate);
        options.max_memtable_size(memtable)
    };
    let entries = database.keyspace("entries", options)?;
    Ok(Box::new(Fjall { database, entries }))
}

impl Peer for Fjall {
    fn put(&self, key: &Key, value: &[u8]) -> Result<()> {
        Ok(self.entries.insert(key, value)?)
    }

    fn get_into(&self, key: &Key, value: &mut Vec<u8>) -> Result<bool> {
        value.clear();
        self.view(key, &mut |bytes| value.extend_from_slice(bytes))
    }

    fn view(&self, key: &Key, read: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.entries.get(key)?.map(|bytes| read(&bytes)).is_some())
    }

    fn remove(&self, key: &Key) -> Result<()> {
        Ok(self.entries.remove(key)?)
    }

    fn settle(&self) -> Result<()> {
        while self.database.outstanding_flushes() > 0 || self.database.active_compactions() > 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Fjall {
    fn drop(&mut self) {
        // What the operating system has outlives the process; the rest is seen when it is opened.
        let _ = self.database.persist(PersistMode::Buffer);
    }
}
