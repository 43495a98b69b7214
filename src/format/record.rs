//! The record: a header of 40 bytes, then metadata, key and value; aligned to 16 bytes.
//!
//! ```text
//! offset | size | field
//!      0 |    4 | generation of the segment
//!      4 |    4 | length of the value
//!      8 |    2 | length of the key
//!     10 |    2 | length of the metadata
//!     12 |    2 | flags (an unknown one is a miss)
//!     14 |    2 | check of the 14 bytes before
//!     16 |    4 | CRC-32 of metadata, key and value
//!     20 |    4 | creation, seconds since 1970
//!     24 |    8 | committed: LSN in 52 bits, check in 12; 0 is "not committed"
//!     32 |    8 | expiry: milliseconds in 48 bits, check in 16
//! ```
//! The last two words change in place and carry a check of their own each.

use super::address::{Lsn, Millis, UNIT};
use super::check::Checker;

/// Size of the header in bytes.
pub const HEADER_BYTES: u64 = 40;
/// Offset of the word that holds CRC and creation time.
pub const PAYLOAD_AT: u64 = 16;
/// Offset of the word that commits a record.
pub const COMMITTED_AT: u64 = 24;
/// Offset of the word that holds the expiry.
pub const EXPIRY_AT: u64 = 32;
/// The longest key in bytes.
pub const KEY_LIMIT: usize = u16::MAX as usize;
/// Milliseconds by which a record that expires may have been created in the future: one that is further ahead
/// was stored under a clock that was wrong, and so was its expiry.
pub const AHEAD_LIMIT: u64 = 300_000;
/// Flags that this version knows: none yet.
pub const KNOWN_FLAGS: u16 = 0;

/// Lengths and flags of a record; those read from a file come from [`Shape::decode`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of the value.
    pub value: u32,
    /// Bytes of the key.
    pub key: u16,
    /// Bytes of the metadata.
    pub metadata: u16,
    /// Flags; see [`KNOWN_FLAGS`].
    pub flags: u16,
}

impl Shape {
    /// The first two header words of a record of this shape at the checker's place.
    pub fn encode(self, checker: Checker, generation: u32) -> [u64; 2] {
        let word0 = u64::from(generation) | (u64::from(self.value) << 32);
        let word1 =
            u64::from(self.key) | (u64::from(self.metadata) << 16) | (u64::from(self.flags) << 32);
        let check = u64::from(checker.header(word0, word1));
        [word0, word1 | (check << 48)]
    }

    /// The shape in two header words, if they were written for this place and generation.
    #[inline]
    pub fn decode(checker: Checker, generation: u32, words: [u64; 2]) -> Option<Self> {
        let [word0, word1] = words;
        if word0 as u32 != generation || checker.header(word0, word1) != (word1 >> 48) as u16 {
            return None;
        }
        Some(Self {
            value: (word0 >> 32) as u32,
            key: word1 as u16,
            metadata: (word1 >> 16) as u16,
            flags: (word1 >> 32) as u16,
        })
    }

    /// Whether this version understands the record.
    #[inline]
    pub const fn is_known(self) -> bool {
        self.flags & !KNOWN_FLAGS == 0
    }

    /// Bytes of header, metadata, key and value.
    #[inline]
    pub const fn bytes(self) -> u64 {
        HEADER_BYTES + self.metadata as u64 + self.key as u64 + self.value as u64
    }

    /// Bytes that the record takes in the log, with its alignment.
    #[inline]
    pub const fn footprint(self) -> u64 {
        self.bytes().next_multiple_of(UNIT)
    }
}

/// The word that holds the CRC of metadata, key and value, and the creation time.
#[inline]
pub const fn encode_payload(crc: u32, created: u32) -> u64 {
    crc as u64 | ((created as u64) << 32)
}

/// CRC and creation time.
#[inline]
pub const fn decode_payload(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

/// The word that commits a record: nonzero for every LSN but 0, which no transaction has.
#[inline]
pub fn encode_committed(checker: Checker, lsn: Lsn) -> u64 {
    lsn.get() | (u64::from(checker.committed(lsn.get())) << 52)
}

/// The LSN in a committed word; `None` if it is not committed or not whole.
#[inline]
pub fn decode_committed(checker: Checker, word: u64) -> Option<Lsn> {
    let lsn = Lsn::new(word);
    (lsn.get() != 0 && (word >> 52) as u16 == checker.committed(lsn.get())).then_some(lsn)
}

/// The word that holds an expiry.
#[inline]
pub fn encode_expiry(checker: Checker, expiry: Millis) -> u64 {
    expiry.get() | (u64::from(checker.expiry(expiry.get())) << 48)
}

/// The moment in an expiry word; `None` if it is not whole.
#[inline]
pub fn decode_expiry(checker: Checker, word: u64) -> Option<Millis> {
    let millis = word & ((1 << 48) - 1);
    ((word >> 48) as u16 == checker.expiry(millis)).then_some(Millis::new(millis))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::address::{Address, Generation};

    fn checker() -> Checker {
        Checker::new(0x51E1_93BA_7C44_D2F7, Address::from_units(4096), Generation::new(9))
    }

    #[test]
    fn a_shape_survives_the_round_trip() {
        let shape = Shape { value: 70_000, key: 65_535, metadata: 3, flags: 0 };
        let words = shape.encode(checker(), 9);
        assert_eq!(Shape::decode(checker(), 9, words), Some(shape));
        assert_eq!(Shape::decode(checker(), 10, words), None);
        assert_eq!(shape.footprint() % UNIT, 0);
    }

    #[test]
    fn few_flipped_bits_of_a_header_pass_and_none_as_its_neighbour() {
        let shape = Shape { value: 1000, key: 20, metadata: 0, flags: 0 };
        let words = shape.encode(checker(), 9);
        for bit in 0..128 {
            let mut flipped = words;
            flipped[bit / 64] ^= 1 << (bit % 64);
            assert_eq!(Shape::decode(checker(), 9, flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn an_uncommitted_record_has_no_lsn() {
        assert_eq!(decode_committed(checker(), 0), None);
        let word = encode_committed(checker(), Lsn::new(77));
        assert_eq!(decode_committed(checker(), word), Some(Lsn::new(77)));
        assert_eq!(decode_committed(checker(), word ^ 1), None);
    }

    #[test]
    fn a_changed_expiry_is_not_whole() {
        for expiry in [Millis::new(0), Millis::new(1_700_000_000_000), Millis::NEVER] {
            let word = encode_expiry(checker(), expiry);
            assert_eq!(decode_expiry(checker(), word), Some(expiry));
            assert_eq!(decode_expiry(checker(), word ^ 4), None);
        }
    }
}
