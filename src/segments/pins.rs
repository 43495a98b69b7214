//! Pins: how a segment in use is kept from being reused.
//!
//! Whoever needs the bytes of a segment to stay (a view, a writer) says so in the process's own slot,
//! fences, and looks again whether the segment is still what it was. Whoever reuses a segment
//! declares it draining, fences, and looks for pins. One of the two sees the other (Dekker's
//! argument over sequentially consistent fences). Draining is never undone, and pins of a process
//! that the kernel says is gone do not count, so nothing that dies leaves anything locked.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::format::control::{self, Geometry, TABLE_SEGMENTS};
use crate::format::lock::ProcessSlot;
use crate::format::place::{Generation, SegmentId};
use crate::format::segment::StateWord;
use crate::sys::words::{Words, update};
use crate::transaction::Liveness;

/// Which of a process's two writing words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// A put.
    Put,
    /// A move.
    Move,
}

/// Counts this process's pins, a segment each: only the first sets the shared bit, only the last
/// clears it.
#[derive(Debug)]
pub struct Pins {
    counts: Box<[AtomicU32]>,
    /// Held while a shared bit changes.
    bits: Mutex<()>,
}

impl Default for Pins {
    fn default() -> Self {
        Self {
            counts: (0..TABLE_SEGMENTS).map(|_| AtomicU32::new(0)).collect(),
            bits: Mutex::new(()),
        }
    }
}

impl Pins {
    /// Pins a segment if it still is readable in this generation.
    pub fn pin(
        &self,
        words: &impl Words,
        geometry: &Geometry,
        me: ProcessSlot,
        segment: SegmentId,
        generation: Generation,
    ) -> bool {
        let count = &self.counts[usize::from(segment.get())];
        let more = |count| if count == 0 { None } else { Some(count + 1) };
        if count.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_err() {
            let _bits = self.bits.lock().unwrap_or_else(PoisonError::into_inner);
            let (at, bit) = geometry.pin_at(me, segment);
            update(words, at, |word| Some(word | bit));
            count.fetch_add(1, Ordering::AcqRel);
        }
        words.fence();
        let stays = StateWord::decode(words.load(geometry.state_at(segment)))
            .is_some_and(|state| state.generation == generation && state.is_readable());
        if !stays {
            self.unpin(words, geometry, me, segment);
        }
        stays
    }

    /// Lets a pin go.
    pub fn unpin(
        &self,
        words: &impl Words,
        geometry: &Geometry,
        me: ProcessSlot,
        segment: SegmentId,
    ) {
        let count = &self.counts[usize::from(segment.get())];
        let less = |count| if count <= 1 { None } else { Some(count - 1) };
        if count.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_err() {
            let _bits = self.bits.lock().unwrap_or_else(PoisonError::into_inner);
            if count.fetch_sub(1, Ordering::AcqRel) == 1 {
                let (at, bit) = geometry.pin_at(me, segment);
                update(words, at, |word| Some(word & !bit));
            }
        }
    }
}

/// Says that this process writes into a segment, if that still takes records in this generation.
#[inline]
pub fn begin_writing(
    words: &impl Words,
    geometry: &Geometry,
    me: ProcessSlot,
    which: Writing,
    segment: SegmentId,
    generation: Generation,
) -> bool {
    words.store(geometry.writing_at(me, which as u64), segment.index() + 1);
    words.fence();
    let takes = StateWord::decode(words.load(geometry.state_at(segment)))
        .is_some_and(|state| state.generation == generation && state.is_writable());
    if !takes {
        end_writing(words, geometry, me, which);
    }
    takes
}

/// Says that this process has written.
#[inline]
pub fn end_writing(words: &impl Words, geometry: &Geometry, me: ProcessSlot, which: Writing) {
    words.store(geometry.writing_at(me, which as u64), 0);
}

/// Whether any living process has a segment pinned. To be asked of a segment that is draining: the
/// fence here is the other half of the one in [`Pins::pin`] and [`begin_writing`].
pub fn is_pinned(
    words: &impl Words,
    geometry: &Geometry,
    me: ProcessSlot,
    segment: SegmentId,
    liveness: &impl Liveness,
) -> bool {
    words.fence();
    let seen = words.load(control::PROCESSES_SEEN).min(u64::from(geometry.max_processes));
    (0..seen as u16).filter_map(ProcessSlot::new).any(|slot| {
        let (at, bit) = geometry.pin_at(slot, segment);
        let pinned = words.load(at) & bit != 0
            || words.load(geometry.writing_at(slot, 0)) == segment.index() + 1
            || words.load(geometry.writing_at(slot, 1)) == segment.index() + 1;
        pinned && (slot == me || !liveness.is_dead(slot))
    })
}

/// Segments of the first `segments` that living processes have pinned by views.
pub fn count(
    words: &impl Words,
    geometry: &Geometry,
    segments: u16,
    me: ProcessSlot,
    liveness: &impl Liveness,
) -> u32 {
    let seen = words.load(control::PROCESSES_SEEN).min(u64::from(geometry.max_processes));
    (0..segments)
        .step_by(64)
        .map(|first| {
            let mut pinned = 0;
            for slot in (0..seen as u16).filter_map(ProcessSlot::new) {
                let bits = words.load(geometry.pin_at(slot, SegmentId::new(first)).0);
                if bits & !pinned != 0 && (slot == me || !liveness.is_dead(slot)) {
                    pinned |= bits;
                }
            }
            pinned.count_ones()
        })
        .sum()
}

/// Clears the pins that a dead process left in a slot that is about to be used again.
pub fn clear_pins(words: &impl Words, geometry: &Geometry, slot: ProcessSlot) {
    for segment in (0..TABLE_SEGMENTS).step_by(64) {
        words.store(geometry.pin_at(slot, SegmentId::new(segment)).0, 0);
    }
    words.store(geometry.writing_at(slot, 0), 0);
    words.store(geometry.writing_at(slot, 1), 0);
}
