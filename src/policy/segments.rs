//! Plans about segments: which is walked next and why, and whose entries go first.

use super::expiry::{has_much_expired, may_have_expired, sweep_due, unfound};
use super::facts::{SegmentFacts, StoreFacts};
use crate::format::address::{Millis, SegmentId};
use crate::format::segment::{Queue, State};
use crate::format::walk::Purpose;

/// Probation's share of space and of entries, in per cent.
const PROBATION_PERCENT: u64 = 10;
/// While live records fill less of the log than this, none of them is evicted for want of bytes, in
/// per cent. 70 is promised; the rest is for what goes between two looks.
const COMPACT_BELOW_PERCENT: u64 = 74;
/// Segments that do not count as room for live records: one for moves, one for the active segments.
const RESERVE_SEGMENTS: u64 = 2;
/// The same on a full disk, where less is kept free.
const RESERVE_WHEN_FULL: u64 = 1;
/// Free segments below this number start a walk, where the disk is not full.
pub const LOW_WATER: u64 = 2;
/// Fewer segments than this on a full disk: none is kept for moves.
const FEW_ON_A_FULL_DISK: u64 = 8;
/// In fewer segments than this, what a hand passes in main is written again, so that it is younger than what
/// came since; in more, the segment that the hand leaves is made the youngest.
const FEW_SEGMENTS: usize = 8;
/// For how long a look may hold, in milliseconds: the longest that can be had.
const LOOKS_MS: [u64; 6] = [10_000, 1000, 100, 10, 1, 0];

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Segments, if they run low.
    Upkeep,
    /// As upkeep, and everything that has expired is swept.
    Maintenance,
    /// A segment, now.
    Segment,
    /// A segment, now, since sweeps have not brought one.
    Eviction,
    /// All dead space that can be had.
    Compact,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing.
    Nothing,
    /// Let a full probation segment count as main, as it is.
    Promote(SegmentId),
    /// Walk a segment.
    Walk(SegmentId, Purpose),
}

/// The plan for a need.
pub fn plan(store: &StoreFacts<'_>, need: Need) -> Plan {
    match need {
        Need::Compact => expired(store).or_else(|| compact(store, 100)),
        Need::Upkeep => {
            sweep(store, |s| sweep_due(s.first_expiry, s.last_expiry)).or_else(|| tend(store))
        }
        Need::Maintenance => expired(store).or_else(|| tend(store)),
        Need::Segment => room(store),
        Need::Eviction => evict(store).or_else(|| room(store)),
    }
    .unwrap_or(Plan::Nothing)
}

/// A segment, if they run low; else order in the queues. Where a sync would set some free, there is
/// nothing to do: the put that needs one syncs before it evicts anything live.
fn tend(store: &StoreFacts<'_>) -> Option<Plan> {
    if store.free >= store.low_water {
        promote(store)
    } else if store.free + store.after_sync < store.low_water && !store.can_wait {
        room(store).filter(|plan| !store.full || !is_of_active(store, *plan))
    } else {
        None
    }
}

/// Whether a plan is about a segment that puts fill. Where all that there is was filled, such a one goes only
/// when it is full, too: else each put would evict the one before.
fn is_of_active(store: &StoreFacts<'_>, plan: Plan) -> bool {
    let active = store.segments.iter().filter(|s| s.state == State::Active);
    active.map(|s| s.id).any(|id| matches!(plan, Plan::Walk(of, Purpose::Evict) if of == id))
}

/// The low water mark of a full disk, where every segment that is kept free is missed: one for puts, and one
/// for moves if there are enough, and main has less room left for them than a quarter of a segment.
pub fn low_water_when_full(segments: u64, main_left: u32, segment_units: u32) -> u64 {
    let keeps = segments >= FEW_ON_A_FULL_DISK && main_left < segment_units / 4;
    1 + u64::from(keeps)
}

/// Reclaims a segment. What has expired as a whole goes first. Live entries go only where there is too little
/// dead space, and too little that may have expired.
fn room(store: &StoreFacts<'_>) -> Option<Plan> {
    // Where a sweep met nothing the first is never, and the last long past: slots may name records there that a
    // power cut took.
    let whole = |s: &&SegmentFacts| s.first_expiry.max(s.last_expiry) <= store.now;
    sweep_if(store, whole, |s| s.last_expiry)
        .or_else(|| compact(store, 100).filter(|_| lives_little(store, 0)))
        .or_else(|| sweep_for_room(store))
        .or_else(|| compact(store, 100).filter(|_| lives_little(store, unfound(store, store.now))))
        .or_else(|| evict(store))
        .or_else(|| compact(store, 100))
}

/// Whether so little lives, if `less` units of what is counted do not, that nothing live goes for want of
/// bytes.
fn lives_little(store: &StoreFacts<'_>, less: u64) -> bool {
    let live: u64 = store.segments.iter().map(|s| u64::from(s.live.units)).sum();
    let reserve = if store.full { RESERVE_WHEN_FULL } else { RESERVE_SEGMENTS };
    let log = store.allowed.saturating_sub(reserve) * u64::from(store.segment_units);
    live.saturating_sub(less) * 100 < log * COMPACT_BELOW_PERCENT
}

/// Until when live entries may go by what is known now, for want of bytes or of entries; `None` if they may not.
pub fn may_evict_until(store: &StoreFacts<'_>, for_bytes: bool) -> Option<Millis> {
    let may = |&end: &Millis| !has_much_expired(store, end) && (!for_bytes || is_full(store, end));
    let ends = LOOKS_MS.map(|millis| store.now.after(millis));
    [Millis::NEVER].into_iter().chain(ends).find(may)
}

/// Whether so much lives at some moment, or is in segments without dead space, that live entries may go for
/// want of bytes.
fn is_full(store: &StoreFacts<'_>, at: Millis) -> bool {
    let is_worn = |s: &&SegmentFacts| s.state == State::Sealed && is_compactable(store, s, 100);
    !lives_little(store, unfound(store, at)) || candidates(store).find(is_worn).is_none()
}

/// The sweep of the segment in which most may have expired, where too much may have for anything live to go.
pub fn sweep_for_room(store: &StoreFacts<'_>) -> Option<Plan> {
    let expired = |s: &SegmentFacts| may_have_expired(store, s, store.now);
    let most = sweepable(store).filter(|s| expired(s) > 0).max_by_key(|s| expired(s));
    most.filter(|_| has_much_expired(store, store.now)).map(|s| Plan::Walk(s.id, Purpose::Sweep))
}

/// The sealed segment with most to gain, if less than `below` per cent of it lives.
fn compact(store: &StoreFacts<'_>, below: u64) -> Option<Plan> {
    candidates(store)
        .filter(|s| is_compactable(store, s, below))
        .min_by_key(|s| (s.live.units, s.order))
        .map(|s| Plan::Walk(s.id, Purpose::Compact))
}

fn is_compactable(store: &StoreFacts<'_>, segment: &SegmentFacts, below: u64) -> bool {
    u64::from(segment.live.units) * 100 < u64::from(store.segment_units) * below.min(97)
}

/// The oldest segment of probation if that has more than its share, else of main. An active segment is
/// chosen only where there is no other.
fn evict(store: &StoreFacts<'_>) -> Option<Plan> {
    let used = |queue| {
        store.segments.iter().filter(|s| s.queue == queue).map(|s| u64::from(s.used)).sum::<u64>()
    };
    let (probation, main) = (used(Queue::Probation), used(Queue::Main));
    let first = if probation * 100 > (probation + main) * PROBATION_PERCENT || main == 0 {
        Queue::Probation
    } else {
        Queue::Main
    };
    candidates(store)
        .min_by_key(|s| (s.queue != first, s.order))
        .or_else(|| {
            let active = store.segments.iter().filter(|s| s.state == State::Active && !s.pinned);
            active.filter(|s| s.used > 0).min_by_key(|s| (s.queue != first, s.order))
        })
        .map(|s| Plan::Walk(s.id, Purpose::Evict))
}

/// A segment past its last expiry, else one that is due and was not swept just now.
fn sweep(store: &StoreFacts<'_>, due: impl Fn(&SegmentFacts) -> Millis) -> Option<Plan> {
    sweep_if(store, |s| due(s) <= store.now && !s.swept, |s| s.first_expiry)
}

/// The first segment that can be swept and for which `worth` holds: one past its last expiry before others,
/// then by `rank`.
fn sweep_if(
    store: &StoreFacts<'_>,
    worth: impl Fn(&&SegmentFacts) -> bool,
    rank: impl Fn(&SegmentFacts) -> Millis,
) -> Option<Plan> {
    sweepable(store)
        .filter(worth)
        .min_by_key(|s| (s.last_expiry > store.now, rank(s)))
        .map(|s| Plan::Walk(s.id, Purpose::Sweep))
}

/// While there is room, the oldest full probation segment counts as main.
fn promote(store: &StoreFacts<'_>) -> Option<Plan> {
    let sealed =
        |queue| store.segments.iter().filter(move |s| s.queue == queue && s.state == State::Sealed);
    let probation = sealed(Queue::Probation).count() as u64;
    if (probation + 1) * 100 <= store.allowed * PROBATION_PERCENT {
        return None;
    }
    sealed(Queue::Probation).min_by_key(|s| s.order).map(|s| Plan::Promote(s.id))
}

/// The queue that has to give an entry away: probation if it has more than its share of entries.
pub fn trim_queue(store: &StoreFacts<'_>) -> Queue {
    let entries = |queue| {
        let live = store.segments.iter().filter(move |s| s.queue == queue);
        live.map(|s| u64::from(s.live.count)).sum::<u64>()
    };
    let probation = entries(Queue::Probation);
    let share = (store.max_entries / 100).saturating_mul(PROBATION_PERCENT)
        + store.max_entries % 100 * PROBATION_PERCENT / 100;
    if probation > 0 && (probation >= share || entries(Queue::Main) == 0) {
        Queue::Probation
    } else {
        Queue::Main
    }
}

/// Whether main has so few segments with entries that their order is too coarse to tell which entries are older.
pub fn is_main_in_few(store: &StoreFacts<'_>) -> bool {
    let main = store.segments.iter().filter(|s| s.queue == Queue::Main && s.live.count > 0);
    main.count() < FEW_SEGMENTS
}

/// The segment whose entries go next, after the one of `order` in the same queue. After the newest
/// comes the oldest again.
pub fn trim_after(store: &StoreFacts<'_>, queue: Queue, order: u64) -> Option<SegmentId> {
    store
        .segments
        .iter()
        .filter(|s| s.live.count > 0 && s.queue == queue)
        .min_by_key(|s| (s.order <= order, s.order))
        .map(|s| s.id)
}

/// The sweep of a segment in which something has expired, at once.
fn expired(store: &StoreFacts<'_>) -> Option<Plan> {
    sweep(store, |s| s.first_expiry)
}

/// The segments in which something has expired and that were not swept just now, also those that are being
/// emptied.
pub fn not_swept<'a>(store: &StoreFacts<'a>) -> impl Iterator<Item = SegmentId> + use<'a> {
    let now = store.now;
    let holds = |s: &&SegmentFacts| s.state != State::Draining && s.live.count > 0 && !s.swept;
    store.segments.iter().filter(holds).filter(move |s| s.first_expiry <= now).map(|s| s.id)
}

/// Segments in which something may be found.
fn sweepable<'a>(store: &StoreFacts<'a>) -> impl Iterator<Item = &'a SegmentFacts> + use<'a> {
    let is_readable = |s: &SegmentFacts| !matches!(s.state, State::Free | State::Draining);
    store.segments.iter().filter(move |s| is_readable(s) && s.live.count > 0)
}

/// Segments that a walk could set free.
fn candidates<'a>(store: &StoreFacts<'a>) -> impl Iterator<Item = &'a SegmentFacts> + use<'a> {
    store.segments.iter().filter(|s| matches!(s.state, State::Sealed | State::Victim) && !s.pinned)
}

/// Bytes to walk with a put of `bytes`. The fewer segments are `free`, the more bytes it is.
pub fn pace(bytes: u64, free: u64) -> u64 {
    bytes.saturating_mul(2 << (2 * LOW_WATER.saturating_sub(free).min(4)))
}

#[cfg(test)]
mod tests {
    use super::super::facts::examples::{segment, store};
    use super::*;
    use crate::format::segment::Horizon;

    fn main_segments(live: u32) -> Vec<SegmentFacts> {
        (0..16).map(|id| segment(id, Queue::Main, live)).collect()
    }

    #[test]
    fn nothing_live_is_evicted_while_less_than_seventy_per_cent_lives() {
        let mut segments = main_segments(60);
        segments[5].live.units = 40;
        let expected = Plan::Walk(SegmentId::new(5), Purpose::Compact);
        assert_eq!(plan(&store(&segments), Need::Segment), expected);
    }

    #[test]
    fn a_segment_in_which_a_sweep_met_nothing_is_not_swept_again_for_room() {
        let mut segments = main_segments(40);
        segments[3].last_expiry = Millis::new(0);
        let expected = Plan::Walk(SegmentId::new(0), Purpose::Compact);
        assert_eq!(plan(&store(&segments), Need::Segment), expected);
    }

    #[test]
    fn what_expired_goes_before_anything_live() {
        let mut segments = main_segments(100);
        segments[7].first_expiry = Millis::new(9_500);
        let expected = Plan::Walk(SegmentId::new(7), Purpose::Sweep);
        assert_eq!(plan(&store(&segments), Need::Segment), expected);
        segments[7].horizon = Horizon { until: Millis::new(10_001), expiring: 64 };
        let expected = Plan::Walk(SegmentId::new(0), Purpose::Evict);
        assert_eq!(plan(&store(&segments), Need::Segment), expected, "a twenty-fifth may be there");
        segments[7].horizon.expiring += 1;
        assert_ne!(plan(&store(&segments), Need::Segment), expected);
        assert_eq!(plan(&store(&segments), Need::Eviction), expected, "whatever has expired");
        segments[7].first_expiry = Millis::new(10_500);
        let expected = Plan::Walk(SegmentId::new(0), Purpose::Evict);
        assert_eq!(plan(&store(&segments), Need::Segment), expected);
    }

    #[test]
    fn live_entries_may_go_until_more_than_a_twentyfifth_may_have_expired() {
        let mut segments: Vec<_> = (0..50).map(|id| segment(id, Queue::Main, 100)).collect();
        let until =
            |segments: &[SegmentFacts]| may_evict_until(&store(segments), true).map(Millis::get);
        assert_eq!(until(&segments), Some(Millis::NEVER.get()));
        for (number, first) in [(0, 10_000), (1, 10_000), (2, 10_500)] {
            segments[number].first_expiry = Millis::new(first);
        }
        assert_eq!(until(&segments), Some(10_100));
        segments[2].first_expiry = Millis::new(10_000);
        assert_eq!(until(&segments), None);
        segments[2].live.count = 0;
        assert_eq!(until(&segments), Some(Millis::NEVER.get()), "it is empty");
    }

    #[test]
    fn a_pinned_segment_is_not_chosen() {
        let mut segments = main_segments(100);
        segments[0].pinned = true;
        let expected = Plan::Walk(SegmentId::new(1), Purpose::Evict);
        assert_eq!(plan(&store(&segments), Need::Segment), expected);
    }

    #[test]
    fn probation_gives_way_first_when_it_has_more_than_its_share() {
        let mut segments = main_segments(100);
        segments[10].queue = Queue::Probation;
        let main = Plan::Walk(SegmentId::new(0), Purpose::Evict);
        assert_eq!(plan(&store(&segments), Need::Segment), main);
        segments[11].queue = Queue::Probation;
        let probation = Plan::Walk(SegmentId::new(10), Purpose::Evict);
        assert_eq!(plan(&store(&segments), Need::Segment), probation);
    }

    #[test]
    fn while_there_is_room_probation_becomes_main_by_its_label() {
        let segments = [segment(3, Queue::Probation, 100), segment(4, Queue::Probation, 100)];
        let facts = StoreFacts { free: 10, allowed: 16, ..store(&segments) };
        assert_eq!(plan(&facts, Need::Upkeep), Plan::Promote(SegmentId::new(3)));
    }

    #[test]
    fn one_entry_goes_from_the_oldest_segment_that_has_any() {
        let mut segments = main_segments(0);
        segments[4].live.count = 1;
        let facts = StoreFacts { max_entries: 1, ..store(&segments) };
        assert_eq!(trim_queue(&facts), Queue::Main);
        assert_eq!(trim_after(&facts, Queue::Main, 0), Some(SegmentId::new(4)));
        assert_eq!(trim_after(&facts, Queue::Main, 4), Some(SegmentId::new(4)));
    }

    #[test]
    fn on_a_full_disk_room_is_made_late_and_what_puts_fill_goes_only_when_it_is_full() {
        fn full(segments: &[SegmentFacts]) -> StoreFacts<'_> {
            StoreFacts { full: true, low_water: 1, ..store(segments) }
        }
        let mut segments = main_segments(100);
        let walk = Plan::Walk(SegmentId::new(0), Purpose::Evict);
        assert_eq!(plan(&full(&segments), Need::Upkeep), walk);
        let later = StoreFacts { can_wait: true, ..full(&segments) };
        assert_eq!(plan(&later, Need::Upkeep), Plan::Nothing);
        assert_eq!(plan(&later, Need::Segment), walk, "a put needs it now");
        segments.truncate(1);
        segments[0].state = State::Active;
        assert_eq!(plan(&full(&segments), Need::Upkeep), Plan::Nothing);
        assert_eq!(plan(&full(&segments), Need::Segment), walk);
        assert_eq!(plan(&store(&segments), Need::Upkeep), walk);
    }

    #[test]
    fn a_full_disk_of_many_segments_keeps_one_for_moves_unless_main_has_room_for_them() {
        let kept = |segments, left| low_water_when_full(segments, left, 100);
        assert_eq!([kept(1, 0), kept(7, 0), kept(8, 25)], [1; 3]);
        assert_eq!([kept(8, 0), kept(8, 24), kept(4096, 0)], [2; 3]);
    }

    #[test]
    fn the_walk_hastens_as_segments_run_out() {
        assert!(pace(100, 0) > pace(100, 1));
        assert!(pace(100, 1) > pace(100, 2));
        assert!(pace(100, 5) >= 100);
    }
}
