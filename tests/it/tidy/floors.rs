//! Floors, by the words of the code: who names `crate::` what, and `super::` how often.

use std::collections::BTreeSet;
use std::fs;

use super::report::assert_none;
use super::sources::{Source, root, sources};
use super::tables::FLOORS;

/// Modules from the crate to a file: so many `super::` lead out of it, past the floors.
fn depth(source: &Source) -> usize {
    source.path.split('/').filter(|part| !["src", "mod.rs", "lib.rs"].contains(part)).count()
}

/// The name that its floor goes by: of its folder, or its own.
fn unit(source: &Source) -> &str {
    let below = source.path.trim_start_matches("src/");
    below.split('/').next().unwrap().trim_end_matches(".rs")
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

#[test]
fn a_file_imports_only_from_floors_below_its_own() {
    let modules = modules();
    let mut wrong = Vec::new();
    for source in sources(&["src"]) {
        let own = floor(unit(&source));
        if own.is_none() {
            wrong.push(format!("{}: its floor is in no table", source.path));
        }
        let escape = "super::".repeat(depth(&source).max(1));
        for (number, line) in source.product() {
            if line.contains(&escape) {
                wrong.push(format!("{}:{number}: {line}", source.path));
            }
            for import in imports(line) {
                let below = import == unit(&source)
                    || modules.contains(import) && floor(import) < own
                    || unit(&source) == "lib";
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
    assert!(floor("reclaim") > floor("sync") && floor("session") > floor("policy"));
}
