//! Upkeep: the share of it that each put does, and all of it at once.

use super::clear::{clear_step, duplicate_step};
use super::facts::Facts;
use super::hands;
use super::mending::is_any_word_damaged;
use super::moves;
use super::plans::carry_out;
use super::repair::{Suspicion, repair};
use super::step::{Stepped, collect_beside, step};
use super::walks;
use super::writer::{Route, Swept, Writer};
use crate::entries;
use crate::error::Result;
use crate::format::address::Millis;
use crate::format::control;
use crate::format::lock::OPENING_LOCK_BYTE;
use crate::policy::{self, LOW_WATER, Need};
use crate::session::Session;
use crate::sys::words::Words;

/// The share of upkeep that a put of `bytes` does.
#[inline]
pub fn upkeep(session: &Session, writer: &mut Writer, bytes: u64) -> Result<()> {
    let store = &session.store;
    if store.load(control::PENDING) != 0 {
        clear_step(session)?;
    }
    if store.load(control::DUPLICATE_CURSOR) != 0 {
        duplicate_step(session)?;
    }
    if writer.index_wants {
        make_room_for_index(session, writer)?;
    }
    if !writer.copies.waiting.is_empty() {
        moves::name_covered(session, writer)?;
    }
    if store.load(control::MAX_ENTRIES) != u64::MAX {
        hands::advance(session, writer)?;
    }
    if is_plan_due(session, writer) {
        replan(session, writer)?;
    }
    let mut budget = policy::pace(bytes, writer.chunks.free);
    while store.load(Route::Upkeep.at()) != 0 {
        match step(session, writer, Route::Upkeep, false)? {
            Stepped::Past { bytes, .. } if bytes < budget => budget -= bytes,
            Stepped::Ended => {
                replan(session, writer)?;
                break;
            }
            Stepped::Waits => {
                walks::take_over_from_dead(session, writer)?;
                break;
            }
            Stepped::Past { .. } | Stepped::Idle => break,
        }
    }
    Ok(())
}

/// All upkeep that is due: clears, duplicates, sweeps, walks that others began, segments that run low; and a
/// repair, where there is a suspicion.
pub fn maintain(session: &Session, writer: &mut Writer, suspicion: &Suspicion) -> Result<()> {
    if suspicion.take() || is_any_word_damaged(&session.store) {
        repair(session)?;
    }
    while !clear_step(session)? {}
    while !duplicate_step(session)? {}
    session.free_drained()?;
    // A sweep under way has passed what has expired since.
    while let Stepped::Past { .. } = step(session, writer, Route::Upkeep, false)? {}
    // Whoever asks wants everything that expired, but each segment swept once.
    writer.swept = Swept::default();
    // Each walk covers a segment, so this many cover each twice.
    let mut rounds = 2 * u64::from(session.store.segment_count()) + 2;
    while rounds > 0 {
        if session.store.load(Route::Upkeep.at()) == 0 {
            let facts = look(session, writer);
            let plan = policy::plan(&facts.store(), Need::Maintenance);
            if !carry_out(session, writer, plan)? {
                break;
            }
            rounds -= 1;
        }
        match step(session, writer, Route::Upkeep, false)? {
            Stepped::Waits => break,
            Stepped::Idle | Stepped::Ended | Stepped::Past { .. } => {}
        }
    }
    collect_rest(session, writer)
}

/// Collects what expired where no sweep came: in a segment that is being emptied, and in any while the walk of
/// upkeep waits for a sync or for its owner.
fn collect_rest(session: &Session, writer: &mut Writer) -> Result<()> {
    let facts = look(session, writer);
    for segment in policy::not_swept(&facts.store()) {
        collect_beside(session, writer, segment)?;
    }
    Ok(())
}

fn is_plan_due(session: &Session, writer: &Writer) -> bool {
    let words = &session.store.words;
    let due = words.load(control::SWEEP_DUE);
    words.load(Route::Upkeep.at()) == 0
        && (words.load(control::ORDERS) != writer.orders_seen
            || writer.chunks.free < LOW_WATER
            || (due < Millis::NEVER.get() && due <= session.clock.coarse().get()))
}

/// Asks the policy what to do, and begins it.
fn replan(session: &Session, writer: &mut Writer) -> Result<()> {
    writer.orders_seen = session.store.load(control::ORDERS);
    let mut facts = look(session, writer);
    if facts.free < facts.low_water && session.free_drained()? {
        facts = look(session, writer);
    }
    carry_out(session, writer, policy::plan(&facts.store(), Need::Upkeep)).map(|_| ())
}

/// Gathers the facts, and notes when the next sweep is due.
fn look(session: &Session, writer: &mut Writer) -> Facts {
    let facts = Facts::gather(session, 1, &writer.swept);
    // What can wait until the next chunk is not looked at with each put.
    writer.chunks.free = if facts.is_low() { facts.free } else { facts.free.max(LOW_WATER) };
    session.store.words.store(control::SWEEP_DUE, facts.sweep_due().get());
    facts
}

/// Gives a free segment's space to the index, where that can be done without harm.
fn make_room_for_index(session: &Session, writer: &mut Writer) -> Result<()> {
    writer.index_wants = false;
    let me = session.attachment()?;
    if session.disk.allocates_on_read() || writer.chunks.free < LOW_WATER {
        return Ok(());
    }
    let lock_error = |error| session.log_error("cannot lock", error);
    if !me.locks.try_lock(OPENING_LOCK_BYTE).map_err(lock_error)? {
        return Ok(());
    }
    let given = session.give_back(session.store.geometry.segment_bytes());
    me.locks.unlock(OPENING_LOCK_BYTE).map_err(lock_error)?;
    given?;
    writer.index_wants = entries::grow(session, &mut writer.backed)?;
    Ok(())
}
