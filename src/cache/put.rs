//! Writing: insert and remove.

use std::time::Duration;

use super::{FileCache, Process};
use crate::config::{self, Durability, Ttl};
use crate::entries::{self, Outcome, Publication};
use crate::error::{Error, ErrorKind, Result};
use crate::format::LOG_FILE;
use crate::format::control;
use crate::format::place::{Millis, UNIT};
use crate::format::record::{KEY_LIMIT, Shape};
use crate::format::segment::Label;
use crate::reclaim::{self, Worker};
use crate::segments::Ground;
use crate::segments::pins::Writing;
use crate::segments::read::Spot;
use crate::segments::reserve::Stamps;
use crate::segments::statistics::Count;
use crate::sync;
use crate::sys::words::Words;

/// A put whose segment is taken from under it this often gives up.
const TRIES: u32 = 64;

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
    /// [`Durability::EachWrite`] asks for, the new one is.
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
        self.put_unsynced(key.as_ref(), value.as_ref(), ttl.into())?;
        self.sync_written()
    }

    /// As [`FileCache::insert_with_ttl`], but for the sync that durability may ask for after it.
    pub(super) fn put_unsynced(&self, key: &[u8], value: &[u8], ttl: Ttl) -> Result<()> {
        let process = self.process()?;
        let ground = &process.ground;
        ground.attachment()?;
        let shape = shape(ground, key, value)?;
        if ttl == Ttl::After(Duration::ZERO) {
            return self.remove(key).map(|_| ());
        }
        let hash = ground.hash(key);
        // They come while the share of upkeep is done.
        ground.index().prefetch(hash);
        process.put(&mut process.worker(), hash, key, value, shape, ttl)
    }

    /// Stores entries whose groups were asked for already, for the store's time to live. Other threads of the
    /// process wait for all of them.
    pub(super) fn put_all(&self, entries: &[(&[u8], &[u8])]) -> Result<()> {
        let process = self.process()?;
        let ground = &process.ground;
        ground.attachment()?;
        let mut worker = process.worker();
        entries.iter().try_for_each(|(key, value)| {
            let shape = shape(ground, key, value)?;
            process.put(&mut worker, ground.hash(key), key, value, shape, Ttl::Default)
        })
    }

    /// Makes durable what was written, in a store where each write is to be.
    pub(super) fn sync_written(&self) -> Result<()> {
        sync_after(&self.process()?.ground)
    }

    /// Removes a key; whether it was there and had not expired.
    ///
    /// # Errors
    ///
    /// `Busy`, `ReadOnly`, and `Io` where durability asks for a sync.
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        let key = key.as_ref();
        let process = self.process()?;
        let ground = &process.ground;
        ground.attachment()?;
        if key.len() > KEY_LIMIT {
            return Ok(false);
        }
        let removed = {
            let mut worker = process.worker();
            sync_before(ground)?;
            reclaim::upkeep(ground, &mut worker, UNIT)?;
            entries::remove(ground, ground.hash(key), key)?
        };
        if removed {
            ground.count(Count::Removes, 1);
        }
        sync_after(ground)?;
        Ok(removed)
    }
}

impl Process {
    /// A put but for the sync after it, by the process's one writer: writes a record and publishes it, anew
    /// if its segment is taken meanwhile.
    fn put(
        &self,
        worker: &mut Worker,
        hash: u64,
        key: &[u8],
        value: &[u8],
        shape: Shape,
        ttl: Ttl,
    ) -> Result<()> {
        let ground = &self.ground;
        sync_before(ground)?;
        reclaim::upkeep(ground, worker, shape.footprint())?;
        let default = ground.memory.load(control::DEFAULT_TTL);
        let default = (default < Millis::NEVER.get()).then_some(default);
        let expiry = ttl.expiry(|| ground.now(), default);
        let stamps =
            Stamps { created: (ground.clock.coarse().get() / 1000) as u32, expiry, lsn: None };
        for _ in 0..TRIES {
            let mut sighted = entries::sight(ground, hash);
            // Before it is written: the walk that evicts would pass it by while it is not published.
            if is_at_limit(ground) && sighted.resolve(ground, key).entry.is_none() {
                if !reclaim::evict_one(ground, worker)? {
                    return Err(ground.full());
                }
                sighted = entries::sight(ground, hash);
            }
            let spot = self.room(worker, sighted.queue(ground), shape)?;
            ground.write(spot, shape, stamps, [b"", key, value]);
            // Only now, for its old record has come meanwhile.
            let mut located = sighted.resolve(ground, key);
            let new =
                Publication { hash, key, spot, units: (shape.footprint() / UNIT) as u32, expiry };
            let published = self.publish(worker, &mut located, &new);
            ground.written(Writing::Put);
            if published? {
                // The entry is stored: what keeps the index from growing now is met again.
                if reclaim::is_count_wrong(ground) {
                    reclaim::recount(ground)?;
                }
                worker.index_wants = entries::grow(ground, &mut worker.backed).unwrap_or(false);
                ground.count(Count::Inserts, 1);
                ground.count(Count::BytesPut, shape.footprint());
                return Ok(());
            }
        }
        Err(ground.busy("other processes reuse every segment as soon as it is written"))
    }

    /// Publishes a written record; `false` if it has to be written elsewhere.
    fn publish(
        &self,
        worker: &mut Worker,
        located: &mut entries::Located,
        new: &Publication<'_>,
    ) -> Result<bool> {
        let ground = &self.ground;
        loop {
            match entries::publish(ground, located, new)? {
                Outcome::Published(_) => return Ok(true),
                Outcome::Moved => return Ok(false),
                Outcome::AtLimit => {
                    if !reclaim::evict_one(ground, worker)? {
                        return Err(ground.full());
                    }
                }
                Outcome::NeedsSync => sync::barrier(ground)?,
            }
            *located = entries::locate(ground, new.hash, new.key);
        }
    }

    /// Room for a record, by reclaiming some if there is none.
    fn room(&self, worker: &mut Worker, label: Label, shape: Shape) -> Result<Spot> {
        let ground = &self.ground;
        let units = (shape.footprint() / UNIT) as u32;
        let mut last = false;
        for _ in 0..TRIES {
            if let Some(spot) =
                ground.reserve(&mut worker.chunks, label, Writing::Put, units, last)?
            {
                return Ok(spot);
            }
            last = true;
            if !reclaim::make_room(ground, worker, units + 1)? {
                break;
            }
        }
        Err(ground.full())
    }
}

fn is_at_limit(ground: &Ground) -> bool {
    ground.memory.load(control::ENTRIES) >= ground.memory.load(control::MAX_ENTRIES)
}

/// The shape of an entry, if it is not too large.
#[inline]
fn shape(ground: &Ground, key: &[u8], value: &[u8]) -> Result<Shape> {
    let limit = ground.geometry.record_limit();
    if let (Ok(key), Ok(value)) = (u16::try_from(key.len()), u32::try_from(value.len())) {
        let shape = Shape { value, key, metadata: 0, flags: 0 };
        if shape.bytes() <= limit {
            return Ok(shape);
        }
    }
    Err(too_large(ground, key.len(), value.len()))
}

#[cold]
fn too_large(ground: &Ground, key: usize, value: usize) -> Error {
    let error = |what: String, next: &str| {
        Error::new(ErrorKind::TooLarge, &ground.directory.join(LOG_FILE), what, next)
    };
    let smaller = "Use a shorter key, such as a hash of it.";
    if key > KEY_LIMIT {
        return error(format!("the key has {key} bytes, more than {KEY_LIMIT}"), smaller);
    }
    let empty = Shape { value: 0, key: key as u16, metadata: 0, flags: 0 };
    match ground.geometry.record_limit().checked_sub(empty.bytes()) {
        None => error(
            format!("the key has {key} bytes, more than an entry of this store may have"),
            smaller,
        ),
        Some(limit) => error(
            format!("the value has {value} bytes, more than {limit}"),
            "Store less, or create the store with a larger max_bytes or segment_size.",
        ),
    }
}

/// In a store that syncs at intervals, the first write after one does it.
fn sync_before(ground: &Ground) -> Result<()> {
    match ground.durability {
        Durability::Every(interval) if is_sync_due(ground, interval) => sync::barrier(ground),
        _ => Ok(()),
    }
}

/// Whether an interval has passed since the last sync. (A clock that went back makes it due.)
pub(super) fn is_sync_due(ground: &Ground, interval: Duration) -> bool {
    let synced = ground.memory.load(control::SYNCED_AT);
    let now = ground.now().get();
    now < synced || now - synced >= config::millis(interval)
}

/// In a store where each write is durable, makes it so.
pub(super) fn sync_after(ground: &Ground) -> Result<()> {
    match ground.durability {
        Durability::EachWrite => sync::barrier(ground),
        Durability::OsDecides | Durability::Every(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_was_given_up_and_has_expired_does_not_keep_puts_from_room() {
        let dir = tempfile::tempdir().unwrap();
        let cache = FileCache::builder().max_bytes(4 << 20).open(dir.path().join("c")).unwrap();
        let process = cache.process().unwrap();
        let ground = &process.ground;
        {
            // As a writer leaves it that is killed between writing and publishing.
            let shape = Shape { value: 1, key: 3, metadata: 0, flags: 0 };
            let spot = process.room(&mut process.worker(), Label::Probation, shape).unwrap();
            let expiry = Millis::new(ground.now().get() - 5000);
            let stamps = Stamps { created: 0, expiry, lsn: None };
            ground.write(spot, shape, stamps, [b"", b"key", b"v"]);
            entries::widen_expiry(ground, spot, expiry);
            ground.written(Writing::Put);
        }
        for number in 0..2000u64 {
            cache.insert(number.to_le_bytes(), [7; 5000]).unwrap();
        }
        assert!(cache.verify().unwrap().is_sound());
    }

    #[test]
    fn maintenance_collects_what_has_just_expired() {
        let dir = tempfile::tempdir().unwrap();
        let cache = FileCache::open(dir.path().join("c")).unwrap();
        for number in 0..100u64 {
            cache.insert_with_ttl(number.to_le_bytes(), "x", Duration::from_millis(1)).unwrap();
        }
        cache.insert("stays", "x").unwrap();
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(cache.maintain().unwrap().collected, 100);
        assert_eq!(cache.len(), 1);
    }
}
