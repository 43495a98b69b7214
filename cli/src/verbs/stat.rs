//! `stat`: a store in numbers.

use std::path::PathBuf;

use clap::Args;
use larder::Stats;
use serde::Serialize;

use crate::answer::Answer;
use crate::failure::Failure;
use crate::output::Output;
use crate::store::open_to_read;
use crate::text;

/// Show limits, sizes and counters
#[derive(Args, Debug)]
pub struct Stat {
    /// The cache's directory
    directory: PathBuf,
}

/// What `--json` prints: the fields of [`Stats`]. Where there is no limit, it is `null`.
#[derive(Serialize)]
struct Report {
    directory: String,
    other_boot: bool,
    entries: u64,
    max_entries: Option<u64>,
    max_bytes: u64,
    time_to_live_ms: Option<u64>,
    live_bytes: u64,
    used_bytes: u64,
    log_bytes: u64,
    index_bytes: u64,
    segments_used: u64,
    segments: u64,
    segment_bytes: u64,
    hits: u64,
    misses: u64,
    inserts: u64,
    removes: u64,
    evictions: u64,
    expirations: u64,
    moves: u64,
    bytes_put: u64,
    bytes_moved: u64,
    damaged: u64,
    unstored: u64,
    view_copies: u64,
    syncs: u64,
    upkeep_errors: u64,
}

impl Report {
    fn new(directory: String, other_boot: bool, stats: &Stats) -> Self {
        Self {
            directory,
            other_boot,
            entries: stats.entries,
            max_entries: (stats.max_entries != u64::MAX).then_some(stats.max_entries),
            max_bytes: stats.max_bytes,
            time_to_live_ms: stats.time_to_live_ms,
            live_bytes: stats.live_bytes,
            used_bytes: stats.used_bytes,
            log_bytes: stats.log_bytes,
            index_bytes: stats.index_bytes,
            segments_used: stats.segments_used,
            segments: stats.segments,
            segment_bytes: stats.segment_bytes,
            hits: stats.hits,
            misses: stats.misses,
            inserts: stats.inserts,
            removes: stats.removes,
            evictions: stats.evictions,
            expirations: stats.expirations,
            moves: stats.moves,
            bytes_put: stats.bytes_put,
            bytes_moved: stats.bytes_moved,
            damaged: stats.damaged,
            unstored: stats.unstored,
            view_copies: stats.view_copies,
            syncs: stats.syncs,
            upkeep_errors: stats.upkeep_errors,
        }
    }

    /// What is printed without `--json`: a name and a value a line.
    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = self.sizes();
        lines.extend(self.counters());
        lines
    }

    fn sizes(&self) -> Vec<(&'static str, String)> {
        let limit =
            |limit: Option<u64>| limit.map_or("no limit".into(), |n| format!("at most {n}"));
        vec![
            ("directory", self.directory.clone()),
            ("entries", format!("{} ({})", self.entries, limit(self.max_entries))),
            (
                "disk",
                format!(
                    "{} ({} log, {} index; at most {})",
                    text::size(self.log_bytes + self.index_bytes),
                    text::size(self.log_bytes),
                    text::size(self.index_bytes),
                    text::size(self.max_bytes)
                ),
            ),
            (
                "records",
                format!(
                    "{} live of {} in use",
                    text::size(self.live_bytes),
                    text::size(self.used_bytes)
                ),
            ),
            (
                "segments",
                format!(
                    "{} of {} in use, {} each",
                    self.segments_used,
                    self.segments,
                    text::size(self.segment_bytes)
                ),
            ),
            ("time to live", self.time_to_live_ms.map_or("forever".into(), text::time)),
        ]
    }

    fn counters(&self) -> Vec<(&'static str, String)> {
        let reads = self.hits + self.misses;
        let ratio = self.hits as f64 * 100.0 / reads.max(1) as f64;
        vec![
            ("reads", format!("{} hits, {} misses ({ratio:.1} %)", self.hits, self.misses)),
            (
                "writes",
                format!(
                    "{} inserts ({}), {} removes",
                    self.inserts,
                    text::size(self.bytes_put),
                    self.removes
                ),
            ),
            (
                "dropped",
                format!("{} evicted, {} expired or cleared", self.evictions, self.expirations),
            ),
            ("moved", format!("{} ({})", self.moves, text::size(self.bytes_moved))),
            ("damaged reads", self.damaged.to_string()),
            ("unstored values", self.unstored.to_string()),
            ("copied views", self.view_copies.to_string()),
            ("syncs", self.syncs.to_string()),
            ("upkeep errors", self.upkeep_errors.to_string()),
        ]
    }
}

impl Stat {
    pub fn run(&self, output: &mut Output) -> Result<Answer, Failure> {
        let cache = open_to_read(&self.directory)?;
        let directory = self.directory.display().to_string();
        let report = Report::new(directory, cache.opening().other_boot, &cache.stats());
        if output.json {
            output.object(&report)?;
            return Ok(Answer::Done);
        }
        for (name, value) in report.lines() {
            output.line(format_args!("{name:<16} {value}"))?;
        }
        if report.other_boot {
            output.line("Not used since the machine started: sizes of records are estimates.")?;
        }
        Ok(Answer::Done)
    }
}
