//! Lines on standard error that say what goes on.

use crate::job::{End, Job};
use crate::mutation::Mutation;
use crate::outcomes::verdict::Verdict;

/// The seed that repeats a run.
pub fn seed(seed: u64) {
    eprintln!("seed: {seed}");
}

/// What takes minutes and prints nothing.
pub fn building_fuzz_targets() {
    eprintln!("building the targets of cargo-fuzz");
}

/// How a job of a kind ended, and how to see it again if it failed.
pub fn job(kind: &str, test: &str, repeat: &str, job: &Job) {
    let seconds = job.took.as_secs();
    if job.end == End::Passed {
        eprintln!("{kind}: {test}: {} cases, {seconds} s", job.said.cases());
    } else {
        eprintln!("{kind}: {test}: {:?} after {seconds} s\n  repeat: {repeat}", job.end);
    }
}

/// The tests of a mutation begin on the source as it is.
pub fn unbroken(mutation: &Mutation) {
    eprintln!("unbroken: {}", mutation.tests.join(" "));
}

/// What became of a mutation.
pub fn verdict(mutation: &Mutation, verdict: &Verdict) {
    eprintln!("{}: {verdict}", mutation.name);
}
