//! The stages of a put: prepared, written, published, and what is done once it is stored.
//!
//! What is *prepared* can be stored: its lengths fit, its hash is known. It is *written* where there is
//! room, made if need be; nobody sees it yet. *Publishing* makes it the key's entry in one step, if what
//! was known of the key still holds; if it does not, the key is located again. After that the entry is
//! stored, and no error takes that back.

use super::process::Process;
use crate::config::Ttl;
use crate::entries::{self, Candidates, Located, Publication, Publishing};
use crate::error::{Error, ErrorKind, Result};
use crate::format::address::{Lsn, Millis, UNIT};
use crate::format::control::{self, SEGMENT_SHIFTS};
use crate::format::record::{KEY_LIMIT, Shape};
use crate::format::segment::Queue;
use crate::reclaim::{self, Writer};
use crate::session::{Attributes, Count, Session, Wanted, Writing};
use crate::store::Spot;

/// A put whose segment is taken from under it this often gives up.
const TRIES: u32 = 64;

/// An entry that can be stored.
#[derive(Clone, Copy, Debug)]
pub struct Prepared<'a> {
    /// Its key.
    pub key: &'a [u8],
    value: &'a [u8],
    hash: u64,
    shape: Shape,
    computed_after: Option<Lsn>,
}

impl Prepared<'_> {
    /// As a value whose computation began when `clear` was the newest clear: it does not replace what came
    /// since.
    pub fn computed_after(self, clear: Lsn) -> Self {
        Self { computed_after: Some(clear), ..self }
    }
}

/// What another store knew of an entry that is copied from there.
#[derive(Clone, Copy, Debug)]
pub struct Copied {
    /// When it was stored, and when it expires.
    pub attributes: Attributes,
    /// The queue of its record.
    pub queue: Queue,
    /// How often it was read of late.
    pub frequency: u8,
}

/// How the publishing of a record ended.
enum Published {
    /// It is the key's entry.
    Stored,
    /// It was computed, and is not wanted any more.
    Superseded,
    /// It has to be written elsewhere.
    Closed,
}

impl Process {
    /// Prepares an entry, and asks for the memory that its lookup will read.
    // Always: a put is the shorter for not calling it.
    #[inline(always)]
    pub fn prepare<'a>(&self, key: &'a [u8], value: &'a [u8]) -> Result<Prepared<'a>> {
        let shape = shape(&self.session, key, value)?;
        let hash = self.session.store.hash(key);
        self.session.store.index().prefetch(hash);
        Ok(Prepared { key, value, hash, shape, computed_after: None })
    }

    /// A put but for the sync after it, by the process's one writer: its share of upkeep, then the stages,
    /// anew if the segment is taken meanwhile. `false`: it was superseded.
    pub fn put(&self, writer: &mut Writer, prepared: &Prepared<'_>, ttl: Ttl) -> Result<bool> {
        self.sync_before_write()?;
        reclaim::upkeep(&self.session, writer, prepared.shape.footprint())?;
        let stored = self.write_and_publish(writer, prepared, self.attributes(ttl), None)?;
        if stored {
            self.session.count(Count::Inserts, 1);
            self.session.count(Count::BytesPut, prepared.shape.footprint());
        }
        Ok(stored)
    }

    /// Puts an entry of another store, with what that knew of it.
    pub fn put_copy(
        &self,
        writer: &mut Writer,
        prepared: &Prepared<'_>,
        copied: Copied,
    ) -> Result<()> {
        let Copied { attributes, queue, frequency } = copied;
        reclaim::upkeep(&self.session, writer, prepared.shape.footprint())?;
        self.write_and_publish(writer, prepared, attributes, Some(queue))?;
        let store = &self.session.store;
        if frequency > 0
            && let Some((mut found, _)) =
                entries::locate(&self.session, prepared.hash, prepared.key)?.entry
        {
            for raised in 1..=frequency {
                store.index().bump(found);
                found.slot = found.slot.with_frequency(raised);
            }
        }
        Ok(())
    }

    /// Writes a record and publishes it, in a queue that is named or in the one that it belongs in.
    // Never: the stages are inlined here, where they are needed once.
    #[inline(never)]
    fn write_and_publish(
        &self,
        writer: &mut Writer,
        prepared: &Prepared<'_>,
        attributes: Attributes,
        queue: Option<Queue>,
    ) -> Result<bool> {
        for _ in 0..TRIES {
            let candidates = self.candidates(writer, prepared.hash, prepared.key)?;
            let queue =
                queue.unwrap_or_else(|| candidates.queue(&self.session.store, prepared.key));
            let publication = self.write(writer, prepared, attributes, queue)?;
            // Only now, for its old record has come meanwhile.
            let located = candidates.resolve(&self.session.store, prepared.key);
            let published = self.publish(writer, prepared, located, &publication);
            self.session.written(Writing::Put);
            match published? {
                Published::Stored => {
                    self.stored(writer);
                    return Ok(true);
                }
                Published::Superseded => return Ok(false),
                Published::Closed => {}
            }
        }
        Err(self.session.busy(
            "other processes reuse every segment as soon as it is written",
            "Try again, with fewer writers at a time or a larger max_bytes.",
        ))
    }

    /// What a record that is stored now for such a time holds beside key and value.
    #[inline]
    fn attributes(&self, ttl: Ttl) -> Attributes {
        let session = &self.session;
        let default = session.store.load(control::DEFAULT_TTL);
        let default = (default < Millis::NEVER.get()).then_some(default);
        let expiry = ttl.expiry(|| session.now(), default);
        Attributes { created: (session.clock.coarse().get() / 1000) as u32, expiry, lsn: None }
    }

    /// Writes the record where there is room. The segment is pinned until [`Session::written`].
    #[inline]
    fn write(
        &self,
        writer: &mut Writer,
        prepared: &Prepared<'_>,
        attributes: Attributes,
        queue: Queue,
    ) -> Result<Publication> {
        let Prepared { key, value, hash, shape, computed_after } = *prepared;
        let spot = self.room(writer, queue, shape)?;
        self.session.write(spot, shape, attributes, [b"", key, value]);
        let units = (shape.footprint() / UNIT) as u32;
        Ok(Publication { hash, spot, units, expiry: attributes.expiry, computed_after })
    }

    /// The slots that may be the key's; at the limit of entries, after one has gone for a new key. (Before it
    /// is written: the hand that evicts would pass it by while it is not published.)
    #[inline]
    fn candidates(&self, writer: &mut Writer, hash: u64, key: &[u8]) -> Result<Candidates> {
        let store = &self.session.store;
        let candidates = entries::candidates(&self.session, hash)?;
        if store.load(control::ENTRIES) < store.load(control::MAX_ENTRIES)
            || candidates.resolve(store, key).entry.is_some()
        {
            return Ok(candidates);
        }
        self.evict_one(writer)?;
        entries::candidates(&self.session, hash)
    }

    /// Publishes a written record whatever the key's entry is by then, unless it is superseded or has to be
    /// written elsewhere.
    #[inline]
    fn publish(
        &self,
        writer: &mut Writer,
        prepared: &Prepared<'_>,
        mut located: Located,
        publication: &Publication,
    ) -> Result<Published> {
        loop {
            match entries::publish(&self.session, &located, publication)? {
                Publishing::Published(_) => return Ok(Published::Stored),
                Publishing::Closed => return Ok(Published::Closed),
                Publishing::Superseded => return Ok(Published::Superseded),
                Publishing::Changed => {}
                Publishing::AtLimit => self.evict_one(writer)?,
                Publishing::NeedsSync => self.sync()?,
            }
            located = entries::locate(&self.session, prepared.hash, prepared.key)?;
        }
    }

    /// What is done once an entry is stored. What keeps the index from growing now is met again.
    #[inline]
    fn stored(&self, writer: &mut Writer) {
        let session = &self.session;
        if reclaim::is_entry_count_wrong(&session.store)
            && let Err(error) = reclaim::repair_entry_count(session)
        {
            self.defer(error);
        }
        writer.index_wants = entries::grow(session, &mut writer.backed).unwrap_or_else(|error| {
            self.defer(error);
            false
        });
        if writer.saw_segments_taken() {
            self.keep_files_now_and_then();
        }
    }

    fn evict_one(&self, writer: &mut Writer) -> Result<()> {
        if reclaim::evict_one(&self.session, writer)? { Ok(()) } else { Err(self.session.full()) }
    }

    /// Room for a record, by reclaiming some if there is none.
    #[inline]
    fn room(&self, writer: &mut Writer, queue: Queue, shape: Shape) -> Result<Spot> {
        let session = &self.session;
        let units = (shape.footprint() / UNIT) as u32;
        let mut last = false;
        let mut asked = false;
        for _ in 0..TRIES {
            let wanted = Wanted { queue, which: Writing::Put, units, last };
            if let Some(spot) = session.reserve(&mut writer.chunks, wanted)? {
                return Ok(spot);
            }
            last = true;
            if !reclaim::make_room(session, writer, units + 1)? {
                // Nothing is left to be evicted: a disk that counted as full may yet have room.
                if asked || !session.is_disk_full() {
                    break;
                }
                session.disk.try_again();
                asked = true;
            }
        }
        Err(session.full())
    }
}

/// The shape of an entry, if it is not too large.
#[inline]
fn shape(session: &Session, key: &[u8], value: &[u8]) -> Result<Shape> {
    let limit = session.store.geometry.record_limit();
    if let (Ok(key), Ok(value)) = (u16::try_from(key.len()), u32::try_from(value.len())) {
        let shape = Shape { value, key, metadata: 0, flags: 0 };
        if shape.bytes() <= limit {
            return Ok(shape);
        }
    }
    Err(too_large(session, key.len(), value.len()))
}

#[cold]
fn too_large(session: &Session, key: usize, value: usize) -> Error {
    let error = |what: String, limit: u64, next: String| {
        Error::new(ErrorKind::TooLarge, session.directory(), what, next).with_limit(limit)
    };
    let smaller = "Use a shorter key, such as a hash of it.";
    if key > KEY_LIMIT {
        let what = format!("the key has {key} bytes, more than {KEY_LIMIT}");
        return error(what, KEY_LIMIT as u64, smaller.to_owned());
    }
    let geometry = &session.store.geometry;
    let empty = Shape { value: 0, key: key as u16, metadata: 0, flags: 0 };
    match geometry.record_limit().checked_sub(empty.bytes()) {
        None => {
            let nothing = Shape { key: 0, ..empty };
            let limit = geometry.record_limit().saturating_sub(nothing.bytes());
            let what =
                format!("the key has {key} bytes, more than an entry here may have: {limit}");
            error(what, limit, smaller.to_owned())
        }
        Some(limit) => {
            let what =
                format!("the value has {value} bytes, more than an entry here may have: {limit}");
            error(what, limit, where_larger_ones_fit(geometry.segment_shift))
        }
    }
}

/// What one can do to store larger values than a segment of this size takes.
fn where_larger_ones_fit(segment_shift: u32) -> String {
    if segment_shift == *SEGMENT_SHIFTS.end() {
        return "Store it in parts: no cache takes larger ones.".to_owned();
    }
    "Store less, or create the cache anew with a larger max_bytes or segment_size.".to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cache::FileCache;

    #[test]
    fn a_record_that_was_given_up_and_has_expired_does_not_keep_puts_from_room() {
        let dir = tempfile::tempdir().unwrap();
        let cache = FileCache::builder().max_bytes(4 << 20).open(dir.path().join("c")).unwrap();
        let process = cache.process().unwrap();
        let session = &process.session;
        {
            // As a writer leaves it that is killed between writing and publishing.
            let shape = Shape { value: 1, key: 3, metadata: 0, flags: 0 };
            let spot = process.room(&mut process.writer(), Queue::Probation, shape).unwrap();
            let expiry = Millis::new(session.now().get() - 5000);
            let attributes = Attributes { created: 0, expiry, lsn: None };
            session.write(spot, shape, attributes, [b"", b"key", b"v"]);
            session.widen_expiry(spot, expiry, 4);
            session.written(Writing::Put);
        }
        for number in 0..2000u64 {
            cache.insert(number.to_le_bytes(), [7; 5000]).unwrap();
        }
        assert!(cache.verify().unwrap().is_sound());
    }

    #[test]
    fn at_the_largest_segment_nobody_is_told_to_choose_a_larger_one() {
        assert!(where_larger_ones_fit(20).contains("segment_size"));
        assert!(!where_larger_ones_fit(28).contains("larger max_bytes"));
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

    #[test]
    fn an_error_of_upkeep_after_a_put_leaves_the_put_done_and_is_told_by_maintenance() {
        let dir = tempfile::tempdir().unwrap();
        let cache = FileCache::open(dir.path().join("c")).unwrap();
        let process = cache.process().unwrap();
        cache.insert("key", "value").unwrap();
        process.defer(process.session.busy("upkeep", "Try again."));
        assert_eq!(cache.get("key").as_deref(), Some(&b"value"[..]));
        assert_eq!(cache.stats().upkeep_errors, 1);
        assert_eq!(cache.maintain().unwrap_err().kind(), ErrorKind::Busy);
        cache.maintain().unwrap();
    }
}
