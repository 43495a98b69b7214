//! One step of a walk: the next record, or the walk's end.

use super::moves;
use super::records::{Met, meet, treat};
use super::repair::repair_empty_segment;
use super::walks::{self, Walk};
use super::writer::{Route, Writer};
use crate::entries::{self, Released};
use crate::error::Result;
use crate::format::address::SegmentId;
use crate::format::page::PageId;
use crate::format::segment::State;
use crate::format::walk::{Purpose, WALK_END, WalkWord};
use crate::index::Found;
use crate::session::{Count, Session};
use crate::store::{Cursor, read_key};

/// Syncs that a walk waits for before it is given up; one or two do.
const WAITS_LIMIT: u32 = 32;

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// There is no walk.
    Idle,
    /// A record of so many bytes was dealt with.
    Past {
        /// Its bytes.
        bytes: u64,
        /// Whether an entry went.
        gone: bool,
    },
    /// The walk has ended.
    Ended,
    /// It waits for a sync, or for the process that owns it.
    Waits,
}

/// Does the next record of a walk. With `force`, what policy would keep goes.
pub fn step(session: &Session, writer: &mut Writer, route: Route, force: bool) -> Result<Stepped> {
    let raw = session.store.load(route.at());
    if raw == 0 {
        return Ok(Stepped::Idle);
    }
    let me = session.attachment()?.process;
    let Some(walk) = walks::under_way(session, route, raw) else {
        walks::end(session, route, raw);
        return Ok(Stepped::Ended);
    };
    if walks::is_inherited(writer, &walk, me) {
        walks::take(session, writer, raw)?;
        return Ok(Stepped::Past { bytes: 0, gone: false });
    }
    let is_mine = walk.word.owner.is_none_or(|owner| owner == me);
    if walk.word.position == WALK_END {
        return at_end(session, writer, &walk, is_mine);
    }
    if !is_mine {
        return Ok(Stepped::Waits);
    }
    next_record(session, writer, &walk, force)
}

/// Runs the walk under way to its end. One that no sync brings further (damage can make the numbers of
/// syncs so) is given up.
pub fn run(session: &Session, writer: &mut Writer) -> Result<()> {
    let mut waits = 0;
    loop {
        match step(session, writer, Route::Upkeep, false)? {
            Stepped::Idle | Stepped::Ended => return Ok(()),
            Stepped::Past { .. } => {}
            Stepped::Waits if waits == WAITS_LIMIT => {
                writer.copies.give_up();
                let raw = session.store.load(Route::Upkeep.at());
                walks::end(session, Route::Upkeep, raw);
                return Ok(());
            }
            Stepped::Waits => {
                waits += 1;
                moves::sync_and_name(session, writer)?;
                walks::take_over(session, writer)?;
            }
        }
    }
}

/// Collects what expired in a segment, from its start to its end, by no walk that others see: the one that they
/// see may have to wait.
pub fn collect_beside(session: &Session, writer: &mut Writer, segment: SegmentId) -> Result<()> {
    let Some(state) = session.store.state(segment) else { return Ok(()) };
    let generation_low = state.generation.low();
    let word =
        WalkWord { segment, generation_low, purpose: Purpose::Sweep, position: 0, owner: None };
    let walk = Walk { route: Route::Upkeep, raw: 0, word, state };
    let mut cursor = Cursor::start(segment, state.generation);
    while let Some((spot, _)) = cursor.next(&session.store) {
        meet(session, writer, &walk, spot, false)?;
    }
    Ok(())
}

fn next_record(
    session: &Session,
    writer: &mut Writer,
    walk: &Walk,
    force: bool,
) -> Result<Stepped> {
    let mut cursor = walks::cursor(session, writer, walk);
    let next = cursor.next(&session.store);
    if next.is_none() && walk.word.purpose == Purpose::Trim && walk.state.state == State::Active {
        // More will come here: the hand waits for it where it is.
        return Ok(Stepped::Ended);
    }
    let (position, stepped) = match next {
        None => (WALK_END, Stepped::Past { bytes: 0, gone: false }),
        Some((spot, shape)) => {
            let gone = meet(session, writer, walk, spot, force)?;
            ask_ahead(session, cursor, &mut writer.key);
            (cursor.position, Stepped::Past { bytes: shape.footprint(), gone })
        }
    };
    walks::advance(session, writer, walk, position, cursor);
    Ok(stepped)
}

/// Asks for the memory that the next two steps will read, which come with the next puts: the slot of the
/// next record, and what is behind that.
fn ask_ahead(session: &Session, mut cursor: Cursor, key: &mut Vec<u8>) {
    let store = &session.store;
    let Some((spot, shape)) = cursor.next(store) else { return };
    store.prefetch_record(store.geometry.address(cursor.segment, cursor.position));
    key.clear();
    if read_key(store, spot, shape, key) {
        store.index().prefetch(store.hash(key));
    }
}

/// The walk has come to its last record.
fn at_end(session: &Session, writer: &mut Writer, walk: &Walk, is_mine: bool) -> Result<Stepped> {
    match walk.word.purpose {
        // The next one begins behind it.
        Purpose::Trim => return Ok(Stepped::Ended),
        Purpose::Sweep => {
            let now = session.now();
            writer.swept.note(walk.word.segment, walk.state.generation, now);
            if session.store.live(walk.word.segment).count == 0 {
                session.try_free(walk.word.segment)?;
            }
        }
        Purpose::Evict | Purpose::Compact => {
            if !is_mine || !is_emptied(session, writer, walk)? {
                return Ok(Stepped::Waits);
            }
            session.try_free(walk.word.segment)?;
        }
    }
    walks::end(session, walk.route, walk.raw);
    Ok(Stepped::Ended)
}

/// Whether nothing in a segment is waited for any more; deals with what the walk could not reach, and counts
/// anew where the counter says that there is more.
fn is_emptied(session: &Session, writer: &mut Writer, walk: &Walk) -> Result<bool> {
    let segment = walk.word.segment;
    let is_empty = || session.store.live(segment).count == 0;
    if !moves::name_covered(session, writer)? {
        return Ok(false);
    }
    if is_empty() {
        return Ok(true);
    }
    purge(session, writer, walk)?;
    if !moves::name_covered(session, writer)? {
        return Ok(false);
    }
    if !is_empty() {
        repair_empty_segment(session, segment)?;
    }
    Ok(true)
}

/// Deals with the slots that still name a segment after its walk: their records could not be reached
/// from chunk to chunk. One pass over the index.
fn purge(session: &Session, writer: &mut Writer, walk: &Walk) -> Result<()> {
    let store = &session.store;
    let is_in = |found: &Found| {
        let place = store.geometry.locate(found.slot.address());
        place.is_some_and(|(segment, _)| segment == walk.word.segment)
    };
    let mut page = 0;
    while page < store.index().pages() {
        let named: Vec<Found> = store.index().live_on(PageId::new(page)).filter(is_in).collect();
        for found in named {
            if writer.copies.has(found) {
                continue;
            }
            match store.record(found.slot) {
                Some(record) => {
                    let record = &record;
                    treat(session, writer, Met { walk, found, record, force: false })?;
                }
                // Another process may have been here first.
                None => {
                    if entries::drop_slot(session, found)? == Released::Gone {
                        session.count(Count::Damaged, 1);
                    }
                }
            }
        }
        page += 1;
    }
    Ok(())
}
