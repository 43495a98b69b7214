//! Orphans: copies that nobody names, what is left of moves whose process, or whose machine, was stopped.
//!
//! A store that syncs writes the copies of a walk first, and lets slots name them after a sync. What
//! ends in between leaves them there, in the room into which a segment was to be emptied. A copy carries
//! the version (LSN) of what it is a copy of, so it is known when it is met.

use crate::format::control::{Geometry, TABLE_SEGMENTS};
use crate::format::page::page_of;
use crate::format::place::SegmentId;
use crate::format::segment::{ORDER, StateWord};
use crate::format::slot::Slot;
use crate::index::{Found, Index};
use crate::segments::read::{self, Record, Spot};
use crate::segments::walk::Cursor;
use crate::sys::memory::Memory;
use crate::sys::words::Words;

/// The copies of a walk are in the segments that were taken last: one or two that it filled, and the
/// few that puts took until the sync.
const LATEST: usize = 6;

/// A copy that no slot names, and what it is one of.
#[derive(Clone, Copy, Debug)]
pub struct Orphan {
    /// The slot, which still names the original.
    pub found: Found,
    /// The original.
    pub old: Record,
    /// The copy, checked as a whole.
    pub new: Spot,
}

/// Calls `visit` for each copy in those of the segments taken last for which `holds` says so, in an
/// index of `pages`.
pub fn orphans(
    memory: &Memory,
    geometry: &Geometry,
    pages: u64,
    holds: impl Fn(SegmentId) -> bool,
    mut visit: impl FnMut(Orphan),
) {
    for (segment, state) in latest(memory, geometry, holds) {
        let mut cursor = Cursor::start(segment, state.generation);
        let mut key = Vec::new();
        while let Some((spot, _)) = cursor.next(memory, geometry) {
            let Some(copy) = read::record(memory, geometry, spot) else { continue };
            key.clear();
            if copy.lsn.is_none() || !copy.read_key(&memory.log, &mut key) {
                continue;
            }
            // It may be that not all of it has reached the disk.
            if let Some((found, old)) = original(memory, geometry, pages, &key, &copy)
                && copy.read_all(memory, geometry, &mut Vec::new())
            {
                visit(Orphan { found, old, new: spot });
            }
        }
    }
}

/// The segments in use that were taken last.
fn latest(
    memory: &Memory,
    geometry: &Geometry,
    holds: impl Fn(SegmentId) -> bool,
) -> Vec<(SegmentId, StateWord)> {
    let mut known: Vec<_> = (0..TABLE_SEGMENTS)
        .map(SegmentId::new)
        .filter(|&segment| holds(segment))
        .filter_map(|segment| {
            let state = StateWord::decode(memory.load(geometry.state_at(segment)))?;
            state.is_readable().then_some((segment, state))
        })
        .collect();
    let order = |segment| memory.load(geometry.row_at(segment, ORDER));
    known.sort_by_key(|(segment, _)| std::cmp::Reverse(order(*segment)));
    known.truncate(LATEST);
    known
}

/// The slot that names the record of which `copy` is one, and that record.
fn original(
    memory: &Memory,
    geometry: &Geometry,
    pages: u64,
    key: &[u8],
    copy: &Record,
) -> Option<(Found, Record)> {
    let order = |segment| memory.load(geometry.row_at(segment, ORDER));
    let is_older = |old: &Record| {
        old.lsn == copy.lsn
            && old.expiry == copy.expiry
            && order(old.spot.segment) < order(copy.spot.segment)
            && old.has_key(&memory.log, key)
    };
    let index = Index::new(memory, geometry);
    let hash = geometry.hash(key);
    let groups = index.groups(hash, page_of(hash, pages));
    let record_in = |found: Found| {
        let spot = spot_of(memory, geometry, found.slot)?;
        let old = read::record(memory, geometry, spot).filter(is_older)?;
        Some((found, old))
    };
    groups.matching().filter(|found| found.slot.is_live()).find_map(record_in)
}

/// Where a slot's record is, whatever its segment is doing: after another boot it may be free already.
fn spot_of(memory: &Memory, geometry: &Geometry, slot: Slot) -> Option<Spot> {
    let (segment, within) = geometry.locate(slot.address())?;
    let state = StateWord::decode(memory.load(geometry.state_at(segment)))?;
    let room = state.allocated.min(geometry.segment_bytes()).checked_sub(within)?;
    let generation = state.generation;
    let same = generation.low() == slot.generation_low();
    same.then_some(Spot { segment, generation, address: slot.address(), room })
}
