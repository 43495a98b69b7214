//! Taking entries away: remove, evict, expire, and the repointing of a move.

use super::locate::{Located, locate};
use crate::error::Result;
use crate::format::address::{Address, Generation, Lsn};
use crate::format::control;
use crate::format::lock::Phase;
use crate::format::record::encode_committed;
use crate::format::segment::{BarrierStamp, LIVE, Live, STAMP};
use crate::format::slot::Slot;
use crate::index::Found;
use crate::session::{Decision, Session};
use crate::store::{Record, Spot, Store, barrier, committed_at};
use crate::sys::words::Words;
use crate::transaction::Changes;

/// Adds to `changes` that an entry goes. Its slot is emptied. Its segment has one entry less, and so has
/// the store; and if it was cleared, so has what the clear left to collect. `record` is `None` if it
/// could not be read.
pub fn release(store: &Store, changes: &mut Changes, found: Found, record: Option<&Record>) {
    let words = &store.words;
    changes.set(store.index().at(found.page, found.position), Slot::EMPTY.word());
    // A slot of another generation was not counted in its segment any more.
    if let Some(spot) = store.spot(found.slot) {
        let units = record.map_or(0, Record::units);
        changes.update(words, store.geometry.row_at(spot.segment, LIVE), |live| {
            Live::decode(live).minus(units).encode()
        });
    }
    changes.update(words, control::ENTRIES, |entries| entries.saturating_sub(1));
    let cleared = store.cleared();
    if record.is_some_and(|record| record.is_cleared(cleared)) {
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

/// Older versions of a key that go in one transaction with the newest: it has no room for more.
const OLDER_LIMIT: usize = 2;

/// Takes older versions away that are too many to go in one transaction with the newest. `true` if there were
/// any: then the key is to be located again.
#[cold]
pub fn thin_out(session: &Session, located: &Located) -> Result<bool> {
    let Some(too_many) = located.older.get(OLDER_LIMIT..) else { return Ok(false) };
    for (found, record) in too_many {
        evict(session, *found, Some(record), false)?;
    }
    Ok(!too_many.is_empty())
}

/// Adds to `changes` that the older versions of a key go. They go before the newest or with it, never after
/// it: else one of them would be the key's entry again.
#[cold]
pub fn release_older(store: &Store, changes: &mut Changes, located: &Located) {
    for (found, record) in located.older.iter().take(OLDER_LIMIT) {
        release(store, changes, *found, Some(record));
    }
}

/// Removes a key; whether it was there, neither expired nor cleared.
pub fn remove(session: &Session, hash: u64, key: &[u8]) -> Result<bool> {
    let store = &session.store;
    loop {
        let located = locate(session, hash, key)?;
        let Some((found, record)) = &located.entry else {
            if is_absent(session, &located)? {
                return session.seen_whole().map(|()| false);
            }
            continue; // It may have been there all the time, and was moved meanwhile.
        };
        if thin_out(session, &located)? {
            continue;
        }
        let current = record.is_current(store.cleared(), || session.now());
        let released = session.transact(|lsn, changes| {
            if !located.still_holds(store, lsn, *found) {
                return Decision::Leave(Released::Changed);
            }
            release_older(store, changes, &located);
            release(store, changes, *found, Some(record));
            Decision::Commit(Released::Gone)
        })?;
        if released == Released::Gone {
            return Ok(current);
        }
    }
}

/// Whether a key that was not found was indeed absent at some moment since: nothing was committed
/// meanwhile, or nothing that matters for it.
fn is_absent(session: &Session, located: &Located) -> Result<bool> {
    let store = &session.store;
    store.words.acquire_fence();
    let lock = store.lock();
    if lock.phase == Phase::Free && located.is_of(lock.sequence) {
        return Ok(true);
    }
    session.transact(|lsn, _| Decision::Leave(located.finds_the_same(store, lsn)))
}

/// Takes away the entry whose slot is as it was found; leaves a ghost if `ghost` is set.
pub fn evict(
    session: &Session,
    found: Found,
    record: Option<&Record>,
    ghost: bool,
) -> Result<Released> {
    let store = &session.store;
    let index = store.index();
    session.transact(|lsn, changes| {
        // In a store that syncs, a slot that a split moved stays behind as a foreign one.
        let now = index.slot(found.page, found.position);
        if !now.names_same(found.slot) || !index.is_home(found.page, now) {
            return Decision::Leave(Released::Changed);
        }
        release(store, changes, found, record);
        if ghost {
            let ghost = Slot::ghost(found.slot.tag(), lsn);
            changes.set(index.at(found.page, found.position), ghost.word());
        }
        Decision::Commit(Released::Gone)
    })
}

/// Empties a slot that names nothing readable.
pub fn drop_slot(session: &Session, found: Found) -> Result<Released> {
    evict(session, found, session.store.record(found.slot).as_ref(), false)
}

/// The slot at home that names the record at an address, given its key's hash.
pub fn find_at(
    store: &Store,
    hash: u64,
    address: Address,
    generation: Generation,
) -> Option<Found> {
    store.index().find(hash, |found| {
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
pub fn repoint(session: &Session, moved: &Move) -> Result<Released> {
    let Move { found, old, new, .. } = *moved;
    let store = &session.store;
    let words = &store.words;
    session.transact(|_, changes| {
        let Some((now, lsn)) = still_moves(store, moved) else {
            return Decision::Leave(Released::Changed);
        };
        if !moved.syncs {
            changes.set(committed_at(new.address), encode_committed(store.checker(new), lsn));
        }
        let slot = Slot::new(now.tag(), new.address, new.generation, moved.frequency);
        let at = store.index().at(found.page, found.position);
        changes.set(at, slot.with_duplicate(now.is_duplicate()).word());
        let live = |spot: Spot| store.geometry.row_at(spot.segment, LIVE);
        changes
            .update(words, live(old.spot), |word| Live::decode(word).minus(old.units()).encode());
        changes.update(words, live(new), |word| Live::decode(word).plus(old.units()).encode());
        if moved.syncs {
            let begun = store.load(control::SYNCS_BEGUN);
            changes.update(words, store.geometry.row_at(old.spot.segment, STAMP), |word| {
                barrier::stamp_when_moved_from(BarrierStamp::decode(word), begun).encode()
            });
        }
        Decision::Commit(Released::Gone)
    })
}

/// The slot of a move as it is now, and the version that it names, if it may name the copy: asked under
/// the lock.
fn still_moves(store: &Store, moved: &Move) -> Option<(Slot, Lsn)> {
    let Move { found, old, new, syncs, .. } = moved;
    let index = store.index();
    let now = index.slot(found.page, found.position);
    let same = now.names_same(found.slot)
        && index.is_home(found.page, now)
        && store.has_expiry(old.spot, old.expiry)
        && store.syncs() == *syncs
        && store.still_takes(*new);
    old.lsn.filter(|_| same).map(|lsn| (now, lsn))
}
