//! Waiting for what tells nobody when it has come: naps that grow longer, up to a deadline.

use std::thread;
use std::time::{Duration, Instant};

/// The first nap and the longest.
const NAPS: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(5));

/// A wait, nap by nap.
#[derive(Debug)]
pub struct Naps {
    begun: Instant,
    deadline: Duration,
    next: Duration,
}

impl Naps {
    /// A wait that ends after `deadline`.
    pub fn until(deadline: Duration) -> Self {
        Self { begun: Instant::now(), deadline, next: NAPS.0 }
    }

    /// Lets the deadline begin again.
    pub fn begin_again(&mut self) {
        self.begun = Instant::now();
    }

    /// Whether the deadline has passed.
    pub fn are_over(&self) -> bool {
        self.begun.elapsed() >= self.deadline
    }

    /// Sleeps a little; `false`, at once, if the deadline has passed.
    pub fn nap(&mut self) -> bool {
        if self.are_over() {
            return false;
        }
        thread::sleep(self.next);
        self.next = (self.next * 2).min(NAPS.1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_without_time_naps_not_at_all_and_one_with_time_ends() {
        assert!(!Naps::until(Duration::ZERO).nap());
        let mut naps = Naps::until(Duration::from_millis(3));
        let mut count = 0;
        while naps.nap() {
            count += 1;
        }
        assert!((1..=30).contains(&count), "{count} naps");
        assert!(naps.are_over() && !Naps::until(Duration::MAX).are_over());
    }
}
