//! How much may have expired that no walk has found yet. Nothing live goes while that is much.
//!
//! Of a segment three things are known: its first expiry, its last, and a horizon, up to which at most so
//! much of it expires. So there is a bound at each moment: nothing before the first expiry, what the horizon
//! says up to there, all that lives from then on. A sweep makes the bound exact again.

use super::facts::{SegmentFacts, StoreFacts};
use crate::format::address::Millis;

/// More than this part of the log, or of the most entries, is much: one part in so many. A twentieth is
/// promised; the rest is for what is put between two looks.
const MUCH: u64 = 25;
/// A segment is worth a sweep a quarter of the way from its first expiry to its last. These are the
/// least and the most that it waits after the first, in milliseconds.
const SWEEP_DELAY_MS: (u64, u64) = (1000, 60_000);

/// The units that may have expired in a segment at some moment.
pub fn may_have_expired(store: &StoreFacts<'_>, segment: &SegmentFacts, at: Millis) -> u64 {
    let SegmentFacts { live, first_expiry, last_expiry, horizon, .. } = *segment;
    let is_before = at < first_expiry || first_expiry == Millis::NEVER;
    if live.count == 0 || (is_before && !segment.sweeping) {
        return 0;
    }
    // How much an entry takes is a guess until the first sweep after another boot.
    let most = if first_expiry.get() == 0 { live.units.max(segment.used) } else { live.units };
    let is_known = at < horizon.until && at < last_expiry && !segment.sweeping;
    u64::from(if is_known { most.min(horizon.units(store.segment_units)) } else { most })
}

/// The units that may have expired at some moment, in all segments.
pub fn unfound(store: &StoreFacts<'_>, at: Millis) -> u64 {
    store.segments.iter().map(|segment| may_have_expired(store, segment, at)).sum()
}

/// Whether so much may have expired at some moment that nothing live goes.
pub fn has_much_expired(store: &StoreFacts<'_>, at: Millis) -> bool {
    let (mut units, mut entries) = (0, 0);
    for segment in store.segments {
        let expired = may_have_expired(store, segment, at);
        units += expired;
        // As many entries as if all were of a size.
        let all = u64::from(segment.live.units.max(1));
        entries += (expired * u64::from(segment.live.count)).div_ceil(all);
    }
    let log = store.allowed * u64::from(store.segment_units);
    units > log / MUCH || entries > store.max_entries / MUCH
}

/// When a segment with these bounds is worth a sweep.
pub fn sweep_due(first: Millis, last: Millis) -> Millis {
    let quarter = last.get().saturating_sub(first.get()) / 4;
    first.after(quarter.clamp(SWEEP_DELAY_MS.0, SWEEP_DELAY_MS.1))
}

#[cfg(test)]
mod tests {
    use super::super::facts::examples::{segment, store};
    use super::*;
    use crate::format::segment::{Horizon, Queue};

    #[test]
    fn a_bound_is_nothing_then_what_the_horizon_says_then_all() {
        let mut some = segment(0, Queue::Main, 80);
        let facts = store(&[]);
        let bound = |s: &SegmentFacts, at| may_have_expired(&facts, s, Millis::new(at));
        assert_eq!(bound(&some, Millis::NEVER.get()), 0, "nothing in it expires");
        some.first_expiry = Millis::new(5000);
        assert_eq!((bound(&some, 4999), bound(&some, 5000)), (0, 80), "nothing more is known");
        some.horizon = Horizon { until: Millis::new(7000), expiring: 9 };
        assert_eq!((bound(&some, 6999), bound(&some, 7000)), (9, 80));
        some.last_expiry = Millis::new(6000);
        assert_eq!((bound(&some, 5999), bound(&some, 6000)), (9, 80));
        some.sweeping = true;
        assert_eq!(bound(&some, 0), 80, "a sweep is under way");
    }

    #[test]
    fn of_few_entries_none_may_go_while_one_may_have_expired() {
        let mut segments = [segment(0, Queue::Main, 20), segment(1, Queue::Main, 0)];
        segments[0].first_expiry = Millis::new(9000);
        segments[0].horizon = Horizon { until: Millis::new(90_000), expiring: 1 };
        let facts = |max_entries| StoreFacts { max_entries, allowed: 30, ..store(&segments) };
        assert!(has_much_expired(&facts(20), Millis::new(9000)));
        assert!(!has_much_expired(&facts(20), Millis::new(8999)));
        assert!(!has_much_expired(&facts(25), Millis::new(9000)));
    }
}
