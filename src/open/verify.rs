//! Verification: every slot and every record looked at, nothing changed.

use std::sync::atomic::Ordering;

use crate::format::control;
use crate::format::lock::{LockWord, Phase};
use crate::format::page::PageId;
use crate::format::segment::State;
use crate::index::Found;
use crate::segments::Ground;
use crate::segments::read;
use crate::sys::words::Words;

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
    /// Whether the store was written meanwhile, or a killed writer's last step waits for the next
    /// writer: then counters may differ without being wrong.
    pub disturbed: bool,
}

impl Verification {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        let counters = self.counted == self.whole + self.damaged && self.miscounted_segments == 0;
        self.damaged == 0 && (counters || self.disturbed)
    }
}

/// Reads every record that the index names. Takes no lock.
pub fn verify(ground: &Ground) -> Verification {
    let memory = &ground.memory;
    let before = ground.lsn();
    let mut found = Verification::default();
    let mut named = vec![0u32; usize::from(control::TABLE_SEGMENTS)];
    let index = ground.index();
    let cleared = read::cleared(memory);
    let mut bytes = Vec::new();
    for page in (0..index.pages()).map(PageId::new) {
        for Found { position, slot, .. } in index.live_on(page) {
            if let Some((segment, _)) = ground.geometry.locate(slot.address()) {
                named[usize::from(segment.get())] += 1;
            }
            bytes.clear();
            let record = read::spot(memory, &ground.geometry, slot)
                .and_then(|spot| read::record(memory, &ground.geometry, spot))
                .filter(|record| record.lsn.is_some())
                .filter(|record| record.read_all(memory, &ground.geometry, &mut bytes));
            match record {
                Some(record) => {
                    found.whole += 1;
                    found.bytes += u64::from(record.shape.key) + u64::from(record.shape.value);
                    found.dead += u64::from(!record.is_current(cleared, || ground.now()));
                }
                // Replaced, moved or evicted while it was read.
                None if !index.slot(page, position).names_same(slot) => found.disturbed = true,
                None => found.damaged += 1,
            }
        }
    }
    found.counted = memory.load(control::ENTRIES);
    for segment in ground.segments() {
        let in_use = ground.state(segment).is_some_and(|state| state.state != State::Free);
        let counted = if in_use { ground.live(segment).count } else { 0 };
        found.miscounted_segments += u64::from(counted != named[usize::from(segment.get())]);
    }
    let lock = LockWord::decode(memory.load(control::LOCK));
    found.disturbed |= lock.sequence != before || lock.phase == Phase::Commit;
    if !found.is_sound() {
        ground.suspect.store(true, Ordering::Relaxed);
    }
    found
}
