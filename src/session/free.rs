//! Segments freed, and their space given back.

use super::attached::{Decision, Session};
use super::medium::Medium;
use super::pins;
use crate::error::Result;
use crate::format::address::SegmentId;
use crate::format::control;
use crate::format::intent::WordAt;
use crate::format::segment::{GRANTED, HORIZON, Horizon, LIVE, Live, Queue, State};
use crate::store::transitions;
use crate::transaction::Liveness;

impl<M: Medium, L: Liveness> Session<M, L> {
    /// Frees a segment in which nothing lives, if nobody has it pinned; `true` if it is free now.
    pub fn try_free(&self, segment: SegmentId) -> Result<bool> {
        let me = self.attachment()?;
        let store = &self.store;
        let state_at = store.geometry.state_at(segment);
        let drained = self.transact(|_, changes| {
            let Some(state) = store.state(segment) else { return Decision::Leave(None) };
            let is_active = [Queue::Probation, Queue::Main]
                .iter()
                .any(|&queue| store.active(queue) == Some(segment));
            match transitions::draining(state, store.live(segment), is_active) {
                None => Decision::Leave(None),
                Some(draining) if draining == state => Decision::Leave(Some(state.generation)),
                Some(draining) => {
                    changes.set_checked(state_at, draining.encode());
                    Decision::Commit(Some(state.generation))
                }
            }
        })?;
        let Some(generation) = drained else { return Ok(false) };
        if pins::is_pinned(store, me.process, segment, &me.locks) {
            return Ok(false);
        }
        self.transact(|_, changes| {
            let freed = store
                .state(segment)
                .and_then(|state| transitions::freed(state, generation, store.live(segment)));
            let Some(freed) = freed else { return Decision::Leave(false) };
            changes.set_checked(state_at, freed.encode());
            let row = |word| store.geometry.row_at(segment, word);
            changes.set(row(LIVE), Live::default().encode());
            // For its next use. (The transaction that takes it has no room for one word more.)
            changes.set(row(HORIZON), Horizon::UNKNOWN.encode());
            Decision::Commit(true)
        })
    }

    /// Frees what is draining and no longer pinned; `true` if something became free.
    pub fn free_drained(&self) -> Result<bool> {
        let mut freed = false;
        for segment in self.store.segments() {
            if self.store.state(segment).is_some_and(|state| state.state == State::Draining) {
                freed |= self.try_free(segment)?;
            }
        }
        Ok(freed)
    }

    /// Gives the disk space of free segments back until `bytes` of grants are gone or none is left;
    /// the bytes given back. The caller holds the opening lock, and has made sure that nobody allocates
    /// a hole by reading it.
    pub fn give_back(&self, bytes: u64) -> Result<u64> {
        let store = &self.store;
        // What a move left in a segment is still needed where no sync covers the move.
        let may_go = |&id: &SegmentId| {
            store.state(id).and_then(transitions::giving_back).is_some()
                && store.row(id, GRANTED) > 0
                && store.is_reusable(id)
        };
        let free: Vec<SegmentId> = store.segments().filter(may_go).collect();
        let mut given = 0;
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
        let store = &self.store;
        let state_at = store.geometry.state_at(segment);
        let claimed = self.transact(|_, changes| {
            let Some(held) = store.state(segment).and_then(transitions::giving_back) else {
                return Decision::Leave(None);
            };
            changes.set_checked(state_at, held.encode());
            Decision::Commit(Some(held.generation))
        })?;
        let Some(generation) = claimed else { return Ok(0) };
        let start = WordAt::log(store.geometry.segment_start(segment));
        store
            .words
            .give_back(start, store.geometry.segment_bytes())
            .map_err(|error| self.log_error("cannot give space back", error))?;
        self.transact(|_, changes| {
            let state = store.state(segment);
            let free = state.and_then(|state| transitions::given_back(state, generation));
            let Some(free) = free else { return Decision::Leave(0) };
            let granted = store.row(segment, GRANTED);
            changes.set_checked(state_at, free.encode());
            changes.set(store.geometry.row_at(segment, GRANTED), 0);
            changes
                .update(&store.words, control::LOG_GRANTED, |total| total.saturating_sub(granted));
            Decision::Commit(granted)
        })
    }
}
