//! The policy: from numbers to a plan. Pure; `reclaim` carries the plan out.
//!
//! Eviction is S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023)
//! on two logs. New entries go to probation segments. When such a segment is reclaimed, an entry that
//! was read moves to main, and each other one leaves a ghost. When a segment of main is reclaimed, an
//! entry with frequency left is written again with one less. Before anything live is evicted, what
//! expired is swept and dead space is compacted.
//!
//! `facts` has the numbers, `expiry` says how much may have expired and was not found yet, `segments` plans,
//! and `records` judges what a walk meets; `kept` chooses where a store is copied and not all of it has room.

mod expiry;
mod facts;
mod kept;
mod records;
mod segments;

pub use expiry::sweep_due;
pub use facts::{SegmentFacts, StoreFacts};
pub use kept::{Kept, OldSegment, Room, Since, batches};
pub use records::{Judgement, RecordFacts, is_budget_spent, judge};
pub use segments::{
    LOW_WATER, Need, Plan, is_main_in_few, low_water_when_full, may_evict_until, not_swept, pace,
    plan, sweep_for_room, trim_after, trim_queue,
};
