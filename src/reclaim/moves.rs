//! Copies that wait: in a store that syncs, a slot names a copy only after a sync that began after
//! the copy was made.

use super::Worker;
use crate::entries::{self, Move};
use crate::error::Result;
use crate::format::control;
use crate::index::Found;
use crate::segments::Ground;
use crate::sync;
use crate::sys::words::Words;

/// Copies that may wait at a time, so that memory is bounded.
const WAITING_LIMIT: usize = 16 << 10;

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
