//! The style of single lines and files: `unsafe`, strays, unwrapping, heads and names of tests.

use super::report::assert_none;
use super::sources::sources;

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
