//! Several keys at once: while one is looked up, the memory that the next ones need is on its way.

use super::handle::FileCache;
use super::process::Process;
use crate::config::Ttl;
use crate::error::Result;
use crate::reclaim::Writer;

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
        let process = self.process()?;
        process.session.attachment()?;
        let stored = entries.chunks(AHEAD).try_for_each(|entries| {
            // Before the lock is taken: what they do is the caller's.
            let entries: Vec<(&[u8], &[u8])> =
                entries.iter().map(|(key, value)| (key.as_ref(), value.as_ref())).collect();
            self.ask_ahead(entries.iter().map(|(key, _)| *key));
            process.put_all(&mut process.writer(), &entries)
        });
        if entries.is_empty() { stored } else { stored.and(process.sync_after_write()) }
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
    /// Stores entries whose groups were asked for already, for the store's time to live. Other threads of the
    /// process wait for all of them.
    fn put_all(&self, writer: &mut Writer, entries: &[(&[u8], &[u8])]) -> Result<()> {
        entries.iter().try_for_each(|(key, value)| {
            let prepared = self.prepare(key, value)?;
            self.put(writer, &prepared, Ttl::Default).map(|_| ())
        })
    }

    fn ask_for_groups(&self, key: &[u8]) {
        let store = &self.session.store;
        store.index().prefetch(store.hash(key));
    }

    fn ask_for_records(&self, key: &[u8]) {
        let store = &self.session.store;
        let _ = store.index().find(store.hash(key), |found| {
            store.prefetch_record(found.slot.address());
            if store.is_beyond_memory() {
                store.ask_for_record(found.slot.address());
            }
            None::<()>
        });
    }
}
