//! Making room at once: a segment to write into, or all dead space that can be had.

use super::facts::Facts;
use super::mending::is_any_word_damaged;
use super::moves;
use super::plans::carry_out;
use super::repair::{are_grants_wrong, repair, repair_grants};
use super::step::run;
use super::writer::{Route, Writer};
use crate::error::Result;
use crate::format::address::UNIT;
use crate::format::segment::{GRANTED, State};
use crate::policy::{self, Need};
use crate::session::Session;
use crate::store::Store;

/// Reclaims until a segment that takes a record of `units` can be taken (two, if they can be had);
/// `false` if nothing at all can be reclaimed.
pub fn make_room(session: &Session, writer: &mut Writer, units: u32) -> Result<bool> {
    let made = make_room_by_turns(session, writer, units);
    writer.permit.unconditional = false;
    made
}

fn make_room_by_turns(session: &Session, writer: &mut Writer, units: u32) -> Result<bool> {
    if session.is_disk_full() && !fits_anywhere(session, units) {
        return Ok(false); // However much were evicted.
    }
    if is_any_word_damaged(&session.store) {
        repair(session)?;
    }
    let turns = turns(session, writer);
    for turn in 0..2 * turns {
        let need = need_in(turn, turns, writer);
        session.free_drained()?;
        if are_grants_wrong(&session.store) {
            repair_grants(session)?;
        }
        let facts = Facts::gather(session, units, &writer.swept);
        writer.chunks.free = facts.free;
        if facts.free >= facts.low_water {
            return Ok(true);
        }
        if facts.after_sync > 0 {
            moves::sync_and_name(session, writer)?;
            continue;
        }
        let plan = policy::plan(&facts.store(), need);
        if !is_walking(session) && !carry_out(session, writer, plan)? {
            return Ok(facts.free > 0);
        }
        run(session, writer)?;
    }
    Ok(Facts::gather(session, units, &writer.swept).free > 0)
}

/// Reclaims until a segment is free, whatever its size; `false` if none can be.
pub fn make_free(session: &Session, writer: &mut Writer) -> Result<bool> {
    let made = make_free_by_turns(session, writer);
    writer.permit.unconditional = false;
    made
}

fn make_free_by_turns(session: &Session, writer: &mut Writer) -> Result<bool> {
    let turns = turns(session, writer);
    for turn in 0..2 * turns {
        let need = need_in(turn, turns, writer);
        session.free_drained()?;
        if is_any_free(&session.store) {
            return Ok(true);
        }
        let facts = Facts::gather(session, 1, &writer.swept);
        let plan = policy::plan(&facts.store(), need);
        if !is_walking(session) && !carry_out(session, writer, plan)? {
            return Ok(false);
        }
        run(session, writer)?;
    }
    Ok(is_any_free(&session.store))
}

/// Turns, each of which ends a walk or begins one: enough to walk every segment in use three times.
fn turns(session: &Session, writer: &Writer) -> usize {
    6 * segments_in_use(session, writer) + 12
}

/// What a turn needs. After so many of them live entries go, whatever has expired: sweeps have brought no room.
fn need_in(turn: usize, turns: usize, writer: &mut Writer) -> Need {
    writer.permit.unconditional = turn >= turns;
    if turn < turns { Need::Segment } else { Need::Eviction }
}

/// Compacts every segment with dead space; segments that came free.
pub fn compact_all(session: &Session, writer: &mut Writer) -> Result<u64> {
    let facts = Facts::gather(session, 1, &writer.swept);
    let (before, used) = (facts.free, facts.store().segments.len());
    // Each segment in use twice, at most: large records may leave no more room for being moved.
    for _ in 0..2 * used + 2 {
        if !is_walking(session) {
            let facts = Facts::gather(session, 1, &writer.swept);
            let plan = policy::plan(&facts.store(), Need::Compact);
            if !carry_out(session, writer, plan)? {
                break;
            }
        }
        run(session, writer)?;
        session.free_drained()?;
    }
    Ok(Facts::gather(session, 1, &writer.swept).free.saturating_sub(before))
}

fn segments_in_use(session: &Session, writer: &Writer) -> usize {
    Facts::gather(session, 1, &writer.swept).store().segments.len()
}

fn is_walking(session: &Session) -> bool {
    session.store.load(Route::Upkeep.at()) != 0
}

/// Whether so much of any segment can be used that a record of `units` fits.
fn fits_anywhere(session: &Session, units: u32) -> bool {
    session.store.segments().any(|id| session.usable(id) >= u64::from(units) * UNIT)
}

/// Whether any segment that has a grant is free.
fn is_any_free(store: &Store) -> bool {
    store.segments().any(|id| {
        store.state(id).is_some_and(|state| state.state == State::Free)
            && store.row(id, GRANTED) > 0
    })
}
