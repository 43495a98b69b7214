//! Publishing: a record becomes the key's entry by one store of its slot.

use super::locate::{Located, Place, locate, record_of};
use super::release::release;
use super::split::decide_twins;
use crate::error::Result;
use crate::format::control;
use crate::format::intent::WordAt;
use crate::format::place::{Lsn, Millis};
use crate::format::record::encode_committed;
use crate::format::segment::{FIRST_EXPIRY, LAST_EXPIRY, LIVE, Live};
use crate::format::slot::Slot;
use crate::index::Found;
use crate::segments::Ground;
use crate::segments::ground::{Decision, Lock};
use crate::segments::read::Spot;
use crate::segments::statistics::Count;
use crate::sys::words::{Words, update};
use crate::transaction::Changes;

/// A record that is written and waits to be published.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// Its key's hash.
    pub hash: u64,
    /// Its key.
    pub key: &'a [u8],
    /// Where it is.
    pub spot: Spot,
    /// Its length in the log.
    pub units: u32,
    /// When it expires.
    pub expiry: Millis,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is the key's entry now.
    Published(Lsn),
    /// Entries are at their limit: one has to go first.
    AtLimit,
    /// The segment no longer takes records: it has to be written elsewhere.
    Moved,
    /// All slots are taken by what a split moved and no sync covered yet.
    NeedsSync,
}

/// What a look under the lock came to.
enum Look {
    Done(Outcome),
    /// Something changed since the key was located.
    Again,
    /// Overflow evicted an entry.
    Displaced(Lsn),
}

/// Publishes a record, in place of the key's old entry if there is one. What was `located` is looked
/// up again where others changed it.
pub fn publish(ground: &Ground, located: &mut Located, new: &Publication<'_>) -> Result<Outcome> {
    widen_expiry(ground, new.spot, new.expiry);
    let mut decided = false;
    loop {
        let place = match &located.entry {
            Some((found, _)) => Place::Vacant(*found),
            None => match located.place(ground) {
                Some(Place::Overflow(found)) if found.slot.is_twin() && !decided => {
                    // Without its newest version an older one would be back.
                    decide_twins(ground, found.page)?;
                    decided = true;
                    *located = locate(ground, new.hash, new.key);
                    continue;
                }
                Some(place) => place,
                None => return Ok(Outcome::NeedsSync),
            },
        };
        match ground.transact(|held, changes| decide(ground, held, changes, located, place, new))? {
            Look::Done(outcome) => return Ok(outcome),
            Look::Again => *located = locate(ground, new.hash, new.key),
            Look::Displaced(lsn) => {
                ground.count(Count::Evictions, 1);
                return Ok(Outcome::Published(lsn));
            }
        }
    }
}

fn decide(
    ground: &Ground,
    held: &Lock<'_, '_>,
    changes: &mut Changes,
    located: &Located,
    place: Place,
    new: &Publication<'_>,
) -> Decision<Look> {
    let words = &ground.memory;
    let (Place::Vacant(target) | Place::Overflow(target)) = place;
    if !located.still_holds(ground, held.lsn(), target)
        || (located.entry.is_none() && !may_take(ground, place))
    {
        return Decision::Leave(Look::Again);
    }
    let takes = ground
        .state(new.spot.segment)
        .is_some_and(|state| state.generation == new.spot.generation && state.is_writable());
    if !takes {
        return Decision::Leave(Look::Done(Outcome::Moved));
    }
    let adds = located.entry.is_none() && matches!(place, Place::Vacant(_));
    let entries = words.load(control::ENTRIES);
    if adds && entries >= words.load(control::MAX_ENTRIES) {
        return Decision::Leave(Look::Done(Outcome::AtLimit));
    }
    let lsn = held.lsn();
    // Words are stored in this order: the record is committed before a slot names it.
    let checker = ground.geometry.checker(new.spot.address, new.spot.generation);
    changes.set(Ground::committed_at(new.spot.address), encode_committed(checker, lsn));
    // First what goes, then what comes: both may be in the same segment.
    let mut frequency = 0;
    match (&located.entry, place) {
        (Some((found, record)), _) => {
            frequency = found.slot.frequency();
            release(ground, changes, *found, Some(record));
        }
        (None, Place::Overflow(found)) => {
            release(ground, changes, found, record_of(ground, found).as_ref());
        }
        (None, Place::Vacant(_)) => {}
    }
    for (found, record) in &located.older {
        if changes.has_room(8) {
            release(ground, changes, *found, Some(record));
        }
    }
    let slot = Slot::new(
        ground.index().probe(new.hash).tag,
        new.spot.address,
        new.spot.generation,
        frequency,
    );
    changes.set(slot_at(ground, target), slot.word());
    changes.update(words, ground.geometry.row_at(new.spot.segment, LIVE), |live| {
        Live::decode(live).plus(new.units).encode()
    });
    changes.update(words, control::ENTRIES, |entries| entries + 1);
    let published = match place {
        Place::Overflow(_) => Look::Displaced(lsn),
        Place::Vacant(_) => Look::Done(Outcome::Published(lsn)),
    };
    Decision::Commit(published)
}

/// Whether a slot that another entry's word stands in may still be taken for what it was, asked under the lock:
/// a split leaves the word of an entry that moved as it was, and the first sync makes it count again.
fn may_take(ground: &Ground, place: Place) -> bool {
    let index = ground.index();
    match place {
        Place::Overflow(found) => index.is_home(found.page, found.slot),
        Place::Vacant(found) if found.slot.is_live() => {
            !index.is_home(found.page, found.slot) && index.is_disposable(found.page, found.slot)
        }
        Place::Vacant(_) => true,
    }
}

fn slot_at(ground: &Ground, found: Found) -> WordAt {
    ground.index().at(found.page, found.position)
}

/// Widens a segment's bounds of expiry, before the record that needs it can be seen.
pub fn widen_expiry(ground: &Ground, spot: Spot, expiry: Millis) {
    let row = |word| ground.geometry.row_at(spot.segment, word);
    let words = &ground.memory;
    update(words, row(FIRST_EXPIRY), |first| (expiry.get() < first).then_some(expiry.get()));
    update(words, row(LAST_EXPIRY), |last| (expiry.get() > last).then_some(expiry.get()));
    if expiry != Millis::NEVER {
        let due = crate::policy::sweep_due(expiry, expiry).get();
        update(words, control::SWEEP_DUE, |old| (due < old).then_some(due));
    }
}
