//! One record that a walk met: whether a slot names it, what the policy says of it, and that carried out.

use super::moves::{self, Copied, Destination};
use super::permit::may_evict_for_bytes;
use super::walks::Walk;
use super::writer::Writer;
use crate::entries::{self, Released};
use crate::error::Result;
use crate::format::segment::{HORIZON, Horizon, Queue};
use crate::format::walk::Purpose;
use crate::index::Found;
use crate::policy::{self, Judgement, RecordFacts};
use crate::session::{Count, Session, pins};
use crate::store::{Record, Spot};
use crate::sys::words::Words;

/// An entry that a walk has met. With `force`, what the policy would keep goes.
#[derive(Clone, Copy, Debug)]
pub struct Met<'a> {
    /// The walk.
    pub walk: &'a Walk,
    /// The slot.
    pub found: Found,
    /// The record that it names.
    pub record: &'a Record,
    /// Whether it goes whatever the policy says.
    pub force: bool,
}

/// Deals with the record at a spot; whether an entry went. With `force`, what policy would keep goes.
pub fn meet(
    session: &Session,
    writer: &mut Writer,
    walk: &Walk,
    spot: Spot,
    force: bool,
) -> Result<bool> {
    let store = &session.store;
    let Some(record) = store.record_at(spot) else { return Ok(false) };
    if walk.word.purpose == Purpose::Sweep && is_for_long(session, &record) {
        stay(session, writer, &record);
        return Ok(false);
    }
    writer.key.clear();
    if !record.read_key(store, &mut writer.key) {
        return Ok(false);
    }
    let hash = store.hash(&writer.key);
    let find = || entries::find_at(store, hash, spot.address, spot.generation);
    let mut found = find();
    if found.is_none() && walk.word.purpose == Purpose::Sweep && record.lsn.is_none() {
        let me = session.attachment()?;
        if pins::is_pinned(store, me.process, spot.segment, &me.locks) {
            // It may yet be published.
            session.widen_expiry(spot, record.expiry, record.units());
            return Ok(false);
        }
        // Nobody writes here: it was published just now, or its writer has given it up. Then its
        // expiry counts no more, else the segment would be due for a sweep for ever.
        found = find();
    }
    let Some(found) = found else { return Ok(false) };
    // Read again: it may have been published after it was read, and would pass for dead.
    let Some(record) = store.record_at(spot) else { return Ok(false) };
    treat(session, writer, Met { walk, found, record: &record, force })
}

/// Judges the entry in a slot, and carries the judgement out; whether it went.
pub fn treat(session: &Session, writer: &mut Writer, met: Met<'_>) -> Result<bool> {
    let Some(found) = decided(session, met.found)? else { return Ok(true) };
    let Met { record, .. } = met;
    let purpose = met.walk.word.purpose;
    let facts = facts_of(session, writer, &Met { found, ..met });
    match policy::judge(purpose, &facts) {
        Judgement::Keep(frequency) => {
            keep(session, found, frequency);
            if purpose == Purpose::Sweep {
                stay(session, writer, record);
            }
            Ok(false)
        }
        Judgement::Collect => go(session, found, record, false, Count::Expirations),
        Judgement::Evict { ghost } => go(session, found, record, ghost, Count::Evictions),
        Judgement::Move { queue, frequency } => {
            // A hand can do without.
            let rejoins = purpose == Purpose::Trim && facts.queue == Queue::Main;
            let to = Destination { queue, frequency, last: !rejoins };
            match moves::copy(session, writer, found, record, to)? {
                Copied::Done => {
                    let Spot { segment, generation, .. } = record.spot;
                    writer.note_rewritten(segment, generation, record.shape.footprint());
                    Ok(false)
                }
                Copied::Damaged => go(session, found, record, false, Count::Damaged),
                Copied::NoRoom if rejoins => {
                    writer.hands.rejoin = false;
                    keep(session, found, frequency);
                    Ok(false)
                }
                Copied::NoRoom if may_evict_for_bytes(session, writer) => {
                    go(session, found, record, false, Count::Evictions)
                }
                // What has expired, or dead space elsewhere, makes room.
                Copied::NoRoom => Ok(false),
            }
        }
    }
}

/// Leaves an entry where it is, with another frequency.
fn keep(session: &Session, found: Found, frequency: u8) {
    let index = session.store.index();
    let kept = found.slot.with_frequency(frequency).word();
    // A reader that was faster has shown that the entry is in use.
    let _ =
        session.store.words.exchange(index.at(found.page, found.position), found.slot.word(), kept);
}

/// The slot, once it is decided whether it is the newest of two versions: else an older one would be back
/// when the newer goes. `None`: it was the older one.
fn decided(session: &Session, found: Found) -> Result<Option<Found>> {
    if !found.slot.is_duplicate() {
        return Ok(Some(found));
    }
    entries::resolve_duplicates(session, found.page)?;
    let slot = session.store.index().slot(found.page, found.position);
    Ok(slot.names_same(found.slot).then_some(Found { slot, ..found }))
}

/// What the policy judges a record by.
fn facts_of(session: &Session, writer: &mut Writer, met: &Met<'_>) -> RecordFacts {
    let Met { walk, found, record, force } = met;
    let store = &session.store;
    let Spot { segment, generation, .. } = record.spot;
    let rewritten = writer.rewritten(segment, generation);
    let dead = !record.is_current(store.cleared(), || session.now());
    // A hand asks before it begins.
    let asks = walk.word.purpose == Purpose::Evict && !dead;
    RecordFacts {
        queue: walk.state.queue,
        frequency: if *force { 0 } else { found.slot.frequency() },
        dead,
        budget_spent: policy::is_budget_spent(rewritten, store.tail(segment)),
        rejoins: writer.hands.rejoin,
        spared: asks && !may_evict_for_bytes(session, writer),
    }
}

/// Whether a record is there for so long that a sweep need not ask whether a slot still names it: it lives
/// beyond the horizon, so that it does not matter for what the sweep finds out.
fn is_for_long(session: &Session, record: &Record) -> bool {
    let store = &session.store;
    let horizon = Horizon::decode(store.row(record.spot.segment, HORIZON));
    record.expiry >= horizon.until && record.is_current(store.cleared(), || session.clock.coarse())
}

/// Notes that a sweep leaves a record.
fn stay(session: &Session, writer: &mut Writer, record: &Record) {
    session.widen_expiry(record.spot, record.expiry, record.units());
    writer.lifetimes.note(record.expiry, session.clock.coarse(), record.units());
}

fn go(session: &Session, found: Found, record: &Record, ghost: bool, why: Count) -> Result<bool> {
    let gone = entries::evict(session, found, Some(record), ghost)? == Released::Gone;
    if gone {
        session.count(why, 1);
    }
    Ok(gone)
}
