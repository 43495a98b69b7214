//! What the policy decides on: numbers of segments and of the store.

use crate::format::address::{Millis, SegmentId};
use crate::format::segment::{Horizon, Live, Queue, State};

/// What is known of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentFacts {
    /// Which.
    pub id: SegmentId,
    /// What it is doing.
    pub state: State,
    /// Its queue.
    pub queue: Queue,
    /// When it was taken, as a number that rises.
    pub order: u64,
    /// What lives in it.
    pub live: Live,
    /// Units reserved in it.
    pub used: u32,
    /// Its first expiry.
    pub first_expiry: Millis,
    /// Its last expiry.
    pub last_expiry: Millis,
    /// How much of it expires until when, at most.
    pub horizon: Horizon,
    /// Whether a sweep of it is under way, so that its bounds of expiry say nothing.
    pub sweeping: bool,
    /// Whether it was swept just now, so that little can have expired since.
    pub swept: bool,
    /// Whether a process has it pinned, so that it would not come free.
    pub pinned: bool,
}

/// What is known of a store.
#[derive(Clone, Copy, Debug)]
pub struct StoreFacts<'a> {
    /// Its segments, but for the free ones.
    pub segments: &'a [SegmentFacts],
    /// Units of a segment.
    pub segment_units: u32,
    /// Segments that its limit allows.
    pub allowed: u64,
    /// Segments that can be taken now.
    pub free: u64,
    /// Segments that can be taken after a sync.
    pub after_sync: u64,
    /// Free segments below this number start a walk.
    pub low_water: u64,
    /// Whether the disk is full: then what is allocated is all that there is.
    pub full: bool,
    /// Whether room is made early enough a little later.
    pub can_wait: bool,
    /// The most entries.
    pub max_entries: u64,
    /// Now.
    pub now: Millis,
}

#[cfg(test)]
pub mod examples {
    use super::*;

    /// A sealed segment of 100 units, in which so many entries of a unit live, for ever.
    pub fn segment(id: u16, queue: Queue, live: u32) -> SegmentFacts {
        SegmentFacts {
            id: SegmentId::new(id),
            state: State::Sealed,
            queue,
            order: u64::from(id),
            live: Live { count: live, units: live },
            used: 100,
            first_expiry: Millis::NEVER,
            last_expiry: Millis::NEVER,
            horizon: Horizon::UNKNOWN,
            sweeping: false,
            swept: false,
            pinned: false,
        }
    }

    /// A store of these and no more, 10,000 milliseconds after the beginning.
    pub fn store(segments: &[SegmentFacts]) -> StoreFacts<'_> {
        StoreFacts {
            segments,
            segment_units: 100,
            allowed: segments.len() as u64,
            free: 0,
            after_sync: 0,
            low_water: 2,
            full: false,
            can_wait: false,
            max_entries: u64::MAX,
            now: Millis::new(10_000),
        }
    }
}
