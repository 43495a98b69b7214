//! The verb `run`: every test of the chosen kinds, again and again with new seeds, until the time is
//! used up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;

use crate::binaries::{self, Binary};
use crate::job::{self, End, Job};
use crate::kinds::{self, By, KINDS, Kind, Part};
use crate::said::Said;
use crate::{table, tools};

/// The longest that a test runs with one seed.
const LONGEST: u64 = 120;
/// How much longer than asked for a test may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(600);

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

/// A failed run, and how to see it again.
#[derive(Clone, Debug, Serialize)]
pub struct Violation {
    /// The test or target.
    pub test: String,
    /// The command that repeats it.
    pub repeat: String,
    /// All that it printed.
    pub log: PathBuf,
}

/// What one kind came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Shown {
    /// Which.
    pub kind: String,
    /// What it shows.
    pub shows: String,
    /// Different tests and targets.
    pub tests: u64,
    /// Cases in all, and by what was counted.
    pub cases: u64,
    /// Cases by what was counted.
    pub evidence: BTreeMap<String, u64>,
    /// What broke a promise.
    pub violations: Vec<Violation>,
    /// What could not be done here.
    pub skipped: Vec<String>,
    /// Seconds that it took.
    pub seconds: u64,
}

/// What all kinds share.
struct Proof {
    root: PathBuf,
    target: PathBuf,
    logs: PathBuf,
    binaries: Vec<Binary>,
    seed: u64,
    runs: AtomicU64,
}

/// Runs the proof; whether no promise was broken and every kind had something to run.
pub fn run(options: &Options) -> Result<bool> {
    let chosen = chosen(&options.kinds)?;
    let root = binaries::root()?;
    let target = binaries::target_directory(&root)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?;
    let seed = options.seed.unwrap_or(now.as_micros() as u64 & 0xFFFF_FFFF);
    eprintln!("seed: {seed}");
    let logs = target.join("proof-logs").join(format!("{}", now.as_secs()));
    fs::create_dir_all(&logs)?;
    let parts: BTreeSet<Part> = chosen.iter().filter_map(|kind| kind.by.part()).collect();
    let parts: Vec<Part> = parts.into_iter().collect();
    let binaries = binaries::build(&root, &target, &options.profile, &parts)?;
    let proof = Proof { root, target, logs, binaries, seed, runs: AtomicU64::new(0) };

    let shares: u64 = chosen.iter().map(|kind| kind.share).sum();
    let all = Duration::from_secs(options.minutes * 60 * options.jobs);
    let waiting = Mutex::new(chosen.iter().rev().copied().collect::<Vec<_>>());
    let results = Mutex::new(Vec::new());
    let worker = || -> Result<()> {
        loop {
            let next = lock(&waiting).pop();
            let Some(kind) = next else { return Ok(()) };
            let budget = all.mul_f64(kind.share as f64 / shares as f64);
            let result = proof.kind(kind, budget)?;
            lock(&results).push(result);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..options.jobs).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|result| KINDS.iter().position(|kind| kind.name == result.kind));
    table::results(&results);
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&results)?;
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(results.iter().all(|result| {
        result.violations.is_empty() && (result.tests > 0 || !result.skipped.is_empty())
    }))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

impl Proof {
    /// Everything of one kind, for about `budget`.
    fn kind(&self, kind: &Kind, budget: Duration) -> Result<Shown> {
        let begun = Instant::now();
        let mut result =
            Shown { kind: kind.name.into(), shows: kind.shows.into(), ..Shown::default() };
        match kind.by {
            By::Tests(part, modules) => self.tests(kind, part, modules, budget, &mut result)?,
            By::TestsAndTargets(part, modules) => {
                self.tests(kind, part, modules, budget / 2, &mut result)?;
                self.targets(budget / 2, &mut result)?;
            }
            By::Miri(filters) => self.miri(filters, budget, &mut result)?,
        }
        result.seconds = begun.elapsed().as_secs();
        Ok(result)
    }

    /// The next seed; small enough that a test may add to it.
    fn next_seed(&self) -> u64 {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let mixed = (self.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
            .wrapping_mul(0xD6E8_FEB8_6659_FD93);
        mixed >> 24
    }

    /// Tests one after the other, each with its own seed, until the time is used up.
    fn tests(
        &self,
        kind: &Kind,
        part: Part,
        modules: &[&str],
        budget: Duration,
        result: &mut Shown,
    ) -> Result<()> {
        let binary = self.binaries.iter().find(|binary| binary.part == part);
        let binary = binary.with_context(|| format!("cargo built no tests of {}", part.name()))?;
        let mut tests: Vec<&str> = binary
            .tests
            .iter()
            .map(String::as_str)
            .filter(|test| kinds::is_in(test, modules))
            .collect();
        result.tests += tests.len() as u64;
        let end = Instant::now() + budget;
        let mut again = false;
        let slice = (budget.as_secs() / tests.len().max(1) as u64).clamp(1, LONGEST);
        while !tests.is_empty() {
            let mut gone = Vec::new();
            for &test in &tests {
                let seed = self.next_seed();
                let mut command = Command::new(&binary.path);
                let variables = [("LARDER_TEST_SECONDS", slice), ("LARDER_TEST_SEED_BASE", seed)];
                command.current_dir(&self.root).args(["--exact", test, "--nocapture"]);
                command.envs(variables.map(|(name, value)| (name, value.to_string())));
                let said = variables.map(|(name, value)| format!("{name}={value}")).join(" ");
                let repeat = repeat(part, test, &said);
                let log = self.log(kind.name, test, seed);
                let deadline = PATIENCE + Duration::from_secs(3 * slice);
                let job = job::run(command, &log, deadline)?;
                if !job.said.skipped.is_empty() && job.said.evidence.is_empty() {
                    gone.push(test);
                }
                self.count(kind, test, repeat, job, result)?;
                // However short the time, each runs once.
                if again && Instant::now() >= end {
                    return Ok(());
                }
            }
            // What cannot be done here is not asked again.
            tests.retain(|test| !gone.contains(test));
            again = true;
            if Instant::now() >= end {
                break;
            }
        }
        Ok(())
    }

    /// The targets of cargo-fuzz, each for its part of the time.
    fn targets(&self, budget: Duration, result: &mut Shown) -> Result<()> {
        let targets = match tools::fuzz_targets(&self.root, &self.target) {
            Ok(targets) => targets,
            Err(why) => {
                result.skipped.push(why);
                return Ok(());
            }
        };
        result.tests += targets.len() as u64;
        let seconds = (budget.as_secs() / targets.len().max(1) as u64).max(1);
        for target in &targets {
            let seed = self.next_seed();
            let command = tools::fuzz(&self.root, &self.target, target, seconds, seed);
            let repeat = format!("cargo +nightly fuzz run {target} (the log names the input)");
            let log = self.log("fuzz", target, seed);
            let mut job = job::run(command, &log, PATIENCE + Duration::from_secs(2 * seconds))?;
            let executed = (String::from("fuzz"), String::from("inputs run by a fuzzer"));
            job.said.evidence.insert(executed, job.said.executions);
            self.count_said(target, repeat, job, result)?;
        }
        Ok(())
    }

    fn miri(&self, filters: &[&str], budget: Duration, result: &mut Shown) -> Result<()> {
        let command = match tools::miri(&self.root, &self.target, filters) {
            Ok(command) => command,
            Err(why) => {
                result.skipped.push(why);
                return Ok(());
            }
        };
        let repeat = format!("cargo +nightly miri test -p larder --lib -- {}", filters.join(" "));
        let mut job = job::run(command, &self.log("miri", "lib", 0), budget + 3 * PATIENCE)?;
        result.tests += job.said.passed;
        let passed = (String::from("miri"), String::from("unit tests under Miri"));
        job.said.evidence.insert(passed, job.said.passed);
        self.count_said("lib", repeat, job, result)
    }

    fn log(&self, kind: &str, test: &str, seed: u64) -> PathBuf {
        self.logs.join(format!("{kind}-{}-{seed}.log", test.replace("::", "-")))
    }

    fn count(
        &self,
        kind: &Kind,
        test: &str,
        repeat: String,
        mut job: Job,
        to: &mut Shown,
    ) -> Result<()> {
        if kind.test_is_case && job.said.evidence.is_empty() {
            let case = (kind.name.to_owned(), String::from("models explored"));
            job.said.evidence.insert(case, job.said.passed);
        }
        self.count_said(test, repeat, job, to)
    }

    /// Adds what a run said to the result; the log of one that was in order is not kept.
    fn count_said(&self, test: &str, repeat: String, job: Job, to: &mut Shown) -> Result<()> {
        let Said { evidence, skipped, .. } = job.said;
        let cases: u64 = evidence.values().sum();
        for ((_, what), cases) in evidence {
            *to.evidence.entry(what).or_default() += cases;
        }
        to.cases += cases;
        for why in skipped {
            if !to.skipped.contains(&why) {
                to.skipped.push(why);
            }
        }
        let seconds = job.took.as_secs();
        if job.end == End::Passed {
            eprintln!("{}: {test}: {cases} cases, {seconds} s", to.kind);
            remove(&job.log)?;
        } else {
            eprintln!("{}: {test}: {:?} after {seconds} s\n  repeat: {repeat}", to.kind, job.end);
            to.violations.push(Violation { test: test.into(), repeat, log: job.log });
        }
        Ok(())
    }
}

/// The command that repeats a run, for those who have not this binary.
fn repeat(part: Part, test: &str, variables: &str) -> String {
    let part = if part == Part::Lib { "--lib" } else { "--test it" };
    format!("{variables} cargo test --profile proof -p larder {part} -- --exact {test} --nocapture")
}

fn remove(log: &Path) -> Result<()> {
    fs::remove_file(log).with_context(|| format!("cannot remove {}", log.display()))
}
