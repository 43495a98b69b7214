//! Verification: every slot and every record looked at, nothing changed.

use crate::format::control::{self, TABLE_SEGMENTS};
use crate::format::lock::Phase;
use crate::format::page::PageId;
use crate::format::segment::State;
use crate::index::Found;
use crate::session::Session;
use crate::store::Store;

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

/// Reads every record that the index names. Takes no lock.
pub fn verify(session: &Session) -> Verification {
    let store = &session.store;
    let before = store.lsn();
    let mut found = Verification::default();
    let mut named = vec![0u32; usize::from(TABLE_SEGMENTS)];
    let mut bytes = Vec::new();
    for page in (0..store.index().pages()).map(PageId::new) {
        for slot in store.index().live_on(page) {
            if let Some((segment, _)) = store.geometry.locate(slot.slot.address()) {
                named[usize::from(segment.get())] += 1;
            }
            look_at(session, slot, &mut bytes, &mut found);
        }
    }
    found.damaged_words = store.damaged_words().map(|word| word.to_string()).collect();
    found.counted = store.load(control::ENTRIES);
    found.miscounted_segments = miscounted(store, &named);
    let lock = store.lock();
    found.disturbed |= lock.sequence != before || lock.phase == Phase::Commit;
    found
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
