//! The index: lookups in the hash table over shared words.
//!
//! Nothing here locks. A reader that misses reads the number of pages again and looks once more if
//! the page of its key has changed meanwhile; slots change by transactions, but for the frequency,
//! which a reader raises by one exact compare-and-swap.

use crate::format::control::{self, Geometry};
use crate::format::intent::WordAt;
use crate::format::page::{self, GROUP_SLOTS, Home, PAGE_SLOTS, PageId, Probe};
use crate::format::slot::{FREQUENCY_LIMIT, Slot, TAG_BITS};
use crate::sys::tags;
use crate::sys::words::Words;

/// The hash table of a store.
#[derive(Clone, Copy, Debug)]
pub struct Index<'a, W> {
    words: &'a W,
    geometry: &'a Geometry,
}

/// Slots of both groups of a key.
pub const GROUPS_SLOTS: u32 = 2 * GROUP_SLOTS as u32;

/// Both groups of a key, as they were when it was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// The page they are in.
    pub page: PageId,
    probe: Probe,
    slots: [[u64; GROUP_SLOTS]; 2],
}

/// A slot and where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its page.
    pub page: PageId,
    /// Its position in the page.
    pub position: usize,
    /// What was in it.
    pub slot: Slot,
}

impl<'a, W: Words> Index<'a, W> {
    /// The index whose words these are.
    pub fn new(words: &'a W, geometry: &'a Geometry) -> Self {
        Self { words, geometry }
    }

    /// Its pages: at least those of its creation, at most those that tags can tell apart and that are
    /// there. Whatever damage makes of the word, nobody goes round pages that there are not.
    #[inline]
    pub fn pages(&self) -> u64 {
        let first = 1 << self.geometry.level;
        let pages = self.words.load(control::PAGES).min(page::page_limit(self.geometry.level));
        self.words.pages_there(pages).max(first)
    }

    /// The probe of a hash.
    #[inline]
    pub fn probe(&self, hash: u64) -> Probe {
        Probe::new(hash, self.geometry.level)
    }

    /// The page where a hash is at home now.
    #[inline]
    pub fn page_of(&self, hash: u64) -> PageId {
        page::page_of(hash, self.pages())
    }

    /// Both groups of a key in its page.
    #[inline(always)]
    pub fn groups(&self, probe: Probe, page: PageId) -> Groups {
        let group = |first| self.words.load_all(self.at(page, first));
        Groups { page, probe, slots: [group(probe.group_a), group(probe.group_b)] }
    }

    /// Asks the processor for the groups of a key that is about to be looked for.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        let (page, probe) = (self.page_of(hash), self.probe(hash));
        for group in [probe.group_a, probe.group_b] {
            // A group is two lines.
            for position in [group, group + GROUP_SLOTS / 2] {
                self.words.prefetch(self.at(page, position));
            }
        }
    }

    /// The first slot of equal tag for which `visit` answers something, in the key's page; and once
    /// more if the page of the key changed while it looked.
    #[inline]
    pub fn find<T>(&self, hash: u64, mut visit: impl FnMut(Found) -> Option<T>) -> Option<T> {
        let probe = self.probe(hash);
        let mut page = self.page_of(hash);
        loop {
            // Both at once: in which of them it is cannot be foreseen.
            let mut mask = self.equal_tags(page, probe.group_a, probe.tag)
                | (self.equal_tags(page, probe.group_b, probe.tag) << GROUP_SLOTS);
            while mask != 0 {
                // Read again, so that the groups need not be kept; it may have changed.
                let position = probe.position(mask.trailing_zeros());
                mask &= mask - 1;
                let slot = self.slot(page, position);
                if slot.tag() == probe.tag
                    && slot.is_live()
                    && let Some(answer) = visit(Found { page, position, slot })
                {
                    return Some(answer);
                }
            }
            let now = self.page_of(hash);
            if now == page {
                return None;
            }
            page = now;
        }
    }

    /// A bit for each slot of a group whose tag is `tag`.
    #[inline]
    fn equal_tags(&self, page: PageId, first: usize, tag: u32) -> u32 {
        self.words.equal_tags(self.at(page, first), tag, 32 - TAG_BITS as i32)
    }

    /// A slot.
    #[inline]
    pub fn slot(&self, page: PageId, position: usize) -> Slot {
        Slot::from_word(self.words.load(self.at(page, position)))
    }

    /// Where a slot is.
    #[inline]
    pub fn at(&self, page: PageId, position: usize) -> WordAt {
        self.geometry.slot_at(page, position)
    }

    /// Which slots are at home on a page.
    #[inline]
    pub fn home(&self, page: PageId) -> Home {
        Home::new(page, self.geometry.level, self.pages())
    }

    /// Whether a slot stands on the page that lookups of its key go to.
    #[inline]
    pub fn is_home(&self, page: PageId, slot: Slot) -> bool {
        self.home(page).has(slot)
    }

    /// Whether a slot that is foreign on `page` may be overwritten: the page that it was moved to is
    /// durable, or nothing in this store needs to be.
    pub fn is_disposable(&self, page: PageId, slot: Slot) -> bool {
        self.words.load(control::SYNCS) == 0
            || page::moved_to(page, slot, self.geometry.level)
                .is_none_or(|moved| moved.get() < self.words.load(control::PAGES_DURABLE))
    }

    /// Raises the frequency of a slot that was read, unless it changed or is at the top.
    #[inline]
    pub fn bump(&self, found: Found) {
        let frequency = found.slot.frequency();
        if frequency < FREQUENCY_LIMIT {
            let raised = found.slot.with_frequency(frequency + 1);
            let at = self.at(found.page, found.position);
            // If it changed, somebody else was here: one bump less is no harm.
            let _ = self.words.exchange(at, found.slot.word(), raised.word());
        }
    }

    /// The live slots at home on a page.
    pub fn live_on(&self, page: PageId) -> impl Iterator<Item = Found> + use<'_, 'a, W> {
        let home = self.home(page);
        (0..PAGE_SLOTS).filter_map(move |position| {
            let slot = self.slot(page, position);
            (slot.is_live() && home.has(slot)).then_some(Found { page, position, slot })
        })
    }

    /// The page `origin` and all pages split off it since there were `pages_then` pages, with `pages`
    /// pages now: where the entries are that were on it.
    pub fn family(origin: PageId, pages_then: u64, pages: u64) -> Vec<PageId> {
        // A page splits at each level that it has not reached yet.
        let mut family = vec![origin];
        let mut step = 1u64 << pages_then.ilog2();
        if origin.get() >= step {
            step *= 2;
        }
        while step < pages {
            for member in 0..family.len() {
                let split_off = family[member].get() + step;
                if split_off >= pages_then && split_off < pages {
                    family.push(PageId::new(split_off));
                }
            }
            step *= 2;
        }
        family
    }
}

impl Groups {
    /// The slot with a number from 0 to 31.
    #[inline]
    pub fn at(&self, number: u32) -> Found {
        let (which, place) = (number as usize / GROUP_SLOTS, number as usize % GROUP_SLOTS);
        Found {
            page: self.page,
            position: self.probe.position(number),
            slot: Slot::from_word(self.slots[which][place]),
        }
    }

    /// The key's probe.
    pub fn probe(&self) -> Probe {
        self.probe
    }

    /// All 32 slots.
    pub fn all(&self) -> impl Iterator<Item = Found> + '_ {
        (0..GROUPS_SLOTS).map(|number| self.at(number))
    }

    /// The slots of equal tag, live ones and ghosts.
    #[inline]
    pub fn matching(&self) -> impl Iterator<Item = Found> + '_ {
        let mut mask = self.mask();
        std::iter::from_fn(move || {
            while mask != 0 {
                let found = self.at(mask.trailing_zeros());
                mask &= mask - 1;
                if !found.slot.is_empty() {
                    return Some(found);
                }
            }
            None
        })
    }

    /// An empty slot of the group that has more of them.
    #[inline]
    pub fn emptier(&self) -> Option<Found> {
        // What is empty has tag 0, and hardly anything else has.
        let [a, b] = &self.slots;
        let (a, b) = (equal_tags(|i| a[i], 0), equal_tags(|i| b[i], 0));
        let groups = [a, b << GROUP_SLOTS];
        let order = if b.count_ones() > a.count_ones() { [1, 0] } else { [0, 1] };
        order.into_iter().find_map(|which| {
            let mut mask = groups[which];
            while mask != 0 {
                let found = self.at(mask.trailing_zeros());
                if found.slot.is_empty() {
                    return Some(found);
                }
                mask &= mask - 1;
            }
            None
        })
    }

    /// A bit for each of the 32 slots whose tag is equal.
    #[inline]
    fn mask(&self) -> u32 {
        let [a, b] = &self.slots;
        let tag = self.probe.tag;
        equal_tags(|i| a[i], tag) | (equal_tags(|i| b[i], tag) << GROUP_SLOTS)
    }

    /// Whether the slots that matter for the key (those of equal tag, and the one at `position`, if
    /// any) are the same in both: then what was found out from one holds for the other.
    pub fn agrees_with(&self, other: &Self, position: Option<usize>) -> bool {
        self.page == other.page
            && self.all().zip(other.all()).all(|(mine, its)| {
                let matters = mine.slot.tag() == self.probe.tag
                    || its.slot.tag() == self.probe.tag
                    || Some(mine.position) == position;
                !matters || mine.slot.names_same(its.slot)
            })
    }
}

/// A bit for each slot of a group whose tag is `tag`.
#[inline]
pub fn equal_tags(slot: impl Fn(usize) -> u64, tag: u32) -> u32 {
    tags::equal(slot, tag, 32 - TAG_BITS as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::mapping::Memory;

    #[test]
    fn a_family_is_where_the_entries_of_a_page_went() {
        for then in 1..20u64 {
            for now in then..70 {
                let mut seen = vec![0; now as usize];
                for origin in 0..then {
                    for page in Index::<Memory>::family(PageId::new(origin), then, now) {
                        seen[page.get() as usize] += 1;
                    }
                }
                assert!(seen.iter().all(|&count| count == 1), "{then} -> {now}: {seen:?}");
                for hash in (0..500u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
                    let origin = page::page_of(hash, then);
                    let family = Index::<Memory>::family(origin, then, now);
                    assert!(family.contains(&page::page_of(hash, now)));
                }
            }
        }
    }
}
