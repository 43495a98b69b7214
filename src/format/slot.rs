//! The slot: 8 bytes of the index that name one record.
//!
//! ```text
//! bits   | field
//!  0..36 | address in units of 16 bytes (a ghost: low bits of the LSN at its eviction)
//! 36..40 | low bits of the segment's generation
//! 40..42 | frequency, 0 to 3
//!     42 | ghost: the key was evicted; no record
//!     43 | duplicate: another slot of equal tag may hold another version of the key
//! 44..64 | tag
//! ```
//! All zero is empty.

use super::address::{ADDRESS_BITS, Address, Generation, Lsn};

/// Bits of a tag.
pub const TAG_BITS: u32 = 20;
/// The highest frequency.
pub const FREQUENCY_LIMIT: u8 = 3;

const ADDRESS_MASK: u64 = (1 << ADDRESS_BITS) - 1;
const GENERATION_SHIFT: u32 = 36;
const FREQUENCY_SHIFT: u32 = 40;
const FREQUENCY_MASK: u64 = 3 << FREQUENCY_SHIFT;
const GHOST: u64 = 1 << 42;
const DUPLICATE: u64 = 1 << 43;
const TAG_SHIFT: u32 = 44;

/// One word of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u64);

impl Slot {
    /// Nothing.
    pub const EMPTY: Self = Self(0);

    /// A slot as it was read.
    #[inline]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// The slot of a record.
    pub const fn new(tag: u32, address: Address, generation: Generation, frequency: u8) -> Self {
        Self(
            address.units()
                | ((generation.low() as u64) << GENERATION_SHIFT)
                | (((frequency & 3) as u64) << FREQUENCY_SHIFT)
                | ((tag as u64) << TAG_SHIFT),
        )
    }

    /// What stays of an entry that was evicted at `lsn`.
    pub const fn ghost(tag: u32, lsn: Lsn) -> Self {
        Self((lsn.get() & ADDRESS_MASK) | GHOST | ((tag as u64) << TAG_SHIFT))
    }

    /// The word to store.
    #[inline]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// Bits of the key's hash.
    #[inline]
    pub const fn tag(self) -> u32 {
        (self.0 >> TAG_SHIFT) as u32
    }

    /// Where the record is.
    #[inline]
    pub const fn address(self) -> Address {
        Address::from_units(self.0 & ADDRESS_MASK)
    }

    /// Low bits of the generation of the record's segment.
    #[inline]
    pub const fn generation_low(self) -> u8 {
        ((self.0 >> GENERATION_SHIFT) & 15) as u8
    }

    /// How often the entry was read of late.
    #[inline]
    pub const fn frequency(self) -> u8 {
        ((self.0 & FREQUENCY_MASK) >> FREQUENCY_SHIFT) as u8
    }

    /// The slot with another frequency.
    #[inline]
    pub const fn with_frequency(self, frequency: u8) -> Self {
        Self((self.0 & !FREQUENCY_MASK) | (((frequency & 3) as u64) << FREQUENCY_SHIFT))
    }

    /// The slot naming a copy of its record.
    pub const fn with_place(self, address: Address, generation: Generation) -> Self {
        let rest = self.0 & !(ADDRESS_MASK | (15 << GENERATION_SHIFT));
        Self(rest | address.units() | ((generation.low() as u64) << GENERATION_SHIFT))
    }

    /// Whether it names a record.
    #[inline]
    pub const fn is_live(self) -> bool {
        self.0 != 0 && self.0 & GHOST == 0
    }

    /// Whether it remembers an evicted key.
    #[inline]
    pub const fn is_ghost(self) -> bool {
        self.0 & GHOST != 0
    }

    /// Whether nothing is in it.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether it may be one of two versions.
    #[inline]
    pub const fn is_duplicate(self) -> bool {
        self.0 & DUPLICATE != 0
    }

    /// The slot with its duplicate bit set or not.
    pub const fn with_duplicate(self, duplicate: bool) -> Self {
        if duplicate { Self(self.0 | DUPLICATE) } else { Self(self.0 & !DUPLICATE) }
    }

    /// Transactions that passed since a ghost was left, at most 2^36.
    pub const fn ghost_age(self, now: Lsn) -> u64 {
        now.get().wrapping_sub(self.0) & ADDRESS_MASK
    }

    /// Whether two slots name the same record with the same tag; frequency and duplicate bit may differ.
    #[inline]
    pub const fn names_same(self, other: Self) -> bool {
        (self.0 ^ other.0) & !(FREQUENCY_MASK | DUPLICATE) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_comes_back_and_none_touches_another() {
        let slot =
            Slot::new(0xF_FFFF, Address::from_units(0xF_1234_5678), Generation::new(0x1B), 2);
        assert_eq!(slot.tag(), 0xF_FFFF);
        assert_eq!(slot.address().units(), 0xF_1234_5678);
        assert_eq!(slot.generation_low(), 0xB);
        assert_eq!(slot.frequency(), 2);
        assert!(slot.is_live() && !slot.is_ghost() && !slot.is_duplicate());
        let changed = slot.with_frequency(3).with_duplicate(true);
        assert!(changed.is_duplicate() && changed.names_same(slot));
        assert_eq!(changed.with_duplicate(false).with_frequency(2), slot);
        let (there, generation) = (Address::from_units(99), Generation::new(0x5_0003));
        let expected = Slot::new(slot.tag(), there, generation, 3).with_duplicate(true);
        assert_eq!(changed.with_place(there, generation), expected);
    }

    #[test]
    fn a_ghost_knows_its_age() {
        let ghost = Slot::ghost(5, Lsn::new(0xFF_FFFF_FFF0));
        assert!(ghost.is_ghost() && !ghost.is_live());
        assert_eq!(ghost.ghost_age(Lsn::new(0x100_0000_0010)), 0x20);
    }
}
