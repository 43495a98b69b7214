//! The targets of cargo-fuzz, each for its part of the time.

use std::time::Duration;

use anyhow::Result;

use super::proof::{self, PATIENCE, Proof};
use crate::outcomes::findings::Findings;
use crate::show::progress;
use crate::{job, tools};

/// Runs all targets, or notes why they cannot be run.
pub fn run(proof: &Proof, budget: Duration, findings: &mut Findings) -> Result<()> {
    let targets = match built(proof) {
        Ok(targets) => targets,
        Err(why) => {
            findings.skip(&why);
            return Ok(());
        }
    };
    findings.tests += targets.len() as u64;
    let seconds = (budget.as_secs() / targets.len().max(1) as u64).max(1);
    for target in &targets {
        let seed = proof.next_seed();
        let command = tools::fuzz_target(&proof.package, target, seconds, seed);
        let repeat = format!("cargo +nightly fuzz run {target} (the log names the input)");
        let log = proof.log("fuzz", target, seed);
        let mut job = job::run(command, &log, PATIENCE + Duration::from_secs(2 * seconds))?;
        let executions = job.said.executions;
        job.said.count("fuzz", "inputs run by a fuzzer", executions);
        proof::count(findings, target, &repeat, &job)?;
    }
    Ok(())
}

fn built(proof: &Proof) -> Result<Vec<String>, String> {
    let targets = tools::fuzz_targets(&proof.package)?;
    progress::building_fuzz_targets();
    tools::build_fuzz_targets(&proof.package)?;
    Ok(targets)
}
