//! What a process knows of its disk: whether it was found full of late, so that nothing new is asked of it
//! for a moment; and whether even a read of a hole allocates.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::format::address::Millis;

/// How long a full disk is not asked again, in milliseconds.
const FULL_MS: u64 = 1000;

/// The disk, as this process knows it.
#[derive(Debug, Default)]
pub struct Disk {
    /// Whether even reading a hole allocates (tmpfs).
    allocates_on_read: bool,
    /// Until then (milliseconds) it counts as full.
    full_until: AtomicU64,
}

impl Disk {
    /// A disk of which nothing else is known yet.
    pub fn new(allocates_on_read: bool) -> Self {
        Self { allocates_on_read, full_until: AtomicU64::new(0) }
    }

    /// Whether even reading a hole allocates.
    pub fn allocates_on_read(&self) -> bool {
        self.allocates_on_read
    }

    /// Whether it has been found full of late. `now` is called only if it ever has.
    #[inline]
    pub fn is_full(&self, now: impl FnOnce() -> Millis) -> bool {
        let until = self.full_until.load(Ordering::Relaxed);
        until != 0 && counts_as_full(until, now())
    }

    /// Notes that it was found full.
    pub fn note_full(&self, now: Millis) {
        self.full_until.store(now.get() + FULL_MS, Ordering::Relaxed);
    }
}

/// Whether it counts as full at `now`: before `until`, but not while a clock that went back catches up.
fn counts_as_full(until: u64, now: Millis) -> bool {
    (until.saturating_sub(FULL_MS)..until).contains(&now.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_counts_as_full_for_a_second_and_not_while_the_clock_is_before_that() {
        let disk = Disk::new(false);
        let at = |millis| disk.is_full(|| Millis::new(millis));
        assert!(!at(0));
        disk.note_full(Millis::new(50_000));
        assert!(at(50_000) && at(50_999));
        assert!(!at(51_000) && !at(49_999) && !at(0));
    }
}
