//! What one kind of proof came to.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::job::{End, Job};
use crate::kinds::Kind;

/// What one kind came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Findings {
    /// Which.
    pub kind: String,
    /// What it shows.
    pub shows: String,
    /// Different tests and targets.
    pub tests: u64,
    /// Cases in all.
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

/// A job that failed, and how to see it again.
#[derive(Clone, Debug, Serialize)]
pub struct Violation {
    /// The test or target.
    pub test: String,
    /// The command that repeats it.
    pub repeat: String,
    /// All that it printed.
    pub log: PathBuf,
}

impl Findings {
    /// Nothing yet.
    pub fn new(kind: &Kind) -> Self {
        Self { kind: kind.name.into(), shows: kind.shows.into(), ..Self::default() }
    }

    /// Whether no promise was broken, and there was something to run.
    pub fn hold(&self) -> bool {
        self.violations.is_empty() && (self.tests > 0 || !self.skipped.is_empty())
    }

    /// Notes what could not be done, once.
    pub fn skip(&mut self, why: &str) {
        if !self.skipped.iter().any(|known| known == why) {
            self.skipped.push(why.to_owned());
        }
    }

    /// Adds what a job came to; `repeat` is the command that repeats it.
    pub fn add(&mut self, test: &str, repeat: &str, job: &Job) {
        for ((_, what), cases) in &job.said.evidence {
            *self.evidence.entry(what.clone()).or_default() += cases;
        }
        self.cases += job.said.cases();
        job.said.skipped.iter().for_each(|why| self.skip(why));
        if job.end != End::Passed {
            let (test, repeat) = (test.to_owned(), repeat.to_owned());
            self.violations.push(Violation { test, repeat, log: job.log.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds;
    use crate::said::Said;
    use std::time::Duration;

    fn job(end: End, log: &str) -> Job {
        Job { end, said: Said::read(log), log: PathBuf::from("log"), took: Duration::ZERO }
    }

    fn findings() -> Findings {
        Findings { tests: 1, ..Findings::new(kinds::named("power").unwrap()) }
    }

    #[test]
    fn cases_are_added_up_by_what_was_counted() {
        let mut findings = findings();
        for cases in [3, 4] {
            let log = format!("evidence: kind=power cases={cases} what=cuts\nskipped: xfs\n");
            findings.add("a", "", &job(End::Passed, &log));
        }
        assert_eq!((findings.cases, findings.evidence["cuts"]), (7, 7));
        assert_eq!(findings.skipped, ["xfs"]);
        assert!(findings.hold());
    }

    #[test]
    fn a_job_that_hangs_is_a_violation_like_one_that_fails() {
        for end in [End::Failed, End::Hung] {
            let mut findings = findings();
            findings.add("a", "again", &job(end, "evidence: kind=power cases=3 what=cuts\n"));
            assert!(!findings.hold());
            assert_eq!(findings.violations[0].repeat, "again");
        }
    }

    #[test]
    fn without_tests_a_kind_holds_only_if_it_says_what_was_skipped() {
        let mut findings = Findings { tests: 0, ..findings() };
        assert!(!findings.hold());
        findings.skip("miri is not installed");
        assert!(findings.hold());
    }
}
