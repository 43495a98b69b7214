//! Where mutated sources are built and run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::binaries::{self, Binary};
use crate::job;
use crate::kinds::Part;
use crate::mutation::Mutation;
use crate::outcomes::verdict::Verdict;
use crate::package::Package;
use crate::show::progress;
use crate::tree;

/// How much longer than asked for tests may take before they count as hung.
const PATIENCE: Duration = Duration::from_secs(180);

/// A package, and the copy of it that is broken.
pub struct Bench {
    original: Package,
    copy: Package,
    logs: PathBuf,
}

impl Bench {
    /// Makes room beside what cargo has built of a package.
    pub fn new(original: Package) -> Result<Self> {
        // A directory of its own to build in: cargo takes two copies of a package for the same.
        let place = original.target_directory.join("proof-mutations");
        let copy = Package { root: place.join("tree"), target_directory: place.join("build") };
        let logs = place.join("logs");
        fs::create_dir_all(&logs)?;
        Ok(Self { original, copy, logs })
    }

    /// Makes the copy the same as the original.
    pub fn reset(&self) -> Result<()> {
        tree::copy(&self.original.root, &self.copy.root)
    }

    /// The tests must pass on the source as it is. Returns the mutations of which nothing can be said,
    /// and why.
    pub fn check_unbroken(&self, chosen: &[Mutation]) -> Result<BTreeMap<String, Verdict>> {
        self.reset()?;
        let parts: BTreeSet<Part> = chosen.iter().map(|mutation| mutation.part).collect();
        let built = self.build(&parts.into_iter().collect::<Vec<_>>())?;
        // Mutations that the same tests catch are checked once.
        let mut known = BTreeMap::new();
        let mut unable = BTreeMap::new();
        for mutation in chosen {
            let tests = (mutation.part, mutation.tests.clone(), mutation.seconds);
            let verdict = match known.get(&tests) {
                Some(verdict) => Option::clone(verdict),
                None => {
                    progress::unbroken(mutation);
                    let verdict = self.test(mutation, &built, "unbroken")?.of_unbroken();
                    known.insert(tests, verdict.clone());
                    verdict
                }
            };
            if let Some(verdict) = verdict {
                unable.insert(mutation.name.clone(), verdict);
            }
        }
        Ok(unable)
    }

    /// Breaks the copy by one mutation, and runs the tests that must notice.
    pub fn try_one(&self, mutation: &Mutation) -> Result<Verdict> {
        self.reset()?;
        let patch = File::open(&mutation.path)?;
        let mut command = Command::new("patch");
        command.args(["-p1", "--silent", "--no-backup-if-mismatch", "--forward"]);
        let applied = command.current_dir(&self.copy.root).stdin(patch).status();
        if !applied.context("cannot run patch")?.success() {
            return Ok(Verdict::Error("the patch does not apply".into()));
        }
        match self.build(&[mutation.part]) {
            Ok(built) => self.test(mutation, &built, &mutation.name),
            Err(error) => Ok(Verdict::Error(format!("{error:#}"))),
        }
    }

    fn build(&self, parts: &[Part]) -> Result<Vec<Binary>> {
        binaries::build(&self.copy, "test", parts)
    }

    /// Runs the tests that must notice; the log is named after `name`.
    fn test(&self, mutation: &Mutation, built: &[Binary], name: &str) -> Result<Verdict> {
        let Some(binary) = built.iter().find(|binary| binary.part == mutation.part) else {
            return Ok(Verdict::Error("cargo built no such part".into()));
        };
        let tests = mutation.selected(&binary.tests);
        if tests.is_empty() {
            return Ok(Verdict::Error("no tests".into()));
        }
        let mut command = Command::new(&binary.path);
        command.current_dir(&self.copy.root).args(["--nocapture", "--exact"]).args(&tests);
        if let Some(seconds) = mutation.seconds {
            command.env("LARDER_TEST_SECONDS", seconds.to_string());
        }
        let asked = mutation.seconds.unwrap_or(0).saturating_mul(tests.len() as u64);
        let log = self.logs.join(format!("{}-{name}.log", mutation.part.name()));
        let job = job::run(command, &log, PATIENCE + Duration::from_secs(3 * asked))?;
        Ok(Verdict::of(&job, tests.len(), mutation.hangs))
    }
}
