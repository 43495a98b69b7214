//! Finding the slots of a key, for somebody who is about to change them.

use crate::format::place::Lsn;
use crate::index::{Found, GROUPS_SLOTS, Groups};
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

    /// As [`Located::place`], where no slot is empty: as in any store that has evicted for some time.
    fn taken_place(&self, ground: &Ground) -> Option<Place> {
        let index = ground.index();
        let home = index.home(self.groups.page);
        let mut foreign = 0u32;
        let mut oldest = 0;
        // Without a branch, which could not be foreseen: ages and numbers as one word.
        for number in 0..GROUPS_SLOTS {
            let slot = self.groups.at(number).slot;
            let at_home = home.has(slot);
            foreign |= u32::from(!at_home) << number;
            let age = (slot.ghost_age(self.seen) + 1) * u64::from(at_home & slot.is_ghost());
            oldest = oldest.max(age * u64::from(GROUPS_SLOTS) + u64::from(number));
        }
        if foreign != 0 {
            let foreign = (0..GROUPS_SLOTS).filter(|number| foreign & (1 << number) != 0);
            let mut found = foreign.map(|number| self.groups.at(number));
            if let Some(found) = found.find(|found| index.is_disposable(found.page, found.slot)) {
                return Some(Place::Vacant(found));
            }
        }
        if oldest >= u64::from(GROUPS_SLOTS) {
            return Some(Place::Vacant(self.groups.at((oldest % u64::from(GROUPS_SLOTS)) as u32)));
        }
        if foreign != 0 {
            return None; // The next sync sets the foreign ones free: nothing live has to go.
        }
        self.groups.all().min_by_key(|found| found.slot.frequency()).map(Place::Overflow)
    }
}
