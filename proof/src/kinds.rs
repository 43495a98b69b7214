//! The kinds of proof: where their tests are, and what share of the time each gets.

/// What runs the cases of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Tests of a part of the package, in modules of these names (or names that begin so, with `_`).
    Tests(Part, &'static [&'static str]),
    /// As above, and the targets of cargo-fuzz.
    TestsAndTargets(Part, &'static [&'static str]),
    /// Miri on the modules of the library that need no operating system.
    Miri(&'static [&'static str]),
}

impl By {
    /// The part whose tests run.
    pub const fn part(self) -> Option<Part> {
        match self {
            Self::Tests(part, _) | Self::TestsAndTargets(part, _) => Some(part),
            Self::Miri(_) => None,
        }
    }
}

/// A part of the package that has tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Unit tests of the library.
    Lib,
    /// The integration tests.
    It,
}

impl Part {
    /// The part of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Lib, Self::It].into_iter().find(|part| part.name() == name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lib => "lib",
            Self::It => "it",
        }
    }
}

/// A kind of proof.
#[derive(Debug)]
pub struct Kind {
    /// Its name, as in the lines of evidence.
    pub name: &'static str,
    /// What it shows.
    pub shows: &'static str,
    /// What runs it.
    pub by: By,
    /// What it needs beside the toolchain; without it the tests say that they are skipped.
    pub needs: &'static str,
    /// Its share of the time.
    pub share: u64,
    /// Whether each test that passes is a case, for those that count none themselves.
    pub test_is_case: bool,
}

/// All kinds.
pub const KINDS: [Kind; 9] = [
    Kind {
        name: "model",
        shows: "random operations agree with a map",
        by: By::Tests(Part::It, &["model"]),
        needs: "",
        share: 12,
        test_is_case: false,
    },
    Kind {
        name: "checked",
        shows: "no schedule of threads, orderings and kills breaks the protocols (loom, shuttle)",
        by: By::Tests(Part::Lib, &["models"]),
        needs: "",
        share: 6,
        test_is_case: true,
    },
    Kind {
        name: "storm",
        shows: "processes killed, stopped and forked under load lose nothing acknowledged",
        by: By::Tests(Part::It, &["storm", "processes"]),
        needs: "",
        share: 18,
        test_is_case: false,
    },
    Kind {
        name: "steps",
        shows: "a kill at any instruction of an operation leaves a whole store",
        by: By::Tests(Part::It, &["steps"]),
        needs: "ptrace",
        share: 18,
        test_is_case: false,
    },
    Kind {
        name: "power",
        shows: "simulated power cuts cost at most what was not synced",
        by: By::Tests(Part::It, &["power", "no_free_segment"]),
        needs: "",
        share: 12,
        test_is_case: false,
    },
    Kind {
        name: "realpower",
        shows: "so do cuts of real file systems",
        by: By::Tests(Part::It, &["real_power"]),
        needs: "root, mkfs.ext4, mkfs.xfs",
        share: 10,
        test_is_case: false,
    },
    Kind {
        name: "faults",
        shows: "system calls that fail and disks that fill up are clear errors",
        by: By::Tests(Part::It, &["faults", "full", "disks_that_fill", "missing_calls"]),
        needs: "root, strace",
        share: 10,
        test_is_case: false,
    },
    Kind {
        name: "fuzz",
        shows: "hostile bytes are misses or clear errors",
        by: By::TestsAndTargets(Part::It, &["fuzz", "hostile", "vandal", "forged", "corpus"]),
        needs: "cargo-fuzz and a nightly toolchain for the targets",
        share: 12,
        test_is_case: false,
    },
    Kind {
        name: "miri",
        shows: "what needs no operating system has no undefined behaviour",
        by: By::Miri(&["format::", "policy::"]),
        needs: "miri in a nightly toolchain",
        share: 2,
        test_is_case: true,
    },
];

/// The kind of this name.
pub fn named(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// Whether a test is in one of these modules. (`power` is also `power_cases`, and not `real_power`.)
pub fn is_in(test: &str, modules: &[impl AsRef<str>]) -> bool {
    let Some((first, _)) = test.split_once("::") else { return false };
    modules.iter().map(AsRef::as_ref).any(|module| {
        first.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_not_another_whose_name_ends_alike() {
        assert!(is_in("power::cut", &["power"]) && is_in("power_cases::cut", &["power"]));
        assert!(!is_in("real_power::cut", &["power"]) && !is_in("powers::cut", &["power"]));
        assert!(is_in("a::b::c", &["x", "a"]));
    }
}
