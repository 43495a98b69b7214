//! Counting anew: counters are exact after any kill, but not after damage to the file. One that is
//! found wrong is made right here, so that it costs at most the walk that met it.

use crate::entries::{self, GROWTH_LIMIT, Released, index_bytes};
use crate::error::Result;
use crate::format::control;
use crate::format::page::{PAGE_SLOTS, PageId};
use crate::format::place::SegmentId;
use crate::format::segment::{GRANTED, LIVE, Live};
use crate::index::Found;
use crate::segments::Ground;
use crate::segments::ground::Decision;
use crate::segments::read;
use crate::segments::statistics::Count;
use crate::sys::words::Words;
use crate::transaction::Changes;

/// Counts the entries anew, where damage has made the counter wrong; `true` if that changed it.
pub fn recount(ground: &Ground) -> Result<bool> {
    counted_anew(ground, || {
        let count = named(ground, |_| true);
        let mut changes = Changes::default();
        if ground.memory.load(control::ENTRIES) != count {
            changes.set(control::ENTRIES, count);
            changes.update(&ground.memory, control::PENDING, |pending| pending.min(count));
        }
        changes
    })
}

/// Says that nothing lives in a segment, if no slot names it; `true` if that changed something.
pub fn recount_live(ground: &Ground, segment: SegmentId) -> Result<bool> {
    counted_anew(ground, || {
        let mut changes = Changes::default();
        if ground.live(segment).count > 0
            && named(ground, |found| is_in(ground, found, segment)) == 0
        {
            changes.set(ground.geometry.row_at(segment, LIVE), Live::default().encode());
        }
        changes
    })
}

/// Books the grants anew, from those of the segments and the length of the index; `true` if that
/// changed something.
pub fn recount_grants(ground: &Ground) -> Result<bool> {
    counted_anew(ground, || {
        let mut changes = Changes::default();
        let granted = log_grants(ground);
        if ground.memory.load(control::LOG_GRANTED) != granted {
            changes.set(control::LOG_GRANTED, granted);
        }
        let length = ground.memory.index.refresh();
        if !is_index_grant_sound(ground, length) {
            let least = index_bytes(ground.index().pages());
            changes.set(control::INDEX_GRANTED, length.max(least));
        }
        changes
    })
}

/// Whether the booked grants cannot be right.
pub fn are_grants_wrong(ground: &Ground) -> bool {
    ground.memory.load(control::LOG_GRANTED) != log_grants(ground)
        || !is_index_grant_sound(ground, ground.memory.index.length())
}

fn log_grants(ground: &Ground) -> u64 {
    let whole = ground.geometry.segment_bytes();
    ground.segments().map(|id| ground.row(id, GRANTED).min(whole)).sum()
}

/// A grant comes before the file grows, by at most one step.
fn is_index_grant_sound(ground: &Ground, length: u64) -> bool {
    let granted = ground.memory.load(control::INDEX_GRANTED);
    let least = index_bytes(ground.index().pages());
    granted >= least && granted <= length.max(least) + GROWTH_LIMIT
}

/// Whether there cannot be so many entries as the counter says.
pub fn is_count_wrong(ground: &Ground) -> bool {
    ground.memory.load(control::ENTRIES) > ground.index().pages() * PAGE_SLOTS as u64
}

/// Drops the slots that name nothing any more, and counts the entries anew: one pass over the index.
pub fn repair(ground: &Ground) -> Result<()> {
    for page in (0..ground.index().pages()).map(PageId::new) {
        let lost: Vec<Found> = ground
            .index()
            .live_on(page)
            .filter(|found| read::spot(&ground.memory, &ground.geometry, found.slot).is_none())
            .collect();
        for found in lost {
            if entries::drop_slot(ground, found)? == Released::Gone {
                ground.count(Count::Damaged, 1);
            }
        }
    }
    recount_grants(ground)?;
    recount(ground).map(|_| ())
}

/// Entries for which `filter` holds.
fn named(ground: &Ground, filter: impl Fn(&Found) -> bool) -> u64 {
    let index = ground.index();
    let pages = (0..index.pages()).map(PageId::new);
    pages.map(|page| index.live_on(page).filter(&filter).count() as u64).sum()
}

fn is_in(ground: &Ground, found: &Found, segment: SegmentId) -> bool {
    ground.geometry.locate(found.slot.address()).is_some_and(|(of, _)| of == segment)
}

/// Commits what `count` finds, unless something was committed while it counted: then it counts
/// again, a few times. `true` if there was something to change.
fn counted_anew(ground: &Ground, count: impl Fn() -> Changes) -> Result<bool> {
    for _ in 0..16 {
        let seen = ground.lsn();
        let counted = count();
        if counted.as_slice().is_empty() {
            return Ok(false);
        }
        let done = ground.transact(|held, changes| {
            if held.lsn() == seen {
                *changes = counted;
                Decision::Commit(true)
            } else {
                Decision::Leave(false)
            }
        })?;
        if done {
            return Ok(true);
        }
    }
    Ok(false)
}
