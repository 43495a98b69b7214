//! Moves: a record is copied, and its slot names the copy from then on. In a store that syncs copies
//! wait: a slot names one only after a sync that began after the copy was made.

use super::Worker;
use crate::entries::{self, Move, Orphan};
use crate::error::Result;
use crate::format::control;
use crate::format::place::SegmentId;
use crate::format::segment::Label;
use crate::index::Found;
use crate::segments::Ground;
use crate::segments::pins::Writing;
use crate::segments::read::{Record, Spot};
use crate::segments::reserve::Stamps;
use crate::segments::statistics::Count;
use crate::sync;
use crate::sys::words::Words;

/// Copies that may wait at a time, so that memory is bounded.
const WAITING_LIMIT: usize = 16 << 10;

/// What became of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// A slot names it, or will after a sync.
    Done,
    /// There is no room for it.
    NoRoom,
    /// The record could not be read.
    Damaged,
}

/// Writes a record again, and lets its slot name the copy, now or after a sync.
pub fn copy(
    ground: &Ground,
    worker: &mut Worker,
    found: Found,
    record: &Record,
    label: Label,
    frequency: u8,
) -> Result<Copied> {
    let mut bytes = Vec::new();
    if !record.read_all(&ground.memory, &ground.geometry, &mut bytes) {
        // Damaged, or gone in the meantime: then the slot has changed and stays as it is.
        return Ok(Copied::Damaged);
    }
    let units = record.units();
    let mut spot = room(ground, worker, label, units)?;
    if spot.is_none() && ground.syncs() {
        // What earlier moves left may be all the room there is: it can be taken after a sync.
        sync::barrier(ground)?;
        spot = room(ground, worker, label, units)?;
    }
    let Some(new) = spot else { return Ok(Copied::NoRoom) };
    let syncs = ground.syncs();
    let stamps = Stamps {
        created: record.created,
        expiry: record.expiry,
        lsn: record.lsn.filter(|_| syncs),
    };
    ground.write(new, record.shape, stamps, [&bytes, b"", b""]);
    entries::widen_expiry(ground, new, record.expiry);
    let moved = Move { found, old: *record, new, frequency, syncs };
    let result = if syncs {
        wait(ground, worker, moved)
    } else {
        entries::repoint(ground, &moved).map(|_| ())
    };
    ground.written(Writing::Move);
    result?;
    ground.count(Count::Moves, 1);
    ground.count(Count::BytesMoved, record.shape.footprint());
    Ok(Copied::Done)
}

/// Room for a copy in a queue; in the other one rather than none.
fn room(ground: &Ground, worker: &mut Worker, label: Label, units: u32) -> Result<Option<Spot>> {
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
fn wait(ground: &Ground, worker: &mut Worker, moved: Move) -> Result<()> {
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
