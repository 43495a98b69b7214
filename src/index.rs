//! The index: lookups in the hash table over shared words.
//!
//! Nothing here locks. A reader that misses reads the number of pages again. If the page of its key
//! has changed meanwhile, it looks once more. Slots change by transactions, but for the frequency: a
//! reader raises that by one exact compare-and-swap.

use crate::format::control::{self, Geometry};
use crate::format::intent::WordAt;
use crate::format::page::{self, GROUP_SLOTS, Home, PAGE_SLOTS, PageId, Probe};
use crate::format::slot::{FREQUENCY_LIMIT, Slot, TAG_BITS};
use crate::sys::tags;
use crate::sys::words::Words;

/// The hash table of a store.
#[derive(Debug)]
pub struct Index<'a, W> {
    words: &'a W,
    geometry: &'a Geometry,
}

// A derived `Clone` would ask for words that can be cloned.
impl<W> Clone for Index<'_, W> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<W> Copy for Index<'_, W> {}

/// Slots of both groups of a key.
pub const GROUPS_SLOTS: u32 = 2 * GROUP_SLOTS as u32;

/// Both groups of a key in a page.
#[derive(Clone, Copy, Debug)]
pub struct Groups<'a, W> {
    index: Index<'a, W>,
    page: PageId,
    probe: Probe,
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

    /// How many pages it has: at least those of its creation, at most those that tags can tell apart
    /// and that the file has. So a damaged word sends nobody to pages that do not exist. `None` if damage has
    /// left nothing to go by.
    #[inline]
    pub fn known_pages(&self) -> Option<u64> {
        self.pages_in(self.words.load(control::PAGES.first()))
    }

    /// The same, by a word that was just loaded from where the first copy is.
    #[inline]
    fn pages_in(&self, word: u64) -> Option<u64> {
        let first = 1 << self.geometry.level;
        let pages = self.words.unseal(control::PAGES, word)?;
        let pages = pages.min(page::page_limit(self.geometry.level));
        Some(self.words.pages_there(pages).max(first))
    }

    /// How many pages it has, as [`Index::known_pages`]; 0 if that is not known: then nothing is in it.
    #[inline]
    pub fn pages(&self) -> u64 {
        self.known_pages().unwrap_or(0)
    }

    /// The probe of a hash.
    #[inline]
    pub fn probe(&self, hash: u64) -> Probe {
        Probe::new(hash, self.geometry.level)
    }

    /// The page where a hash is at home now, if it is known.
    #[inline]
    pub fn page_of(&self, hash: u64) -> Option<PageId> {
        self.known_pages().map(|pages| page::page_of(hash, pages))
    }

    /// Both groups of a key in a page.
    #[inline]
    pub fn groups(&self, hash: u64, page: PageId) -> Groups<'a, W> {
        Groups { index: *self, page, probe: self.probe(hash) }
    }

    /// Asks the processor for the groups of a key that is about to be looked for.
    // Always: a put is the shorter for not calling it.
    #[inline(always)]
    pub fn prefetch(&self, hash: u64) {
        let Some(page) = self.page_of(hash) else { return };
        let probe = self.probe(hash);
        for group in [probe.group_a, probe.group_b] {
            self.words.prefetch(self.at(page, group), GROUP_SLOTS as u64 * 8);
        }
    }

    /// The first slot of equal tag for which `visit` answers something, in the key's page; and once
    /// more if the page of the key changed while it looked.
    #[inline]
    pub fn find<T>(&self, hash: u64, mut visit: impl FnMut(Found) -> Option<T>) -> Option<T> {
        let mut seen = self.words.load(control::PAGES.first());
        let mut page = page::page_of(hash, self.pages_in(seen)?);
        loop {
            let groups = self.groups(hash, page);
            for found in groups.matching() {
                if found.slot.is_live()
                    && let Some(answer) = visit(found)
                {
                    return Some(answer);
                }
            }
            // Nearly always the very same word.
            let now = self.words.load(control::PAGES.first());
            if now == seen {
                return None;
            }
            seen = now;
            let moved_to = page::page_of(hash, self.pages_in(seen)?);
            if moved_to == page {
                return None;
            }
            page = moved_to;
        }
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
        let level = self.geometry.level;
        self.known_pages().map_or(Home::NOWHERE, |pages| Home::new(page, level, pages))
    }

    /// Whether a slot stands on the page that lookups of its key go to.
    #[inline]
    pub fn is_home(&self, page: PageId, slot: Slot) -> bool {
        self.home(page).has(slot)
    }

    /// Whether a slot that is foreign on `page` may be overwritten: the page that it was moved to is
    /// durable, or nothing in this store needs to be.
    pub fn is_disposable(&self, page: PageId, slot: Slot) -> bool {
        let durable = || self.words.checked(control::PAGES_DURABLE).unwrap_or(0);
        self.words.checked(control::SYNCS) == Some(0)
            || page::moved_to(page, slot, self.geometry.level)
                .is_none_or(|moved| moved.get() < durable())
    }

    /// Raises the frequency of a slot that was read, unless it changed or is at the top.
    #[inline]
    pub fn bump(&self, found: Found) {
        let frequency = found.slot.frequency();
        if frequency < FREQUENCY_LIMIT {
            let raised = found.slot.with_frequency(frequency + 1);
            let at = self.at(found.page, found.position);
            // If it has changed, somebody else was here: one bump less does no harm.
            let _ = self.words.exchange(at, found.slot.word(), raised.word());
        }
    }

    /// The live slots at home on a page.
    pub fn live_on(self, page: PageId) -> impl Iterator<Item = Found> + use<'a, W> {
        let home = self.home(page);
        (0..PAGE_SLOTS).filter_map(move |position| {
            let slot = self.slot(page, position);
            (slot.is_live() && home.has(slot)).then_some(Found { page, position, slot })
        })
    }

    /// The live slots at home on all pages that there are now.
    pub fn live(self) -> impl Iterator<Item = Found> + use<'a, W> {
        (0..self.pages()).map(PageId::new).flat_map(move |page| self.live_on(page))
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

impl<W: Words> Groups<'_, W> {
    /// The slot with a number from 0 to 31, as it is now.
    #[inline]
    pub fn at(&self, number: u32) -> Found {
        self.holding(number, self.index.slot(self.page, self.probe.position(number)))
    }

    /// The slot with a number from 0 to 31, in which `slot` was found.
    #[inline]
    pub fn holding(&self, number: u32, slot: Slot) -> Found {
        Found { page: self.page, position: self.probe.position(number), slot }
    }

    /// What is in both groups.
    #[inline]
    pub fn slots(&self) -> [[u64; GROUP_SLOTS]; 2] {
        let group = |first| self.index.words.load_all(self.index.at(self.page, first));
        [group(self.probe.group_a), group(self.probe.group_b)]
    }

    /// All 32 slots.
    #[cfg(feature = "internals")]
    pub fn all(&self) -> impl Iterator<Item = Found> + '_ {
        (0..GROUPS_SLOTS).map(|number| self.at(number))
    }

    /// A bit for each slot that has the key's tag. (If that is 0, empty slots have it too.)
    #[inline]
    pub fn equal(&self) -> u32 {
        // Both at once: in which of them the key is cannot be foreseen.
        let [a, b] = self.tagged(self.probe.tag);
        a | (b << GROUP_SLOTS)
    }

    /// The slots of the key's tag, live ones and ghosts. Each is read again when it is its turn: it may have
    /// changed.
    #[inline]
    pub fn matching(&self) -> impl Iterator<Item = Found> + '_ {
        let mut equal = self.equal();
        std::iter::from_fn(move || {
            while equal != 0 {
                let found = self.at(equal.trailing_zeros());
                equal &= equal - 1;
                if found.slot.tag() == self.probe.tag && !found.slot.is_empty() {
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
        let [a, b] = self.tagged(0);
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

    /// A bit for each slot of a group whose tag is `tag`.
    #[inline]
    fn tagged(&self, tag: u32) -> [u32; 2] {
        let group = |first| {
            let at = self.index.at(self.page, first);
            self.index.words.equal_tags(at, tag, 32 - TAG_BITS as i32)
        };
        [group(self.probe.group_a), group(self.probe.group_b)]
    }
}

/// A bit for each slot of a group whose tag is `tag`.
#[inline]
pub fn equal_tags(slots: &[u64; GROUP_SLOTS], tag: u32) -> u32 {
    tags::equal(slots, tag, 32 - TAG_BITS as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::memory::Memory;

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
