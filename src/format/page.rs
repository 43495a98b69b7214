//! Where a key's hash leads in the index: linear hashing over pages of 512 slots.
//!
//! With `2^l <= n < 2^(l+1)` pages, the page of hash `h` is `h mod 2^(l+1)` if that is below `n`,
//! else `h mod 2^l` (W. Litwin, "Linear hashing", 1980). In its page a key has two groups of 16 slots,
//! `a` from the hash and `b = a xor f(tag)`, so that either follows from the other. The tag holds the
//! 20 bits of the hash that decide the splits to come, so that a split needs no look at the log.

use super::slot::{Slot, TAG_BITS};

/// Bytes of a page.
pub const PAGE_BYTES: u64 = 4096;
/// Slots in a page.
pub const PAGE_SLOTS: usize = 512;
/// Slots in a group.
pub const GROUP_SLOTS: usize = 16;
/// Groups in a page.
pub const PAGE_GROUPS: u32 = 32;
/// The index is split when entries pass this share of its slots, in per cent.
pub const SPLIT_LOAD_PERCENT: u64 = 36;

/// Factor of `f`, which leads from one group of a key to the other.
pub(super) const GROUP_FACTOR: u32 = 0x9E37_79B1;

/// A page of the index, numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageId(u64);

impl PageId {
    /// Page number `id`.
    #[inline]
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    /// Its number.
    #[inline]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Where the page begins in the index file: one page after the file's header page.
    #[inline]
    pub const fn offset(self) -> u64 {
        (self.0 + 1) * PAGE_BYTES
    }

    /// The page whose slots this page takes over when it is split off (undefined for page 0).
    pub const fn parent(self) -> Self {
        Self(self.0 & !(1 << self.0.ilog2()))
    }
}

/// The page of a hash when there are `pages` pages (at least one).
#[inline]
pub fn page_of(hash: u64, pages: u64) -> PageId {
    let high = 2 << pages.ilog2();
    let page = hash & (high - 1);
    PageId(if page < pages { page } else { hash & (high / 2 - 1) })
}

/// What a key's hash says about its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The whole hash.
    pub hash: u64,
    /// The tag of its slots.
    pub tag: u32,
    /// First slot of its first group, within the page.
    pub group_a: usize,
    /// First slot of its second group, within the page.
    pub group_b: usize,
}

impl Probe {
    /// The probe of a hash in an index that was created with `2^level` pages.
    #[inline]
    pub fn new(hash: u64, level: u32) -> Self {
        let tag = ((hash >> level) & ((1 << TAG_BITS) - 1)) as u32;
        let a = (hash >> 59) as u32;
        let b = a ^ group_step(tag);
        Self { hash, tag, group_a: a as usize * GROUP_SLOTS, group_b: b as usize * GROUP_SLOTS }
    }

    /// The position within the page of a slot of its groups, which are numbered from 0 to 31.
    #[inline]
    pub fn position(&self, number: u32) -> usize {
        let number = number as usize % (2 * GROUP_SLOTS);
        if number < GROUP_SLOTS {
            self.group_a + number
        } else {
            self.group_b + number - GROUP_SLOTS
        }
    }
}

/// The other group of a slot at `position` with this tag: its first position.
#[inline]
pub fn other_group(position: usize, tag: u32) -> usize {
    let group = (position / GROUP_SLOTS) as u32 % PAGE_GROUPS;
    (group ^ group_step(tag)) as usize * GROUP_SLOTS
}

/// `f`: from 1 to 31, so that the groups of a key always differ.
#[inline]
const fn group_step(tag: u32) -> u32 {
    1 + (tag.wrapping_mul(GROUP_FACTOR) >> 8) % (PAGE_GROUPS - 1)
}

/// The low bits of the hash of a slot found on `page`, as far as page and tag tell them
/// (`level + 20` bits, `level` being the level at creation).
#[inline]
pub fn hash_low(page: PageId, tag: u32, level: u32) -> u64 {
    (page.0 & ((1 << level) - 1)) | (u64::from(tag) << level)
}

/// The slots at home on a page, that is, those whose keys are looked up there: their tags have these
/// bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    mask: u32,
    bits: u32,
}

impl Home {
    /// No slots: those of a page of which nothing is known.
    pub const NOWHERE: Self = Self { mask: 0, bits: u32::MAX };

    /// Those of a page, of an index of `pages` pages that was created with `2^level`.
    #[inline]
    pub const fn new(page: PageId, level: u32, pages: u64) -> Self {
        let half = 1u64 << pages.ilog2();
        // A page that was split in this round, or came of it, is told by one bit more.
        let mask = if page.0 | half < pages { 2 * half - 1 } else { half - 1 };
        // Of 20 bits, but for a page that there cannot be.
        Self { mask: (mask >> level) as u32, bits: (page.0 >> level) as u32 }
    }

    /// Whether a slot is one of them.
    #[inline]
    pub const fn has(self, slot: Slot) -> bool {
        slot.tag() & self.mask == self.bits
    }
}

/// Whether a slot stands on the page that a lookup of its key goes to.
#[cfg(any(test, feature = "internals"))]
#[inline]
pub const fn is_home(page: PageId, slot: Slot, level: u32, pages: u64) -> bool {
    Home::new(page, level, pages).has(slot)
}

/// The page to which the first split that moved this slot off `page` moved it; `None` if its hash
/// leads nowhere else, or never led to `page`.
pub fn moved_to(page: PageId, slot: Slot, level: u32) -> Option<PageId> {
    let above = hash_low(page, slot.tag(), level) ^ page.0;
    let moved = PageId(page.0 | (above & above.wrapping_neg()));
    (moved != page).then_some(moved)
}

/// The most pages that an index created with `2^level` pages can have: tags decide 20 splits.
pub const fn page_limit(level: u32) -> u64 {
    1 << (level + TAG_BITS)
}

/// Whether an index of `pages` pages with `entries` entries wants another page.
#[inline]
pub const fn wants_split(entries: u64, pages: u64) -> bool {
    entries.saturating_mul(100) > pages.saturating_mul(PAGE_SLOTS as u64 * SPLIT_LOAD_PERCENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::address::{Address, Generation};

    #[test]
    fn a_split_moves_a_hash_only_to_the_new_page() {
        for hash in (0..4000u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
            for pages in 1..70 {
                let before = page_of(hash, pages);
                let after = page_of(hash, pages + 1);
                assert!(after == before || after == PageId(pages));
                if after != before {
                    assert_eq!(after.parent(), before);
                }
            }
        }
    }

    #[test]
    fn each_group_follows_from_the_other() {
        for hash in (1..4000u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
            let probe = Probe::new(hash, 3);
            assert_ne!(probe.group_a, probe.group_b);
            assert_eq!(other_group(probe.group_a + 5, probe.tag), probe.group_b);
            assert_eq!(other_group(probe.group_b + 15, probe.tag), probe.group_a);
        }
    }

    #[test]
    fn a_slot_is_at_home_where_a_lookup_of_its_key_goes_and_nowhere_else() {
        for (level, pages) in (0..4).flat_map(|level| (1 << level..70).map(move |n| (level, n))) {
            for tag in (0..1 << TAG_BITS).step_by(4099) {
                let slot = Slot::new(tag, Address::from_units(1), Generation::new(1), 0);
                for page in (0..pages + 3).map(PageId::new) {
                    let there = page_of(hash_low(page, tag, level), pages) == page;
                    assert_eq!(
                        is_home(page, slot, level, pages),
                        there,
                        "{level} {pages} {page:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn page_and_tag_tell_where_a_slot_is_at_home() {
        let level = 2;
        for hash in (1..4000u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
            let tag = Probe::new(hash, level).tag;
            let slot = Slot::new(tag, Address::from_units(1), Generation::new(1), 0);
            let then = page_of(hash, 4);
            for pages in 4..64 {
                let now = page_of(hash, pages);
                assert!(is_home(now, slot, level, pages));
                assert_eq!(is_home(then, slot, level, pages), then == now);
            }
            if let Some(moved) = moved_to(then, slot, level) {
                assert_eq!(page_of(hash, moved.get() + 1), moved);
                assert_eq!(page_of(hash, moved.get()), then);
            }
        }
    }
}
