//! Room in the log, and writing into it.
//!
//! A process reserves a chunk at a time by a transaction and then lays records in it one after the
//! other, without one. Each record's header is in place, uncommitted, before the next begins. A
//! record that would waste much of a chunk gets a chunk of its own.

use super::ground::{Decision, Ground};
use super::pins::{self, Writing};
use super::read::Spot;
use super::take::Takeable;
use crate::error::{ErrorKind, Result};
use crate::format::intent::WordAt;
use crate::format::place::{Address, Generation, Lsn, Millis, SegmentId, UNIT};
use crate::format::record::{self, COMMITTED_AT, HEADER_BYTES, PAYLOAD_AT, Shape};
use crate::format::segment::{Label, State, TAIL, encode_chunk};
use crate::sys::words::Words;
use crate::transaction::Changes;

/// Largest chunk that is reserved for small records, in units (64 KiB).
const CHUNK_UNITS: u32 = 4096;
/// The first chunk of a process (4 KiB): each further one is twice as large, so that processes that write
/// little leave little unused.
const FIRST_CHUNK_UNITS: u32 = 256;
/// A chunk is this part of a segment at most.
const CHUNKS_A_SEGMENT: u32 = 16;
/// A record larger than this part of a chunk gets one of its own.
const RECORDS_A_CHUNK: u32 = 16;
/// At most so many bytes behind a record are asked for ahead of the next: a record of 1 KiB.
const AHEAD: u64 = 17 * 64;
/// Pages are faulted in this far ahead.
const POPULATE_STEP: u64 = 512 << 10;

/// A process's open chunks.
#[derive(Debug, Default)]
pub struct Chunks {
    open: [Option<Chunk>; 2],
    /// How often each was reserved.
    reserved: [u32; 2],
    populated: [Option<(SegmentId, Generation, u64)>; 2],
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    segment: SegmentId,
    generation: Generation,
    start: u32,
    next: u32,
    end: u32,
}

/// What a record holds beside its key and value.
#[derive(Clone, Copy, Debug)]
pub struct Stamps {
    /// Creation, seconds since the epoch.
    pub created: u32,
    /// When it expires.
    pub expiry: Millis,
    /// The transaction that published it, if it is written committed: a moved copy of a store that
    /// syncs.
    pub lsn: Option<Lsn>,
}

impl Ground {
    /// Room for a record of `units` in a queue. The segment is pinned by the process's `which` word
    /// until [`Ground::written`]. The last free segment is taken only if `last` is set. `None`: there
    /// is no room now.
    #[inline]
    pub fn reserve(
        &self,
        chunks: &mut Chunks,
        label: Label,
        which: Writing,
        units: u32,
        last: bool,
    ) -> Result<Option<Spot>> {
        let me = self.attachment()?.slot;
        let usual = (self.geometry.segment_units() / CHUNKS_A_SEGMENT).min(CHUNK_UNITS);
        loop {
            let own = units > usual / RECORDS_A_CHUNK;
            let open = if own { None } else { chunks.open[label as usize] };
            let mut chunk = match open.filter(|chunk| chunk.end - chunk.next >= units) {
                Some(chunk) => chunk,
                None => {
                    let times = chunks.reserved[label as usize].min(16);
                    // Where nothing is free, what is left is for what a walk has to move: no process
                    // keeps more of it than a record, least of all one that is killed.
                    let scarce = which == Writing::Move && !self.is_any_free(units + 1);
                    let exact = own || scarce;
                    let want = if exact { 0 } else { usual.min(FIRST_CHUNK_UNITS << times) };
                    let want = want.max(units + 1);
                    match self.reserve_chunk(chunks, label, units + 1, want, last)? {
                        Some(chunk) => chunk,
                        None => return Ok(None),
                    }
                }
            };
            let Chunk { segment, generation, .. } = chunk;
            if !pins::begin_writing(&self.memory, &self.geometry, me, which, segment, generation) {
                if !own {
                    chunks.open[label as usize] = None;
                }
                continue;
            }
            let address = self.geometry.address(segment, chunk.next);
            chunk.next += units;
            if !own {
                if open.is_none_or(|open| open.start != chunk.start) {
                    chunks.reserved[label as usize] += 1;
                }
                chunks.open[label as usize] = Some(chunk);
            }
            let room = u64::from(units) * UNIT;
            // For the next one, which will be much like this one: locks wait until what was stored before
            // has its lines.
            self.memory.log.prefetch(address.bytes() + room, room.min(AHEAD));
            return Ok(Some(Spot { segment, generation, address, room }));
        }
    }

    fn is_any_free(&self, units: u32) -> bool {
        self.segments().any(|id| self.takeable(id, units) == Takeable::Now)
    }

    /// Says that nothing more is written at what was reserved.
    pub fn written(&self, which: Writing) {
        if let Some(me) = &self.attachment {
            pins::end_writing(&self.memory, &self.geometry, me.slot, which);
        }
    }

    /// Reserves a chunk of `want` units, or of what is left if that is at least `need`.
    #[inline(never)]
    fn reserve_chunk(
        &self,
        chunks: &mut Chunks,
        label: Label,
        need: u32,
        want: u32,
        last: bool,
    ) -> Result<Option<Chunk>> {
        loop {
            let Some((segment, generation, tail)) = self.open_head(label) else {
                match self.take(label, need, last)? {
                    true => continue,
                    false => return Ok(None),
                }
            };
            let left = self.left_in(segment, tail);
            if left < need {
                match self.take(label, need, last)? {
                    true => continue,
                    false => return Ok(None),
                }
            }
            let units = want.min(left);
            let end = tail + units;
            if !self.allocate(segment, generation, u64::from(end) * UNIT)? {
                continue; // The disk counts as full now.
            }
            if !self.populate(chunks, label, segment, generation, tail, end)? {
                return Ok(None);
            }
            let reserved = self.transact(|_, changes| {
                if self.open_head(label) != Some((segment, generation, tail)) {
                    return Decision::Leave(false);
                }
                self.set_chunk(changes, segment, generation, tail, units);
                changes.set(self.geometry.row_at(segment, TAIL), u64::from(end));
                Decision::Commit(true)
            })?;
            if reserved {
                return Ok(Some(Chunk { segment, generation, start: tail, next: tail + 1, end }));
            }
        }
    }

    /// Units behind the tail of a segment that chunks can be had from.
    pub fn left_in(&self, segment: SegmentId, tail: u32) -> u32 {
        let usable = if self.is_disk_full() {
            self.state(segment).map_or(0, |state| (state.allocated / UNIT) as u32)
        } else {
            self.geometry.segment_units()
        };
        usable.saturating_sub(tail)
    }

    /// Gives what is left of the open chunks back, where nothing was reserved behind them: for a process
    /// that closes. An error costs that space until the segment is reclaimed.
    pub fn give_chunks_back(&self, chunks: &mut Chunks) {
        for (label, open) in [Label::Probation, Label::Main].into_iter().zip(&mut chunks.open) {
            let Some(chunk) = open.take() else { continue };
            let Chunk { segment, generation, start, next, end } = chunk;
            let _ = self.transact(|_, changes| {
                if next == end || self.open_head(label) != Some((segment, generation, end)) {
                    return Decision::Leave(());
                }
                let tail = if next == start + 1 { start } else { next };
                if tail > start {
                    self.set_chunk(changes, segment, generation, start, tail - start);
                }
                changes.set(self.geometry.row_at(segment, TAIL), u64::from(tail));
                Decision::Commit(())
            });
        }
    }

    /// Adds a chunk's header to `changes`.
    fn set_chunk(
        &self,
        changes: &mut Changes,
        segment: SegmentId,
        generation: Generation,
        start: u32,
        units: u32,
    ) {
        let address = self.geometry.address(segment, start);
        let checker = self.geometry.checker(address, generation);
        let header = encode_chunk(checker, generation, units);
        let at = WordAt::log(address.bytes());
        changes.set(at, header[0]);
        changes.set(at.plus(1), header[1]);
    }

    /// A queue's head with its generation and tail, if chunks can be reserved in it.
    fn open_head(&self, label: Label) -> Option<(SegmentId, Generation, u32)> {
        let segment = self.head(label)?;
        let state = self.state(segment)?;
        let tail = u32::try_from(self.row(segment, TAIL)).ok()?;
        (state.state == State::Active && tail <= self.geometry.segment_units()).then_some((
            segment,
            state.generation,
            tail,
        ))
    }

    /// Faults pages in ahead of the tail; `false` if the disk is full all the same.
    fn populate(
        &self,
        chunks: &mut Chunks,
        label: Label,
        segment: SegmentId,
        generation: Generation,
        tail: u32,
        end: u32,
    ) -> Result<bool> {
        let populated = &mut chunks.populated[label as usize];
        let (from, to) = (u64::from(tail) * UNIT, u64::from(end) * UNIT);
        let done = match *populated {
            Some((of, at, until)) if of == segment && at == generation => until,
            _ => from,
        };
        if to <= done {
            return Ok(true);
        }
        let allocated = self.state(segment).map_or(0, |state| state.allocated);
        let until = to.max(from + POPULATE_STEP).min(allocated);
        let start = self.geometry.segment_start(segment) + done;
        match self.memory.log.populate(start, until.saturating_sub(done)) {
            Ok(()) => {
                *populated = Some((segment, generation, until));
                Ok(true)
            }
            Err(error) => {
                let error = self.log_error("cannot fault pages in", error);
                if error.kind() == ErrorKind::Full { Ok(false) } else { Err(error) }
            }
        }
    }

    /// Writes a record at what was reserved: the header first, uncommitted unless `stamps` has an
    /// LSN.
    pub fn write(&self, spot: Spot, shape: Shape, stamps: Stamps, parts: [&[u8]; 3]) {
        let checker = self.geometry.checker(spot.address, spot.generation);
        let [word0, word1] = shape.encode(checker, spot.generation.get());
        let crc = checker.payload(word0, stamps.created, parts);
        let at = WordAt::log(spot.address.bytes());
        let words = &self.memory;
        // What says that there is a record comes last: until then it is none, rather than one that an
        // older one's words in its place commit.
        let payload = record::encode_payload(crc, stamps.created);
        let expiry = record::encode_expiry(checker, stamps.expiry);
        words.store_all(at.plus(PAYLOAD_AT / 8), &[payload, 0, expiry]);
        words.store_all(at, &[word0, word1]);
        let mut offset = spot.address.bytes() + HEADER_BYTES;
        for part in parts {
            words.log.write(offset, part);
            offset += part.len() as u64;
        }
        if let Some(lsn) = stamps.lsn {
            words.store(at.plus(COMMITTED_AT / 8), record::encode_committed(checker, lsn));
        }
    }

    /// Where a record's committed word is.
    pub fn committed_at(address: Address) -> WordAt {
        WordAt::log(address.bytes() + COMMITTED_AT)
    }
}
