//! Repair: what damage made wrong in a store in use is made right here. So damage costs at most the walk that
//! met it. Counters are exact after any kill, but not after damage to the files.

use std::sync::atomic::{AtomicBool, Ordering};

use super::mending::repair_words;
use crate::entries::{self, GROWTH_LIMIT, Released, index_bytes};
use crate::error::Result;
use crate::format::address::{SegmentId, UNIT};
use crate::format::control;
use crate::format::page::{PAGE_SLOTS, PageId};
use crate::format::record::HEADER_BYTES;
use crate::format::segment::{GRANTED, LIVE, Live, State};
use crate::index::Found;
use crate::session::{Count, Decision, Session};
use crate::store::Store;
use crate::transaction::Changes;

/// Units of the smallest record.
const LEAST_UNITS: u32 = HEADER_BYTES.div_ceil(UNIT) as u32;

/// Whether this process met damage, which the next `maintain` should look into.
#[derive(Debug, Default)]
pub struct Suspicion(AtomicBool);

impl Suspicion {
    /// Something was damaged.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether something was, since this was last asked.
    pub fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Drops the slots that name nothing any more, puts segments to use again that damage took out of it,
/// and counts everything anew: one pass over the index.
pub fn repair(session: &Session) -> Result<()> {
    let store = &session.store;
    repair_words(session)?;
    entries::repair_page_count(session)?;
    for page in (0..store.index().pages()).map(PageId::new) {
        let is_lost = |found: &Found| store.spot(found.slot).is_none();
        let lost: Vec<Found> = store.index().live_on(page).filter(is_lost).collect();
        for found in lost {
            if entries::drop_lost(session, found)? == Released::Gone {
                session.count(Count::Damaged, 1);
            }
        }
    }
    // A transaction has room for some segments.
    for _ in store.segments() {
        if !repair_live_counts(session)? {
            break;
        }
    }
    repair_grants(session)?;
    repair_entry_count(session).map(|_| ())
}

/// Whether there cannot be so many entries as the counter says.
#[inline]
pub fn is_entry_count_wrong(store: &Store) -> bool {
    store.load(control::ENTRIES) > store.index().pages() * PAGE_SLOTS as u64
}

/// Counts the entries anew, where damage has made the counter wrong; `true` if that changed it.
pub fn repair_entry_count(session: &Session) -> Result<bool> {
    let store = &session.store;
    counted_anew(session, || {
        let count = store.index().live().count() as u64;
        let mut changes = Changes::default();
        if store.load(control::ENTRIES) != count {
            changes.set(control::ENTRIES, count);
            changes.update(&store.words, control::PENDING, |pending| pending.min(count));
        }
        changes
    })
}

/// Says that nothing lives in a segment, if no slot names it; `true` if that changed something.
pub fn repair_empty_segment(session: &Session, segment: SegmentId) -> Result<bool> {
    let store = &session.store;
    let is_in = |found: Found| {
        store.geometry.locate(found.slot.address()).is_some_and(|(of, _)| of == segment)
    };
    counted_anew(session, || {
        let mut changes = Changes::default();
        if store.live(segment).count > 0 && !store.index().live().any(is_in) {
            changes.set(store.geometry.row_at(segment, LIVE), Live::default().encode());
        }
        changes
    })
}

/// Whether the booked grants cannot be right.
pub fn are_grants_wrong(store: &Store) -> bool {
    store.load(control::LOG_GRANTED) != log_grants(store)
        || !is_index_grant_sound(store, store.words.index.length())
}

/// Books the grants anew, from those of the segments and the length of the index; `true` if that
/// changed something.
pub fn repair_grants(session: &Session) -> Result<bool> {
    let store = &session.store;
    counted_anew(session, || {
        let mut changes = Changes::default();
        let granted = log_grants(store);
        if store.load(control::LOG_GRANTED) != granted {
            changes.set(control::LOG_GRANTED, granted);
        }
        let length = store.words.index.refresh();
        if !is_index_grant_sound(store, length) {
            let least = index_bytes(store.index().pages());
            changes.set(control::INDEX_GRANTED, length.max(least));
        }
        changes
    })
}

fn log_grants(store: &Store) -> u64 {
    let whole = store.geometry.segment_bytes();
    store.segments().map(|id| store.row(id, GRANTED).min(whole)).sum()
}

/// A grant comes before the file grows, by at most one step.
fn is_index_grant_sound(store: &Store, length: u64) -> bool {
    let granted = store.load(control::INDEX_GRANTED);
    let least = index_bytes(store.index().pages());
    granted >= least && granted <= length.max(least) + GROWTH_LIMIT
}

/// Counts anew what lives in the first few segments that are miscounted; `true` if there were any.
fn repair_live_counts(session: &Session) -> Result<bool> {
    let store = &session.store;
    counted_anew(session, || {
        let mut counts = vec![0u32; usize::from(control::TABLE_SEGMENTS)];
        for found in store.index().live() {
            if let Some((segment, _)) = store.geometry.locate(found.slot.address()) {
                counts[usize::from(segment.get())] += 1;
            }
        }
        let mut changes = Changes::default();
        for segment in store.segments() {
            let (live, count) = (store.live(segment), counts[usize::from(segment.get())]);
            let in_use = store.state(segment).is_some_and(|state| state.state != State::Free);
            if in_use && live.count != count && changes.has_room(1) {
                let counted = recounted(live, count, store.geometry.segment_units());
                changes.set(store.geometry.row_at(segment, LIVE), counted.encode());
            }
        }
        changes
    })
}

/// What lives in a segment that `count` slots name; `live` is what was thought. How many units that takes
/// is a guess until the segment is walked.
fn recounted(live: Live, count: u32, segment_units: u32) -> Live {
    let least = count.saturating_mul(LEAST_UNITS).min(segment_units);
    let units = if count == 0 { 0 } else { live.units.clamp(least, segment_units) };
    Live { count, units }
}

/// Commits what `count` finds, unless something was committed while it counted: then it counts
/// again, a few times. `true` if there was something to change.
fn counted_anew(session: &Session, count: impl Fn() -> Changes) -> Result<bool> {
    for _ in 0..16 {
        let seen = session.store.lsn();
        let counted = count();
        if counted.is_empty() {
            return Ok(false);
        }
        let done = session.transact(|lsn, changes| {
            if lsn == seen {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_that_cannot_be_are_brought_within_what_so_many_entries_can_have() {
        let live = |count, units| Live { count, units };
        assert_eq!(recounted(live(5, 100), 4, 1000), live(4, 100));
        assert_eq!(recounted(live(5, 1), 4, 1000), live(4, 4 * LEAST_UNITS));
        assert_eq!(recounted(live(5, 9999), 4, 1000), live(4, 1000));
        assert_eq!(recounted(live(0, 7), u32::MAX, 1000), live(u32::MAX, 1000));
        assert_eq!(recounted(live(5, 100), 0, 1000), live(0, 0));
    }

    #[test]
    fn a_suspicion_is_taken_once() {
        let suspicion = Suspicion::default();
        assert!(!suspicion.take());
        suspicion.raise();
        assert!(suspicion.take());
        assert!(!suspicion.take());
    }
}
