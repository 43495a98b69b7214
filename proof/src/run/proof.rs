//! What all kinds share: the package and its test binaries, a place for logs, seeds; and how a job is
//! counted.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::binaries::Binary;
use crate::job::{End, Job};
use crate::kinds::Part;
use crate::outcomes::findings::Findings;
use crate::package::Package;
use crate::show::progress;

/// How much longer than asked for a job may take before it counts as hung.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// What all kinds share.
pub struct Proof {
    /// What is proved.
    pub package: Package,
    binaries: Vec<Binary>,
    logs: PathBuf,
    seed: u64,
    /// Seeds drawn so far.
    drawn: AtomicU64,
}

impl Proof {
    /// Nothing is run yet.
    pub fn new(package: Package, binaries: Vec<Binary>, logs: PathBuf, seed: u64) -> Self {
        Self { package, binaries, logs, seed, drawn: AtomicU64::new(0) }
    }

    /// The binary with the tests of a part.
    pub fn binary(&self, part: Part) -> Result<&Binary> {
        let binary = self.binaries.iter().find(|binary| binary.part == part);
        binary.with_context(|| format!("cargo built no tests of {}", part.name()))
    }

    /// The next seed; small enough that a test may add to it.
    pub fn next_seed(&self) -> u64 {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        let mixed = (self.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
            .wrapping_mul(0xD6E8_FEB8_6659_FD93);
        mixed >> 24
    }

    /// Where the output of a job goes.
    pub fn log(&self, kind: &str, test: &str, seed: u64) -> PathBuf {
        self.logs.join(format!("{kind}-{}-{seed}.log", test.replace("::", "-")))
    }
}

/// Adds what a job came to, and says so; the log of one that passed is not kept.
pub fn count(findings: &mut Findings, test: &str, repeat: &str, job: &Job) -> Result<()> {
    findings.add(test, repeat, job);
    progress::job(&findings.kind, test, repeat, job);
    if job.end == End::Passed {
        fs::remove_file(&job.log)
            .with_context(|| format!("cannot remove {}", job.log.display()))?;
    }
    Ok(())
}
