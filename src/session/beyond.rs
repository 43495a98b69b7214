//! Whether a store is larger than the memory that there is for it: then reads ask the device for the pages that
//! they need, instead of leaving that to faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::medium::Medium;
use crate::format::address::Millis;
use crate::store::Store;
use crate::sys::door::Boot;

/// How often memory is looked at again, in milliseconds.
const LOOK_MS: u64 = 5000;
/// How often a turn of [`Residency`](crate::sys::residency::Residency) ends whatever was read: others read, too.
const TURN_MS: u64 = 2000;

/// What a process knows of its memory.
#[derive(Debug)]
pub struct Beyond {
    machine: Arc<dyn Boot>,
    /// When memory was last looked at, and when a turn last ended, in milliseconds.
    looked: AtomicU64,
    turned: AtomicU64,
}

impl Beyond {
    /// On a machine of which nothing is known yet.
    pub fn new(machine: Arc<dyn Boot>) -> Self {
        Self { machine, looked: AtomicU64::new(0), turned: AtomicU64::new(0) }
    }

    /// Looks whether a store is larger than memory. Costs a few reads of small files if it is not small.
    pub fn look(&self, store: &Store<impl Medium>, now: Millis) {
        let Some(residency) = store.words.residency() else { return };
        self.looked.store(now.get(), Ordering::Relaxed);
        let bytes = store.granted();
        if bytes <= self.machine.surely_held() {
            residency.end();
        } else if let Ok(memory) = self.machine.memory() {
            match (is_beyond(bytes, memory, residency.is_on()), residency.is_on()) {
                (true, false) => residency.begin(memory),
                (false, true) => residency.end(),
                _ => {}
            }
        }
    }

    /// The same, if that was some time ago. Ends turns, too.
    pub fn look_now_and_then(&self, store: &Store<impl Medium>, now: Millis) {
        let Some(residency) = store.words.residency() else { return };
        if is_due(&self.looked, now, LOOK_MS) {
            self.look(store, now);
        }
        if residency.is_on() && is_due(&self.turned, now, TURN_MS) {
            self.turned.store(now.get(), Ordering::Relaxed);
            residency.next_turn();
        }
    }
}

/// Whether so many milliseconds passed since a moment, or the clock went back before it.
fn is_due(since: &AtomicU64, now: Millis, millis: u64) -> bool {
    let since = since.load(Ordering::Relaxed);
    !(since..since.saturating_add(millis)).contains(&now.get())
}

/// Whether a store of so many bytes is larger than the half of memory that it may count on: others want some.
/// If it was, it has to be smaller by a quarter before it counts as fitting again.
fn is_beyond(store: u64, memory: u64, was: bool) -> bool {
    let half = memory / 2;
    store > if was { half - half / 4 } else { half }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_beyond_memory_from_half_of_it_on_and_stays_so_for_a_while() {
        let memory = 1 << 30;
        assert!(!is_beyond(512 << 20, memory, false));
        assert!(is_beyond((512 << 20) + 1, memory, false));
        assert!(is_beyond(400 << 20, memory, true));
        assert!(!is_beyond(384 << 20, memory, true));
        assert!(is_beyond(1, 0, false));
        assert!(!is_beyond(u64::MAX / 2, u64::MAX, false));
    }

    #[test]
    fn a_look_is_due_after_some_time_and_when_the_clock_goes_back() {
        let looked = AtomicU64::new(10_000);
        let due = |now| is_due(&looked, Millis::new(now), 5000);
        assert!(!due(10_000) && !due(14_999));
        assert!(due(15_000) && due(9_999));
        assert!(is_due(&AtomicU64::new(u64::MAX), Millis::new(0), 5000));
    }
}
