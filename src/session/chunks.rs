//! Room in the log: chunks, reserved by a transaction and then filled without one.
//!
//! A process reserves a chunk at a time and lays records in it one after the other. Each record's
//! header is in place, uncommitted, before the next begins. A record that would waste much of a chunk
//! gets a chunk of its own.

use super::attached::{Decision, Session};
use super::medium::Medium;
use super::pins::{self, Writing};
use super::take::Takeable;
use crate::error::Result;
use crate::format::address::{Generation, SegmentId, UNIT};
use crate::format::intent::WordAt;
use crate::format::segment::{Queue, State, TAIL, encode_chunk};
use crate::store::Spot;
use crate::transaction::{Changes, Liveness};

/// Largest chunk that is reserved for small records, in units (64 KiB).
const CHUNK_UNITS: u32 = 4096;
/// The first chunk of a process (4 KiB): each further one is twice as large, so that processes that write
/// little leave little unused.
const FIRST_CHUNK_UNITS: u32 = 256;
/// A chunk for small records is at most this part of a segment.
const CHUNKS_A_SEGMENT: u32 = 16;
/// A record larger than this part of a chunk gets one of its own.
const RECORDS_A_CHUNK: u32 = 16;
/// At most so many bytes behind a record are prefetched for the next one: those of a record of 1 KiB.
const AHEAD: u64 = 17 * 64;
/// Pages are faulted in this far ahead.
const POPULATE_STEP: u64 = 512 << 10;

/// A process's open chunks, one a queue.
#[derive(Debug, Default)]
pub struct Chunks {
    open: [Option<Chunk>; 2],
    /// Segments that are free, as upkeep saw them last; none as soon as the segment that puts fill runs out
    /// on a full disk.
    pub free: u64,
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

/// Room that is wanted for a record.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// In which queue.
    pub queue: Queue,
    /// For a put or for a move.
    pub which: Writing,
    /// Units of the record.
    pub units: u32,
    /// Whether the last free segment may be taken.
    pub last: bool,
}

/// The end of what is reserved in an active segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tail {
    segment: SegmentId,
    generation: Generation,
    /// Units from the segment's start.
    units: u32,
}

impl<M: Medium, L: Liveness> Session<M, L> {
    /// Room for a record. The segment is pinned by the process's writing word until
    /// [`Session::written`]. `None`: there is no room now.
    #[inline]
    pub fn reserve(&self, chunks: &mut Chunks, wanted: Wanted) -> Result<Option<Spot>> {
        let me = self.attachment()?.process;
        let Wanted { queue, which, units, .. } = wanted;
        let own = units > self.usual_chunk() / RECORDS_A_CHUNK;
        loop {
            let open = if own { None } else { chunks.open[queue as usize] };
            let mut chunk = match open.filter(|chunk| chunk.end - chunk.next >= units) {
                Some(chunk) => chunk,
                None => match self.new_chunk(chunks, wanted, own)? {
                    Some(chunk) => chunk,
                    None => return Ok(None),
                },
            };
            let Chunk { segment, generation, .. } = chunk;
            if !pins::begin_writing(&self.store, me, which, segment, generation) {
                if !own {
                    chunks.open[queue as usize] = None;
                }
                continue;
            }
            let address = self.store.geometry.address(segment, chunk.next);
            chunk.next += units;
            if !own {
                if open.is_none_or(|open| open.start != chunk.start) {
                    chunks.reserved[queue as usize] += 1;
                }
                chunks.open[queue as usize] = Some(chunk);
            }
            let room = u64::from(units) * UNIT;
            // For the next record, which will be much like this one: a locked instruction waits until what
            // was stored before it has its lines.
            self.store.words.prefetch(WordAt::log(address.bytes() + room), room.min(AHEAD));
            return Ok(Some(Spot { segment, generation, address, room, seen: 0 }));
        }
    }

    /// Says that nothing more is written at what was reserved.
    #[inline]
    pub fn written(&self, which: Writing) {
        if let Some(me) = &self.attachment {
            pins::end_writing(&self.store, me.process, which);
        }
    }

    /// Units behind the tail of a segment in which chunks can be reserved.
    pub fn left_in(&self, segment: SegmentId, tail: u32) -> u32 {
        ((self.usable(segment) / UNIT) as u32).saturating_sub(tail)
    }

    /// Gives what is left of the open chunks back, where nothing was reserved behind them: for a process
    /// that closes. An error costs that space until the segment is reclaimed.
    pub fn give_chunks_back(&self, chunks: &mut Chunks) {
        for (queue, open) in [Queue::Probation, Queue::Main].into_iter().zip(&mut chunks.open) {
            let Some(chunk) = open.take() else { continue };
            let Chunk { segment, generation, start, next, end } = chunk;
            let behind = Tail { segment, generation, units: end };
            let _ = self.transact(|_, changes| {
                if next == end || self.tail_of(queue) != Some(behind) {
                    return Decision::Leave(());
                }
                let tail = if next == start + 1 { start } else { next };
                if tail > start {
                    self.set_chunk(changes, Tail { units: start, ..behind }, tail - start);
                }
                changes.set(self.store.geometry.row_at(segment, TAIL), u64::from(tail));
                Decision::Commit(())
            });
        }
    }

    /// Units of the largest chunk that small records share.
    fn usual_chunk(&self) -> u32 {
        (self.store.geometry.segment_units() / CHUNKS_A_SEGMENT).min(CHUNK_UNITS)
    }

    /// A new chunk for what is wanted, which gets one of its `own` if it is large.
    fn new_chunk(&self, chunks: &mut Chunks, wanted: Wanted, own: bool) -> Result<Option<Chunk>> {
        let need = wanted.units + 1;
        // Where no segment is free, what room is left is for what a walk has to move. So no process keeps
        // more of it than a record takes: what a killed one had left over would be lost.
        let scarce = wanted.which == Writing::Move && !self.is_any_free(need);
        let times = chunks.reserved[wanted.queue as usize].min(16);
        let want = if own || scarce {
            need
        } else {
            self.usual_chunk().min(FIRST_CHUNK_UNITS << times).max(need)
        };
        self.reserve_chunk(chunks, wanted, need, want)
    }

    fn is_any_free(&self, units: u32) -> bool {
        self.store.segments().any(|id| self.takeable(id, units) == Takeable::Now)
    }

    /// Reserves a chunk of `want` units, or of what is left if that is at least `need`.
    #[inline(never)]
    fn reserve_chunk(
        &self,
        chunks: &mut Chunks,
        wanted: Wanted,
        need: u32,
        want: u32,
    ) -> Result<Option<Chunk>> {
        let Wanted { queue, last, .. } = wanted;
        if self.is_disk_full() {
            self.look_at_disk();
        }
        loop {
            let fitting = self
                .tail_of(queue)
                .map(|tail| (tail, self.left_in(tail.segment, tail.units)))
                .filter(|(_, left)| *left >= need);
            let Some((tail, left)) = fitting else {
                match self.take(queue, need, last)? {
                    true => continue,
                    false => return Ok(None),
                }
            };
            let end = tail.units + want.min(left);
            let written = self.store.state(tail.segment).map_or(0, |state| state.allocated);
            if !self.allocate(tail.segment, tail.generation, u64::from(end) * UNIT)? {
                continue; // The disk counts as full now.
            }
            if !self.populate(&mut chunks.populated[queue as usize], tail, end, written)? {
                continue; // And so much less of this segment can be used.
            }
            if self.move_tail(queue, tail, end)? {
                if self.is_disk_full() && self.is_running_out(tail.segment, end) {
                    chunks.free = 0;
                }
                let Tail { segment, generation, units: start } = tail;
                return Ok(Some(Chunk { segment, generation, start, next: start + 1, end }));
            }
        }
    }

    /// Whether little is left of a segment behind a tail in it: an eighth of what can be used.
    pub fn is_running_out(&self, segment: SegmentId, tail: u32) -> bool {
        u64::from(self.left_in(segment, tail)) * UNIT < self.usable(segment) / 8
    }

    /// Makes what is behind a tail a chunk up to `end`; `false` if the tail is no longer there.
    fn move_tail(&self, queue: Queue, tail: Tail, end: u32) -> Result<bool> {
        self.transact(|_, changes| {
            if self.tail_of(queue) != Some(tail) {
                return Decision::Leave(false);
            }
            self.set_chunk(changes, tail, end - tail.units);
            changes.set(self.store.geometry.row_at(tail.segment, TAIL), u64::from(end));
            Decision::Commit(true)
        })
    }

    /// Adds the header of a chunk of `units` at `start` to `changes`.
    fn set_chunk(&self, changes: &mut Changes, start: Tail, units: u32) {
        let Tail { segment, generation, units: at } = start;
        let address = self.store.geometry.address(segment, at);
        let checker = self.store.geometry.checker(address, generation);
        let header = encode_chunk(checker, generation, units);
        let at = WordAt::log(address.bytes());
        changes.set(at, header[0]);
        changes.set(at.plus(1), header[1]);
    }

    /// The tail of a queue's active segment, if chunks can be reserved in it.
    fn tail_of(&self, queue: Queue) -> Option<Tail> {
        let segment = self.store.active(queue)?;
        let state = self.store.state(segment)?;
        let units = u32::try_from(self.store.row(segment, TAIL)).ok()?;
        let fits = units <= self.store.geometry.segment_units();
        (state.state == State::Active && fits).then_some(Tail {
            segment,
            generation: state.generation,
            units,
        })
    }

    /// Faults pages in ahead of a tail, to `end` at least, as far as they were `written` before; what was
    /// allocated just now has been. `false` if the kernel refuses that: then the disk counts as full, and the
    /// segment is used no further.
    fn populate(
        &self,
        populated: &mut Option<(SegmentId, Generation, u64)>,
        tail: Tail,
        end: u32,
        written: u64,
    ) -> Result<bool> {
        let Tail { segment, generation, units } = tail;
        let (from, to) = (u64::from(units) * UNIT, u64::from(end) * UNIT);
        let done = match *populated {
            Some((of, at, until)) if of == segment && at == generation => until,
            _ => from,
        };
        if to <= done {
            return Ok(true);
        }
        let allocated = self.store.state(segment).map_or(0, |state| state.allocated);
        let start = WordAt::log(self.store.geometry.segment_start(segment) + done);
        let ahead = to.max(from + POPULATE_STEP).min(allocated);
        for until in [ahead, to] {
            let old = until.min(written).saturating_sub(done);
            match self.store.words.populate(start, old) {
                Ok(()) => {
                    // What is beyond was faulted in when it was allocated.
                    let until = if until < written { until } else { allocated };
                    *populated = Some((segment, generation, until));
                    self.disk.note_writable(segment, until);
                    return Ok(true);
                }
                Err(error) => {
                    let error = self.log_error("cannot fault pages in", error);
                    if !error.stops_growth() {
                        return Err(error);
                    }
                }
            }
        }
        self.note_disk_full();
        self.disk.note_written(segment, done);
        Ok(false)
    }
}
