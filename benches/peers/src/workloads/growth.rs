//! The slowest put while a store grows. The kernel may keep a thread waiting, for the disk or for other
//! programs: so the thread's own processor time is taken with each put, too.

use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};

use super::bench::Bench;
use crate::machine;
use crate::outcome::Outcome;
use crate::timing::Latencies;

/// A put that takes longer is counted.
const SLOW: Duration = Duration::from_millis(1);

pub fn grow(bench: &mut Bench<'_>) -> Result<Outcome> {
    let (mut outcome, mut latencies) = (Outcome::default(), Latencies::new()?);
    let memory = machine::anonymous_bytes()?;
    let peer = bench.open()?;
    let (mut slowest, mut slow, mut done) = (Duration::ZERO, 0, 0);
    let begun = Instant::now();
    let mut before = processor_time();
    while done < bench.setup.entries && begun.elapsed() < bench.cell.limit * 10 {
        latencies.time(|| bench.put(&*peer, done))?;
        let after = processor_time();
        let took = after.saturating_sub(before);
        (slowest, slow) = (slowest.max(took), slow + u64::from(took > SLOW));
        (before, done) = (after, done + 1);
    }
    latencies.write(&mut outcome);
    outcome.operations = done;
    outcome.rate = Some(done as f64 / begun.elapsed().as_secs_f64());
    outcome.details.insert("slowest_processor_ns".to_owned(), slowest.as_nanos() as f64);
    outcome.details.insert("over_1_ms".to_owned(), slow as f64);
    outcome.notes.push(format!("slowest put {slowest:.1?} of processor time, {slow} over 1 ms"));
    bench.weigh(&*peer, memory, done as f64, &mut outcome)?;
    Ok(outcome)
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
