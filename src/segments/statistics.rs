//! Counters of what happened: bumped in memory of this process, a stripe a thread, and now and then
//! added to the process slot, where all processes see them. They need not be exact: a kill loses
//! the few that were not added yet.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::format::control::{self, Geometry};
use crate::format::lock::ProcessSlot;
use crate::sys::words::Words;

const STRIPES: usize = 16;
/// A stripe is added to the process slot after so many events of a kind.
const FLUSH_EVERY: u64 = 256;

/// What is counted. The number is the place in the process slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Reads that found their key.
    Hits,
    /// Reads that did not.
    Misses,
    /// Entries stored.
    Inserts,
    /// Entries removed by their key.
    Removes,
    /// Live entries dropped for want of room.
    Evictions,
    /// Expired or cleared entries collected.
    Expirations,
    /// Entries copied to another segment.
    Moves,
    /// Bytes of records written by puts.
    BytesPut,
    /// Bytes of records written by moves.
    BytesMoved,
    /// Records that failed their checks.
    Damaged,
    /// Computed values that could not be stored.
    Unstored,
    /// Views that had to be copies.
    ViewCopies,
    /// Segments taken into use.
    SegmentsTaken,
    /// Syncs completed.
    Syncs,
}

/// Counters that there are.
pub const COUNTS: usize = 14;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe([AtomicU64; COUNTS]);

/// This process's counters.
#[derive(Debug, Default)]
pub struct Counters {
    stripes: [Stripe; STRIPES],
}

thread_local! {
    static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    STRIPE.with(|own| {
        if own.get() == usize::MAX {
            own.set(NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES);
        }
        own.get()
    })
}

impl Counters {
    /// Counts `more`; `true` when it is time to flush.
    #[inline]
    pub fn add(&self, count: Count, more: u64) -> bool {
        let old = self.stripes[stripe()].0[count as usize].fetch_add(more, Ordering::Relaxed);
        // Events only: sums of bytes would do it all the time.
        more == 1 && (old + 1).is_multiple_of(FLUSH_EVERY)
    }

    /// Adds what this thread's stripe counted to the process slot.
    pub fn flush_own(&self, words: &impl Words, geometry: &Geometry, me: ProcessSlot) {
        self.stripes[stripe()].flush(words, geometry, me);
    }

    /// Adds all that was counted to the process slot.
    pub fn flush(&self, words: &impl Words, geometry: &Geometry, me: ProcessSlot) {
        for stripe in &self.stripes {
            stripe.flush(words, geometry, me);
        }
    }
}

impl Stripe {
    fn flush(&self, words: &impl Words, geometry: &Geometry, me: ProcessSlot) {
        for (number, counter) in (0u64..).zip(&self.0) {
            let counted = counter.swap(0, Ordering::Relaxed);
            if counted > 0 {
                let at = geometry.statistic_at(me, number);
                crate::sys::words::update(words, at, |old| Some(old.wrapping_add(counted)));
            }
        }
    }
}

impl Counters {
    /// What was counted and is not in a process slot: all of it, in a reader that writes nothing.
    pub fn pending(&self) -> [u64; COUNTS] {
        let mut pending = [0u64; COUNTS];
        for stripe in &self.stripes {
            for (total, counter) in pending.iter_mut().zip(&stripe.0) {
                *total += counter.load(Ordering::Relaxed);
            }
        }
        pending
    }
}

/// The counters of all process slots, summed.
pub fn totals(words: &impl Words, geometry: &Geometry) -> [u64; COUNTS] {
    let seen = words.load(control::PROCESSES_SEEN).min(u64::from(geometry.max_processes));
    let mut totals = [0u64; COUNTS];
    for slot in (0..seen as u16).filter_map(ProcessSlot::new) {
        for (number, total) in (0u64..).zip(&mut totals) {
            *total = total.wrapping_add(words.load(geometry.statistic_at(slot, number)));
        }
    }
    totals
}
