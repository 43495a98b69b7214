//! Moves that another boot found unfinished, done again.
//!
//! A store that syncs writes the copies of a walk first, and lets slots name them after a sync. If the
//! power goes in between, the copies are there and nobody names them. Left like that, they would
//! take the room into which their segment was to be emptied. A copy carries the version (LSN) of what it
//! is a copy of, so it is known when it is met.

use crate::format::control::{Geometry, TABLE_SEGMENTS};
use crate::format::page::page_of;
use crate::format::place::SegmentId;
use crate::format::segment::{ORDER, StateWord};
use crate::format::slot::Slot;
use crate::index::{Found, Index};
use crate::segments::read::{self, Record, Spot};
use crate::segments::walk::Cursor;
use crate::sys::mapping::Memory;
use crate::sys::words::Words;

/// The copies of a walk are in the segments that were taken last: one or two that it filled, and the
/// few that puts took until the sync.
const LATEST: usize = 6;

/// Lets slots name the copies found in the segments taken last: the slots. `live` counts those of each
/// segment; `pages` are those of the index.
pub fn redo(memory: &Memory, geometry: &Geometry, pages: u64, live: &mut [u32]) -> Vec<Slot> {
    let mut redone = Vec::new();
    for (segment, state) in latest(memory, geometry, live) {
        let mut cursor = Cursor::start(segment, state.generation);
        let mut key = Vec::new();
        while let Some((spot, _)) = cursor.next(memory, geometry) {
            let Some(copy) = read::record(memory, geometry, spot) else { continue };
            key.clear();
            if copy.lsn.is_none() || !copy.read_key(&memory.log, &mut key) {
                continue;
            }
            let Some(found) = original(memory, geometry, pages, &key, &copy) else { continue };
            if !copy.read_all(memory, geometry, &mut Vec::new()) {
                continue; // Not all of it has reached the disk.
            }
            let slot = found.slot.with_place(copy.spot.address, state.generation);
            memory.store(geometry.slot_at(found.page, found.position), slot.word());
            if let Some((left, _)) = geometry.locate(found.slot.address()) {
                live[usize::from(left.get())] -= 1;
                live[usize::from(segment.get())] += 1;
            }
            redone.push(slot);
        }
    }
    redone
}

/// The segments in use that were taken last.
fn latest(memory: &Memory, geometry: &Geometry, live: &[u32]) -> Vec<(SegmentId, StateWord)> {
    let mut known: Vec<_> = (0..TABLE_SEGMENTS)
        .filter(|&id| live[usize::from(id)] > 0)
        .filter_map(|id| {
            let segment = SegmentId::new(id);
            let state = StateWord::decode(memory.load(geometry.state_at(segment)))?;
            state.is_readable().then_some((segment, state))
        })
        .collect();
    let order = |segment| memory.load(geometry.row_at(segment, ORDER));
    known.sort_by_key(|(segment, _)| std::cmp::Reverse(order(*segment)));
    known.truncate(LATEST);
    known
}

/// The slot that names the record of which `copy` is one.
fn original(
    memory: &Memory,
    geometry: &Geometry,
    pages: u64,
    key: &[u8],
    copy: &Record,
) -> Option<Found> {
    let order = |segment| memory.load(geometry.row_at(segment, ORDER));
    let is_older = |old: &Record| {
        old.lsn == copy.lsn
            && old.expiry == copy.expiry
            && order(old.spot.segment) < order(copy.spot.segment)
            && old.has_key(&memory.log, key)
    };
    let index = Index::new(memory, geometry);
    let hash = geometry.hash(key);
    let groups = index.groups(index.probe(hash), page_of(hash, pages));
    groups.matching().filter(|found| found.slot.is_live()).find(|found| {
        spot_of(memory, geometry, found.slot)
            .and_then(|spot| read::record(memory, geometry, spot))
            .is_some_and(|old| is_older(&old))
    })
}

/// Where a slot's record is, whatever its segment is doing: it may be free already.
fn spot_of(memory: &Memory, geometry: &Geometry, slot: Slot) -> Option<Spot> {
    let (segment, within) = geometry.locate(slot.address())?;
    let state = StateWord::decode(memory.load(geometry.state_at(segment)))?;
    let room = state.allocated.min(geometry.segment_bytes()).checked_sub(within)?;
    let generation = state.generation;
    let same = generation.low() == slot.generation_low();
    same.then_some(Spot { segment, generation, address: slot.address(), room })
}
