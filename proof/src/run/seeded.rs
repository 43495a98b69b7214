//! Tests of the package, one after the other, each time with a new seed.

use std::collections::VecDeque;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::proof::{self, PATIENCE, Proof};
use crate::binaries::Binary;
use crate::job;
use crate::kinds::{self, Kind, Part};
use crate::outcomes::findings::Findings;

/// The longest that a test runs with one seed, in seconds.
const LONGEST: u64 = 120;

/// The tests of a kind.
pub struct Tests<'a> {
    proof: &'a Proof,
    kind: &'a Kind,
    binary: &'a Binary,
    names: Vec<&'a str>,
}

impl<'a> Tests<'a> {
    /// Those of a part that are in some modules.
    pub fn of(proof: &'a Proof, kind: &'a Kind, part: Part, modules: &[&str]) -> Result<Self> {
        let binary = proof.binary(part)?;
        let all = binary.tests.iter().map(String::as_str);
        let names = all.filter(|test| kinds::is_in(test, modules)).collect();
        Ok(Self { proof, kind, binary, names })
    }

    /// Runs them until the time is used up: each once, however short that is, and then again those that
    /// can be run here.
    pub fn repeat(&self, budget: Duration, findings: &mut Findings) -> Result<()> {
        findings.tests += self.names.len() as u64;
        let end = Instant::now() + budget;
        let seconds = (budget.as_secs() / self.names.len().max(1) as u64).clamp(1, LONGEST);
        let mut first = self.names.len();
        let mut waiting: VecDeque<&str> = self.names.iter().copied().collect();
        while let Some(test) = waiting.pop_front() {
            if first == 0 && Instant::now() >= end {
                break;
            }
            first = first.saturating_sub(1);
            if self.run(test, seconds, findings)? {
                waiting.push_back(test);
            }
        }
        Ok(())
    }

    /// Runs one for some seconds; whether it could be.
    fn run(&self, test: &str, seconds: u64, findings: &mut Findings) -> Result<bool> {
        let seed = self.proof.next_seed();
        let mut command = Command::new(&self.binary.path);
        let variables = [("LARDER_TEST_SECONDS", seconds), ("LARDER_TEST_SEED_BASE", seed)];
        let root = &self.proof.package.root;
        command.current_dir(root).args(["--exact", test, "--nocapture"]);
        command.envs(variables.map(|(name, value)| (name, value.to_string())));
        let log = self.proof.log(self.kind.name, test, seed);
        let mut job = job::run(command, &log, PATIENCE + Duration::from_secs(3 * seconds))?;
        let able = !job.said.is_skipped();
        if self.kind.test_is_case && job.said.evidence.is_empty() {
            let passed = job.said.passed;
            job.said.count(self.kind.name, "models explored", passed);
        }
        let variables = variables.map(|(name, value)| format!("{name}={value}")).join(" ");
        proof::count(findings, test, &repeat(self.binary.part, test, &variables), &job)?;
        Ok(able)
    }
}

/// The command that repeats a run where this binary is not at hand.
fn repeat(part: Part, test: &str, variables: &str) -> String {
    let part = if part == Part::Lib { "--lib" } else { "--test it" };
    format!("{variables} cargo test --profile proof -p larder {part} -- --exact {test} --nocapture")
}
