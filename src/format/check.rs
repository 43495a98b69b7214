//! The checks that tell a whole record from a torn, foreign or left-over one.
//!
//! Every check is keyed with the store's seed and bound to a *place* (address and generation), so
//! that bytes which are valid somewhere else, or were valid before the segment was reused, fail.
//! The seed is 64 random bits: a product with a small factor would mix too little.
//! `mix` is the folded 64 x 64 -> 128 bit multiplication of wyhash (Wang Yi, 2019).

use super::address::{Address, Generation};

/// One constant a purpose, so that a check made for one field never passes for another.
pub(super) const HEADER: u64 = 0x9E37_79B9_7F4A_7C15;
pub(super) const COMMITTED: u64 = 0xC2B2_AE3D_27D4_EB4F;
pub(super) const EXPIRY: u64 = 0x1656_67B1_9E37_79F9;
pub(super) const CHUNK: u64 = 0x27D4_EB2F_1656_67C5;
pub(super) const PAYLOAD: u64 = 0xD6E8_FEB8_6659_FD93;

/// The key of all checks in one store, for one place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checker {
    seed: u64,
    place: u64,
}

impl Checker {
    /// Checks for what stands at `address` in `generation` of its segment.
    #[inline]
    pub fn new(seed: u64, address: Address, generation: Generation) -> Self {
        Self { seed, place: address.units() | (u64::from(generation.get()) << 36) }
    }

    /// 16 bits over a record's generation, lengths and flags (`word0`, low 48 bits of `word1`).
    #[inline]
    pub fn header(self, word0: u64, word1: u64) -> u16 {
        (mix(word0 ^ self.seed, (word1 & 0xFFFF_FFFF_FFFF) ^ self.place.rotate_left(24) ^ HEADER)
            >> 48) as u16
    }

    /// 12 bits over the LSN in a record's committed word.
    #[inline]
    pub fn committed(self, lsn: u64) -> u16 {
        (mix(lsn ^ self.seed, self.place ^ COMMITTED) >> 52) as u16
    }

    /// 16 bits over the milliseconds in a record's expiry word.
    #[inline]
    pub fn expiry(self, millis: u64) -> u16 {
        (mix(millis ^ self.seed, self.place ^ EXPIRY) >> 48) as u16
    }

    /// 32 bits over the second word of a chunk header.
    #[inline]
    pub fn chunk(self, word1: u64) -> u32 {
        (mix(word1 ^ self.seed, self.place ^ CHUNK) >> 32) as u32
    }

    /// CRC-32 over metadata, key and value, begun from a value that depends on the place and on the
    /// record's first two words and creation time, so that equal bytes elsewhere have another CRC.
    #[inline(always)]
    pub fn payload(self, word0: u64, created: u32, parts: [&[u8]; 3]) -> u32 {
        let start = mix(word0 ^ self.seed, self.place ^ (u64::from(created) << 32) ^ PAYLOAD);
        let mut crc = crc32fast::Hasher::new_with_initial((start >> 32) as u32);
        for part in parts {
            if !part.is_empty() {
                crc.update(part);
            }
        }
        crc.finalize()
    }
}

/// High and low half of the product, folded.
#[inline]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_made_for_one_place_fails_at_another() {
        let here =
            Checker::new(0x51E1_93BA_7C44_D2F7, Address::from_units(100), Generation::new(3));
        let there =
            Checker::new(0x51E1_93BA_7C44_D2F7, Address::from_units(101), Generation::new(3));
        let later =
            Checker::new(0x51E1_93BA_7C44_D2F7, Address::from_units(100), Generation::new(4));
        let other_store =
            Checker::new(0x51E1_93BA_7C44_D2F8, Address::from_units(100), Generation::new(3));
        for other in [there, later, other_store] {
            assert_ne!(here.chunk(55), other.chunk(55));
            assert_ne!(
                here.payload(1, 2, [b"", b"key", b"value"]),
                other.payload(1, 2, [b"", b"key", b"value"])
            );
        }
    }

    #[test]
    fn the_payload_check_depends_on_lengths_and_creation_time() {
        let here =
            Checker::new(0x51E1_93BA_7C44_D2F7, Address::from_units(100), Generation::new(3));
        let crc = here.payload(1, 2, [b"", b"key", b"value"]);
        assert_ne!(crc, here.payload(2, 2, [b"", b"key", b"value"]));
        assert_ne!(crc, here.payload(1, 3, [b"", b"key", b"value"]));
    }
}
