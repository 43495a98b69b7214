//! The verb `run`: every test of the chosen kinds, again and again with new seeds, until the time is
//! used up.

mod miri;
mod proof;
mod seeded;
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::binaries;
use crate::kinds::{self, By, KINDS, Kind, Part};
use crate::outcomes::findings::Findings;
use crate::package::{self, Package};
use crate::show::{progress, tables};
use proof::Proof;
use seeded::Tests;

/// Options of `run`.
#[derive(Args)]
pub struct Options {
    /// How long, in minutes.
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Where the seeds of all runs come from; drawn and printed if it is not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Only these kinds, separated by commas.
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<String>,
    /// Kinds that run side by side.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    jobs: u64,
    /// The profile to build the tests in.
    #[arg(long, default_value = "proof")]
    profile: String,
    /// Also write the results to a file, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Runs the proof; whether no promise was broken and every kind had something to run.
pub fn run(options: &Options) -> Result<bool> {
    let chosen = chosen(&options.kinds)?;
    let proof = prepare(options, &chosen)?;
    let mut all = side_by_side(options, &proof, &chosen)?;
    all.sort_by_key(|findings| KINDS.iter().position(|kind| kind.name == findings.kind));
    tables::findings(&all);
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&all)?;
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(all.iter().all(Findings::hold))
}

fn chosen(names: &[String]) -> Result<Vec<&'static Kind>> {
    if names.is_empty() {
        return Ok(KINDS.iter().collect());
    }
    let found = names.iter().map(|name| match kinds::named(name) {
        Some(kind) => Ok(kind),
        None => bail!("no such kind: {name}; there are {}", KINDS.map(|kind| kind.name).join(", ")),
    });
    found.collect()
}

/// Draws the seed, makes room for logs and builds the tests.
fn prepare(options: &Options, chosen: &[&Kind]) -> Result<Proof> {
    let package = Package::at(package::root()?)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?;
    let seed = options.seed.unwrap_or(now.as_micros() as u64 & 0xFFFF_FFFF);
    progress::seed(seed);
    let logs = package.target_directory.join("proof-logs").join(now.as_secs().to_string());
    fs::create_dir_all(&logs)?;
    let parts: BTreeSet<Part> = chosen.iter().filter_map(|kind| kind.by.part()).collect();
    let parts: Vec<Part> = parts.into_iter().collect();
    let binaries = binaries::build(&package, &options.profile, &parts)?;
    Ok(Proof::new(package, binaries, logs, seed))
}

/// Runs the kinds, so many at a time, each for its share of the time.
fn side_by_side(options: &Options, proof: &Proof, chosen: &[&Kind]) -> Result<Vec<Findings>> {
    let shares: u64 = chosen.iter().map(|kind| kind.share).sum();
    let time = Duration::from_secs(options.minutes * 60 * options.jobs);
    let waiting = Mutex::new(chosen.iter().rev().collect::<Vec<_>>());
    let all = Mutex::new(Vec::new());
    let worker = || -> Result<()> {
        loop {
            let next = lock(&waiting).pop();
            let Some(kind) = next else { return Ok(()) };
            let budget = time.mul_f64(kind.share as f64 / shares as f64);
            let findings = one_kind(proof, kind, budget)?;
            lock(&all).push(findings);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..options.jobs).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(all.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Everything of one kind, for about `budget`.
fn one_kind(proof: &Proof, kind: &Kind, budget: Duration) -> Result<Findings> {
    let begun = Instant::now();
    let mut findings = Findings::new(kind);
    match kind.by {
        By::Tests(part, modules) => {
            Tests::of(proof, kind, part, modules)?.repeat(budget, &mut findings)?;
        }
        By::TestsAndTargets(part, modules) => {
            Tests::of(proof, kind, part, modules)?.repeat(budget / 2, &mut findings)?;
            targets::run(proof, budget / 2, &mut findings)?;
        }
        By::Miri(filters) => miri::run(proof, filters, budget, &mut findings)?,
    }
    findings.seconds = begun.elapsed().as_secs();
    Ok(findings)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
