//! Several keys at once: while one is looked up, the memory that the next ones need is on its way.

use super::{FileCache, Process};
use crate::error::Result;
use crate::segments::read;

/// Keys whose memory is asked for before the first of them is looked up: as many lines as a processor
/// waits for at a time.
const AHEAD: usize = 16;

impl FileCache {
    /// The values of several keys, in their order: as so many calls of [`FileCache::get`], but faster
    /// where the store is larger than the processor's caches.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let cache = larder::FileCache::open(dir.path().join("cache")).unwrap();
    /// cache.insert_many(&[("a", "1"), ("b", "2")])?;
    /// assert_eq!(cache.get_many(&["b", "c"]), [Some(b"2".to_vec()), None]);
    /// # Ok::<(), larder::Error>(())
    /// ```
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Vec<Option<Vec<u8>>> {
        let mut values = Vec::with_capacity(keys.len());
        for keys in keys.chunks(AHEAD) {
            self.ask_ahead(keys.iter().map(AsRef::as_ref));
            values.extend(keys.iter().map(|key| self.get(key)));
        }
        values
    }

    /// Stores several values, in their order, for the store's time to live: as so many calls of
    /// [`FileCache::insert`], but faster where the store is larger than the processor's caches, and with
    /// one sync for all where each write is to be durable.
    ///
    /// # Errors
    ///
    /// As [`FileCache::insert`], at the first entry that cannot be stored: those before it are.
    pub fn insert_many<K: AsRef<[u8]>, V: AsRef<[u8]>>(&self, entries: &[(K, V)]) -> Result<()> {
        let stored = entries.chunks(AHEAD).try_for_each(|entries| {
            // Before the lock is taken: what they do is the caller's.
            let entries: Vec<(&[u8], &[u8])> =
                entries.iter().map(|(key, value)| (key.as_ref(), value.as_ref())).collect();
            self.ask_ahead(entries.iter().map(|(key, _)| *key));
            self.put_all(&entries)
        });
        if entries.is_empty() { stored } else { stored.and(self.sync_written()) }
    }

    /// Asks for what the lookups of these keys will read.
    fn ask_ahead<'a>(&self, keys: impl Iterator<Item = &'a [u8]> + Clone) {
        let Ok(process) = self.process() else { return };
        for key in keys.clone() {
            process.ask_for_groups(key);
        }
        for key in keys {
            process.ask_for_records(key);
        }
    }
}

impl Process {
    fn ask_for_groups(&self, key: &[u8]) {
        self.ground.index().prefetch(self.ground.hash(key));
    }

    fn ask_for_records(&self, key: &[u8]) {
        let ground = &self.ground;
        let _ = ground.index().find(ground.hash(key), |found| {
            read::prefetch(&ground.memory, found.slot.address());
            None::<()>
        });
    }
}
