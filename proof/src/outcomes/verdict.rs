//! What became of a mutation.

use std::fmt;

use crate::job::{End, Job};

/// What became of a mutation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A test failed, as it must; which.
    Caught(String),
    /// All tests passed.
    Missed,
    /// The tests that must notice cannot run here, and why.
    Skipped(String),
    /// Nothing can be said: the patch is out of date, or the like.
    Error(String),
}

impl Verdict {
    /// Judges by a job that ran so many tests; `hangs`: not ending is how the mutation shows.
    pub fn of(job: &Job, tests: usize, hangs: bool) -> Self {
        let seconds = job.took.as_secs();
        match job.end {
            End::Failed => {
                let see = || format!("see {}", job.log.display());
                let failed = job.said.failed.clone().unwrap_or_else(see);
                Self::Caught(format!("{failed}, {seconds} s"))
            }
            End::Hung if hangs => Self::Caught(format!("no end after {seconds} s")),
            End::Hung => Self::Error(format!("no end after {seconds} s")),
            End::Passed if job.said.skipped.len() >= tests => {
                Self::Skipped(job.said.skipped.join("; "))
            }
            End::Passed => Self::Missed,
        }
    }

    /// From the verdict on the source as it is to that on its mutations: none yet, where all tests pass.
    pub fn of_unbroken(self) -> Option<Self> {
        match self {
            Self::Missed => None,
            Self::Caught(why) => Some(Self::Error(format!("fails unbroken: {why}"))),
            unable => Some(unable),
        }
    }

    /// Whether the proof is as strong as this machine can show.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Caught(_) | Self::Skipped(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caught(how) => write!(f, "caught: {how}"),
            Self::Missed => write!(f, "MISSED"),
            Self::Skipped(why) => write!(f, "skipped: {why}"),
            Self::Error(why) => write!(f, "ERROR: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::said::Said;
    use std::path::PathBuf;
    use std::time::Duration;

    fn job(end: End, log: &str) -> Job {
        let took = Duration::from_secs(5);
        Job { end, said: Said::read(log), log: PathBuf::from("a.log"), took }
    }

    #[test]
    fn a_mutation_is_caught_by_a_test_that_fails_which_is_named() {
        let failed = job(End::Failed, "...\nfailures:\n    power::a\n");
        let caught = Verdict::of(&failed, 2, false);
        assert_eq!(caught, Verdict::Caught("power::a, 5 s".into()));
        // A process that a signal ended lists nothing.
        let killed = Verdict::of(&job(End::Failed, ""), 2, false);
        assert_eq!(killed, Verdict::Caught("see a.log, 5 s".into()));
    }

    #[test]
    fn a_test_that_does_not_end_has_caught_only_what_shows_in_that_way() {
        let hung = job(End::Hung, "");
        assert_eq!(Verdict::of(&hung, 1, true), Verdict::Caught("no end after 5 s".into()));
        assert_eq!(Verdict::of(&hung, 1, false), Verdict::Error("no end after 5 s".into()));
    }

    #[test]
    fn a_mutation_is_missed_if_any_test_ran_and_all_passed() {
        let one_skipped = job(End::Passed, "skipped: no strace\n");
        assert_eq!(Verdict::of(&one_skipped, 2, false), Verdict::Missed);
        let skipped = Verdict::of(&one_skipped, 1, false);
        assert_eq!(skipped, Verdict::Skipped("no strace".into()));
        assert!(skipped.is_good() && !Verdict::Missed.is_good());
    }

    #[test]
    fn tests_that_fail_on_the_source_as_it_is_say_nothing_of_its_mutations() {
        let fails = Verdict::Caught("power::a, 5 s".into()).of_unbroken();
        assert_eq!(fails, Some(Verdict::Error("fails unbroken: power::a, 5 s".into())));
        assert_eq!(Verdict::Missed.of_unbroken(), None);
    }
}
