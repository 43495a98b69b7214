//! The clock hands: what evicts where entries are at their limit. Each queue has one, which goes round the
//! queue's segments, active ones included, and leaves what it passes where it is.
//!
//! A hand is led past dead records ahead of time, a few with each put, so that no single eviction has a
//! long stretch of them to pass.

use super::clear::collect_unreadable;
use super::facts::Facts;
use super::permit::may_evict_for_entries;
use super::plans::carry_out;
use super::repair::repair_entry_count;
use super::step::{Stepped, step};
use super::walks::{self, begin};
use super::writer::{Route, Writer};
use crate::entries::{self, Released};
use crate::error::Result;
use crate::format::address::SegmentId;
use crate::format::control;
use crate::format::page::PageId;
use crate::format::segment::{ORDER, Queue, State, StateWord};
use crate::format::walk::{Purpose, WALK_END, WalkWord};
use crate::index::Found;
use crate::policy;
use crate::session::{Count, Decision, Session};
use crate::store::Spot;

/// Records that an eviction lets pass before it takes the next one.
const PASSES_LIMIT: u32 = 24;
/// Records that a sweep passes for an eviction that may take something live, before it does.
const SWEEPS_LIMIT: u32 = 256;
/// Evictions after which the queue is chosen anew.
const TRIMS_A_CHOICE: u32 = 16;
/// Entries that are taken from the index without another look at the segments, once no hand found any.
const HIDDEN_AT_ONCE: u32 = 256;
/// The hands are advanced with one put in so many.
const ADVANCE_EVERY: u32 = 8;
/// Dead records passed at a time: more than are made meanwhile.
const ADVANCE_RECORDS: u32 = 24;
/// A hand is looked for this rarely where there is none.
const BEGIN_EVERY: u32 = 64;

/// What an eviction has done so far to find an entry.
#[derive(Debug, Default)]
struct Search {
    /// Records that the hands let pass.
    passes: u32,
    /// Times that a hand came to the end of a segment.
    laps: usize,
    /// Segments in use.
    segments: usize,
    /// The chosen queue whose hand was last found at the end of a segment.
    at_end: Option<Queue>,
}

/// Evicts one entry, as the policy chooses; `false` if there is none.
pub fn evict_one(session: &Session, writer: &mut Writer) -> Result<bool> {
    if writer.hands.hidden > 0 {
        writer.hands.hidden -= 1;
        if evict_first(session)? {
            return Ok(true);
        }
    }
    if collect_unreadable(session)? || collect_one(session, writer)? {
        return Ok(true);
    }
    let mut search = Search::default();
    loop {
        let queue = match writer.hands.trimming {
            Some((queue, left)) if left > 0 => queue,
            _ => choose_queue(session, writer, &mut search),
        };
        let force = search.passes >= PASSES_LIMIT;
        match step(session, writer, Route::Hand(queue), force)? {
            Stepped::Past { gone: true, .. } => {
                let trimming = &mut writer.hands.trimming;
                *trimming = trimming.map(|(queue, left)| (queue, left - 1));
                return Ok(true);
            }
            Stepped::Past { bytes, .. } => search.passes += u32::from(bytes > 0),
            Stepped::Idle | Stepped::Ended | Stepped::Waits => {
                search.laps += 1;
                if search.laps > 4 + 4 * search.segments {
                    return evict_hidden(session, writer);
                }
                next_segment(session, writer, &mut search, queue)?;
            }
        }
    }
}

/// Chooses the queue that gives entries away.
fn choose_queue(session: &Session, writer: &mut Writer, search: &mut Search) -> Queue {
    let facts = Facts::gather(session, 1, &writer.swept);
    search.segments = facts.store().segments.len();
    let queue = policy::trim_queue(&facts.store());
    writer.hands.trimming = Some((queue, TRIMS_A_CHOICE));
    // In a store that syncs a copy would wait for a sync, and be made again and again until then.
    writer.hands.rejoin = policy::is_main_in_few(&facts.store()) && !session.store.syncs();
    queue
}

/// Goes on from a segment at whose end the hand is. The queue may be empty by now: so it is chosen anew, and
/// if it is the same again, its next segment is begun.
fn next_segment(
    session: &Session,
    writer: &mut Writer,
    search: &mut Search,
    queue: Queue,
) -> Result<()> {
    writer.hands.trimming = None;
    if search.at_end == Some(queue) {
        next_trim(session, writer, queue)?;
    }
    search.at_end = Some(queue);
    Ok(())
}

/// Begins to trim the next segment of a queue; `false` if none has entries.
fn next_trim(session: &Session, writer: &Writer, queue: Queue) -> Result<bool> {
    let route = Route::Hand(queue);
    let raw = session.store.load(route.at());
    let facts = Facts::gather(session, 1, &writer.swept);
    let left = WalkWord::decode(raw).map(|walk| walk.segment);
    let order = left.and_then(|segment| facts.order_of(segment)).unwrap_or(0);
    if let Some(segment) = left
        && queue == Queue::Main
        && !policy::is_main_in_few(&facts.store())
    {
        make_youngest(session, segment)?;
    }
    match policy::trim_after(&facts.store(), queue, order) {
        Some(segment) => begin(session, route, raw, segment, Purpose::Trim).map(|_| true),
        None => Ok(false),
    }
}

/// Makes a segment of main that the hand leaves the youngest: what it let pass there is as if written again.
/// Not in a store that syncs, where the order says which copies are newer than what they are copies of.
fn make_youngest(session: &Session, segment: SegmentId) -> Result<()> {
    let store = &session.store;
    session.transact(|_, changes| {
        let is_main = |state: StateWord| {
            state.queue == Queue::Main && matches!(state.state, State::Sealed | State::Victim)
        };
        if store.syncs() || !store.state(segment).is_some_and(is_main) {
            return Decision::Leave(());
        }
        let order = store.load(control::ORDERS).wrapping_add(1);
        changes.set(control::ORDERS, order);
        changes.set(store.geometry.row_at(segment, ORDER), order);
        Decision::Commit(())
    })
}

/// Looks for an entry that has expired, which goes before anything live: until too little may be left of
/// them, and for some records more if a sweep is under way. Whether an entry went.
fn collect_one(session: &Session, writer: &mut Writer) -> Result<bool> {
    let is_walking = || session.store.load(Route::Upkeep.at()) != 0;
    let (mut steps, mut walks) = (0, 0);
    // What sweeps do not find in all segments, twice, is not waited for.
    while walks <= 2 * session.store.segment_count() {
        if (steps >= SWEEPS_LIMIT || !is_walking()) && may_evict_for_entries(session, writer) {
            return Ok(false);
        }
        if !is_walking() {
            let facts = Facts::gather(session, 1, &writer.swept);
            let Some(plan) = policy::sweep_for_room(&facts.store()) else { return Ok(false) };
            carry_out(session, writer, plan)?;
            walks += 1;
        }
        steps += 1;
        match step(session, writer, Route::Upkeep, false)? {
            Stepped::Past { gone: true, .. } => return Ok(true),
            Stepped::Waits => return Ok(false),
            Stepped::Past { .. } | Stepped::Ended | Stepped::Idle => {}
        }
    }
    Ok(false)
}

/// Evicts where no hand finds anything though the counter says that there is something: it must be wrong,
/// or damage hides what is there from the walks.
fn evict_hidden(session: &Session, writer: &mut Writer) -> Result<bool> {
    if repair_entry_count(session)? {
        return Ok(true);
    }
    writer.hands.hidden = HIDDEN_AT_ONCE;
    evict_first(session)
}

/// Evicts what stands first in the index; `false` if there is nothing.
fn evict_first(session: &Session) -> Result<bool> {
    for page in (0..session.store.index().pages()).map(PageId::new) {
        let is_dead = |found: &Found| entries::is_dead(&session.store, found, || session.now());
        let first = session.store.index().live_on(page).min_by_key(|found| !is_dead(found));
        let Some(found) = first else { continue };
        if found.slot.is_duplicate() {
            entries::resolve_duplicates(session, page)?; // Else an older version would be back.
        }
        if entries::drop_slot(session, found)? == Released::Gone {
            session.count(Count::Evictions, 1);
        }
        return Ok(true);
    }
    Ok(false)
}

/// Advances the hands, if entries are near their limit: a put's share.
#[inline]
pub fn advance(session: &Session, writer: &mut Writer) -> Result<()> {
    writer.hands.puts = writer.hands.puts.wrapping_add(1);
    if !writer.hands.puts.is_multiple_of(ADVANCE_EVERY) {
        return Ok(());
    }
    let limit = session.store.load(control::MAX_ENTRIES);
    if session.store.load(control::ENTRIES) < limit - limit / 8 {
        return Ok(());
    }
    for queue in [Queue::Probation, Queue::Main] {
        let route = Route::Hand(queue);
        let raw = session.store.load(route.at());
        match WalkWord::decode(raw) {
            Some(walk) if walk.position != WALK_END => pass_dead(session, writer, route, raw),
            _ if writer.hands.puts.is_multiple_of(BEGIN_EVERY) => {
                let facts = Facts::gather(session, 1, &writer.swept);
                if policy::trim_queue(&facts.store()) == queue {
                    next_trim(session, writer, queue)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Leads a hand up to the next record that lives or may yet.
fn pass_dead(session: &Session, writer: &mut Writer, route: Route, raw: u64) {
    let Some(walk) = walks::under_way(session, route, raw) else { return };
    let mut cursor = walks::cursor(session, writer, &walk);
    for _ in 0..ADVANCE_RECORDS {
        let mut ahead = cursor;
        match ahead.next(&session.store) {
            Some((spot, _)) if is_dead(session, &mut writer.key, spot) => cursor = ahead,
            _ => break,
        }
    }
    walks::advance(session, writer, &walk, cursor.position, cursor);
}

/// Whether the record at a spot was published and no slot names it any more.
fn is_dead(session: &Session, key: &mut Vec<u8>, spot: Spot) -> bool {
    let store = &session.store;
    key.clear();
    store.record_at(spot).is_some_and(|record| {
        record.lsn.is_some() && record.read_key(store, key) && {
            let hash = store.hash(key);
            entries::find_at(store, hash, spot.address, spot.generation).is_none()
        }
    })
}
