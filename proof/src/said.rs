//! What tests print of themselves: evidence, what they skipped, and how they ended.

use std::collections::BTreeMap;

/// What the log of a run says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Cases by kind and by what was shown.
    pub evidence: BTreeMap<(String, String), u64>,
    /// What could not be done here.
    pub skipped: Vec<String>,
    /// Tests that passed, by the harness's account.
    pub passed: u64,
    /// The first test that failed, by the harness's account; it means nothing where none failed.
    pub failed: Option<String>,
    /// Inputs that a fuzzer has run.
    pub executions: u64,
}

impl Said {
    /// Reads a log.
    pub fn read(log: &str) -> Self {
        let mut said = Self { failed: first_failed(log), ..Self::default() };
        for line in log.lines() {
            // The harness may have begun the line: "test name ... ".
            if let Some((_, rest)) = line.split_once("evidence: kind=") {
                said.read_evidence(rest);
            } else if let Some((_, what)) = line.split_once("skipped: ") {
                said.skipped.push(what.trim().to_owned());
            } else if let Some((_, rest)) = line.split_once("test result: ") {
                let passed = rest.split("; ").next().and_then(|first| first.split(' ').nth(1));
                said.passed += passed.and_then(|count| count.parse().ok()).unwrap_or(0);
            } else if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
                said.executions += count.trim().parse::<u64>().unwrap_or(0);
            }
        }
        said
    }

    /// Takes what a harness counted for evidence.
    pub fn count(&mut self, kind: &str, what: &str, cases: u64) {
        self.evidence.insert((kind.to_owned(), what.to_owned()), cases);
    }

    /// Cases in all.
    pub fn cases(&self) -> u64 {
        self.evidence.values().sum()
    }

    /// Whether what ran could not be done here at all.
    pub fn is_skipped(&self) -> bool {
        !self.skipped.is_empty() && self.evidence.is_empty()
    }

    fn read_evidence(&mut self, rest: &str) {
        let Some((kind, rest)) = rest.split_once(" cases=") else { return };
        let Some((cases, what)) = rest.split_once(" what=") else { return };
        if let Ok(cases) = cases.parse::<u64>() {
            *self.evidence.entry((kind.into(), what.trim().into())).or_default() += cases;
        }
    }
}

/// The harness ends with a list of what failed, a name a line, after all that failed tests printed.
fn first_failed(log: &str) -> Option<String> {
    let list = log.split("\nfailures:\n").last()?;
    let mut names = list.lines().filter_map(|line| line.strip_prefix("    "));
    names.find(|name| name.contains("::")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read_line_by_line() {
        let said = Said::read(
            "running 2 tests\nevidence: kind=power cases=12 what=cuts of a kind\n\
             test a ... evidence: kind=power cases=3 what=cuts of a kind\n\
             skipped: xfs: no mkfs.xfs\nstat::number_of_executed_units: 4711\n\
             test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured\n",
        );
        assert_eq!(said.evidence[&("power".into(), "cuts of a kind".into())], 15);
        assert_eq!(said.skipped, ["xfs: no mkfs.xfs"]);
        assert_eq!((said.passed, said.executions), (2, 4711));
    }

    #[test]
    fn the_first_that_failed_is_named_by_the_list_and_not_by_what_it_printed() {
        let said = Said::read(
            "running 2 tests\ntest power::a ... FAILED\ntest power::b ... FAILED\n\n\
             failures:\n\n---- power::a stdout ----\n    power::of_the_message::x\n\n\
             failures:\n    power::a\n    power::b\n\n\
             test result: FAILED. 0 passed; 2 failed; 0 ignored\n",
        );
        assert_eq!(said.failed.as_deref(), Some("power::a"));
        assert_eq!(Said::read("killed\n").failed, None);
    }
}
