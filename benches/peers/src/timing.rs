//! How operations are timed.
//!
//! An operation of a hundred nanoseconds cannot be timed on its own without timing the clock as well. So
//! operations run in blocks. Every other block is timed as a whole, which gives the operations a second: in
//! it the processor begins the next operation while the last one still waits for memory. In the blocks
//! between, each operation is timed by the processor's counter, less what reading the counter takes, which
//! gives the latencies of operations one after the other.

use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use quanta::Clock;

use crate::outcome::Outcome;

/// Operations of a block, at most.
const BLOCK: u64 = 512;
/// Blocks of a short run, at least, so that both kinds are spread over it.
const BLOCKS: u64 = 64;
/// Blocks grow until they take so long, so that slow operations are stopped in time.
const SHORT: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Latencies, and the clock they are taken with.
pub struct Latencies {
    clock: Clock,
    /// Nanoseconds between two looks at the clock with nothing between them.
    overhead: u64,
    histogram: Histogram<u64>,
}

impl Latencies {
    pub fn new() -> Result<Self> {
        let mut histogram = Histogram::new_with_bounds(1, LONGEST.as_nanos() as u64, 3)?;
        // Writes to all of it, so that its pages are not taken for the store's.
        histogram.clear();
        let clock = Clock::new();
        let mut empty: Vec<u64> = (0..10_001)
            .map(|_| {
                let begun = now(&clock);
                clock.delta_as_nanos(begun, now(&clock))
            })
            .collect();
        empty.sort_unstable();
        let overhead = empty[empty.len() / 2];
        Ok(Self { clock, overhead, histogram })
    }

    /// Carries one operation out, timed.
    #[inline]
    pub fn time<T>(&mut self, operation: impl FnOnce() -> T) -> T {
        let begun = now(&self.clock);
        let result = operation();
        let nanos = self.clock.delta_as_nanos(begun, now(&self.clock));
        self.histogram.saturating_record(nanos.saturating_sub(self.overhead).max(1));
        result
    }

    pub fn write(&self, outcome: &mut Outcome) {
        if self.histogram.is_empty() {
            return;
        }
        let at = |quantile| Some(self.histogram.value_at_quantile(quantile));
        outcome.mean_ns = Some(self.histogram.mean());
        outcome.p50_ns = at(0.5);
        outcome.p99_ns = at(0.99);
        outcome.p999_ns = at(0.999);
        outcome.max_ns = Some(self.histogram.max());
    }
}

/// Runs operations 0, 1, 2 and so on until they are done or the time is up, and writes down what they took.
pub fn run(
    operations: u64,
    limit: Duration,
    latencies: &mut Latencies,
    outcome: &mut Outcome,
    mut operation: impl FnMut(u64) -> Result<()>,
) -> Result<()> {
    let most = (operations / BLOCKS).clamp(1, BLOCK);
    let mut block = 1;
    let (mut done, mut plain, mut plain_time) = (0, 0, Duration::ZERO);
    let begun = Instant::now();
    while done < operations && begun.elapsed() < limit {
        let end = (done + block).min(operations);
        let start = Instant::now();
        for i in done..end {
            operation(i)?;
        }
        let took = start.elapsed();
        plain_time += took;
        plain += end - done;
        done = (end + block).min(operations);
        for i in end..done {
            latencies.time(|| operation(i))?;
        }
        if took < SHORT {
            block = (block * 2).min(most);
        }
    }
    outcome.operations = done;
    outcome.rate = Some(plain as f64 / plain_time.as_secs_f64());
    latencies.write(outcome);
    if done < operations {
        outcome.notes.push(format!("stopped after {done} of {operations} operations"));
    }
    Ok(())
}

/// The counter, read once everything before is done: else it would be read while an operation still waits
/// for memory.
#[inline]
fn now(clock: &Clock) -> u64 {
    wait_for_loads();
    let now = clock.raw();
    wait_for_loads();
    now
}

#[inline]
fn wait_for_loads() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has it.
    unsafe {
        std::arch::x86_64::_mm_lfence();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_operations_are_stopped_soon_after_the_limit() {
        let (mut outcome, mut latencies) = (Outcome::default(), Latencies::new().unwrap());
        let slow = |_| {
            std::thread::sleep(SHORT);
            Ok(())
        };
        run(1_000_000, SHORT * 5, &mut latencies, &mut outcome, slow).unwrap();
        // Each takes a millisecond at least, and there are two between looks at the time.
        assert!(outcome.operations <= 6, "{}", outcome.operations);
    }

    #[test]
    fn all_operations_are_carried_out_once_and_in_order() {
        let (mut outcome, mut latencies) = (Outcome::default(), Latencies::new().unwrap());
        let mut next = 0;
        let limit = Duration::from_secs(600);
        run(70_001, limit, &mut latencies, &mut outcome, |i| {
            assert_eq!(i, next);
            next += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!((next, outcome.operations), (70_001, 70_001));
    }
}
