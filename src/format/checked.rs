//! Words with a check: those of the control block and the segment table that a read depends on.
//!
//! The value is in bits 0..53, the check in bits 53..64. A word is whole if the top 11 bits of its product with a
//! factor are the word's label, which tells one such word from another. A flipped bit changes the product by
//! the factor times a power of two, two flipped bits by a sum or a difference of two such: the factor is one of
//! which all these are at least 2^53, and at most 2^64 - 2^53, modulo 2^64, so that the top bits change. (It is
//! one of those of splitmix64. A test tries all pairs.)
//!
//! Such a word stands twice, on two pages. The first copy counts if it passes its check, else the second. The
//! second is stored first, so that it is never the older one.

use super::intent::WordAt;

/// Bits of the value.
pub const VALUE_BITS: u32 = 53;
/// What a word is multiplied with.
pub const CHECK_FACTOR: u64 = 0x94D0_49BB_1331_11EB;
/// Its inverse modulo 2^11.
const INVERSE: u64 = 0x6c3;
const _: () = assert!(CHECK_FACTOR.wrapping_mul(INVERSE) % (1 << CHECK_BITS) == 1);
/// Bits of the check.
const CHECK_BITS: u32 = u64::BITS - VALUE_BITS;

const VALUE_MASK: u64 = (1 << VALUE_BITS) - 1;

/// Where both copies of a checked word are, and its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedAt {
    first: WordAt,
    second: WordAt,
    label: u64,
}

impl CheckedAt {
    /// The word whose copies are at two offsets in the log. With label 0, zeros are the value 0; with another
    /// they are no value.
    #[inline]
    pub(super) const fn new(first: u64, second: u64, label: u64) -> Self {
        Self { first: WordAt::log(first), second: WordAt::log(second), label }
    }

    /// The top bits of its product.
    #[cfg(test)]
    pub const fn label(self) -> u64 {
        self.label
    }

    /// Where its first copy is, which readers look at.
    #[inline]
    pub const fn first(self) -> WordAt {
        self.first
    }

    /// Where its second copy is.
    #[inline]
    pub const fn second(self) -> WordAt {
        self.second
    }

    /// Both copies, in the order in which they are stored.
    #[inline]
    pub const fn copies(self) -> [WordAt; 2] {
        [self.second, self.first]
    }

    /// A value as stored, with its check.
    #[inline]
    pub const fn seal(self, value: u64) -> u64 {
        let value = value & VALUE_MASK;
        let top = value.wrapping_mul(CHECK_FACTOR) >> VALUE_BITS;
        let check = self.label.wrapping_sub(top).wrapping_mul(INVERSE);
        value | (check << VALUE_BITS)
    }

    /// The value of a copy, if its check holds.
    #[inline]
    pub const fn unseal(self, word: u64) -> Option<u64> {
        let is_whole = word.wrapping_mul(CHECK_FACTOR) >> VALUE_BITS == self.label;
        if is_whole { Some(word & VALUE_MASK) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_back_and_what_one_or_two_flipped_bits_make_of_it_does_not() {
        for label in [0, 1, 0x2A5, 0x7FF] {
            let at = CheckedAt::new(0, 8, label);
            for value in [0, 1, 2038, 2039, 1 << 36, 0x1F_FFFF_FFFF_FFFF, 0xA_BCDE_F012_3456] {
                let word = at.seal(value);
                assert_eq!(at.unseal(word), Some(value));
                for bit in 0..64 {
                    assert_eq!(at.unseal(word ^ 1 << bit), None, "{value:#x}, bit {bit}");
                }
                for (a, b) in (0..u64::BITS).flat_map(|a| (0..a).map(move |b| (a, b))) {
                    assert_eq!(at.unseal(word ^ 1 << a ^ 1 << b), None, "bits {a} and {b}");
                }
            }
        }
    }

    #[test]
    fn one_checked_word_does_not_pass_for_another_and_zeros_pass_for_none() {
        let a = CheckedAt::new(0xC0, 0x10C0, 0x155);
        let b = CheckedAt::new(0xC8, 0x10C8, 0x2AA);
        assert_eq!(a.unseal(b.seal(7)), None);
        assert_eq!(a.unseal(0), None);
    }
}
