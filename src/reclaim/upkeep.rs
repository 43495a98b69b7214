//! Upkeep: the share of it that each put does, and all of it at once.

use std::sync::atomic::Ordering;

use super::Worker;
use super::clear::{clear_step, twin_step};
use super::facts::{Facts, Swept};
use super::moves;
use super::recount::{is_any_lost, repair};
use super::room::take_dead_walk;
use super::skim::skim;
use super::step::{Stepped, begin, step};
use crate::entries;
use crate::error::Result;
use crate::format::control;
use crate::format::lock::OPENING_LOCK_BYTE;
use crate::format::place::{Millis, SegmentId};
use crate::format::segment::{Label, State, StateWord};
use crate::policy::{self, Need, Plan};
use crate::segments::Ground;
use crate::segments::ground::Decision;
use crate::sys::words::Words;

/// The share of upkeep that a put of `bytes` does.
pub fn upkeep(ground: &Ground, worker: &mut Worker, bytes: u64) -> Result<()> {
    if ground.memory.load(control::PENDING) != 0 {
        clear_step(ground)?;
    }
    if ground.memory.load(control::TWIN_CURSOR) != 0 {
        twin_step(ground)?;
    }
    if worker.index_wants {
        make_room_for_index(ground, worker)?;
    }
    if !worker.waiting.is_empty() {
        moves::settle(ground, worker)?;
    }
    if ground.memory.load(control::MAX_ENTRIES) != u64::MAX {
        skim(ground, worker)?;
    }
    if is_plan_due(ground, worker) {
        replan(ground, worker)?;
    }
    let mut budget = policy::pace(bytes, worker.free);
    while ground.memory.load(control::WALK_UPKEEP) != 0 {
        match step(ground, worker, control::WALK_UPKEEP, false)? {
            Stepped::Past { bytes, .. } if bytes < budget => budget -= bytes,
            Stepped::Ended => {
                replan(ground, worker)?;
                break;
            }
            Stepped::Waits => {
                take_dead_walk(ground, worker)?;
                break;
            }
            Stepped::Past { .. } | Stepped::Idle => break,
        }
    }
    Ok(())
}

fn is_plan_due(ground: &Ground, worker: &Worker) -> bool {
    let words = &ground.memory;
    let due = words.load(control::SWEEP_DUE);
    words.load(control::WALK_UPKEEP) == 0
        && (words.load(control::ORDERS) != worker.orders_seen
            || worker.free < policy::LOW_WATER
            || (due < Millis::NEVER.get() && due <= ground.clock.coarse().get()))
}

/// Asks the policy what to do, and begins it.
fn replan(ground: &Ground, worker: &mut Worker) -> Result<()> {
    worker.orders_seen = ground.memory.load(control::ORDERS);
    let mut facts = Facts::gather(ground, 1, &worker.swept);
    if facts.free < policy::LOW_WATER && ground.free_drained()? {
        facts = Facts::gather(ground, 1, &worker.swept);
    }
    worker.free = facts.free;
    ground.memory.store(control::SWEEP_DUE, facts.sweep_due().get());
    carry_out(ground, policy::plan(&facts.store(), Need::Upkeep)).map(|_| ())
}

/// Begins what a plan says; `false` if there is nothing to do.
pub fn carry_out(ground: &Ground, plan: Plan) -> Result<bool> {
    match plan {
        Plan::Nothing => Ok(false),
        Plan::Relabel(segment) => relabel(ground, segment).map(|()| true),
        Plan::Walk(segment, purpose) => {
            let old = ground.memory.load(control::WALK_UPKEEP);
            if old == 0 {
                begin(ground, control::WALK_UPKEEP, old, segment, purpose)?;
            }
            Ok(true)
        }
    }
}

fn relabel(ground: &Ground, segment: SegmentId) -> Result<()> {
    ground.transact(|_, changes| match ground.state(segment) {
        Some(state) if state.state == State::Sealed && state.label == Label::Probation => {
            let main = StateWord { label: Label::Main, ..state };
            changes.set(ground.geometry.state_at(segment), main.encode());
            Decision::Commit(())
        }
        _ => Decision::Leave(()),
    })
}

/// Gives a free segment's space to the index, where that can be done without harm.
fn make_room_for_index(ground: &Ground, worker: &mut Worker) -> Result<()> {
    worker.index_wants = false;
    let me = ground.attachment()?;
    if ground.allocates_on_read || worker.free < policy::LOW_WATER {
        return Ok(());
    }
    let lock_error = |error| ground.log_error("cannot lock", error);
    if !me.locks.try_lock(OPENING_LOCK_BYTE).map_err(lock_error)? {
        return Ok(());
    }
    let given = ground.give_back(ground.geometry.segment_bytes());
    me.locks.unlock(OPENING_LOCK_BYTE).map_err(lock_error)?;
    given?;
    worker.index_wants = entries::grow(ground, &mut worker.backed)?;
    Ok(())
}

/// All upkeep that is due: clears, twins, sweeps, walks that others began, segments that run low.
pub fn maintain(ground: &Ground, worker: &mut Worker) -> Result<()> {
    if ground.suspect.load(Ordering::Relaxed) || is_any_lost(ground) {
        repair(ground)?;
    }
    while !clear_step(ground)? {}
    while !twin_step(ground)? {}
    ground.free_drained()?;
    // A sweep under way has passed what has expired since.
    while let Stepped::Past { .. } = step(ground, worker, control::WALK_UPKEEP, false)? {}
    // Whoever asks wants everything that expired, but each segment swept once.
    worker.swept = Swept::default();
    // Each walk covers a segment, so this many cover each twice.
    let mut rounds = 2 * u64::from(ground.segment_count()) + 2;
    while rounds > 0 {
        if ground.memory.load(control::WALK_UPKEEP) == 0 {
            let facts = Facts::gather(ground, 1, &worker.swept);
            worker.free = facts.free;
            ground.memory.store(control::SWEEP_DUE, facts.sweep_due().get());
            if !carry_out(ground, policy::plan(&facts.store(), Need::Maintenance))? {
                break;
            }
            rounds -= 1;
        }
        match step(ground, worker, control::WALK_UPKEEP, false)? {
            Stepped::Waits => break,
            Stepped::Idle | Stepped::Ended | Stepped::Past { .. } => {}
        }
    }
    Ok(())
}
