//! `format.md` and this code, held together: each table there is made anew here from the constants
//! and encoders, and has to be the same, row for row. A constant without a row is found too.

mod blocks;
mod entries;
mod table;

use std::collections::BTreeMap;

use super::page::{GROUP_FACTOR, Probe};
use table::{Table, documented};

const TEXT: &str = include_str!("../../../format.md");

#[test]
fn every_table_of_the_specification_is_what_the_code_does() {
    let documented = documented(TEXT);
    let parts = [blocks::to_read(), entries::to_read(), blocks::to_write(), entries::to_write()];
    let expected: Vec<Table> = parts.concat();
    for (found, expected) in documented.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
    let heading = |tables: &[Table], at| tables.get(at).map(|table: &Table| table.heading.clone());
    let at = documented.len().min(expected.len());
    assert_eq!(heading(&documented, at), heading(&expected, at), "a table is too many or missing");
}

#[test]
fn the_groups_of_a_key_are_found_as_the_specification_says() {
    for hash in (1..1000u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
        let probe = Probe::new(hash, 4);
        let tag = (hash >> 4) % (1 << 20);
        let step = 1 + (((tag * u64::from(GROUP_FACTOR)) % (1 << 32)) >> 8) % 31;
        assert_eq!(u64::from(probe.tag), tag);
        assert_eq!(probe.group_a as u64, (hash >> 59) * 16);
        assert_eq!(probe.group_b as u64, ((hash >> 59) ^ step) * 16);
    }
}

/// What needs no row of its own.
const WITHOUT_ROW: [&str; 3] = ["EMPTY", "NOWHERE", "MAX"];

#[test]
fn every_constant_of_the_format_is_compared_with_the_specification() {
    let own = concat!(include_str!("blocks.rs"), include_str!("entries.rs"));
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/format");
    let mut missing = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        for line in source.lines() {
            let line = line.trim_start();
            let named = ["pub const ", "pub(super) const "]
                .iter()
                .find_map(|start| line.strip_prefix(start))
                .and_then(|rest| rest.split_once(':'))
                .map(|(name, _)| name);
            let Some(name) = named.filter(|name| !name.contains('(')) else { continue };
            let used = own.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| *w == name);
            // More than the import alone, unless it came by a glob.
            let least = usize::from(!path.ends_with("control.rs") && !path.ends_with("segment.rs"));
            if used.count() <= least && !WITHOUT_ROW.contains(&name) {
                missing.insert(name.to_owned(), path.clone());
            }
        }
    }
    assert!(missing.is_empty(), "constants without a row in format.md: {missing:?}");
}

#[test]
fn a_changed_row_an_unknown_one_and_a_missing_one_are_found() {
    let whole = documented(TEXT);
    let row = "| 0x090 | 8 | pending |";
    for other in ["| 0x098 | 8 | pending |", "| 0x080 | 8 | new | |\n| 0x090 | 8 | pending |"] {
        let text = TEXT.replace(row, other);
        assert_ne!(text, TEXT);
        assert_ne!(documented(&text), whole, "{other}");
    }
    let without: Vec<&str> = TEXT.lines().filter(|line| !line.starts_with(row)).collect();
    assert_ne!(documented(&without.join("\n")), whole);
}
