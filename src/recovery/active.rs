//! The segments that took chunks when another boot ended: they go on doing so.
//!
//! Were they sealed, a store whose segments are all in use would have nowhere to move a record to,
//! and would evict what lives. So such a segment keeps its generation, and its tail moves back behind
//! what slots name: what a lost move had written there is room again. Bytes behind the tail are wiped,
//! for they would pass for records of what comes there next.

use crate::format::address::{Generation, SegmentId, UNIT};
use crate::format::intent::WordAt;
use crate::format::segment::{Queue, State, StateWord, decode_chunk, encode_chunk};
use crate::format::slot::Slot;
use crate::session::Medium;
use crate::store::Store;
use crate::sys::words::Words;

/// Zeros that are written at once.
const WIPED_AT_ONCE: usize = 4096;

/// The active segment of a queue as another boot left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Active {
    /// Which segment.
    pub segment: SegmentId,
    /// Of which queue.
    pub queue: Queue,
    generation: Generation,
    /// Units from its start to where its chunks cannot be followed any further.
    chain: u32,
    /// Units from its start to the end of the last record beyond the chain, or to the start of the
    /// last one within it, that a slot names.
    named: u32,
    /// The slot that names the last record within the chain, and where that begins.
    last: Option<(u32, Slot)>,
    /// Whether a record is where the chain ends, so that the chain is damaged.
    damaged: bool,
}

/// The active segments that a store was left with: one a queue.
pub fn find(store: &Store) -> Vec<Active> {
    let mut known: Vec<Active> = Vec::new();
    for segment in store.segments() {
        let state = store
            .any_state(segment)
            .filter(|state| state.state == State::Active)
            .filter(|state| (1..=store.geometry.segment_bytes()).contains(&state.allocated));
        let Some(state) = state else { continue };
        // Two that are active in one queue: the sealing of the older one was lost with the power.
        let is_known = known.iter().any(|active| active.queue == state.queue);
        // It is read and written as a whole, so none of it may be a hole on a disk that is full.
        let start = WordAt::log(store.geometry.segment_start(segment));
        if is_known || store.words.allocate(start, state.allocated).is_err() {
            continue;
        }
        let StateWord { generation, queue, .. } = state;
        let chain = follow(store, segment, state, u32::MAX);
        let (named, last, damaged) = (0, None, false);
        known.push(Active { segment, queue, generation, chain, named, last, damaged });
    }
    known
}

/// Where the chunk ends that `until` units lie in, or the chunks before it if it cannot be reached.
fn follow(store: &Store, segment: SegmentId, state: StateWord, until: u32) -> u32 {
    let allocated = (state.allocated / UNIT) as u32;
    let mut end = 0;
    while end < until.min(allocated) {
        let address = store.geometry.address(segment, end);
        let at = WordAt::log(address.bytes());
        let header = [store.load(at), store.load(at.plus(1))];
        let checker = store.geometry.checker(address, state.generation);
        let units = decode_chunk(checker, state.generation, header);
        match units.filter(|&units| units <= allocated - end) {
            Some(units) => end += units,
            None => break,
        }
    }
    end
}

impl Active {
    /// Whether a slot names nothing: a place beyond the chunks where no record is. It was stored
    /// after the last sync, and what it names did not reach the disk. `place` is what it names.
    #[inline]
    pub fn is_void(&self, store: &Store, slot: Slot, place: (SegmentId, u64)) -> bool {
        self.unit_of(place).is_some_and(|unit| unit >= self.chain) && store.record(slot).is_none()
    }

    /// Takes note of a slot that stays; `place` is what it names.
    #[inline]
    pub fn note(&mut self, store: &Store, slot: Slot, place: (SegmentId, u64)) {
        let Some(unit) = self.unit_of(place) else { return };
        self.damaged |= unit == self.chain;
        let end = if unit < self.chain {
            let known = self.last.filter(|(known, _)| *known >= unit);
            self.last = known.or(Some((unit, slot)));
            unit + 1
        } else {
            unit + store.record(slot).map_or(1, |record| record.units())
        };
        self.named = self.named.max(end);
    }

    /// Whether the last record within the chain ends beyond it: a chunk's header says too little.
    fn is_cut_short(&self, store: &Store) -> bool {
        self.last.is_some_and(|(unit, slot)| {
            store.record(slot).is_some_and(|record| unit + record.units() > self.chain)
        })
    }

    /// Units from the start to a place, if that is in this segment.
    #[inline]
    fn unit_of(&self, (segment, within): (SegmentId, u64)) -> Option<u32> {
        (segment == self.segment).then_some((within / UNIT) as u32)
    }

    /// Makes the segment ready to go on, once all slots that stay were noted; its tail in units.
    /// `None`: it is as good as full, or damaged.
    pub fn go_on(&self, store: &Store) -> Option<u32> {
        let state = store.any_state(self.segment)?;
        let allocated = (state.allocated / UNIT) as u32;
        let tail = if self.named <= self.chain {
            follow(store, self.segment, state, self.named)
        } else {
            self.named.min(allocated)
        };
        if tail >= store.geometry.segment_units() || self.damaged || self.is_cut_short(store) {
            return None;
        }
        // On a disk that is full it may be allocated, and still take blocks when it is written.
        let start = store.geometry.segment_start(self.segment);
        let from = u64::from(tail.min(self.chain)) * UNIT;
        let behind = state.allocated.saturating_sub(from);
        if store.words.populate(WordAt::log(start + from), behind).is_err() {
            return None;
        }
        if tail > self.chain {
            // One chunk for all that lies beyond the chain, so that walks can pass it.
            let address = store.geometry.address(self.segment, self.chain);
            let checker = store.geometry.checker(address, self.generation);
            let header = encode_chunk(checker, self.generation, tail - self.chain);
            let at = WordAt::log(address.bytes());
            store.words.store(at, header[0]);
            store.words.store(at.plus(1), header[1]);
        }
        wipe(store, start + u64::from(tail) * UNIT, start + state.allocated);
        Some(tail)
    }
}

/// Fills a range of the log with zeros.
fn wipe(store: &Store, mut from: u64, until: u64) {
    while from < until {
        let length = (until - from).min(WIPED_AT_ONCE as u64);
        store.words.write(WordAt::log(from), &[0; WIPED_AT_ONCE][..length as usize]);
        from += length;
    }
}
