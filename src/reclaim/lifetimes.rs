//! How long what sweeps leave still has to live: a sketch, from which a sweep takes its horizon. If it is
//! wrong, a segment is swept too soon or too late; what is said of it holds all the same.

use crate::format::address::Millis;

/// Parts of each doubling of the time that are told apart.
const PARTS: usize = 4;
/// Doublings of a millisecond up to the moment that never comes.
const DOUBLINGS: usize = 48;
/// Of what a sweep leaves, one part in so many expires before the horizon, by the sketch.
const PART: u64 = 32;
/// The horizon of the first sweep, in milliseconds from then.
const FIRST_HORIZON_MS: u64 = 1000;

/// Units that sweeps left, by how long they still had to live: those of the last sweep, half of those of the
/// one before, and so on.
#[derive(Debug)]
pub struct Lifetimes {
    units: [u64; PARTS * DOUBLINGS],
    all: u64,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { units: [0; PARTS * DOUBLINGS], all: 0 }
    }
}

impl Lifetimes {
    /// The horizon of a sweep that begins now.
    pub fn begin_sweep(&mut self, now: Millis) -> Millis {
        let until = now.after(self.horizon_ms());
        for units in &mut self.units {
            *units /= 2;
        }
        self.all = self.units.iter().sum();
        until
    }

    /// Notes that a sweep left a record.
    pub fn note(&mut self, expiry: Millis, now: Millis, units: u32) {
        let at = match expiry {
            Millis::NEVER => PARTS * DOUBLINGS - 1,
            _ => part(expiry.get().saturating_sub(now.get())),
        };
        self.units[at] += u64::from(units);
        self.all += u64::from(units);
    }

    /// For how long at most one part in [`PART`] expires.
    fn horizon_ms(&self) -> u64 {
        if self.all == 0 {
            return FIRST_HORIZON_MS;
        }
        let mut sum = 0;
        for (part, units) in self.units.iter().enumerate() {
            sum += units;
            if sum * PART > self.all {
                return start(part);
            }
        }
        Millis::NEVER.get()
    }
}

/// The part of a time in milliseconds.
fn part(millis: u64) -> usize {
    let millis = millis.clamp(1, Millis::NEVER.get());
    let doubling = millis.ilog2();
    let fraction = (millis << 2 >> doubling) & 3;
    doubling as usize * PARTS + fraction as usize
}

/// Where a part begins.
fn start(part: usize) -> u64 {
    (4 + (part % PARTS) as u64) << (part / PARTS) >> 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_part_that_begins_before_it_and_not_in_the_next() {
        for millis in (1..5000).chain([1 << 20, (1 << 47) - 1, 1 << 47, (1 << 48) - 1]) {
            let at = part(millis);
            assert!(start(at) <= millis, "{millis}: {at}");
            assert!(
                at + 1 == PARTS * DOUBLINGS || millis < 8 || start(at + 1) > millis,
                "{millis}"
            );
        }
        assert_eq!((part(0), part(u64::MAX)), (0, PARTS * DOUBLINGS - 1));
    }

    #[test]
    fn the_horizon_is_where_a_thirtysecond_of_what_was_left_will_have_expired() {
        let now = Millis::new(1_000_000);
        let mut lifetimes = Lifetimes::default();
        assert_eq!(lifetimes.begin_sweep(now), now.after(FIRST_HORIZON_MS));
        for _ in 0..31 {
            lifetimes.note(Millis::NEVER, now, 10);
        }
        lifetimes.note(now.after(5000), now, 10);
        assert_eq!(lifetimes.begin_sweep(now), now.after(start(PARTS * DOUBLINGS - 1)));
        lifetimes.note(now.after(5000), now, 10);
        lifetimes.note(now.after(70_000), now, 10);
        assert_eq!(lifetimes.begin_sweep(now), now.after(4096), "5,000 is in the part from there");
    }
}
