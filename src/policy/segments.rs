//! Plans about segments: which is walked next and why, and whose entries go first.

use crate::format::address::{Millis, SegmentId};
use crate::format::segment::{Live, Queue, State};
use crate::format::walk::Purpose;

/// Probation's share of space and of entries, in per cent.
const PROBATION_PERCENT: u64 = 10;
/// While live records fill less of the log than this, none of them is evicted for want of bytes, in
/// per cent.
const COMPACT_BELOW_PERCENT: u64 = 70;
/// Segments that do not count as room for live records: one for moves, one for the active segments.
const RESERVE_SEGMENTS: u64 = 2;
/// Free segments below this number start a walk.
pub const LOW_WATER: u64 = 2;
/// A segment is worth a sweep a quarter of the way from its first expiry to its last. These are the
/// least and the most that it waits after the first, in milliseconds.
const SWEEP_DELAY_MS: (u64, u64) = (1000, 60_000);

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
    /// The most entries.
    pub max_entries: u64,
    /// Now.
    pub now: Millis,
}

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Segments, if they run low.
    Upkeep,
    /// As upkeep, and everything that has expired is swept.
    Maintenance,
    /// A segment, now.
    Segment,
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
        Need::Segment => expired(store).or_else(|| room(store)),
    }
    .unwrap_or(Plan::Nothing)
}

/// A segment, if they run low; else order in the queues. Where a sync would set some free, there is
/// nothing to do: the put that needs one syncs before it evicts anything live.
fn tend(store: &StoreFacts<'_>) -> Option<Plan> {
    if store.free >= LOW_WATER {
        promote(store)
    } else if store.free + store.after_sync < LOW_WATER {
        room(store)
    } else {
        None
    }
}

/// Reclaims a segment: one with dead space first, live entries only where there is too little of
/// that.
fn room(store: &StoreFacts<'_>) -> Option<Plan> {
    let live: u64 = store.segments.iter().map(|s| u64::from(s.live.units)).sum();
    let log = store.allowed.saturating_sub(RESERVE_SEGMENTS) * u64::from(store.segment_units);
    if live * 100 < log * COMPACT_BELOW_PERCENT {
        compact(store, 100).or_else(|| evict(store))
    } else {
        evict(store).or_else(|| compact(store, 100))
    }
}

/// The sealed segment with most to gain, if less than `below` per cent of it lives.
fn compact(store: &StoreFacts<'_>, below: u64) -> Option<Plan> {
    let whole = u64::from(store.segment_units);
    candidates(store)
        .filter(|s| u64::from(s.live.units) * 100 < whole * below.min(97))
        .min_by_key(|s| (s.live.units, s.order))
        .map(|s| Plan::Walk(s.id, Purpose::Compact))
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
    store
        .segments
        .iter()
        .filter(|s| matches!(s.state, State::Active | State::Sealed) && s.live.count > 0)
        .filter(|s| due(s) <= store.now && !s.swept)
        .min_by_key(|s| (s.last_expiry > store.now, s.first_expiry))
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
pub fn expired(store: &StoreFacts<'_>) -> Option<Plan> {
    sweep(store, |s| s.first_expiry)
}

/// The segments in which something has expired and that were not swept just now, also those that are being
/// emptied.
pub fn not_swept<'a>(store: &StoreFacts<'a>) -> impl Iterator<Item = SegmentId> + use<'a> {
    let now = store.now;
    let holds = |s: &&SegmentFacts| s.state != State::Draining && s.live.count > 0 && !s.swept;
    store.segments.iter().filter(holds).filter(move |s| s.first_expiry <= now).map(|s| s.id)
}

/// Segments that a walk could set free.
fn candidates<'a>(store: &StoreFacts<'a>) -> impl Iterator<Item = &'a SegmentFacts> + use<'a> {
    store.segments.iter().filter(|s| matches!(s.state, State::Sealed | State::Victim) && !s.pinned)
}

/// When a segment with these bounds is worth a sweep.
pub fn sweep_due(first: Millis, last: Millis) -> Millis {
    let quarter = last.get().saturating_sub(first.get()) / 4;
    first.after(quarter.clamp(SWEEP_DELAY_MS.0, SWEEP_DELAY_MS.1))
}

/// Bytes to walk with a put of `bytes`. The fewer segments are `free`, the more bytes it is.
pub fn pace(bytes: u64, free: u64) -> u64 {
    bytes.saturating_mul(2 << (2 * LOW_WATER.saturating_sub(free).min(4)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(id: u16, queue: Queue, live: u32) -> SegmentFacts {
        SegmentFacts {
            id: SegmentId::new(id),
            state: State::Sealed,
            queue,
            order: u64::from(id),
            live: Live { count: live, units: live },
            used: 100,
            first_expiry: Millis::NEVER,
            last_expiry: Millis::NEVER,
            swept: false,
            pinned: false,
        }
    }

    fn store(segments: &[SegmentFacts]) -> StoreFacts<'_> {
        StoreFacts {
            segments,
            segment_units: 100,
            allowed: segments.len() as u64,
            free: 0,
            after_sync: 0,
            max_entries: u64::MAX,
            now: Millis::new(10_000),
        }
    }

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
    fn what_expired_goes_before_anything_live() {
        let mut segments = main_segments(100);
        segments[7].first_expiry = Millis::new(9_500);
        let expected = Plan::Walk(SegmentId::new(7), Purpose::Sweep);
        assert_eq!(plan(&store(&segments), Need::Segment), expected);
        segments[7].swept = true;
        let expected = Plan::Walk(SegmentId::new(0), Purpose::Evict);
        assert_eq!(plan(&store(&segments), Need::Segment), expected);
        segments[7].swept = false;
        segments[7].first_expiry = Millis::new(10_500);
        let expected = Plan::Walk(SegmentId::new(0), Purpose::Evict);
        assert_eq!(plan(&store(&segments), Need::Segment), expected);
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
    fn the_walk_hastens_as_segments_run_out() {
        assert!(pace(100, 0) > pace(100, 1));
        assert!(pace(100, 1) > pace(100, 2));
        assert!(pace(100, 5) >= 100);
    }
}
