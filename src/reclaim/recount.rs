//! Counting anew: counters are exact after any kill, but not after damage to the file. One that is
//! found wrong is made right here, so that it costs at most the walk that met it.

use std::sync::atomic::Ordering;

use crate::entries::{self, GROWTH_LIMIT, Released, index_bytes};
use crate::error::Result;
use crate::format::control;
use crate::format::page::{PAGE_SLOTS, PageId};
use crate::format::place::{Generation, SegmentId, UNIT};
use crate::format::record::HEADER_BYTES;
use crate::format::segment::{ALLOCATION_PAGE, GRANTED, LIVE, Label, Live, State, StateWord};
use crate::index::Found;
use crate::segments::Ground;
use crate::segments::ground::Decision;
use crate::segments::read;
use crate::segments::statistics::Count;
use crate::sys::space;
use crate::sys::words::Words;
use crate::transaction::Changes;

/// Units of the smallest record.
const LEAST_UNITS: u32 = HEADER_BYTES.div_ceil(UNIT) as u32;

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

/// Drops the slots that name nothing any more, puts segments to use again that damage took out of it,
/// and counts the entries anew: one pass over the index.
pub fn repair(ground: &Ground) -> Result<()> {
    ground.suspect.store(false, Ordering::Relaxed);
    entries::mend_pages(ground)?;
    for segment in ground.segments().filter(|&id| ground.state(id).is_none()) {
        renew(ground, segment)?;
    }
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
    // A transaction has room for some segments.
    for _ in ground.segments() {
        if !recount_segments(ground)? {
            break;
        }
    }
    recount_grants(ground)?;
    recount(ground).map(|_| ())
}

/// Counts anew what lives in the first few segments that are miscounted; `true` if there were any. How
/// many units that takes is a guess until they are walked.
fn recount_segments(ground: &Ground) -> Result<bool> {
    counted_anew(ground, || {
        let mut counts = vec![0u32; usize::from(control::TABLE_SEGMENTS)];
        let index = ground.index();
        for page in (0..index.pages()).map(PageId::new) {
            for found in index.live_on(page) {
                if let Some((segment, _)) = ground.geometry.locate(found.slot.address()) {
                    counts[usize::from(segment.get())] += 1;
                }
            }
        }
        let mut changes = Changes::default();
        for segment in ground.segments() {
            let (live, count) = (ground.live(segment), counts[usize::from(segment.get())]);
            let in_use = ground.state(segment).is_some_and(|state| state.state != State::Free);
            if in_use && live.count != count && changes.has_room(1) {
                let most = ground.geometry.segment_units();
                let units = live.units.clamp(count.saturating_mul(LEAST_UNITS).min(most), most);
                let units = if count == 0 { 0 } else { units };
                let at = ground.geometry.row_at(segment, LIVE);
                changes.set(at, Live { count, units }.encode());
            }
        }
        changes
    })
}

/// Whether damage has taken a segment out of use: its state is none that there is.
pub fn is_any_lost(ground: &Ground) -> bool {
    ground.segments().any(|segment| ground.state(segment).is_none())
}

/// Makes sense of a segment's state that is damaged. Where only the allocated length cannot be, all of
/// it is allocated, and its records stay; else nothing in it was read any more, and it is draining. Then
/// its first page is allocated, for with none it would count as one that is being punched out.
fn renew(ground: &Ground, segment: SegmentId) -> Result<()> {
    let state_at = ground.geometry.state_at(segment);
    let seen = ground.memory.load(state_at);
    let renewed = match StateWord::decode(seen) {
        _ if ground.row(segment, GRANTED) == 0 => {
            StateWord { state: State::Free, allocated: 0, ..lost(seen) }
        }
        Some(state) => StateWord { allocated: ground.geometry.segment_bytes(), ..state },
        None => lost(seen),
    };
    let start = ground.geometry.segment_start(segment);
    let file = ground.memory.log.file();
    if renewed.allocated > 0 && space::allocate(file, start, renewed.allocated).is_err() {
        return Ok(()); // The disk is full: another time.
    }
    ground.transact(|_, changes| {
        if ground.memory.load(state_at) != seen {
            return Decision::Leave(());
        }
        changes.set(state_at, renewed.encode());
        Decision::Commit(())
    })
}

/// A segment of which nothing is known but the generation.
fn lost(word: u64) -> StateWord {
    StateWord {
        generation: Generation::new(word as u32),
        state: State::Draining,
        label: Label::Main,
        allocated: ALLOCATION_PAGE,
    }
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
        if counted.is_empty() {
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
