//! The first thing after another boot, if every segment is in use: one is emptied into the room that
//! the heads have, before puts take it. There is such room, since the process that was using it when
//! the power went had kept it for that.

use std::collections::BTreeMap;

use super::Worker;
use super::facts::Facts;
use super::room::run;
use super::step::begin;
use crate::entries;
use crate::error::Result;
use crate::format::control;
use crate::format::page::PageId;
use crate::format::place::SegmentId;
use crate::format::segment::{Label, State};
use crate::format::walk::Purpose;
use crate::segments::Ground;
use crate::sys::words::Words;

/// Segments whose records are looked at: those with the fewest entries, as nothing else is known.
const LOOKED_AT: usize = 8;

/// Empties a segment if none is free and one fits into the heads.
pub fn free_first(ground: &Ground, worker: &mut Worker) -> Result<()> {
    let facts = Facts::gather(ground, 1, &worker.swept);
    if facts.free + facts.after_sync > 0 || ground.memory.load(control::WALK_UPKEEP) != 0 {
        return Ok(());
    }
    let room = [Label::Probation, Label::Main].map(|label| room_in(ground, label));
    let fitting = units_of_emptiest(ground, &facts).into_iter().filter(|&(segment, units)| {
        let label = ground.state(segment).map(|state| state.label);
        // Chunks end where the next record does not fit.
        label.is_some_and(|label| units + units / 8 + 64 <= room[label as usize])
    });
    if let Some((segment, _)) = fitting.min_by_key(|&(_, units)| units)
        && begin(ground, control::WALK_UPKEEP, 0, segment, Purpose::Compact)?
    {
        run(ground, worker)?;
    }
    Ok(())
}

/// Units that the head of a queue has left.
fn room_in(ground: &Ground, label: Label) -> u32 {
    ground.head(label).map_or(0, |head| ground.left_in(head, ground.tail(head)))
}

/// What the entries take of the segments that have the fewest, by a look at each of their records.
fn units_of_emptiest(ground: &Ground, facts: &Facts) -> BTreeMap<SegmentId, u32> {
    let store = facts.store();
    let mut sealed: Vec<_> = store
        .segments
        .iter()
        .filter(|segment| segment.state == State::Sealed && !segment.pinned)
        .collect();
    sealed.sort_by_key(|segment| segment.live.count);
    let mut units: BTreeMap<SegmentId, u32> =
        sealed.iter().take(LOOKED_AT).map(|segment| (segment.id, 0)).collect();
    for page in (0..ground.index().pages()).map(PageId::new) {
        for found in ground.index().live_on(page) {
            let place = ground.geometry.locate(found.slot.address());
            if let Some(sum) = place.and_then(|(segment, _)| units.get_mut(&segment))
                && let Some(record) = entries::record_of(ground, found)
            {
                *sum += record.units();
            }
        }
    }
    units
}
