//! What a cache says of itself, and the upkeep that one may ask for.

use super::handle::FileCache;
use super::process::Process;
use crate::error::Result;
use crate::format::address::{Millis, UNIT};
use crate::format::control;
use crate::format::segment::State;
use crate::reclaim;
use crate::session::counters::{self, COUNTS, Count};
use crate::store::Store;
use crate::sys::words::Words;

/// A cache in numbers: of the store, over all its processes, since its creation.
///
/// Counters of other processes lag by up to some hundred; the rest is exact when it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Entries, as [`FileCache::len`].
    pub entries: u64,
    /// The most entries (`u64::MAX`: no limit).
    pub max_entries: u64,
    /// The most bytes of disk.
    pub max_bytes: u64,
    /// Default time to live in milliseconds; `None`: forever.
    pub time_to_live_ms: Option<u64>,
    /// Bytes of live records, with their headers.
    pub live_bytes: u64,
    /// Bytes of the log in use, live or dead.
    pub used_bytes: u64,
    /// Bytes of disk allocated to the log's segments, in use or free.
    pub log_bytes: u64,
    /// Bytes of disk of the index.
    pub index_bytes: u64,
    /// Segments in use.
    pub segments_used: u64,
    /// Segments that the log has room for.
    pub segments: u64,
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Entries stored.
    pub inserts: u64,
    /// Entries removed by their key.
    pub removes: u64,
    /// Live entries dropped for want of room.
    pub evictions: u64,
    /// Expired and cleared entries collected.
    pub expirations: u64,
    /// Entries copied by compaction and eviction.
    pub moves: u64,
    /// Bytes of records written by puts.
    pub bytes_put: u64,
    /// Bytes of records written by moves.
    pub bytes_moved: u64,
    /// Records that failed their checks when they were read.
    pub damaged: u64,
    /// Computed values that could not be stored.
    pub unstored: u64,
    /// Views that had to be copies.
    pub view_copies: u64,
    /// Syncs completed.
    pub syncs: u64,
    /// Failures of upkeep after an entry was stored; [`FileCache::maintain`] tells what they were.
    pub upkeep_errors: u64,
}

/// What upkeep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Maintenance {
    /// Expired and cleared entries collected.
    pub collected: u64,
    /// Live entries evicted to keep room for the next puts.
    pub evicted: u64,
    /// Entries moved.
    pub moved: u64,
    /// Segments that can be taken now and could not before.
    pub segments_freed: u64,
}

impl FileCache {
    /// The cache in numbers. Reads some words a segment and a process.
    pub fn stats(&self) -> Stats {
        let Ok(process) = self.process() else { return Stats::default() };
        let mut stats = process.sizes();
        stats.entries = self.len();
        let totals = process.totals();
        let count = |count: Count| totals[count as usize];
        stats.hits = count(Count::Hits);
        stats.misses = count(Count::Misses);
        stats.inserts = count(Count::Inserts);
        stats.removes = count(Count::Removes);
        stats.evictions = count(Count::Evictions);
        stats.expirations = count(Count::Expirations);
        stats.moves = count(Count::Moves);
        stats.bytes_put = count(Count::BytesPut);
        stats.bytes_moved = count(Count::BytesMoved);
        stats.damaged = count(Count::Damaged);
        stats.unstored = count(Count::Unstored);
        stats.view_copies = count(Count::ViewCopies);
        stats.syncs = count(Count::Syncs);
        stats.upkeep_errors = count(Count::UpkeepErrors);
        stats
    }

    /// Does all upkeep that is due, so that puts have none to do: collects all that expired or was
    /// cleared, frees segments ahead, and syncs where durability asks for it. For idle moments.
    ///
    /// Costs one look at each segment, and where something has expired in one, a look at the header, key and
    /// slot of each of its records: some 100 ns a record in memory. Values are not read. Other threads of the process
    /// wait with their writes meanwhile; other processes do not.
    ///
    /// # Errors
    ///
    /// `Busy`, `ReadOnly`, `Io`; and, once all is done, the first error that upkeep met after a put since
    /// the last call, which that put did not return because its entry was stored.
    pub fn maintain(&self) -> Result<Maintenance> {
        let process = self.process()?;
        let report = process.reporting(|| {
            let mut writer = process.writer();
            reclaim::maintain(&process.session, &mut writer, &process.shared.suspicion).map(|()| 0)
        })?;
        if process.is_sync_due() {
            process.sync()?;
        }
        process.keep_files()?;
        process.shared.deferred.take().map_or(Ok(report), Err)
    }

    /// Compacts all segments with dead space, so that as much as possible is free. Evicts nothing
    /// that has room. Rewrites up to the whole cache: puts do as much of it as they need by
    /// themselves.
    ///
    /// # Errors
    ///
    /// `Busy`, `ReadOnly`, `Io`.
    pub fn compact(&self) -> Result<Maintenance> {
        let process = self.process()?;
        let session = &process.session;
        process.reporting(|| {
            let mut writer = process.writer();
            process.shared.suspicion.take();
            reclaim::repair(session)?;
            reclaim::maintain(session, &mut writer, &process.shared.suspicion)?;
            reclaim::compact_all(session, &mut writer)
        })
    }
}

impl Process {
    /// Lets the statistics of a new store begin with those of the one that it is a copy of.
    pub fn go_on_counting_from(&self, old: &Process) -> Result<()> {
        let Store { words, geometry } = &self.session.store;
        let me = self.session.attachment()?.process;
        for (number, total) in (0..).zip(old.totals()) {
            words.store(geometry.statistic_at(me, number), total);
        }
        Ok(())
    }

    fn totals(&self) -> [u64; COUNTS] {
        self.session.flush_counters();
        let own = self.session.counters.pending();
        let mut totals = counters::totals(&self.session.store);
        for (total, own) in totals.iter_mut().zip(own) {
            *total = total.wrapping_add(own);
        }
        totals
    }

    fn reporting(&self, work: impl FnOnce() -> Result<u64>) -> Result<Maintenance> {
        self.session.attachment()?;
        let before = self.totals();
        let segments_freed = work()?;
        let after = self.totals();
        let more = |count: Count| after[count as usize].wrapping_sub(before[count as usize]);
        Ok(Maintenance {
            collected: more(Count::Expirations),
            evicted: more(Count::Evictions),
            moved: more(Count::Moves),
            segments_freed,
        })
    }

    /// Limits and sizes.
    pub fn sizes(&self) -> Stats {
        let store = &self.session.store;
        let ttl = store.load(control::DEFAULT_TTL);
        let mut stats = Stats {
            max_entries: store.load(control::MAX_ENTRIES),
            max_bytes: store.load(control::MAX_BYTES),
            time_to_live_ms: (ttl < Millis::NEVER.get()).then_some(ttl),
            index_bytes: store.load(control::INDEX_GRANTED),
            segments: u64::from(store.segment_count()),
            segment_bytes: store.geometry.segment_bytes(),
            ..Stats::default()
        };
        for segment in store.segments() {
            let Some(state) = store.state(segment) else { continue };
            stats.log_bytes += state.allocated;
            if state.state != State::Free {
                stats.segments_used += 1;
                stats.live_bytes += u64::from(store.live(segment).units) * UNIT;
                stats.used_bytes += u64::from(store.tail(segment)) * UNIT;
            }
        }
        stats
    }
}
