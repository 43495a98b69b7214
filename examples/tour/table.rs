//! What the tour prints.

use std::path::Path;
use std::time::Duration;

use larder::Stats;

use crate::catalogue::Catalogue;
use crate::roles::{Audit, Tally};
use crate::shared::{PROCESSES, Result, say};
use crate::watch::Watched;

/// Everything that the table is made of.
pub struct Outcome<'a> {
    pub found: &'a Catalogue,
    pub tally: &'a Tally,
    pub watched: &'a Watched,
    pub stats: &'a Stats,
    pub after_kill: &'a Audit,
    pub last: &'a Audit,
    pub elapsed: Duration,
}

pub fn introduce(found: &Catalogue, cache: &Path, max_bytes: u64, max_entries: u64) -> Result<()> {
    say!(
        "{} files, {}, under {}{}.",
        grouped(found.files.len() as u64),
        size(found.bytes),
        found.root.display(),
        if found.is_cut { " (there are more: enough for a tour)" } else { "" },
    )?;
    if found.unreadable + found.too_large > 0 {
        say!(
            "Skipped: {} that cannot be read, {} larger than the largest entry.",
            grouped(found.unreadable),
            grouped(found.too_large)
        )?;
    }
    say!(
        "The cache in {} may take {} of disk and {} entries.\n",
        cache.display(),
        size(max_bytes),
        grouped(max_entries)
    )?;
    Ok(())
}

pub fn print(outcome: &Outcome<'_>) -> Result<()> {
    calls(outcome)?;
    limits(outcome)?;
    processes(outcome)
}

fn row(name: &str, value: String) -> std::io::Result<()> {
    say!("  {name:<22} {value}")
}

/// How often the cache was called, and how long that took.
fn calls(outcome: &Outcome<'_>) -> Result<()> {
    let Outcome { tally, stats, elapsed, .. } = outcome;
    row(
        "lookups",
        format!(
            "{} ({}/s by {PROCESSES} processes, reading and comparing files included)",
            grouped(tally.lookups),
            grouped(rate(tally.lookups, elapsed.as_nanos() as u64)),
        ),
    )?;
    row(
        "hits",
        format!(
            "{} ({:.1} %), every byte compared",
            grouped(tally.hits),
            percent(tally.hits, tally.lookups)
        ),
    )?;
    row("a hit takes", time_and_flow(tally.hits, tally.hit_bytes, tally.hit_nanoseconds))?;
    row("a put takes", time_and_flow(tally.puts, tally.put_bytes, tally.put_nanoseconds))?;
    row("evictions", grouped(stats.evictions))?;
    let expired = grouped(stats.expirations);
    Ok(row("expired", format!("{expired} collected, without a look at their keys"))?)
}

/// How close the cache came to its limits.
fn limits(outcome: &Outcome<'_>) -> Result<()> {
    let Outcome { watched, stats, .. } = outcome;
    row(
        "disk",
        format!(
            "at most {} of {} ({:.1} %), in {} looks",
            size(watched.most_bytes),
            size(stats.max_bytes),
            percent(watched.most_bytes, stats.max_bytes),
            grouped(watched.looks),
        ),
    )?;
    let (most, max) = (grouped(watched.most_entries), grouped(stats.max_entries));
    Ok(row("entries", format!("at most {most} of {max}"))?)
}

/// What a fresh process found after the kill, and at the end.
fn processes(outcome: &Outcome<'_>) -> Result<()> {
    let Outcome { found, tally, after_kill, last, .. } = outcome;
    row(
        "opening",
        format!(
            "{:.2} ms after the kill, {:.2} ms at the end",
            after_kill.opened_ms(),
            last.opened_ms()
        ),
    )?;
    row(
        "kill survived",
        format!(
            "{} of {} entries of the killed process (at the end {}: eviction goes on)",
            grouped(after_kill.asked_found),
            grouped(after_kill.asked),
            grouped(last.asked_found),
        ),
    )?;
    let changed = tally.changed + after_kill.changed + last.changed;
    if changed > 0 {
        row(
            "not compared",
            format!("{changed} times: {} changed meanwhile", found.root.display()),
        )?;
    }
    Ok(())
}

/// Mean time of a call, and bytes a second.
fn time_and_flow(calls: u64, bytes: u64, nanoseconds: u64) -> String {
    if calls == 0 {
        return "(there was none)".into();
    }
    let microseconds = nanoseconds as f64 / calls as f64 / 1e3;
    let flow = size(rate(bytes, nanoseconds));
    format!("{microseconds:.2} us on average, {} each, {flow}/s", size(bytes / calls))
}

fn rate(count: u64, nanoseconds: u64) -> u64 {
    (count as f64 * 1e9 / nanoseconds.max(1) as f64) as u64
}

fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", bytes as f64 / (1u64 << 20) as f64),
        _ => format!("{:.2} GiB", bytes as f64 / (1u64 << 30) as f64),
    }
}

/// A number with a comma before each three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
