//! `format.md` and this code, held together: each table there is made anew here from the constants
//! and encoders, and has to be the same, row for row. A constant without a row is found too.

mod blocks;
mod entries;

use std::collections::BTreeMap;

use super::page::{GROUP_FACTOR, Probe};

const TEXT: &str = include_str!("../../../format.md");

/// A table: the heading it stands under, its first column's name, and of each row what is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Table {
    heading: String,
    kind: String,
    rows: Vec<Vec<String>>,
}

/// Cells that are compared, by the header of a table; the last column is prose.
fn compared(header: &[String]) -> usize {
    match header.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["Offset", "Size", "Field", "Meaning"] | ["Order", "Type", "Field", "Meaning"] => 3,
        ["Bits", "Field", "Meaning"] | ["Name", "Value", "Meaning"] => 2,
        ["Value", "State" | "Label" | "Phase" | "Purpose" | "Intent", "Meaning"] => 2,
        _ => panic!("a table with columns that this test does not know: {header:?}"),
    }
}

/// Numbers as decimal, all else as it is.
fn plain(cell: &str) -> String {
    let digits = cell.replace('_', "");
    let number = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    number.map_or_else(|_| cell.to_owned(), |number| number.to_string())
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// The tables of a text.
fn documented(text: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut heading = String::new();
    let mut header: Option<Vec<String>> = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('#') {
            heading = name.trim_start_matches('#').trim().to_owned();
        }
        if !line.starts_with('|') {
            header = None;
        } else if let Some(header) = &header {
            let row = cells(line);
            assert_eq!(row.len(), header.len(), "a row under {heading:?}: {line}");
            if !line.starts_with("|--") {
                let row = row.iter().take(compared(header)).map(|cell| plain(cell));
                tables.last_mut().unwrap().rows.push(row.collect());
            }
        } else {
            let columns = cells(line);
            compared(&columns);
            let kind = if columns[0] == "Value" { &columns[1] } else { &columns[0] };
            tables.push(Table { heading: heading.clone(), kind: kind.clone(), rows: Vec::new() });
            header = Some(columns);
        }
    }
    tables
}

/// A table to come.
fn table(heading: &str, kind: &str, rows: Vec<Vec<String>>) -> Table {
    Table { heading: heading.to_owned(), kind: kind.to_owned(), rows }
}

/// A table of names and values.
fn names(heading: &str, rows: &[(&str, String)]) -> Table {
    let rows = rows.iter().map(|(name, value)| vec![(*name).to_owned(), value.clone()]);
    table(heading, "Name", rows.collect())
}

/// A table of offsets, sizes and fields.
fn fields(heading: &str, rows: &[(u64, u64, &str)]) -> Table {
    let rows = rows.iter().map(|(at, size, field)| vec![n(*at), n(*size), (*field).to_owned()]);
    table(heading, "Offset", rows.collect())
}

/// A table of the bits of a word, from the word with all bits of just one field set.
fn bits(heading: &str, rows: &[(u64, &str)]) -> Table {
    let range = |mask: u64| {
        let (low, high) = (mask.trailing_zeros(), 64 - mask.leading_zeros());
        assert_eq!(mask.count_ones(), high - low, "{mask:#x} has a gap");
        format!("{low}..{high}")
    };
    let rows = rows.iter().map(|(mask, field)| vec![range(*mask), (*field).to_owned()]);
    table(heading, "Bits", rows.collect())
}

/// A table of the values of a field at bit `shift`, from words.
fn values(heading: &str, kind: &str, shift: u32, rows: &[(u64, &str)]) -> Table {
    let rows = rows.iter().map(|(word, name)| vec![n(word >> shift & 15), (*name).to_owned()]);
    table(heading, kind, rows.collect())
}

fn n(number: impl TryInto<u64>) -> String {
    number.try_into().ok().unwrap().to_string()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn every_table_of_the_specification_is_what_the_code_does() {
    let documented = documented(TEXT);
    let expected: Vec<Table> = blocks::tables().into_iter().chain(entries::tables()).collect();
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
const WITHOUT_ROW: [&str; 1] = ["EMPTY"];

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
