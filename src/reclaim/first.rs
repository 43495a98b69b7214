//! The first thing after another boot, if every segment is in use: before puts take the room that the active
//! segments have, a segment is emptied into it. There is such room, since whoever used the store when the
//! power went had kept it for that.

use std::collections::BTreeMap;

use super::facts::Facts;
use super::step::run;
use super::walks::begin;
use super::writer::{Route, Writer};
use crate::error::Result;
use crate::format::address::SegmentId;
use crate::format::segment::{Queue, State};
use crate::format::walk::Purpose;
use crate::policy::SegmentFacts;
use crate::session::Session;
use crate::store::Store;

/// Segments whose records are looked at: those with the fewest entries, as nothing else is known.
const LOOKED_AT: usize = 8;

/// Empties a segment if none is free and one fits into the active segments.
pub fn free_first(session: &Session, writer: &mut Writer) -> Result<()> {
    let store = &session.store;
    let facts = Facts::gather(session, 1, &writer.swept);
    if facts.free + facts.after_sync > 0 || store.load(Route::Upkeep.at()) != 0 {
        return Ok(());
    }
    let room = [Queue::Probation, Queue::Main].map(|queue| room_in(session, queue));
    let units = units_of_emptiest(store, facts.store().segments);
    let fitting = units.into_iter().filter(|&(segment, units)| {
        let queue = store.state(segment).map(|state| state.queue);
        queue.is_some_and(|queue| fits(units, room[queue as usize]))
    });
    if let Some((segment, _)) = fitting.min_by_key(|&(_, units)| units)
        && begin(session, Route::Upkeep, 0, segment, Purpose::Compact)?
    {
        run(session, writer)?;
    }
    Ok(())
}

/// Whether records of so many units fit into `room`: chunks end where the next record does not fit.
fn fits(units: u32, room: u32) -> bool {
    units + units / 8 + 64 <= room
}

/// Units that the active segment of a queue has left.
fn room_in(session: &Session, queue: Queue) -> u32 {
    let active = session.store.active(queue);
    active.map_or(0, |active| session.left_in(active, session.store.tail(active)))
}

/// What the entries take of the segments that have the fewest, by a look at each of their records.
fn units_of_emptiest(store: &Store, segments: &[SegmentFacts]) -> BTreeMap<SegmentId, u32> {
    let can = |segment: &&SegmentFacts| segment.state == State::Sealed && !segment.pinned;
    let mut sealed: Vec<_> = segments.iter().filter(can).collect();
    sealed.sort_by_key(|segment| segment.live.count);
    let mut units: BTreeMap<SegmentId, u32> =
        sealed.iter().take(LOOKED_AT).map(|segment| (segment.id, 0)).collect();
    for found in store.index().live() {
        let place = store.geometry.locate(found.slot.address());
        if let Some(sum) = place.and_then(|(segment, _)| units.get_mut(&segment))
            && let Some(record) = store.record(found.slot)
        {
            *sum += record.units();
        }
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_moved_needs_some_room_more_than_its_units() {
        assert!(!fits(100, 100));
        assert!(fits(100, 176));
        assert!(!fits(100, 175));
        assert!(!fits(0, 0), "a chunk header takes room, too");
    }
}
