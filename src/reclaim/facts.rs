//! The numbers that the policy decides on.

use std::collections::BTreeMap;

use crate::entries;
use crate::format::control::{self, TABLE_SEGMENTS};
use crate::format::lock::ProcessSlot;
use crate::format::place::{Generation, Millis, SegmentId};
use crate::format::segment::{FIRST_EXPIRY, LAST_EXPIRY, ORDER, State};
use crate::policy::{SegmentFacts, StoreFacts};
use crate::segments::Ground;
use crate::segments::take::Takeable;
use crate::sys::words::Words;
use crate::transaction::Liveness;

/// The store, looked at once.
#[derive(Debug)]
pub struct Facts {
    segments: Vec<SegmentFacts>,
    /// Segments that can be taken now.
    pub free: u64,
    /// Segments that can be taken after a sync.
    pub after_sync: u64,
    allowed: u64,
    max_entries: u64,
    segment_units: u32,
    now: Millis,
}

impl Facts {
    /// Looks at every segment; free ones count if they take a record of `units`.
    pub fn gather(ground: &Ground, units: u32, swept: &Swept) -> Self {
        // Another process may have raised the limit.
        ground.memory.log.refresh();
        let now = ground.now();
        let pinned = pinned(ground);
        let mut facts = Self {
            segments: Vec::new(),
            free: 0,
            after_sync: 0,
            allowed: entries::segments_allowed(ground),
            max_entries: ground.memory.load(control::MAX_ENTRIES),
            segment_units: ground.geometry.segment_units(),
            now,
        };
        let share = ground.share();
        let booked = ground
            .memory
            .load(control::LOG_GRANTED)
            .saturating_add(ground.memory.load(control::INDEX_GRANTED));
        let mut growth = share.saturating_sub(booked) >> ground.geometry.segment_shift;
        for id in ground.segments() {
            let Some(state) = ground.state(id) else { continue };
            if state.state != State::Free {
                facts.segments.push(SegmentFacts {
                    id,
                    state: state.state,
                    label: state.label,
                    order: ground.row(id, ORDER),
                    live: ground.live(id),
                    used: ground.tail(id),
                    first_expiry: Millis::new(ground.row(id, FIRST_EXPIRY)),
                    last_expiry: Millis::new(ground.row(id, LAST_EXPIRY)),
                    swept: swept.lately(id, state.generation, now),
                    pinned: pinned[usize::from(id.get() / 64)] >> (id.get() % 64) & 1 == 1,
                });
                continue;
            }
            let needs_grant = ground.row(id, crate::format::segment::GRANTED) == 0;
            match ground.takeable(id, units) {
                Takeable::Now if needs_grant && growth == 0 => {}
                Takeable::Now => {
                    facts.free += 1;
                    growth -= u64::from(needs_grant);
                }
                Takeable::AfterSync => facts.after_sync += 1,
                Takeable::Never => {}
            }
        }
        facts
    }

    /// As the policy wants them.
    pub fn store(&self) -> StoreFacts<'_> {
        StoreFacts {
            segments: &self.segments,
            segment_units: self.segment_units,
            allowed: self.allowed,
            free: self.free,
            after_sync: self.after_sync,
            max_entries: self.max_entries,
            now: self.now,
        }
    }

    /// When the first segment is worth a sweep.
    pub fn sweep_due(&self) -> Millis {
        let live = self.segments.iter().filter(|segment| segment.live.count > 0);
        live.map(|segment| crate::policy::sweep_due(segment.first_expiry, segment.last_expiry))
            .min()
            .unwrap_or(Millis::NEVER)
    }

    /// When a segment was taken.
    pub fn order_of(&self, id: SegmentId) -> Option<u64> {
        self.segments.iter().find(|segment| segment.id == id).map(|segment| segment.order)
    }
}

/// Which segments this process has swept of late, so that it does not sweep one again for each entry
/// that expires meanwhile.
#[derive(Debug, Default)]
pub struct Swept(BTreeMap<SegmentId, (Generation, Millis)>);

/// How long a segment counts as swept, in milliseconds.
const SWEPT_MS: u64 = 1000;

impl Swept {
    /// Notes the end of a sweep.
    pub fn note(&mut self, segment: SegmentId, generation: Generation, now: Millis) {
        self.0.insert(segment, (generation, now));
    }

    fn lately(&self, segment: SegmentId, generation: Generation, now: Millis) -> bool {
        self.0.get(&segment).is_some_and(|&(of, when)| {
            // Not by `after`, which ends where the clock does: there nothing would ever be swept.
            of == generation && when <= now && now.get() - when.get() < SWEPT_MS
        })
    }
}

/// A bit for each segment that a living process has pinned.
fn pinned(ground: &Ground) -> [u64; TABLE_SEGMENTS as usize / 64] {
    let mut pinned = [0u64; TABLE_SEGMENTS as usize / 64];
    let Some(me) = &ground.attachment else { return pinned };
    let words = &ground.memory;
    let seen = words.load(control::PROCESSES_SEEN).min(u64::from(ground.geometry.max_processes));
    let used = usize::from(ground.segment_count()).div_ceil(64);
    for slot in (0..seen as u16).filter_map(ProcessSlot::new) {
        let mut own = [0u64; TABLE_SEGMENTS as usize / 64];
        for (word, bits) in (0u16..).zip(&mut own[..used]) {
            *bits = words.load(ground.geometry.pin_at(slot, SegmentId::new(word * 64)).0);
        }
        for which in 0..2 {
            let writing = words.load(ground.geometry.writing_at(slot, which));
            if (1..=u64::from(TABLE_SEGMENTS)).contains(&writing) {
                own[(writing as usize - 1) / 64] |= 1 << ((writing - 1) % 64);
            }
        }
        let any = own.iter().any(|&bits| bits != 0);
        if any && (slot == me.slot || !me.locks.is_dead(slot)) {
            pinned.iter_mut().zip(own).for_each(|(all, own)| *all |= own);
        }
    }
    pinned
}
