//! What a process knows of its disk: whether it was found full, so that only room which was written already
//! is used; how far that reaches where the kernel refused more; and whether even a read of a hole allocates.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::format::address::{Millis, SegmentId};

/// How long a full disk is not asked again while nothing shows that it has room, in milliseconds.
const FULL_MS: u64 = 250;
/// A disk that has so many bytes more than when it was found full is asked again at once.
const ROOM_AGAIN: u64 = 256 << 10;

/// The disk, as this process knows it.
#[derive(Debug, Default)]
pub struct Disk {
    /// Whether even reading a hole allocates (tmpfs).
    allocates_on_read: bool,
    /// Whether it counts as full.
    full: AtomicBool,
    /// Bytes that were free when it was found so, and when that was (milliseconds).
    free_then: AtomicU64,
    since: AtomicU64,
    /// Bytes of segments, from their start, that can be written, where the kernel refused to go on.
    written: Mutex<BTreeMap<SegmentId, u64>>,
}

impl Disk {
    /// A disk of which nothing else is known yet.
    pub fn new(allocates_on_read: bool) -> Self {
        Self { allocates_on_read, ..Self::default() }
    }

    /// Whether even reading a hole allocates.
    pub fn allocates_on_read(&self) -> bool {
        self.allocates_on_read
    }

    /// Whether it counts as full.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Notes that it was found full, with so many bytes free.
    pub fn note_full(&self, now: Millis, free: u64) {
        self.free_then.store(free, Ordering::Relaxed);
        self.since.store(now.get(), Ordering::Relaxed);
        self.full.store(true, Ordering::Relaxed);
    }

    /// Lets it count as full no longer if it may have room again.
    pub fn look_again(&self, now: Millis, free: u64) {
        let free_then = self.free_then.load(Ordering::Relaxed);
        let since = self.since.load(Ordering::Relaxed);
        if free >= free_then.saturating_add(ROOM_AGAIN) || !is_of_late(since, now) {
            self.try_again();
        }
    }

    /// Lets it count as full no longer.
    pub fn try_again(&self) {
        self.full.store(false, Ordering::Relaxed);
    }

    /// Notes that the kernel refused to let a segment be written behind so many of its bytes.
    pub fn note_written(&self, segment: SegmentId, bytes: u64) {
        self.bounds().insert(segment, bytes);
    }

    /// Notes that a segment could be written up to there.
    pub fn note_writable(&self, segment: SegmentId, bytes: u64) {
        self.bounds().retain(|&of, bound| of != segment || *bound > bytes);
    }

    /// Bytes of a segment, from its start, of which so many are allocated, that can be written on a full disk.
    pub fn writable(&self, segment: SegmentId, allocated: u64) -> u64 {
        self.bounds().get(&segment).map_or(allocated, |&bound| bound.min(allocated))
    }

    fn bounds(&self) -> MutexGuard<'_, BTreeMap<SegmentId, u64>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a moment is not long past at `now`, by a clock that may have been set back.
fn is_of_late(since: u64, now: Millis) -> bool {
    (since..since.saturating_add(FULL_MS)).contains(&now.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_counts_as_full_until_it_has_room_again_or_a_moment_has_passed() {
        let disk = Disk::new(false);
        let is_full = |millis, free| {
            disk.look_again(Millis::new(millis), free);
            disk.is_full()
        };
        assert!(!disk.is_full());
        for (millis, free) in [(50_000 + FULL_MS, 7), (49_999, 7), (50_001, 7 + ROOM_AGAIN)] {
            disk.note_full(Millis::new(50_000), 7);
            assert!(is_full(50_000, 7) && is_full(50_000 + FULL_MS - 1, 6 + ROOM_AGAIN));
            assert!(!is_full(millis, free));
        }
    }

    #[test]
    fn what_the_kernel_refused_in_a_segment_is_not_used_until_it_could_be_written() {
        let disk = Disk::new(false);
        let segment = SegmentId::new(3);
        assert_eq!(disk.writable(segment, 8 << 20), 8 << 20);
        disk.note_written(segment, 1 << 20);
        assert_eq!(disk.writable(segment, 8 << 20), 1 << 20);
        assert_eq!(disk.writable(segment, 4096), 4096);
        disk.note_writable(segment, 4096);
        assert_eq!(disk.writable(segment, 8 << 20), 1 << 20);
        disk.note_writable(segment, 2 << 20);
        assert_eq!(disk.writable(segment, 8 << 20), 8 << 20);
    }
}
