//! Taking entries away: remove, evict, expire, and the repointing of a move.

use super::locate::{Located, locate, record_of};
use crate::error::Result;
use crate::format::control;
use crate::format::lock::{LockWord, Phase};
use crate::format::place::{Address, Generation, Millis};
use crate::format::record::{EXPIRY_AT, encode_committed, encode_expiry};
use crate::format::segment::{LIVE, Live, STAMP, STAMP_MASK, Stamp};
use crate::format::slot::Slot;
use crate::index::Found;
use crate::segments::Ground;
use crate::segments::ground::Decision;
use crate::segments::read::{self, Record, Spot};
use crate::sys::words::Words;
use crate::transaction::Changes;

/// Adds to `changes` that an entry goes: its slot is emptied, its segment has one less, and so have
/// the entries; and what a clear left to do, if it was cleared. `record` is `None` if it could not be
/// read.
pub fn release(ground: &Ground, changes: &mut Changes, found: Found, record: Option<&Record>) {
    let words = &ground.memory;
    changes.set(ground.index().at(found.page, found.position), Slot::EMPTY.word());
    // A slot of another generation was not counted in its segment any more.
    if let Some(spot) = read::spot(words, &ground.geometry, found.slot) {
        let units = record.map_or(0, Record::units);
        changes.update(words, ground.geometry.row_at(spot.segment, LIVE), |live| {
            Live::decode(live).minus(units).encode()
        });
    }
    changes.update(words, control::ENTRIES, |entries| entries.saturating_sub(1));
    let cleared = read::cleared(words);
    if record.is_some_and(|record| record.lsn.is_none_or(|lsn| lsn <= cleared)) {
        changes.update(words, control::PENDING, |pending| pending.saturating_sub(1));
    }
}

/// What became of an attempt to take an entry away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// It is gone.
    Gone,
    /// It had changed before.
    Changed,
}

/// Removes a key; whether it was there, neither expired nor cleared.
pub fn remove(ground: &Ground, hash: u64, key: &[u8]) -> Result<bool> {
    loop {
        let located = locate(ground, hash, key);
        let Some((found, record)) = &located.entry else {
            if is_absent(ground, &located)? {
                return ground.seen_whole().map(|()| false);
            }
            continue; // It may have been there all the time, and was moved meanwhile.
        };
        let cleared = read::cleared(&ground.memory);
        let current = record.is_current(cleared, || ground.now());
        let released = ground.transact(|held, changes| {
            if !located.still_holds(ground, held.lsn(), *found) {
                return Decision::Leave(Released::Changed);
            }
            release(ground, changes, *found, Some(record));
            for (found, record) in &located.older {
                if changes.has_room(4) {
                    release(ground, changes, *found, Some(record));
                }
            }
            Decision::Commit(Released::Gone)
        })?;
        if released == Released::Gone && located.older.len() <= 2 {
            return Ok(current);
        }
    }
}

/// Whether a key that was not found was not there at some moment since: nothing was committed
/// meanwhile, or nothing that matters for it.
fn is_absent(ground: &Ground, located: &Located) -> Result<bool> {
    let words = &ground.memory;
    words.acquire_fence();
    let lock = LockWord::decode(words.load(control::LOCK));
    if lock.phase == Phase::Free && located.is_of(lock.sequence) {
        return Ok(true);
    }
    ground.transact(|held, _| Decision::Leave(located.finds_the_same(ground, held.lsn())))
}

/// Takes away the entry whose slot is as it was found; leaves a ghost if `ghost` is set.
pub fn evict(
    ground: &Ground,
    found: Found,
    record: Option<&Record>,
    ghost: bool,
) -> Result<Released> {
    ground.transact(|held, changes| {
        // In a store that syncs, a slot that a split moved stays behind as a foreign one.
        let now = ground.index().slot(found.page, found.position);
        if !now.names_same(found.slot) || !ground.index().is_home(found.page, now) {
            return Decision::Leave(Released::Changed);
        }
        release(ground, changes, found, record);
        if ghost {
            let ghost = Slot::ghost(found.slot.tag(), held.lsn());
            changes.set(ground.index().at(found.page, found.position), ghost.word());
        }
        Decision::Commit(Released::Gone)
    })
}

/// Empties a slot that names nothing readable.
pub fn drop_slot(ground: &Ground, found: Found) -> Result<Released> {
    evict(ground, found, record_of(ground, found).as_ref(), false)
}

/// The slot at home that names the record at an address, given its key's hash.
pub fn find_at(
    ground: &Ground,
    hash: u64,
    address: Address,
    generation: Generation,
) -> Option<Found> {
    ground.index().find(hash, |found| {
        let names =
            found.slot.address() == address && found.slot.generation_low() == generation.low();
        names.then_some(found)
    })
}

/// A record and its copy elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    /// The slot, as it was when the copy was made.
    pub found: Found,
    /// The record.
    pub old: Record,
    /// The copy.
    pub new: Spot,
    /// Its frequency from now on.
    pub frequency: u8,
    /// Whether this store synced when the copy was made: then it was written committed.
    pub syncs: bool,
}

/// Lets a slot name the copy instead, if it still names the record and the expiry is what was copied.
pub fn repoint(ground: &Ground, moved: &Move) -> Result<Released> {
    let Move { found, old, new, frequency, syncs } = *moved;
    let words = &ground.memory;
    ground.transact(|_, changes| {
        let index = ground.index();
        let now = index.slot(found.page, found.position);
        let takes = ground
            .state(new.segment)
            .is_some_and(|state| state.generation == new.generation && state.is_writable());
        let same = now.names_same(found.slot)
            && index.is_home(found.page, now)
            && has_expiry(ground, old.spot, old.expiry)
            && ground.syncs() == syncs
            && takes;
        let Some(lsn) = old.lsn.filter(|_| same) else {
            return Decision::Leave(Released::Changed);
        };
        if !syncs {
            let checker = ground.geometry.checker(new.address, new.generation);
            changes.set(Ground::committed_at(new.address), encode_committed(checker, lsn));
        }
        let slot = Slot::new(now.tag(), new.address, new.generation, frequency);
        let at = index.at(found.page, found.position);
        changes.set(at, slot.with_twin(now.is_twin()).word());
        let live = |spot: Spot| ground.geometry.row_at(spot.segment, LIVE);
        changes
            .update(words, live(old.spot), |word| Live::decode(word).minus(old.units()).encode());
        changes.update(words, live(new), |word| Live::decode(word).plus(old.units()).encode());
        if syncs {
            // What it left may be reused after a sync that begins from now on.
            let begun = (words.load(control::SYNCS_BEGUN) & STAMP_MASK) as u32;
            changes.update(words, ground.geometry.row_at(old.spot.segment, STAMP), |word| {
                Stamp { moved_after: begun, ..Stamp::decode(word) }.encode()
            });
        }
        Decision::Commit(Released::Gone)
    })
}

fn has_expiry(ground: &Ground, spot: Spot, expiry: Millis) -> bool {
    let checker = ground.geometry.checker(spot.address, spot.generation);
    let at = crate::format::intent::WordAt::log(spot.address.bytes() + EXPIRY_AT);
    ground.memory.load(at) == encode_expiry(checker, expiry)
}
