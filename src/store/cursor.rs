//! Going over a segment: from chunk to chunk, from record to record.
//!
//! A cursor trusts nothing unchecked: a record's lengths carry a check, and the first header that
//! fails it ends its chunk; a chunk header that fails ends the segment.

use super::readings::Store;
use super::records::Spot;
use crate::format::address::{Generation, SegmentId, UNIT};
use crate::format::intent::WordAt;
use crate::format::record::Shape;
use crate::format::segment::decode_chunk;
use crate::sys::words::Words;

/// Of a log larger than memory so much is read at a time (256 KiB).
const WINDOW_UNITS: u32 = (256 << 10) / UNIT as u32;
/// A chunk header is read this often before it counts as damaged.
const HEADER_TRIES: u32 = 64;

impl<W: Words> Store<W> {
    /// The generation in which a segment's first chunk was last begun, by the chunk's own header.
    pub fn newest_generation(&self, segment: SegmentId) -> Option<Generation> {
        let address = self.geometry.address(segment, 0);
        let at = WordAt::log(address.bytes());
        let header = [self.load(at), self.load(at.plus(1))];
        let generation = Generation::new(header[0] as u32);
        let checker = self.geometry.checker(address, generation);
        decode_chunk(checker, generation, header).map(|_| generation)
    }
}

/// A position in a segment, on the way from record to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The segment.
    pub segment: SegmentId,
    /// Its generation.
    pub generation: Generation,
    /// Units from its start to the next record or chunk header.
    pub position: u32,
    /// Units from its start to the start of the chunk.
    chunk_start: u32,
    /// Units from its start to the end of the chunk; equal to `position` between chunks.
    chunk_end: u32,
}

impl Cursor {
    /// At the start of a segment.
    pub fn start(segment: SegmentId, generation: Generation) -> Self {
        Self { segment, generation, position: 0, chunk_start: 0, chunk_end: 0 }
    }

    /// At a position that another cursor in the same generation came to. Its chunk is found by going
    /// over those before it.
    pub fn resume(
        store: &Store<impl Words>,
        segment: SegmentId,
        generation: Generation,
        position: u32,
    ) -> Self {
        let mut cursor = Self::start(segment, generation);
        while cursor.chunk_end < position {
            cursor.position = cursor.chunk_end;
            if cursor.position >= store.tail(segment) || !cursor.enter_chunk(store) {
                break;
            }
        }
        cursor.position = position;
        cursor.chunk_end = cursor.chunk_end.max(position);
        if store.is_beyond_memory() {
            cursor.bring(store, position, (position / WINDOW_UNITS + 2) * WINDOW_UNITS);
        }
        cursor
    }

    /// The next record, whatever it is; `None` at the end.
    pub fn next(&mut self, store: &Store<impl Words>) -> Option<(Spot, Shape)> {
        loop {
            if self.position == self.chunk_end
                && (self.position >= store.tail(self.segment) || !self.enter_chunk(store))
            {
                return None;
            }
            match self.record(store) {
                Some((spot, shape)) => {
                    let from = self.position;
                    self.position += (shape.footprint() / UNIT) as u32;
                    if store.is_beyond_memory() {
                        self.bring_ahead(store, from);
                    }
                    return Some((spot, shape));
                }
                None => {
                    // Its process may have closed, and given the rest of the chunk back.
                    let end = self.end_of_chunk(store, self.chunk_start);
                    self.chunk_end = end.map_or(self.chunk_end, |end| end.max(self.position));
                    self.position = self.chunk_end;
                }
            }
        }
    }

    /// Where the record that began at `from` leads into another window, asks the device for the one behind that:
    /// so the log is read in order.
    #[cold]
    fn bring_ahead(&self, store: &Store<impl Words>, from: u32) {
        let (before, now) = (from / WINDOW_UNITS, self.position / WINDOW_UNITS);
        if from <= 1 {
            self.bring(store, 0, (now + 2) * WINDOW_UNITS);
        } else if now != before {
            self.bring(store, (before + 2) * WINDOW_UNITS, (now + 2) * WINDOW_UNITS);
        }
    }

    /// Asks the device for a part of the segment, as far as it is allocated.
    fn bring(&self, store: &Store<impl Words>, from: u32, to: u32) {
        let allocated = store.any_state(self.segment).map_or(0, |state| state.allocated) / UNIT;
        let to = u64::from(to).min(allocated);
        if let Some(units) = to.checked_sub(from.into()).filter(|units| *units > 0) {
            let at = WordAt::log(store.geometry.address(self.segment, from).bytes());
            store.words.bring(at, units * UNIT);
        }
    }

    fn record(&self, store: &Store<impl Words>) -> Option<(Spot, Shape)> {
        let address = store.geometry.address(self.segment, self.position);
        let mut spot = store.spot_at(address)?;
        if spot.generation != self.generation || spot.segment != self.segment {
            return None;
        }
        spot.room = spot.room.min(u64::from(self.chunk_end - self.position) * UNIT);
        let shape = store.shape(spot)?;
        Some((spot, shape))
    }

    /// Goes behind the chunk header at the position; `false` if there is none.
    fn enter_chunk(&mut self, store: &Store<impl Words>) -> bool {
        let Some(end) = self.end_of_chunk(store, self.position) else { return false };
        self.chunk_start = self.position;
        self.chunk_end = end;
        self.position += 1;
        true
    }

    /// Where the chunk that begins at `start` ends, by its header.
    fn end_of_chunk(&self, store: &Store<impl Words>, start: u32) -> Option<u32> {
        let allocated = store.any_state(self.segment).map_or(0, |state| state.allocated) / UNIT;
        if u64::from(start) >= allocated {
            return None; // Not even looked at: on tmpfs that would allocate.
        }
        let address = store.geometry.address(self.segment, start);
        let at = WordAt::log(address.bytes());
        let checker = store.geometry.checker(address, self.generation);
        // A process that closes may be shortening the chunk, between the header's two words.
        let read = |_| {
            let header = [store.load(at), store.load(at.plus(1))];
            decode_chunk(checker, self.generation, header)
        };
        let units = (0..HEADER_TRIES).find_map(read)?;
        (u64::from(start) + u64::from(units) <= allocated).then(|| start + units)
    }
}
