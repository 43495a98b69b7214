//! The pass over the index: each slot is as of the last sync or later, and one whose record did not reach
//! the disk fails its checks. Slots that fit no segment go, slots that a split moved to a page which is not
//! durable go back there, and what is left is counted.

use super::active::Active;
use super::duplicates::Tags;
use crate::format::address::SegmentId;
use crate::format::control::TABLE_SEGMENTS;
use crate::format::page::{self, GROUP_SLOTS, Home, PAGE_SLOTS, PageId};
use crate::format::slot::Slot;
use crate::store::Store;
use crate::sys::words::Words;

/// What slots may name in a segment.
#[derive(Clone, Copy, Debug, Default)]
struct Extent {
    generation_low: u8,
    /// Bytes from its start that are allocated and in the file.
    length: u64,
    /// Whether damage has left nothing to go by.
    is_lost: bool,
}

/// The pass, and what it has found.
#[derive(Debug)]
pub struct Pass<'a> {
    store: &'a Store,
    /// Pages of the index, and those of them that a completed sync covers.
    pages: u64,
    durable: u64,
    /// Segments that go on taking chunks; a reader needs none.
    pub active: Vec<Active>,
    extents: Vec<Extent>,
    is_any_lost: bool,
    /// Entries in each segment.
    pub live: Vec<u32>,
    /// Whether some slots may be duplicates.
    pub duplicates: bool,
}

impl<'a> Pass<'a> {
    /// A pass over so many pages, of which so many are durable.
    pub fn new(store: &'a Store, pages: u64, durable: u64, active: Vec<Active>) -> Self {
        let extents = extents(store);
        Self {
            store,
            pages,
            durable,
            active,
            is_any_lost: extents.iter().any(|extent| extent.is_lost),
            extents,
            live: vec![0; usize::from(TABLE_SEGMENTS)],
            duplicates: false,
        }
    }

    /// Empties what names nothing, and brings back what was moved to pages that are not durable. `moved` is
    /// called on the way.
    pub fn sift(&self, moved: &dyn Fn()) {
        for page in (0..self.pages).map(PageId::new) {
            tell(page, moved);
            let home = Home::new(page, self.store.geometry.level, self.pages);
            for first in (0..PAGE_SLOTS).step_by(GROUP_SLOTS) {
                let at = self.store.geometry.slot_at(page, first);
                let group: [u64; GROUP_SLOTS] = self.store.words.load_all(at);
                for (position, word) in (first..).zip(group) {
                    if word != 0 {
                        self.settle_row(page, position, Slot::from_word(word), home);
                    }
                }
            }
        }
    }

    /// Empties foreign slots, marks duplicates, and counts. `moved` is called on the way.
    pub fn count(&mut self, moved: &dyn Fn()) {
        for page in (0..self.pages).map(PageId::new) {
            tell(page, moved);
            self.count_page(page);
        }
    }

    /// Lets a slot name a copy in `to` instead of its record in `from`.
    pub fn repoint(&mut self, page: PageId, position: usize, slot: Slot, from: SegmentId) {
        self.set(page, position, slot);
        self.live[usize::from(from.get())] -= 1;
        if let Some(place) = self.store.geometry.locate(slot.address()) {
            self.live[usize::from(place.0.get())] += 1;
            self.note(slot, place);
        }
    }

    #[inline]
    fn settle_row(&self, page: PageId, position: usize, slot: Slot, home: Home) {
        let is_void = |place| self.active.iter().any(|a| a.is_void(self.store, slot, place));
        let stays = slot.is_ghost()
            || self.fitting_place(slot).is_some_and(|place| !is_void(place))
            || self.is_lost(slot);
        if !stays {
            self.set(page, position, Slot::EMPTY);
            return;
        }
        if home.has(slot) {
            return;
        }
        // Foreign: the page it was moved to may not have reached the disk.
        let moved = page::moved_to(page, slot, self.store.geometry.level)
            .filter(|moved| (self.durable..self.pages).contains(&moved.get()));
        if let Some(moved) = moved.filter(|moved| self.slot(*moved, position).is_empty()) {
            self.set(moved, position, slot);
        }
    }

    fn count_page(&mut self, page: PageId) {
        let home = Home::new(page, self.store.geometry.level, self.pages);
        let mut words: [u64; PAGE_SLOTS] =
            self.store.words.load_all(self.store.geometry.slot_at(page, 0));
        for (position, word) in words.iter_mut().enumerate() {
            if *word != 0 && !home.has(Slot::from_word(*word)) {
                *word = 0;
                self.set(page, position, Slot::EMPTY);
            }
        }
        if self.is_any_lost {
            self.drop_lost(page, &mut words);
        }
        let tags = Tags::of(&words);
        for (position, word) in words.iter().enumerate() {
            let slot = Slot::from_word(*word);
            if !slot.is_live() {
                continue;
            }
            if let Some(place) = self.store.geometry.locate(slot.address()) {
                self.live[usize::from(place.0.get())] += 1;
                self.note(slot, place);
            }
            let is_duplicate = tags.has_duplicate(&words, position);
            if is_duplicate != slot.is_duplicate() {
                self.set(page, position, slot.with_duplicate(is_duplicate));
            }
            self.duplicates |= is_duplicate;
        }
    }

    /// Empties the slots of a page that name a lost segment, and with each all those that may be of its key: it may
    /// have been the newest.
    fn drop_lost(&self, page: PageId, words: &mut [u64; PAGE_SLOTS]) {
        for position in 0..PAGE_SLOTS {
            let slot = Slot::from_word(words[position]);
            if !slot.is_live() || !self.is_lost(slot) {
                continue;
            }
            let own = position / GROUP_SLOTS * GROUP_SLOTS;
            for group in [own, page::other_group(position, slot.tag())] {
                let slots = words.iter_mut().enumerate().skip(group).take(GROUP_SLOTS);
                for (other, word) in slots {
                    let found = Slot::from_word(*word);
                    if found.is_live() && found.tag() == slot.tag() {
                        *word = 0;
                        self.set(page, other, Slot::EMPTY);
                    }
                }
            }
        }
    }

    /// Whether a slot names a segment of which nothing is known.
    fn is_lost(&self, slot: Slot) -> bool {
        let place = self.store.geometry.locate(slot.address());
        let extent = place.and_then(|(segment, _)| self.extents.get(usize::from(segment.get())));
        extent.is_some_and(|extent| extent.is_lost)
    }

    #[inline]
    fn note(&mut self, slot: Slot, place: (SegmentId, u64)) {
        for active in &mut self.active {
            active.note(self.store, slot, place);
        }
    }

    /// The slot as it is now.
    pub fn slot(&self, page: PageId, position: usize) -> Slot {
        self.store.index().slot(page, position)
    }

    fn set(&self, page: PageId, position: usize, slot: Slot) {
        self.store.words.store(self.store.geometry.slot_at(page, position), slot.word());
    }

    /// The place of a record that a slot names, if it is of the present generation and allocated. The
    /// segment may be free by now: then the slot is as of before its record was moved, and the move is
    /// undone.
    #[inline]
    fn fitting_place(&self, slot: Slot) -> Option<(SegmentId, u64)> {
        let (segment, within) = self.store.geometry.locate(slot.address())?;
        let extent = self.extents.get(usize::from(segment.get()))?;
        let fits = extent.generation_low == slot.generation_low() && within < extent.length;
        fits.then_some((segment, within))
    }
}

/// The extents of the segments that begin in the file.
fn extents(store: &Store) -> Vec<Extent> {
    let geometry = &store.geometry;
    let in_file = store.words.log.length();
    let of = |segment: SegmentId| {
        let state = store.any_state(segment)?;
        let in_file = in_file.saturating_sub(geometry.segment_start(segment));
        let length = if state.allocated <= geometry.segment_bytes() { state.allocated } else { 0 };
        let (generation_low, length) = (state.generation.low(), length.min(in_file));
        Some(Extent { generation_low, length, is_lost: false })
    };
    let lost = Extent { is_lost: true, ..Extent::default() };
    let count = crate::capacity::segments_in(geometry, in_file + geometry.segment_bytes() - 1);
    (0..count as u16).map(|id| of(SegmentId::new(id)).unwrap_or(lost)).collect()
}

/// Tells every 16 pages that the pass moves: a slow disk takes a while for more.
fn tell(page: PageId, moved: &dyn Fn()) {
    if page.get().is_multiple_of(16) {
        moved();
    }
}
