//! Statistics: counters of what happened. A process counts in its own memory. Now and then it adds what it
//! has counted to its process row, where all processes see it. The sums need not be exact: a kill loses the
//! few events that were not added yet.
//!
//! The first threads of a process have a stripe of counters each, which nobody else writes. So a read is
//! counted without a locked instruction, which would keep the processor from beginning the next read.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::format::lock::ProcessId;
use crate::store::Store;
use crate::sys::words::{Words, update};

/// The last stripe is shared by all threads that came too late for one of their own.
const STRIPES: usize = 32;
/// A stripe is added to the process row after so many events of a kind.
const FLUSH_EVERY: u64 = 256;

/// What is counted. Its number is that of its word among the statistics of a process row.
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
    /// Failures of upkeep after an entry was stored.
    UpkeepErrors,
}

/// Counters that there are.
pub const COUNTS: usize = 15;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe([Counter; COUNTS]);

/// Only grows; what of it is in the process row is noted beside it.
#[derive(Debug, Default)]
struct Counter {
    counted: AtomicU64,
    flushed: AtomicU64,
}

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
            own.set(NEXT.fetch_add(1, Ordering::Relaxed).min(STRIPES - 1));
        }
        own.get() % STRIPES
    })
}

impl Counters {
    /// Counts `more`; `true` when it is time to flush.
    #[inline]
    pub fn add(&self, count: Count, more: u64) -> bool {
        let stripe = stripe();
        let counted = &self.stripes[stripe].0[count as usize].counted;
        let old = if stripe == STRIPES - 1 {
            counted.fetch_add(more, Ordering::Relaxed)
        } else {
            // Nobody but this thread adds to it.
            let old = counted.load(Ordering::Relaxed);
            counted.store(old.wrapping_add(more), Ordering::Relaxed);
            old
        };
        // Events only: sums of bytes would do it all the time.
        more == 1 && (old + 1).is_multiple_of(FLUSH_EVERY)
    }

    /// Adds what this thread's stripe counted to the process row.
    pub fn flush_own(&self, store: &Store<impl Words>, me: ProcessId) {
        self.stripes[stripe()].flush(store, me);
    }

    /// Adds all that was counted to the process row.
    pub fn flush(&self, store: &Store<impl Words>, me: ProcessId) {
        for stripe in self.stripes.iter() {
            stripe.flush(store, me);
        }
    }
}

impl Stripe {
    fn flush(&self, store: &Store<impl Words>, me: ProcessId) {
        for (number, counter) in (0u64..).zip(&self.0) {
            let fresh = counter.take();
            if fresh > 0 {
                let at = store.geometry.statistic_at(me, number);
                update(&store.words, at, |old| Some(old.wrapping_add(fresh)));
            }
        }
    }
}

impl Counter {
    /// What was counted since it was last taken, by whichever thread.
    fn take(&self) -> u64 {
        // Acquired, so that what is read of the count is no older than what it was flushed at.
        let flushed = self.flushed.load(Ordering::Acquire);
        let counted = self.counted.load(Ordering::Relaxed);
        let swap = Ordering::AcqRel;
        match self.flushed.compare_exchange(flushed, counted, swap, Ordering::Relaxed) {
            Ok(_) => counted.wrapping_sub(flushed),
            Err(_) => 0, // Another thread took it just now.
        }
    }

    fn pending(&self) -> u64 {
        let flushed = self.flushed.load(Ordering::Acquire);
        self.counted.load(Ordering::Relaxed).wrapping_sub(flushed)
    }
}

impl Counters {
    /// What was counted and is not in a process row: all of it, in a reader that writes nothing.
    pub fn pending(&self) -> [u64; COUNTS] {
        let mut pending = [0u64; COUNTS];
        for stripe in self.stripes.iter() {
            for (total, counter) in pending.iter_mut().zip(&stripe.0) {
                *total = total.wrapping_add(counter.pending());
            }
        }
        pending
    }
}

/// The counters of all process rows, summed.
pub fn totals(store: &Store<impl Words>) -> [u64; COUNTS] {
    let mut totals = [0u64; COUNTS];
    for process in store.processes() {
        for (number, total) in (0u64..).zip(&mut totals) {
            *total = total.wrapping_add(store.load(store.geometry.statistic_at(process, number)));
        }
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_counted_twice_or_not_at_all_while_others_flush() {
        let counter = Counter::default();
        let taken = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..50_000 {
                        taken.fetch_add(counter.take(), Ordering::Relaxed);
                    }
                });
            }
            for counted in 1..=200_000 {
                counter.counted.store(counted, Ordering::Relaxed);
            }
        });
        assert_eq!(taken.into_inner() + counter.take(), 200_000);
        assert_eq!(counter.pending(), 0);
    }

    #[test]
    fn threads_beyond_those_with_a_stripe_of_their_own_are_counted_too() {
        let counters = Counters::default();
        std::thread::scope(|scope| {
            for _ in 0..3 * STRIPES {
                scope.spawn(|| {
                    for _ in 0..100 {
                        counters.add(Count::Hits, 1);
                    }
                });
            }
        });
        assert_eq!(counters.pending()[Count::Hits as usize], 300 * STRIPES as u64);
    }
}
