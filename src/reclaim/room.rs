//! Making room at once: a segment to write into, or one entry less.

use super::Worker;
use super::facts::Facts;
use super::recount::{are_grants_wrong, is_any_lost, recount, recount_grants, repair};
use super::step::{Stepped, begin, step};
use super::upkeep::carry_out;
use crate::entries::{self, Released};
use crate::error::Result;
use crate::format::control;
use crate::format::intent::WordAt;
use crate::format::page::PageId;
use crate::format::place::UNIT;
use crate::format::segment::{GRANTED, Label, State};
use crate::format::walk::{Purpose, WalkWord};
use crate::policy::{self, LOW_WATER, Need};
use crate::segments::Ground;
use crate::segments::statistics::Count;
use crate::sync;
use crate::sys::words::Words;
use crate::transaction::Liveness;

/// Records that an eviction for entries lets pass before it takes the next one.
const PASSES_LIMIT: u32 = 24;
/// Records that a sweep passes for an eviction for entries before that takes something live.
const SWEEPS_LIMIT: u32 = 256;
/// Puts that find the same walk waiting before one asks whether its owner lives.
const WAITS_A_QUESTION: u32 = 16;
/// Syncs that a walk waits for before it is given up; one or two do.
const WAITS_LIMIT: u32 = 32;
/// Evictions for entries after which the queue is chosen anew.
const TRIMS_A_CHOICE: u32 = 16;
/// Entries that are taken from the index without another look at the segments, once no walk finds any.
const HIDDEN_AT_ONCE: u32 = 256;

/// Reclaims until a segment that takes a record of `units` can be taken (two, if they can be had);
/// `false` if nothing at all can be reclaimed.
pub fn make_room(ground: &Ground, worker: &mut Worker, units: u32) -> Result<bool> {
    if ground.is_disk_full() && !fits_anywhere(ground, units) {
        return Ok(false); // However much were evicted.
    }
    if is_any_lost(ground) {
        repair(ground)?;
    }
    // Each turn ends a walk or begins one: enough to walk every segment in use three times.
    for _ in 0..6 * segments_in_use(ground, worker) + 12 {
        ground.free_drained()?;
        if are_grants_wrong(ground) {
            recount_grants(ground)?;
        }
        let facts = Facts::gather(ground, units, &worker.swept);
        worker.free = facts.free;
        if facts.free >= LOW_WATER {
            return Ok(true);
        }
        if facts.after_sync > 0 {
            sync::barrier(ground)?;
            super::moves::settle(ground, worker)?;
            continue;
        }
        if ground.memory.load(control::WALK_UPKEEP) == 0
            && !carry_out(ground, policy::plan(&facts.store(), Need::Segment))?
        {
            return Ok(facts.free > 0);
        }
        run(ground, worker)?;
    }
    Ok(Facts::gather(ground, units, &worker.swept).free > 0)
}

fn segments_in_use(ground: &Ground, worker: &Worker) -> usize {
    Facts::gather(ground, 1, &worker.swept).store().segments.len()
}

/// Whether any segment has so much space allocated that a record of `units` fits.
fn fits_anywhere(ground: &Ground, units: u32) -> bool {
    let bytes = u64::from(units) * UNIT;
    ground.segments().any(|id| ground.state(id).is_some_and(|state| state.allocated >= bytes))
}

/// Reclaims until a segment is free, whatever its size; `false` if none can be.
pub fn make_free(ground: &Ground, worker: &mut Worker) -> Result<bool> {
    let is_free = |ground: &Ground| {
        ground.segments().any(|id| {
            ground.state(id).is_some_and(|state| state.state == State::Free)
                && ground.row(id, GRANTED) > 0
        })
    };
    for _ in 0..2 * segments_in_use(ground, worker) + 2 {
        ground.free_drained()?;
        if is_free(ground) {
            return Ok(true);
        }
        let facts = Facts::gather(ground, 1, &worker.swept);
        if ground.memory.load(control::WALK_UPKEEP) == 0
            && !carry_out(ground, policy::plan(&facts.store(), Need::Segment))?
        {
            return Ok(false);
        }
        run(ground, worker)?;
    }
    Ok(is_free(ground))
}

/// Runs the walk under way to its end. One that no sync brings further (damage can make the numbers of
/// syncs so) is given up.
pub fn run(ground: &Ground, worker: &mut Worker) -> Result<()> {
    let mut waits = 0;
    loop {
        match step(ground, worker, control::WALK_UPKEEP, false)? {
            Stepped::Idle | Stepped::Ended => return Ok(()),
            Stepped::Past { .. } => {}
            Stepped::Waits if waits == WAITS_LIMIT => {
                super::moves::give_up(worker);
                let raw = ground.memory.load(control::WALK_UPKEEP);
                let _ = ground.memory.exchange(control::WALK_UPKEEP, raw, 0);
                return Ok(());
            }
            Stepped::Waits => {
                waits += 1;
                sync::barrier(ground)?;
                super::moves::settle(ground, worker)?;
                take_walk(ground, worker)?;
            }
        }
    }
}

/// Takes a walk that its owner does not go on with.
fn take_walk(ground: &Ground, worker: &mut Worker) -> Result<()> {
    let me = ground.attachment()?;
    let raw = ground.memory.load(control::WALK_UPKEEP);
    let owner = WalkWord::decode(raw).and_then(|walk| walk.owner);
    let Some(owner) = owner.filter(|&owner| owner != me.slot) else { return Ok(()) };
    if !me.locks.is_dead(owner) {
        // Alive: he may be about to end it.
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    take(ground, worker, raw)
}

/// Takes a walk whose owner died, if this put and some before it found it where it is. Soon enough that
/// puts have not filled the room that the walk needs; not asked at each, for it is a system call, and not
/// at all of an owner that goes on.
pub fn take_dead_walk(ground: &Ground, worker: &mut Worker) -> Result<()> {
    let me = ground.attachment()?;
    let raw = ground.memory.load(control::WALK_UPKEEP);
    let waits = match worker.waits {
        Some((walk, times)) if walk == raw => times + 1,
        _ => 1,
    };
    worker.waits = Some((raw, waits));
    let owner = WalkWord::decode(raw).and_then(|walk| walk.owner);
    let asked = owner.filter(|&owner| waits.is_multiple_of(WAITS_A_QUESTION) && owner != me.slot);
    if asked.is_some_and(|owner| me.locks.is_dead(owner)) {
        take(ground, worker, raw)?;
    }
    Ok(())
}

/// Makes the walk that `raw` says one's own, from its start, with the copies that its owner made: they
/// are named here, and he drops them when he sees it.
pub fn take(ground: &Ground, worker: &mut Worker, raw: u64) -> Result<()> {
    let me = ground.attachment()?.slot;
    let Some(walk) = WalkWord::decode(raw) else { return Ok(()) };
    let mine = WalkWord { owner: Some(me), position: 0, ..walk };
    let new = WalkWord::encode(Some(mine));
    if ground.memory.exchange(control::WALK_UPKEEP, raw, new).is_ok() {
        super::moves::adopt(ground, worker, walk.segment);
        sync::barrier(ground)?;
        super::moves::settle(ground, worker)?;
    }
    Ok(())
}

/// Evicts one entry, as the policy chooses; `false` if there is none.
pub fn evict_one(ground: &Ground, worker: &mut Worker) -> Result<bool> {
    let mut passes = 0;
    let mut laps = 0;
    let mut segments = 0;
    // The queue whose hand is at its end although the queue was chosen.
    let mut at_end = None;
    if worker.hidden > 0 {
        worker.hidden -= 1;
        if evict_any(ground)? {
            return Ok(true);
        }
    }
    if sweep_on(ground, worker)? {
        return Ok(true);
    }
    loop {
        let label = match worker.trimming {
            Some((label, left)) if left > 0 => label,
            _ => {
                let facts = Facts::gather(ground, 1, &worker.swept);
                segments = facts.store().segments.len();
                let label = policy::trim_queue(&facts.store());
                worker.trimming = Some((label, TRIMS_A_CHOICE));
                let expired = policy::expired(&facts.store()).filter(|_| laps == 0);
                if let Some(plan) = expired {
                    carry_out(ground, plan)?;
                    if sweep_on(ground, worker)? {
                        return Ok(true);
                    }
                }
                label
            }
        };
        let at = match label {
            Label::Probation => control::WALK_PROBATION,
            Label::Main => control::WALK_MAIN,
        };
        match step(ground, worker, at, passes >= PASSES_LIMIT)? {
            Stepped::Past { gone: true, .. } => {
                worker.trimming = worker.trimming.map(|(label, left)| (label, left - 1));
                return Ok(true);
            }
            Stepped::Past { bytes, .. } => passes += u32::from(bytes > 0),
            Stepped::Idle | Stepped::Ended | Stepped::Waits => {
                laps += 1;
                if laps > 4 + 4 * segments {
                    // Nothing where the counter says there is something: it must be wrong, or
                    // damage hides what is there from the walks.
                    if recount(ground)? {
                        return Ok(true);
                    }
                    worker.hidden = HIDDEN_AT_ONCE;
                    return evict_any(ground);
                }
                // The queue may be empty by now: it is chosen anew, and begun again if it is not.
                worker.trimming = None;
                if at_end == Some(label) {
                    next_trim(ground, worker, at, label)?;
                }
                at_end = Some(label);
            }
        }
    }
}

/// Goes on with a sweep under way, since what expired goes before anything live, for a bounded number
/// of records; whether an entry went.
fn sweep_on(ground: &Ground, worker: &mut Worker) -> Result<bool> {
    let sweeps = |word| WalkWord::decode(word).is_some_and(|walk| walk.purpose == Purpose::Sweep);
    for _ in 0..SWEEPS_LIMIT {
        if !sweeps(ground.memory.load(control::WALK_UPKEEP)) {
            return Ok(false);
        }
        if let Stepped::Past { gone: true, .. } = step(ground, worker, control::WALK_UPKEEP, false)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Evicts what stands first in the index; `false` if there is nothing.
fn evict_any(ground: &Ground) -> Result<bool> {
    for page in (0..ground.index().pages()).map(PageId::new) {
        let first = ground.index().live_on(page).next();
        let Some(found) = first else { continue };
        if found.slot.is_twin() {
            entries::decide_twins(ground, page)?; // Else an older version would be back.
        }
        if entries::drop_slot(ground, found)? == Released::Gone {
            ground.count(Count::Evictions, 1);
        }
        return Ok(true);
    }
    Ok(false)
}

/// Begins to trim the next segment of a queue; `false` if none has entries.
pub fn next_trim(ground: &Ground, worker: &Worker, at: WordAt, label: Label) -> Result<bool> {
    let raw = ground.memory.load(at);
    let facts = Facts::gather(ground, 1, &worker.swept);
    let order = WalkWord::decode(raw).and_then(|walk| facts.order_of(walk.segment)).unwrap_or(0);
    match policy::trim_after(&facts.store(), label, order) {
        Some(segment) => begin(ground, at, raw, segment, Purpose::Trim).map(|_| true),
        None => Ok(false),
    }
}

/// Compacts every segment with dead space; segments that came free.
pub fn compact_all(ground: &Ground, worker: &mut Worker) -> Result<u64> {
    let facts = Facts::gather(ground, 1, &worker.swept);
    let (before, used) = (facts.free, facts.store().segments.len());
    // Each segment in use twice, at most: large records may leave no more room for being moved.
    for _ in 0..2 * used + 2 {
        if ground.memory.load(control::WALK_UPKEEP) == 0 {
            let facts = Facts::gather(ground, 1, &worker.swept);
            if !carry_out(ground, policy::plan(&facts.store(), Need::Compact))? {
                break;
            }
        }
        run(ground, worker)?;
        ground.free_drained()?;
    }
    Ok(Facts::gather(ground, 1, &worker.swept).free.saturating_sub(before))
}
