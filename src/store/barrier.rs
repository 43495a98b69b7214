//! The barrier: what a segment's stamp says of its reuse in a store that syncs.

use super::readings::Store;
use crate::format::address::SegmentId;
use crate::format::control;
use crate::format::segment::{BarrierStamp, STAMP, STAMP_MASK};
use crate::sys::words::Words;

/// Times that a segment may be taken between two syncs: fewer than the 16 generations that the four bits
/// in a slot tell apart.
pub const REUSES_LIMIT: u8 = 14;

impl<W: Words> Store<W> {
    /// Whether the barrier lets a segment be reused.
    pub fn is_reusable(&self, segment: SegmentId) -> bool {
        if !self.syncs() {
            return true;
        }
        // Those done are read first: a sync that begins after that only makes more segments wait.
        let done = self.load(control::SYNCS_DONE);
        let stamp = BarrierStamp::decode(self.row(segment, STAMP));
        is_covered(stamp, done, self.load(control::SYNCS_BEGUN))
    }
}

/// The stamp of a segment that is taken now, from the stamp that it had before.
pub fn stamp_when_taken(before: BarrierStamp, syncs_done: u64) -> BarrierStamp {
    let done = (syncs_done & STAMP_MASK) as u32;
    let reuses = if before.counted_since == done { before.reuses.saturating_add(1) } else { 1 };
    BarrierStamp { counted_since: done, reuses, ..before }
}

/// The stamp of a segment after a move out of it: it may be reused after a sync that begins from now on.
pub fn stamp_when_moved_from(before: BarrierStamp, syncs_begun: u64) -> BarrierStamp {
    BarrierStamp { moved_after: (syncs_begun & STAMP_MASK) as u32, ..before }
}

/// Whether the barrier lets a segment be reused: a sync began and ended after the last move out of
/// it, and since the last sync it was not taken so often that the generation bits of a slot come round.
///
/// A move is stamped with the newest sync begun. So only stamps from the last sync done to the last
/// one begun wait. Any other stamp is long past, however often the numbers came round; or it is
/// damaged, and no sync would ever cover it.
fn is_covered(stamp: BarrierStamp, done: u64, begun: u64) -> bool {
    let since_done = |number: u32| u64::from(number).wrapping_sub(done) & STAMP_MASK;
    let moved = since_done(stamp.moved_after) > since_done((begun & STAMP_MASK) as u32);
    let counted = stamp.counted_since != (done & STAMP_MASK) as u32 || stamp.reuses < REUSES_LIMIT;
    moved && counted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reuse_waits_for_a_sync_that_began_after_the_last_move() {
        let stamp = |moved_after| BarrierStamp { moved_after, counted_since: 0, reuses: 0 };
        assert!(!is_covered(stamp(5), 5, 5));
        assert!(!is_covered(stamp(5), 4, 5));
        assert!(!is_covered(stamp(5), 3, 7));
        assert!(is_covered(stamp(5), 6, 6));
        assert!(is_covered(stamp(5), 6, 9));
        assert!(is_covered(stamp(STAMP_MASK as u32), 1 << 28, 1 << 28));
    }

    #[test]
    fn after_any_number_of_syncs_a_segment_that_was_never_moved_out_of_is_covered() {
        for syncs in [1, 1 << 20, 1 << 27, (1 << 27) + 5, (1 << 28) - 1, (1 << 28) + 1] {
            assert!(is_covered(BarrierStamp::default(), syncs, syncs), "{syncs} syncs");
            assert!(is_covered(BarrierStamp::default(), syncs, syncs + 1) || syncs == STAMP_MASK);
        }
    }

    #[test]
    fn a_segment_is_reused_fewer_than_sixteen_times_between_two_syncs() {
        let mut stamp = BarrierStamp::default();
        for _ in 0..REUSES_LIMIT {
            assert!(is_covered(stamp, 3, 3));
            stamp = stamp_when_taken(stamp, 3);
        }
        assert!(!is_covered(stamp, 3, 3));
        assert!(is_covered(stamp, 4, 4));
        assert_eq!(stamp_when_taken(stamp, 4).reuses, 1);
    }

    #[test]
    fn a_move_makes_its_segment_wait_for_a_sync_that_begins_later() {
        let stamp = stamp_when_moved_from(BarrierStamp::default(), 7);
        assert!(!is_covered(stamp, 6, 7));
        assert!(!is_covered(stamp, 7, 8));
        assert!(is_covered(stamp, 8, 8));
    }
}
