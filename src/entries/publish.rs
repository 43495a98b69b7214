//! Publishing: a record becomes the key's entry by one store of its slot.

use super::duplicates::resolve_duplicates;
use super::locate::{Located, Target, is_dead};
use super::release::{release, release_older, thin_out};
use crate::error::Result;
use crate::format::address::{Lsn, Millis};
use crate::format::control;
use crate::format::record::encode_committed;
use crate::format::segment::{LIVE, Live};
use crate::format::slot::Slot;
use crate::index::Found;
use crate::session::{Count, Decision, Session};
use crate::store::{Spot, Store, committed_at};
use crate::transaction::Changes;

/// A record that is written and waits to be published.
#[derive(Clone, Copy, Debug)]
pub struct Publication {
    /// Its key's hash.
    pub hash: u64,
    /// Where it is.
    pub spot: Spot,
    /// Its length in the log.
    pub units: u32,
    /// When it expires.
    pub expiry: Millis,
    /// Of a computed value: the newest clear when its computation began. It takes no entry's place, and is not
    /// stored after another clear.
    pub computed_after: Option<Lsn>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publishing {
    /// It is the key's entry now.
    Published(Lsn),
    /// The entry that it was to replace, or the slot for it, has changed since the key was located.
    Changed,
    /// Entries are at their limit: one has to go first.
    AtLimit,
    /// The segment no longer takes records: it has to be written elsewhere.
    Closed,
    /// All slots are taken by what a split moved and no sync covered yet.
    NeedsSync,
    /// The value was computed for a key that has an entry by now, or for a store that was cleared since.
    Superseded,
}

/// Publishes a record in place of the entry that was `located`, if there is one; nothing is changed
/// unless the answer says that it is published.
pub fn publish(session: &Session, located: &Located, new: &Publication) -> Result<Publishing> {
    let store = &session.store;
    if (new.computed_after.is_some() || !located.older.is_empty())
        && let Some(end) = before_publishing(session, located, new)?
    {
        return Ok(end);
    }
    session.widen_expiry(new.spot, new.expiry, new.units);
    let target = match &located.entry {
        Some((found, _)) => Target::Vacant(*found),
        None => match located.target(store, &|| session.now()) {
            Some(target) => target,
            None => return Ok(Publishing::NeedsSync),
        },
    };
    if let Target::Overflow(found) = target
        && found.slot.is_duplicate()
    {
        // Without the newest version an older one would be back. Where a record cannot be read the bit stays.
        resolve_duplicates(session, found.page)?;
        if store.index().slot(found.page, found.position) != found.slot {
            return Ok(Publishing::Changed);
        }
    }
    let change = Change { located, target, new };
    let outcome = session.transact(|lsn, changes| {
        if let Some(obstacle) = obstacle(store, lsn, &change) {
            return Decision::Leave(obstacle);
        }
        replace(store, changes, lsn, &change);
        Decision::Commit(Publishing::Published(lsn))
    })?;
    if let (Publishing::Published(_), Target::Overflow(found)) = (outcome, target) {
        count_overflow(session, &found);
    }
    Ok(outcome)
}

/// Counts the entry that had to go though there was room.
#[cold]
fn count_overflow(session: &Session, found: &Found) {
    let dead = is_dead(&session.store, found, || session.now());
    session.count(if dead { Count::Expirations } else { Count::Evictions }, 1);
}

/// What a publication changes: the record that is `new` comes to `target`, in place of what was `located`.
struct Change<'a> {
    located: &'a Located,
    target: Target,
    new: &'a Publication,
}

/// What is in the way of a publication, asked under the lock whose transaction is `lsn`.
#[inline]
fn obstacle(store: &Store, lsn: Lsn, change: &Change<'_>) -> Option<Publishing> {
    let Change { located, target, new } = *change;
    let (Target::Vacant(slot) | Target::Overflow(slot)) = target;
    let is_new = located.entry.is_none();
    if !located.still_holds(store, lsn, slot) || (is_new && !may_take(store, target)) {
        return Some(Publishing::Changed);
    }
    if new.computed_after.is_some_and(|clear| store.cleared() != clear) {
        return Some(Publishing::Superseded);
    }
    if !store.still_takes(new.spot) {
        return Some(Publishing::Closed);
    }
    let adds = is_new && matches!(target, Target::Vacant(_));
    (adds && store.load(control::ENTRIES) >= store.load(control::MAX_ENTRIES))
        .then_some(Publishing::AtLimit)
}

/// What ends a publication before it has begun: a value for which a computed one comes too late, or older versions
/// that had to go first.
#[cold]
fn before_publishing(
    session: &Session,
    located: &Located,
    new: &Publication,
) -> Result<Option<Publishing>> {
    if new.computed_after.is_some() && has_value(session, located) {
        return Ok(Some(Publishing::Superseded));
    }
    Ok(thin_out(session, located)?.then_some(Publishing::Changed))
}

/// Whether a key has a value: current, and whole. (What was stored and removed again leaves no trace.)
fn has_value(session: &Session, located: &Located) -> bool {
    let store = &session.store;
    located.entry.as_ref().is_some_and(|(_, record)| {
        record.is_current(store.cleared(), || session.now())
            && record.read_all(store, &mut Vec::new())
    })
}

/// Adds the words of a publication to `changes`. They are stored in this order: the record is committed
/// before a slot names it.
#[inline]
fn replace(store: &Store, changes: &mut Changes, lsn: Lsn, change: &Change<'_>) {
    let Change { located, target, new } = *change;
    let words = &store.words;
    let Spot { segment, generation, address, .. } = new.spot;
    changes.set(committed_at(address), encode_committed(store.checker(new.spot), lsn));
    // First what goes, then what comes: both may be in the same segment.
    if !located.older.is_empty() {
        release_older(store, changes, located);
    }
    let mut frequency = 0;
    match (&located.entry, target) {
        (Some((found, record)), _) => {
            frequency = found.slot.frequency();
            release(store, changes, *found, Some(record));
        }
        (None, Target::Overflow(found)) => {
            release(store, changes, found, store.record(found.slot).as_ref());
        }
        (None, Target::Vacant(_)) => {}
    }
    let index = store.index();
    let (Target::Vacant(found) | Target::Overflow(found)) = target;
    let slot = Slot::new(index.probe(new.hash).tag, address, generation, frequency);
    changes.set(index.at(found.page, found.position), slot.word());
    changes.update(words, store.geometry.row_at(segment, LIVE), |live| {
        Live::decode(live).plus(new.units).encode()
    });
    changes.update(words, control::ENTRIES, |entries| entries + 1);
}

/// Whether the target may still be taken though another entry's word stands in it, asked under the lock: a
/// split leaves that word behind as it was, and the first sync makes it count again.
fn may_take(store: &Store, target: Target) -> bool {
    let index = store.index();
    match target {
        Target::Overflow(found) => index.is_home(found.page, found.slot),
        Target::Vacant(found) if found.slot.is_live() => {
            !index.is_home(found.page, found.slot) && index.is_disposable(found.page, found.slot)
        }
        Target::Vacant(_) => true,
    }
}
