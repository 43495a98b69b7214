//! The house in numbers: how large its packages are, and how tidy.

use std::collections::BTreeMap;

use super::graph::graphs;
use super::lengths::functions;
use super::sources::{Package, packages};
use super::tree::{File, Tree};
use super::types::Types;

/// The largest of some things, as it is told of.
fn largest(all: impl Iterator<Item = (usize, String)>) -> String {
    all.max().map_or_else(String::new, |(size, name)| format!("{size}, {name}"))
}

fn describe(package: &Package) {
    let tree = Tree::of(package);
    let files = || tree.files.iter();
    let lines: usize = files().map(|file| file.lines).sum();
    println!("\n{}: {} files, {lines} lines", package.folder, tree.files.len());
    row("longest file", largest(files().map(|file| (file.lines, file.path.clone()))));
    for (what, is_test) in [("longest function", false), ("longest function of tests", true)] {
        let each = |file: &File| {
            let path = file.path.clone();
            let of_kind = functions(file).into_iter().filter(move |one| one.is_test == is_test);
            of_kind.map(move |one| (one.lines, format!("{path}:{} {}", one.line, one.name)))
        };
        row(what, largest(files().flat_map(each)));
    }
    let circles = graphs()[&package.folder].circles();
    let within = circles.iter().map(Vec::len).sum::<usize>();
    row("circles", format!("{} of {within} files", circles.len()));
    let types = Types::of(&tree);
    let fields = types.known.iter().map(|((module, name), known)| {
        let file = tree.modules[*module].file;
        (known.public_fields, format!("{} {name}", tree.files[file].path))
    });
    row("most public fields", largest(fields));
}

fn row(what: &str, is: String) {
    if !is.is_empty() {
        println!("  {what:<26} {is}");
    }
}

/// Unit tests of the product, a folder.
fn unit_tests(package: &Package) {
    let mut folders = BTreeMap::<&str, usize>::new();
    for source in &package.sources {
        let tests = source.text.lines().filter(|line| line.trim() == "#[test]").count();
        let (folder, _) = source.path.rsplit_once('/').unwrap();
        *folders.entry(folder).or_default() += tests;
    }
    println!("\nunit tests");
    for (folder, tests) in folders {
        row(folder, tests.to_string());
    }
}

#[test]
fn the_house_in_numbers() {
    let packages = packages();
    packages.iter().for_each(describe);
    packages.iter().filter(|package| package.folder == "src").for_each(unit_tests);
}
