//! The verb `mutations`: each patch in turn in a copy of the tree, and the tests that must notice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::binaries::{self, Binary};
use crate::job::{self, End};
use crate::kinds::Part;
use crate::mutation::{self, Mutation};
use crate::table;
use crate::tree;

/// How much longer than asked for tests may take before they count as hung.
const PATIENCE: Duration = Duration::from_secs(180);

/// Options of `mutations`.
#[derive(Args)]
pub struct Options {
    /// Only these, separated by commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only those that this kind must catch.
    #[arg(long)]
    kind: Option<String>,
    /// Do not check first that the tests pass on the source as it is.
    #[arg(long)]
    unchecked: bool,
    /// Print the list, and do nothing.
    #[arg(long)]
    list: bool,
}

/// What became of a mutation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A test failed, as it must.
    Caught(String),
    /// All tests passed.
    Missed,
    /// The tests that must notice cannot run here.
    Skipped(String),
    /// It says nothing about the tests: the patch is out of date, or the like.
    Error(String),
}

/// Where mutated sources are built and run.
struct Bench {
    root: PathBuf,
    target: PathBuf,
    /// The copy that is broken.
    tree: PathBuf,
    logs: PathBuf,
}

/// Applies the mutations; whether all were caught.
pub fn mutations(options: &Options) -> Result<bool> {
    let root = binaries::root()?;
    let mut chosen = mutation::read_all(&root.join("proof/mutations"))?;
    for name in &options.only {
        if !chosen.iter().any(|mutation| mutation.name == *name) {
            bail!("no such mutation: {name}");
        }
    }
    chosen.retain(|mutation| {
        (options.only.is_empty() || options.only.contains(&mutation.name))
            && options.kind.as_ref().is_none_or(|kind| *kind == mutation.kind)
    });
    if options.list {
        table::mutations(&chosen);
        return Ok(true);
    }
    let target = binaries::target_directory(&root)?;
    // A directory of its own to build in: cargo takes two copies of a package for the same.
    let place = target.join("proof-mutations");
    let bench = Bench {
        root,
        tree: place.join("tree"),
        logs: place.join("logs"),
        target: place.join("build"),
    };
    fs::create_dir_all(&bench.logs)?;
    let unable = if options.unchecked { BTreeMap::new() } else { bench.check_unbroken(&chosen)? };
    let mut outcomes = Vec::new();
    for mutation in &chosen {
        let outcome = match unable.get(&mutation.name) {
            Some(unable) => unable.clone(),
            None => bench.try_one(mutation)?,
        };
        eprintln!("{}: {}", mutation.name, table::outcome(&outcome));
        outcomes.push((mutation, outcome));
    }
    tree::copy(&bench.root, &bench.tree)?;
    table::outcomes(&outcomes);
    Ok(outcomes.iter().all(|(_, it)| matches!(it, Outcome::Caught(_) | Outcome::Skipped(_))))
}

impl Bench {
    fn build(&self, parts: &[Part]) -> Result<Vec<Binary>> {
        binaries::build(&self.tree, &self.target, "test", parts)
    }

    /// The tests must pass on the source as it is; those mutations that nothing can be said about,
    /// and why.
    fn check_unbroken(&self, chosen: &[Mutation]) -> Result<BTreeMap<String, Outcome>> {
        tree::copy(&self.root, &self.tree)?;
        let parts: BTreeSet<Part> = chosen.iter().map(|mutation| mutation.part).collect();
        let built = self.build(&parts.into_iter().collect::<Vec<_>>())?;
        let mut known: BTreeMap<(Part, Vec<String>, Option<u64>), Option<Outcome>> =
            BTreeMap::new();
        let mut unable = BTreeMap::new();
        for mutation in chosen {
            let key = (mutation.part, mutation.tests.clone(), mutation.seconds);
            let outcome = match known.get(&key) {
                Some(outcome) => outcome.clone(),
                None => {
                    eprintln!("unbroken: {}", mutation.tests.join(" "));
                    let outcome = match self.test(mutation, &built, "unbroken")? {
                        Outcome::Missed => None,
                        Outcome::Caught(why) => {
                            Some(Outcome::Error(format!("fails unbroken: {why}")))
                        }
                        unable => Some(unable),
                    };
                    known.insert(key, outcome.clone());
                    outcome
                }
            };
            if let Some(outcome) = outcome {
                unable.insert(mutation.name.clone(), outcome);
            }
        }
        Ok(unable)
    }

    fn try_one(&self, mutation: &Mutation) -> Result<Outcome> {
        tree::copy(&self.root, &self.tree)?;
        let patch = fs::File::open(&mutation.path)?;
        let mut command = Command::new("patch");
        command.args(["-p1", "--silent", "--no-backup-if-mismatch", "--forward"]);
        let applied = command.current_dir(&self.tree).stdin(patch).status();
        if !applied.context("cannot run patch")?.success() {
            return Ok(Outcome::Error("the patch does not apply".into()));
        }
        match self.build(&[mutation.part]) {
            Ok(built) => self.test(mutation, &built, &mutation.name),
            Err(error) => Ok(Outcome::Error(format!("{error:#}"))),
        }
    }

    /// Runs the tests that must notice.
    fn test(&self, mutation: &Mutation, built: &[Binary], name: &str) -> Result<Outcome> {
        let Some(binary) = built.iter().find(|binary| binary.part == mutation.part) else {
            return Ok(Outcome::Error("cargo built no such part".into()));
        };
        let tests = mutation.selected(&binary.tests);
        if tests.is_empty() {
            return Ok(Outcome::Error("no tests".into()));
        }
        let mut command = Command::new(&binary.path);
        command.current_dir(&self.tree).args(["--nocapture", "--exact"]).args(&tests);
        if let Some(seconds) = mutation.seconds {
            command.env("LARDER_TEST_SECONDS", seconds.to_string());
        }
        let asked = mutation.seconds.unwrap_or(0).saturating_mul(tests.len() as u64);
        let log = self.logs.join(format!("{}-{name}.log", mutation.part.name()));
        let job = job::run(command, &log, PATIENCE + Duration::from_secs(3 * asked))?;
        let seconds = job.took.as_secs();
        Ok(match job.end {
            End::Failed => Outcome::Caught(format!("{}, {seconds} s", failed(&log))),
            End::Hung if mutation.hangs => Outcome::Caught(format!("no end after {seconds} s")),
            End::Hung => Outcome::Error(format!("no end after {seconds} s")),
            End::Passed if job.said.skipped.len() >= tests.len() => {
                Outcome::Skipped(job.said.skipped.join("; "))
            }
            End::Passed => Outcome::Missed,
        })
    }
}

/// The first test that failed, by its log.
fn failed(log: &std::path::Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let first = text.split("\nfailures:\n").last().and_then(|failures| {
        failures
            .lines()
            .find_map(|line| line.strip_prefix("    ").filter(|name| name.contains("::")))
    });
    first.map_or_else(|| format!("see {}", log.display()), str::to_owned)
}
