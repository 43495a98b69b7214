//! Unpublished copies: what is left of moves whose process, or whose machine, was stopped.
//!
//! A store that syncs writes the copies of a walk first, and lets slots name them after a sync. An end in
//! between leaves them there, in the room into which a segment was to be emptied. A copy carries the
//! version (LSN) of its original, so that it is known when it is met.

use crate::format::address::SegmentId;
use crate::format::control::TABLE_SEGMENTS;
use crate::format::page::page_of;
use crate::format::segment::{ORDER, StateWord};
use crate::format::slot::Slot;
use crate::index::Found;
use crate::store::{Cursor, Record, Spot, Store};

/// The copies of a walk are in the segments that were taken last: one or two that it filled, and the
/// few that puts took until the sync.
const LATEST: usize = 6;

/// A copy that no slot names, and what it is one of.
#[derive(Clone, Copy, Debug)]
pub struct UnpublishedCopy {
    /// The slot, which still names the original.
    pub found: Found,
    /// The original.
    pub old: Record,
    /// The copy, checked as a whole.
    pub new: Spot,
}

/// Calls `visit` for each copy in those of the segments taken last for which `holds` says so, in an
/// index of `pages`.
pub fn unpublished_copies(
    store: &Store,
    pages: u64,
    holds: impl Fn(SegmentId) -> bool,
    mut visit: impl FnMut(UnpublishedCopy),
) {
    for (segment, state) in latest(store, holds) {
        let mut cursor = Cursor::start(segment, state.generation);
        let mut key = Vec::new();
        while let Some((spot, _)) = cursor.next(store) {
            let Some(copy) = store.record_at(spot) else { continue };
            key.clear();
            if copy.lsn.is_none() || !copy.read_key(store, &mut key) {
                continue;
            }
            // It may be that not all of it has reached the disk.
            if let Some((found, old)) = original(store, pages, &key, &copy)
                && copy.read_all(store, &mut Vec::new())
            {
                visit(UnpublishedCopy { found, old, new: spot });
            }
        }
    }
}

/// The segments in use that were taken last.
fn latest(store: &Store, holds: impl Fn(SegmentId) -> bool) -> Vec<(SegmentId, StateWord)> {
    let in_use = |segment: SegmentId| {
        let state = store.any_state(segment)?;
        state.is_readable().then_some((segment, state))
    };
    let all = (0..TABLE_SEGMENTS).map(SegmentId::new).filter(|&segment| holds(segment));
    let mut known: Vec<_> = all.filter_map(in_use).collect();
    known.sort_by_key(|(segment, _)| std::cmp::Reverse(store.row(*segment, ORDER)));
    known.truncate(LATEST);
    known
}

/// The slot that names the record of which `copy` is one, and that record.
fn original(store: &Store, pages: u64, key: &[u8], copy: &Record) -> Option<(Found, Record)> {
    let order = |record: &Record| store.row(record.spot.segment, ORDER);
    let is_older = |old: &Record| {
        old.lsn == copy.lsn
            && old.expiry == copy.expiry
            && order(old) < order(copy)
            && old.has_key(store, key)
    };
    let hash = store.hash(key);
    let groups = store.index().groups(hash, page_of(hash, pages));
    let record_in = |found: Found| {
        let old = store.record_at(spot_of(store, found.slot)?).filter(is_older)?;
        Some((found, old))
    };
    groups.matching().filter(|found| found.slot.is_live()).find_map(record_in)
}

/// Where a slot's record is, whatever its segment is doing: after another boot it may be free already.
fn spot_of(store: &Store, slot: Slot) -> Option<Spot> {
    let (_, spot) = store.spot_in_any_state(slot.address())?;
    (spot.generation.low() == slot.generation_low()).then_some(spot)
}
