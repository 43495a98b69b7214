//! Bytes to values and back: everything that `format.md` describes, and nothing else.
//!
//! No I/O, no clock, no panic, and no allocation from a length that was not checked. Decoders return
//! `None` (or a small error of their own) for bytes that are not what they should be; the floors
//! above decide whether that is a miss or a report. Every number read from a file becomes a newtype
//! here, validated once.

pub mod check;
pub mod control;
pub mod identity;
pub mod intent;
pub mod lock;
pub mod page;
pub mod place;
pub mod record;
pub mod segment;
pub mod slot;
#[cfg(test)]
mod spec;
pub mod walk;

/// The version of the format that this build writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// Names of the three files in a cache directory.
pub const STORE_FILE: &str = "store";
/// The file that holds the control block and the records.
pub const LOG_FILE: &str = "log";
/// The file that holds the hash table.
pub const INDEX_FILE: &str = "index";

/// Every decoder over arbitrary bytes, for a fuzzer: none may panic or allocate without bound.
pub fn decode(bytes: &[u8]) {
    let _ = identity::Identity::decode(bytes);
    let (words, _) = bytes.as_chunks::<8>();
    let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    for pair in words.windows(2) {
        let (word, next) = (pair[0], pair[1]);
        let _ = segment::StateWord::decode(word).map(segment::StateWord::encode);
        let _ = segment::Live::decode(word).minus(next as u32).plus(next as u32);
        let _ = segment::Stamp::decode(word).encode();
        let _ = lock::LockWord::decode(word).next().encode();
        let _ = intent::IntentHead::decode(word).encode();
        let _ = walk::WalkWord::encode(walk::WalkWord::decode(word));
        let generation = place::Generation::new(next as u32);
        let checker = check::Checker::new(next, place::Address::from_units(word), generation);
        let _ = segment::decode_chunk(checker, generation, [word, next]);
        let _ = record::Shape::decode(checker, word as u32, [word, next])
            .map(|shape| (shape.footprint(), shape.is_known()));
        let _ = record::decode_committed(checker, word);
        let _ = record::decode_expiry(checker, word);
        let slot = slot::Slot::from_word(word);
        let level = (next % 17) as u32;
        let pages = (next >> 8).clamp(1, page::page_limit(level));
        let page = page::page_of(word, pages);
        let _ = page::is_home(page, slot, level, pages);
        let _ = page::moved_to(page, slot, level);
        let _ = page::Probe::new(word, level);
        let _ = page::other_group(slot.tag() as usize % page::PAGE_SLOTS, slot.tag());
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn arbitrary_words_decode_to_a_value_or_none() {
        let mut word = 0x9E37_79B9_7F4A_7C15u64;
        let mut bytes = Vec::new();
        for round in 0..20_000u32 {
            word = word.rotate_left(23).wrapping_mul(0xD6E8_FEB8_6659_FD93) ^ u64::from(round);
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&[0; 64]);
        bytes.extend_from_slice(&[0xFF; 64]);
        super::decode(&bytes);
    }
}
