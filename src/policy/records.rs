//! Judgements on records: whether one stays, goes, or is written again.

use crate::format::address::UNIT;
use crate::format::segment::Queue;
use crate::format::walk::Purpose;

/// Reads in probation that make an entry worth keeping.
const PROMOTE_AT: u8 = 1;

/// A record that a walk met, and whose slot names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordFacts {
    /// Its segment's queue.
    pub queue: Queue,
    /// How often it was read lately.
    pub frequency: u8,
    /// Whether it expired or was cleared.
    pub dead: bool,
    /// Whether half of the segment's bytes were written again already.
    pub budget_spent: bool,
    /// Whether nothing live goes now for want of bytes: too much may have expired elsewhere, or too little
    /// lives.
    pub spared: bool,
    /// Whether a hand may write it again, so that it is the youngest of its queue.
    pub rejoins: bool,
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It stays where it is, with this frequency.
    Keep(u8),
    /// It goes, because it is dead.
    Collect,
    /// It goes for want of room, and leaves a ghost or not.
    Evict {
        /// Whether its key is remembered.
        ghost: bool,
    },
    /// It is written again.
    Move {
        /// To this queue.
        queue: Queue,
        /// With this frequency.
        frequency: u8,
    },
}

/// The judgement of a walk on a record.
pub fn judge(purpose: Purpose, record: &RecordFacts) -> Judgement {
    let RecordFacts { queue, frequency, dead, budget_spent, spared, rejoins } = *record;
    if dead {
        return Judgement::Collect;
    }
    match (purpose, queue) {
        (Purpose::Sweep, _) => Judgement::Keep(frequency),
        (Purpose::Compact, _) => Judgement::Move { queue, frequency },
        (Purpose::Evict, _) if spared => Judgement::Move { queue, frequency },
        (Purpose::Trim, Queue::Main) if frequency > 0 && rejoins => {
            Judgement::Move { queue, frequency: frequency - 1 }
        }
        (Purpose::Trim, Queue::Main) if frequency > 0 => Judgement::Keep(frequency - 1),
        (Purpose::Evict, Queue::Main) if frequency > 0 && !budget_spent => {
            Judgement::Move { queue, frequency: frequency - 1 }
        }
        (_, Queue::Main) => Judgement::Evict { ghost: false },
        (_, Queue::Probation) if frequency >= PROMOTE_AT && !budget_spent => {
            Judgement::Move { queue: Queue::Main, frequency: 0 }
        }
        (_, Queue::Probation) => Judgement::Evict { ghost: true },
    }
}

/// Whether half of a segment, of which `used` units are reserved, was written again already.
pub fn is_budget_spent(rewritten: u64, used: u32) -> bool {
    rewritten * 2 > u64::from(used) * UNIT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compaction_keeps_all_that_lives_and_a_sweep_moves_nothing() {
        for queue in [Queue::Probation, Queue::Main] {
            for frequency in 0..=3 {
                let record = RecordFacts {
                    queue,
                    frequency,
                    dead: false,
                    budget_spent: true,
                    spared: false,
                    rejoins: true,
                };
                let moved = Judgement::Move { queue, frequency };
                let spared = RecordFacts { spared: true, ..record };
                assert_eq!(judge(Purpose::Evict, &spared), moved);
                assert_eq!(judge(Purpose::Compact, &record), moved);
                assert_eq!(judge(Purpose::Sweep, &record), Judgement::Keep(frequency));
                let dead = RecordFacts { dead: true, ..record };
                for purpose in [Purpose::Compact, Purpose::Sweep, Purpose::Evict, Purpose::Trim] {
                    assert_eq!(judge(purpose, &dead), Judgement::Collect);
                }
            }
        }
    }

    #[test]
    fn a_read_entry_is_promoted_and_a_cold_one_leaves_a_ghost() {
        let record = RecordFacts {
            queue: Queue::Probation,
            frequency: 1,
            dead: false,
            budget_spent: false,
            spared: false,
            rejoins: false,
        };
        let promoted = Judgement::Move { queue: Queue::Main, frequency: 0 };
        assert_eq!(judge(Purpose::Evict, &record), promoted);
        let cold = RecordFacts { frequency: 0, ..record };
        assert_eq!(judge(Purpose::Evict, &cold), Judgement::Evict { ghost: true });
        let spent = RecordFacts { budget_spent: true, ..record };
        assert_eq!(judge(Purpose::Evict, &spent), Judgement::Evict { ghost: true });
    }
}
