//! Moves: a record is copied, and its slot names the copy from then on. In a store that syncs copies
//! wait: a slot names one only after a sync that began after the copy was made.

use super::writer::Writer;
use crate::entries::{self, Move, UnpublishedCopy};
use crate::error::Result;
use crate::format::address::SegmentId;
use crate::format::control;
use crate::format::segment::Queue;
use crate::index::Found;
use crate::session::{Attributes, Count, Session, Wanted, Writing};
use crate::store::{Record, Spot};

/// Copies that may wait at a time, so that memory is bounded.
const WAITING_LIMIT: usize = 16 << 10;

/// What became of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// A slot names it, or will after a sync.
    Done,
    /// There is no room for it.
    NoRoom,
    /// The record could not be read.
    Damaged,
}

/// Where a record is moved to, and how often it counts as read from then on.
#[derive(Clone, Copy, Debug)]
pub struct Destination {
    /// Its queue.
    pub queue: Queue,
    /// Its frequency.
    pub frequency: u8,
    /// Whether it may go into the last free segment, which is kept for walks that free another.
    pub last: bool,
}

/// Writes a record again in a queue, and lets its slot name the copy, now or after a sync.
pub fn copy(
    session: &Session,
    writer: &mut Writer,
    found: Found,
    record: &Record,
    to: Destination,
) -> Result<Copied> {
    let Destination { queue, frequency, last } = to;
    let wanted = Wanted { queue, which: Writing::Move, units: record.units(), last };
    let store = &session.store;
    let mut bytes = Vec::new();
    if !record.read_all(store, &mut bytes) {
        // Damaged, or gone in the meantime: then the slot has changed and stays as it is.
        return Ok(Copied::Damaged);
    }
    let mut spot = room(session, writer, wanted)?;
    if spot.is_none() && store.syncs() {
        // What earlier moves left may be all the room there is: it can be taken after a sync.
        writer.sync(session)?;
        spot = room(session, writer, wanted)?;
    }
    let Some(new) = spot else { return Ok(Copied::NoRoom) };
    let syncs = store.syncs();
    let attributes = Attributes {
        created: record.created,
        expiry: record.expiry,
        lsn: record.lsn.filter(|_| syncs),
    };
    session.write(new, record.shape, attributes, [&bytes, b"", b""]);
    session.widen_expiry(new, record.expiry, record.units());
    let moved = Move { found, old: *record, new, frequency, syncs };
    let result = if syncs {
        wait(session, writer, moved)
    } else {
        entries::repoint(session, &moved).map(|_| ())
    };
    session.written(Writing::Move);
    result?;
    session.count(Count::Moves, 1);
    session.count(Count::BytesMoved, record.shape.footprint());
    Ok(Copied::Done)
}

/// For whoever takes the walk over a segment from another process. Copies that the other one left of records
/// in it wait like one's own, as many as may wait at a time: they stand in the room that the walk needs.
pub fn adopt(session: &Session, writer: &mut Writer, segment: SegmentId) {
    let store = &session.store;
    let held = |id: SegmentId| id.get() < store.segment_count();
    let waiting = &mut writer.copies.waiting;
    entries::unpublished_copies(store, store.index().pages(), held, |copy| {
        let UnpublishedCopy { found, old, new } = copy;
        // A second copy of one record finds the slot changed when it is to be named.
        if old.spot.segment == segment && waiting.len() < WAITING_LIMIT {
            let frequency = found.slot.frequency();
            waiting.push(Move { found, old, new, frequency, syncs: true });
        }
    });
    writer.copies.since = store.load(control::SYNCS_BEGUN);
}

/// Names the copies that a sync covers by now; `true` if none waits any more.
pub fn name_covered(session: &Session, writer: &mut Writer) -> Result<bool> {
    let copies = &mut writer.copies;
    if copies.waiting.is_empty() {
        return Ok(true);
    }
    if session.store.load(control::SYNCS_DONE) <= copies.since {
        return Ok(false);
    }
    for moved in std::mem::take(&mut copies.waiting) {
        // A sweep may have set the bounds anew while no slot named the copy.
        session.widen_expiry(moved.new, moved.old.expiry, moved.old.units());
        // What changed meanwhile has no use for the copy.
        entries::repoint(session, &moved)?;
    }
    Ok(true)
}

/// Syncs, and names the copies that waited for it.
pub fn sync_and_name(session: &Session, writer: &mut Writer) -> Result<()> {
    writer.sync(session)?;
    name_covered(session, writer).map(|_| ())
}

/// Room for a copy in a queue; in the other one rather than none.
fn room(session: &Session, writer: &mut Writer, wanted: Wanted) -> Result<Option<Spot>> {
    let other = match wanted.queue {
        Queue::Probation => Queue::Main,
        Queue::Main => Queue::Probation,
    };
    for queue in [wanted.queue, other] {
        let room = session.reserve(&mut writer.chunks, Wanted { queue, ..wanted })?;
        if room.is_some() {
            return Ok(room);
        }
    }
    Ok(None)
}

/// Lets a copy wait for the next sync.
fn wait(session: &Session, writer: &mut Writer, moved: Move) -> Result<()> {
    writer.copies.waiting.push(moved);
    writer.copies.since = session.store.load(control::SYNCS_BEGUN);
    if writer.copies.waiting.len() >= WAITING_LIMIT {
        sync_and_name(session, writer)?;
    }
    Ok(())
}
