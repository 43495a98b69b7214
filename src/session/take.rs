//! Segments put to use: taken by a queue in a new generation, and allocated step by step.
//!
//! A grant is a claim on the store's bytes: it is booked in the transaction that takes the segment,
//! before a byte is allocated, so that the bound holds at every moment.

use super::attached::{Decision, Session};
use super::counters::Count;
use super::medium::Medium;
use crate::error::Result;
use crate::format::address::{Generation, Millis, SegmentId, UNIT};
use crate::format::control;
use crate::format::intent::WordAt;
use crate::format::segment::{
    ALLOCATION_PAGE, BarrierStamp, FIRST_EXPIRY, GRANTED, LAST_EXPIRY, LIVE, ORDER, Queue, STAMP,
    State, TAIL,
};
use crate::store::{active_at, barrier, transitions};
use crate::transaction::{Changes, Liveness};

/// Allocation grows in steps from the first to the second.
const ALLOCATE_STEPS: (u64, u64) = (512 << 10, 2 << 20);

/// What a free segment is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeable {
    /// It can be taken now.
    Now,
    /// After the next sync.
    AfterSync,
    /// There is no room for it.
    Never,
}

impl<M: Medium, L: Liveness> Session<M, L> {
    /// Whether a segment can be taken for a record of `units`.
    pub fn takeable(&self, segment: SegmentId, units: u32) -> Takeable {
        let Some(state) = self.store.state(segment) else { return Takeable::Never };
        if state.state != State::Free {
            return Takeable::Never;
        }
        let fits = self.usable(segment) >= u64::from(units) * UNIT;
        if !fits || self.grant_for(segment).is_none() {
            return Takeable::Never;
        }
        if self.store.is_reusable(segment) { Takeable::Now } else { Takeable::AfterSync }
    }

    /// Takes a free segment for a queue, for a record of `units`. The last free one is kept for moves
    /// unless `last` is set. `false`: none can be had now.
    pub fn take(&self, queue: Queue, units: u32, last: bool) -> Result<bool> {
        let active = self.store.load(active_at(queue));
        let can = |&id: &SegmentId| self.takeable(id, units) == Takeable::Now;
        let mut free = self.store.segments().filter(can);
        // Those with the most space first: what is allocated already costs nothing.
        let most = free.clone().max_by_key(|&id| (self.written_bytes(id), std::cmp::Reverse(id)));
        let Some(segment) = most else { return Ok(false) };
        if !last && free.nth(1).is_none() {
            return Ok(false);
        }
        self.transact(|_, changes| {
            let as_seen = self.store.load(active_at(queue)) == active && can(&segment);
            if as_seen && self.set_taken(changes, segment, queue).is_some() {
                Decision::Commit(())
            } else {
                Decision::Leave(())
            }
        })?;
        self.count(Count::SegmentsTaken, 1);
        Ok(true)
    }

    /// Bytes of a segment, from its start, that can be used: on a full disk those that were written before.
    pub fn usable(&self, segment: SegmentId) -> u64 {
        if self.is_disk_full() {
            self.written_bytes(segment)
        } else {
            self.store.geometry.segment_bytes()
        }
    }

    /// Bytes of a segment, from its start, that were written before.
    fn written_bytes(&self, segment: SegmentId) -> u64 {
        let allocated = self.store.state(segment).map_or(0, |state| state.allocated);
        self.disk.writable(segment, allocated)
    }

    /// Makes sure that the first `bytes` of a segment are allocated, and can be written whatever becomes of
    /// the disk; `false` if it is full.
    pub fn allocate(&self, segment: SegmentId, generation: Generation, bytes: u64) -> Result<bool> {
        let Some(state) = self.store.state(segment) else { return Ok(false) };
        if state.allocated >= bytes {
            return Ok(true);
        }
        if self.is_disk_full() {
            return Ok(false);
        }
        let granted = self.store.load(control::LOG_GRANTED);
        let whole = self.store.geometry.segment_bytes();
        let wished = allocate_until(state.allocated, bytes, granted).min(whole);
        let least = bytes.next_multiple_of(ALLOCATION_PAGE).min(whole);
        let until = if self.make_writable(segment, state.allocated, wished)? {
            wished
        } else if least < wished && self.make_writable(segment, state.allocated, least)? {
            least
        } else {
            self.note_disk_full();
            return Ok(false);
        };
        self.transact(|_, changes| {
            let state = self.store.state(segment);
            let grown = state.and_then(|now| transitions::grown(now, generation, until));
            if let Some(grown) = grown {
                changes.set_checked(self.store.geometry.state_at(segment), grown.encode());
                return Decision::Commit(true);
            }
            Decision::Leave(true)
        })
    }

    /// Allocates a range of a segment and faults it in; `false` if the disk is full. Not before both were done
    /// the range counts as allocated: some file systems (ext4) take blocks when space that was allocated is
    /// written for the first time, too, and have none when they are full.
    fn make_writable(&self, segment: SegmentId, from: u64, until: u64) -> Result<bool> {
        let more = until - from;
        if !self.leaves_free(more)? {
            return Ok(false);
        }
        let at = WordAt::log(self.store.geometry.segment_start(segment) + from);
        let words = &self.store.words;
        match words.allocate(at, more).and_then(|()| words.populate(at, more)) {
            Ok(()) => Ok(true),
            Err(error) => {
                let error = self.log_error("cannot allocate space", error);
                if error.stops_growth() { Ok(false) } else { Err(error) }
            }
        }
    }

    /// Whether `more` bytes can be allocated without going below the space that is to stay free.
    pub fn leaves_free(&self, more: u64) -> Result<bool> {
        let floor = self.store.load(control::MIN_FREE);
        if floor == 0 {
            return Ok(true);
        }
        let free = self.store.words.free_space();
        let free =
            free.map_err(|error| self.log_error("cannot ask the file system for space", error))?;
        Ok(free >= floor.saturating_add(more))
    }

    /// Bytes to grant before a segment is used; `None` if the limit forbids it.
    fn grant_for(&self, segment: SegmentId) -> Option<u64> {
        let granted = self.store.row(segment, GRANTED);
        let more = self.store.geometry.segment_bytes().saturating_sub(granted);
        let fits = self.store.granted().saturating_add(more) <= self.store.share();
        (more == 0 || fits).then_some(more)
    }

    /// Adds the words that take a segment to `changes`; nothing and `None` if it cannot be taken.
    fn set_taken(&self, changes: &mut Changes, segment: SegmentId, queue: Queue) -> Option<()> {
        let store = &self.store;
        let epoch = store.epoch();
        let taken = transitions::taken(store.state(segment)?, epoch, queue)?;
        let more = self.grant_for(segment)?;
        let order = store.load(control::ORDERS).wrapping_add(1);
        let stamp = BarrierStamp::decode(store.row(segment, STAMP));
        let stamp = barrier::stamp_when_taken(stamp, store.load(control::SYNCS_DONE));
        let state_at = |segment| store.geometry.state_at(segment);
        if let Some(active) = store.active(queue)
            && let Some(sealed) = store.state(active).and_then(transitions::sealed)
        {
            changes.set_checked(state_at(active), sealed.encode());
        }
        let row = |word| store.geometry.row_at(segment, word);
        changes.set_checked(state_at(segment), taken.encode());
        changes.set(row(TAIL), 0);
        changes.set(row(LIVE), 0);
        changes.set(row(GRANTED), store.geometry.segment_bytes());
        changes.set(row(FIRST_EXPIRY), Millis::NEVER.get());
        changes.set(row(LAST_EXPIRY), 0);
        changes.set(row(ORDER), order);
        changes.set(row(STAMP), stamp.encode());
        changes.set(control::ORDERS, order);
        changes.set(active_at(queue), segment.index() + 1);
        if more > 0 {
            changes.update(&store.words, control::LOG_GRANTED, |granted| granted + more);
        }
        Some(())
    }
}

/// How far to allocate a segment: `allocated` bytes of it are, `bytes` have to be, and the log has `granted`
/// bytes. A small cache grows in small steps, a large one in larger steps.
fn allocate_until(allocated: u64, bytes: u64, granted: u64) -> u64 {
    let step = allocated.max(granted / 8).clamp(ALLOCATE_STEPS.0, ALLOCATE_STEPS.1);
    (allocated + step).max(bytes.next_multiple_of(ALLOCATION_PAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_cache_grows_by_little_and_a_large_record_gets_all_it_needs() {
        let (least, most) = ALLOCATE_STEPS;
        assert_eq!(allocate_until(0, 100, 0), least);
        assert_eq!(allocate_until(0, 100, 1 << 40), most);
        assert_eq!(allocate_until(least, least + 1, 0), 2 * least);
        assert_eq!(allocate_until(0, most + 1, 0), most + ALLOCATION_PAGE);
    }
}
