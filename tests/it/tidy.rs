//! The style as a test: floors, `unsafe`, lengths, and what must not be left lying.
#![allow(clippy::unwrap_used, reason = "what a helper of a test unwraps fails the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a source file, and of a function.
const FILE_LINES: usize = 420;
const FUNCTION_LINES: usize = 80;

/// What may import what: only what has a lower number, and itself (a folder is one floor, in which
/// files are free). Those of equal number do not know each other.
const FLOORS: [(&str, u32); 15] = [
    ("format", 10),
    // The door to the operating system, limits and errors: errors lowest.
    ("error", 20),
    ("sys", 21),
    ("config", 22),
    ("transaction", 30),
    ("index", 30),
    ("policy", 40),
    ("segments", 41),
    ("entries", 50),
    ("sync", 51),
    ("reclaim", 52),
    ("open", 53),
    ("cache", 60),
    ("lib", 70),
    // Not in the product: they may use anything.
    ("models", u32::MAX),
];

/// A source file of the crate.
struct Source {
    /// Its path below the crate.
    path: String,
    text: String,
}

impl Source {
    /// The lines that are part of the product: what stands before the tests, none of a test module.
    fn product(&self) -> impl Iterator<Item = (usize, &str)> {
        let ours = if self.is_test() { 0 } else { usize::MAX };
        let tests = "#[cfg(test)]\nmod tests {";
        let end = self.text.find(tests).unwrap_or(self.text.len());
        (1..).zip(self.text[..end].lines()).take(ours)
    }

    fn is_test(&self) -> bool {
        ["src/models/", "src/format/spec/", "tests/"].iter().any(|at| self.path.starts_with(at))
    }

    /// Modules from the crate to it: so many `super::` lead out of it, past the floors.
    fn depth(&self) -> usize {
        self.path.split('/').filter(|part| !["src", "mod.rs", "lib.rs"].contains(part)).count()
    }

    /// The name that its floor goes by: of its folder, or its own.
    fn unit(&self) -> &str {
        let below = self.path.trim_start_matches("src/");
        below.split('/').next().unwrap().trim_end_matches(".rs")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folders: &[&str]) -> Vec<Source> {
    let mut paths: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut sources = Vec::new();
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            sources.push(Source { path: name, text: fs::read_to_string(&path).unwrap() });
        }
    }
    assert!(!sources.is_empty());
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn floor(unit: &str) -> Option<u32> {
    FLOORS.iter().find(|(name, _)| *name == unit).map(|(_, floor)| *floor)
}

/// Code without its comments, and the words behind `crate::` in it.
fn imports(line: &str) -> Vec<&str> {
    let code = line.split("//").next().unwrap();
    let words = |rest: &str| rest.find(|c: char| !c.is_alphanumeric() && c != '_');
    code.split("crate::").skip(1).map(|rest| &rest[..words(rest).unwrap_or(rest.len())]).collect()
}

/// What `lib.rs` declares as a module; whatever else it makes known is a re-export.
fn modules() -> BTreeSet<String> {
    let library = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let declared = library.lines().filter_map(|line| line.strip_suffix(';'));
    declared.filter_map(|line| line.strip_prefix("mod ")).map(str::to_owned).collect()
}

fn assert_none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn a_file_imports_only_from_floors_below_its_own() {
    let modules = modules();
    let mut wrong = Vec::new();
    for source in sources(&["src"]) {
        let own = floor(source.unit());
        if own.is_none() {
            wrong.push(format!("{}: its floor is in no table", source.path));
        }
        let escape = "super::".repeat(source.depth().max(1));
        for (number, line) in source.product() {
            if line.contains(&escape) {
                wrong.push(format!("{}:{number}: {line}", source.path));
            }
            for import in imports(line) {
                let below = import == source.unit()
                    || modules.contains(import) && floor(import) < own
                    || source.unit() == "lib";
                if !below {
                    wrong.push(format!("{}:{number}: {line}", source.path));
                }
            }
        }
    }
    assert_none("imports that do not go down", wrong);
}

#[test]
fn an_import_from_above_or_through_lib_is_found() {
    assert_eq!(imports("use crate::sync;"), ["sync"]);
    assert_eq!(
        imports("let at = crate::format::x(crate::index::y); // crate::no"),
        ["format", "index"]
    );
    assert_eq!(imports("use crate::FileCache;"), ["FileCache"]);
    assert!(!modules().contains("FileCache") && modules().contains("format"));
    assert!(floor("reclaim") > floor("sync") && floor("segments") > floor("policy"));
}

#[test]
fn unsafe_stands_under_sys_alone_each_with_its_proof() {
    let mut wrong = Vec::new();
    for source in sources(&["src"]).iter().filter(|source| !source.is_test()) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap();
            let is_unsafe =
                code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "unsafe");
            if !is_unsafe {
                continue;
            }
            // Within a function that is unsafe itself, its `# Safety` says what holds.
            let near = &lines[number.saturating_sub(8)..number];
            let proven =
                near.iter().any(|line| line.contains("SAFETY:") || line.contains("# Safety"));
            if !source.path.starts_with("src/sys/") || !proven {
                wrong.push(format!("{}:{}: {line}", source.path, number + 1));
            }
        }
    }
    assert_none("unsafe code without a SAFETY comment, or outside of src/sys/", wrong);
}

#[test]
fn no_file_is_too_long() {
    let long = sources(&["src", "tests"]).into_iter().filter_map(|source| {
        let lines = source.text.lines().count();
        (lines > FILE_LINES).then(|| format!("{}: {lines} lines", source.path))
    });
    assert_none("files to be parted", long.collect());
}

#[test]
fn no_function_is_too_long() {
    let mut long = Vec::new();
    for source in sources(&["src", "tests"]) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            let indent = line.len() - code.len();
            let is_function = code.split('(').next().unwrap().split(' ').any(|word| word == "fn");
            if !is_function || code.starts_with("//") || code.ends_with(';') {
                continue;
            }
            // Formatted code: a function ends with a brace as far in as it began.
            let end = format!("{}}}", " ".repeat(indent));
            let length = lines[start..].iter().position(|line| *line == end).unwrap_or(0) + 1;
            if length > FUNCTION_LINES {
                long.push(format!("{}:{}: {length} lines", source.path, start + 1));
            }
        }
    }
    assert_none("functions to be parted", long);
}

#[test]
fn nothing_is_left_lying_about() {
    // Put together here, so that this file does not hold them.
    let strays = ["TO", "FIX", "XX"].iter().zip(["DO", "ME", "X"]).map(|(a, b)| format!("{a}{b}"));
    let macros = ["dbg", "todo", "unimplemented"].iter().map(|name| format!("{name}!("));
    let words: Vec<String> = strays.chain(macros).collect();
    let mut found = Vec::new();
    for source in sources(&["src", "tests"]) {
        for (number, line) in (1..).zip(source.text.lines()) {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{number}: {line}", source.path));
            }
        }
    }
    assert_none("left lying about", found);
}

#[test]
fn nothing_is_unwrapped_outside_tests() {
    let mut found = Vec::new();
    for source in sources(&["src"]) {
        for (number, line) in source.product() {
            // Examples in comments are tests.
            if line.split("//").next().unwrap().contains(".unwrap()") {
                found.push(format!("{}:{number}: {line}", source.path));
            }
        }
    }
    assert_none("unwrapped outside tests", found);
}

#[test]
fn every_file_begins_with_what_it_is() {
    let silent = sources(&["src", "tests"]).into_iter().filter_map(|source| {
        let begins = source.text.starts_with("//!");
        (!begins).then_some(source.path)
    });
    assert_none("files that do not say what they are", silent.collect());
}

#[test]
fn every_test_is_named_by_a_sentence() {
    let mut short = Vec::new();
    for source in sources(&["src", "tests"]) {
        let mut lines = source.text.lines();
        while let Some(line) = lines.next() {
            if line.trim() != "#[test]" {
                continue;
            }
            let named = lines.by_ref().find_map(|line| line.trim().strip_prefix("fn "));
            let name = named.and_then(|rest| rest.split('(').next()).unwrap_or_default();
            if name.split('_').count() < 3 {
                short.push(format!("{}: {name}", source.path));
            }
        }
    }
    assert_none("tests whose names say too little", short);
}
