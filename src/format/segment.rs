//! The words of the segment table, and the header of a chunk.
//!
//! A segment is described by one *state word* in a dense array that readers look at, and by a row of
//! eight words that only writers touch:
//!
//! ```text
//! word | field
//!    0 | tail: units reserved from the start of the segment
//!    1 | live: entries in the high 32 bits, their units in the low 32
//!    2 | granted: bytes of disk that the segment may take
//!    3 | first expiry in it (milliseconds): no record in it expires earlier
//!    4 | last expiry in it: no record in it expires later
//!    5 | order: number of the taking, counted over all segments
//!    6 | stamp: what of the barrier applies to its reuse
//!    7 | horizon: how much at most expires in it until some moment
//! ```

use super::address::{Generation, Millis};
use super::check::Checker;

/// Bytes of a row of the segment table.
pub const ROW_BYTES: u64 = 64;
/// Word of a row that holds the tail.
pub const TAIL: u64 = 0;
/// Word of a row that holds live entries and units.
pub const LIVE: u64 = 1;
/// Word of a row that holds the granted bytes.
pub const GRANTED: u64 = 2;
/// Word of a row that holds the first expiry.
pub const FIRST_EXPIRY: u64 = 3;
/// Word of a row that holds the last expiry.
pub const LAST_EXPIRY: u64 = 4;
/// Word of a row that holds the order of taking.
pub const ORDER: u64 = 5;
/// Word of a row that holds the barrier's stamp.
pub const STAMP: u64 = 6;
/// Word of a row that holds the horizon.
pub const HORIZON: u64 = 7;

/// Bytes of a chunk header.
pub const CHUNK_HEADER_BYTES: u64 = 16;

/// Unit of the allocated length in a state word.
pub const ALLOCATION_PAGE: u64 = 4096;

/// What a segment is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing lives in it; it may be taken.
    Free,
    /// Chunks are reserved in it.
    Active,
    /// No new chunk fits or comes; reserved ones may still be filled.
    Sealed,
    /// Chosen to be walked empty: no new record goes into it.
    Victim,
    /// Nothing lives in it; it becomes free once nobody has it pinned.
    Draining,
}

/// Which of the two queues of the eviction policy a segment belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Entries that are new.
    Probation,
    /// Entries that were read again.
    Main,
}

/// A segment's state word, which is a checked one: generation in bits 0..32, state in 32..35, queue in
/// 35..36, allocated pages of 4 KiB in 36..53.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateWord {
    /// How often the segment was taken.
    pub generation: Generation,
    /// What it is doing.
    pub state: State,
    /// Its queue.
    pub queue: Queue,
    /// Bytes from its start that are allocated on the disk, a multiple of 4 KiB.
    pub allocated: u64,
}

impl StateWord {
    /// The value of the word.
    pub fn encode(self) -> u64 {
        let state = match self.state {
            State::Free => 0,
            State::Active => 1,
            State::Sealed => 2,
            State::Victim => 3,
            State::Draining => 4,
        };
        let queue = match self.queue {
            Queue::Probation => 0,
            Queue::Main => 1,
        };
        u64::from(self.generation.get())
            | (state << 32)
            | (queue << 35)
            | ((self.allocated / ALLOCATION_PAGE) << 36)
    }

    /// The value's meaning; `None` for a state that this version does not know.
    #[inline]
    pub const fn decode(value: u64) -> Option<Self> {
        let state = match (value >> 32) & 7 {
            0 => State::Free,
            1 => State::Active,
            2 => State::Sealed,
            3 => State::Victim,
            4 => State::Draining,
            _ => return None,
        };
        let queue = if (value >> 35) & 1 == 0 { Queue::Probation } else { Queue::Main };
        Some(Self {
            generation: Generation::new(value as u32),
            state,
            queue,
            allocated: (value >> 36) * ALLOCATION_PAGE,
        })
    }

    /// Whether records in it may be looked at.
    #[inline]
    pub fn is_readable(self) -> bool {
        matches!(self.state, State::Active | State::Sealed | State::Victim)
    }

    /// Whether a chunk reserved in it may still be filled.
    #[inline]
    pub fn is_writable(self) -> bool {
        matches!(self.state, State::Active | State::Sealed)
    }
}

/// Live entries of a segment and the units they take, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Entries whose slot names the segment.
    pub count: u32,
    /// Units of 16 bytes that they take; an estimate after another boot until the next walk.
    pub units: u32,
}

impl Live {
    /// The word as stored.
    #[inline]
    pub const fn encode(self) -> u64 {
        ((self.count as u64) << 32) | self.units as u64
    }

    /// The word's meaning.
    #[inline]
    pub const fn decode(word: u64) -> Self {
        Self { count: (word >> 32) as u32, units: word as u32 }
    }

    /// With one entry of `units` more.
    #[inline]
    pub const fn plus(self, units: u32) -> Self {
        Self { count: self.count.saturating_add(1), units: self.units.saturating_add(units) }
    }

    /// With one entry of `units` less; nothing left takes nothing.
    #[inline]
    pub const fn minus(self, units: u32) -> Self {
        let count = self.count.saturating_sub(1);
        let units = if count == 0 { 0 } else { self.units.saturating_sub(units) };
        Self { count, units }
    }
}

/// The barrier's stamp of a segment: the number of the last sync begun when a move out of it was
/// repointed (bits 0..28), the number of the last sync done when reuses were last counted (28..56),
/// and the reuses since (56..64). Sync numbers are cut to 28 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BarrierStamp {
    /// Reuse waits for a sync that began after this one.
    pub moved_after: u32,
    /// The sync since which `reuses` counts.
    pub counted_since: u32,
    /// Takings since that sync.
    pub reuses: u8,
}

/// Mask of the sync numbers in a stamp.
pub const STAMP_MASK: u64 = (1 << 28) - 1;

impl BarrierStamp {
    /// The word as stored.
    pub const fn encode(self) -> u64 {
        (self.moved_after as u64 & STAMP_MASK)
            | ((self.counted_since as u64 & STAMP_MASK) << 28)
            | ((self.reuses as u64) << 56)
    }

    /// The word's meaning.
    pub const fn decode(word: u64) -> Self {
        Self {
            moved_after: (word & STAMP_MASK) as u32,
            counted_since: ((word >> 28) & STAMP_MASK) as u32,
            reuses: (word >> 56) as u8,
        }
    }
}

/// What the last sweep of a segment found out about its future: until a moment (bits 0..48) at most so much
/// of it expires (bits 48..64, in 65,536ths of a segment). 0: nothing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// The moment.
    pub until: Millis,
    /// What expires before it at most, in 65,536ths of a segment.
    pub expiring: u16,
}

impl Horizon {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { until: Millis::new(0), expiring: 0 };

    /// The word as stored.
    #[inline]
    pub const fn encode(self) -> u64 {
        self.until.get() | ((self.expiring as u64) << 48)
    }

    /// The word's meaning.
    #[inline]
    pub const fn decode(word: u64) -> Self {
        Self { until: Millis::new(word & Millis::NEVER.get()), expiring: (word >> 48) as u16 }
    }

    /// With so many units more that expire, rounded up.
    pub const fn plus(self, units: u32, segment_units: u32) -> Self {
        let more = units.div_ceil(Self::step(segment_units));
        let more = if more > u16::MAX as u32 { u16::MAX } else { more as u16 };
        Self { expiring: self.expiring.saturating_add(more), ..self }
    }

    /// What expires at most, in units.
    pub const fn units(self, segment_units: u32) -> u32 {
        (self.expiring as u32).saturating_mul(Self::step(segment_units))
    }

    /// Units that a step of `expiring` stands for.
    const fn step(segment_units: u32) -> u32 {
        segment_units.div_ceil(1 << 16)
    }
}

/// The two words of a chunk header: generation and check, then the chunk's length in units, header
/// included.
pub fn encode_chunk(checker: Checker, generation: Generation, units: u32) -> [u64; 2] {
    let word1 = u64::from(units);
    [u64::from(generation.get()) | (u64::from(checker.chunk(word1)) << 32), word1]
}

/// The length of a chunk in units, if its header was written for this place and generation.
pub fn decode_chunk(checker: Checker, generation: Generation, words: [u64; 2]) -> Option<u32> {
    let whole = words[0] as u32 == generation.get()
        && (words[0] >> 32) as u32 == checker.chunk(words[1])
        && words[1] >> 32 == 0
        && words[1] != 0;
    whole.then_some(words[1] as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::address::Address;

    #[test]
    fn state_words_survive_the_round_trip() {
        for state in [State::Free, State::Active, State::Sealed, State::Victim, State::Draining] {
            for queue in [Queue::Probation, Queue::Main] {
                let word = StateWord {
                    generation: Generation::new(0xFFFF_0001),
                    state,
                    queue,
                    allocated: 256 << 20,
                };
                assert_eq!(StateWord::decode(word.encode()), Some(word));
            }
        }
        assert_eq!(StateWord::decode(5 << 32), None);
    }

    #[test]
    fn zeros_are_a_segment_never_used() {
        let never = StateWord::decode(0).unwrap();
        assert_eq!((never.generation.get(), never.state, never.allocated), (0, State::Free, 0));
    }

    #[test]
    fn the_last_entry_takes_all_units_with_it() {
        let live = Live::default().plus(10).plus(20);
        assert_eq!(Live::decode(live.encode()), live);
        assert_eq!(live.minus(7).minus(3), Live::default());
        assert_eq!(Live::default().minus(3), Live::default());
    }

    #[test]
    fn stamps_survive_the_round_trip() {
        let stamp = BarrierStamp { moved_after: 0xFFF_FFFF, counted_since: 12, reuses: 200 };
        assert_eq!(BarrierStamp::decode(stamp.encode()), stamp);
    }

    #[test]
    fn a_horizon_never_says_less_than_was_added_to_it() {
        for shift in 12..=24 {
            let segment = 1 << shift;
            let mut horizon = Horizon { until: Millis::new(77), expiring: 0 };
            let mut added = 0;
            for units in [3, 4000, 1, 17] {
                horizon = horizon.plus(units, segment);
                added += units;
                assert!(horizon.units(segment) >= added.min(segment - 1), "2^{shift}: {added}");
                assert_eq!(Horizon::decode(horizon.encode()), horizon);
            }
            let full = horizon.plus(u32::MAX, segment).plus(1, segment);
            assert!(full.units(segment) >= segment - Horizon::step(segment));
        }
        assert_eq!(Horizon::decode(0), Horizon::UNKNOWN);
        let never = Horizon { until: Millis::NEVER, expiring: u16::MAX };
        assert_eq!(Horizon::decode(never.encode()), never);
    }

    #[test]
    fn a_chunk_header_of_another_place_or_generation_fails() {
        let generation = Generation::new(3);
        let checker = Checker::new(0x51E1_93BA_7C44_D2F7, Address::from_units(64), generation);
        let words = encode_chunk(checker, generation, 4096);
        assert_eq!(decode_chunk(checker, generation, words), Some(4096));
        assert_eq!(decode_chunk(checker, Generation::new(4), words), None);
        let elsewhere = Checker::new(0x51E1_93BA_7C44_D2F7, Address::from_units(65), generation);
        assert_eq!(decode_chunk(elsewhere, generation, words), None);
        assert_eq!(decode_chunk(checker, generation, [words[0], words[1] + 1]), None);
        assert_eq!(decode_chunk(checker, generation, [0, 0]), None);
    }
}
