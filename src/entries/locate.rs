//! Finding the slots of a key, for somebody who is about to change them.

use crate::format::place::Lsn;
use crate::index::{Found, Groups};
use crate::segments::Ground;
use crate::segments::read::{self, Record};

/// What is known of a key.
#[derive(Clone, Debug)]
pub struct Located {
    /// Both groups, as they were.
    pub groups: Groups,
    /// The lock's sequence before they were read.
    pub seen: Lsn,
    /// The key's entry: the newest version, where there are twins.
    pub entry: Option<(Found, Record)>,
    /// Older versions of the key, left by a power cut.
    pub older: Vec<(Found, Record)>,
    /// Its ghost.
    pub ghost: Option<Found>,
}

/// Looks for a key. A record that cannot be read is nobody's: its slot stays for upkeep.
pub fn locate(ground: &Ground, hash: u64, key: &[u8]) -> Located {
    let index = ground.index();
    let seen = ground.lsn();
    let groups = index.groups(index.probe(hash), index.page_of(hash));
    let mut located = Located { groups, seen, entry: None, older: Vec::new(), ghost: None };
    for found in located.groups.matching() {
        if found.slot.is_ghost() {
            located.ghost = located.ghost.or(Some(found));
            continue;
        }
        let Some(record) = record_of(ground, found) else { continue };
        if !record.has_key(&ground.memory.log, key) {
            continue;
        }
        match located.entry.replace((found, record)) {
            None => {}
            Some(other) if other.1.lsn > record.lsn => {
                located.older.push((found, record));
                located.entry = Some(other);
            }
            Some(other) => located.older.push(other),
        }
    }
    located
}

/// The record that a slot names.
pub fn record_of(ground: &Ground, found: Found) -> Option<Record> {
    let spot = read::spot(&ground.memory, &ground.geometry, found.slot)?;
    read::record(&ground.memory, &ground.geometry, spot)
}

/// Where a new entry of the key goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A slot that no live entry is in.
    Vacant(Found),
    /// Both groups are full: the entry in this slot has to go.
    Overflow(Found),
}

impl Located {
    /// The place of a new entry: the key's ghost, else an empty slot of the emptier group, else a
    /// slot that a durable split left behind, else the oldest ghost, else the entry read least. `None`
    /// if there are foreign slots that the next sync sets free.
    pub fn place(&self, ground: &Ground) -> Option<Place> {
        if let Some(ghost) = self.ghost {
            return Some(Place::Vacant(ghost));
        }
        if let Some(found) = self.groups.emptier() {
            return Some(Place::Vacant(found));
        }
        self.taken_place(ground)
    }

    /// As [`Located::place`], where no slot is empty.
    #[cold]
    fn taken_place(&self, ground: &Ground) -> Option<Place> {
        let index = ground.index();
        let slots: Vec<Found> = self.groups.all().collect();
        let is_foreign = |found: &&Found| {
            !index.is_home(found.page, found.slot) && index.is_disposable(found.page, found.slot)
        };
        if let Some(found) = slots.iter().find(is_foreign) {
            return Some(Place::Vacant(*found));
        }
        let at_home = || slots.iter().filter(|found| index.is_home(found.page, found.slot));
        let oldest = at_home()
            .filter(|found| found.slot.is_ghost())
            .max_by_key(|found| found.slot.ghost_age(self.seen));
        if let Some(found) = oldest {
            return Some(Place::Vacant(*found));
        }
        if at_home().count() < slots.len() {
            return None; // The next sync sets the foreign ones free: nothing live has to go.
        }
        at_home().min_by_key(|found| found.slot.frequency()).map(|found| Place::Overflow(*found))
    }
}
