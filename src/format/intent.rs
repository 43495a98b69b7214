//! The intent: what a transaction is about to store, written in the process row of its owner.
//!
//! The first word holds the kind (bits 0..8: 1 words, 2 split), the number of words (8..16) and, for
//! a split, the new page (16..64). Up to twenty pairs of offset and value follow.

use super::page::PageId;

/// The most words that one transaction changes.
pub const INTENT_WORDS: usize = 20;

/// Where a word is that processes share: bit 63 says in which file, the rest is the byte offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WordAt(u64);

const INDEX_BIT: u64 = 1 << 63;

impl WordAt {
    /// A word of the log file.
    #[inline]
    pub const fn log(offset: u64) -> Self {
        Self(offset & !INDEX_BIT)
    }

    /// A word of the index file.
    #[inline]
    pub const fn index(offset: u64) -> Self {
        Self(offset | INDEX_BIT)
    }

    /// An offset as it was read, with the bit of the file.
    #[inline]
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// The offset as stored, with the bit of the file.
    #[inline]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// Whether it is in the index file.
    #[inline]
    pub const fn is_index(self) -> bool {
        self.0 & INDEX_BIT != 0
    }

    /// Its byte offset in its file.
    #[inline]
    pub const fn offset(self) -> u64 {
        self.0 & !INDEX_BIT
    }

    /// The word `words` words further on.
    #[inline]
    pub const fn plus(self, words: u64) -> Self {
        Self(self.0 + words * 8)
    }
}

/// First word of an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntentHead {
    /// Nothing.
    None,
    /// So many pairs of offset and value follow.
    Words(usize),
    /// Split the index: this page is the new one.
    Split(PageId),
}

impl IntentHead {
    /// The word as stored.
    pub fn encode(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Words(count) => 1 | ((count as u64) << 8),
            Self::Split(page) => 2 | (page.get() << 16),
        }
    }

    /// The word's meaning; one that no version of this format writes is nothing.
    pub fn decode(word: u64) -> Self {
        let count = ((word >> 8) & 0xFF) as usize;
        match word & 0xFF {
            1 if count <= INTENT_WORDS => Self::Words(count),
            2 => Self::Split(PageId::new(word >> 16)),
            _ => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_survive_the_round_trip_and_nonsense_is_nothing() {
        for head in
            [IntentHead::None, IntentHead::Words(20), IntentHead::Split(PageId::new(1 << 30))]
        {
            assert_eq!(IntentHead::decode(head.encode()), head);
        }
        assert_eq!(IntentHead::decode(1 | (21 << 8)), IntentHead::None);
        assert_eq!(IntentHead::decode(99), IntentHead::None);
    }

    #[test]
    fn a_word_knows_its_file() {
        assert!(WordAt::index(64).is_index());
        assert_eq!(WordAt::index(64).plus(2).offset(), 80);
        assert!(!WordAt::log(64).is_index());
    }
}
