//! Time, memory and disk.
//!
//! Operations of a hundred nanoseconds cannot each be timed without timing the clock. So they run in
//! blocks: every other block is timed as a whole, which gives the operations a second; in the others each
//! operation is timed by the processor's counter, less what reading it takes, which gives the latencies. These
//! are of operations one after the other: in the other blocks the processor begins the next while the last
//! still waits for memory.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use quanta::Clock;

use crate::cell::Outcome;

/// Operations of a block, at most.
const BLOCK: u64 = 512;
/// The blocks of a short run are as many at least, so that both kinds are spread over it.
const BLOCKS: u64 = 64;
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

/// Now, once everything before is done: else the counter would be read while an operation still waits for
/// memory.
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

/// Runs operations 0, 1, 2 and so on until they are done or the time is up, and writes down what they took.
pub fn run(
    operations: u64,
    limit: Duration,
    latencies: &mut Latencies,
    outcome: &mut Outcome,
    mut operation: impl FnMut(u64) -> Result<()>,
) -> Result<()> {
    let block = (operations / BLOCKS).clamp(1, BLOCK);
    let (mut done, mut plain, mut plain_time) = (0, 0, Duration::ZERO);
    let begun = Instant::now();
    while done < operations && begun.elapsed() < limit {
        let end = (done + block).min(operations);
        let start = Instant::now();
        for i in done..end {
            operation(i)?;
        }
        plain_time += start.elapsed();
        plain += end - done;
        done = (end + block).min(operations);
        for i in end..done {
            latencies.time(|| operation(i))?;
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

/// Bytes of this process's memory that are no file's.
pub fn anonymous_bytes() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    kibibytes(&status, "RssAnon:").context("no RssAnon in /proc/self/status")
}

/// Bytes that the kernel has yet to write.
fn dirty_bytes() -> Result<u64> {
    let memory = fs::read_to_string("/proc/meminfo")?;
    let of = |name| kibibytes(&memory, name).unwrap_or(0);
    Ok(of("Dirty:") + of("Writeback:"))
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// Few enough for the disk to be idle soon.
const CLEAN: u64 = 8 << 20;

/// Waits until what was written is on disk: otherwise the next is throttled for what the last has
/// written. Others may keep the disk busy, so it waits no longer
/// than `limit`; nothing at all if that is zero.
pub fn settle(limit: Duration) -> Result<()> {
    if limit.is_zero() {
        return Ok(());
    }
    let begun = Instant::now();
    rustix::fs::sync();
    while dirty_bytes()? > CLEAN && begun.elapsed() < limit {
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Has so many bytes of memory in hand for files, or half of what is free. The host of a virtual machine
/// takes back what is not used, and the first touch of a page then costs ten times as much: each would pay
/// for what the last one freed.
pub fn warm(directory: &Path, bytes: u64) -> Result<()> {
    let memory = fs::read_to_string("/proc/meminfo")?;
    let free = kibibytes(&memory, "MemAvailable:").unwrap_or(0);
    let file = tempfile::tempfile_in(directory)?;
    file.set_len(bytes.min(free / 2).max(1))?;
    let map = memmap2::MmapOptions::new().map_raw(&file)?;
    map.advise(memmap2::Advice::PopulateWrite)?;
    Ok(())
}

/// Bytes of disk that all files below a directory take.
pub fn disk_bytes(directory: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // Peers remove files in the background.
        let Ok(metadata) = entry.metadata() else { continue };
        sum += metadata.blocks() * 512;
        if metadata.is_dir() {
            sum += disk_bytes(&entry.path())?;
        }
    }
    Ok(sum)
}
