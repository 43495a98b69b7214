//! Finding the slots of a key, for somebody who is about to change them.

use crate::error::Result;
use crate::format::address::{Lsn, Millis};
use crate::format::control;
use crate::format::page::{GROUP_SLOTS, Home, PageId};
use crate::format::segment::Queue;
use crate::format::slot::Slot;
use crate::index::{Found, GROUPS_SLOTS, Groups};
use crate::session::Session;
use crate::store::{Record, Store};
use crate::sys::memory::Memory;

/// Which slots may be a key's, from a look at the index alone.
#[derive(Clone, Copy, Debug)]
pub struct Candidates {
    hash: u64,
    /// The page in which it was looked for.
    page: PageId,
    /// Its slots of equal tag, as [`Groups::equal`] numbers them.
    equal: u32,
    /// The lock's sequence before they were read.
    seen: Lsn,
}

/// What the index and the records say of a key.
#[derive(Clone, Debug)]
pub struct Located {
    candidates: Candidates,
    /// The key's entry: the newest version, where there are duplicates.
    pub entry: Option<(Found, Record)>,
    /// Older versions of the key, left by a power cut.
    pub older: Vec<(Found, Record)>,
    /// Its ghost.
    ghost: Option<Found>,
    /// Slots of equal tag that are none of these.
    others: Vec<Found>,
}

/// Looks at the slots of a key.
#[inline]
pub fn candidates(session: &Session, hash: u64) -> Result<Candidates> {
    let store = &session.store;
    let seen = store.lsn();
    let page = store.index().page_of(hash).ok_or_else(|| session.pages_lost())?;
    Ok(Candidates { hash, page, equal: groups(store, hash, page).equal(), seen })
}

/// Looks for a key. A record that cannot be read is nobody's: its slot stays for upkeep.
pub fn locate(session: &Session, hash: u64, key: &[u8]) -> Result<Located> {
    Ok(candidates(session, hash)?.resolve(&session.store, key))
}

impl Candidates {
    /// The queue that the key's new record belongs in: that of its entry, or main if it has a young ghost.
    /// Prefetches the record of the entry. It goes by tags alone: so it is wrong for one key in many
    /// thousands, which does no harm.
    #[inline]
    pub fn queue(self, store: &Store, key: &[u8]) -> Queue {
        let mut queue = Queue::Probation;
        for found in self.slots(store) {
            if found.slot.is_live() {
                let address = found.slot.address();
                store.prefetch_record(address);
                if store.is_beyond_memory() {
                    store.ask_for_head(address, key);
                }
                let segment = store.geometry.locate(address).map(|(segment, _)| segment);
                let state = segment.and_then(|segment| store.state(segment));
                return state.map_or(queue, |state| state.queue);
            }
            if is_young_ghost(store, found.slot, self.seen) {
                queue = Queue::Main;
            }
        }
        queue
    }

    /// Reads the records that its slots name.
    pub fn resolve(self, store: &Store, key: &[u8]) -> Located {
        // Filled where the caller wants it: it is too large to be moved for nothing.
        let (older, others) = (Vec::new(), Vec::new());
        let mut located = Located { candidates: self, entry: None, older, ghost: None, others };
        for found in self.slots(store) {
            if found.slot.is_ghost() && located.ghost.is_none() {
                located.ghost = Some(found);
                continue;
            }
            let Some(record) = version_of(store, found, key) else {
                located.others.push(found);
                continue;
            };
            match located.entry {
                None => located.entry = Some((found, record)),
                Some(newer) if newer.1.lsn > record.lsn => located.older.push((found, record)),
                Some(other) => {
                    located.older.push(other);
                    located.entry = Some((found, record));
                }
            }
        }
        located
    }

    /// Its slots, as they are now.
    #[inline]
    fn slots(self, store: &Store) -> impl Iterator<Item = Found> {
        let groups = groups(store, self.hash, self.page);
        let mut left = self.equal;
        std::iter::from_fn(move || {
            let found = (left != 0).then(|| groups.at(left.trailing_zeros()));
            left &= left.wrapping_sub(1);
            found
        })
    }
}

/// Whether a slot is a ghost that is young enough to count: at most four times as many transactions came
/// since it was left as there are entries.
#[inline]
fn is_young_ghost(store: &Store, slot: Slot, now: Lsn) -> bool {
    let horizon = || store.load(control::ENTRIES).saturating_mul(4).max(64);
    slot.is_ghost() && slot.ghost_age(now) <= horizon()
}

/// The record that a slot names, if it is the key's.
fn version_of(store: &Store, found: Found, key: &[u8]) -> Option<Record> {
    if !found.slot.is_live() {
        return None;
    }
    if store.is_beyond_memory() {
        store.ask_for_head(found.slot.address(), key);
    }
    let record = store.record(found.slot)?;
    record.has_key(store, key).then_some(record)
}

fn groups(store: &Store, hash: u64, page: PageId) -> Groups<'_, Memory> {
    store.index().groups(hash, page)
}

/// Where a new entry of the key goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A slot that no live entry is in.
    Vacant(Found),
    /// Both groups are full: the entry in this slot has to go.
    Overflow(Found),
}

/// Whether the entry in a slot has expired or was cleared, or cannot be read.
pub fn is_dead(store: &Store, found: &Found, now: impl Fn() -> Millis) -> bool {
    let record = store.record(found.slot);
    record.is_none_or(|record| !record.is_current(store.cleared(), &now))
}

impl Located {
    /// Whether what was found out about the key and the slot `target` still holds, asked under the
    /// lock whose transaction is `now`: nothing was committed since, or the slots that matter (those
    /// of equal tag, and the target) are the same.
    pub fn still_holds(&self, store: &Store, now: Lsn, target: Found) -> bool {
        now == self.candidates.seen || (self.agrees(store) && is_same(store, target))
    }

    /// As [`Located::still_holds`], where no slot is to be changed.
    pub fn finds_the_same(&self, store: &Store, now: Lsn) -> bool {
        now == self.candidates.seen || self.agrees(store)
    }

    /// Whether no transaction was committed between the look at the index and `now`.
    pub fn is_of(&self, now: Lsn) -> bool {
        now == self.candidates.seen
    }

    fn agrees(&self, store: &Store) -> bool {
        let versions = self.entry.iter().chain(&self.older).map(|(found, _)| found);
        let Candidates { hash, page, equal, .. } = self.candidates;
        store.index().page_of(hash) == Some(page)
            && groups(store, hash, page).equal() == equal
            && versions.chain(&self.ghost).chain(&self.others).all(|found| is_same(store, *found))
    }

    /// The slot for a new entry: the key's ghost, else an empty slot of the emptier group, else a
    /// slot that a durable split left behind, else the oldest ghost, else an entry that expired, else the
    /// one read least. `None` if there are foreign slots that the next sync sets free.
    #[inline]
    pub fn target(&self, store: &Store, now: &dyn Fn() -> Millis) -> Option<Target> {
        if let Some(ghost) = self.ghost {
            return Some(Target::Vacant(ghost));
        }
        let groups = groups(store, self.candidates.hash, self.candidates.page);
        if let Some(found) = groups.emptier() {
            return Some(Target::Vacant(found));
        }
        self.taken_target(store, groups, now)
    }

    /// As [`Located::target`], where no slot was empty just before: as in any store that has evicted for some
    /// time. Each slot is read once, and what it held then decides: that is compared under the lock.
    #[inline(never)]
    fn taken_target(
        &self,
        store: &Store,
        groups: Groups<'_, Memory>,
        now: &dyn Fn() -> Millis,
    ) -> Option<Target> {
        let index = store.index();
        let home = index.home(self.candidates.page);
        let slots = groups.slots();
        let at =
            |number| groups.holding(number, Slot::from_word(slots.as_flattened()[number as usize]));
        let all = (0..GROUPS_SLOTS).map(at);
        // By the newest sequence: by an older one, a ghost left since would pass for the oldest.
        let (ghost, all_home) = oldest_ghost(&slots, home, store.lsn());
        if !all_home {
            let is_vacant = |found: &Found| {
                !home.has(found.slot) && index.is_disposable(found.page, found.slot)
            };
            if let Some(found) = all.clone().find(is_vacant) {
                return Some(Target::Vacant(found));
            }
        }
        if let Some(number) = ghost {
            return Some(Target::Vacant(at(number)));
        }
        if let Some(found) = all.clone().find(|found| found.slot.is_empty()) {
            return Some(Target::Vacant(found)); // Only just.
        }
        if !all_home {
            return None; // The next sync sets the foreign ones free: nothing live has to go.
        }
        all.min_by_key(|found| (!is_dead(store, found, now), found.slot.frequency()))
            .map(Target::Overflow)
    }
}

/// The number of the oldest ghost at home, and whether all slots are. Ages of over 2^31 transactions are
/// taken for younger ones, and those that differ by less than 32 for equal, so that four at a time fit a
/// register.
fn oldest_ghost(slots: &[[u64; GROUP_SLOTS]; 2], home: Home, now: Lsn) -> (Option<u32>, bool) {
    const IS_ONE: u32 = 1 << 31;
    const NUMBER: u32 = GROUPS_SLOTS - 1;
    let (mut oldest, mut all_home) = (0, true);
    // Without a branch, which could not be foreseen.
    for (number, word) in (0..).zip(slots.as_flattened()) {
        let slot = Slot::from_word(*word);
        let at_home = home.has(slot);
        all_home &= at_home;
        let rank = IS_ONE | (slot.ghost_age(now) as u32 & !NUMBER) | number;
        oldest = oldest.max(if at_home & slot.is_ghost() { rank } else { 0 });
    }
    ((oldest != 0).then_some(oldest & NUMBER), all_home)
}

/// Whether a slot is as it was found, but for what a reader may change.
fn is_same(store: &Store, found: Found) -> bool {
    store.index().slot(found.page, found.position).names_same(found.slot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::address::{Address, Generation};

    #[test]
    fn the_oldest_ghost_at_home_is_found_among_younger_live_and_foreign_ones() {
        let (level, pages) = (0, 4);
        let home = Home::new(PageId::new(2), level, pages);
        let now = Lsn::new(1_000_000);
        for round in 0..2000u64 {
            let random = |i: u64| (round * 64 + i).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
            let mut slots = [[0; GROUP_SLOTS]; 2];
            for (i, word) in (0..).zip(slots.as_flattened_mut()) {
                let tag = (random(i) as u32 % 64 * 4) | if random(i + 32) % 64 < 1 { 1 } else { 2 };
                let left = Lsn::new(random(i + 7) % 31_000 * 32);
                let live = Slot::EMPTY.with_place(Address::from_units(7), Generation::new(1));
                *word = match random(i + 3) % 3 {
                    0 if round % 9 != 0 => Slot::ghost(tag, left).word(),
                    _ => live.word() | u64::from(tag) << 44,
                };
            }
            let all = (0..).zip(slots.as_flattened().iter().map(|word| Slot::from_word(*word)));
            let ghosts = all.clone().filter(|(_, slot)| slot.is_ghost() && home.has(*slot));
            let age = |(_, slot): &(u32, Slot)| slot.ghost_age(now);
            let expected = ghosts.max_by_key(age).map(|ghost| age(&ghost));
            let (found, all_home) = oldest_ghost(&slots, home, now);
            let found = found.map(|number| Slot::from_word(slots.as_flattened()[number as usize]));
            assert_eq!(found.map(|slot| slot.ghost_age(now)), expected, "round {round}");
            assert_eq!(all_home, all.clone().all(|(_, slot)| home.has(slot)));
        }
    }
}
