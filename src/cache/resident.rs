//! Whether a key can be looked up without waiting for the device.

use super::handle::FileCache;
use crate::format::page::PAGE_BYTES;
use crate::format::record::{HEADER_BYTES, KEY_LIMIT};
use crate::index::Found;
use crate::store::Store;

impl FileCache {
    /// Whether [`FileCache::get`] of a key would read from memory alone, and so not wait for the device: its page of the
    /// index is there, and so is the entry, or there is none. For those who must not wait: an event loop, which
    /// gives the others to a thread.
    ///
    /// A reading of this moment: memory may be taken away the moment after. Costs two to four system calls, and waits
    /// for nothing. Does not count as use.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let cache = larder::FileCache::open(dir.path().join("cache")).unwrap();
    /// cache.insert("key", "value")?;
    /// assert!(cache.is_resident("key")); // it was just written
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn is_resident(&self, key: impl AsRef<[u8]>) -> bool {
        let key = key.as_ref();
        let Ok(process) = self.process() else { return true };
        let store = &process.session.store;
        if key.len() > KEY_LIMIT {
            return true;
        }
        let hash = store.hash(key);
        let Some(page) = store.index().page_of(hash) else { return true };
        store.words.index.is_resident(page.offset(), PAGE_BYTES)
            && store
                .index()
                .find(hash, |found| (!is_in_memory(store, found)).then_some(()))
                .is_none()
    }
}

/// Whether all of the record that a slot names is in memory. What cannot be read is a miss, which waits for nothing.
fn is_in_memory(store: &Store, found: Found) -> bool {
    let Some(spot) = store.spot(found.slot) else { return true };
    let (log, start) = (&store.words.log, spot.address.bytes());
    log.is_resident(start, HEADER_BYTES)
        && store.shape(spot).is_none_or(|shape| log.is_resident(start, shape.bytes()))
}
