//! A table of `format.md`: read from its text, or made from the code.

/// A table: the heading it stands under, its first column's name, and of each row what is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub heading: String,
    kind: String,
    rows: Vec<Vec<String>>,
}

/// Cells that are compared, by the header of a table; the last column is prose.
pub fn compared(header: &[String]) -> usize {
    match header.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["Offset", "Size", "Field", "Meaning"] | ["Order", "Type", "Field", "Meaning"] => 3,
        ["Bits", "Field", "Meaning"] | ["Name", "Value", "Meaning"] => 2,
        ["Length", "Hash"] => 2,
        // What is drawn for later is in no code yet.
        ["Reserved", "Width", "For"] => 0,
        ["Value", "State" | "Queue" | "Phase" | "Purpose" | "Intent", "Meaning"] => 2,
        _ => panic!("a table with columns that this test does not know: {header:?}"),
    }
}

/// Numbers as decimal, all else as it is.
pub fn plain(cell: &str) -> String {
    let digits = cell.replace('_', "");
    let number = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    number.map_or_else(|_| cell.to_owned(), |number| number.to_string())
}

pub fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// The tables of a text.
pub fn documented(text: &str) -> Vec<Table> {
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
    tables.retain(|table| table.kind != "Reserved");
    tables
}

/// A table to come.
pub fn table(heading: &str, kind: &str, rows: Vec<Vec<String>>) -> Table {
    Table { heading: heading.to_owned(), kind: kind.to_owned(), rows }
}

/// A table of names and values.
pub fn names(heading: &str, rows: &[(&str, String)]) -> Table {
    let rows = rows.iter().map(|(name, value)| vec![(*name).to_owned(), value.clone()]);
    table(heading, "Name", rows.collect())
}

/// A table of offsets, sizes and fields.
pub fn fields(heading: &str, rows: &[(u64, u64, &str)]) -> Table {
    let rows = rows.iter().map(|(at, size, field)| vec![n(*at), n(*size), (*field).to_owned()]);
    table(heading, "Offset", rows.collect())
}

/// A table of the bits of a word, from the word with all bits of just one field set.
pub fn bits(heading: &str, rows: &[(u64, &str)]) -> Table {
    let range = |mask: u64| {
        let (low, high) = (mask.trailing_zeros(), 64 - mask.leading_zeros());
        assert_eq!(mask.count_ones(), high - low, "{mask:#x} has a gap");
        format!("{low}..{high}")
    };
    let rows = rows.iter().map(|(mask, field)| vec![range(*mask), (*field).to_owned()]);
    table(heading, "Bits", rows.collect())
}

/// A table of the values of a field at bit `shift`, from words.
pub fn values(heading: &str, kind: &str, shift: u32, rows: &[(u64, &str)]) -> Table {
    let rows = rows.iter().map(|(word, name)| vec![n(word >> shift & 15), (*name).to_owned()]);
    table(heading, kind, rows.collect())
}

pub fn n(number: impl TryInto<u64>) -> String {
    number.try_into().ok().unwrap().to_string()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
