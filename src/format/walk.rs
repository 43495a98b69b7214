//! The walk word: which segment a walk is in and how far it came, so that any process goes on with
//! what another began.
//!
//! Bits 0..24 position in units from the segment's start, 24..36 segment, 36..40 low bits of its
//! generation, 40..44 purpose (0: no walk), 44..54 owner, 54 owned. Position 2^24 - 1 is the end.

use super::address::SegmentId;
use super::lock::ProcessId;

/// The position past the last record.
pub const WALK_END: u32 = (1 << 24) - 1;

/// What a walk does with the records it meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Drops what expired or was cleared; the rest stays where it is.
    Sweep,
    /// Moves all that lives, so that the segment can be reused.
    Compact,
    /// Asks the eviction policy about each record, so that the segment can be reused.
    Evict,
    /// Asks the eviction policy about each record until entries are within their limit.
    Trim,
}

/// A walk under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkWord {
    /// The segment it is in.
    pub segment: SegmentId,
    /// Low bits of the segment's generation when it began.
    pub generation_low: u8,
    /// What it does.
    pub purpose: Purpose,
    /// Units from the segment's start to the next record or chunk header; [`WALK_END`] at the end.
    pub position: u32,
    /// The process that alone may go on with it (in a store that syncs).
    pub owner: Option<ProcessId>,
}

impl WalkWord {
    /// The word as stored; no walk is 0.
    pub fn encode(walk: Option<Self>) -> u64 {
        let Some(walk) = walk else { return 0 };
        let purpose = match walk.purpose {
            Purpose::Sweep => 1,
            Purpose::Compact => 2,
            Purpose::Evict => 3,
            Purpose::Trim => 4,
        };
        let owner = walk.owner.map_or(0, |owner| (1 << 10) | u64::from(owner.get()));
        u64::from(walk.position & WALK_END)
            | (walk.segment.index() << 24)
            | (u64::from(walk.generation_low) << 36)
            | (purpose << 40)
            | (owner << 44)
    }

    /// The word's meaning; what no version of this format writes is no walk.
    pub fn decode(word: u64) -> Option<Self> {
        let purpose = match (word >> 40) & 15 {
            1 => Purpose::Sweep,
            2 => Purpose::Compact,
            3 => Purpose::Evict,
            4 => Purpose::Trim,
            _ => return None,
        };
        let owner = if (word >> 54) & 1 == 1 {
            ProcessId::new(((word >> 44) & 0x3FF) as u16)
        } else {
            None
        };
        Some(Self {
            segment: SegmentId::new(((word >> 24) & 0xFFF) as u16),
            generation_low: ((word >> 36) & 15) as u8,
            purpose,
            position: (word as u32) & WALK_END,
            owner,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walk_words_survive_the_round_trip() {
        for purpose in [Purpose::Sweep, Purpose::Compact, Purpose::Evict, Purpose::Trim] {
            for owner in [None, ProcessId::new(0), ProcessId::new(1023)] {
                let walk = WalkWord {
                    segment: SegmentId::new(4095),
                    generation_low: 15,
                    purpose,
                    position: 77,
                    owner,
                };
                assert_eq!(WalkWord::decode(WalkWord::encode(Some(walk))), Some(walk));
            }
        }
        assert_eq!(WalkWord::decode(0), None);
    }
}
