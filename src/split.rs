//! The split of an index page, which a transaction carries out: linear hashing takes a page more.

use crate::format::control::{self, Geometry};
use crate::format::page::{Home, PAGE_SLOTS, PageId};
use crate::format::slot::{Slot, TAG_BITS};
use crate::sys::words::Words;

/// A page split, begun or redone: `page` takes the slots of its parent whose next bit says so,
/// positions kept. First they are copied, then `n` makes them visible, then the parent's are
/// emptied: a redo tells by `n` how far it came. In a store that syncs the moved slots stay in the
/// parent, as foreign ones, until the new page is durable.
pub fn split(words: &impl Words, geometry: &Geometry, page: PageId) {
    /// Slots that are looked at together.
    const STEP: usize = 64;
    if !(1..1 << TAG_BITS).contains(&(page.get() >> geometry.level)) {
        return; // Of those that the index began with, or more than it can have: damage.
    }
    let parent = page.parent();
    let home = Home::new(page, geometry.level, page.get() + 1);
    let moves = |word: &u64| {
        let slot = Slot::from_word(*word);
        !slot.is_empty() & home.has(slot)
    };
    let steps = || (0..PAGE_SLOTS).step_by(STEP);
    let slots = |first| words.load_all::<STEP>(geometry.slot_at(parent, first));
    if words.checked(control::PAGES) == Some(page.get()) {
        for first in steps() {
            let moved = slots(first).map(|word| if moves(&word) { word } else { 0 });
            words.store_all(geometry.slot_at(page, first), &moved);
        }
        words.store_checked(control::PAGES, page.get() + 1);
    }
    if words.checked(control::PAGES) == Some(page.get() + 1)
        && words.checked(control::SYNCS) == Some(0)
    {
        for first in steps() {
            // First told, then emptied: the processor cannot foresee which slots move.
            let bit = |(number, word)| u64::from(moves(word)) << number;
            let mut moved: u64 = slots(first).iter().enumerate().map(bit).sum();
            while moved != 0 {
                let position = first + moved.trailing_zeros() as usize;
                words.store(geometry.slot_at(parent, position), Slot::EMPTY.word());
                moved &= moved - 1;
            }
        }
    }
}
