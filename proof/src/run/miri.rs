//! Unit tests of the library under Miri, in one job.

use std::time::Duration;

use anyhow::Result;

use super::proof::{self, PATIENCE, Proof};
use crate::outcomes::findings::Findings;
use crate::{job, tools};

/// Runs the tests that the filters name, or notes why they cannot be run.
pub fn run(
    proof: &Proof,
    filters: &[&str],
    budget: Duration,
    findings: &mut Findings,
) -> Result<()> {
    let command = match tools::miri(&proof.package, filters) {
        Ok(command) => command,
        Err(why) => {
            findings.skip(&why);
            return Ok(());
        }
    };
    let repeat = format!("cargo +nightly miri test -p larder --lib -- {}", filters.join(" "));
    let mut job = job::run(command, &proof.log("miri", "lib", 0), budget + 3 * PATIENCE)?;
    let passed = job.said.passed;
    findings.tests += passed;
    job.said.count("miri", "unit tests under Miri", passed);
    proof::count(findings, "lib", &repeat, &job)
}
