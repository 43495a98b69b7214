//! Writing: insert and remove.

use std::time::Duration;

use super::handle::FileCache;
use super::process::Process;
use crate::config::Ttl;
use crate::entries;
use crate::error::Result;
use crate::format::address::UNIT;
use crate::format::record::KEY_LIMIT;
use crate::reclaim::{self, Writer};
use crate::session::Count;

impl FileCache {
    /// Stores a value, in place of the key's old one, for the store's time to live.
    ///
    /// When it returns, every process sees the value, and a kill of this one cannot undo it.
    ///
    /// # Errors
    ///
    /// - `TooLarge`: a key of more than 65,535 bytes, or an entry larger than a segment; the message
    ///   names the limit.
    /// - `Full`: there is no room on the disk, and nothing to evict.
    /// - `Busy`: a stopped process holds the write lock.
    /// - `ReadOnly`, `Io`.
    ///
    /// After an error the old value is still there; after one of the sync that
    /// [`crate::Durability::EachWrite`] asks for, the new one is.
    pub fn insert(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        self.insert_with_ttl(key, value, Ttl::Default)
    }

    /// Stores a value for a time of its own: a [`Duration`], or a [`Ttl`]. Zero is expired at once;
    /// the longest time is forever.
    ///
    /// # Errors
    ///
    /// As [`FileCache::insert`].
    pub fn insert_with_ttl(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        ttl: impl Into<Ttl>,
    ) -> Result<()> {
        let (key, ttl) = (key.as_ref(), ttl.into());
        let process = self.process()?;
        process.session.attachment()?;
        let prepared = process.prepare(key, value.as_ref())?;
        if ttl == Ttl::After(Duration::ZERO) {
            process.remove(&mut process.writer(), key)?;
        } else {
            process.put(&mut process.writer(), &prepared, ttl)?;
        }
        process.sync_after_write()
    }

    /// Removes a key; whether it was there and had not expired.
    ///
    /// # Errors
    ///
    /// `Busy`, `ReadOnly`, and `Io` where durability asks for a sync.
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        let key = key.as_ref();
        let process = self.process()?;
        process.session.attachment()?;
        if key.len() > KEY_LIMIT {
            return Ok(false);
        }
        let removed = process.remove(&mut process.writer(), key)?;
        process.sync_after_write()?;
        Ok(removed)
    }
}

impl Process {
    /// Removes a key but for the sync after it; whether it was there and had not expired.
    fn remove(&self, writer: &mut Writer, key: &[u8]) -> Result<bool> {
        let session = &self.session;
        self.sync_before_write()?;
        reclaim::upkeep(session, writer, UNIT)?;
        let removed = entries::remove(session, session.store.hash(key), key)?;
        if removed {
            session.count(Count::Removes, 1);
        }
        Ok(removed)
    }
}
