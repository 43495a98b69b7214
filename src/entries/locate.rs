//! Finding the slots of a key, for somebody who is about to change them.

use crate::format::page::PageId;
use crate::format::place::Lsn;
use crate::index::{Found, GROUPS_SLOTS, Groups};
use crate::segments::Ground;
use crate::segments::read::{self, Record};
use crate::sys::memory::Memory;

/// What is known of a key.
#[derive(Clone, Debug)]
pub struct Located {
    hash: u64,
    /// The page in which it was looked for.
    page: PageId,
    /// Its slots of equal tag, as [`Groups::equal`] numbers them.
    equal: u32,
    /// The lock's sequence before they were read.
    seen: Lsn,
    /// The key's entry: the newest version, where there are twins.
    pub entry: Option<(Found, Record)>,
    /// Older versions of the key, left by a power cut.
    pub older: Vec<(Found, Record)>,
    /// Its ghost.
    pub ghost: Option<Found>,
    /// Slots of equal tag that are none of these.
    others: Vec<Found>,
}

/// Looks for a key. A record that cannot be read is nobody's: its slot stays for upkeep.
pub fn locate(ground: &Ground, hash: u64, key: &[u8]) -> Located {
    let seen = ground.lsn();
    let page = ground.index().page_of(hash);
    let groups = groups(ground, hash, page);
    let equal = groups.equal();
    let (mut entry, mut ghost) = (None::<(Found, Record)>, None);
    let (mut older, mut others) = (Vec::new(), Vec::new());
    let mut left = equal;
    while left != 0 {
        let found = groups.at(left.trailing_zeros());
        left &= left - 1;
        if found.slot.is_ghost() && ghost.is_none() {
            ghost = Some(found);
            continue;
        }
        let Some(record) = version_of(ground, found, key) else {
            others.push(found);
            continue;
        };
        match entry {
            None => entry = Some((found, record)),
            Some(newer) if newer.1.lsn > record.lsn => older.push((found, record)),
            Some(other) => {
                older.push(other);
                entry = Some((found, record));
            }
        }
    }
    Located { hash, page, equal, seen, entry, older, ghost, others }
}

/// The record that a slot names, if it is the key's.
fn version_of(ground: &Ground, found: Found, key: &[u8]) -> Option<Record> {
    let record = record_of(ground, found).filter(|_| found.slot.is_live())?;
    record.has_key(&ground.memory.log, key).then_some(record)
}

fn groups(ground: &Ground, hash: u64, page: PageId) -> Groups<'_, Memory> {
    ground.index().groups(hash, page)
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
    /// Whether what was found out about the key and the slot `target` still holds, asked under the
    /// lock whose transaction is `now`: nothing was committed since, or the slots that matter (those
    /// of equal tag, and the target) are the same.
    pub fn still_holds(&self, ground: &Ground, now: Lsn, target: Found) -> bool {
        now == self.seen || (self.agrees(ground) && is_same(ground, target))
    }

    /// As [`Located::still_holds`], where no slot is to be changed.
    pub fn finds_the_same(&self, ground: &Ground, now: Lsn) -> bool {
        now == self.seen || self.agrees(ground)
    }

    /// Whether no transaction was committed since by `now`.
    pub fn is_of(&self, now: Lsn) -> bool {
        now == self.seen
    }

    fn agrees(&self, ground: &Ground) -> bool {
        let versions = self.entry.iter().chain(&self.older).map(|(found, _)| found);
        ground.index().page_of(self.hash) == self.page
            && groups(ground, self.hash, self.page).equal() == self.equal
            && versions.chain(&self.ghost).chain(&self.others).all(|found| is_same(ground, *found))
    }

    /// The place of a new entry: the key's ghost, else an empty slot of the emptier group, else a
    /// slot that a durable split left behind, else the oldest ghost, else the entry read least. `None`
    /// if there are foreign slots that the next sync sets free.
    #[inline]
    pub fn place(&self, ground: &Ground) -> Option<Place> {
        if let Some(ghost) = self.ghost {
            return Some(Place::Vacant(ghost));
        }
        let groups = groups(ground, self.hash, self.page);
        if let Some(found) = groups.emptier() {
            return Some(Place::Vacant(found));
        }
        self.taken_place(ground, groups)
    }

    /// As [`Located::place`], where no slot is empty: as in any store that has evicted for some time.
    #[inline(never)]
    fn taken_place(&self, ground: &Ground, groups: Groups<'_, Memory>) -> Option<Place> {
        let index = ground.index();
        let home = index.home(self.page);
        let mut foreign = 0u32;
        let mut oldest = 0;
        // Without a branch, which could not be foreseen: ages and numbers as one word.
        for number in 0..GROUPS_SLOTS {
            let slot = groups.at(number).slot;
            let at_home = home.has(slot);
            foreign |= u32::from(!at_home) << number;
            let age = (slot.ghost_age(self.seen) + 1) * u64::from(at_home & slot.is_ghost());
            oldest = oldest.max(age * u64::from(GROUPS_SLOTS) + u64::from(number));
        }
        if foreign != 0 {
            let foreign = (0..GROUPS_SLOTS).filter(|number| foreign & (1 << number) != 0);
            let mut found = foreign.map(|number| groups.at(number));
            if let Some(found) = found.find(|found| index.is_disposable(found.page, found.slot)) {
                return Some(Place::Vacant(found));
            }
        }
        if oldest >= u64::from(GROUPS_SLOTS) {
            return Some(Place::Vacant(groups.at((oldest % u64::from(GROUPS_SLOTS)) as u32)));
        }
        if foreign != 0 {
            return None; // The next sync sets the foreign ones free: nothing live has to go.
        }
        groups.all().min_by_key(|found| found.slot.frequency()).map(Place::Overflow)
    }
}

/// Whether a slot is as it was found, but for what a reader may change.
fn is_same(ground: &Ground, found: Found) -> bool {
    ground.index().slot(found.page, found.position).names_same(found.slot)
}
