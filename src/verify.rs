//! Verification: every slot and every record looked at, nothing changed.

use std::ops::Range;

use crate::format::control::{self, TABLE_SEGMENTS};
use crate::format::lock::Phase;
use crate::format::page::PageId;
use crate::format::record::HEADER_BYTES;
use crate::format::segment::State;
use crate::index::Found;
use crate::session::Session;
use crate::store::{Passing, Store};

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// Entries whose records are whole.
    pub whole: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Of those, entries that expired or were cleared and wait to be collected.
    pub dead: u64,
    /// Slots whose record is damaged or gone: misses.
    pub damaged: u64,
    /// Entries by the store's counter, less those a `clear` left; equal to the slots found unless the
    /// store was written meanwhile, or damaged.
    pub counted: u64,
    /// Segments whose live count differs from the slots that name them.
    pub miscounted_segments: u64,
    /// Words of the control block and the segment table of which a copy is damaged, by what they say. With
    /// one copy damaged nothing is lost, and [`maintain`](crate::FileCache::maintain) mends it.
    pub damaged_words: Vec<String>,
    /// Whether the store was written meanwhile, or a killed writer's last step waits for the next
    /// writer: then counters may differ without being wrong.
    pub disturbed: bool,
}

impl Verification {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        let counters = self.counted == self.whole + self.damaged && self.miscounted_segments == 0;
        self.damaged == 0 && self.damaged_words.is_empty() && (counters || self.disturbed)
    }
}

/// Slots that are gathered and looked at in the order of the log (32 MiB of them).
const BATCH_SLOTS: u32 = 1 << 20;

/// Reads every record that the index names, in the order of the log. Takes no lock.
pub fn verify(session: &Session) -> Verification {
    let store = &session.store;
    let before = store.lsn();
    let mut found = Verification::default();
    let mut named = vec![0u32; usize::from(TABLE_SEGMENTS)];
    let mut bytes = Vec::new();
    for segments in batches(store) {
        let mut passing = Passing::default();
        for slot in slots_in(store, &segments) {
            if let Some((segment, _)) = store.geometry.locate(slot.slot.address()) {
                named[usize::from(segment.get())] += 1;
            }
            if store.is_beyond_memory() {
                come_to(store, slot, &mut passing);
            }
            look_at(session, slot, &mut bytes, &mut found);
        }
        passing.let_go(store);
    }
    found.damaged_words = store.damaged_words().map(|word| word.to_string()).collect();
    found.counted = store.load(control::ENTRIES);
    found.miscounted_segments = miscounted(store, &named);
    let lock = store.lock();
    found.disturbed |= lock.sequence != before || lock.phase == Phase::Commit;
    found
}

/// Comes to the record that a slot names: to its header, then to all of it.
fn come_to(store: &Store, slot: Found, passing: &mut Passing) {
    let offset = slot.slot.address().bytes();
    passing.come_to(store, offset, HEADER_BYTES);
    if let Some(shape) = store.spot(slot.slot).and_then(|spot| store.shape(spot)) {
        passing.come_to(store, offset, shape.bytes());
    }
}

/// Ranges of segments, each with so many entries at most by their counts, or of one segment.
fn batches(store: &Store) -> Vec<Range<u16>> {
    let mut batches = Vec::new();
    let (mut first, mut slots) = (0, 0u32);
    for segment in store.segments() {
        let count = store.live(segment).count;
        if slots.saturating_add(count) > BATCH_SLOTS && segment.get() > first {
            batches.push(first..segment.get());
            (first, slots) = (segment.get(), 0);
        }
        slots = slots.saturating_add(count);
    }
    // What names no segment at all is looked at with the last.
    batches.push(first..u16::MAX);
    batches
}

/// The slots that name a record in some segments, in the order of the log.
fn slots_in(store: &Store, segments: &Range<u16>) -> Vec<Found> {
    let segment_of = |slot: &Found| {
        let place = store.geometry.locate(slot.slot.address());
        place.map_or(u16::MAX - 1, |(segment, _)| segment.get())
    };
    let pages = (0..store.index().pages()).map(PageId::new);
    let mut slots: Vec<Found> = pages
        .flat_map(|page| store.index().live_on(page))
        .filter(|slot| segments.contains(&segment_of(slot)))
        .collect();
    slots.sort_unstable_by_key(|slot| slot.slot.address().bytes());
    slots
}

/// Reads the record that a slot names.
fn look_at(session: &Session, slot: Found, bytes: &mut Vec<u8>, found: &mut Verification) {
    let store = &session.store;
    bytes.clear();
    let record = store
        .record(slot.slot)
        .filter(|record| record.lsn.is_some())
        .filter(|record| record.read_all(store, bytes));
    match record {
        Some(record) => {
            found.whole += 1;
            found.bytes += u64::from(record.shape.key) + u64::from(record.shape.value);
            found.dead += u64::from(!record.is_current(store.cleared(), || session.now()));
        }
        // Replaced, moved or evicted while it was read.
        None if !store.index().slot(slot.page, slot.position).names_same(slot.slot) => {
            found.disturbed = true;
        }
        None => found.damaged += 1,
    }
}

/// Segments whose live count differs from the slots that name them.
fn miscounted(store: &Store, named: &[u32]) -> u64 {
    let is_wrong = |segment| {
        let in_use = store.state(segment).is_some_and(|state| state.state != State::Free);
        let counted = if in_use { store.live(segment).count } else { 0 };
        counted != named[usize::from(segment.get())]
    };
    store.segments().filter(|&segment| is_wrong(segment)).count() as u64
}
