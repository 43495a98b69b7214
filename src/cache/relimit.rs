//! Copying a store into new files, which are cut for other limits.
//!
//! The steps, in this order: nobody else may attach; a draft is made beside the store, filled, made durable,
//! and closed; the file `store` says that the draft is the store; its files move up. Until the file says so,
//! nothing of the store has changed. From then on any opener moves the files up, if this process does not.

use std::path::Path;
use std::sync::MutexGuard;

use super::builder::Builder;
use super::handle::FileCache;
use super::process::Process;
use super::stages::Copied;
use crate::capacity;
use crate::config::{Durability, Layout, OnDamage, Options};
use crate::directory::{
    draft_directory, read_identity, read_limits, remove_draft, settle_draft, write_identity,
};
use crate::entries;
use crate::error::{Error, ErrorKind, Result};
use crate::format::address::{SegmentId, UNIT};
use crate::format::control::TABLE_SEGMENTS;
use crate::format::identity::{Identity, Limits};
use crate::format::segment::{ORDER, Queue};
use crate::format::slot::Slot;
use crate::format::{INDEX_FILE, LOG_FILE};
use crate::open::Alone;
use crate::policy::{Kept, OldSegment, Room, Since, batches};
use crate::reclaim::Writer;
use crate::request::Request;
use crate::session::{Attributes, Count, Session};
use crate::store::Store;

/// What became of a store that was copied into new files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Relimited {
    /// Entries that the new files have.
    pub entries: u64,
    /// Entries of the old files that the new ones have not: for want of room under the new limits, because they
    /// are larger than a new segment, or because they were damaged.
    pub left_out: u64,
}

impl Builder {
    /// Copies the store in `directory` into new files that are cut as a new store of these options would be.
    ///
    /// [`Builder::open`] changes limits in the files that there are, which reach from 8 to 4,096 segments. This
    /// is for what lies beyond, and for another largest entry, which is a segment. Limits and `max_processes` that
    /// are not named stay; a `segment_size` that is not named is the one that the limit makes. Entries keep value,
    /// expiry, time of creation, and what is known of their use. Where not all have room, those go first
    /// that are old and were not read.
    ///
    /// For the time of the copy both stores are on the disk: it needs up to the new `max_bytes` beside the old one, or as
    /// much as the entries take, if that is less. Takes as long as reading the old one and writing the new one. Nobody
    /// may use the store: others cannot open it meanwhile, and readers that have it open miss from then on.
    ///
    /// When it returns the new files are durable. Whatever stops it, a power cut too, the directory
    /// has the old store or the new one, whole.
    ///
    /// # Errors
    ///
    /// - `Busy`: somebody has the store open, this process included.
    /// - `Full`: the disk has no room for the copy; the message says how much it takes.
    /// - `InvalidOption`: options that no store can have.
    /// - Those of [`Builder::open`]. In all cases but for `Io` the store is as it was; then it may be the new one.
    ///
    /// ```
    /// # fn main() -> larder::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("cache");
    /// use larder::FileCache;
    ///
    /// let cache = FileCache::builder().max_bytes(4 << 20).open(&path)?;
    /// cache.insert("key", "value")?;
    /// drop(cache);
    /// let done = FileCache::builder().max_bytes(2 << 30).relimit(&path)?;
    /// assert_eq!((done.entries, done.left_out), (1, 0));
    /// let cache = FileCache::open(&path)?;
    /// assert_eq!(cache.stats().max_bytes, 2 << 30);
    /// assert_eq!(cache.get("key").as_deref(), Some(&b"value"[..]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn relimit(&self, directory: impl AsRef<Path>) -> Result<Relimited> {
        let request = self.request(directory.as_ref())?;
        request.options.validate(&request.directory)?;
        let cache = FileCache::from_request(Request { shares: false, ..request.again() })?;
        let old = cache.process()?;
        let alone = Alone::acquire(&request, &old.session)?;
        let draft = draft_request(&request, &old.session.store);
        refuse_without_room(&request, &draft.options, old)?;
        let made = make(&draft, old, &alone);
        let (identity, relimited) = made.inspect_err(|_| remove_draft(&request))?;
        take_place(&request, &identity, old)?;
        Ok(relimited)
    }
}

/// The request for a draft: what is not named is as in the old store.
fn draft_request(request: &Request, old: &Store) -> Request {
    let (asked, limits) = (&request.options, read_limits(&old.words));
    let options = Options {
        max_entries: asked.max_entries.or(Some(limits.max_entries)),
        max_bytes: asked.max_bytes.or(Some(limits.max_bytes)),
        ttl_ms: asked.ttl_ms.or(Some(limits.ttl_ms)),
        min_free: asked.min_free.or(Some(limits.min_free)),
        max_processes: asked.max_processes.or(Some(old.geometry.max_processes)),
        durability: Durability::OsDecides,
        on_damage: OnDamage::Refuse,
        create: true,
        strict_limits: true,
        ..asked.clone()
    };
    let environment = request.environment.clone();
    let directory = draft_directory(request);
    Request { directory, options, environment, shares: false, is_written: false }
}

/// Refuses what no store can be cut for, and a disk that has no room for the copy.
fn refuse_without_room(request: &Request, options: &Options, old: &Process) -> Result<()> {
    let directory = &request.directory;
    let log = old.session.store.words.log.file();
    let disk = log
        .file_system()
        .map_err(|error| Error::io(directory, "cannot look at its disk", error))?;
    let layout = options.layout(directory, disk.bytes, 0)?;
    let sizes = old.sizes();
    let takes = bytes_of_copy(&layout, sizes.live_bytes, sizes.index_bytes);
    // Who does not say how many bytes it has (tmpfs without a limit) has as many as are wanted.
    if disk.bytes == 0 || disk.free >= takes.saturating_add(layout.limits.min_free) {
        return Ok(());
    }
    Err(no_room(directory, takes, disk.free))
}

fn no_room(directory: &Path, takes: u64, free: u64) -> Error {
    let what = format!(
        "there is no room to copy it: that takes up to {takes} bytes of disk beside it, and {free} are free"
    );
    let next = "Free some space on the file system, or choose a lower max_bytes.";
    Error::new(ErrorKind::Full, directory, what, next)
}

/// Bytes of disk that a copy of so many live bytes takes at most.
fn bytes_of_copy(layout: &Layout, live: u64, index: u64) -> u64 {
    let Layout { geometry, limits } = layout;
    // An active segment of each queue, and what chunks leave at the ends of others.
    let log = live.saturating_add(live / 8) + 4 * geometry.segment_bytes();
    let beside = geometry.control_bytes() + index.max(capacity::first_index_bytes(geometry));
    log.saturating_add(beside).min(limits.max_bytes)
}

/// Makes the draft, durable and closed.
fn make(draft: &Request, old: &Process, alone: &Alone<'_>) -> Result<(Identity, Relimited)> {
    let cache = FileCache::from_request(draft.clone())?;
    let new = cache.process()?;
    new.go_on_counting_from(old)?;
    let mut copying = Copying { old, new, writer: new.writer(), bytes: Vec::new(), met: 0 };
    copying.all(alone)?;
    let met = copying.met;
    drop(copying);
    if old.session.store.syncs() {
        new.sync()?;
    }
    let entries = cache.len();
    let words = &new.session.store.words;
    let files = [(LOG_FILE, words.log.file().clone()), (INDEX_FILE, words.index.file().clone())];
    // What is written when it closes is to be durable, too.
    drop(cache);
    for (name, file) in files {
        let synced = file.sync(true);
        synced.map_err(|error| Error::io(&draft.path(name), "cannot make it durable", error))?;
    }
    let identity = read_identity(draft)?;
    let identity = identity.ok_or_else(|| draft.not_a_store("the copy vanished", "Try again."))?;
    Ok((identity, Relimited { entries, left_out: met.saturating_sub(entries) }))
}

/// Makes a draft that is durable the store.
fn take_place(request: &Request, identity: &Identity, old: &Process) -> Result<()> {
    let io = |error| Error::io(&request.directory, "cannot make its names durable", error);
    let files = request.files();
    let written = files
        .sync_directory(&request.directory)
        .map_err(io)
        .and_then(|()| write_identity(request, identity));
    if let Err(error) = written {
        // Only if it surely is no more than a draft.
        if read_identity(request)
            .is_ok_and(|now| now.is_some_and(|now| now.seed == old.session.store.geometry.seed))
        {
            remove_draft(request);
        }
        return Err(error);
    }
    settle_draft(request, identity)
}

/// The copying of entries from a store to another.
struct Copying<'a> {
    old: &'a Process,
    new: &'a Process,
    writer: MutexGuard<'a, Writer>,
    /// The body of the record that is copied: only its allocation is kept.
    bytes: Vec<u8>,
    /// Entries that the old store had.
    met: u64,
}

impl Copying<'_> {
    /// Copies the entries that have room, those of older segments first: so what is newer in the old store is
    /// newer in the new one.
    fn all(&mut self, alone: &Alone<'_>) -> Result<()> {
        let segments = by_age(&self.old.session.store);
        let limits = read_limits(&self.new.session.store.words);
        let kept = Kept::of(&segments, self.room(&limits));
        for batch in batches(&segments) {
            for (number, slot) in self.slots(batch) {
                alone.moved();
                let from = &batch[number];
                let within = slot.address().bytes()
                    - self.old.session.store.geometry.segment_start(from.segment);
                if !kept.has(Since(from.order, within), slot.frequency()) {
                    self.leave_out();
                    continue;
                }
                self.entry(slot, from.queue)?;
                if self.new.session.is_disk_full() {
                    let log = self.new.session.store.words.log.file();
                    let free = log.file_system().map_or(0, |disk| disk.free);
                    return Err(no_room(self.old.session.directory(), limits.max_bytes, free));
                }
            }
        }
        Ok(())
    }

    /// What the new store has room for without evicting any.
    fn room(&self, limits: &Limits) -> Room {
        let geometry = &self.new.session.store.geometry;
        let index = self.old.sizes().index_bytes.max(capacity::first_index_bytes(geometry));
        let segments = capacity::segments_within(geometry, limits.max_bytes, index);
        // Two are kept free, the active ones are not full, and a chunk leaves a little at its end.
        let bytes = segments.saturating_sub(3) * (geometry.segment_bytes() / 16 * 15);
        Room { entries: limits.max_entries, bytes }
    }

    /// Notes an entry that is evicted in that it is not copied.
    fn leave_out(&mut self) {
        self.met += 1;
        self.new.session.count(Count::Evictions, 1);
    }

    /// The slots that name records in these segments, in their order in the log, with the number of the segment
    /// among these.
    fn slots(&self, batch: &[OldSegment]) -> Vec<(usize, Slot)> {
        let store = &self.old.session.store;
        let mut numbers = vec![usize::MAX; usize::from(TABLE_SEGMENTS)];
        for (number, aged) in batch.iter().enumerate() {
            numbers[usize::from(aged.segment.get())] = number;
        }
        let slots = store.index().live().map(|found| found.slot);
        let in_batch = slots.filter_map(|slot| {
            let (segment, _) = store.geometry.locate(slot.address())?;
            let number = numbers[usize::from(segment.get())];
            (number != usize::MAX).then_some((number, slot))
        });
        let mut slots: Vec<(usize, Slot)> = in_batch.collect();
        slots.sort_unstable_by_key(|(number, slot)| (*number, slot.address().bytes()));
        slots
    }

    /// Copies the entry that a slot names, if it is one.
    fn entry(&mut self, slot: Slot, queue: Queue) -> Result<()> {
        let Session { store, .. } = &self.old.session;
        let Some(record) = store.record(slot) else {
            self.met += 1;
            return Ok(());
        };
        if !record.is_current(store.cleared(), || self.old.session.now()) {
            return Ok(());
        }
        self.met += 1;
        self.bytes.clear();
        if !record.read_all(store, &mut self.bytes) {
            return Ok(());
        }
        let key = record.key_in(&self.bytes);
        let value = &self.bytes[usize::from(record.shape.metadata) + key.len()..];
        if slot.is_duplicate() && !is_newest(&self.old.session, slot, key)? {
            self.met -= 1;
            return Ok(());
        }
        let prepared = match self.new.prepare(key, value) {
            Err(error) if error.kind() == ErrorKind::TooLarge => {
                self.new.session.count(Count::Evictions, 1);
                return Ok(());
            }
            prepared => prepared?,
        };
        let attributes = Attributes { created: record.created, expiry: record.expiry, lsn: None };
        let copied = Copied { attributes, queue, frequency: slot.frequency() };
        self.new.put_copy(&mut self.writer, &prepared, copied)
    }
}

/// Whether a slot names the newest version of its key.
fn is_newest(session: &Session, slot: Slot, key: &[u8]) -> Result<bool> {
    let newest = entries::locate(session, session.store.hash(key), key)?.entry;
    Ok(newest.is_some_and(|(found, _)| found.slot.names_same(slot)))
}

/// The segments in use, the one that was taken first comes first.
fn by_age(store: &Store) -> Vec<OldSegment> {
    let mut hot = vec![0; usize::from(TABLE_SEGMENTS)];
    for slot in store.index().live().map(|found| found.slot).filter(|slot| slot.frequency() > 0) {
        if let Some((segment, _)) = store.geometry.locate(slot.address()) {
            hot[usize::from(segment.get())] += 1;
        }
    }
    let aged = |segment: SegmentId| {
        let live = store.live(segment);
        Some(OldSegment {
            order: store.row(segment, ORDER),
            segment,
            queue: store.state(segment)?.queue,
            // At least those that were found, whatever the row says.
            entries: u64::from(live.count).max(hot[usize::from(segment.get())]),
            hot: hot[usize::from(segment.get())],
            bytes: u64::from(live.units) * UNIT,
            tail: u64::from(store.tail(segment)) * UNIT,
        })
    };
    let mut segments: Vec<OldSegment> = store.segments().filter_map(aged).collect();
    segments.sort_unstable_by_key(|aged| (aged.order, aged.segment.get()));
    segments
}
