//! The numbers that the policy decides on.

use super::writer::{Route, Swept};
use crate::format::address::{Millis, SegmentId};
use crate::format::control::{self, TABLE_SEGMENTS};
use crate::format::segment::{
    FIRST_EXPIRY, GRANTED, HORIZON, Horizon, LAST_EXPIRY, ORDER, Queue, State, StateWord,
};
use crate::format::walk::{Purpose, WalkWord};
use crate::policy::{self, LOW_WATER, SegmentFacts, StoreFacts, sweep_due};
use crate::session::pins::{self, Segments};
use crate::session::{Session, Takeable};
use crate::sys::words::Words;

/// The store, looked at once.
#[derive(Debug)]
pub struct Facts {
    segments: Vec<SegmentFacts>,
    /// Segments that can be taken now.
    pub free: u64,
    /// Segments that can be taken after a sync.
    pub after_sync: u64,
    /// Free ones below this number start a walk.
    pub low_water: u64,
    /// Whether the disk counts as full.
    full: bool,
    /// Whether the segment that puts fill has much room left.
    can_wait: bool,
    allowed: u64,
    max_entries: u64,
    segment_units: u32,
    now: Millis,
}

impl Facts {
    /// Looks at every segment; free ones count if they take a record of `units`.
    pub fn gather(session: &Session, units: u32, swept: &Swept) -> Self {
        let store = &session.store;
        // Another process may have raised the limit.
        store.words.refresh();
        let mut facts = Self {
            segments: Vec::new(),
            free: 0,
            after_sync: 0,
            low_water: LOW_WATER,
            full: session.is_disk_full(),
            can_wait: false,
            allowed: store.segments_allowed(),
            max_entries: store.load(control::MAX_ENTRIES),
            segment_units: store.geometry.segment_units(),
            now: session.now(),
        };
        let pinned = pinned(session);
        let mut growth =
            store.share().saturating_sub(store.granted()) >> store.geometry.segment_shift;
        for id in store.segments() {
            let Some(state) = store.state(id) else { continue };
            if state.state != State::Free {
                let swept = swept.lately(id, state.generation, facts.now);
                facts.segments.push(facts_of(session, id, state, swept, &pinned));
                continue;
            }
            let needs_grant = store.row(id, GRANTED) == 0;
            match session.takeable(id, units) {
                Takeable::Now if needs_grant && growth == 0 => {}
                Takeable::Now => {
                    facts.free += 1;
                    growth -= u64::from(needs_grant);
                }
                Takeable::AfterSync => facts.after_sync += 1,
                Takeable::Never => {}
            }
        }
        facts.note_sweep(session);
        if facts.full {
            facts.note_full(session);
        }
        facts
    }

    /// Takes what the disk can hold for all that there is.
    fn note_full(&mut self, session: &Session) {
        let store = &session.store;
        let usable = store.segments().map(|id| session.usable(id)).sum::<u64>();
        self.allowed = self.allowed.min(usable >> store.geometry.segment_shift);
        let main_left =
            store.active(Queue::Main).map_or(0, |id| session.left_in(id, store.tail(id)));
        self.low_water = policy::low_water_when_full(self.allowed, main_left, self.segment_units);
        let active = store.active(Queue::Probation);
        self.can_wait = active.is_some_and(|id| !session.is_running_out(id, store.tail(id)));
    }

    /// Whether so few segments are free that a walk is due.
    pub fn is_low(&self) -> bool {
        self.free < self.low_water && !self.can_wait
    }

    /// Notes which segment is being swept. (Last: a sweep that has ended meanwhile counts as under way.)
    fn note_sweep(&mut self, session: &Session) {
        let walk = WalkWord::decode(session.store.load(Route::Upkeep.at()));
        let Some(walk) = walk.filter(|walk| walk.purpose == Purpose::Sweep) else { return };
        for segment in self.segments.iter_mut().filter(|segment| segment.id == walk.segment) {
            segment.sweeping = true;
        }
    }

    /// As the policy wants them.
    pub fn store(&self) -> StoreFacts<'_> {
        StoreFacts {
            segments: &self.segments,
            segment_units: self.segment_units,
            allowed: self.allowed,
            free: self.free,
            after_sync: self.after_sync,
            low_water: self.low_water,
            full: self.full,
            can_wait: self.can_wait,
            max_entries: self.max_entries,
            now: self.now,
        }
    }

    /// When the first segment is worth a sweep.
    pub fn sweep_due(&self) -> Millis {
        let live = self.segments.iter().filter(|segment| segment.live.count > 0);
        live.map(|segment| sweep_due(segment.first_expiry, segment.last_expiry))
            .min()
            .unwrap_or(Millis::NEVER)
    }

    /// When a segment was taken.
    pub fn order_of(&self, id: SegmentId) -> Option<u64> {
        self.segments.iter().find(|segment| segment.id == id).map(|segment| segment.order)
    }
}

/// What is known of a segment in use.
fn facts_of(
    session: &Session,
    id: SegmentId,
    state: StateWord,
    swept: bool,
    pinned: &Segments,
) -> SegmentFacts {
    let store = &session.store;
    SegmentFacts {
        id,
        state: state.state,
        queue: state.queue,
        order: store.row(id, ORDER),
        live: store.live(id),
        used: store.tail(id),
        first_expiry: Millis::new(store.row(id, FIRST_EXPIRY)),
        last_expiry: Millis::new(store.row(id, LAST_EXPIRY)),
        horizon: Horizon::decode(store.row(id, HORIZON)),
        sweeping: false,
        swept,
        pinned: pinned[usize::from(id.get() / 64)] >> (id.get() % 64) & 1 == 1,
    }
}

/// A bit for each segment that a living process has pinned.
fn pinned(session: &Session) -> Segments {
    match &session.attachment {
        Some(me) => pins::pinned(&session.store, me.process, &me.locks),
        None => [0; TABLE_SEGMENTS as usize / 64],
    }
}
