//! A mutation: a patch whose head says which promise it breaks and which tests must notice.
//!
//! ```text
//! breaks: a read never returns torn bytes
//! kind: checked
//! catch: lib models::reading models::pinning
//! seconds: 5
//! --- a/src/...
//! ```
//! `seconds` (how long each test runs) and `hang: yes` (not ending is how it shows) may be left out.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::kinds::{self, Part};

/// A mutation.
#[derive(Clone, Debug)]
pub struct Mutation {
    /// Its name: that of its file.
    pub name: String,
    /// The promise it breaks.
    pub breaks: String,
    /// The kind of proof that must notice.
    pub kind: String,
    /// Where the tests are.
    pub part: Part,
    /// The tests begin with one of these.
    pub tests: Vec<String>,
    /// How long each of them runs.
    pub seconds: Option<u64>,
    /// Whether a test that does not end has noticed.
    pub hangs: bool,
    /// The patch.
    pub path: PathBuf,
}

/// All mutations in a directory, by name.
pub fn read_all(directory: &Path) -> Result<Vec<Mutation>> {
    let mut all = Vec::new();
    let entries = std::fs::read_dir(directory);
    for entry in entries.with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            let text = std::fs::read_to_string(&path)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let mutation = parse(name, &text, &path);
            all.push(mutation.with_context(|| format!("in {}", path.display()))?);
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

impl Mutation {
    /// Those of `tests` that must notice.
    pub fn selected(&self, tests: &[String]) -> Vec<String> {
        let chosen =
            |test: &&String| self.tests.iter().any(|begin| test.starts_with(begin.as_str()));
        tests.iter().filter(chosen).cloned().collect()
    }
}

fn parse(name: String, text: &str, path: &Path) -> Result<Mutation> {
    let head: Vec<&str> = text.lines().take_while(|line| !line.starts_with("--- ")).collect();
    let field = |name: &str| {
        let mut lines = head.iter().filter_map(|line| line.strip_prefix(name));
        lines.next().and_then(|rest| rest.strip_prefix(": ")).map(str::trim)
    };
    let needed = |name| field(name).with_context(|| format!("no line \"{name}: ...\""));
    let kind = needed("kind")?;
    if kinds::named(kind).is_none() {
        bail!("no such kind: {kind}");
    }
    let (part, tests) = needed("catch")?.split_once(' ').context("catch: PART TESTS")?;
    Ok(Mutation {
        name,
        breaks: needed("breaks")?.to_owned(),
        kind: kind.to_owned(),
        part: Part::named(part).with_context(|| format!("no such part: {part}"))?,
        tests: tests.split(' ').map(str::to_owned).collect(),
        seconds: field("seconds").map(str::parse).transpose()?,
        hangs: field("hang") == Some("yes"),
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mutations_of_the_repository_are_well_formed_and_cover_every_kind() {
        let all = read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("mutations")).unwrap();
        for kind in kinds::KINDS.iter().filter(|kind| kind.name != "miri") {
            assert!(all.iter().any(|mutation| mutation.kind == kind.name), "{}", kind.name);
        }
    }

    #[test]
    fn a_head_without_the_tests_that_catch_is_refused() {
        let head = "breaks: x\nkind: power\n--- a/x\n+++ b/x\n";
        assert!(parse("x".into(), head, Path::new("x")).is_err());
        let head = format!("catch: it power::a power_cases::\nseconds: 7\n{head}");
        let mutation = parse("x".into(), &head, Path::new("x")).unwrap();
        assert_eq!((mutation.part, mutation.seconds, mutation.hangs), (Part::It, Some(7), false));
        let tests = ["power::ab", "power::b", "power_cases::c"].map(str::to_owned);
        assert_eq!(mutation.selected(&tests), ["power::ab", "power_cases::c"]);
    }
}
