//! Copies that wait: in a store that syncs, a slot names a copy only after a sync that began after
//! the copy was made.

use super::Worker;
use crate::entries::{self, Move, Orphan};
use crate::error::Result;
use crate::format::control;
use crate::format::place::SegmentId;
use crate::format::segment::Label;
use crate::index::Found;
use crate::segments::Ground;
use crate::segments::pins::Writing;
use crate::segments::read::Spot;
use crate::sync;
use crate::sys::words::Words;

/// Copies that may wait at a time, so that memory is bounded.
const WAITING_LIMIT: usize = 16 << 10;

/// Room for a copy in a queue; in the other one rather than none.
pub fn room(
    ground: &Ground,
    worker: &mut Worker,
    label: Label,
    units: u32,
) -> Result<Option<Spot>> {
    let other = match label {
        Label::Probation => Label::Main,
        Label::Main => Label::Probation,
    };
    for label in [label, other] {
        let room = ground.reserve(&mut worker.chunks, label, Writing::Move, units, true)?;
        if room.is_some() {
            return Ok(room);
        }
    }
    Ok(None)
}

/// Lets a copy wait for the next sync.
pub fn wait(ground: &Ground, worker: &mut Worker, moved: Move) -> Result<()> {
    worker.waiting.push(moved);
    worker.waiting_since = ground.memory.load(control::SYNCS_BEGUN);
    if worker.waiting.len() >= WAITING_LIMIT {
        sync::barrier(ground)?;
        settle(ground, worker)?;
    }
    Ok(())
}

/// Lets the copies of records in a segment that another process has left wait like one's own, as many as
/// may wait at a time: for whoever takes its walk. They take the room that the walk needs.
pub fn adopt(ground: &Ground, worker: &mut Worker, segment: SegmentId) {
    let held = |id: SegmentId| id.get() < ground.segment_count();
    let pages = ground.index().pages();
    entries::orphans(&ground.memory, &ground.geometry, pages, held, |orphan| {
        let Orphan { found, old, new } = orphan;
        // A second copy of the same finds its slot changed when it is to be named.
        if old.spot.segment == segment && worker.waiting.len() < WAITING_LIMIT {
            let frequency = found.slot.frequency();
            worker.waiting.push(Move { found, old, new, frequency, syncs: true });
        }
    });
    worker.waiting_since = ground.memory.load(control::SYNCS_BEGUN);
}

/// Whether a slot's record has a copy that waits.
pub fn is_waiting(worker: &Worker, found: Found) -> bool {
    worker.waiting.iter().any(|moved| moved.found.slot.names_same(found.slot))
}

/// Names the copies that a sync covers by now; `true` if none waits any more.
pub fn settle(ground: &Ground, worker: &mut Worker) -> Result<bool> {
    if worker.waiting.is_empty() {
        return Ok(true);
    }
    if ground.memory.load(control::SYNCS_DONE) <= worker.waiting_since {
        return Ok(false);
    }
    for moved in std::mem::take(&mut worker.waiting) {
        // A sweep may have set the bounds anew while no slot named the copy.
        entries::widen_expiry(ground, moved.new, moved.old.expiry);
        // What changed meanwhile has no use for the copy.
        entries::repoint(ground, &moved)?;
    }
    Ok(true)
}

/// Forgets the copies that wait: their entries stay where they are.
pub fn give_up(worker: &mut Worker) {
    worker.waiting.clear();
}
