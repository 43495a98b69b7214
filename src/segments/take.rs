//! Segments put to use and given back.
//!
//! Free -> active (taken as the head of a queue, in a new generation) -> sealed -> (victim) ->
//! draining -> free. A grant is a claim on the store's bytes: it is booked in the transaction that
//! takes the segment, before a byte is allocated, so that the bound holds at every moment.

use std::sync::atomic::Ordering;

use super::ground::{Decision, Ground};
use super::pins;
use crate::error::Result;
use crate::format::control;
use crate::format::place::{Generation, Millis, SegmentId, UNIT};
use crate::format::segment::{
    ALLOCATION_PAGE, FIRST_EXPIRY, GRANTED, LAST_EXPIRY, LIVE, Label, Live, ORDER, STAMP,
    STAMP_MASK, Stamp, State, StateWord, TAIL,
};
use crate::segments::statistics::Count;
use crate::sys::space::{self, FileSystem};
use crate::sys::words::Words;
use crate::transaction::Changes;

/// Takings of a segment between two syncs: one below the 16 that the slot's four bits tell apart.
pub const REUSES_LIMIT: u8 = 14;
/// Allocation grows in steps from the first to the second.
const ALLOCATE_STEPS: (u64, u64) = (512 << 10, 2 << 20);
/// How long a full disk is not asked again.
const FULL_MS: u64 = 1000;

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

impl Ground {
    /// Whether the disk has been found full of late, so that nothing new is allocated.
    pub fn is_disk_full(&self) -> bool {
        let until = self.full_until.load(Ordering::Relaxed);
        // A clock that went back does not make it full for as long.
        until != 0 && until.saturating_sub(FULL_MS) <= self.now().get() && self.now().get() < until
    }

    fn note_disk_full(&self) {
        self.full_until.store(self.now().get() + FULL_MS, Ordering::Relaxed);
    }

    /// Whether a segment can be taken for a record of `units`.
    pub fn takeable(&self, segment: SegmentId, units: u32) -> Takeable {
        let Some(state) = self.state(segment) else { return Takeable::Never };
        if state.state != State::Free {
            return Takeable::Never;
        }
        let fits = state.allocated >= u64::from(units) * UNIT || !self.is_disk_full();
        if !fits || self.grant_for(segment).is_none() {
            return Takeable::Never;
        }
        let stamp = Stamp::decode(self.row(segment, STAMP));
        if self.syncs() && !self.is_covered(stamp) {
            return Takeable::AfterSync;
        }
        Takeable::Now
    }

    /// Whether the barrier lets a segment with this stamp be reused.
    fn is_covered(&self, stamp: Stamp) -> bool {
        // Done first: what began after it was read only makes more segments wait.
        let done = self.memory.load(control::SYNCS_DONE);
        is_covered(stamp, done, self.memory.load(control::SYNCS_BEGUN))
    }

    /// Bytes to grant before a segment is used; `None` if the limit forbids it.
    fn grant_for(&self, segment: SegmentId) -> Option<u64> {
        let granted = self.row(segment, GRANTED);
        let more = self.geometry.segment_bytes().saturating_sub(granted);
        let log = self.memory.load(control::LOG_GRANTED);
        let index = self.memory.load(control::INDEX_GRANTED);
        (more == 0 || log.saturating_add(index).saturating_add(more) <= self.share())
            .then_some(more)
    }

    /// Takes a free segment as the head of a queue, for a record of `units`. The last free one is
    /// kept for moves unless `last` is set. `false`: none can be had now.
    pub fn take(&self, label: Label, units: u32, last: bool) -> Result<bool> {
        let old = self.memory.load(Self::head_at(label));
        let mut free = self.segments().filter(|&id| self.takeable(id, units) == Takeable::Now);
        // Those with the most space first: what is allocated already costs nothing.
        let Some(segment) = free.clone().max_by_key(|&id| {
            let state = self.state(id);
            (state.map_or(0, |state| state.allocated), std::cmp::Reverse(id))
        }) else {
            return Ok(false);
        };
        if !last && free.nth(1).is_none() {
            return Ok(false);
        }
        self.transact(|_, changes| {
            if self.memory.load(Self::head_at(label)) != old
                || self.takeable(segment, units) != Takeable::Now
            {
                return Decision::Leave(true);
            }
            if self.taking(changes, segment, label).is_some() {
                Decision::Commit(true)
            } else {
                Decision::Leave(true)
            }
        })?;
        self.count(Count::SegmentsTaken, 1);
        Ok(true)
    }

    /// Adds the words that take a segment to `changes`; nothing and `None` if it cannot be taken.
    fn taking(&self, changes: &mut Changes, segment: SegmentId, label: Label) -> Option<()> {
        let words = &self.memory;
        let state = self.state(segment)?;
        let more = self.grant_for(segment)?;
        let epoch = words.load(control::EPOCH) as u32;
        let order = words.load(control::ORDERS).wrapping_add(1);
        let done = (words.load(control::SYNCS_DONE) & STAMP_MASK) as u32;
        let stamp = Stamp::decode(self.row(segment, STAMP));
        let reuses = if stamp.counted_since == done { stamp.reuses.saturating_add(1) } else { 1 };
        if let Some(head) = self.head(label)
            && let Some(sealed) = self.state(head).filter(|head| head.state == State::Active)
        {
            let sealed = StateWord { state: State::Sealed, ..sealed };
            changes.set(self.geometry.state_at(head), sealed.encode());
        }
        let taken = StateWord {
            generation: state.generation.next(epoch),
            state: State::Active,
            label,
            allocated: state.allocated,
        };
        let row = |word| self.geometry.row_at(segment, word);
        changes.set(self.geometry.state_at(segment), taken.encode());
        changes.set(row(TAIL), 0);
        changes.set(row(LIVE), 0);
        changes.set(row(GRANTED), self.geometry.segment_bytes());
        changes.set(row(FIRST_EXPIRY), Millis::NEVER.get());
        changes.set(row(LAST_EXPIRY), 0);
        changes.set(row(ORDER), order);
        changes.set(row(STAMP), Stamp { counted_since: done, reuses, ..stamp }.encode());
        changes.set(control::ORDERS, order);
        changes.set(Self::head_at(label), segment.index() + 1);
        if more > 0 {
            changes.update(words, control::LOG_GRANTED, |granted| granted + more);
        }
        Some(())
    }

    /// Makes sure that the first `bytes` of a segment are allocated; `false` if the disk is full.
    pub fn allocate(&self, segment: SegmentId, generation: Generation, bytes: u64) -> Result<bool> {
        let Some(state) = self.state(segment) else { return Ok(false) };
        if state.allocated >= bytes {
            return Ok(true);
        }
        if self.is_disk_full() {
            return Ok(false);
        }
        // A small cache grows by little, one that has grown by more.
        let grown = state.allocated.max(self.memory.load(control::LOG_GRANTED) / 8);
        let step = grown.clamp(ALLOCATE_STEPS.0, ALLOCATE_STEPS.1);
        let until = (state.allocated + step)
            .max(bytes.next_multiple_of(ALLOCATION_PAGE))
            .min(self.geometry.segment_bytes());
        let more = until - state.allocated;
        if !self.leaves_free(more)? {
            return Ok(false);
        }
        let offset = self.geometry.segment_start(segment) + state.allocated;
        if let Err(error) = space::allocate(self.memory.log.file(), offset, more) {
            let error = self.log_error("cannot allocate space", error);
            return match error.kind() {
                crate::error::ErrorKind::Full => {
                    self.note_disk_full();
                    Ok(false)
                }
                _ => Err(error),
            };
        }
        self.transact(|_, changes| match self.state(segment) {
            Some(now) if now.generation == generation && now.allocated < until => {
                let grown = StateWord { allocated: until, ..now };
                changes.set(self.geometry.state_at(segment), grown.encode());
                Decision::Commit(true)
            }
            _ => Decision::Leave(true),
        })
    }

    /// Whether `more` bytes can be allocated without going below the space that is to stay free.
    pub fn leaves_free(&self, more: u64) -> Result<bool> {
        let floor = self.memory.load(control::MIN_FREE);
        if floor == 0 {
            return Ok(true);
        }
        let free = FileSystem::of(self.memory.log.file())
            .map_err(|error| self.log_error("cannot ask the file system for space", error))?
            .free;
        let leaves = free >= floor.saturating_add(more);
        if !leaves {
            self.note_disk_full();
        }
        Ok(leaves)
    }

    /// Frees a segment in which nothing lives, if nobody has it pinned; `true` if it is free now.
    pub fn try_free(&self, segment: SegmentId) -> Result<bool> {
        let me = self.attachment()?;
        let drained = self.transact(|_, changes| {
            let Some(state) = self.state(segment) else { return Decision::Leave(None) };
            let is_head = [Label::Probation, Label::Main]
                .iter()
                .any(|&label| self.head(label) == Some(segment));
            match state.state {
                // Nothing allocated: it is being punched out.
                State::Draining if state.allocated == 0 => Decision::Leave(None),
                State::Draining => Decision::Leave(Some(state.generation)),
                State::Sealed | State::Victim if !is_head && self.live(segment).count == 0 => {
                    let draining = StateWord { state: State::Draining, ..state };
                    changes.set(self.geometry.state_at(segment), draining.encode());
                    Decision::Commit(Some(state.generation))
                }
                _ => Decision::Leave(None),
            }
        })?;
        let Some(generation) = drained else { return Ok(false) };
        if pins::is_pinned(&self.memory, &self.geometry, me.slot, segment, &me.locks) {
            return Ok(false);
        }
        self.transact(|_, changes| {
            let state = self.state(segment).filter(|state| {
                state.state == State::Draining
                    && state.generation == generation
                    && self.live(segment).count == 0
            });
            let Some(state) = state else { return Decision::Leave(false) };
            let free = StateWord { state: State::Free, ..state };
            changes.set(self.geometry.state_at(segment), free.encode());
            changes.set(self.geometry.row_at(segment, LIVE), Live::default().encode());
            Decision::Commit(true)
        })
    }

    /// Frees what is draining and no longer pinned; `true` if something became free.
    pub fn free_drained(&self) -> Result<bool> {
        let mut freed = false;
        for segment in self.segments() {
            if self.state(segment).is_some_and(|state| state.state == State::Draining) {
                freed |= self.try_free(segment)?;
            }
        }
        Ok(freed)
    }

    /// Gives the disk space of free segments back until `bytes` of grants are gone or none is left;
    /// the bytes given back. The caller holds the opening lock, and has made sure that no reader's
    /// hole allocates.
    pub fn give_back(&self, bytes: u64) -> Result<u64> {
        let mut given = 0;
        let free: Vec<SegmentId> = self
            .segments()
            .filter(|&id| {
                // Draining with nothing allocated: somebody died while he punched it out.
                let gone =
                    |state: StateWord| state.state == State::Draining && state.allocated == 0;
                // What a move left there is still needed where no sync covers the move.
                let covered = !self.syncs() || self.is_covered(Stamp::decode(self.row(id, STAMP)));
                self.state(id).is_some_and(|state| state.state == State::Free || gone(state))
                    && self.row(id, GRANTED) > 0
                    && covered
            })
            .collect();
        for segment in free.into_iter().rev() {
            if given >= bytes {
                break;
            }
            given += self.give_back_segment(segment)?;
        }
        Ok(given)
    }

    /// Punches a free segment out and takes its grant back. Between the two it is draining, so that
    /// nobody takes it.
    fn give_back_segment(&self, segment: SegmentId) -> Result<u64> {
        let claimed = self.transact(|_, changes| match self.state(segment) {
            Some(state)
                if state.state == State::Free
                    || state.state == State::Draining && state.allocated == 0 =>
            {
                let held = StateWord { state: State::Draining, allocated: 0, ..state };
                changes.set(self.geometry.state_at(segment), held.encode());
                Decision::Commit(Some(state.generation))
            }
            _ => Decision::Leave(None),
        })?;
        let Some(generation) = claimed else { return Ok(0) };
        let start = self.geometry.segment_start(segment);
        space::punch(self.memory.log.file(), start, self.geometry.segment_bytes())
            .map_err(|error| self.log_error("cannot give space back", error))?;
        self.transact(|_, changes| {
            let granted = self.row(segment, GRANTED);
            match self.state(segment) {
                Some(state) if state.generation == generation && state.allocated == 0 => {
                    let free = StateWord { state: State::Free, ..state };
                    changes.set(self.geometry.state_at(segment), free.encode());
                    changes.set(self.geometry.row_at(segment, GRANTED), 0);
                    changes.update(&self.memory, control::LOG_GRANTED, |total| {
                        total.saturating_sub(granted)
                    });
                    Decision::Commit(granted)
                }
                _ => Decision::Leave(0),
            }
        })
    }
}

/// Whether the barrier lets a segment be reused: a sync began and ended after the last move out of
/// it, and since the last sync it was not reused so often that a slot's generation bits come round.
///
/// A move is stamped with the newest sync begun, so only stamps from the last one done to the last
/// one begun wait. Any other is long past, however the numbers came round; or it is damaged, and no
/// sync would ever cover it.
fn is_covered(stamp: Stamp, done: u64, begun: u64) -> bool {
    let since_done = |number: u32| u64::from(number).wrapping_sub(done) & STAMP_MASK;
    let moved = since_done(stamp.moved_after) > since_done((begun & STAMP_MASK) as u32);
    let counted = stamp.counted_since != (done & STAMP_MASK) as u32 || stamp.reuses < REUSES_LIMIT;
    moved && counted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reuse_waits_for_a_sync_that_began_after_the_last_move() {
        let stamp = |moved_after| Stamp { moved_after, counted_since: 0, reuses: 0 };
        assert!(!is_covered(stamp(5), 5, 5));
        assert!(!is_covered(stamp(5), 4, 5));
        assert!(!is_covered(stamp(5), 3, 7));
        assert!(is_covered(stamp(5), 6, 6));
        assert!(is_covered(stamp(5), 6, 9));
        assert!(is_covered(stamp(STAMP_MASK as u32), 1 << 28, 1 << 28));
    }

    #[test]
    fn after_any_number_of_syncs_a_segment_that_was_never_moved_out_of_is_covered() {
        for syncs in [1, 1 << 20, 1 << 27, (1 << 27) + 5, (1 << 28) - 1, (1 << 28) + 1] {
            assert!(is_covered(Stamp::default(), syncs, syncs), "{syncs} syncs");
            assert!(is_covered(Stamp::default(), syncs, syncs + 1) || syncs == STAMP_MASK);
        }
    }

    #[test]
    fn a_segment_is_reused_fewer_than_sixteen_times_between_two_syncs() {
        let stamp = Stamp { moved_after: 0, counted_since: 3, reuses: REUSES_LIMIT };
        assert!(!is_covered(stamp, 3, 3));
        assert!(is_covered(stamp, 4, 4));
    }
}
