//! Pins: how a segment in use is kept from being reused.
//!
//! Whoever needs the bytes of a segment to stay (a view, a writer) says so in the process's own row,
//! fences, and looks again whether the segment is still what it was. Whoever reuses a segment
//! declares it draining, fences, and looks for pins. One of the two sees the other (Dekker's
//! argument over sequentially consistent fences). Draining is never undone, and pins of a process
//! that the kernel says is gone do not count, so nothing that dies leaves anything locked.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::format::address::{Generation, SegmentId};
use crate::format::control::TABLE_SEGMENTS;
use crate::format::lock::ProcessId;
use crate::store::Store;
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

/// A bit for each segment of the table.
pub type Segments = [u64; TABLE_SEGMENTS as usize / 64];

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
        store: &Store<impl Words>,
        me: ProcessId,
        segment: SegmentId,
        generation: Generation,
    ) -> bool {
        let Store { words, geometry } = store;
        let count = &self.counts[usize::from(segment.get())];
        let more = |count| if count == 0 { None } else { Some(count + 1) };
        if count.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_err() {
            let _bits = self.bits.lock().unwrap_or_else(PoisonError::into_inner);
            let (at, bit) = geometry.pin_at(me, segment);
            update(words, at, |word| Some(word | bit));
            count.fetch_add(1, Ordering::AcqRel);
        }
        words.fence();
        let stays = store
            .any_state(segment)
            .is_some_and(|state| state.generation == generation && state.is_readable());
        if !stays {
            self.unpin(store, me, segment);
        }
        stays
    }

    /// Lets a pin go.
    pub fn unpin(&self, store: &Store<impl Words>, me: ProcessId, segment: SegmentId) {
        let count = &self.counts[usize::from(segment.get())];
        let less = |count| if count <= 1 { None } else { Some(count - 1) };
        if count.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_err() {
            let _bits = self.bits.lock().unwrap_or_else(PoisonError::into_inner);
            if count.fetch_sub(1, Ordering::AcqRel) == 1 {
                let (at, bit) = store.geometry.pin_at(me, segment);
                update(&store.words, at, |word| Some(word & !bit));
            }
        }
    }
}

/// Says that this process writes into a segment, if that still takes records in this generation.
#[inline]
pub fn begin_writing(
    store: &Store<impl Words>,
    me: ProcessId,
    which: Writing,
    segment: SegmentId,
    generation: Generation,
) -> bool {
    let Store { words, geometry } = store;
    words.store(geometry.writing_at(me, which as u64), segment.index() + 1);
    words.fence();
    let takes = store
        .any_state(segment)
        .is_some_and(|state| state.generation == generation && state.is_writable());
    if !takes {
        end_writing(store, me, which);
    }
    takes
}

/// Says that this process no longer writes there.
#[inline]
pub fn end_writing(store: &Store<impl Words>, me: ProcessId, which: Writing) {
    store.words.store(store.geometry.writing_at(me, which as u64), 0);
}

/// Whether any living process has a segment pinned. To be asked of a segment that is draining: the
/// fence here is the other half of the one in [`Pins::pin`] and [`begin_writing`].
pub fn is_pinned(
    store: &Store<impl Words>,
    me: ProcessId,
    segment: SegmentId,
    liveness: &impl Liveness,
) -> bool {
    store.words.fence();
    store.processes().any(|process| {
        let (at, bit) = store.geometry.pin_at(process, segment);
        let writes =
            |which| store.load(store.geometry.writing_at(process, which)) == segment.index() + 1;
        let pinned = store.load(at) & bit != 0 || writes(0) || writes(1);
        pinned && (process == me || !liveness.is_dead(process))
    })
}

/// How many segments living processes have pinned by views.
pub fn pinned_by_views(store: &Store<impl Words>, me: ProcessId, liveness: &impl Liveness) -> u32 {
    let pinned_in = |first| {
        store.processes().fold(0u64, |pinned, process| {
            let bits = store.load(store.geometry.pin_at(process, SegmentId::new(first)).0);
            let adds = bits & !pinned != 0 && (process == me || !liveness.is_dead(process));
            if adds { pinned | bits } else { pinned }
        })
    };
    (0..store.segment_count()).step_by(64).map(|first| pinned_in(first).count_ones()).sum()
}

/// The segments that living processes have pinned, by views or because they write there.
pub fn pinned(store: &Store<impl Words>, me: ProcessId, liveness: &impl Liveness) -> Segments {
    let mut pinned: Segments = [0; TABLE_SEGMENTS as usize / 64];
    let used = usize::from(store.segment_count()).div_ceil(64);
    for process in store.processes() {
        let mut own: Segments = [0; TABLE_SEGMENTS as usize / 64];
        for (word, bits) in (0u16..).zip(&mut own[..used]) {
            *bits = store.load(store.geometry.pin_at(process, SegmentId::new(word * 64)).0);
        }
        for which in 0..2 {
            let writing = store.load(store.geometry.writing_at(process, which));
            if (1..=u64::from(TABLE_SEGMENTS)).contains(&writing) {
                own[(writing as usize - 1) / 64] |= 1 << ((writing - 1) % 64);
            }
        }
        let any = own.iter().any(|&bits| bits != 0);
        if any && (process == me || !liveness.is_dead(process)) {
            pinned.iter_mut().zip(own).for_each(|(all, own)| *all |= own);
        }
    }
    pinned
}

/// Clears the pins that a dead process left in a row that is about to be used again.
pub fn clear_pins(store: &Store<impl Words>, process: ProcessId) {
    let Store { words, geometry } = store;
    for segment in (0..TABLE_SEGMENTS).step_by(64) {
        words.store(geometry.pin_at(process, SegmentId::new(segment)).0, 0);
    }
    words.store(geometry.writing_at(process, 0), 0);
    words.store(geometry.writing_at(process, 1), 0);
}
