//! Duplicates: slots of one page and tag in the groups of one key, which may name two versions of it. A power
//! cut leaves them where the new slot reached the disk and the emptied old one did not.

use crate::format::page::{GROUP_SLOTS, PAGE_SLOTS, other_group};
use crate::format::slot::{Slot, TAG_BITS};
use crate::index;

/// Bits of a tag that are looked at first.
const BITS: u32 = 12;
/// Words that have a bit for each value of those.
const WORDS: usize = 1 << (BITS - 6);

/// Which tags of a page may be there more than once: few, so that few slots are compared with the others of
/// their groups.
pub struct Tags {
    once: [u64; WORDS],
    again: [u64; WORDS],
}

impl Tags {
    /// Those of the slots of a page.
    pub fn of(words: &[u64; PAGE_SLOTS]) -> Self {
        let mut tags = Self { once: [0; WORDS], again: [0; WORDS] };
        for word in words {
            let (at, bit) = bit_of(Slot::from_word(*word).tag());
            tags.again[at] |= tags.once[at] & bit;
            tags.once[at] |= bit;
        }
        tags
    }

    /// Whether another live slot of the groups of the slot at `position` has its tag.
    #[inline]
    pub fn has_duplicate(&self, words: &[u64; PAGE_SLOTS], position: usize) -> bool {
        let tag = Slot::from_word(words[position]).tag();
        let (at, bit) = bit_of(tag);
        self.again[at] & bit != 0 && is_beside_its_like(words, position, tag)
    }
}

/// The lower bits of a tag are those of the page: the upper ones are looked at.
#[inline]
fn bit_of(tag: u32) -> (usize, u64) {
    let number = (tag >> (TAG_BITS - BITS)) % (1 << BITS);
    (number as usize / 64, 1 << (number % 64))
}

fn is_beside_its_like(words: &[u64; PAGE_SLOTS], position: usize, tag: u32) -> bool {
    let own = position / GROUP_SLOTS * GROUP_SLOTS;
    [own, other_group(position, tag)].into_iter().any(|group| {
        let slots = &words.as_chunks().0[group / GROUP_SLOTS];
        let mut equal = index::equal_tags(slots, tag);
        while equal != 0 {
            let at = group + equal.trailing_zeros() as usize;
            if at != position && Slot::from_word(words[at]).is_live() {
                return true;
            }
            equal &= equal - 1;
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::address::{Address, Generation, Lsn};

    #[test]
    fn only_live_slots_of_equal_tag_in_the_same_two_groups_are_duplicates() {
        let tag = 0xABCDE;
        let slot = |unit| Slot::new(tag, Address::from_units(unit), Generation::new(1), 0).word();
        let other = other_group(35, tag);
        let foreign =
            (0..PAGE_SLOTS).step_by(GROUP_SLOTS).find(|&group| group != 32 && group != other);
        for (at, expected) in [(33, true), (other + 7, true), (foreign.unwrap() + 3, false)] {
            let mut words = [0; PAGE_SLOTS];
            words[35] = slot(1);
            assert!(!Tags::of(&words).has_duplicate(&words, 35), "its own duplicate");
            words[at] = slot(2);
            assert_eq!(Tags::of(&words).has_duplicate(&words, 35), expected, "{at}");
            assert_eq!(Tags::of(&words).has_duplicate(&words, at), expected, "{at}");
            words[at] = Slot::ghost(tag, Lsn::new(5)).word();
            assert!(!Tags::of(&words).has_duplicate(&words, 35), "a ghost");
        }
    }
}
